// How fast copying may go just now: an allowance of keys and of bytes that fills up with time, and a ceiling on what it
// adds to the primary's latency for clients.
//
// The ceiling needs something to compare with: every kLookAgainUs copying rests for kRestUs once nothing of it is in
// flight, and how late the primary answers clients then is what it is without us. Beyond the ceiling the rates fall by
// a third for each look of kLookUs, and rise again by a tenth. While clients ask nothing, nobody is held up, and
// nothing slows down.
//
// A key's bytes are known once it is copied: a large one leaves a debt, and copying stands still until it is paid.
// Decides only; proxy/sweep acts. Times are monotonic, in microseconds.
#pragma once

#include <cstdint>

namespace crossfade {

struct CopyPaceLimits {
  int64_t keys_per_second = 20'000;
  int64_t bytes_per_second = 0;  // 0: as many as there are
  int64_t added_latency_us = 0;  // 0: no ceiling
};

class CopyPace {
 public:
  // Everything is as at the beginning: full speed, nothing known of latencies.
  void Start(int64_t now_us);

  // `replies` and `replies_us`: to how many of the clients' commands the primary has replied so far, and how long these
  // took together. `in_flight`: keys that are being copied.
  void Advance(int64_t now_us, const CopyPaceLimits& limits, uint64_t replies, int64_t replies_us, uint64_t in_flight);

  // May one more key be copied?
  bool MayCopy() const { return !resting_ && keys_ >= 1 && bytes_ >= 0; }
  void TakeKey() { keys_ -= 1; }
  void TakeBytes(uint64_t bytes) {
    if (bytes_limited_) bytes_ -= static_cast<double>(bytes);
  }

  // The share of the configured rates that is allowed now: 1, unless the ceiling was reached.
  double share() const { return share_; }
  // How much later the primary answered clients at the last look than without us; 0 while that isn't known.
  int64_t added_latency_us() const { return added_us_; }
  // How often the ceiling was exceeded.
  uint64_t slowed() const { return slowed_; }

 private:
  static constexpr int64_t kLookUs = 200'000;
  static constexpr int64_t kRestUs = 100'000;
  static constexpr int64_t kLookAgainUs = 10'000'000;
  static constexpr uint64_t kFewestReplies = 10;  // fewer say nothing
  static constexpr double kLeastShare = 0.01;

  // Since the look began. Another store may be primary by now.
  uint64_t Came(uint64_t replies) const { return replies < look_replies_ ? 0 : replies - look_replies_; }
  void Refill(int64_t now_us, const CopyPaceLimits& limits);
  void Look(const CopyPaceLimits& limits, uint64_t replies, int64_t replies_us);

  double keys_ = 0, bytes_ = 0;
  bool bytes_limited_ = false;
  int64_t refilled_us_ = 0;

  double share_ = 1;
  bool resting_ = false;
  int64_t rest_until_us_ = 0;  // 0 while something is still in flight
  int64_t rested_us_ = 0;      // when the last rest ended; 0: there was none
  int64_t usual_us_ = -1;      // what a reply takes without us; -1: not known
  int64_t looked_us_ = 0;      // when this look began, and what had been then
  uint64_t look_replies_ = 0;
  int64_t look_replies_us_ = 0;
  int64_t added_us_ = 0;
  uint64_t slowed_ = 0;
};

}  // namespace crossfade
