// How long replies took: histograms with buckets a quarter of a power of two wide. LatencyHistogram counts since the
// start and is a value (the difference of two is what came in between); LatencyWindow is over the last ten to twenty
// seconds. Recording costs a few nanoseconds and no memory.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <numeric>

namespace crossfade {

// What clients asked for, and what follows it on the secondary.
enum class LatencyClass : uint8_t { kRead, kWrite };
inline constexpr LatencyClass kLatencyClasses[] = {LatencyClass::kRead, LatencyClass::kWrite};

class LatencyHistogram {
 public:
  static constexpr size_t kBuckets = 160;

  void Record(int64_t us) {
    ++counts_[BucketOf(us)];
    sum_us_ += us;
  }
  uint64_t bucket(size_t i) const { return counts_[i]; }
  uint64_t count() const { return std::accumulate(counts_.begin(), counts_.end(), uint64_t{0}); }
  int64_t sum_us() const { return sum_us_; }
  // Microseconds below which this share (0 to 1) of the replies came, as the upper bound of a bucket; 0 without any.
  int64_t Percentile(double share) const {
    const uint64_t total = count();
    if (total == 0) return 0;
    uint64_t wanted = std::min(static_cast<uint64_t>(share * static_cast<double>(total)), total - 1);
    for (size_t i = 0; i < kBuckets; ++i) {
      if (counts_[i] > wanted) return UpperBound(i);
      wanted -= counts_[i];
    }
    return 0;
  }
  // What was recorded after `earlier`, a former state of this histogram.
  LatencyHistogram Since(const LatencyHistogram& earlier) const {
    LatencyHistogram since = *this;
    for (size_t i = 0; i < kBuckets; ++i) since.counts_[i] -= earlier.counts_[i];
    since.sum_us_ -= earlier.sum_us_;
    return since;
  }
  void Add(const LatencyHistogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    sum_us_ += other.sum_us_;
  }
  // What was written down elsewhere: so many replies in this bucket, and all replies' sum.
  void AddBucket(size_t i, uint64_t replies) { counts_[i] += replies; }
  void AddSum(int64_t us) { sum_us_ += us; }

  static size_t BucketOf(int64_t us) {
    const auto value = static_cast<uint64_t>(us < 4 ? 4 : us);
    const int exponent = std::bit_width(value) - 3;  // two bits below the leading one choose the quarter
    const size_t bucket = static_cast<size_t>(exponent) * 4 + (value >> exponent & 3);
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  // The longest time, in microseconds, that is counted in this bucket; of the last one there is none.
  static int64_t UpperBound(size_t bucket) { return static_cast<int64_t>((4 + bucket % 4 + 1) << (bucket / 4)) - 1; }

 private:
  std::array<uint64_t, kBuckets> counts_{};
  int64_t sum_us_ = 0;
};

class LatencyWindow {
 public:
  void Record(int64_t us) {
    ++current_[LatencyHistogram::BucketOf(us)];
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
      if (here > wanted) return LatencyHistogram::UpperBound(i);
      wanted -= here;
    }
    return 0;
  }
  uint64_t count() const { return count_; }

 private:
  static constexpr size_t kBuckets = LatencyHistogram::kBuckets;

  std::array<uint32_t, kBuckets> current_{}, previous_{};
  uint64_t count_ = 0;
};

}  // namespace crossfade
