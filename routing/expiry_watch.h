// Which keys may just now be alive on one store and expired on the other.
//
// Two servers never expire a key at the same instant. A write in between finds a key on one side and none on the other,
// and often gives the same reply on both (SADD, HSET), so that nothing shows that they now differ for ever: the
// replicas of a Redis server are spared this only because they never expire by themselves. So for each key whose expiry
// passed through the lane, this remembers the window of time in which the two sides may disagree; a write that ran
// inside the window makes its keys dirty. Times are milliseconds of the proxy's wall clock.
//
// Remembers 64-bit hashes, not names: a collision costs one needless copy. Windows long past are forgotten; beyond the
// limit given at construction new ones are not remembered, but counted, and until the last of them is past any key may
// be such a one: whoever writes then must have its keys compared again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace crossfade {

struct ExpiryWindow {
  int64_t from_ms = 0;
  int64_t to_ms = 0;
};

class ExpiryWatch {
 public:
  explicit ExpiryWatch(size_t max_keys) : max_keys_(max_keys) {}
  // What is watched stays watched.
  void set_max_keys(size_t max_keys) { max_keys_ = max_keys; }

  // `now_ms` decides only what may be forgotten: windows that ended more than `kForgetAfterMs` before.
  void Set(int db, std::string_view key, ExpiryWindow window, int64_t now_ms);
  // The second key now expires when the first does (RENAME, COPY, MOVE). Nothing when the first isn't watched.
  void Inherit(int from_db, std::string_view from, int to_db, std::string_view to, int64_t now_ms);

  // SWAPDB: what was one database's is now the other's.
  void SwapDatabases(int a, int b) {
    Label(std::max(a, b));  // so that neither reference moves
    std::swap(Label(a), Label(b));
  }

  // May the two stores have disagreed about the key at some moment between these two?
  bool Uncertain(int db, std::string_view key, int64_t from_ms, int64_t to_ms) const;

  bool empty() const { return windows_.empty(); }
  size_t size() const { return windows_.size(); }
  uint64_t unwatched() const { return unwatched_; }
  // After a restart, until all expiries have been asked for.
  void set_learning(bool learning) { learning_ = learning; }
  bool learning() const { return learning_; }
  // May there be keys that expire now, and aren't watched?
  bool incomplete(int64_t now_ms) const { return learning_ || now_ms <= unwatched_until_ms_; }

 private:
  static constexpr int64_t kForgetAfterMs = 120'000;
  static constexpr int64_t kForgetEveryMs = 10'000;
  uint64_t HashOf(int db, std::string_view key) const;
  int& Label(int db);
  void Forget(int64_t now_ms);

  size_t max_keys_;
  std::vector<int> labels_;  // by database, as far as any was swapped: by what name its keys are remembered
  absl::flat_hash_map<uint64_t, ExpiryWindow> windows_;
  size_t forget_at_ = 1024;      // size at which past windows are looked for, and at the limit …
  int64_t forget_again_ms_ = 0;  // … when
  uint64_t unwatched_ = 0;
  bool learning_ = false;
  int64_t unwatched_until_ms_ = INT64_MIN;  // the latest end of a window that isn't remembered
};

}  // namespace crossfade
