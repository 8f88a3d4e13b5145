#!/usr/bin/python3
"""GET /metrics: the figures of the status, in Prometheus's form, within bounds; the alert rules and the dashboard name
only what exists; a real Prometheus reads it all and fires. What each alert needs to fire is in alerts_test.py."""
from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import redis

from admin import AdminError, wait_until
from figures import STATES, expected
from harness import CrossfadeTest, Rig, main
from scraper import ALERTS, DASHBOARD, Key, Metrics, Prometheus, labels, names_in, run_promtool
from stores import fill
from traffic import Load, LoadSpec

TOKEN = "scrape-me-if-you-can"
# So that a busy machine trips no ramp.
HARDLY = {"max_error_rate": 1, "max_p99_ratio": 1000, "latency_floor_ms": 3_600_000, "max_lag_ms": 3_600_000,
          "max_dirty_keys": 1_000_000, "max_down_ms": 3_600_000}
ONLY_MISMATCHES = {**HARDLY, "max_mismatch_rate": 0}


def scrape(rig: Rig) -> Metrics:
    return Metrics(rig.admin.call("GET", "/metrics"))


def mismatch(rig: Rig, client: Any, count: int) -> None:
    """So many keys are changed behind the proxy's back, and read."""
    for number in range(count):
        client.set(f"seeded:{number}", "right")
    rig.admin.wait_settled()
    with rig.new.client() as new:
        for number in range(count):
            new.set(f"seeded:{number}", "wrong")
    for number in range(count):
        client.get(f"seeded:{number}")
    rig.admin.wait_status(lambda status: status["reads"]["mismatched"] >= count, 30, "the mismatches are confirmed")


class BusyTest(CrossfadeTest):
    """A rig with figures that are not 0."""

    def busy(self) -> Rig:
        """A rig on which something of everything has happened, and that is quiet now."""
        rig = self.rig(start=False)
        token_file = rig.directory / "token"
        token_file.write_text(TOKEN)
        rig.proxy.config_path.write_text(f'[admin]\ntoken_file = "{token_file}"\n')
        rig.proxy.token = TOKEN
        rig.old.start()
        with rig.old.client() as old:
            fill(old, 500)
        rig.new.start()
        rig.proxy.start()
        rig.wait_up("old", "new")
        rig.admin.start_backfill()
        rig.admin.wait_synced()
        rig.admin.routing(compare=50, reads_new=30)
        with Load(LoadSpec(port=rig.proxy.port, clients=4)) as load:
            load.wait_operations(500)
            self.assertTrue(load.stop().clean, load.stop().complaints())
        client = rig.proxy.client()
        self.addCleanup(client.close)
        rig.admin.routing(compare=100, reads_new=0)
        rig.admin.call("POST", "/api/v1/ramp", {"steps": [40, 80], "every_ms": 3_600_000, **ONLY_MISMATCHES})
        mismatch(rig, client, 5)
        rig.admin.wait_status(lambda status: status["ramp"]["state"] == "tripped", 30, "the ramp trips")
        rig.admin.wait_settled()
        rig.admin.call("POST", "/api/v1/verify", {})
        rig.admin.wait_status(lambda status: status["verify"]["state"] == "done", 60, "verified")
        rig.admin.flip("new")
        rig.admin.flip("old")
        rig.admin.wait_settled()
        return rig

    def quiet(self, rig: Rig) -> tuple[dict, Metrics]:
        """A status and a scrape between which nothing has happened."""
        def same() -> Any:
            before, metrics, after = rig.admin.status(), scrape(rig), rig.admin.status()
            changing = ("uptime_ms", "limits", "backends", "settle")
            left = [{name: value for name, value in status.items() if name not in changing}
                    for status in (before, after)]
            settled = before["settle"] == after["settle"] and before["settle"]["waiting"] == 0
            return (after, metrics) if left[0] == left[1] and settled else None
        return wait_until(same, 60, "a moment in which nothing happens")


class FiguresTest(BusyTest):
    def test_they_are_the_statuss(self) -> None:
        rig = self.busy()
        status, metrics = self.quiet(rig)
        checked = nonzero = 0
        for key, wanted in expected(status):
            self.assertIn(key, metrics.samples)
            self.assertAlmostEqual(metrics.samples[key], wanted, delta=1e-9 * max(1, abs(wanted)), msg=str(key))
            checked += 1
            nonzero += wanted != 0
        self.say(f"{checked} figures equal those of the status, {nonzero} of them not 0; "
                 f"{len(metrics.samples)} series, {len(metrics.text)} bytes")
        self.assertGreater(nonzero, 60)
        for name, _, _ in STATES:
            self.assertEqual(sum(metrics.family(name).values()), 1, name)
        self.assertEqual(status["reads"]["mismatched"], 5)
        self.check_ramp(status, metrics)
        self.check_sums(status, metrics)
        self.check_process(rig, metrics)
        self.check_form(rig, metrics)

    def check_ramp(self, status: dict, metrics: Metrics) -> None:
        self.assertEqual(metrics.get("crossfade_ramp_state", state="tripped"), 1)
        crossed = {dict(found)["guardrail"]: value
                   for found, value in metrics.family("crossfade_ramp_guardrail_tripped").items() if value != 0}
        self.assertEqual(crossed, {"mismatch_rate": 1})
        self.assertGreater(metrics.get("crossfade_ramp_guardrail_value", guardrail="mismatch_rate"), 0)
        self.assertEqual(len(status["ramp"]["guardrails"]), len(metrics.family("crossfade_ramp_guardrail_limit")))

    def check_sums(self, status: dict, metrics: Metrics) -> None:
        """What is told in parts is the whole."""
        self.assertEqual(sum(metrics.family("crossfade_comparisons_total").values()), status["reads"]["compared"])
        self.assertEqual(sum(metrics.family("crossfade_mismatches_total").values()), status["reads"]["mismatched"])
        self.assertEqual(metrics.get("crossfade_mismatches_total", command="get"), 5)
        held = sum(metrics.family("crossfade_memory_held_bytes").values())
        self.assertEqual(held, metrics.get("crossfade_limit_used", limit="memory"))
        commands = {route: sum(count for found, count in metrics.family("crossfade_commands_total").items()
                               if ("route", route) in found) for route in ("read", "write")}
        self.assertGreaterEqual(commands["write"], status["writes"]["total"] // 2)
        self.assertGreater(commands["read"], 100)
        for backend in ("old", "new"):
            for kind in ("read", "write"):
                its = {"backend": backend, "class": kind}
                count = metrics.get("crossfade_backend_latency_seconds_count", **its)
                self.assertGreater(count, 10, its)
                buckets = sorted((float(dict(found)["le"]), value)
                                 for found, value in metrics.family("crossfade_backend_latency_seconds_bucket").items()
                                 if its.items() <= dict(found).items())
                self.assertIn(len(buckets), range(15, 23))
                counts = [value for _, value in buckets]
                self.assertEqual(counts, sorted(counts), "they are cumulative")
                self.assertEqual(counts[-1], count)
                self.assertGreater(metrics.get("crossfade_backend_latency_seconds_sum", **its), 0)

    def check_process(self, rig: Rig, metrics: Metrics) -> None:
        resident = metrics.get("process_resident_memory_bytes") / 2**20
        self.assertAlmostEqual(resident, rig.proxy.resident_mib(), delta=0.5 * rig.proxy.resident_mib() + 8)
        self.assertGreater(metrics.get("process_cpu_seconds_total"), 0)
        status = rig.admin.status()
        self.assertAlmostEqual(metrics.get("process_start_time_seconds"),
                               (status["config"]["loaded_at_ms"]) / 1000, delta=60)

    def check_form(self, rig: Rig, metrics: Metrics) -> None:
        """What Prometheus asks of names and texts, and who may see it."""
        self.assertEqual(run_promtool("check", "metrics", given=metrics.text), (0, ""))
        for name, kind in metrics.types.items():
            self.assertTrue(name.startswith(("crossfade_", "process_")), name)
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
            self.assertGreater(len(metrics.help[name]), 10, name)
        rig.admin.token = ""
        self.assertEqual(rig.admin.request("GET", "/metrics")[0], 401)
        rig.admin.token = TOKEN + "!"
        self.assertEqual(rig.admin.request("GET", "/metrics")[0], 401)
        rig.admin.token = TOKEN
        self.assertEqual(rig.admin.request("POST", "/metrics", {})[0], 405)
        request = urllib.request.Request(f"http://{rig.admin.address}/metrics",
                                         headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
            self.assertRegex(response.headers["Content-Type"], r"^text/plain; version=0\.0\.4\b")

    def test_a_ramp_under_way_and_a_console(self) -> None:
        rig = self.rig(config="[ramp]\nmax_dirty_keys = 777\n")
        rig.admin.wait_synced()

        def check(state: str, share: float) -> Metrics:
            metrics = scrape(rig)
            self.assertEqual(rig.admin.status()["ramp"]["state"], state)
            self.assertEqual([dict(found)["state"] for found, value in metrics.family("crossfade_ramp_state").items()
                              if value != 0], [state])
            self.assertEqual(metrics.get("crossfade_ramp_step_ratio"), share)
            return metrics

        self.assertEqual(check("idle", 0).get("crossfade_ramp_guardrail_limit", guardrail="dirty_keys"), 777)
        rig.admin.call("POST", "/api/v1/ramp", {"steps": [20, 60], "every_ms": 3_600_000, "compare": 100, **HARDLY})
        metrics = check("running", 0.2)
        self.assertEqual(metrics.get("crossfade_ramp_guardrail_limit", guardrail="dirty_keys"), 1_000_000)
        self.assertTrue(0 < metrics.get("crossfade_ramp_step_left_seconds") <= 3600)
        rig.admin.call("PATCH", "/api/v1/ramp", {"paused": True})
        check("paused", 0.2)
        rig.admin.call("DELETE", "/api/v1/ramp")
        self.assertEqual(check("aborted", 0).get("crossfade_ramp_step_left_seconds"), 0)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://{rig.admin.address}/api/v1/events", timeout=30):
            self.assertEqual(check("aborted", 0).get("crossfade_console_streams"), 1)

    def test_audit_entries_that_wait_for_the_disk(self) -> None:
        rig = self.rig()
        trail = rig.proxy.state_dir / "audit.jsonl"
        trail.unlink()
        trail.mkdir()
        rig.admin.routing(compare=10)
        rig.admin.routing(compare=20)
        unsaved = scrape(rig).get("crossfade_audit_unsaved_entries")
        self.assertGreaterEqual(unsaved, 2)
        self.assertEqual(rig.admin.call("GET", "/api/v1/audit")["unsaved"], unsaved)
        trail.rmdir()
        rig.admin.routing(compare=30)
        self.assertEqual(scrape(rig).get("crossfade_audit_unsaved_entries"), 0)


class BoundsTest(CrossfadeTest):
    def test_clients_cannot_make_series(self) -> None:
        """Ten thousand keys and prefixes, unknown commands, names and patterns: the series stay the same ones."""
        rig = self.rig()
        rig.admin.routing(compare=100)
        client = rig.proxy.client()
        client.get("before")
        before = scrape(rig)
        pipe = client.pipeline(transaction=False)
        for number in range(10_000):
            pipe.set(f"secretprefix{number}:key", f"secretvalue{number}")
            pipe.get(f"secretprefix{number}:key")
            if number % 5 == 0:
                pipe.execute_command(f"SECRETCOMMAND{number}", "x")
                pipe.execute_command("CLIENT", f"SECRETSUB{number}")
                pipe.execute_command("CLIENT", "SETNAME", f"secretname{number}")
            if number % 500 == 499:
                pipe.execute(raise_on_error=False)
        rig.admin.wait_settled()
        after = scrape(rig)
        self.assertEqual(set(after.samples), set(before.samples))
        self.assertNotIn("secret", after.text.lower())
        self.assertLess(len(after.samples), 1000)
        grown = {name: after.get("crossfade_commands_total", family=family, route=route)
                 - before.get("crossfade_commands_total", family=family, route=route)
                 for name, family, route in (("set", "string", "write"), ("get", "string", "read"),
                                             ("unknown", "unknown", "unknown"), ("subcommand", "connection", "refused"),
                                             ("setname", "connection", "local"))}
        self.assertEqual(grown, {"set": 10_000, "get": 10_000, "unknown": 2_000, "subcommand": 2_000, "setname": 2_000})
        self.say(f"{len(after.samples)} series after 10,000 prefixes and 4,000 unknown commands, as before")

    def test_each_command_is_counted_in_the_servers_family(self) -> None:
        """COMMAND DOCS says to which group each belongs: each is sent, in any form, and must be counted there."""
        rig = self.rig()
        client = rig.proxy.client()
        with rig.old.client() as old:
            docs = old.execute_command("COMMAND DOCS")
        groups: dict[str, str] = {}
        for name, fields in zip(docs[::2], docs[1::2]):
            group = dict(zip(fields[::2], fields[1::2]))[b"group"].decode().replace("-", "_")
            groups[name.decode()] = group
        left_out = {"quit", "monitor", "subscribe", "psubscribe", "ssubscribe", "reset", "hello", "auth", "exec",
                    "multi", "watch", "wait", "shutdown", "client", "debug", "psync", "sync", "replconf"}
        self.assertGreater(len(groups), 200)
        for name in sorted(set(groups) - left_out):
            before = scrape(rig).family("crossfade_commands_total")
            try:
                client.execute_command(name)
            except redis.RedisError as error:  # the wrong number of arguments, or refused: counted all the same
                self.assertIsInstance(error, redis.ResponseError, name)
            after = scrape(rig).family("crossfade_commands_total")
            grown = [dict(found)["family"] for found, count in after.items() if count != before[found]]
            self.assertEqual(grown, [groups[name]], name)

    def test_rules_and_dashboard_name_what_exists(self) -> None:
        rig = self.rig()
        there = scrape(rig).names()
        status, said = run_promtool("check", "rules", str(ALERTS))
        self.assertEqual(status, 0, said)
        alerts = ALERTS.read_text(encoding="utf-8")
        self.assertGreater(len(names_in(alerts)), 15)
        self.assertEqual(names_in(alerts) - there, set())
        dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        queries = [target["expr"] for panel in panels for target in panel["targets"]]
        used = set().union(*(names_in(query) for query in queries))
        self.assertGreater(len(used), 60)
        self.assertEqual(used - there, set())
        self.check_dashboard(dashboard, panels)
        # What no panel shows is only what one looks up.
        shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
        hidden = {re.sub(r"_(bucket|sum|count)$", "", name) for name in there} - shown
        self.assertEqual(hidden, {
            "crossfade_epoch", "crossfade_backend_info", "crossfade_config_info", "crossfade_stopping",
            "crossfade_config_loaded_timestamp_seconds", "crossfade_routing_rules", "crossfade_clients_accepted_total",
            "crossfade_elements_given_back_total", "crossfade_scripts_unnamed_total", "crossfade_repair_enabled",
            "crossfade_flip_last_timestamp_seconds", "crossfade_ramp_step_left_seconds", "process_start_time_seconds"})

    def check_dashboard(self, dashboard: dict, panels: list[dict]) -> None:
        """What Grafana needs to import it: a variable for the source, ids of their own, panels that don't overlap."""
        self.assertEqual(dashboard["templating"]["list"][0]["type"], "datasource")
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken or place["x"] + place["w"] > 24, panel["title"])
            taken |= cells
        for panel in panels:
            for target in panel["targets"]:
                self.assertEqual(target["datasource"]["uid"], "${datasource}")
                self.assertIn('instance=~"$instance"', target["expr"])


class PrometheusTest(BusyTest):
    """Debian's prometheus reads it, with the shipped rules."""

    def prometheus(self, rig: Rig) -> Prometheus:
        rules = rig.directory / "alerts.yml"  # nobody here waits half an hour
        rules.write_text(re.sub(r"(?m)^( +for:) \S+$", r"\1 1s", ALERTS.read_text(encoding="utf-8")))
        prometheus = Prometheus(rig.directory, rig.admin.address, TOKEN, [str(rules)])
        self.addCleanup(prometheus.kill)
        return prometheus.start()

    def test_it_reads_everything_and_fires(self) -> None:
        rig = self.busy()
        self.quiet(rig)
        prometheus = self.prometheus(rig)
        wait_until(lambda: prometheus.query('up{job="crossfade"} == 1'), 60, "the first scrape")
        self.check_series(rig, prometheus)
        self.check_queries(prometheus)
        self.check_rules(prometheus)
        self.check_firing(rig, prometheus)

    def check_series(self, rig: Rig, prometheus: Prometheus) -> None:
        """Each series, by the value that /metrics says itself. What the scrape changes is left out."""
        def steady(found: dict[Key, float]) -> dict[Key, float]:
            return {key: value for key, value in found.items() if key[0].startswith("crossfade_")
                    and ("limit", "admin_connections") not in key[1]}

        def differing() -> list:
            direct, asked = steady(scrape(rig).samples), steady(prometheus.query('{__name__=~"crossfade_.+"}'))
            self.assertGreater(len(direct), 300)
            number = {str(key): (direct.get(key), asked.get(key)) for key in {*direct, *asked}}
            self.assertEqual({key: pair for key, pair in number.items() if pair[0] != pair[1]}, {})
            return [len(direct)]
        self.say(f"prometheus has {wait_until(differing, 60, 'the same series')[0]} series, each with the right value")

    def check_queries(self, prometheus: Prometheus) -> None:
        """Every panel's query is one that Prometheus understands."""
        dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
        queries += [note["expr"] for note in dashboard["annotations"]["list"]]
        for query in queries:
            for name, value in (("$__rate_interval", "1m"), ("$job", "crossfade"), ("$instance", ".+")):
                query = query.replace(name, value)
            try:
                prometheus.query(query)
            except AdminError as error:
                self.fail(f"{query}: {error}")
        self.assertEqual(prometheus.query('crossfade_backend_primary{job="crossfade"} == 1'),
                         {("crossfade_backend_primary", labels(backend="old")): 1})
        quantile = prometheus.query(
            "histogram_quantile(0.99, sum by (backend, le) (crossfade_backend_latency_seconds_bucket))")
        self.assertEqual(set(quantile), {("", labels(backend="old")), ("", labels(backend="new"))})
        for seconds in quantile.values():
            self.assertTrue(0 < seconds < 10, quantile)

    def check_rules(self, prometheus: Prometheus) -> None:
        """None is in error, and each tells a person what to do."""
        def evaluated() -> list[dict]:
            rules = [rule for group in prometheus.api("rules")["groups"] for rule in group["rules"]]
            self.assertEqual({rule["name"] for rule in rules if rule["health"] != "ok"}, set())
            return rules
        rules = wait_until(evaluated, 60, "every rule has been evaluated")
        self.assertGreater(len(rules), 15)
        for rule in rules:
            self.assertIn(rule["labels"]["severity"], ("page", "ticket"), rule["name"])
            self.assertGreater(len(rule["annotations"]["summary"]), 20, rule["name"])
            self.assertGreater(len(rule["annotations"]["description"]), 40, rule["name"])

    def check_firing(self, rig: Rig, prometheus: Prometheus) -> None:
        wait_until(lambda: "CrossfadeSecondaryDown" not in prometheus.firing(), 30, "both stores are seen up")
        wait_until(lambda: "CrossfadeRampTripped" in prometheus.firing(), 30, "the alert for the ramp that has tripped")
        rig.new.kill()
        wait_until(lambda: "CrossfadeSecondaryDown" in prometheus.firing(), 60, "the alert for a dead secondary")
        self.assertNotIn("CrossfadePrimaryDown", prometheus.firing())
        client = rig.proxy.client()
        client.set("written", "while it was away")
        rig.new.start()
        wait_until(lambda: "CrossfadeSecondaryDown" not in prometheus.firing(), 60, "the alert is over")
        rig.proxy.kill()
        wait_until(lambda: "CrossfadeDown" in prometheus.firing(), 60, "the alert for a dead proxy")
        self.say(f"firing at the end: {', '.join(sorted(prometheus.firing()))}")


if __name__ == "__main__":
    main()
