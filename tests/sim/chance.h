// Seeded chance. Each thing of the simulator has a stream of its own, made from the run's seed and its own number, so
// that taking one thing away leaves the others' choices as they were: that is what lets a run be shrunk.
#pragma once

#include <cstdint>

namespace crossfade::sim {

class Chance {
 public:
  explicit Chance(uint64_t seed, uint64_t stream = 0)
      : state_(seed * 0x9e3779b97f4a7c15ULL + stream * 0xd1342543de82ef95ULL) {
    Next();
  }

  // SplitMix64.
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // 0 … n-1. REQUIRES: n > 0.
  uint64_t Below(uint64_t n) { return Next() % n; }
  // from … to, both included.
  int64_t Range(int64_t from, int64_t to) {
    return from + static_cast<int64_t>(Below(static_cast<uint64_t>(to - from) + 1));
  }
  bool Percent(int percent) { return static_cast<int>(Below(100)) < percent; }

 private:
  uint64_t state_;
};

}  // namespace crossfade::sim
