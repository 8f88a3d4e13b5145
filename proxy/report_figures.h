// All that a report says, as plain data: collected once (proxy/report_collect), then written as JSON, Markdown and HTML
// (proxy/report_json, report_markdown, report_html), so that the three can't differ. No credentials are in it, and no
// value of a key unless somebody asked for values and the configuration keeps them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "proxy/ledger_figures.h"
#include "routing/signoff.h"

namespace crossfade {

// What a store says of itself, asked for the report.
struct StoreTold {
  std::string refused = "it was not asked";  // empty: it has answered
  uint64_t used_memory = 0, maxmemory = 0;
  uint64_t hits = 0, misses = 0;  // of reads, since it was started, by everybody
  int64_t uptime_ms = 0;
  int64_t keys = 0;
};

struct ReportFigures {
  struct Store {
    Side side = Side::kOld;
    std::string role, address, state, product, version;
    StoreTold told;
  };
  struct CoverageRow {
    std::string name;
    Tally ever, agreed;
    bool counts = true;  // is it among what must be covered?
    bool covered = false;
    std::string why;  // it doesn't count
  };
  struct Mismatch {
    LedgerFigures::Mismatch what;
    std::optional<std::string> old_value, new_value;  // as EscapedName gives them, cut
  };
  // What is not on the other store, or not as it should be, and why.
  struct NotMigrated {
    std::string what, why, remedy;
  };
  struct Difference {
    int db = 0;
    std::string key, kind;
    bool repaired = false;
  };
  struct Flip {
    FlipRecord what;
    std::string who;  // empty: nobody has written it down
  };
  struct AuditEntry {
    int64_t at_ms = 0;
    std::string who, what, from, to, outcome, reason;
  };
  struct Backfill {
    std::string state, why, match, type;
    int db = -1;
    int64_t started_ms = 0, ended_ms = 0;
    uint64_t keys_done = 0, keys_total = 0, keys_rechecked = 0, keys_failed = 0, bytes = 0;
  };
  struct ErrorKind {
    const char* name;
    const char* meaning;
    uint64_t count = 0;
    bool counts = true;  // in the error rate
  };

  int64_t made_ms = 0;
  std::string version, config_file, config_hash;
  int64_t config_loaded_ms = 0, started_ms = 0;
  SignoffConfig demands;
  RoutingConfig routing;
  Synced synced = Synced::kNo;
  std::string unsynced_why;
  bool cold = false;
  uint64_t dirty_keys = 0;
  bool everything_dirty = false;
  std::vector<std::string> attention;

  Store stores[2];  // by Side
  LedgerFigures ledger;
  std::vector<CoverageRow> commands, prefixes;
  std::vector<Mismatch> mismatches;  // the newest first
  uint64_t mismatches_more = 0;
  bool values_asked = false, values_kept = false;
  std::vector<NotMigrated> not_migrated;
  std::optional<Backfill> backfill;
  std::vector<Difference> differences;  // of the last verification
  uint64_t differences_more = 0;
  std::vector<Flip> flips;
  std::vector<AuditEntry> audit;  // the newest first; empty: there is none
  std::vector<ErrorKind> errors;

  SignoffFacts facts;
  std::vector<Criterion> criteria;
  Verdict verdict = Verdict::kInsufficient;
};

}  // namespace crossfade
