#include "routing/flip_checks.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace crossfade {

namespace {

using CheckKind = FlipCheck::Kind;
using Override = FlipCheck::Override;

class Checks {
 public:
  // `reason` empty: it passes.
  void Add(const char* name, CheckKind kind, Override override_by, std::string found, std::string reason) {
    list_.push_back({name, reason.empty(), std::move(found), std::move(reason), kind, override_by});
  }
  void Note(const char* name, std::string found) {
    Add(name, CheckKind::kNote, Override::kNothing, std::move(found), "");
  }
  std::vector<FlipCheck> Take() { return std::move(list_); }

 private:
  std::vector<FlipCheck> list_;
};

std::string Either(bool yes, const char* text, std::string otherwise) {
  return yes ? std::string(text) : std::move(otherwise);
}

void CheckStores(const FlipFacts& facts, Checks* out) {
  const Migration& migration = *facts.migration;
  const char* to = SideName(facts.to);
  const char* primary = SideName(migration.primary());
  out->Add("target", CheckKind::kNever, Override::kNothing, fmt::format("{} is primary", primary),
           migration.primary() == facts.to ? fmt::format("{} is the primary already", to) : "");
  out->Add("target_up", CheckKind::kNever, Override::kNothing, Either(facts.target_up, "reachable", "unreachable"),
           facts.target_up ? "" : fmt::format("{} is unreachable: {}", to, facts.target_error));
  const FlipProbe& probe = facts.probe;
  const bool answered = probe.state == FlipProbe::State::kAnswered;
  const char* asked = answered ? "it takes writes" : "asked when requests are held";
  out->Add("target_writable", CheckKind::kNever, Override::kForce,
           Either(probe.target_error.empty(), asked, probe.target_error),
           probe.target_error.empty() ? "" : fmt::format("{} refuses writes: {}", to, probe.target_error));
  out->Add("primary_up", CheckKind::kNever, Override::kForce, Either(facts.primary_up, "reachable", "unreachable"),
           facts.primary_up ? ""
                            : fmt::format("the primary ({}) is unreachable: {}; if it is gone for good, force the flip",
                                          primary, facts.primary_error));
  const bool unanswered = probe.state == FlipProbe::State::kUnanswered && facts.target_up && facts.primary_up;
  out->Add("answers", CheckKind::kWait, Override::kForce,
           Either(!unanswered, answered ? "both stores" : "not asked", probe.why), unanswered ? probe.why : "");
}

// Is what the target holds what the primary holds?
void CheckTrust(const FlipFacts& facts, Checks* out) {
  const Migration& migration = *facts.migration;
  out->Add("trust", CheckKind::kNever, Override::kForce,
           Either(migration.distrust.empty(), "the primary's data is trusted", "it is not"), migration.distrust);
  if (migration.replicating()) {
    // Distrust is among its reasons.
    const bool repeated = facts.replication_never == migration.distrust;
    out->Add("replication", CheckKind::kNever, Override::kForce,
             Either(facts.replication_never.empty(), "well", "it is not well"),
             repeated ? "" : facts.replication_never);
    out->Add("in_step", CheckKind::kWait, Override::kForce,
             Either(facts.replication_not_near.empty(), "near enough", "behind"), facts.replication_not_near);
    return;
  }
  const char* to = SideName(facts.to);
  out->Add("no_replica", CheckKind::kNever, Override::kForce,
           Either(!facts.target_is_replica, "it stands alone", "a replica"),
           facts.target_is_replica ? fmt::format("{} is a replica of another server and refuses writes", to) : "");
  Migration trusted = migration;
  trusted.distrust.clear();
  const std::string mode = Name(migration.routing.secondary);
  out->Add("following", CheckKind::kNever, Override::kForce, mode,
           migration.following() ? "" : trusted.WhyNotReadable(true));
  const bool checked = migration.following() && !migration.cold;
  out->Add("synced", CheckKind::kNever, Override::kCold,
           migration.synced != Synced::kYes && migration.cold
               ? fmt::format("{}, but cold is on", Name(migration.synced))
               : Name(migration.synced),
           checked ? trusted.WhyNotReadable(false) : "");
}

void CheckNearness(const FlipFacts& facts, Checks* out) {
  const bool replicating = facts.migration->replicating();
  const std::string keys = facts.everything_dirty ? "all" : std::to_string(facts.dirty_keys);
  std::string dirty;
  if (replicating && (facts.everything_dirty || facts.dirty_keys > facts.most_dirty_keys)) {
    dirty = fmt::format(
        "{} keys are dirty, which replication does not carry exactly: crossfade secondary follow lets them be copied, "
        "then flip",
        keys);
  } else if (!replicating && facts.everything_dirty) {
    dirty = "everything is dirty until a sweep has copied it";
  } else if (!replicating && facts.dirty_keys > 0) {
    dirty = fmt::format("{} keys are dirty", keys);
  }
  out->Add("clean", CheckKind::kWait, Override::kForce, keys + " keys are dirty", std::move(dirty));
  if (!replicating) {
    out->Add("queue", CheckKind::kWait, Override::kForce,
             Either(!facts.shedding, "the secondary keeps up", "overflowed"),
             facts.shedding ? "the secondary's queue has overflowed" : "");
    out->Add("breaker", CheckKind::kWait, Override::kForce, Either(facts.breaker_closed, "closed", "open"),
             facts.breaker_closed ? "" : "the breaker keeps the secondary away: " + facts.breaker_reason);
    out->Add(
        "lag", CheckKind::kWait, Override::kForce,
        fmt::format("{} slots, {} at most", facts.lag_slots, facts.most_lag_slots),
        facts.lag_slots > facts.most_lag_slots ? fmt::format("the secondary lags by {} slots", facts.lag_slots) : "");
  }
  out->Add("subscribers", CheckKind::kWait, Override::kForce,
           facts.subscribers == 0 ? "none" : fmt::format("{} move with the flip", facts.subscribers),
           facts.subscribers_missing);
}

// Who is primary now follows after the flip: only so can one go back with nothing lost.
void CheckWayBack(const FlipFacts& facts, Checks* out) {
  const char* primary = SideName(facts.migration->primary());
  std::string why = facts.probe.primary_error;
  if (why.empty() && facts.primary_is_replica) why = "it is a replica";
  out->Add("way_back", CheckKind::kNever, Override::kForce,
           why.empty() ? fmt::format("{} follows after the flip", primary) : fmt::format("{}: {}", primary, why),
           why.empty()
               ? ""
               : fmt::format("{} refuses writes ({}), so it could not follow after the flip, and there would be no "
                             "way back without loss; force the flip if it must be",
                             primary, why));
}

void CheckPreflight(const FlipFacts& facts, Checks* out) {
  const char* name = "preflight";
  if (facts.to == Side::kOld) return out->Note(name, "it judges the move to new: going back needs none");
  if (!facts.preflight_known) return out->Note(name, "not run lately; crossfade check runs it");
  const std::string age = fmt::format("{} s ago", facts.preflight_age_ms / 1000);
  const bool fresh = facts.preflight_age_ms <= kPreflightFreshMs;
  if (!fresh) return out->Note(name, fmt::format("too old to count ({}); crossfade check runs it again", age));
  out->Add(
      name, CheckKind::kNever, Override::kForce,
      facts.preflight_failed.empty() ? "nothing failed, " + age : "failed, " + age,
      facts.preflight_failed.empty()
          ? ""
          : fmt::format("the preflight has failed: {}; once that is mended: crossfade check", facts.preflight_failed));
}

}  // namespace

std::vector<FlipCheck> CheckFlip(const FlipFacts& facts) {
  Checks checks;
  CheckStores(facts, &checks);
  CheckTrust(facts, &checks);
  CheckNearness(facts, &checks);
  CheckWayBack(facts, &checks);
  CheckPreflight(facts, &checks);
  checks.Note("clients", fmt::format("{} blocked stay parked, {} WATCHes are broken (their EXEC answers nil)",
                                     facts.blocked, facts.watching));
  checks.Note("jobs", facts.jobs.empty() ? "none" : facts.jobs);
  return checks.Take();
}

const FlipCheck* FirstInTheWay(const std::vector<FlipCheck>& checks, CheckKind kind, bool cold, bool force) {
  const auto found = std::find_if(checks.begin(), checks.end(), [&](const FlipCheck& check) {
    return check.kind == kind && check.Stands(cold, force);
  });
  return found == checks.end() ? nullptr : &*found;
}

bool ReadyToFlip(const std::vector<FlipCheck>& checks, bool cold, bool force) {
  return std::none_of(checks.begin(), checks.end(), [&](const FlipCheck& check) { return check.Stands(cold, force); });
}

}  // namespace crossfade
