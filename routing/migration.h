// Where a migration stands: the roles, the knobs, and whether the secondary can be trusted with reads and with the
// primary's role. Plain data and the questions that it answers; who changes it says so in the log, and the state file
// keeps it. Every rule here holds with the two backends swapped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conf/config.h"

namespace crossfade {

enum class Synced : uint8_t { kNo, kCopying, kYes };
inline constexpr const char* Name(Synced synced) {
  return synced == Synced::kYes ? "yes" : synced == Synced::kCopying ? "copying" : "no";
}

struct FlipRecord {
  int64_t at_ms = 0;  // wall clock
  Side to = Side::kNew;
  double pause_ms = 0;
  bool forced = false;
};

struct Migration {
  uint64_t epoch = 1;  // raised by every flip
  RoutingConfig routing;
  Synced synced = Synced::kNo;
  std::string unsynced_why = "the stores have not been seen yet";
  // The operator said that the secondary may lack what was there before: a cache that may start empty.
  bool cold = false;
  // Not empty: the primary came back without its memory. Sweeps and repairs wait for resync or a forced flip.
  std::string distrust;
  // Not empty: the secondary holds what the primary lacks, because it was the primary until a cold flip. A sweep would
  // remove that, so none begins until resync, or a flip back.
  std::string keep_secondary;
  // In journal mode: since when every written key has been remembered, by the wall clock. A snapshot of the primary
  // that was begun later, and these keys, are together all that the secondary needs. 0: not so.
  int64_t journal_since_ms = 0;
  std::vector<FlipRecord> flips;

  Side primary() const { return routing.primary; }
  Side secondary() const { return OtherSide(routing.primary); }
  bool following() const { return routing.secondary == SecondaryMode::kFollow; }
  // The servers' own replication carries every write: the lane sends nothing. Dirty is what that does not carry
  // exactly.
  bool replicating() const { return routing.secondary == SecondaryMode::kReplica; }

  // May reads be shifted and the stores be flipped? Empty when they may, else why not.
  std::string WhyNotReadable(bool cold_allowed) const {
    if (!distrust.empty()) return distrust;
    if (!following())
      return std::string("the secondary does not follow (secondary = \"") + Name(routing.secondary) + "\")";
    if (synced != Synced::kYes && !cold_allowed) {
      return std::string("not synced (") + Name(synced) + "): " + unsynced_why +
             "; run a backfill, or say cold if new may start empty";
    }
    return {};
  }
};

// What has happened, for the status and the report. Only ever grows.
struct Counters {
  uint64_t writes_total = 0;         // accepted by the primary
  uint64_t writes_followed = 0;      // … and agreed on by the secondary, or without an effect to follow
  uint64_t writes_diverged = 0;      // the secondary answered differently, on keys that were clean
  uint64_t writes_on_dirty = 0;      // … on keys that were still waiting for their copy
  uint64_t writes_refused = 0;       // the secondary answered an error
  uint64_t writes_not_followed = 0;  // not sent: away, queue full, journal, off
  uint64_t expiry_races = 0;         // written so near an expiry that the keys were copied to be sure
  uint64_t reads[2] = {0, 0};        // answered by old, by new
  uint64_t reads_compared = 0;
  uint64_t reads_mismatched = 0;      // confirmed by a second look
  uint64_t reads_unconfirmed = 0;     // the first look differed, the second didn't
  uint64_t reads_expiring = 0;        // differed because a key was just expiring
  uint64_t reads_not_comparable = 0;  // a copy of the key was still outstanding, or the secondary away
  uint64_t reads_fallback = 0;        // routed to the secondary, answered by the primary
  uint64_t reads_failed = 0;          // … for a reason that is the secondary's: away, too late, an error of its own
  uint64_t reads_retried = 0;         // asked again after the primary's connection broke
  uint64_t unknown_outcomes = 0;      // writes whose connection broke before the answer
  uint64_t queue_overflows = 0;
  uint64_t both_refused = 0;            // PUBLISH, SCRIPT LOAD, FUNCTION …: the secondary answered an error
  uint64_t scripts_unnamed = 0;         // scripts without declared keys: run on both, never checked again
  uint64_t scripts_unnamed_failed = 0;  // … of which the secondary's differed or failed: what they wrote is unknown
  uint64_t acks_failed = 0;             // ack = both: the secondary refused or was too slow
  uint64_t clients_refused = 0;
  uint64_t clients_total = 0;

  // Keys compared again once they were quiet.
  uint64_t settle_checked = 0;         // the sum of the next four
  uint64_t settle_equal = 0;           // the same on both
  uint64_t settle_differed = 0;        // not the same: repaired
  uint64_t settle_too_big = 0;         // not compared: beyond limits.settle_value
  uint64_t settle_not_comparable = 0;  // not compared: a module's value, or a server refused to answer
  uint64_t settle_left_out = 0;        // should have been, but too many waited
};

}  // namespace crossfade
