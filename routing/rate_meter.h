// How fast something grows, over roughly the last ten seconds: for "so many per second, so much time left".
#pragma once

#include <algorithm>
#include <cstdint>

namespace crossfade {

class RateMeter {
 public:
  void Start(int64_t now_us, uint64_t done) {
    *this = RateMeter();
    since_us_ = at_us_ = now_us;
    last_ = done;
  }
  // Several times a second. `done` never falls.
  void Advance(int64_t now_us, uint64_t done) {
    if (now_us - at_us_ < kStepUs) return;
    const double seconds = static_cast<double>(now_us - at_us_) / 1e6;
    const double here = static_cast<double>(done - last_) / seconds;
    // The first seconds count fully, instead of beginning at nothing.
    const double memory = std::min(kMemorySeconds, static_cast<double>(now_us - since_us_) / 1e6);
    per_second_ += (here - per_second_) * std::min(1.0, seconds / memory);
    at_us_ = now_us;
    last_ = done;
  }
  double per_second() const { return per_second_; }
  // −1 while nothing moves.
  double SecondsFor(uint64_t left) const {
    return left == 0 ? 0 : per_second_ < 0.01 ? -1 : static_cast<double>(left) / per_second_;
  }

 private:
  static constexpr int64_t kStepUs = 500'000;
  static constexpr double kMemorySeconds = 10;

  int64_t since_us_ = 0, at_us_ = 0;
  uint64_t last_ = 0;
  double per_second_ = 0;
};

}  // namespace crossfade
