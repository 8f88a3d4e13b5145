// What operators ask for, by the admin API: flips, settings, copies.
#include <utility>

#include "fmt/format.h"
#include "proxy/proxy.h"
#include "spdlog/spdlog.h"

namespace crossfade {

void Proxy::Flip(const FlipRequest& request, std::function<void(const FlipResult&)> done) {
  if (sweep_->running() && (request.force || request.cold) && !request.dry_run) sweep_->Cancel("given up for a flip");
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

absl::Status Proxy::Change(const RoutingChange& change) {
  const absl::Status changed = keeper_->Change(change, lane_->next_order());
  if (changed.ok() && !migration().following()) sweep_->Cancel("the secondary does not follow any more");
  repair_->Wake();
  return changed;
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
  if (sweep_->running()) return "everything is being copied: crossfade backfill cancel, or wait";
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

absl::Status Proxy::StartBackfill() {
  if (sweep_->running()) return absl::FailedPreconditionError("a sweep is running already");
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
  keeper_->SweepStarted();
  sweep_->Start("asked for");
  spdlog::info("event=backfill_started");
  return absl::OkStatus();
}

absl::Status Proxy::CancelBackfill() {
  if (!sweep_->running()) return absl::FailedPreconditionError("no backfill is running");
  sweep_->Cancel("cancelled");
  return absl::OkStatus();
}

}  // namespace crossfade
