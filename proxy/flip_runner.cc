#include "proxy/flip_runner.h"

#include <utility>

#include "fmt/format.h"
#include "protocol/check.h"
#include "protocol/fault.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/refusal.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {
constexpr char kFenceKey[] = "__crossfade:flip";  // a name that nobody has

constexpr char kNoAnswer[] = "the stores have not answered";

FlipProbe Unanswered(std::string why) {
  FlipProbe probe;
  probe.state = FlipProbe::State::kUnanswered;
  probe.why = std::move(why);
  return probe;
}

// A user who may not write this key may well write the application's: of the primary only what it refuses to all
// counts.
FlipProbe ReadProbe(const Answers& answers) {
  if (!answers.status.ok()) return Unanswered(std::string(answers.status.message()));
  if (answers.primary.empty() || answers.secondary.empty()) return Unanswered(kNoAnswer);
  FlipProbe probe;
  probe.state = FlipProbe::State::kAnswered;
  if (IsErrorReply(answers.secondary[0])) probe.target_error = ErrorCode(answers.secondary[0]);
  if (IsErrorReply(answers.primary[0]) && RefusesAll(RefusalCode(answers.primary[0]))) {
    probe.primary_error = RefusalCode(answers.primary[0]);
  }
  return probe;
}
}  // namespace

FlipRunner::FlipRunner(Io* io, Lane* lane, DirtySet* dirty, Keeper* keeper, Repair* repair,
                       std::function<void(bool)> hold)
    : io_(io), lane_(lane), dirty_(dirty), keeper_(keeper), repair_(repair), hold_(std::move(hold)) {
  timer_ = io_->clock()->MakeTimer([this] { Check(); });
  look_timer_ = io_->clock()->MakeTimer(
      [this] { Looked(Unanswered(fmt::format("the stores have not answered within {} ms", kLookMs))); });
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

FlipFacts FlipRunner::Facts(Side to, const FlipProbe& probe) const {
  const Link& target = lane_->link(to);
  const Link& primary = lane_->primary();
  FlipFacts facts;
  facts.migration = &keeper_->migration();
  facts.to = to;
  facts.target_up = target.up();
  facts.target_error = target.upstream().last_error();
  facts.target_is_replica = target.info().is_replica;
  facts.primary_up = primary.up();
  facts.primary_error = primary.upstream().last_error();
  facts.primary_is_replica = primary.info().is_replica;
  if (replicating()) {
    facts.replication_never = replication_->WhyNever();
    if (state_ != State::kDraining) facts.replication_not_near = replication_->WhyNotNear();
  }
  facts.probe = probe;
  facts.dirty_keys = dirty_->size();
  facts.most_dirty_keys = kMaxDirtyHeld;
  facts.everything_dirty = dirty_->everything();
  facts.shedding = lane_->shedding();
  facts.breaker_closed = lane_->breaker().closed();
  facts.breaker_reason = lane_->breaker().reason();
  facts.lag_slots = lane_->lag_slots();
  facts.most_lag_slots = kMaxLagSlots;
  if (feeds_ != nullptr) {
    facts.subscribers = feeds_->size();
    if (state_ != State::kFollowing) facts.subscribers_missing = feeds_->WhyNotPrepared();
  }
  if (outlook_) outlook_(&facts);
  return facts;
}

std::string FlipRunner::FirstReason(FlipCheck::Kind kind, bool force) const {
  const std::vector<FlipCheck> checks = CheckFlip(Facts(request_.to, probe_));
  const FlipCheck* check = FirstInTheWay(checks, kind, request_.cold, force);
  return check == nullptr ? "" : check->reason;
}

// What time and repair may mend.
std::string FlipRunner::WhyNotYet() {
  if (feeds_ != nullptr) feeds_->Prepare(request_.to);
  // Force goes on in spite of it, but says what it was.
  std::string why = FirstReason(FlipCheck::Kind::kWait, false);
  return !why.empty() || state_ == State::kArming ? why : WhyNotDrained();
}

// With requests held.
std::string FlipRunner::WhyNotDrained() {
  if (replicating()) return WhyNotInStep();
  if (!lane_->drained() && !FAULT(kFlipWithoutDraining)) {
    return fmt::format("{} commands were still in flight, {} of them for the secondary", lane_->slots_in_use(),
                       lane_->lag_slots());
  }
  if (fence_ == Fence::kNotAsked) AskFence();
  if (fence_ == Fence::kRefused)
    return fmt::format("{} refuses writes: {}", SideName(request_.to), probe_.target_error);
  if (fence_ != Fence::kPassed) return probe_.why;
  if (feeds_ == nullptr) return {};
  feeds_->Fence();
  return feeds_->fenced() ? "" : "messages to subscribers were still on their way";
}

// Of a replica: has it applied everything? Then it is promoted, and follows: what is left to check is the same as for
// any other secondary. A dry run ends before that.
std::string FlipRunner::WhyNotInStep() {
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
  Ask([this](const Answers& answers) {
    probe_ = ReadProbe(answers);
    // A primary that refuses says so in the probe. What ends the flip is decided there.
    const bool answered = probe_.state == FlipProbe::State::kAnswered;
    fence_ = !answered ? Fence::kNotAsked : probe_.target_error.empty() ? Fence::kPassed : Fence::kRefused;
    if (!answered) probe_.state = FlipProbe::State::kNotAsked;  // and will be again
  });
}

void FlipRunner::Ask(std::function<void(const Answers&)> done) {
  Question question;
  question.ask_primary = question.ask_secondary = true;
  question.protocol = kAnyProtocol;
  question.count = 1;
  AppendCommand(&question.commands, {"DEL", kFenceKey});
  question.done = std::move(done);
  lane_->Ask(std::move(question));
}

void FlipRunner::Look(Side to, LookDone done) {
  // A flip asks by itself, and a replica refuses until it is promoted.
  if (state_ != State::kFollowing || replicating() || to == keeper_->migration().primary()) {
    return done(CheckFlip(Facts(to, state_ == State::kFollowing ? FlipProbe() : probe_)));
  }
  looking_.push_back({to, std::move(done)});
  if (looking_.size() > 1) return;
  look_timer_->Start(kLookMs, 0);
  Ask([this, look = ++look_](const Answers& answers) {
    if (look == look_) Looked(ReadProbe(answers));
  });
}

void FlipRunner::Looked(FlipProbe probe) {
  look_timer_->Stop();
  ++look_;
  for (const Looking& one : std::exchange(looking_, {})) {
    // Which store the answers are of has changed, if the roles have swapped meanwhile.
    const bool flipping = state_ != State::kFollowing;
    const bool flipped = one.to == keeper_->migration().primary();
    one.done(CheckFlip(Facts(one.to, flipping ? probe_ : flipped ? FlipProbe() : probe)));
  }
}

void FlipRunner::Start(const FlipRequest& request, std::function<void(const FlipResult&)> done) {
  if (state_ != State::kFollowing) return done({.reason = "another flip is under way"});
  request_ = request;
  done_ = std::move(done);
  started_us_ = io_->clock()->NowUs();
  held_us_ = 0;
  fence_ = Fence::kNotAsked;
  probe_ = FlipProbe();
  probe_.why = kNoAnswer;
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

// Whom a flip moves, just before it does.
FlipResult FlipRunner::Moved() const {
  FlipFacts facts;
  facts.migration = &keeper_->migration();
  if (outlook_) outlook_(&facts);
  FlipResult result;
  result.subscribers = feeds_ == nullptr ? 0 : feeds_->size();
  result.blocked = facts.blocked;
  result.watching = facts.watching;
  return result;
}

void FlipRunner::Switch(bool forced, std::string lost) {
  FlipResult result = Moved();
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
