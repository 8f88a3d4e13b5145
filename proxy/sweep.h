// Makes the secondary equal to the primary, key by key, while both are in use: SCAN of the primary, each key a copy
// slot; then SCAN of the secondary, and each key that was not copied before is copied too, which deletes what the
// primary lacks. Every copy rides the lane, so none overwrites a newer write. The same sweep copies what was there
// before (proxy/backfill) and repairs "everything is dirty". It goes at a bounded pace; waits by itself while copying
// is impossible; and can be told to rest.
//
// Why it leaves nothing out: SCAN finds every key that is there from its beginning to its end. A key of the primary
// that isn't came or went meanwhile, and that was followed; if the secondary had a stale one of that name, the second
// scan finds it, or it is gone. After its copy a key follows exactly. A sweep may be gone on with by another process:
// a cursor of SCAN holds as long as the server lives, and place() names one before which nothing is outstanding. Which
// keys were copied is forgotten then, so that the second half copies once more what it finds: late, but not wrong.
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
#include "routing/copy_pace.h"
#include "routing/rate_meter.h"

namespace crossfade {

// Which keys. Unless these are all, a sweep says nothing about whether the stores agree.
struct SweepScope {
  std::string match{};  // SCAN's pattern; empty: any
  std::string type{};   // as TYPE says it; empty: any
  int db = -1;          // −1: all
  bool whole() const { return match.empty() && type.empty() && db < 0; }
};

// How far it has come: what SCAN gave before has been copied, or is dirty.
struct SweepPlace {
  bool secondary_side = false;  // the second half: keys that only the secondary has
  int db = 0;
  std::string cursor = "0";
  uint64_t keys_done = 0, keys_total = 0, keys_rechecked = 0, keys_failed = 0, bytes = 0;
};

class Sweep {
 public:
  enum class State : uint8_t { kIdle, kRunning, kPaused, kDone, kFailed };
  static const char* Name(State state);
  // A key that could not be copied. It is dirty: repair goes on trying.
  struct Failure {
    DirtySet::Key key;
    std::string why;
  };

  // All must outlive this object. `done(true)` when a sweep has come to its end, `done(false)` when it was given up.
  Sweep(Io* io, const BackfillConfig* config, DirtySet* dirty, Lane* lane, std::function<void(bool finished)> done);

  // Who decides how a key is copied. Without one each goes whole, through the lane. Must outlive this object.
  void set_copier(KeyCopier* copier) { copier_ = copier; }
  // From the beginning, or from where an earlier one came. REQUIRES: !running().
  void Start(std::string why, const SweepScope& scope = {}, const SweepPlace* from = nullptr);
  // What is in flight ends; nothing new begins. REQUIRES: running().
  void SetPaused(bool paused);
  // Wins over the configuration until the next Start. 0: the configuration's.
  void SetRates(int64_t keys_per_second, int64_t bytes_per_second);
  // The keys copied so far stay copied.
  void Cancel(std::string why);

  // It has begun and not ended, paused or not.
  bool running() const { return state_ == State::kRunning || state_ == State::kPaused; }
  State state() const { return state_; }
  // Why it runs, or why it failed.
  const std::string& why() const { return why_; }
  const SweepScope& scope() const { return scope_; }
  SweepPlace place() const;
  uint64_t order() const { return order_; }  // of the lane when it began
  uint64_t runs() const { return run_; }

  uint64_t keys_done() const { return keys_done_; }
  // Of the first half. Until all keys in a narrower scope have been seen: those found so far.
  uint64_t keys_total() const { return keys_total_; }
  uint64_t keys_rechecked() const { return keys_rechecked_; }  // found on the secondary, and copied (or removed) there
  uint64_t keys_failed() const { return keys_failed_; }        // left to repair
  uint64_t bytes() const { return bytes_; }
  // The first kMaxFailures of them.
  const std::deque<Failure>& failures() const { return failures_; }

  bool secondary_side() const { return secondary_side_; }
  // Of this half, 0 to 100.
  double Percent() const;
  // Until the end of this half; −1: not known.
  double SecondsLeft() const;
  double keys_per_second() const { return speed_.per_second(); }
  const CopyPace& pace() const { return pace_; }

 private:
  static constexpr int64_t kStepMs = 2;
  static constexpr size_t kMaxInFlight = 256;
  static constexpr size_t kScanCount = 256;
  static constexpr size_t kMaxRemembered = 4'000'000;  // hashes of copied keys, some 70 MiB
  static constexpr size_t kMaxFailures = 1000;

  // What one SCAN gave.
  struct Page {
    int db;
    std::string cursor;  // with which it was asked for
    size_t left = 0;     // of its keys, that are not over
    uint64_t done = 0, rechecked = 0, failed = 0, bytes = 0;
  };
  struct Found {
    DirtySet::Key key;
    uint64_t page;
  };

  void Work();
  void AskTotal();
  void AskScan();
  void OnScan(const Answers& answers, const std::string& asked_cursor);
  void Copy(DirtySet::Key key, uint64_t page);
  void OnCopied(const DirtySet::Key& key, uint64_t page, const KeyCopied& result);
  void TidyPages();
  static uint64_t HashOf(int db, const std::string& key);
  void BeginDatabase(int db, std::string cursor);
  bool HasNextDatabase() const;
  void NextDatabase();
  void Finish(State state, std::string why);
  uint64_t Seen() const { return secondary_side_ || !scope_.whole() ? visited_ : keys_done_; }

  Io* io_;
  const BackfillConfig* config_;
  DirtySet* dirty_;
  Lane* lane_;
  KeyCopier* copier_ = nullptr;
  std::function<void(bool)> done_;
  std::unique_ptr<Timer> timer_;

  State state_ = State::kIdle;
  std::string why_;
  SweepScope scope_;
  uint64_t order_ = 0;
  uint64_t run_ = 0;  // answers to an earlier run's questions are ignored
  bool secondary_side_ = false;
  int db_ = 0;
  std::string cursor_ = "0";
  bool scanned_ = false;  // this database has been scanned to its end
  bool asking_ = false;   // a SCAN is under way
  std::deque<Page> pages_;
  uint64_t first_page_ = 0;               // the number of pages_.front()
  std::deque<Found> found_;               // keys still to be copied
  absl::flat_hash_set<uint64_t> copied_;  // what the first scan has copied; beyond its bound keys are copied twice
  size_t in_flight_ = 0;
  CopyPace pace_;
  RateMeter speed_, sight_;
  int64_t own_keys_per_second_ = 0, own_bytes_per_second_ = 0;
  uint64_t visited_ = 0;     // places that SCAN has looked at, in this half
  uint64_t side_total_ = 0;  // keys in all databases that are scanned, in this half
  uint64_t keys_done_ = 0, keys_total_ = 0, keys_rechecked_ = 0, keys_failed_ = 0, bytes_ = 0;
  std::deque<Failure> failures_;
};

}  // namespace crossfade
