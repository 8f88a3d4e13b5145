#!/usr/bin/python3
"""Each alert of conf/alerts.yml fires when it must, and none else. `promtool test rules` plays an hour of invented
series to the rules, so nothing here depends on time: the series of a healthy proxy, as /metrics gives them, and in each
case a few that are not as they should be."""
from __future__ import annotations

import json
import re
from dataclasses import dataclass

from harness import CrossfadeTest, Rig, main
from scraper import ALERTS, Key, Metrics, labels, run_promtool

HOUR = "60m"  # the moment at which alerts are looked at; a series has a value a minute
CALM = "x60"
SCRAPED = {"job": "crossfade", "instance": "proxy:6401"}


def steps(before: float, after: float, at_minute: int) -> str:
    return f"{before:g}x{at_minute - 1} {after:g}x{60 - at_minute}"


@dataclass
class Case:
    """What is not as it should be: (metric, labels as text) to the values of an hour, and which alert that means."""
    alert: str
    series: dict[tuple[str, str], str]
    title: str = ""


def latency(backend: str, slow_us: int) -> dict[tuple[str, str], str]:
    """600 reads a minute, all of which took as long."""
    series = {("crossfade_backend_latency_seconds_count", f"backend={backend},class=read"): "0+600x60",
              ("crossfade_backend_latency_seconds_bucket", f"backend={backend},class=read,le=+Inf"): "0+600x60"}
    for bits in range(4, 24):
        if 2 ** bits >= slow_us:
            bound = f"{2 ** bits / 1e6:.16g}"
            series["crossfade_backend_latency_seconds_bucket", f"backend={backend},class=read,le={bound}"] = "0+600x60"
    return series


CASES = (
    Case("", {}, "a healthy proxy"),
    Case("CrossfadeDown", {("up", ""): "0x60"}),
    Case("CrossfadePrimaryDown", {("crossfade_backend_up", "backend=old"): steps(1, 0, 58)}),
    Case("CrossfadePrimaryDown", {("crossfade_backend_up", "backend=new"): "0x60",
                                  ("crossfade_backend_primary", "backend=old"): "0x60",
                                  ("crossfade_backend_primary", "backend=new"): "1x60"}, "new is the primary"),
    Case("CrossfadeSecondaryDown", {("crossfade_backend_up", "backend=new"): steps(1, 0, 55)}),
    Case("CrossfadeBreakerOpen", {("crossfade_breaker_state", "state=closed"): "0x60",
                                  ("crossfade_breaker_state", "state=open"): "1x60"}),
    Case("CrossfadeBreakerOpen", {("crossfade_breaker_reads_open", ""): "1x60"}, "only reads are kept away"),
    Case("CrossfadePrimaryDistrusted", {("crossfade_primary_distrusted", ""): "1x60"}),
    Case("CrossfadeAttention", {("crossfade_attention_items", ""): "2x60"}),
    Case("", {("crossfade_attention_items", ""): steps(0, 2, 50)}, "attention for ten minutes"),
    Case("CrossfadeNewSlow", {**latency("old", 500), **latency("new", 2000)}),
    Case("", {**latency("old", 2000), **latency("new", 2000)}, "both as slow"),
    Case("", {**latency("old", 50), **latency("new", 500)}, "slower, and fast enough"),
    Case("CrossfadeLag", {("crossfade_lag_seconds", ""): "3x60"}),
    Case("CrossfadeDirtyKeysGrow", {("crossfade_dirty_keys", ""): "2000+100x60"}),
    Case("", {("crossfade_dirty_keys", ""): "9000-100x60"}, "dirty keys become fewer"),
    Case("CrossfadeEverythingDirty", {("crossfade_dirty_everything", ""): "1x60"}),
    Case("CrossfadeMismatches", {("crossfade_reads_mismatched_total", ""): steps(0, 1, 55)}),
    Case("", {("crossfade_reads_mismatched_total", ""): steps(0, 1, 20)}, "a mismatch of long ago"),
    Case("CrossfadeDivergence", {("crossfade_writes_total", ""): "0+600x60",
                                 ("crossfade_writes_diverged_total", ""): "0+60x60"}),
    Case("", {("crossfade_writes_total", ""): "0+600x60",
              ("crossfade_writes_diverged_total", ""): "0+1x60"}, "one in 600"),
    Case("CrossfadeAcksFail", {("crossfade_acks_failed_total", ""): steps(0, 3, 58)}),
    Case("CrossfadeVerifyDiffers", {("crossfade_verify_keys_differing", "kind=value"): "3x60",
                                    ("crossfade_verify_keys_repaired", ""): "2x60"}),
    Case("", {("crossfade_verify_keys_differing", "kind=ttl"): "3x60",
              ("crossfade_verify_keys_repaired", ""): "3x60"}, "all that differed were repaired"),
    Case("CrossfadeBackfillFailed", {("crossfade_backfill_state", "state=failed"): "1x60",
                                     ("crossfade_backfill_state", "state=idle"): "0x60"}),
    Case("CrossfadeRampTripped", {("crossfade_ramp_state", "state=idle"): "0x60",
                                  ("crossfade_ramp_state", "state=running"): steps(1, 0, 58),
                                  ("crossfade_ramp_state", "state=tripped"): steps(0, 1, 58),
                                  ("crossfade_ramp_guardrail_tripped", "guardrail=lag_ms"): steps(0, 1, 58)}),
    Case("", {("crossfade_ramp_state", "state=idle"): "0x60",
              ("crossfade_ramp_state", "state=paused"): "1x60",
              ("crossfade_ramp_guardrail_tripped", "guardrail=lag_ms"): "1x60"}, "a paused ramp is under way"),
    Case("CrossfadeJournalFull", {("crossfade_journal_keys_unlogged", ""): "5x60"}),
    Case("CrossfadeLimitReached", {("crossfade_limit_reached_total", "limit=clients"): steps(0, 1, 55)}),
    Case("", {("crossfade_limit_reached_total", "limit=copy_whole"): "0+10x60"}, "large values are copied in pieces"),
    Case("CrossfadeMemoryNearLimit", {("crossfade_limit", "limit=memory"): "1000x60",
                                      ("crossfade_limit_used", "limit=memory"): "900x60"}),
    Case("CrossfadeClientsNearLimit", {("crossfade_limit", "limit=clients"): "100x60",
                                       ("crossfade_limit_used", "limit=clients"): "95x60"}),
    Case("CrossfadeFlipPause", {("crossfade_flip_last_pause_seconds", ""): "2x60",
                                ("crossfade_flip_last_timestamp_seconds", ""): "3500x60"}),
    Case("", {("crossfade_flip_last_pause_seconds", ""): "2x60",
              ("crossfade_flip_last_timestamp_seconds", ""): "100x60"}, "a slow flip of long ago"),
    Case("CrossfadeRestarted", {("process_start_time_seconds", ""): "3500x60"}),
)


def key(name: str, text: str) -> Key:
    return name, labels(**dict(pair.split("=", 1) for pair in text.split(",") if pair))


def written(series: Key) -> str:
    """As promtool wants a series."""
    name, found = series
    inside = ",".join(f"{label}={json.dumps(value)}" for label, value in sorted({**dict(found), **SCRAPED}.items()))
    return f"{name}{{{inside}}}"


class AlertsTest(CrossfadeTest):
    def healthy(self, rig: Rig) -> dict[Key, str]:
        metrics = Metrics(rig.admin.call("GET", "/metrics"))
        series = {found: f"{value:g}{CALM}" for found, value in metrics.samples.items()}
        series[key("up", "")] = "1x60"
        series[key("process_start_time_seconds", "")] = f"-100000{CALM}"  # the hour that is played begins in 1970
        return series

    def test_each_fires_when_it_must_and_none_else(self) -> None:
        rig = self.rig()
        healthy = self.healthy(rig)
        groups = []
        for case in CASES:
            changed = {key(*series): values for series, values in case.series.items()}
            self.assertLessEqual(set(changed), set(healthy), f"{case}: there is no such series")
            wanted = [{"labels": f'{{alertname="{case.alert}"}}', "value": 1}] if case.alert else []
            groups.append({"name": case.title or case.alert, "interval": "1m",
                           "input_series": [{"series": written(found), "values": values}
                                            for found, values in {**healthy, **changed}.items()],
                           "promql_expr_test": [{"expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                                                 "eval_time": HOUR, "exp_samples": wanted}]})
        tests = rig.directory / "alerts_test.yml"
        tests.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": groups}))
        status, said = run_promtool("test", "rules", str(tests))
        self.assertEqual(status, 0, said)
        self.say(f"{len(CASES)} cases with {len(healthy)} series each")

    def test_each_has_a_case(self) -> None:
        there = re.findall(r"(?m)^ +- alert: (\w+)$", ALERTS.read_text(encoding="utf-8"))
        self.assertEqual(len(there), len(set(there)))
        self.assertEqual({case.alert for case in CASES} - {""}, set(there))


if __name__ == "__main__":
    main()
