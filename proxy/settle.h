// Compares keys again once they have been quiet: those touched by what can't be proved to repeat equally (scripts,
// module writes, effects of private connections), and a share of all other writes (DESIGN.md, section 5). What differs
// is made dirty, so that it is repaired. This also finds what writers did that reach a store without this proxy.
//
// A key waits in the order of its last touch, at most limits.settle_keys of them, with names of
// DirtySet::kNameBytes for each on the whole; beyond, further ones are left out, and counted. It is compared
// (proxy/key_check) when it has been quiet for settle.quiet_ms, at most settle.keys_per_second, and only while both
// stores are up, following and synced. Touched during its check, it is checked again later. A dirty key is dropped: its
// repair copies it. Owned by Proxy; runs on the loop thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "conf/config.h"
#include "protocol/request.h"
#include "proxy/io.h"
#include "proxy/key_check.h"
#include "proxy/lane.h"
#include "routing/dirty_set.h"
#include "routing/migration.h"

namespace crossfade {

class Settle {
 public:
  // All must outlive this object. `wake_repair` is called when a key was made dirty.
  Settle(Io* io, const Config* config, const Migration* migration, DirtySet* dirty, Counters* counters, Lane* lane,
         KeyCheck* check, std::function<void()> wake_repair);

  // The key was written just now, by something that is to be checked.
  void Touch(int db, std::string_view key);
  // The key was written by anything else: settle.share percent of these are touched. `dice` are 64 random bits.
  void Sample(int db, std::string_view key, uint64_t dice);

  // Is it yet to be proved that this key is equal? What is written from it is to be touched as well.
  bool Waits(int db, std::string_view key);
  // The primary accepted this SWAPDB: keys that wait are in the other database now.
  void DatabasesSwapped(RequestView request);

  // While a flip drains the lane, no check may begin.
  void set_paused(bool paused) { paused_ = paused; }

  size_t waiting() const { return waiting_.size(); }
  size_t in_flight() const { return checking_.size(); }

 private:
  struct Entry {
    std::string name;  // db_key.h
    int64_t touched_us = 0;
  };
  using Entries = std::list<Entry>;  // the longest quiet first

  const std::string& NameOf(int db, std::string_view key);  // valid until the next call
  bool CanCheck() const;
  void Work();
  void Schedule();
  void CheckFront();
  void Judge(int db, const std::string& key, const KeyVerdict& verdict);
  void Differs(int db, const std::string& key, const KeyVerdict& verdict);

  static constexpr size_t kMaxInFlight = 32;  // each may hold two values of limits.settle_value_bytes
  static constexpr int64_t kStepMs = 10;
  static constexpr int64_t kPauseMs = 200;  // while no check can be made
  static constexpr int kLoggedPerSecond = 5;

  Io* io_;
  const Config* config_;
  const Migration* migration_;
  DirtySet* dirty_;
  Counters* counters_;
  Lane* lane_;
  KeyCheck* check_;
  std::function<void()> wake_repair_;
  Entries waiting_;
  size_t name_bytes_ = 0;                                              // of waiting_
  absl::flat_hash_map<absl::string_view, Entries::iterator> by_name_;  // names of the entries
  absl::flat_hash_set<std::string> checking_;  // names; a key that is touched meanwhile waits as well
  std::unique_ptr<Timer> timer_;
  bool timer_on_ = false;
  bool paused_ = false;
  double allowance_ = 0;  // keys that may be checked now
  int64_t refilled_us_ = 0;
  int64_t logged_second_ = 0;
  int logged_ = 0;
  std::string scratch_;
};

}  // namespace crossfade
