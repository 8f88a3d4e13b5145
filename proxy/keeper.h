// Keeps the Migration: the only place that changes it. Every change has its reason in the log and is saved before it is
// acted upon. Learns from the lane who the backends are, and decides from that whether the stores may be trusted
// (DESIGN.md, sections 4 and 7): a secondary that lost its memory is copied anew, a primary that did is not believed.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/journal.h"
#include "proxy/server_info.h"
#include "proxy/state_file.h"
#include "routing/dirty_set.h"
#include "routing/migration.h"

namespace crossfade {

// What PATCH /api/v1/routing may change.
struct RoutingChange {
  std::optional<double> reads_new, compare;
  std::optional<AckMode> ack;
  std::optional<SecondaryMode> secondary;
  std::optional<SplitMode> split;
  std::optional<OnMiss> on_miss;
  std::optional<bool> cold;
};

class Keeper {
 public:
  // All must outlive this object; `dirty` and `counters` are the lane's.
  Keeper(Io* io, const Config& config, StateFile* file, DirtySet* dirty, const Counters* counters);

  // Reads the state file, and judges what the journal has left. FailedPrecondition when it belongs to another pair of
  // stores.
  absl::Status Load(const Journal::Left& left);

  const Migration& migration() const { return migration_; }
  Migration* mutable_migration_for_lane() { return &migration_; }

  // A backend was reached. `order` is the lane's next slot.
  void OnSeen(Side side, const ServerInfo& info, uint64_t order);
  // All or nothing. FailedPrecondition: refused for a reason that an operator can act on. Internal: not saved.
  absl::Status Change(const RoutingChange& change, uint64_t order);
  // In journal mode, after whatever was copied has ended: from now on every written key is remembered for a snapshot,
  // unless that is so already.
  void JournalBegun();
  // The secondary has been given a snapshot of the primary that was begun after the journal: it follows from now on,
  // and what was written since is copied. FailedPrecondition: the journal doesn't hold all of that. Internal: not
  // saved.
  absl::Status FollowSnapshot();
  // A guardrail of a ramp has tripped: all reads go to old, at once, also if that can't be saved.
  // REQUIRES: old is the primary.
  absl::Status TakeReadsBack();
  // The primary is right, whatever it lost. FailedPrecondition when there is nothing to decide.
  absl::Status Resync(uint64_t order);

  // The roles swap. The lane must be drained, or abandoned. On an error nothing has changed.
  absl::Status Flip(Side to, double pause_ms, bool forced, uint64_t order);
  void SetLastPause(double pause_ms);

  // secondary = "replica" begins. On disk before REPLICAOF is sent: on an error nothing has changed.
  absl::Status BeginReplication();
  // REPLICAOF was refused, and nothing was written since BeginReplication: all is as it was.
  void ReplicationRefused();
  // The secondary holds nothing but what replication brings: what was dirty is so no more.
  void ReplicationBegun();
  // What the watcher has seen: in step (kYes), on its way (kCopying), or lost (kNo), and why.
  void NoteReplication(Synced synced, const std::string& why);
  // The secondary is no replica any more. `in_step`: it holds all that the primary does, but for what is dirty;
  // otherwise everything is.
  void EndReplication(SecondaryMode mode, bool in_step, const std::string& why, uint64_t order);

  void SweepStarted();
  void SweepEnded(bool finished, const std::string& why);
  // A verification has come to its end. When it found every key equal, the stores are synced, unless something else
  // forbids that.
  void Verified(bool equal);
  // "Everything is dirty" has come over us since the last look.
  void NoticeOverflow();
  absl::Status Save();
  // Names this proxy's connections at the stores; the same after each restart.
  const std::string& instance() const { return instance_; }
  // A run before this one has used the same stores.
  bool had_predecessor() const { return had_predecessor_; }

 private:
  void Unsync(const std::string& why);
  void SaveOrLog();
  void JudgeJournal(const Journal::Left& left);
  void DecideFirstSync();

  Io* io_;
  const Config& config_;
  StateFile* file_;
  DirtySet* dirty_;
  const Counters* counters_;
  Migration migration_;
  Migration before_replication_;
  ServerInfo identities_[2];
  std::string instance_;
  bool had_predecessor_ = false;
  bool fresh_ = true;  // no state file: whether the stores were empty decides
  bool first_seen_[2] = {false, false};
  int64_t first_keys_[2] = {0, 0};
  bool was_synced_before_sweep_ = false;
};

}  // namespace crossfade
