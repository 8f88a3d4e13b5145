#include "routing/copy_pace.h"

#include <algorithm>

namespace crossfade {

void CopyPace::Start(int64_t now_us) {
  const uint64_t slowed = slowed_;
  *this = CopyPace();
  slowed_ = slowed;
  refilled_us_ = now_us;
}

void CopyPace::Advance(int64_t now_us, const CopyPaceLimits& limits, uint64_t replies, int64_t replies_us,
                       uint64_t in_flight) {
  Refill(now_us, limits);
  if (limits.added_latency_us == 0) {
    resting_ = false;
    share_ = 1;
    added_us_ = 0;
    rested_us_ = 0;
    return;
  }
  const auto begin_look = [&] {
    looked_us_ = now_us;
    look_replies_ = replies;
    look_replies_us_ = replies_us;
  };
  if (!resting_ && (rested_us_ == 0 || now_us - rested_us_ >= kLookAgainUs)) {
    resting_ = true;
    rest_until_us_ = 0;
  }
  if (resting_) {
    if (in_flight > 0) return;
    if (rest_until_us_ == 0) {
      rest_until_us_ = now_us + kRestUs;
      return begin_look();
    }
    if (now_us < rest_until_us_) return;
    const uint64_t came = Came(replies);
    usual_us_ = came < kFewestReplies ? -1 : (replies_us - look_replies_us_) / static_cast<int64_t>(came);
    resting_ = false;
    rested_us_ = now_us;
    return begin_look();
  }
  if (now_us - looked_us_ < kLookUs) return;
  Look(limits, replies, replies_us);
  begin_look();
}

void CopyPace::Refill(int64_t now_us, const CopyPaceLimits& limits) {
  const double seconds = static_cast<double>(now_us - refilled_us_) / 1e6;
  refilled_us_ = now_us;
  const double rate = static_cast<double>(limits.keys_per_second) * share_;
  // At most a twentieth of a second's worth is saved up, and at least one key.
  keys_ = std::min(keys_ + rate * seconds, std::max(1.0, rate / 20));
  bytes_limited_ = limits.bytes_per_second > 0;
  const double bytes_rate = static_cast<double>(limits.bytes_per_second) * share_;
  bytes_ = bytes_limited_ ? std::min(bytes_ + bytes_rate * seconds, bytes_rate / 20) : 0;
}

void CopyPace::Look(const CopyPaceLimits& limits, uint64_t replies, int64_t replies_us) {
  const uint64_t came = Came(replies);
  if (usual_us_ < 0 || came < kFewestReplies) {
    added_us_ = 0;
  } else {
    added_us_ = std::max<int64_t>(0, (replies_us - look_replies_us_) / static_cast<int64_t>(came) - usual_us_);
  }
  if (added_us_ > limits.added_latency_us) {
    ++slowed_;
    share_ = std::max(kLeastShare, share_ * 2 / 3);
  } else {
    share_ = std::min(1.0, share_ * 1.1);
  }
}

}  // namespace crossfade
