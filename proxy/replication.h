// The replication method (secondary = "replica"): the secondary is a replica of the primary, so the servers' own
// replication carries everything, what was there before and every write since. The lane sends the secondary nothing
// meanwhile. This object begins and ends that, watches it, and hands the secondary over: once it
// has applied all that the primary had while requests were held, it is promoted (REPLICAOF NO ONE) and follows through
// the lane from there, with nothing to copy. A flip is that, and then a flip like any other.
//
// Replication is not always exact: SORT … BY … STORE is repeated on the replica, and what ties comes in another order
// there. Such keys are dirty, and copied after the promotion, before the roles are swapped.
//
// What always holds: the mode is on disk before REPLICAOF leaves, and "in step" is only claimed of a secondary whose
// promotion was confirmed while the requests were still held. A promotion whose answer came late, or never, is found
// out about: until then the stores are not synced, and if it was carried out after all, everything is dirty.
//
// Asks on a private connection to each store. Owned by Proxy; runs on the loop thread, never waits. The code is in two
// files: replication.cc (watching, promoting) and replication_steps.cc (beginning and ending).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/keeper.h"
#include "proxy/lane.h"
#include "proxy/private_pool.h"
#include "proxy/repair.h"
#include "proxy/server_info.h"

namespace crossfade {

class Replication {
 public:
  enum class State : uint8_t { kNone, kConnecting, kSyncing, kStreaming, kPromoting, kNoReplica, kElsewhere };
  using Done = std::function<void(const absl::Status&)>;

  struct Hooks {
    std::function<void(bool)> hold;         // stops new requests, and lets them go on
    std::function<std::string()> why_busy;  // what is under way that the mode must not change beneath; or empty
    std::function<void()> changed;          // the mode is another one now
  };

  // All must outlive this object.
  Replication(Io* io, const Config* config, DirtySet* dirty, Lane* lane, Keeper* keeper, PrivatePool* pool,
              Repair* repair, Hooks hooks);

  // After the lane was started.
  void Start();

  // Makes the secondary a replica of the primary. FailedPrecondition: refused, and nothing has changed. `replace`: it
  // may throw away what it holds.
  void Enter(bool replace, Done done);
  // Promotes the secondary, and goes on in `mode`. From a replica that is in step nothing is lost, or nothing changes.
  void Leave(SecondaryMode mode, Done done);
  // The primary has accepted a write while the secondary is a replica. Is what becomes of it there the same?
  void OnWritten(const CommandRow& row, RequestView request, const KeyIndices& keys, int db, uint64_t order);
  // One of the two is under way.
  bool busy() const { return change_.has_value(); }

  // For a flip. Why it can't be now, or not yet, with traffic flowing; empty when it can.
  std::string WhyNever() const;
  std::string WhyNotNear() const;
  // REQUIRES: requests are held and the lane is drained, since the last BeginHandover.
  void BeginHandover();
  // Has the secondary applied all that the primary had then? Asks, and says why it doesn't know yet.
  std::string WhyNotEqual();
  // Sends REPLICAOF NO ONE, once. When it is confirmed the mode is kFollow, inside a later turn of the loop.
  void Promote(bool in_step);
  bool promoting() const { return promotion_ == Promotion::kSent && awaited_; }
  // Whoever waited goes on without it: requests flow again. An unanswered promotion is found out about.
  void GiveUp();

  State state() const { return state_; }
  static const char* Name(State state);
  const char* StateWord() const { return Name(state_); }
  const std::string& error() const { return error_; }
  int64_t primary_offset() const { return primary_.offset; }
  int64_t secondary_offset() const { return secondary_.offset; }
  int64_t lag_bytes() const;
  // It is a replica, and of the primary: as it should be.
  bool as_intended() const { return state_ <= State::kPromoting; }

  static constexpr int64_t kGraceMs = 250;  // how much longer a promotion that was sent is waited for

 private:
  enum class Promotion : uint8_t { kNone, kSent, kUnknown };
  using Replies = PrivateConnection::Replies;
  // An Enter or a Leave.
  struct Change {
    bool entering = false;
    SecondaryMode to = SecondaryMode::kReplica;
    bool replace = false;
    bool adopt = false;                         // it is a replica of the primary already
    bool held = false;                          // requests are
    bool handing_over = false;                  // the lane is drained, and offsets are asked for
    bool sent = false;                          // REPLICAOF is on its way
    int64_t began_us = 0;                       // when they were held
    std::optional<std::string> user, password;  // what the secondary had as masteruser and masterauth
    Done done;
  };

  // replication.cc
  static std::string ErrorText(const std::string& reply);
  void Ask(Side side, const std::string& commands, int count, PrivateConnection::Done done);
  void Watch();
  void SecondarySeen(const Replies& replies);
  void Judge();
  void JudgeUnknown();
  bool Ours(const ReplicationInfo& info) const;
  void SayWhyDown();
  void AskAsReplica(const std::string& user, const std::string& password);
  void Move(State to, const std::string& error);
  void PromotionAnswered(const Replies& replies);
  std::string WhyNotInStep() const;
  void End(SecondaryMode mode, bool in_step, const std::string& why);
  const char* PrimaryName() const { return SideName(keeper_->migration().primary()); }
  const char* SecondaryName() const { return SideName(keeper_->migration().secondary()); }

  // replication_steps.cc
  std::string WhyNotEnter() const;
  void CheckPrimary(const Replies& replies);
  void CheckSecondary(const Replies& replies);
  void BeginHold();
  void Step();
  void SendReplicaOf();
  void ReplicaOfAnswered(const Replies& replies, int replica_of_at);
  void RestoreCredentials();
  void StepLeave(int64_t waited_ms);
  void Finish(const absl::Status& status);

  static constexpr int64_t kWatchMs = 200;
  static constexpr int64_t kAnswerMs = 1000;        // a store that says nothing for so long is not there
  static constexpr int64_t kMaxPauseMs = 500;       // requests are held for so long to begin or to end, at most
  static constexpr int64_t kMaxLagBytes = 1 << 20;  // more is not waited for with requests held
  static constexpr int64_t kAskWhyAfterMs = 500;    // a link that is down for so long is asked about
  static constexpr int64_t kAskWhyEveryMs = 1000;
  static constexpr int kLooksUntilSure = 3;

  Io* io_;
  const Config* config_;
  DirtySet* dirty_;
  Lane* lane_;
  Keeper* keeper_;
  PrivatePool* pool_;
  Repair* repair_;
  Hooks hooks_;
  std::unique_ptr<PrivateConnection> askers_[2];  // by Side
  std::unique_ptr<PrivateConnection> probe_;      // to the primary, as its replica would come
  std::unique_ptr<Timer> watch_timer_, step_timer_;

  State state_ = State::kNone;
  std::string error_;
  bool watching_ = false;
  absl::Status secondary_seen_;
  ReplicationInfo primary_, secondary_;
  std::string master_;         // the address under which the secondary knows the primary, once it has been seen to
  int64_t down_since_us_ = 0;  // the link between the stores; 0 while it is up
  int64_t ask_why_at_us_ = 0;
  std::string why_down_;         // what the primary says to who comes as its replica does
  std::string credentials_why_;  // why the secondary could not be given them
  int strangers_ = 0;            // looks in a row that found another stream than the primary's

  // The handover.
  uint64_t handover_ = 0;  // which one an answer belongs to
  bool asking_offset_ = false;
  std::optional<ReplicationInfo> target_;  // the primary's, with requests held
  Promotion promotion_ = Promotion::kNone;
  bool awaited_ = false;      // somebody holds requests until the promotion is confirmed
  bool in_step_ = false;      // … and the secondary had applied everything before it
  int64_t doomed_ = 0;        // the connection that may still carry it (CLIENT ID)
  std::string doomed_run_;    // … to this process
  int looks_ = 0;             // since then, that found a replica
  std::string refusal_;       // what the secondary said to a promotion
  std::string handover_why_;  // what holds it up

  std::optional<Change> change_;
};

}  // namespace crossfade
