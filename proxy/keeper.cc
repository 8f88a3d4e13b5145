#include "proxy/keeper.h"

#include <utility>

#include "fmt/format.h"
#include "protocol/chance.h"
#include "protocol/check.h"
#include "spdlog/spdlog.h"

namespace crossfade {

Keeper::Keeper(Io* io, const Config& config, StateFile* file, DirtySet* dirty, const Counters* counters)
    : io_(io), config_(config), file_(file), dirty_(dirty), counters_(counters) {
  migration_.routing = config.routing;
}

absl::Status Keeper::Load(const Journal::Left& left) {
  auto loaded = file_->Load();
  if (!loaded.ok()) return loaded.status();
  instance_ = fmt::format("{:08x}", static_cast<uint32_t>(RandomBits()));
  if (migration_.routing.secondary == SecondaryMode::kJournal) migration_.journal_since_ms = io_->clock()->WallMs();
  if (!loaded->has_value()) return Save();
  SavedState& state = **loaded;
  const std::string old_address = config_.backend(Side::kOld).address.ToString();
  const std::string new_address = config_.backend(Side::kNew).address.ToString();
  if (state.addresses[0] != old_address || state.addresses[1] != new_address) {
    if (!state.migration.flips.empty()) {
      return absl::FailedPreconditionError(fmt::format(
          "the state directory {} belongs to old={} new={}, with {} as primary after {} flips; this run names old={} "
          "new={}. "
          "Name another directory with --state DIR, or, if the stores only moved, edit the addresses in its state.json",
          file_->directory(), state.addresses[0], state.addresses[1], SideName(state.migration.primary()),
          state.migration.flips.size(), old_address, new_address));
    }
    spdlog::warn("event=state_ignored directory={} reason=\"other stores, never flipped\" old={} new={}",
                 file_->directory(), state.addresses[0], state.addresses[1]);
    dirty_->Forget();  // these keys are of other stores
    return Save();
  }
  fresh_ = false;
  migration_ = std::move(state.migration);
  identities_[0] = state.identities[0];
  identities_[1] = state.identities[1];
  if (!state.instance.empty()) instance_ = state.instance;
  had_predecessor_ = true;
  spdlog::info("event=state_loaded directory={} primary={} epoch={} synced={} in_flight={} dirty_keys={}",
               file_->directory(), SideName(migration_.primary()), migration_.epoch, Name(migration_.synced),
               left.in_flight, dirty_->size());
  if (migration_.replicating()) {
    // What was in flight got there by replication. Single keys stay: those that it does not carry exactly.
    if (dirty_->everything()) dirty_->Forget();
    if (migration_.synced == Synced::kYes) migration_.synced = Synced::kCopying;
    migration_.unsynced_why = "the replica has not been looked at since the proxy started";
  } else {
    JudgeJournal(left);
  }
  // A disk that is full now must not keep the application from its store: what was saved before still holds.
  SaveOrLog();
  return absl::OkStatus();
}

// What was in flight when the last run ended, and what was dirty then, is dirty now. Unless that can't be known.
void Keeper::JudgeJournal(const Journal::Left& left) {
  const bool relied_upon = migration_.synced == Synced::kYes || migration_.cold || !migration_.keep_secondary.empty() ||
                           migration_.journal_since_ms > 0;
  const std::string why = left.fresh ? "it is missing" : left.useless;
  if (why.empty() || !relied_upon) return;
  dirty_->MarkEverything(0);
  Unsync(
      fmt::format("the journal of the last run can't be relied on ({}): what was in flight may be missing on the "
                  "secondary{}",
                  why,
                  migration_.keep_secondary.empty()
                      ? ". Everything is copied again; a verification afterwards shows whether the stores agree"
                      : ""));
}

absl::Status Keeper::Save() {
  SavedState state;
  state.addresses[0] = config_.backend(Side::kOld).address.ToString();
  state.addresses[1] = config_.backend(Side::kNew).address.ToString();
  state.migration = migration_;
  state.identities[0] = identities_[0];
  state.identities[1] = identities_[1];
  state.instance = instance_;
  return file_->Save(state);
}

void Keeper::SaveOrLog() {
  if (const absl::Status saved = Save(); !saved.ok()) {
    spdlog::error("event=state_not_saved error=\"{}\"", std::string(saved.message()));
  }
}

void Keeper::Unsync(const std::string& why) {
  if (migration_.synced != Synced::kNo) spdlog::warn("event=unsynced reason=\"{}\"", why);
  migration_.synced = Synced::kNo;
  migration_.unsynced_why = why;
}

void Keeper::OnSeen(Side side, const ServerInfo& info, uint64_t order) {
  const int index = static_cast<int>(side);
  const ServerInfo known = identities_[index];
  const bool same = known.product.empty() || SameProcess(known, info);
  identities_[index] = info;
  if (!first_seen_[index]) {
    first_seen_[index] = true;
    first_keys_[index] = info.keys;
  }
  const bool awaits_snapshot = migration_.journal_since_ms > 0 && migration_.synced == Synced::kNo;
  if (!same && side == migration_.secondary() && migration_.replicating()) {
    // A replica that was restarted asks its primary for what it lacks. One that is no replica any more is found out.
  } else if (!same && side == migration_.secondary() && awaits_snapshot) {
    spdlog::info("event=secondary_restarted keys={} reason=\"it may have loaded the snapshot\"", info.keys);
  } else if (!same && side == migration_.secondary()) {
    dirty_->MarkEverything(order);
    Unsync(fmt::format(
        "the secondary ({}) came back as another process and may have lost data: everything is copied again",
        SideName(side)));
  } else if (!same && (migration_.synced != Synced::kNo || counters_->writes_total > 0 || dirty_->everything())) {
    // "Everything is dirty": the stores did agree until a crash, and a sweep would begin by itself.
    const char* meanwhile = migration_.replicating()
                                ? "Its replica ({}) takes over whatever it holds, by itself: what is missing here is "
                                  "missing there as soon as it has resynchronised"
                                : "Sweeps and repairs are stopped so that the copy on the secondary ({}) stays";
    migration_.distrust = fmt::format(
        "the primary ({}) came back as another process and may have lost data; it holds {} keys now. {}. If the "
        "primary is right: crossfade resync. If the secondary is: crossfade flip {} --force",
        SideName(side), info.keys, fmt::format(fmt::runtime(meanwhile), SideName(OtherSide(side))),
        SideName(OtherSide(side)));
    spdlog::error("event=primary_distrusted reason=\"{}\"", migration_.distrust);
    Unsync("the primary may have lost data");
  }
  if (fresh_ && first_seen_[0] && first_seen_[1]) DecideFirstSync();
  SaveOrLog();
}

// At the very first start: two empty stores agree, anything else has yet to be copied.
void Keeper::DecideFirstSync() {
  fresh_ = false;
  if (migration_.synced != Synced::kNo || !migration_.distrust.empty() || dirty_->everything()) return;
  const int64_t primary_keys = first_keys_[static_cast<int>(migration_.primary())];
  const int64_t secondary_keys = first_keys_[static_cast<int>(migration_.secondary())];
  if (primary_keys == 0 && secondary_keys == 0 && migration_.routing.secondary != SecondaryMode::kOff) {
    migration_.synced = Synced::kYes;
    migration_.unsynced_why.clear();
  } else {
    migration_.unsynced_why =
        fmt::format("at the first start {} held {} keys and {} {}; a backfill makes them equal",
                    SideName(migration_.primary()), primary_keys, SideName(migration_.secondary()), secondary_keys);
  }
  spdlog::info("event=first_sight synced={} primary_keys={} secondary_keys={}", Name(migration_.synced), primary_keys,
               secondary_keys);
}

absl::Status Keeper::Change(const RoutingChange& change, uint64_t order) {
  if (change.secondary && (migration_.replicating() || *change.secondary == SecondaryMode::kReplica) &&
      *change.secondary != migration_.routing.secondary) {
    return absl::FailedPreconditionError("replication begins and ends by steps of its own");
  }
  const Migration before = migration_;
  RoutingConfig& routing = migration_.routing;
  if (change.cold) migration_.cold = *change.cold;
  if (change.compare) routing.compare = *change.compare;
  if (change.ack) routing.ack = *change.ack;
  if (change.split) routing.split = *change.split;
  if (change.on_miss) routing.on_miss = *change.on_miss;
  if (change.secondary) routing.secondary = *change.secondary;
  // What was dirty when the journal began was forgotten for the sake of a snapshot (JournalBegun).
  const bool no_snapshot = routing.secondary != SecondaryMode::kJournal &&
                           std::exchange(migration_.journal_since_ms, 0) > 0 && migration_.synced == Synced::kNo;
  if (no_snapshot) migration_.unsynced_why = "the secondary was given no snapshot: everything is copied";
  if (change.reads_new) {
    // What counts is the secondary's share: reads on the primary need nobody's leave.
    const bool more = migration_.secondary() == Side::kNew ? *change.reads_new > routing.reads_new
                                                           : *change.reads_new < routing.reads_new;
    routing.reads_new = *change.reads_new;
    if (more) {
      const bool tolerant = migration_.cold || routing.on_miss == OnMiss::kPrimary;
      if (const std::string why = migration_.WhyNotReadable(tolerant); !why.empty()) {
        migration_ = before;
        return absl::FailedPreconditionError("reads can't be shifted: " + why);
      }
    }
  }
  const bool turned_off = routing.secondary == SecondaryMode::kOff && before.routing.secondary != SecondaryMode::kOff;
  if (turned_off) Unsync("the secondary was off: what was written meanwhile is missing there");
  if (const absl::Status saved = Save(); !saved.ok()) {
    migration_ = before;
    return absl::InternalError("not changed, because it could not be saved: " + std::string(saved.message()));
  }
  if (turned_off || no_snapshot) dirty_->MarkEverything(order);
  spdlog::info("event=routing reads_new={} compare={} ack={} secondary={} split={} on_miss={} cold={}",
               routing.reads_new, routing.compare, Name(routing.ack), Name(routing.secondary), Name(routing.split),
               Name(routing.on_miss), migration_.cold);
  return absl::OkStatus();
}

absl::Status Keeper::TakeReadsBack() {
  CHECK(migration_.primary() == Side::kOld);
  spdlog::warn("event=reads_taken_back reads_new=0 was={}", migration_.routing.reads_new);
  migration_.routing.reads_new = 0;
  return Save();
}

void Keeper::JournalBegun() {
  CHECK(migration_.routing.secondary == SecondaryMode::kJournal);
  const bool lost = dirty_->everything();
  if (migration_.synced != Synced::kNo || (migration_.journal_since_ms > 0 && !lost)) return;
  migration_.journal_since_ms = io_->clock()->WallMs();
  migration_.unsynced_why =
      "written keys are remembered: take a snapshot of the primary now, load it into the secondary, then say crossfade "
      "secondary follow --snapshot";
  if (const absl::Status saved = Save(); !saved.ok()) {
    // A run after a crash would not know that anything was forgotten: so nothing is, and no snapshot is taken for one.
    spdlog::error("event=journal_not_begun error=\"{}\"", std::string(saved.message()));
    migration_.journal_since_ms = 0;
    return;
  }
  spdlog::info("event=journal_began again={}", lost);
  // The snapshot that is yet to be taken has whatever was dirty up to now. Single keys stay: they are copied once more.
  // Who follows without a snapshot copies everything.
  if (lost) dirty_->Forget();
}

absl::Status Keeper::FollowSnapshot() {
  if (migration_.routing.secondary == SecondaryMode::kJournal && migration_.synced == Synced::kYes) {
    return absl::FailedPreconditionError(
        "the stores agreed when the journal began, so the secondary needs no snapshot: crossfade secondary follow");
  }
  if (migration_.routing.secondary == SecondaryMode::kJournal && migration_.journal_since_ms == 0) {
    return absl::FailedPreconditionError(
        "the journal has not begun yet: the secondary has still to answer what was on its way before (lag in the "
        "status), "
        "or it could not be saved (see the log). Take the snapshot once journal_since_ms is told");
  }
  if (migration_.routing.secondary != SecondaryMode::kJournal) {
    return absl::FailedPreconditionError(
        "written keys were not remembered: say crossfade secondary journal, and only then take the snapshot");
  }
  if (!migration_.distrust.empty()) return absl::FailedPreconditionError(migration_.distrust);
  if (dirty_->everything()) {
    return absl::FailedPreconditionError(
        "more keys were written than can be remembered (limits.dirty_keys), or the journal was lost. Say crossfade "
        "secondary journal once more and take another snapshot, or crossfade secondary follow and run a backfill");
  }
  const Migration before = migration_;
  migration_.routing.secondary = SecondaryMode::kFollow;
  migration_.journal_since_ms = 0;
  migration_.synced = Synced::kYes;
  migration_.unsynced_why.clear();
  if (const absl::Status saved = Save(); !saved.ok()) {
    migration_ = before;
    return absl::InternalError("not changed, because it could not be saved: " + std::string(saved.message()));
  }
  spdlog::info("event=snapshot_followed written_keys={}", dirty_->size());
  return absl::OkStatus();
}

absl::Status Keeper::Resync(uint64_t order) {
  if (migration_.distrust.empty() && migration_.keep_secondary.empty()) {
    return absl::FailedPreconditionError("nothing to decide: the primary has not lost its memory");
  }
  const Migration before = migration_;
  migration_.distrust.clear();
  migration_.keep_secondary.clear();
  Unsync(migration_.replicating() ? "resync: the replica gets everything from the primary"
                                  : "resync: everything is copied from the primary");
  if (const absl::Status saved = Save(); !saved.ok()) {
    migration_ = before;
    return absl::InternalError("not changed, because it could not be saved: " + std::string(saved.message()));
  }
  if (!migration_.replicating()) dirty_->MarkEverything(order);
  spdlog::warn("event=resync primary={}", SideName(migration_.primary()));
  return absl::OkStatus();
}

absl::Status Keeper::Flip(Side to, double pause_ms, bool forced, uint64_t order) {
  const Migration before = migration_;
  migration_.routing.primary = to;
  ++migration_.epoch;
  migration_.flips.push_back({io_->clock()->WallMs(), to, pause_ms, forced});
  const bool equal = migration_.distrust.empty() && dirty_->clean() && migration_.synced == Synced::kYes;
  const bool cold_flip = !forced && migration_.synced != Synced::kYes && before.keep_secondary.empty();
  migration_.distrust.clear();
  migration_.keep_secondary.clear();
  if (cold_flip) {
    const char* other = SideName(OtherSide(to));
    migration_.keep_secondary = fmt::format(
        "{} became primary by a cold flip, and {} keeps what {} lacks: nothing is swept, for that would remove it. To "
        "go back: "
        "crossfade flip {} --cold. To make {} equal to {} all the same: crossfade resync",
        SideName(to), other, SideName(to), other, other, SideName(to));
  }
  if (forced && !equal) {
    Unsync(
        fmt::format("{} was made primary by force: everything is copied to {}", SideName(to), SideName(OtherSide(to))));
  }
  if (const absl::Status saved = Save(); !saved.ok()) {
    migration_ = before;
    return absl::InternalError("not flipped, because it could not be saved: " + std::string(saved.message()));
  }
  if (forced && !equal) dirty_->MarkEverything(order);
  spdlog::warn("event=flipped primary={} epoch={} forced={}", SideName(to), migration_.epoch, forced);
  return absl::OkStatus();
}

void Keeper::SetLastPause(double pause_ms) {
  if (!migration_.flips.empty()) migration_.flips.back().pause_ms = pause_ms;
}

absl::Status Keeper::BeginReplication() {
  before_replication_ = migration_;
  migration_.routing.secondary = SecondaryMode::kReplica;
  migration_.synced = Synced::kCopying;
  migration_.unsynced_why = "replication has not begun yet";
  migration_.keep_secondary.clear();
  migration_.journal_since_ms = 0;
  if (const absl::Status saved = Save(); !saved.ok()) {
    migration_ = before_replication_;
    return absl::InternalError("not changed, because it could not be saved: " + std::string(saved.message()));
  }
  spdlog::warn("event=replication_begins replica={} primary={}", SideName(migration_.secondary()),
               SideName(migration_.primary()));
  return absl::OkStatus();
}

void Keeper::ReplicationRefused() {
  migration_ = before_replication_;
  SaveOrLog();
}

void Keeper::ReplicationBegun() {
  dirty_->Forget();
}

void Keeper::NoteReplication(Synced synced, const std::string& why) {
  // Until the operator has decided, the primary's word counts for nothing.
  if (!migration_.distrust.empty() && synced == Synced::kYes) return;
  const bool moved = synced != migration_.synced;
  migration_.synced = synced;
  migration_.unsynced_why = why;
  if (!moved) return;
  spdlog::log(synced == Synced::kYes ? spdlog::level::info : spdlog::level::warn,
              "event=replication synced={} reason=\"{}\"", Name(synced), why);
  SaveOrLog();
}

void Keeper::EndReplication(SecondaryMode mode, bool in_step, const std::string& why, uint64_t order) {
  migration_.routing.secondary = mode;
  if (in_step) {
    migration_.synced = Synced::kYes;
    migration_.unsynced_why.clear();
  } else {
    dirty_->MarkEverything(order);
    Unsync(why);
  }
  spdlog::warn("event=replication_ended secondary={} in_step={} reason=\"{}\"", Name(mode), in_step, why);
  SaveOrLog();  // it has happened, whether it can be saved or not
}

void Keeper::SweepStarted() {
  was_synced_before_sweep_ = migration_.synced == Synced::kYes;
  migration_.synced = Synced::kCopying;
}

void Keeper::SweepEnded(bool finished, const std::string& why) {
  const bool trusted = migration_.distrust.empty() && !dirty_->everything();
  if (trusted && (finished || was_synced_before_sweep_)) {
    migration_.synced = Synced::kYes;
    migration_.unsynced_why.clear();
  } else {
    migration_.synced = Synced::kNo;
    migration_.unsynced_why = finished ? "keys were lost track of while everything was copied" : why;
  }
  spdlog::info("event=sweep_ended finished={} synced={} reason=\"{}\"", finished, Name(migration_.synced), why);
  SaveOrLog();
}

void Keeper::Verified(bool equal) {
  const bool trusted = migration_.distrust.empty() && migration_.keep_secondary.empty() && !dirty_->everything();
  if (!equal || !trusted || !migration_.following() || migration_.synced != Synced::kNo) return;
  migration_.synced = Synced::kYes;
  migration_.unsynced_why.clear();
  spdlog::info("event=synced reason=\"a verification found every key equal\"");
  SaveOrLog();
}

void Keeper::NoticeOverflow() {
  if (migration_.replicating()) return;  // it is the replica's step that counts; what is dirty waits for its end
  if (!dirty_->everything() || migration_.synced != Synced::kYes) return;
  Unsync("more keys became dirty than can be remembered: everything is copied again");
  SaveOrLog();
}

}  // namespace crossfade
