// How long replies took: a histogram with buckets a quarter of a power of two wide, over the last ten to twenty
// seconds. Recording costs a few nanoseconds and no memory.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace crossfade {

class LatencyWindow {
 public:
  void Record(int64_t us) {
    ++current_[BucketOf(us)];
    ++count_;
  }
  // Every ten seconds: what is older than that is forgotten.
  void Rotate() {
    previous_ = current_;
    current_.fill(0);
  }
  // Microseconds below which this share (0 to 1) of the replies came; 0 without any.
  int64_t Percentile(double share) const {
    uint64_t total = 0;
    for (size_t i = 0; i < kBuckets; ++i) total += current_[i] + previous_[i];
    if (total == 0) return 0;
    uint64_t wanted = std::min(static_cast<uint64_t>(share * static_cast<double>(total)), total - 1);
    for (size_t i = 0; i < kBuckets; ++i) {
      const uint64_t here = current_[i] + previous_[i];
      if (here > wanted) return UpperBound(i);
      wanted -= here;
    }
    return 0;
  }
  uint64_t count() const { return count_; }

 private:
  static constexpr size_t kBuckets = 160;

  static size_t BucketOf(int64_t us) {
    const auto value = static_cast<uint64_t>(us < 4 ? 4 : us);
    const int exponent = std::bit_width(value) - 3;  // two bits below the leading one choose the quarter
    const size_t bucket = static_cast<size_t>(exponent) * 4 + (value >> exponent & 3);
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  static int64_t UpperBound(size_t bucket) { return static_cast<int64_t>((4 + bucket % 4 + 1) << (bucket / 4)) - 1; }

  std::array<uint32_t, kBuckets> current_{}, previous_{};
  uint64_t count_ = 0;
};

}  // namespace crossfade
