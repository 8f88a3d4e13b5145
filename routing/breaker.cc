#include "routing/breaker.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "routing/refusal.h"

namespace crossfade {

const char* Breaker::Name(State state) {
  switch (state) {
    case State::kClosed:
      return "closed";
    case State::kOpen:
      return "open";
    case State::kHalfOpen:
      return "half_open";
  }
  return "";
}

void Breaker::Move(State to, std::string reason, int64_t now_ms) {
  state_ = to;
  reason_ = std::move(reason);
  since_ms_ = now_ms;
  score_ = 0;
  not_permitted_.clear();
  slow_ticks_ = 0;
  good_ = 0;
  trial_left_ = to == State::kHalfOpen ? kFirstCopies : 0;
  trial_taken_ = trial_refused_ = 0;
  trial_ms_ = now_ms;
  if (to == State::kClosed) {
    closed_ms_ = now_ms;
    refusal_.clear();
  }
  ++changes_;
}

int64_t Breaker::NextPause(int64_t pause_ms, int64_t closed_ms, int64_t now_ms) const {
  if (pause_ms == 0 || now_ms - closed_ms > kCalmMs) return config_->open_ms;
  return std::max(config_->open_ms, std::min(kLongestPauseMs, pause_ms * 2));
}

void Breaker::Open(std::string_view refusal, std::string reason, int64_t now_ms) {
  // From half-open the store was never well in between.
  pause_ms_ = NextPause(pause_ms_, state_ == State::kHalfOpen ? now_ms : closed_ms_, now_ms);
  refusal_ = refusal;
  ++opened_;
  Move(State::kOpen, std::move(reason), now_ms);
}

// A user who may not run one command may be well able to run all others.
bool Breaker::CountsAsRefusal(std::string_view command, std::string_view error) {
  if (RefusesAll(error)) return true;
  if (error != "NOPERM") return false;
  const bool known = std::find(not_permitted_.begin(), not_permitted_.end(), command) != not_permitted_.end();
  if (!known && not_permitted_.size() < kRefusedCommands) not_permitted_.emplace_back(command);
  return not_permitted_.size() >= kRefusedCommands;
}

void Breaker::OnFollow(std::string_view command, std::string_view error, int64_t now_ms) {
  if (!config_->enabled || state_ != State::kClosed) return;
  if (error.empty()) {
    score_ = std::max<int64_t>(0, score_ - 1);
    if (score_ == 0 && !not_permitted_.empty()) std::erase(not_permitted_, command);
    return;
  }
  if (!CountsAsRefusal(command, error)) return;
  if (++score_ < config_->failures) return;
  Open(error, fmt::format("it refuses writes ({}): {} more were refused than taken", error, score_), now_ms);
}

void Breaker::OnCopy(bool taken, std::string_view error, int64_t now_ms) {
  if (!config_->enabled) return;
  // Of a copy that is refused for want of rights nobody can say more than that RESTORE is.
  const bool refused = RefusesAll(error) || (error == "NOPERM" && refusal_ == "NOPERM");
  if (state_ == State::kClosed) {
    if (taken) score_ = std::max<int64_t>(0, score_ - 1);
    if (!refused || ++score_ < config_->failures) return;
    return Open(error, fmt::format("it refuses copies ({}): {} more were refused than taken", error, score_), now_ms);
  }
  if (state_ != State::kHalfOpen) return;
  trial_ms_ = now_ms;
  if (taken) {
    trial_left_ += kMoreCopies;
    if (++trial_taken_ >= kEnoughCopies) Move(State::kClosed, "", now_ms);
  } else if (refused && ++trial_refused_ >= kRefusedCopies) {
    Open(error,
         fmt::format("it refuses writes ({}): {} of the first {} copies were refused", error, trial_refused_,
                     trial_taken_ + trial_refused_),
         now_ms);
  }
}

void Breaker::OpenReads(int64_t now_ms) {
  reads_pause_ms_ = NextPause(reads_pause_ms_, reads_closed_ms_, now_ms);
  reads_open_ = true;
  reads_since_ms_ = now_ms;
  reads_reason_ = fmt::format("{} reads in a row were not answered within {} ms", reads_late_, timeouts_->read_ms);
  reads_late_ = reads_good_ = 0;
  ++reads_opened_;
  ++changes_;
}

void Breaker::OnRead(bool in_time, int64_t now_ms) {
  if (!config_->enabled || reads_open_) return;
  if (in_time) {
    reads_late_ = 0;
    return;
  }
  if (reads_late_++ == 0) reads_late_since_ms_ = now_ms;
  // Many clients are late together when it stands still for a moment; that alone is nothing.
  const bool lasting = now_ms - reads_late_since_ms_ >= kLateSpans * timeouts_->read_ms;
  if (lasting && reads_late_ >= config_->late_reads) OpenReads(now_ms);
}

bool Breaker::Slow(int64_t oldest_ms) {
  slow_ticks_ = oldest_ms > config_->slow_ms ? slow_ticks_ + 1 : 0;
  return slow_ticks_ >= kSlowTicks;
}

void Breaker::OnTick(int64_t oldest_ms, int64_t now_ms) {
  if (!config_->enabled) return;
  if (state_ != State::kOpen && Slow(oldest_ms)) {
    return Open("", fmt::format("a command has not been answered for {} ms", oldest_ms), now_ms);
  }
  // Nobody has a key to copy, or no copy tells anything.
  if (state_ == State::kHalfOpen && now_ms - trial_ms_ > 2 * config_->probe_ms && oldest_ms <= config_->probe_ms) {
    Move(State::kClosed, "", now_ms);
  }
}

bool Breaker::ProbeDue(int64_t now_ms) const {
  return (state_ == State::kOpen || (reads_open_ && state_ == State::kClosed)) && !probing_ &&
         now_ms - probe_sent_ms_ >= config_->probe_ms;
}

void Breaker::OnProbeSent(int64_t now_ms) {
  probing_ = true;
  probe_sent_ms_ = now_ms;
}

void Breaker::OnProbe(std::string_view error, int64_t now_ms) {
  probing_ = false;
  const int64_t took_ms = now_ms - probe_sent_ms_;
  // NOPERM says that this user may not ask this, and nothing of the store: the copies will tell.
  const bool good = (error.empty() || error == "NOPERM") && took_ms <= config_->slow_ms / 2;
  ++(good ? probes_good_ : probes_bad_);
  good_ = good ? good_ + 1 : 0;
  reads_good_ = good && took_ms <= timeouts_->read_ms ? reads_good_ + 1 : 0;
  if (state_ == State::kOpen && good_ >= config_->probes && now_ms - since_ms_ >= pause_ms_) {
    std::string reason = reason_;
    Move(State::kHalfOpen, std::move(reason), now_ms);
  }
  if (reads_open_ && reads_good_ >= config_->probes && now_ms - reads_since_ms_ >= reads_pause_ms_) {
    reads_open_ = false;
    reads_reason_.clear();
    reads_closed_ms_ = now_ms;
    ++changes_;
  }
}

void Breaker::OnLinkDown() {
  probing_ = false;
  good_ = reads_good_ = slow_ticks_ = 0;
}

void Breaker::Reset(int64_t now_ms) {
  probing_ = false;
  reads_late_ = 0;
  pause_ms_ = reads_pause_ms_ = 0;
  if (state_ != State::kClosed) Move(State::kClosed, "", now_ms);
  score_ = 0;
  not_permitted_.clear();
  if (!reads_open_) return;
  reads_open_ = false;
  reads_reason_.clear();
  ++changes_;
}

}  // namespace crossfade
