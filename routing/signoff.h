// May somebody sign that the new store can take over? Judges the figures of a whole migration by the thresholds of
// [signoff], criterion by criterion. Pure: who collects the figures is proxy/report_collect, and
// the figures reach back over restarts of the proxy (proxy/ledger).
//
// What always holds: no figure without a sample. Where nothing was counted nothing is known, and the verdict is
// INSUFFICIENT, whatever the thresholds: zero comparisons are not zero mismatches. A share is judged by the bound that
// holds with 95 % confidence (routing/bounds), not by what happened to be seen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "routing/migration.h"

namespace crossfade {

// The worse, the larger.
enum class Verdict : uint8_t { kPass, kInsufficient, kFail };
const char* Name(Verdict verdict);

// Of what was read, and can be compared: how much was.
struct CoverageFacts {
  uint64_t seen = 0, covered = 0;
  std::vector<std::string> uncovered;  // the first few
};

struct SignoffFacts {
  int64_t now_ms = 0;

  // While the stores were taken to agree.
  uint64_t compared = 0;    // reads
  uint64_t expiring = 0;    // of these: differed because a key was just expiring, so nothing is known
  uint64_t mismatched = 0;  // of these: confirmed
  uint64_t followed = 0;    // writes
  uint64_t diverged = 0;    // writes that the secondary answered otherwise
  uint64_t looked_again = 0, differed_later = 0;  // keys, once they were quiet
  uint64_t scripts_failed = 0;                    // that name no keys, and did something else on the secondary
  int64_t observed_ms = 0;                        // so long, with every write followed
  CoverageFacts commands, prefixes;

  // Now.
  Synced synced = Synced::kNo;
  std::string unsynced_why;
  bool following = false;
  uint64_t dirty_keys = 0;
  bool everything_dirty = false;
  uint64_t not_copied = 0;  // of the dirty keys: known not to be copyable so far

  // The last whole verification that came to its end; `keys` is 0 when there was none.
  struct Verification {
    bool any = false;
    int64_t started_ms = 0, ended_ms = 0;
    uint64_t keys = 0, differing = 0, repaired = 0;
    uint64_t undecided = 0, not_comparable = 0, left_out = 0;
    uint64_t differing_since = 0;  // found by others, whole or not, finished or not, that began later
  } verification;
  int64_t doubted_ms = 0;  // when the stores last ceased to be taken to agree; 0: never

  struct Preflight {
    bool any = false;
    int64_t at_ms = 0;
    int passed = 0, warnings = 0, failed = 0;
  } preflight;

  // Of old and of new, reads.
  int64_t p99_us[2] = {0, 0};
  uint64_t timed[2] = {0, 0};

  std::vector<FlipRecord> flips;
  uint64_t crashes = 0;       // ends of the proxy in disorder
  uint64_t lost_ledgers = 0;  // figures of an earlier time that could not be read
  struct Gap {
    int64_t from_ms = 0, to_ms = 0;
  };
  std::vector<Gap> gaps;        // without a proxy
  uint64_t more_gaps = 0;       // that there was no room for
  int64_t longest_more_ms = 0;  // … the longest of them
  uint64_t requests = 0;        // reads and writes, ever
  uint64_t errors = 0;          // of these: failed by the proxy or the secondary
};

struct Criterion {
  std::string name;     // "mismatch_rate"
  std::string title;    // "Share of reads that differ"
  std::string demands;  // in words, with the threshold
  std::string found;    // in words
  std::optional<double> figure, threshold, bound;
  std::string unit;          // of these three: "%", "ms", or what is counted
  std::string bound_method;  // empty: no bound
  uint64_t samples = 0;      // that the figure is made of
  std::string samples_of;    // what these are
  Verdict verdict = Verdict::kInsufficient;
  std::string remedy;  // empty when it passes
};

// Always the same criteria, in the same order.
std::vector<Criterion> JudgeSignoff(const SignoffConfig& demands, const SignoffFacts& facts);
// FAIL if any fails, else INSUFFICIENT if any lacks data, else PASS. Of no criteria: INSUFFICIENT.
Verdict TotalVerdict(const std::vector<Criterion>& criteria);

// Was new made the primary, without force, and old again after that?
bool RollbackRehearsed(const std::vector<FlipRecord>& flips);

}  // namespace crossfade
