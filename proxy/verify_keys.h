// Decides about single keys for a verification: is this key the same on both stores? Looks (proxy/key_check, and for
// large values proxy/window_check) as often as it takes, and only then counts it in the VerifyResult.
//
// A difference counts when it was seen twice with a pause between, on a key that is neither dirty nor expiring: so
// nothing that is on its way is taken for one (I7). Who is busy, expiring or dirty is asked again, later and later;
// whoever still is after kMaxTries is counted as undecided, never as equal. With `repair` a key that differs is made
// dirty, and looked at again once its repair is over. Bounded: room() says whether another key may come. Owned by
// Verify.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "proxy/io.h"
#include "proxy/key_check.h"
#include "proxy/lane.h"
#include "proxy/verify_result.h"
#include "proxy/window_check.h"
#include "routing/dirty_set.h"
#include "routing/migration.h"

namespace crossfade {

class VerifyKeys {
 public:
  // All must outlive this object. `wake_repair` is called when a key was made dirty.
  VerifyKeys(Io* io, const Migration* migration, DirtySet* dirty, Lane* lane, KeyCheck* check, VerifyResult* result,
             std::function<void()> wake_repair);

  // Nothing is known of any key; what was under way is forgotten.
  void Reset();
  // REQUIRES: room(). `again`: it was counted already, or will be; only a difference counts.
  void Look(int db, std::string key, bool again);
  // Looks at keys whose pause is over, and at the next windows of large ones. Returns how many looks were begun, at
  // most `allowance`.
  int Step(int allowance);
  // The primary has accepted a write to this key.
  void OnWritten(int db, std::string_view key, std::string_view command, RequestView request) {
    for (WindowCheck& window : windows_) window.OnWritten(db, key, command, request);
  }

  // A key and its database as one name.
  static std::string NameOf(int db, std::string_view key) { return std::to_string(db).append(":").append(key); }

  bool room() const { return in_flight_ < kMaxInFlight && waiting_.size() + big_.size() < kMaxWaiting; }
  // Is this key being decided?
  bool Deciding(int db, std::string_view key) const { return deciding_.contains(NameOf(db, key)); }
  // No key is being decided.
  bool idle() const { return deciding_.empty(); }

 private:
  static constexpr size_t kMaxInFlight = 32;  // each may hold two values of limits.settle_value
  static constexpr size_t kMaxWaiting = 10'000;
  static constexpr size_t kMaxReported = 1'000'000;  // hashes of keys that differ; beyond, one may be told twice
  static constexpr int64_t kConfirmMs = 150;
  static constexpr int kLooks = 2;              // that find a difference, before it counts …
  static constexpr int kLooksWhenUnknown = 10;  // … while expiries are unknown: each may be late on one side
  static constexpr int64_t kFirstPauseMs = 50, kLongestPauseMs = 1000;
  static constexpr int kMaxTries = 20;        // with pauses, some 17 s
  static constexpr int kMaxDirtyTries = 120;  // a repair may be waiting for its turn, or be refused for a while
  static constexpr int kMaxRepairs = 3;

  struct Entry {
    int db = 0;
    std::string key;
    bool again = false;
    int differed = 0;  // looks so far that found a difference
    bool reported = false;
    bool told_twice = false;                   // an earlier entry has counted this key's difference
    size_t listed = VerifyResult::kMaxListed;  // where it is among the differences
    int tries = 0, dirty_tries = 0, repairs = 0;
    int64_t first_us = 0;
  };
  using EntryPtr = std::shared_ptr<Entry>;  // owned by the check's callback, which must be copyable: no second owner

  void Ask(const EntryPtr& entry);
  void Judge(const EntryPtr& entry, const KeyVerdict& verdict);
  void Differs(const EntryPtr& entry, const KeyVerdict& verdict);
  void Report(const EntryPtr& entry, KeyDifference difference);
  void LookLater(const EntryPtr& entry, Undecided why);
  void Wait(const EntryPtr& entry, int64_t pause_ms);
  void Equal(const EntryPtr& entry);
  void Count(const EntryPtr& entry, uint64_t* counter);

  Io* io_;
  const Migration* migration_;
  DirtySet* dirty_;
  Lane* lane_;
  KeyCheck* check_;
  VerifyResult* result_;
  std::function<void()> wake_repair_;
  WindowCheck windows_[4];       // so many large values at once
  uint64_t windows_before_ = 0;  // read by earlier runs
  uint64_t run_ = 0;             // verdicts of an earlier run are ignored
  size_t in_flight_ = 0;
  std::multimap<int64_t, EntryPtr> waiting_;        // by the time of the next look
  std::deque<EntryPtr> big_;                        // to be read in windows, one after another
  absl::flat_hash_map<std::string, int> deciding_;  // by NameOf: how many entries
  absl::flat_hash_set<uint64_t> reported_;
};

}  // namespace crossfade
