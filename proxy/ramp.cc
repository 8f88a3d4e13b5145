#include "proxy/ramp.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "protocol/check.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {

constexpr char kNone[] = "no ramp is running: crossfade ramp start";

std::string Percent(double percent) {
  return fmt::format("{:g} %", percent);
}

}  // namespace

Ramp::Ramp(Parts parts) : parts_(std::move(parts)) {
  timer_ = parts_.io->clock()->MakeTimer([this] { Tick(); });
}

void Ramp::Load() {
  const std::string path = parts_.directory + "/ramp.json";
  const auto text = parts_.storage->Read(path);
  if (text.ok() && !text->has_value()) return;
  if (text.ok()) record_ = ReadRampText(**text);
  if (!record_) {
    // What it was to do nobody knows: reads stay where they are, and somebody has to look.
    spdlog::warn("event=ramp_forgotten file={} reads_new={} reason=\"{}\"", path, migration().routing.reads_new,
                 text.ok() ? "it can't be understood" : std::string(text.status().message()));
    return;
  }
  if (!record_->entries.empty()) last_number_ = record_->entries.back().number;
  if (!active()) return;
  carried_ = record_->counted;
  carried_.old_timed = carried_.new_timed = carried_.new_slow = 0;  // latencies are measured anew
  base_ = parts_.read();
  ticked_ms_ = saved_ms_ = now_ms();
  down_since_ms_ = now_ms() + kReachMs;
  timer_->Start(kTickMs, kTickMs);
  // The last run ended between the two files.
  const std::vector<double>& steps = record_->options.steps;
  const size_t next = record_->step + 1;
  if (!record_->taken_over && next < steps.size() && migration().routing.reads_new == steps[next]) BeginStep(next);
  Note("restart", "the proxy was started again: the step goes on", record_->counted);
}

// --- What operators ask for ------------------------------------------------------------------------------------------

std::string Ramp::WhyUnreadable() const {
  const Migration& state = migration();
  return state.WhyNotReadable(state.cold || state.routing.on_miss == OnMiss::kPrimary);
}

std::string Ramp::WhyNotStart(const RampOptions& options) {
  if (active()) return "a ramp is under way already: crossfade ramp status; crossfade ramp abort";
  if (const std::string busy = parts_.why_busy(); !busy.empty()) return busy;
  if (migration().primary() != Side::kOld) {
    return "new is the primary: a ramp tries new out while old is still there to go back to. To share reads between "
           "them: crossfade reads PERCENT";
  }
  if (const std::string why = WhyUnreadable(); !why.empty()) return "reads can't be shifted: " + why;
  if (options.compare.value_or(migration().routing.compare) <= 0) {
    return "nothing is compared (compare is 0 %), so nobody would see that new answers otherwise. Give --compare "
           "PERCENT, or say first: crossfade compare PERCENT";
  }
  // What would trip at once is told now.
  const RampReading reading = parts_.read();
  RampFigures figures;
  figures.lag_ms = reading.lag_ms;
  figures.dirty_keys = reading.dirty_keys;
  const RampVerdict verdict = JudgeRamp(options.limits.Over(*parts_.limits), figures, options.every_ms);
  if (verdict.move == RampMove::kTrip) return "it would trip at once: " + verdict.reason;
  if (!reading.new_reachable) return "new can't be read from now: crossfade status says why";
  return {};
}

absl::Status Ramp::Start(const RampOptions& options) {
  if (const std::string why = WhyNotSteps(options.steps); !why.empty()) {
    return absl::InvalidArgumentError("steps: " + why);
  }
  if (const std::string why = WhyNotStart(options); !why.empty()) return absl::FailedPreconditionError(why);
  const double before = migration().routing.reads_new;
  RoutingChange change;
  change.reads_new = options.steps[0];
  change.compare = options.compare;
  if (const absl::Status changed = parts_.keeper->Change(change, parts_.next_order()); !changed.ok()) return changed;
  record_.emplace();
  record_->options = options;
  record_->epoch = migration().epoch;
  record_->started_ms = parts_.io->clock()->WallMs();
  down_since_ms_ = 0;
  settings_unsaved_ = false;
  ticked_ms_ = now_ms();
  BeginStep(0);
  guardrails_ = JudgeRamp(limits(), Look(), options.every_ms).guardrails;
  timer_->Start(kTickMs, kTickMs);
  Note("start",
       fmt::format("{} steps of {} s; reads_new was {}", options.steps.size(),
                   static_cast<double>(options.every_ms) / 1000, Percent(before)),
       {});
  return absl::OkStatus();
}

absl::Status Ramp::SetPaused(bool paused) {
  if (!active()) return absl::FailedPreconditionError(kNone);
  if (paused == (record_->state == RampState::kPaused)) return absl::OkStatus();
  if (paused) {
    Move(RampState::kPaused, "pause", "asked for; the guardrails are still watched", Look());
    return absl::OkStatus();
  }
  if (NoticeFlip()) return absl::FailedPreconditionError(record_->reason);
  if (record_->taken_over) {
    if (const std::string why = WhyUnreadable(); !why.empty()) {
      return absl::FailedPreconditionError("reads can't be shifted: " + why);
    }
    RoutingChange change;
    change.reads_new = record_->percent();
    if (const absl::Status changed = parts_.keeper->Change(change, parts_.next_order()); !changed.ok()) return changed;
    record_->taken_over = false;
    BeginStep(record_->step);
    Move(RampState::kRunning, "resume",
         fmt::format("asked for; the step begins anew with {}", Percent(*change.reads_new)), Look());
  } else {
    Move(RampState::kRunning, "resume", "asked for", Look());
  }
  return absl::OkStatus();
}

absl::Status Ramp::Abort() {
  if (!active()) return absl::FailedPreconditionError(kNone);
  if (NoticeFlip()) return absl::FailedPreconditionError(record_->reason);
  const RampFigures figures = Look();
  TakeReadsBack();
  Move(RampState::kAborted, "abort", "asked for; reads are back on old", figures);
  return absl::OkStatus();
}

void Ramp::Suspend() {
  timer_->Stop();
  if (std::exchange(suspended_, true) || !active()) return;
  record_->counted = Look();
  Save();
}

// --- Time ------------------------------------------------------------------------------------------------------------

int64_t Ramp::step_left_ms() const {
  return active() ? std::max<int64_t>(0, record_->options.every_ms - record_->counted.elapsed_ms) : 0;
}

void Ramp::BeginStep(size_t step) {
  record_->step = step;
  record_->step_since_ms = parts_.io->clock()->WallMs();
  record_->counted = carried_ = RampFigures();
  base_ = parts_.read();
}

int64_t Ramp::DownMs(bool reachable) {
  if (reachable) {
    down_since_ms_ = 0;
    return 0;
  }
  if (down_since_ms_ == 0) down_since_ms_ = now_ms();
  return std::max<int64_t>(1, now_ms() - down_since_ms_);
}

RampFigures Ramp::Look() {
  const RampReading now = parts_.read();
  RampFigures figures;
  figures.elapsed_ms = record_->counted.elapsed_ms;
  figures.compared = carried_.compared + now.compared - base_.compared;
  figures.mismatched = carried_.mismatched + now.mismatched - base_.mismatched;
  figures.answered = carried_.answered + now.answered - base_.answered;
  figures.failed = carried_.failed + now.failed - base_.failed;
  const LatencyHistogram old_reads = now.old_reads.Since(base_.old_reads);
  const LatencyHistogram new_reads = now.new_reads.Since(base_.new_reads);
  figures.old_timed = old_reads.count();
  figures.new_timed = new_reads.count();
  figures.old_p99_us = old_reads.Percentile(0.99);
  figures.new_p99_us = new_reads.Percentile(0.99);
  const int64_t slow_us = SlowUs(limits(), figures.old_p99_us);
  for (size_t i = 0; i < LatencyHistogram::kBuckets; ++i) {
    if (LatencyHistogram::UpperBound(i) > slow_us) figures.new_slow += new_reads.bucket(i);
  }
  figures.lag_ms = now.lag_ms;
  figures.dirty_keys = now.dirty_keys;
  figures.down_ms = DownMs(now.new_reachable);
  figures.unreadable = WhyUnreadable();
  return figures;
}

// The roles have changed: what reads_new means has as well.
bool Ramp::NoticeFlip() {
  if (migration().epoch == record_->epoch) return false;
  Move(RampState::kAborted, "abort",
       fmt::format("there was a flip, and {} is the primary: reads stay as they are, reads_new is {}",
                   SideName(migration().primary()), Percent(migration().routing.reads_new)),
       record_->counted);
  return true;
}

// Somebody else has set reads_new.
void Ramp::NoticeOthers() {
  const double reads_new = migration().routing.reads_new;
  if (record_->taken_over || reads_new == record_->percent()) return;
  record_->taken_over = true;
  Move(RampState::kPaused, "pause",
       fmt::format("reads_new is {}, and not the step's {}: somebody else has set it, and the guardrails do nothing. "
                   "crossfade ramp resume goes back to the step",
                   Percent(reads_new), Percent(record_->percent())),
       record_->counted);
}

void Ramp::Tick() {
  const int64_t now = now_ms();
  const int64_t passed_ms = std::min(now - std::exchange(ticked_ms_, now), kLongestTickMs);
  if ((active() || settings_unsaved_ || unsaved_) && now - saved_ms_ >= kSaveMs) Save();
  if (!active()) {
    if (!settings_unsaved_ && !unsaved_) timer_->Stop();
    return;
  }
  if (NoticeFlip()) return;
  NoticeOthers();
  if (record_->state != RampState::kPaused) record_->counted.elapsed_ms += passed_ms;
  const RampFigures figures = Look();
  record_->counted = figures;
  RampVerdict verdict = JudgeRamp(limits(), figures, record_->options.every_ms);
  guardrails_ = std::move(verdict.guardrails);
  if (record_->taken_over) {
    // Who has set reads_new is in charge.
  } else if (verdict.move == RampMove::kTrip) {
    TakeReadsBack();
    return Move(RampState::kTripped, "trip", verdict.reason, figures);
  } else if (record_->state == RampState::kPaused) {
    // Only watched.
  } else if (verdict.move == RampMove::kAdvance) {
    return Advance(figures);
  } else if (verdict.move == RampMove::kHold) {
    record_->reason = verdict.reason;
    if (record_->state != RampState::kHolding) Move(RampState::kHolding, "hold", verdict.reason, figures);
  }
}

void Ramp::Advance(const RampFigures& figures) {
  if (now_ms() < advance_again_ms_) return;
  const size_t next = record_->step + 1;
  if (next == record_->options.steps.size()) {
    return Move(RampState::kDone, "done",
                fmt::format("the last step is over: reads_new stays {}, and nobody watches any more",
                            Percent(record_->percent())),
                figures);
  }
  RoutingChange change;
  change.reads_new = record_->options.steps[next];
  if (const absl::Status changed = parts_.keeper->Change(change, parts_.next_order()); !changed.ok()) {
    advance_again_ms_ = now_ms() + kSaveMs;  // a full disk, most likely
    record_->reason = std::string(changed.message());
    if (record_->state != RampState::kHolding) Move(RampState::kHolding, "hold", record_->reason, figures);
    return;
  }
  const std::string reason = fmt::format("step {} of {}: all guardrails held at {}", next + 1,
                                         record_->options.steps.size(), Percent(record_->percent()));
  BeginStep(next);
  Move(RampState::kRunning, "advance", reason, figures);
}

// --- What follows from it --------------------------------------------------------------------------------------------

void Ramp::TakeReadsBack() {
  const absl::Status saved = parts_.keeper->TakeReadsBack();
  settings_unsaved_ = !saved.ok();
  if (settings_unsaved_) spdlog::error("event=state_not_saved error=\"{}\"", std::string(saved.message()));
}

void Ramp::Move(RampState to, const char* decision, const std::string& reason, const RampFigures& figures) {
  CHECK(record_->active());
  record_->state = to;
  record_->reason = to == RampState::kRunning ? "" : reason;
  if (!record_->active()) record_->ended_ms = parts_.io->clock()->WallMs();
  Note(decision, reason, figures);
}

// Every decision comes by here, once it is true: whoever wants to hear of them all is called from here.
void Ramp::Note(const char* decision, const std::string& reason, const RampFigures& figures) {
  const double before = record_->entries.empty() ? -1 : record_->entries.back().reads_new;
  RampEntry& entry = record_->entries.emplace_back();
  entry.number = ++last_number_;
  entry.at_ms = parts_.io->clock()->WallMs();
  entry.decision = decision;
  entry.reads_new = migration().routing.reads_new;
  entry.reason = reason;
  entry.figures = figures;
  if (record_->entries.size() > RampRecord::kMostEntries) record_->entries.pop_front();
  spdlog::log(
      record_->state == RampState::kTripped ? spdlog::level::warn : spdlog::level::info,
      "event=ramp_{} reads_new={:g} step={} of={} elapsed_ms={} compared={} mismatched={} answered={} failed={} "
      "old_p99_us={} new_p99_us={} new_slow={} new_timed={} lag_ms={:.1f} dirty_keys={} down_ms={} reason=\"{}\"",
      decision, entry.reads_new, record_->step + 1, record_->options.steps.size(), figures.elapsed_ms, figures.compared,
      figures.mismatched, figures.answered, figures.failed, figures.old_p99_us, figures.new_p99_us, figures.new_slow,
      figures.new_timed, figures.lag_ms, figures.dirty_keys, figures.down_ms, reason);
  Save();
  if (parts_.told) parts_.told(decision, before, migration().routing.reads_new, reason);
}

// A disk that is full keeps no guardrail from tripping; it is tried again.
void Ramp::Save() {
  saved_ms_ = now_ms();
  if (settings_unsaved_) settings_unsaved_ = !parts_.keeper->Save().ok();
  const absl::Status saved = parts_.storage->Replace(parts_.directory + "/ramp.json", RampText(*record_));
  unsaved_ = !saved.ok();
  if (unsaved_) spdlog::warn("event=ramp_not_saved error=\"{}\"", std::string(saved.message()));
}

}  // namespace crossfade
