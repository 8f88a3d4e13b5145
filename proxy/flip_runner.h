// Swaps the roles of the two stores while traffic runs (DESIGN.md, section 8):
//
//   following → arming → draining → switched → following
//
// Arming checks, with traffic flowing, that both sides are there, in agreement, and close together. Draining holds new
// requests, for a bounded time, until no slot is in flight and no key dirty. Then the roles swap, on disk first. A flip
// has happened or it has not; whatever it was, held requests go on. One at a time. Runs on the loop thread.
//
// What arming asks for is decided in routing/flip_checks; whoever only wants to know gets the same list from Look.
//
// A secondary that is a replica is promoted while requests are held, and follows from then on: the rest is as ever.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "conf/config.h"
#include "proxy/feeds.h"
#include "proxy/io.h"
#include "proxy/keeper.h"
#include "proxy/lane.h"
#include "proxy/repair.h"
#include "proxy/replication.h"
#include "routing/flip_checks.h"

namespace crossfade {

struct FlipRequest {
  Side to = Side::kNew;
  int64_t max_pause_ms = 500;
  bool dry_run = false;
  bool cold = false;   // flip although the other store may lack what was there before
  bool force = false;  // flip in spite of everything but an unreachable target
};

struct FlipResult {
  bool flipped = false;
  bool would_flip = false;  // a dry run that got to its end
  double pause_ms = 0;      // how long requests were held
  std::string reason;       // why not; or what a forced flip lost
  // Who was moved by it.
  size_t subscribers = 0, blocked = 0, watching = 0;
};

class FlipRunner {
 public:
  enum class State : uint8_t { kFollowing, kArming, kDraining };

  // All must outlive this object. `hold(true)` stops new requests, `hold(false)` lets them go on.
  FlipRunner(Io* io, Lane* lane, DirtySet* dirty, Keeper* keeper, Repair* repair, std::function<void(bool)> hold);

  // Subscribers that move with the primary. Must outlive this object.
  void set_feeds(Feeds* feeds) { feeds_ = feeds; }

  // Hands over a secondary that is a replica. Must outlive this object.
  void set_replication(Replication* replication) { replication_ = replication; }

  // Fills in what the runner can't know: clients, jobs, the preflight. Must be callable for as long as this object is.
  void set_outlook(std::function<void(FlipFacts*)> outlook) { outlook_ = std::move(outlook); }

  using LookDone = std::function<void(const std::vector<FlipCheck>&)>;
  // What a flip to `to` depends on, as it is now. Asks both stores whether they take writes, unless a flip is under
  // way; `done` is called exactly once, within kLookMs, maybe inside this call, unless this object has gone.
  void Look(Side to, LookDone done);

  // `done` is called exactly once, maybe inside this call.
  void Start(const FlipRequest& request, std::function<void(const FlipResult&)> done);
  // The lane has become empty, or a second has passed.
  void Check();

  State state() const { return state_; }
  const char* StateWord() const;

 private:
  static constexpr int64_t kArmingMs = 5000;
  static constexpr int64_t kStepMs = 1;
  static constexpr int64_t kLookMs = 1000;
  static constexpr size_t kMaxLagSlots = 4096;
  static constexpr size_t kMaxDirtyHeld = 1000;  // keys to copy with requests held, after a replica's promotion

  void Move(State to);
  FlipFacts Facts(Side to, const FlipProbe& probe) const;
  std::string FirstReason(FlipCheck::Kind kind, bool force) const;
  std::string WhyNever() const { return FirstReason(FlipCheck::Kind::kNever, request_.force); }
  std::string WhyNotYet();
  std::string WhyNotDrained();
  void Ask(std::function<void(const Answers&)> done);
  void Looked(FlipProbe probe);
  std::string WhyNotInStep();
  void Force();
  void PromoteByForce(const std::string& why);
  bool replicating() const { return replication_ != nullptr && keeper_->migration().replicating(); }
  void Switch(bool forced, std::string lost);
  void Finish(FlipResult result);
  double PausedMs() const;
  void AskFence();
  FlipResult Moved() const;

  Io* io_;
  Lane* lane_;
  DirtySet* dirty_;
  Keeper* keeper_;
  Repair* repair_;
  Feeds* feeds_ = nullptr;
  Replication* replication_ = nullptr;
  std::function<void(bool)> hold_;
  std::function<void(FlipFacts*)> outlook_;
  std::unique_ptr<Timer> timer_, look_timer_;
  struct Looking {
    Side to;
    LookDone done;
  };
  std::vector<Looking> looking_;  // at most one of a connection to the admin port
  uint64_t look_ = 0;             // which of the questions the answer must belong to
  State state_ = State::kFollowing;
  bool forcing_ = false;  // what is in flight is being ended: the lane's news of it don't count
  FlipRequest request_;
  std::function<void(const FlipResult&)> done_;
  int64_t started_us_ = 0;
  int64_t held_us_ = 0;
  enum class Fence : uint8_t { kNotAsked, kAsked, kPassed, kRefused };
  Fence fence_ =
      Fence::kNotAsked;        // both stores have answered since the requests are held, and the next one takes writes
  FlipProbe probe_;            // what the fence has found out
  bool was_replica_ = false;   // at the start
  bool handing_over_ = false;  // the replica's offset is waited for, or its promotion
  int64_t promoted_us_ = 0;    // a promotion was sent then, in this flip
  std::string lost_by_promotion_;  // by force, before the replica had everything
};

}  // namespace crossfade
