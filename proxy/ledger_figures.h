// What is known of a whole migration, over every run of the proxy: plain data. Proxy/ledger keeps it, proxy/ledger_json
// writes it down and reads it again, the report is made of it.
//
// What always holds: whatever was in the file, every figure is within what can be computed with (at most kMostFigure),
// every list within its bound; and a list that is full says how many there were.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/latency.h"
#include "routing/coverage.h"
#include "routing/migration.h"
#include "routing/preflight_facts.h"

namespace crossfade {

// By name, so that the file, the report and the tests mean the same.
struct CounterField {
  const char* name;
  uint64_t& (*of)(Counters& counters);
};
std::span<const CounterField> CounterFields();

// By command, or by prefix; names as EscapedName gives them.
using Tallies = std::map<std::string, Tally>;

// A list that forgets its oldest, and counts them.
template <typename T, size_t kMost>
struct Newest {
  std::deque<T> items;
  uint64_t forgotten = 0;

  T& Add(T item) {
    if (full()) {
      items.pop_front();
      ++forgotten;
    }
    items.push_back(std::move(item));
    return items.back();
  }
  bool full() const { return items.size() >= kMost; }
  uint64_t all() const { return forgotten + items.size(); }
};

struct LedgerFigures {
  // One run of the proxy.
  struct Run {
    int64_t started_ms = 0, seen_ms = 0;  // seen: when it was last known to live; in order: its end
    bool in_order = false;
    std::string version, config_hash;
  };
  // Between two runs. What the one before did after from_ms is not in the figures if it ended in disorder.
  struct Gap {
    int64_t from_ms = 0, to_ms = 0;
    bool in_order = false;
  };
  // A time in which something was not as it should be. to_ms is 0 while it lasts.
  struct Spell {
    std::string what, why;
    int64_t from_ms = 0, to_ms = 0;
  };
  struct Verification {
    int64_t started_ms = 0, ended_ms = 0;
    std::string state;
    bool full = false, repair = false;
    uint64_t checked = 0, equal = 0, differing = 0, repaired = 0;
    uint64_t undecided = 0, not_comparable = 0, left_out = 0;
  };
  struct Preflight {
    int64_t at_ms = 0;
    std::vector<Finding> findings;
  };
  // A confirmed mismatch, without values.
  struct Mismatch {
    int64_t at_ms = 0;
    int db = 0;
    std::string command, key;  // the key as EscapedName gives it, cut
    std::string old_digest, new_digest;
  };

  static constexpr uint64_t kMostFigure = uint64_t{1} << 60;
  static constexpr size_t kMostTallies = 600;  // beyond: "(other)"
  static constexpr size_t kMostFindings = 100;
  static constexpr size_t kMostKeyBytes = 200, kMostTextBytes = 1000;

  std::string instance;  // whose figures: the state directory's name for itself
  int64_t began_ms = 0;  // before that nothing is known
  int64_t saved_ms = 0;

  Counters all, agreed;                                     // ever; while the stores were taken to agree
  LatencyHistogram latency[2][std::size(kLatencyClasses)];  // by Side
  Tallies commands, prefixes;                               // ever
  Tallies agreed_commands, agreed_prefixes;                 // while the stores were taken to agree

  int64_t running_ms = 0;
  int64_t observed_ms = 0;  // the stores were taken to agree, both were up, and every write was followed
  int64_t doubted_ms = 0;   // when they last ceased to be taken to agree; 0: never
  bool agree = false;       // are they now?

  uint64_t crashes = 0;       // ends in disorder
  uint64_t lost_ledgers = 0;  // figures of an earlier time could not be read
  uint64_t gaps_ms = 0;
  int64_t longest_forgotten_gap_ms = 0;
  Newest<Run, 100> runs;
  Newest<Gap, 100> gaps;
  Newest<Spell, 100> spells;
  Newest<Verification, 20> verifications;
  Newest<Mismatch, 100> mismatches;
  std::optional<Preflight> preflight;

  const LatencyHistogram& latency_of(Side side, LatencyClass what) const {
    return latency[static_cast<int>(side)][static_cast<int>(what)];
  }
};

// At most so many bytes of it, cut between characters of UTF-8.
std::string CutText(std::string_view text, size_t most);

// `*to` += the difference of `now` and `before`, an earlier state. What has become less, which nothing does, adds 0.
void AddSince(const Counters& now, const Counters& before, Counters* to);
void AddSince(const Tallies& now, const Tallies& before, Tallies* to);

}  // namespace crossfade
