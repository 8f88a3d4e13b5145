// The keys on which the secondary may differ. A key is dirty from the moment we can't say that the stores agree on it,
// until a copy that ran after that moment has reached the secondary. Pure bookkeeping: repair acts on it.
//
// Every mark carries the order number of the lane slot that caused it. A copy is a slot too: it resolves a key only if
// no slot after the copy's has marked it again. When there are too many keys to remember, everything is dirty instead:
// single keys are forgotten, and only a sweep that began afterwards may say otherwise.
// Bounded by the limit given at construction, in keys and in the bytes of their names. What is marked is in the KeyLog
// before Mark returns, so a crash of the process forgets nothing. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "routing/key_log.h"

namespace crossfade {

enum class DirtyCause : uint8_t {
  kReplyDiffered,   // the secondary answered a write differently
  kRefused,         // the secondary answered an error
  kUnknownOutcome,  // a connection broke before the answer
  kSecondaryAway,   // written while the secondary could not be reached
  kQueueFull,       // dropped from the secondary's queue
  kNotFollowed,     // written in journal mode
  kExpiryRace,      // written so close to its expiry that each store may have seen another key
  kReadMismatch,    // a comparison of reads found a confirmed difference
  kMiss,            // on_miss = "primary": new lacked the key
  kEffectUnknown,   // an effect that can't be repeated from the reply
  kDirtySource,     // written from a key that was dirty on the secondary
  kSettleDiffered,  // compared again once it was quiet, and different
  kBreakerOpen,     // written while the breaker kept everything from the secondary
  kCopying,         // copied in pieces: until all of them are there, no read may go there
  kVerifyDiffered,  // a verification that repairs found a confirmed difference
};
inline constexpr int kDirtyCauses = 15;
const char* Name(DirtyCause cause);

class DirtySet {
 public:
  struct Key {
    int db = 0;
    std::string name;
  };

  // What the names may hold altogether, for each key that is allowed: longer ones leave room for fewer keys.
  static constexpr size_t kNameBytes = 256;

  explicit DirtySet(size_t max_keys) : max_keys_(max_keys) {}
  // With more keys than that, the next mark makes everything dirty.
  void set_max_keys(size_t max_keys) { max_keys_ = max_keys; }

  // Where it is kept over a crash; without one it is in memory only. Must outlive this object.
  void set_log(KeyLog* log) { log_ = log; }
  // A key that the log has at `place` since before the process began: dirty since slot 0.
  void Adopt(int db, std::string_view key, DirtyCause cause, KeyLog::Place place);

  void Mark(int db, std::string_view key, DirtyCause cause, uint64_t order);
  // Every key: the queue of names overflowed, or the secondary has lost what it had.
  void MarkEverything(uint64_t order);

  // These keys were of other stores: nothing is dirty.
  void Forget();

  // SWAPDB in the slot `order`: what was dirty in one of the two may now differ in the other. Both are kept.
  void SpreadOverDatabases(int a, int b, uint64_t order);

  bool Contains(int db, std::string_view key) const;
  // Ignores "everything": is this very key remembered?
  bool Remembers(int db, std::string_view key) const;

  size_t size() const { return entries_.size(); }
  // Keys whose last copy failed, and which wait to be tried again; a few may be clean already.
  size_t pausing() const { return waiting_.size(); }
  bool everything() const { return everything_; }
  bool clean() const { return entries_.empty() && !everything_; }

  // Somebody has just read this key: if it is dirty, and not waiting for a pause to end, it is copied next.
  void Wanted(int db, std::string_view key);

  // The next key to copy, the last one wanted first, then the oldest; false when none is due at `now_ms`. It is not
  // handed out again until CopyFailed or a new Mark.
  bool TakeForRepair(int64_t now_ms, Key* key);
  // A copy in the slot `copy_order` reached the secondary. True if the key is clean now.
  bool CopyDone(const Key& key, uint64_t copy_order);
  // Tried again after a pause that doubles from 50 ms to 30 s.
  void CopyFailed(const Key& key, int64_t now_ms);

  // A sweep that began at `sweep_order` has copied everything. True if that made an end of "everything".
  bool SweepDone(uint64_t sweep_order);

  uint64_t marked(DirtyCause cause) const { return marked_[static_cast<int>(cause)]; }
  uint64_t overflows() const { return overflows_; }
  uint64_t repaired() const { return repaired_; }

 private:
  struct Entry {
    uint64_t order = 0;
    uint64_t ticket = 0;  // of its place in ready_ or waiting_; 0: handed out
    int attempts = 0;
    bool waits = false;  // it is in waiting_
    KeyLog::Place logged = KeyLog::kNowhere;
  };
  // A place in a queue. It counts only while the key's entry has its ticket: a key made clean leaves its place behind.
  struct Place {
    uint64_t ticket = 0;
    std::string name;
  };
  bool Counts(const Place& place) const;
  Entry* Add(std::string_view name, uint64_t order);
  void ForgetKeys();
  void TidyLog();
  // Forgets places that don't count once they are the most, so that the queues are bounded by the entries.
  void Compact();
  // A key's name in the map (db_key.h); valid until the next call.
  std::string_view Compose(int db, std::string_view key) const;

  size_t max_keys_;
  KeyLog* log_ = nullptr;
  absl::flat_hash_map<std::string, Entry> entries_;
  std::deque<Place> ready_;
  absl::btree_multimap<int64_t, Place> waiting_;  // by the time of the next attempt
  size_t name_bytes_ = 0;                         // of entries_
  bool everything_ = false;
  uint64_t everything_order_ = 0;
  uint64_t last_ticket_ = 0;
  uint64_t overflows_ = 0;
  uint64_t repaired_ = 0;
  std::array<uint64_t, kDirtyCauses> marked_{};
  mutable std::string scratch_;
};

}  // namespace crossfade
