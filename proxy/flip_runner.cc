#include "proxy/flip_runner.h"

#include <utility>

#include "fmt/format.h"
#include "protocol/check.h"
#include "protocol/fault.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {
constexpr char kFenceKey[] = "__crossfade:flip";  // a name that nobody has
}

FlipRunner::FlipRunner(Io* io, Lane* lane, DirtySet* dirty, Keeper* keeper, Repair* repair,
                       std::function<void(bool)> hold)
    : io_(io), lane_(lane), dirty_(dirty), keeper_(keeper), repair_(repair), hold_(std::move(hold)) {
  timer_ = io_->clock()->MakeTimer([this] { Check(); });
}

const char* FlipRunner::StateWord() const {
  switch (state_) {
    case State::kFollowing:
      return "following";
    case State::kArming:
      return "arming";
    case State::kDraining:
      return "draining";
  }
  return "";
}

void FlipRunner::Move(State to) {
  const bool allowed = (state_ == State::kFollowing && to == State::kArming) ||
                       (state_ == State::kArming && to == State::kDraining) || to == State::kFollowing;
  CHECK(allowed);
  state_ = to;
  spdlog::debug("event=flip_state state={}", StateWord());
}

double FlipRunner::PausedMs() const {
  return held_us_ == 0 ? 0 : static_cast<double>(io_->clock()->NowUs() - held_us_) / 1000.0;
}

// What waiting can't mend.
std::string FlipRunner::WhyNever() const {
  const Migration& migration = keeper_->migration();
  if (migration.primary() == request_.to) return fmt::format("{} is the primary already", SideName(request_.to));
  if (!lane_->link(request_.to).up()) {
    return fmt::format("{} is unreachable: {}", SideName(request_.to),
                       lane_->link(request_.to).upstream().last_error());
  }
  if (request_.force) return {};
  if (fence_ == Fence::kRefused) return fence_why_;
  if (!lane_->primary().up()) {
    return fmt::format("the primary ({}) is unreachable: {}; if it is gone for good, force the flip",
                       SideName(migration.primary()), lane_->primary().upstream().last_error());
  }
  if (replicating()) return replication_->WhyNever();
  if (lane_->link(request_.to).info().is_replica) {
    return fmt::format("{} is a replica of another server and refuses writes", SideName(request_.to));
  }
  return migration.WhyNotReadable(migration.cold || request_.cold);
}

// What time and repair may mend.
std::string FlipRunner::WhyNotYet() {
  if (feeds_ != nullptr) feeds_->Prepare(request_.to);
  if (replicating()) {
    std::string why = WhyNotInStep();
    if (!why.empty() || state_ == State::kDraining || feeds_ == nullptr) return why;
    return feeds_->WhyNotPrepared();
  }
  if (dirty_->everything()) return "everything is dirty until a sweep has copied it";
  if (dirty_->size() > 0) return fmt::format("{} keys are dirty", dirty_->size());
  if (lane_->shedding()) return "the secondary's queue has overflowed";
  if (!lane_->breaker().closed()) return "the breaker keeps the secondary away: " + lane_->breaker().reason();
  if (state_ == State::kArming) {
    if (lane_->lag_slots() > kMaxLagSlots) return fmt::format("the secondary lags by {} slots", lane_->lag_slots());
  } else if (!lane_->drained() && !FAULT(kFlipWithoutDraining)) {
    return fmt::format("{} commands were still in flight, {} of them for the secondary", lane_->slots_in_use(),
                       lane_->lag_slots());
  }
  if (state_ == State::kDraining && fence_ != Fence::kPassed) {
    if (fence_ == Fence::kNotAsked) AskFence();
    if (fence_ != Fence::kPassed) return fence_why_;
  }
  if (feeds_ == nullptr) return {};
  if (std::string why = feeds_->WhyNotPrepared(); !why.empty() || state_ == State::kArming) return why;
  feeds_->Fence();
  return feeds_->fenced() ? "" : "messages to subscribers were still on their way";
}

// Of a replica: is it near enough to hold requests for, and, once they are held, has it applied everything? Then it is
// promoted, and follows: what is left to check is the same as for any other secondary. A dry run ends before that.
std::string FlipRunner::WhyNotInStep() {
  if (dirty_->everything() || dirty_->size() > kMaxDirtyHeld) {
    return fmt::format(
        "{} keys are dirty, which replication does not carry exactly: crossfade secondary follow lets "
        "them be copied, then flip",
        dirty_->everything() ? "all" : std::to_string(dirty_->size()));
  }
  if (state_ == State::kArming) return replication_->WhyNotNear();
  if (!lane_->drained()) return fmt::format("{} commands were still in flight", lane_->slots_in_use());
  if (!std::exchange(handing_over_, true)) replication_->BeginHandover();
  std::string why = replication_->WhyNotEqual();
  if (!why.empty() || request_.dry_run) return why;
  if (promoted_us_ == 0) {
    promoted_us_ = io_->clock()->NowUs();
    replication_->Promote(true);
  }
  return fmt::format("{} has not confirmed yet that it is no replica any more", SideName(request_.to));
}

// A store that has died without a word still looks reachable, and one that has become read-only has said so to nobody.
// So both are asked, once nothing else is in flight, for what writes nothing and is refused whenever a write would be.
void FlipRunner::AskFence() {
  fence_ = Fence::kAsked;
  Question question;
  question.ask_primary = question.ask_secondary = true;
  question.protocol = kAnyProtocol;
  question.count = 1;
  AppendCommand(&question.commands, {"DEL", kFenceKey});
  question.done = [this](const Answers& answers) {
    const bool answered = answers.status.ok() && !answers.secondary.empty();
    const bool refused = answered && IsErrorReply(answers.secondary[0]);
    fence_ = refused ? Fence::kRefused : answered ? Fence::kPassed : Fence::kNotAsked;
    fence_why_ = answered ? fmt::format("{} refuses writes: {}", SideName(request_.to), ErrorCode(answers.secondary[0]))
                          : std::string(answers.status.message());
  };
  lane_->Ask(std::move(question));
}

void FlipRunner::Start(const FlipRequest& request, std::function<void(const FlipResult&)> done) {
  if (state_ != State::kFollowing) return done({.reason = "another flip is under way"});
  request_ = request;
  done_ = std::move(done);
  started_us_ = io_->clock()->NowUs();
  held_us_ = 0;
  fence_ = Fence::kNotAsked;
  fence_why_ = "the stores have not answered";
  was_replica_ = replicating();
  handing_over_ = false;
  promoted_us_ = 0;
  lost_by_promotion_.clear();
  Move(State::kArming);
  if (std::string why = WhyNever(); !why.empty()) return Finish({.reason = std::move(why)});
  timer_->Start(0, kStepMs);
  Check();
}

void FlipRunner::Check() {
  if (state_ == State::kFollowing || forcing_) return;
  if (std::string why = WhyNever(); !why.empty()) return Finish({.pause_ms = PausedMs(), .reason = std::move(why)});
  const std::string why = WhyNotYet();
  const int64_t now_us = io_->clock()->NowUs();
  if (state_ == State::kArming) {
    const bool waited = now_us - started_us_ > kArmingMs * 1000;
    if (!why.empty() && !request_.force) {
      if (waited) Finish({.reason = why});
      return;
    }
    Move(State::kDraining);
    held_us_ = now_us;
    repair_->set_urgent(true);
    hold_(true);
    return Check();
  }
  if (why.empty()) return Switch(false, "");
  if (now_us - held_us_ < request_.max_pause_ms * 1000) return;
  // It is most likely on its way, and to go on without it would leave two stores that take writes.
  const bool patient = promoted_us_ != 0 && now_us - promoted_us_ < Replication::kGraceMs * 1000;
  if (patient && replicating() && replication_->promoting()) return;
  if (request_.force) return replicating() ? PromoteByForce(why) : Force();
  Finish({.pause_ms = PausedMs(), .reason = fmt::format("not drained within {} ms: {}", request_.max_pause_ms, why)});
}

// What the replica has not applied by now is lost: that is what force says. But it must take writes.
void FlipRunner::PromoteByForce(const std::string& why) {
  if (promoted_us_ != 0) return Finish({.pause_ms = PausedMs(), .reason = why});
  lost_by_promotion_ = fmt::format("; what the replication had not brought: {}", why);
  if (request_.dry_run) return Force();
  promoted_us_ = io_->clock()->NowUs();
  replication_->Promote(false);
}

// Out of time, and told to go ahead: name what is lost, end what is in flight, and swap.
void FlipRunner::Force() {
  const Migration& migration = keeper_->migration();
  std::string lost = fmt::format("{} slots and {} dirty keys were not on {}", lane_->lag_slots(), dirty_->size(),
                                 SideName(request_.to));
  if (dirty_->everything()) lost += "; everything was dirty";
  if (migration.synced != Synced::kYes) lost += "; not synced: " + migration.unsynced_why;
  lost += lost_by_promotion_;
  if (request_.dry_run) return Finish({.would_flip = true, .pause_ms = PausedMs(), .reason = std::move(lost)});
  forcing_ = true;
  lane_->Abandon(absl::AbortedError("the roles were swapped by force"));
  forcing_ = false;
  if (!lane_->drained()) return Finish({.pause_ms = PausedMs(), .reason = "commands are still in flight"});
  Switch(true, std::move(lost));
}

void FlipRunner::Switch(bool forced, std::string lost) {
  FlipResult result;
  if (request_.dry_run) {
    result.would_flip = true;
    result.pause_ms = PausedMs();
    return Finish(std::move(result));
  }
  const Migration& migration = keeper_->migration();
  const bool unequal = !migration.distrust.empty() || migration.synced != Synced::kYes;
  forced = forced || request_.force;
  if (request_.force && unequal) {
    if (lost.empty())
      lost = migration.distrust.empty() ? "not synced: " + migration.unsynced_why
                                        : "the primary's data, which was not trusted";
  }
  const absl::Status flipped = keeper_->Flip(request_.to, PausedMs(), forced, lane_->next_order());
  if (!flipped.ok()) return Finish({.pause_ms = PausedMs(), .reason = std::string(flipped.message())});
  lane_->RolesSwapped();
  if (feeds_ != nullptr) feeds_->Switch();
  result.flipped = true;
  result.pause_ms = PausedMs();
  result.reason = std::move(lost);
  keeper_->SetLastPause(result.pause_ms);
  Finish(std::move(result));
}

void FlipRunner::Finish(FlipResult result) {
  timer_->Stop();
  if (was_replica_ && replicating()) replication_->GiveUp();
  if (was_replica_ && !replicating() && !result.flipped) {
    result.reason += fmt::format("; {} was promoted by then, and follows through the proxy now", SideName(request_.to));
  }
  if (feeds_ != nullptr && !result.flipped) feeds_->Cancel();
  Move(State::kFollowing);
  repair_->set_urgent(false);
  if (held_us_ != 0) hold_(false);
  spdlog::info("event=flip_ended to={} flipped={} dry_run={} pause_ms={:.2f} reason=\"{}\"", SideName(request_.to),
               result.flipped, request_.dry_run, result.pause_ms, result.reason);
  std::exchange(done_, nullptr)(result);
}

}  // namespace crossfade
