// What operators ask for, by the admin API: flips, settings, copies.
#include <utility>

#include "fmt/format.h"
#include "proxy/preflight.h"
#include "proxy/proxy.h"
#include "proxy/ramp.h"
#include "spdlog/spdlog.h"

namespace crossfade {

void Proxy::Flip(const FlipRequest& request, std::function<void(const FlipResult&)> done) {
  if ((request.force || request.cold) && !request.dry_run) GiveUpCopying("given up for a flip");
  flip_->Start(request, [this, done = std::move(done)](const FlipResult& result) {
    if (result.flipped) {
      watches_->BreakAll();
      tracking_->PrimaryChanged();
      LoadScripts();
      UpdateFacts();
      LearnModules();
      Started(migration().primary());  // by force, while the old one was still being reached
    }
    done(result);
  });
}

int64_t Proxy::preflight_age_ms() const {
  return (io_->clock()->NowUs() - preflight_->last_us()) / 1000;
}

// What a flip does to others, and what the preflight has said.
void Proxy::FlipOutlook(FlipFacts* facts) const {
  facts->blocked = room_->size();
  facts->watching = watches_->size();
  if (sweep_->running()) {
    facts->jobs =
        fmt::format("{} is under way ({:.0f} %)", backfill_->active() ? "a backfill" : "a sweep", sweep_->Percent());
  }
  if (verify_->running()) {
    facts->jobs += facts->jobs.empty() ? "" : "; ";
    facts->jobs += "a verification is under way, and rests while requests are held";
  }
  const Preflight::Report* report = preflight_->last();
  facts->preflight_known = report != nullptr;
  if (report == nullptr) return;
  facts->preflight_age_ms = preflight_age_ms();
  for (const Finding& finding : report->findings) {
    const bool meant = migration().replicating() && finding.name == "role of new";  // it is a replica, as it should be
    if (finding.status != CheckStatus::kFail || meant) continue;
    facts->preflight_failed +=
        fmt::format("{}{}: {}", facts->preflight_failed.empty() ? "" : "; ", finding.name, finding.found);
  }
}

absl::Status Proxy::Change(const RoutingChange& change) {
  const absl::Status changed = keeper_->Change(change, lane_->next_order());
  if (changed.ok() && !migration().following()) GiveUpCopying("the secondary does not follow any more");
  if (changed.ok() && change.secondary == SecondaryMode::kJournal) {
    journal_to_begin_ = true;
    BeginJournalWhenIdle();
  }
  repair_->Wake();
  return changed;
}

// What is still on its way to the secondary is of the time before: its outcome belongs to what is forgotten, not to
// what is remembered.
void Proxy::BeginJournalWhenIdle() {
  if (!journal_to_begin_) return;
  const bool journalling = migration().routing.secondary == SecondaryMode::kJournal;
  if (journalling && (lane_->lag_slots() > 0 || flip_->state() != FlipRunner::State::kFollowing)) return;
  journal_to_begin_ = false;
  if (journalling) keeper_->JournalBegun();
}

void Proxy::FollowSnapshot(bool elsewhere, std::function<void(const absl::Status&)> done) {
  if (flip_->state() != FlipRunner::State::kFollowing)
    return done(absl::FailedPreconditionError("a flip is under way"));
  if (migration().journal_since_ms == 0) return done(keeper_->FollowSnapshot());  // says why not
  snapshot_check_->Run(migration().primary(), migration().journal_since_ms, elsewhere,
                       [this, epoch = migration().epoch, since_ms = migration().journal_since_ms,
                        done = std::move(done)](absl::Status judged) {
                         if (epoch != migration().epoch || since_ms != migration().journal_since_ms) {
                           judged = absl::FailedPreconditionError("the settings have changed meanwhile: try again");
                         }
                         if (judged.ok()) judged = keeper_->FollowSnapshot();
                         if (judged.ok()) {
                           expiry_scan_->Start();  // nobody has told when the snapshot's keys expire
                           repair_->Wake();
                         }
                         done(judged);
                       });
}

void Proxy::ChangeInSteps(const RoutingChange& change, bool replace, std::function<void(const absl::Status&)> done) {
  const bool begins = change.secondary == SecondaryMode::kReplica;
  if (!change.secondary || (!begins && !migration().replicating())) return done(Change(change));
  if (change.reads_new || change.compare || change.ack || change.split || change.on_miss || change.cold) {
    return done(absl::FailedPreconditionError(
        "replication begins and ends by steps, which may be refused: change nothing else in the same request"));
  }
  if (begins) return replication_->Enter(replace, std::move(done));
  replication_->Leave(*change.secondary, std::move(done));
}

// What must not run while the secondary becomes a replica, or ceases to be one.
std::string Proxy::WhyBusy() const {
  if (stopping_) return "the proxy is stopping";
  if (flip_->state() != FlipRunner::State::kFollowing) return "a flip is under way";
  if (sweep_->running() || backfill_->active()) return "keys are being copied: crossfade backfill cancel, or wait";
  if (verify_->running()) return "a verification is under way: crossfade verify cancel, or wait";
  return {};
}

// What is known of the secondary, key by key, was known of another one.
void Proxy::ReplicationChanged() {
  scripts_.StoreRestarted(migration().secondary());
  if (migration().replicating()) return;
  expiry_scan_->Start();  // nobody has noted when what was written meanwhile expires
  repair_->Wake();
}

absl::Status Proxy::Resync() {
  return keeper_->Resync(lane_->next_order());
}

// A sweep, and what the last run of the proxy has left of one.
void Proxy::GiveUpCopying(const std::string& why) {
  backfill_->Cancel(why);
  sweep_->Cancel(why);
}

absl::Status Proxy::StartBackfill(const BackfillOptions& options) {
  if (backfill_->active()) return absl::FailedPreconditionError("a backfill is under way already");
  if (sweep_->running()) return absl::FailedPreconditionError("everything is being copied already: " + sweep_->why());
  if (!migration().distrust.empty()) return absl::FailedPreconditionError(migration().distrust);
  if (!migration().keep_secondary.empty()) return absl::FailedPreconditionError(migration().keep_secondary);
  if (flip_->state() != FlipRunner::State::kFollowing) return absl::FailedPreconditionError("a flip is under way");
  if (migration().replicating())
    return absl::FailedPreconditionError("the secondary is a replica: replication brings everything by itself");
  if (!migration().following())
    return absl::FailedPreconditionError("the secondary does not follow: crossfade secondary follow");
  for (Side side : {Side::kOld, Side::kNew}) {
    const Upstream& upstream = lane_->link(side).upstream();
    if (upstream.up()) continue;
    return absl::FailedPreconditionError(fmt::format("{} ({}) is {}: {}", SideName(side), upstream.address().ToString(),
                                                     upstream.StateWord(), upstream.last_error()));
  }
  for (const Link* link : {&lane_->primary(), &lane_->secondary()}) {
    const int databases = link->info().databases;
    if (options.scope.db < databases) continue;
    return absl::FailedPreconditionError(
        fmt::format("{} has the databases 0 to {}", SideName(link->side()), databases - 1));
  }
  backfill_->Start(options);
  return absl::OkStatus();
}

absl::Status Proxy::ChangeBackfill(const BackfillChange& change) {
  if (!backfill_->active()) return absl::FailedPreconditionError("no backfill is running");
  const BackfillOptions& now = backfill_->record()->options;
  if (change.keys_per_second || change.bytes_per_second) {
    backfill_->SetRates(change.keys_per_second.value_or(now.keys_per_second),
                        change.bytes_per_second.value_or(now.bytes_per_second));
  }
  if (change.paused) backfill_->SetPaused(*change.paused);
  return absl::OkStatus();
}

absl::Status Proxy::CancelBackfill() {
  if (!backfill_->active() && !sweep_->running()) return absl::FailedPreconditionError("no backfill is running");
  GiveUpCopying("cancelled");
  return absl::OkStatus();
}

// What a ramp knows of the stores, and when it may begin.
void Proxy::MakeRamp() {
  const auto read = [this] {
    const Breaker& breaker = lane_->breaker();
    const Link& old_link = lane_->link(Side::kOld);
    const Link& new_link = lane_->link(Side::kNew);
    return RampReading{.compared = counters_.reads_compared,
                       .mismatched = counters_.reads_mismatched,
                       .answered = counters_.reads[static_cast<int>(Side::kNew)],
                       .failed = counters_.reads_failed,
                       .old_reads = old_link.latency_of(LatencyClass::kRead),
                       .new_reads = new_link.latency_of(LatencyClass::kRead),
                       .lag_ms = static_cast<double>(lane_->lag_us()) / 1000,
                       .dirty_keys = dirty_.size(),
                       .new_reachable = new_link.up() && breaker.reads_closed()};
  };
  const auto why_busy = [this] {
    if (stopping_) return "the proxy is stopping";
    return flip_->state() == FlipRunner::State::kFollowing ? "" : "a flip is under way";
  };
  // What an operator asks of a ramp is in the audit trail with the operator's name.
  const auto told = [this](std::string_view decision, double before, double reads_new, const std::string& reason) {
    if (decision == "resume" || decision == "abort" || decision == "hold" || decision == "restart") return;
    const bool moved = before != reads_new;
    audit_->Note({.who = "ramp",
                  .what = moved ? "reads_new" : "ramp",
                  .from = moved && before >= 0 ? fmt::format("{:g}", before) : "",
                  .to = moved ? fmt::format("{:g}", reads_new) : std::string(decision),
                  .reason = moved ? fmt::format("{}: {}", decision, reason) : reason});
  };
  ramp_ = std::make_unique<Ramp>(Ramp::Parts{io_, storage_, config_.state_dir, &config_.ramp, keeper_.get(), read,
                                             [this] { return lane_->next_order(); }, why_busy, told});
  if (keeper_->had_predecessor()) ramp_->Load();
}

absl::Status Proxy::StartVerify(const VerifyOptions& options) {
  if (verify_->running()) return absl::FailedPreconditionError("a verification is running already");
  if (sweep_->running() || dirty_.everything()) {
    return absl::FailedPreconditionError("everything is being copied now: verify once that is done");
  }
  if (!migration().distrust.empty()) return absl::FailedPreconditionError(migration().distrust);
  if (flip_->state() != FlipRunner::State::kFollowing) return absl::FailedPreconditionError("a flip is under way");
  if (!migration().following())
    return absl::FailedPreconditionError("the secondary does not follow: crossfade secondary follow");
  for (Side side : {Side::kOld, Side::kNew}) {
    const Upstream& upstream = lane_->link(side).upstream();
    if (!upstream.up()) {
      return absl::FailedPreconditionError(fmt::format("{} ({}) is {}: {}", SideName(side),
                                                       upstream.address().ToString(), upstream.StateWord(),
                                                       upstream.last_error()));
    }
    if (options.db >= upstream.info().databases) {
      return absl::FailedPreconditionError(
          fmt::format("{} has only {} databases", SideName(side), upstream.info().databases));
    }
  }
  verify_->Start(options);
  return absl::OkStatus();
}

absl::Status Proxy::CancelVerify() {
  if (!verify_->running()) return absl::FailedPreconditionError("no verification is running");
  verify_->Cancel();
  return absl::OkStatus();
}

}  // namespace crossfade
