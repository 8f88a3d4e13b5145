// Makes the secondary equal to the primary, key by key, while both are in use: SCAN of the primary, each key a copy
// slot; then SCAN of the secondary, and each key that was not copied before is copied too, which deletes what the
// primary lacks. Every copy rides the lane, so none overwrites a newer write. The same sweep copies what was there
// before (backfill) and repairs "everything is dirty". At a bounded rate; waits by itself while copying is impossible.
//
// Why it leaves nothing out: SCAN finds every key that is there from its beginning to its end. A key of the primary
// that isn't came or went meanwhile, and that was followed; if the secondary had a stale one of that name, the second
// scan finds it, or it is gone. After its copy a key follows exactly.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/key_copier.h"
#include "proxy/lane.h"

namespace crossfade {

class Sweep {
 public:
  enum class State : uint8_t { kIdle, kRunning, kDone, kFailed };

  // All must outlive this object. `done(true)` when a sweep has come to its end, `done(false)` when it was given up.
  Sweep(Io* io, const BackfillConfig* config, DirtySet* dirty, Lane* lane, std::function<void(bool finished)> done);

  // Who decides how a key is copied. Without one each goes whole, through the lane. Must outlive this object.
  void set_copier(KeyCopier* copier) { copier_ = copier; }
  // REQUIRES: !running().
  void Start(std::string why);
  // The keys copied so far stay copied.
  void Cancel(std::string why);

  bool running() const { return state_ == State::kRunning; }
  State state() const { return state_; }
  const char* StateWord() const;
  // Why it runs, or why it failed.
  const std::string& why() const { return why_; }
  uint64_t order() const { return order_; }  // of the lane when it began
  uint64_t keys_done() const { return keys_done_; }
  uint64_t keys_total() const { return keys_total_; }
  uint64_t keys_rechecked() const { return keys_rechecked_; }  // found on the secondary, and copied (or removed) there
  uint64_t keys_failed() const { return keys_failed_; }        // left to repair

 private:
  static constexpr int64_t kStepMs = 2;
  static constexpr size_t kMaxInFlight = 256;
  static constexpr size_t kScanCount = 256;
  static constexpr size_t kMaxRemembered = 4'000'000;  // hashes of copied keys, some 70 MiB

  void Work();
  void AskTotal();
  void AskScan();
  void OnScan(const Answers& answers);
  void Copy(const DirtySet::Key& key);
  static uint64_t HashOf(int db, const std::string& key);
  void NextDatabase();
  void Finish(State state, std::string why);

  Io* io_;
  const BackfillConfig* config_;
  DirtySet* dirty_;
  Lane* lane_;
  KeyCopier* copier_ = nullptr;
  std::function<void(bool)> done_;
  std::unique_ptr<Timer> timer_;

  State state_ = State::kIdle;
  std::string why_;
  uint64_t order_ = 0;
  uint64_t run_ = 0;             // answers to an earlier run's questions are ignored
  bool secondary_side_ = false;  // the second half: keys that only the secondary has
  int db_ = 0;
  std::string cursor_ = "0";
  bool scanned_ = false;                  // this database has been scanned to its end
  bool asking_ = false;                   // a SCAN is under way
  std::deque<std::string> found_;         // keys of this database still to be copied
  absl::flat_hash_set<uint64_t> copied_;  // what the first scan has copied; beyond its bound keys are copied twice
  size_t in_flight_ = 0;
  double allowance_ = 0;
  int64_t refilled_us_ = 0;
  uint64_t keys_done_ = 0, keys_total_ = 0, keys_rechecked_ = 0, keys_failed_ = 0;
};

}  // namespace crossfade
