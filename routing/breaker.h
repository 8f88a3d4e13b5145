// Is the secondary to be left alone for a while? A store that refuses one write after another, or answers nothing for
// seconds, is taken out: nothing is sent to it, written keys become dirty, and neither repairs nor reads wait for it.
// Probes find out when it is well; then a few copies are tried, then everything goes on as before.
//
//   closed ── more writes refused than taken, by `failures`; or a command unanswered for slow_ms ──→ open
//   open ── after a pause, and `probes` good probes in a row ──→ half-open: nothing but copies, a few at first
//   half-open ── enough copies taken, or none to be tried ──→ closed;  ── refused or unanswered again ──→ open
//
// The pause doubles each time that it opens again soon after. Reads have a switch of their own: a store may follow
// well, and yet answer too late for clients who wait. Then only reads are kept away, until probes come back in time.
//
// One command refused for want of rights opens nothing: the keys of that one are copied. Nor do replies that differ:
// that is repaired key by key. Decides only; the lane reports to it, asks the probes and acts. Times are monotonic.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"

namespace crossfade {

class Breaker {
 public:
  enum class State : uint8_t { kClosed, kOpen, kHalfOpen };
  static const char* Name(State state);

  // Both must outlive this object.
  Breaker(const BreakerConfig* config, const TimeoutsConfig* timeouts) : config_(config), timeouts_(timeouts) {}

  // May writes follow, and may reads and questions be asked?
  bool closed() const { return state_ == State::kClosed; }
  bool reads_closed() const { return closed() && !reads_open_; }
  // May one more key be copied? In half-open each one that may is told by OnCopySent.
  bool MayCopy() const { return closed() || (state_ == State::kHalfOpen && trial_left_ > 0); }

  // The secondary has answered a write. `command` names it; `error` is the code of its refusal, or empty: it was taken.
  void OnFollow(std::string_view command, std::string_view error, int64_t now_ms);
  void OnCopySent() { trial_left_ -= state_ == State::kHalfOpen ? 1 : 0; }
  // … a copy. Empty also when the error is about that key alone, but then `taken` is false.
  void OnCopy(bool taken, std::string_view error, int64_t now_ms);
  // A read that a client waits for came in time, or did not.
  void OnRead(bool in_time, int64_t now_ms);
  // Several times a second, while the secondary is up. `oldest_ms`: for how long its oldest command is unanswered.
  void OnTick(int64_t oldest_ms, int64_t now_ms);

  // Is a probe to be sent now? Its answer comes by OnProbe, or OnLinkDown. Only one is on its way.
  bool ProbeDue(int64_t now_ms) const;
  // A command that writes nothing and is refused whenever a write would be. Otherwise a PING says enough: OOM is about
  // what a write needs, which only a copy can tell.
  bool ProbeWrites() const { return !refusal_.empty() && refusal_ != "OOM"; }
  void OnProbeSent(int64_t now_ms);
  // `error`: the first error's code, if any reply was one.
  void OnProbe(std::string_view error, int64_t now_ms);
  void OnLinkDown();

  // Another store is secondary now, or none follows.
  void Reset(int64_t now_ms);

  State state() const { return state_; }
  bool reads_open() const { return reads_open_; }
  // Why it opened last, with the figures; kept while it is half-open. Empty when closed.
  const std::string& reason() const { return reason_; }
  const std::string& reads_reason() const { return reads_reason_; }
  uint64_t opened() const { return opened_; }
  uint64_t reads_opened() const { return reads_opened_; }
  uint64_t probes_good() const { return probes_good_; }
  uint64_t probes_bad() const { return probes_bad_; }
  int64_t pause_ms() const { return pause_ms_; }
  // Raised by every change of either state, so that whoever acts on it sees that there was one.
  uint64_t changes() const { return changes_; }

 private:
  static constexpr int64_t kLongestPauseMs = 30'000;
  static constexpr int64_t kCalmMs = 60'000;     // closed for so long: the next pause is the first one again
  static constexpr size_t kRefusedCommands = 3;  // so many different commands refused: it isn't about the commands
  static constexpr int64_t kLateSpans = 5;       // late reads count once they span so many times timeouts.read
  static constexpr int kSlowTicks = 3;           // seen so often: it was not this process that stood still
  static constexpr int64_t kFirstCopies = 10;    // tried in half-open; each that is taken lets kMoreCopies more through
  static constexpr int64_t kMoreCopies = 2;
  static constexpr int kEnoughCopies = 20;  // taken: it is well
  static constexpr int kRefusedCopies = 3;  // refused: it is not

  void Move(State to, std::string reason, int64_t now_ms);
  void Open(std::string_view refusal, std::string reason, int64_t now_ms);
  void OpenReads(int64_t now_ms);
  bool CountsAsRefusal(std::string_view command, std::string_view error);
  bool Slow(int64_t oldest_ms);
  int64_t NextPause(int64_t pause_ms, int64_t closed_ms, int64_t now_ms) const;

  const BreakerConfig* config_;
  const TimeoutsConfig* timeouts_;
  State state_ = State::kClosed;
  std::string reason_, refusal_;  // refusal_: the code that opened it; empty: it was slow
  int64_t since_ms_ = 0, pause_ms_ = 0, closed_ms_ = 0;
  uint64_t opened_ = 0, changes_ = 0;

  int64_t score_ = 0;                       // writes refused more than taken, since there were as many of both
  std::vector<std::string> not_permitted_;  // commands refused for want of rights, at most kRefusedCommands
  int slow_ticks_ = 0;

  int64_t trial_left_ = 0, trial_ms_ = 0;
  int trial_taken_ = 0, trial_refused_ = 0;

  bool probing_ = false;
  int64_t probe_sent_ms_ = 0;
  int good_ = 0, reads_good_ = 0;  // probes in a row
  uint64_t probes_good_ = 0, probes_bad_ = 0;

  bool reads_open_ = false;
  int64_t reads_late_ = 0, reads_late_since_ms_ = 0;  // in a row
  int64_t reads_since_ms_ = 0, reads_pause_ms_ = 0, reads_closed_ms_ = 0;
  std::string reads_reason_;
  uint64_t reads_opened_ = 0;
};

}  // namespace crossfade
