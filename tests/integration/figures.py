"""Which series of /metrics is which figure of the status: for metrics_test.py."""
from __future__ import annotations

from typing import Any, Iterator

from scraper import Key, labels

# (metric, its labels, where the status has it, by what that is multiplied)
SAME = (
    ("crossfade_reads_new_ratio", {}, "reads_new", 0.01),
    ("crossfade_compare_ratio", {}, "compare", 0.01),
    ("crossfade_epoch", {}, "epoch", 1),
    ("crossfade_lag_slots", {}, "lag.slots", 1),
    ("crossfade_lag_bytes", {}, "lag.bytes", 1),
    ("crossfade_lag_seconds", {}, "lag.ms", 0.001),
    ("crossfade_secondary_queue_overflows_total", {}, "lag.overflows", 1),
    ("crossfade_dirty_keys", {}, "dirty.keys", 1),
    ("crossfade_dirty_everything", {}, "dirty.overflowed", 1),
    ("crossfade_dirty_overflows_total", {}, "dirty.overflows", 1),
    ("crossfade_dirty_repaired_total", {}, "dirty.repaired", 1),
    ("crossfade_repair_copied_total", {}, "repair.copied", 1),
    ("crossfade_repair_failed_total", {}, "repair.failed", 1),
    ("crossfade_repair_enabled", {}, "repair.enabled", 1),
    ("crossfade_copies_total", {"method": "whole"}, "copies.whole", 1),
    ("crossfade_copies_total", {"method": "in_pieces"}, "copies.in_pieces", 1),
    ("crossfade_writes_total", {}, "writes.total", 1),
    ("crossfade_writes_followed_total", {}, "writes.followed", 1),
    ("crossfade_writes_diverged_total", {}, "writes.diverged", 1),
    ("crossfade_writes_refused_total", {}, "writes.refused_by_secondary", 1),
    ("crossfade_writes_differed_on_dirty_keys_total", {}, "writes.differed_on_dirty_keys", 1),
    ("crossfade_writes_not_followed_total", {}, "writes.not_followed", 1),
    ("crossfade_writes_expiry_races_total", {}, "writes.expiry_races", 1),
    ("crossfade_writes_unknown_outcomes_total", {}, "writes.unknown_outcomes", 1),
    ("crossfade_acks_failed_total", {}, "writes.acks_failed", 1),
    ("crossfade_both_refused_total", {}, "writes.both_refused", 1),
    ("crossfade_reads_total", {"backend": "old"}, "reads.old", 1),
    ("crossfade_reads_total", {"backend": "new"}, "reads.new", 1),
    ("crossfade_reads_compared_total", {}, "reads.compared", 1),
    ("crossfade_reads_mismatched_total", {}, "reads.mismatched", 1),
    ("crossfade_reads_unconfirmed_total", {}, "reads.unconfirmed", 1),
    ("crossfade_reads_expiring_total", {}, "reads.expiring", 1),
    ("crossfade_reads_not_comparable_total", {}, "reads.not_comparable", 1),
    ("crossfade_reads_fallback_total", {}, "reads.fallback", 1),
    ("crossfade_reads_failed_total", {}, "reads.failed", 1),
    ("crossfade_reads_retried_total", {}, "reads.retried", 1),
    ("crossfade_clients_connected", {}, "clients.connected", 1),
    ("crossfade_clients_accepted_total", {}, "clients.total", 1),
    ("crossfade_clients_refused_total", {}, "clients.refused", 1),
    ("crossfade_clients_waiting", {}, "clients.waiting", 1),
    ("crossfade_clients_watching", {}, "clients.watching", 1),
    ("crossfade_clients_subscribed", {}, "clients.subscribed", 1),
    ("crossfade_settle_checks_total", {"result": "equal"}, "settle.equal", 1),
    ("crossfade_settle_checks_total", {"result": "differed"}, "settle.differed", 1),
    ("crossfade_backfill_keys_done", {}, "backfill.keys_done", 1),
    ("crossfade_backfill_keys_expected", {}, "backfill.keys_total", 1),
    ("crossfade_backfill_copied_bytes", {}, "backfill.bytes", 1),
    ("crossfade_backfill_progress_ratio", {}, "backfill.percent", 0.01),
    ("crossfade_verify_keys_checked", {}, "verify.keys_checked", 1),
    ("crossfade_verify_keys_expected", {}, "verify.keys_total", 1),
    ("crossfade_ramp_step_left_seconds", {}, "ramp.next_step_in_ms", 0.001),
    ("crossfade_console_streams", {}, "limits.admin_connections.streams", 1),
    ("crossfade_console_events_lost_total", {}, "limits.admin_connections.events_lost", 1),
    ("crossfade_journal_keys_unlogged", {}, "journal.unlogged", 1),
    ("crossfade_breaker_opened_total", {}, "backends.new.breaker.opened", 1),
)
# (family, its label, where the status says which one holds)
STATES = (
    ("crossfade_secondary_mode", "mode", "secondary"),
    ("crossfade_ack_mode", "mode", "ack"),
    ("crossfade_split_mode", "mode", "split"),
    ("crossfade_on_miss_mode", "mode", "on_miss"),
    ("crossfade_synced_state", "state", "synced"),
    ("crossfade_backfill_state", "state", "backfill.state"),
    ("crossfade_verify_state", "state", "verify.state"),
    ("crossfade_ramp_state", "state", "ramp.state"),
    ("crossfade_flip_state", "state", "flip"),
    ("crossfade_replication_state", "state", "replication.state"),
    ("crossfade_breaker_state", "state", "backends.new.breaker.state"),
)


def at(status: Any, path: str) -> Any:
    for name in path.split("."):
        status = status[name]
    return status


def expected_of_ramp(ramp: dict) -> Iterator[tuple[Key, float]]:
    under_way = ramp["state"] in ("running", "holding", "paused")
    yield ("crossfade_ramp_step_ratio", labels()), ramp["steps"][ramp["step"] - 1] / 100 if under_way else 0
    for rail in ramp["guardrails"]:
        its = labels(guardrail=rail["name"])
        yield ("crossfade_ramp_guardrail_value", its), rail["value"]
        yield ("crossfade_ramp_guardrail_limit", its), rail["limit"]
        yield ("crossfade_ramp_guardrail_tripped", its), rail["state"] == "tripped"


def expected(status: dict) -> Iterator[tuple[Key, float]]:
    """Each series that the status has a figure for, and that figure."""
    for name, its, path, factor in SAME:
        yield (name, labels(**its)), at(status, path) * factor
    for name, label, path in STATES:
        yield (name, labels(**{label: at(status, path)})), 1
    for cause, count in status["dirty"]["marked"].items():
        yield ("crossfade_dirty_marks_total", labels(cause=cause)), count
    for side, backend in status["backends"].items():
        yield ("crossfade_backend_up", labels(backend=side)), backend["state"] == "up"
        yield ("crossfade_backend_primary", labels(backend=side)), backend["role"] == "primary"
        yield ("crossfade_backend_info",
               labels(backend=side, product=backend["product"], version=backend["version"])), 1
        yield ("crossfade_private_connections", labels(backend=side)), status["private_connections"][side]
    for limit, figures in status["limits"].items():
        yield ("crossfade_limit", labels(limit=limit)), figures["limit"]
        if limit != "journal":
            yield ("crossfade_limit_reached_total", labels(limit=limit)), figures["reached"]
    yield from expected_of_ramp(status["ramp"])
    for side in ("old", "new"):
        flips = [flip for flip in status["flips"] if flip["to"] == side]
        for forced in (True, False):
            yield ("crossfade_flips_total", labels(to=side, forced=str(forced).lower())), \
                sum(flip["forced"] == forced for flip in flips)
    yield ("crossfade_flip_pause_seconds_count", labels()), len(status["flips"])
    yield ("crossfade_flip_last_pause_seconds", labels()), status["flips"][-1]["pause_ms"] / 1000
    yield ("crossfade_flip_last_timestamp_seconds", labels()), status["flips"][-1]["at_ms"] / 1000
    yield ("crossfade_attention_items", labels()), len(status["attention"])
    yield ("crossfade_build_info", labels(version=status["version"])), 1
    yield ("crossfade_config_info", labels(hash=status["config"]["hash"])), 1
