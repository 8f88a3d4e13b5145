// What the secondary has yet to get, and how it gets it: lag, dirty keys, repair, backfill, verification.
#include "proxy/admin_backfill.h"
#include "proxy/metric_groups.h"
#include "proxy/proxy.h"

namespace crossfade {

namespace {

void AppendLag(const Proxy& proxy, MetricList* list) {
  const Lane& lane = proxy.lane();
  list->Gauge("crossfade_lag_slots", "Commands that the secondary has yet to answer.",
              static_cast<double>(lane.lag_slots()));
  list->Gauge("crossfade_lag_bytes", "Bytes of the commands that the secondary has yet to answer.",
              static_cast<double>(lane.lag_bytes()));
  list->Gauge("crossfade_lag_seconds", "Age of the oldest command that the secondary has yet to answer.",
              static_cast<double>(lane.lag_us()) / 1e6);
  list->Counter("crossfade_secondary_queue_overflows_total",
                "Times the secondary's queue was dropped, and its keys made dirty.",
                static_cast<double>(proxy.counters().queue_overflows));
  list->Gauge("crossfade_secondary_shedding",
              "1 while nothing follows, until the secondary has answered what it was sent before an overflow.",
              lane.shedding());
}

void AppendDirty(const Proxy& proxy, MetricList* list) {
  const DirtySet& dirty = proxy.dirty();
  list->Gauge("crossfade_dirty_keys", "Keys on which the secondary may differ, until they have been copied.",
              static_cast<double>(dirty.size()));
  list->Gauge("crossfade_dirty_keys_pausing", "Dirty keys whose last copy failed, and which wait to be tried again.",
              static_cast<double>(dirty.pausing()));
  list->Gauge("crossfade_dirty_everything", "1 while any key may differ: until a sweep has copied everything.",
              dirty.everything());
  list->Counter("crossfade_dirty_overflows_total", "Times everything has become dirty.",
                static_cast<double>(dirty.overflows()));
  auto marks = list->Counter("crossfade_dirty_marks_total", "Times a key was made dirty, by cause.");
  for (int i = 0; i < kDirtyCauses; ++i) {
    const auto cause = static_cast<DirtyCause>(i);
    marks.Add(static_cast<double>(dirty.marked(cause)), {{"cause", Name(cause)}});
  }
  list->Counter("crossfade_dirty_repaired_total", "Dirty keys that a copy has made clean.",
                static_cast<double>(dirty.repaired()));
}

void AppendRepair(const Proxy& proxy, MetricList* list) {
  const Repair& repair = proxy.repair();
  const KeyCopier& copier = proxy.copier();
  list->Gauge("crossfade_repair_enabled", "1 if dirty keys are copied by themselves.", proxy.config().repair.enabled);
  list->Gauge("crossfade_repair_in_flight", "Copies of dirty keys under way.", static_cast<double>(repair.in_flight()));
  list->Counter("crossfade_repair_copied_total", "Dirty keys copied.", static_cast<double>(repair.copied()));
  list->Counter("crossfade_repair_failed_total", "Copies of dirty keys that failed, and are tried again.",
                static_cast<double>(repair.failed()));
  list->Counter("crossfade_copies_total", "Keys copied by repair, backfill and verification, by how.")
      .Add(static_cast<double>(copier.whole()), {{"method", "whole"}})
      .Add(static_cast<double>(copier.by_type()), {{"method", "by_type"}})
      .Add(static_cast<double>(copier.in_pieces()), {{"method", "in_pieces"}});
  list->Counter("crossfade_copies_failed_total", "Copies of keys that failed.", static_cast<double>(copier.failed()));
  uint64_t refused = 0;
  for (const auto& [code, count] : proxy.lane().copies_refused()) refused += count;
  list->Counter("crossfade_copies_refused_total", "Copies of keys that the secondary has answered with an error.",
                static_cast<double>(refused));
  list->Gauge("crossfade_copies_waiting", "Copies that wait for their turn.", static_cast<double>(copier.waiting()));
}

void AppendBackfill(const Proxy& proxy, MetricList* list) {
  const nlohmann::json backfill = BackfillJson(proxy);
  const auto figure = [&](const char* name) { return backfill.value(name, 0.0); };
  list->Gauge("crossfade_backfill_state", "1 for how the newest backfill, or sweep by itself, stands.")
      .AddStates("state", {"idle", "running", "paused", "done", "failed"}, backfill.value("state", ""));
  list->Gauge("crossfade_backfill_keys_done", "Keys that the newest backfill has copied.", figure("keys_done"));
  list->Gauge("crossfade_backfill_keys_expected", "Keys that the newest backfill expects to copy.",
              figure("keys_total"));
  list->Gauge("crossfade_backfill_keys_rechecked",
              "Keys found on the secondary by the newest backfill, and copied or removed there.",
              figure("keys_rechecked"));
  list->Gauge("crossfade_backfill_keys_failed", "Keys that the newest backfill has left to repair.",
              figure("keys_failed"));
  list->Gauge("crossfade_backfill_copied_bytes", "Bytes that the newest backfill has sent to the secondary.",
              figure("bytes"));
  list->Gauge("crossfade_backfill_progress_ratio", "How far the newest backfill has come in its present half, 0 to 1.",
              figure("percent") / 100);
}

void AppendVerify(const Proxy& proxy, MetricList* list) {
  const VerifyResult& result = proxy.verify().result();
  list->Gauge("crossfade_verify_state", "1 for how the newest verification stands.")
      .AddStates("state", {"idle", "running", "done", "failed", "cancelled"}, Name(result.state));
  list->Gauge("crossfade_verify_keys_checked", "Keys that the newest verification has compared.",
              static_cast<double>(result.keys_checked));
  list->Gauge("crossfade_verify_keys_expected", "Keys that the newest verification expects to compare.",
              static_cast<double>(result.keys_total));
  list->Gauge("crossfade_verify_keys_equal", "Keys that the newest verification has found equal.",
              static_cast<double>(result.equal));
  auto differing =
      list->Gauge("crossfade_verify_keys_differing",
                  "Keys that the newest verification has found to differ, by how, repaired ones included.");
  for (int i = 0; i < kVerifyKinds; ++i) {
    differing.Add(static_cast<double>(result.differ[i]), {{"kind", Name(static_cast<VerifyKind>(i))}});
  }
  list->Gauge("crossfade_verify_keys_repaired", "Of the keys that differed, those that were repaired.",
              static_cast<double>(result.repaired));
  auto undecided = list->Gauge("crossfade_verify_keys_undecided",
                               "Keys of which the newest verification could not tell, by reason.");
  for (int i = 0; i < kUndecidedKinds; ++i) {
    undecided.Add(static_cast<double>(result.undecided[i]), {{"reason", Name(static_cast<Undecided>(i))}});
  }
  list->Gauge("crossfade_verify_keys_not_comparable", "Keys whose values can't be compared (of modules).",
              static_cast<double>(result.not_comparable));
}

void AppendSettle(const Proxy& proxy, MetricList* list) {
  const Counters& counters = proxy.counters();
  list->Gauge("crossfade_settle_keys_waiting", "Keys to be compared again once they are quiet.",
              static_cast<double>(proxy.settle().waiting()));
  list->Counter("crossfade_settle_checks_total", "Keys compared again once they were quiet, by result.")
      .Add(static_cast<double>(counters.settle_equal), {{"result", "equal"}})
      .Add(static_cast<double>(counters.settle_differed), {{"result", "differed"}})
      .Add(static_cast<double>(counters.settle_too_big), {{"result", "too_big"}})
      .Add(static_cast<double>(counters.settle_not_comparable), {{"result", "not_comparable"}});
}

void AppendJournal(const Proxy& proxy, MetricList* list) {
  const KeyLog& in_flight = proxy.journal().in_flight();
  const KeyLog& dirty = proxy.journal().dirty();
  list->Gauge("crossfade_journal_live_bytes", "Bytes in the state directory that are needed after a crash, by file.")
      .Add(static_cast<double>(in_flight.live_bytes()), {{"file", "journal"}})
      .Add(static_cast<double>(dirty.live_bytes()), {{"file", "dirty"}});
  list->Gauge("crossfade_journal_size_bytes", "Size of the files in the state directory that name keys, by file.")
      .Add(static_cast<double>(in_flight.size_bytes()), {{"file", "journal"}})
      .Add(static_cast<double>(dirty.size_bytes()), {{"file", "dirty"}});
  list->Gauge("crossfade_journal_keys_unlogged",
              "Keys that found no room in the state directory: after a kill of the proxy everything would be dirty.",
              static_cast<double>(in_flight.unlogged() + dirty.unlogged()));
}

}  // namespace

void AppendCopyMetrics(const Proxy& proxy, MetricList* list) {
  AppendLag(proxy, list);
  AppendDirty(proxy, list);
  AppendRepair(proxy, list);
  AppendBackfill(proxy, list);
  AppendVerify(proxy, list);
  AppendSettle(proxy, list);
  AppendJournal(proxy, list);
}

}  // namespace crossfade
