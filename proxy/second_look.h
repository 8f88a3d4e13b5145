// A difference between two reads is asked about once more before it counts: both stores, at one logical instant, with
// the keys' times to live beside. Only what still differs then, on clean keys that are not just expiring, is a
// mismatch (I7). It is recorded, and its keys are made dirty, so that they are repaired and not read from the
// secondary.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/lane.h"
#include "proxy/repair.h"

namespace crossfade {

struct Mismatch {
  int64_t at_ms = 0;
  int db = 0;
  std::string command;  // its name
  std::string key;      // the first one
  uint64_t primary_digest = 0, secondary_digest = 0;
  std::string primary_value, secondary_value;  // RESP; only when mismatches.keep_values
  Side primary = Side::kOld;
};

class SecondLook {
 public:
  // All must outlive this object.
  SecondLook(Io* io, const Config* config, const Migration* migration, DirtySet* dirty, Counters* counters, Lane* lane,
             Repair* repair);

  // Counts the mismatches. Must outlive this object.
  void set_coverage(Coverage* coverage) { coverage_ = coverage; }
  // REQUIRES: a compared read whose replies differ. The slot is read during the call only.
  void Start(const Slot& slot);

  const std::deque<Mismatch>& mismatches() const { return mismatches_; }  // the newest last
  uint64_t dropped() const { return dropped_; }                           // for which there was no room
  size_t in_flight() const { return in_flight_; }

 private:
  struct Case;
  bool MayHaveExpired(const Case& look, const Answers& answers) const;
  bool MayHaveExpiredUnseen(const Answers& answers) const;
  void MarkDirty(const Case& look, DirtyCause cause);
  void Judge(const Case& look, const Answers& answers);
  void Record(const Case& look, const std::string& primary, const std::string& secondary);

  static constexpr size_t kMaxInFlight = 4096;
  static constexpr size_t kMaxKeys = 64;                                              // whose times to live are asked
  static constexpr size_t kMaxKeptKeyBytes = 4 << 10, kMaxKeptValueBytes = 64 << 10;  // of a mismatch: the beginning

  Io* io_;
  const Config* config_;
  const Migration* migration_;
  DirtySet* dirty_;
  Counters* counters_;
  Lane* lane_;
  Repair* repair_;
  Coverage* coverage_ = nullptr;
  size_t in_flight_ = 0;
  uint64_t dropped_ = 0;
  std::deque<Mismatch> mismatches_;
};

}  // namespace crossfade
