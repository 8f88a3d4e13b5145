#include "proxy/report_collect.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "proxy/ledger.h"
#include "proxy/proxy.h"
#include "proxy/status_json.h"
#include "routing/command_table.h"
#include "routing/figures_text.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

constexpr size_t kMostMismatches = 100, kMostDifferences = 100, kMostKeys = 50, kMostAudit = 100;
constexpr size_t kMostUncovered = 10, kMostValueBytes = 256, kMostFlips = 100;
constexpr char kOther[] = "(other)";
constexpr char kNoKey[] = "(no key)";

std::string Shortened(const std::string& text, size_t most) {
  return text.size() <= most ? text : CutText(text, most) + "…";
}

std::string Shown(std::string_view bytes, size_t most) {
  return EscapedName(bytes.substr(0, most)) + (bytes.size() > most ? "…" : "");
}

ReportFigures::Store StoreOf(const Proxy& proxy, Side side, const StoreTold& told) {
  const Upstream& upstream = proxy.lane().link(side).upstream();
  const ServerInfo& info = upstream.info();
  return {side,
          side == proxy.migration().primary() ? "primary" : "secondary",
          upstream.address().ToString(),
          upstream.StateWord(),
          info.product,
          info.version,
          told};
}

// Those of this run have their values, if they were kept.
void AddMismatches(const Proxy& proxy, ReportFigures* figures) {
  const auto& live = proxy.second_look().mismatches();
  const auto value_of = [&](const LedgerFigures::Mismatch& one, Side side) -> std::optional<std::string> {
    if (!figures->values_asked || !figures->values_kept) return std::nullopt;
    for (const Mismatch& candidate : live) {
      const std::string key = EscapedName(std::string_view(candidate.key).substr(0, LedgerFigures::kMostKeyBytes));
      if (candidate.at_ms != one.at_ms || candidate.command != one.command || key != one.key) continue;
      return Shown(candidate.primary == side ? candidate.primary_value : candidate.secondary_value, kMostValueBytes);
    }
    return std::nullopt;
  };
  const auto& kept = figures->ledger.mismatches.items;
  for (auto it = kept.rbegin(); it != kept.rend() && figures->mismatches.size() < kMostMismatches; ++it)
    figures->mismatches.push_back({*it, value_of(*it, Side::kOld), value_of(*it, Side::kNew)});
  const uint64_t listed = figures->mismatches.size(), all = figures->ledger.all.reads_mismatched;
  figures->mismatches_more = all - std::min(all, listed);
}

void AddKeysNotCopied(const Proxy& proxy, ReportFigures* figures) {
  uint64_t more = 0;
  for (const Sweep::Failure& failure : proxy.sweep().failures()) {
    if (!proxy.dirty().Remembers(failure.key.db, failure.key.name)) continue;
    ++figures->facts.not_copied;
    if (figures->not_migrated.size() >= kMostKeys) {
      ++more;
      continue;
    }
    figures->not_migrated.push_back(
        {fmt::format("key {} in database {}", Shown(failure.key.name, LedgerFigures::kMostKeyBytes), failure.key.db),
         failure.why, "it is tried again by itself; mend what the reason names"});
  }
  if (more > 0)
    figures->not_migrated.push_back({CountOf(more, "more key"), "could not be copied either", "crossfade backfill"});
}

// What no backfill brings over, or what nobody could look at.
void AddNotMigrated(const Proxy& proxy, ReportFigures* figures) {
  AddKeysNotCopied(proxy, figures);
  const Counters& all = figures->ledger.all;
  const auto add = [&](uint64_t count, const char* what, const char* why, const char* remedy) {
    if (count > 0) figures->not_migrated.push_back({CountOf(count, what), why, remedy});
  };
  add(all.scripts_unnamed, "call of scripts without declared key",
      "what they wrote is followed by running them on both, and is neither copied nor compared",
      "declare their keys; a verification shows whether the stores agree");
  add(all.both_refused, "message or definition", "PUBLISH, SCRIPT LOAD, FUNCTION …: the secondary refused it",
      "crossfade copy functions; messages are not sent again");
  add(all.settle_too_big, "key look", "too large to be compared again (limits.settle_value)", "crossfade verify");
  add(all.settle_not_comparable, "key look", "not comparable: a module's value, or a store refused to answer",
      "compare them by other means");
  add(all.settle_left_out, "key look", "left out: more waited than limits.settle_keys", "crossfade verify");
  if (const std::string& why = proxy.copier().restore_refused(); !why.empty()) {
    figures->not_migrated.push_back({"keys as they are (RESTORE)", "the secondary refuses it: " + why,
                                     "they are copied by the commands of their types; modules' values can't be"});
  }
  if (!figures->ledger.preflight) {
    figures->not_migrated.push_back({"functions and ACL users",
                                     "nobody has looked: they are no keys, so nothing copies "
                                     "them by itself",
                                     "crossfade check, then crossfade copy functions, crossfade copy users"});
    return;
  }
  for (const Finding& finding : figures->ledger.preflight->findings) {
    if (finding.status == CheckStatus::kPass) continue;
    figures->not_migrated.push_back({fmt::format("{} ({} in the check)", finding.name,
                                                 finding.status == CheckStatus::kFail ? "fails" : "a warning"),
                                     finding.found, finding.remedy});
  }
}

void AddVerification(const Proxy& proxy, ReportFigures* figures) {
  const VerifyResult& result = proxy.verify().result();
  for (const VerifyDifference& one : result.differences) {
    if (figures->differences.size() >= kMostDifferences) break;
    figures->differences.push_back(
        {one.db, Shortened(one.key, LedgerFigures::kMostKeyBytes), Name(one.kind), one.repaired});
  }
  figures->differences_more = result.differing() - std::min<uint64_t>(result.differing(), figures->differences.size());
  SignoffFacts::Verification* seen = &figures->facts.verification;
  for (const LedgerFigures::Verification& one : figures->ledger.verifications.items) {
    if (one.state == Name(VerifyState::kDone) && one.full) {
      *seen = {true,         one.started_ms, one.ended_ms,       one.checked,  one.differing,
               one.repaired, one.undecided,  one.not_comparable, one.left_out, 0};
    } else {
      seen->differing_since += one.differing;
    }
  }
  if (proxy.verify().running()) seen->differing_since += result.differing();
}

void AddErrors(ReportFigures* figures) {
  const Counters& all = figures->ledger.all;
  figures->errors = {
      {"writes_refused", "writes that the secondary refused while the stores were taken to agree",
       figures->ledger.agreed.writes_refused, true},
      {"unknown_outcomes", "writes whose connection to the primary broke before the answer", all.unknown_outcomes,
       true},
      {"acks_failed", "writes that the secondary refused, or had not taken in time, with ack = \"both\"",
       all.acks_failed, true},
      {"both_refused", "messages, scripts and functions that the secondary refused", all.both_refused, true},
      {"clients_refused", "connections that were refused", all.clients_refused, true},
      {"reads_fallback", "reads shifted to the secondary that the primary answered after all", all.reads_fallback,
       false},
      {"reads_failed",
       "reads meant for the secondary that it did not answer, answered too late or with an error of its own",
       all.reads_failed, true},
      {"reads_retried", "reads asked again because the primary's connection broke", all.reads_retried, false},
      {"queue_overflows", "times that the secondary's queue was full, and its keys became dirty", all.queue_overflows,
       false}};
  for (const ReportFigures::ErrorKind& kind : figures->errors) {
    if (kind.counts) figures->facts.errors += kind.count;
  }
}

void AddBackfill(const Proxy& proxy, ReportFigures* figures) {
  const auto& record = proxy.backfill().record();
  if (!record) return;
  const bool live = proxy.backfill().active() && proxy.sweep().running();
  const SweepPlace place = live ? proxy.sweep().place() : record->place;
  const SweepScope& scope = record->options.scope;
  figures->backfill = ReportFigures::Backfill{Sweep::Name(live ? proxy.sweep().state() : record->state),
                                              record->why,
                                              Shown(scope.match, 200),
                                              Shown(scope.type, 64),
                                              scope.db,
                                              record->started_ms,
                                              record->ended_ms,
                                              place.keys_done,
                                              place.keys_total,
                                              place.keys_rechecked,
                                              place.keys_failed,
                                              place.bytes};
}

void AddFacts(const Proxy& proxy, ReportFigures* figures) {
  const LedgerFigures& ledger = figures->ledger;
  SignoffFacts* facts = &figures->facts;
  facts->now_ms = figures->made_ms;
  facts->compared = ledger.agreed.reads_compared;
  facts->expiring = ledger.agreed.reads_expiring;
  facts->mismatched = ledger.agreed.reads_mismatched;
  facts->followed = ledger.agreed.writes_followed;
  facts->diverged = ledger.agreed.writes_diverged;
  facts->looked_again = ledger.agreed.settle_checked;
  facts->differed_later = ledger.agreed.settle_differed;
  facts->scripts_failed = ledger.agreed.scripts_unnamed_failed;
  facts->observed_ms = ledger.observed_ms;
  facts->doubted_ms = ledger.doubted_ms;
  facts->commands = CoverageOf(figures->commands);
  facts->prefixes = CoverageOf(figures->prefixes);
  facts->synced = figures->synced;
  facts->unsynced_why = figures->unsynced_why;
  facts->following = proxy.migration().following();
  facts->dirty_keys = figures->dirty_keys;
  facts->everything_dirty = figures->everything_dirty;
  for (Side side : {Side::kOld, Side::kNew}) {
    const LatencyHistogram& reads = ledger.latency_of(side, LatencyClass::kRead);
    facts->p99_us[static_cast<int>(side)] = reads.Percentile(0.99);
    facts->timed[static_cast<int>(side)] = reads.count();
  }
  if (ledger.preflight) {
    facts->preflight = {true, ledger.preflight->at_ms, 0, 0, 0};
    for (const Finding& finding : ledger.preflight->findings) {
      ++(finding.status == CheckStatus::kPass   ? facts->preflight.passed
         : finding.status == CheckStatus::kWarn ? facts->preflight.warnings
                                                : facts->preflight.failed);
    }
  }
  facts->flips = proxy.migration().flips;
  facts->crashes = ledger.crashes;
  facts->lost_ledgers = ledger.lost_ledgers;
  for (const LedgerFigures::Gap& gap : ledger.gaps.items) facts->gaps.push_back({gap.from_ms, gap.to_ms});
  facts->more_gaps = ledger.gaps.forgotten;
  facts->longest_more_ms = ledger.longest_forgotten_gap_ms;
  facts->requests = ledger.all.reads[0] + ledger.all.reads[1] + ledger.all.writes_total;
}

void AddSettings(const Proxy& proxy, ReportFigures* figures) {
  const Migration& migration = proxy.migration();
  figures->made_ms = proxy.now_ms();
  figures->version = CROSSFADE_VERSION;
  figures->config_file = proxy.config_file();
  figures->config_hash = proxy.config_hash();
  figures->config_loaded_ms = proxy.config_loaded_ms();
  figures->started_ms = proxy.started_ms();
  figures->demands = proxy.config().signoff;
  figures->routing = migration.routing;
  figures->synced = migration.synced;
  figures->unsynced_why = migration.unsynced_why;
  figures->cold = migration.cold;
  figures->dirty_keys = proxy.dirty().size();
  figures->everything_dirty = proxy.dirty().everything();
  figures->values_kept = proxy.config().mismatches.keep_values;
  const Json status = StatusJson(proxy);
  for (const Json& note : status.value("attention", Json::array())) {
    if (note.is_string()) figures->attention.push_back(note.get<std::string>());
  }
}

}  // namespace

ReportFigures CollectReport(Proxy* proxy, const StoreTold (&told)[2], const std::string& audit_text, bool values) {
  ReportFigures figures;
  figures.ledger = proxy->ledger()->Take();
  figures.values_asked = values;
  AddSettings(*proxy, &figures);
  for (Side side : {Side::kOld, Side::kNew})
    figures.stores[static_cast<int>(side)] = StoreOf(*proxy, side, told[static_cast<int>(side)]);
  const int64_t after = figures.demands.covered_after;
  figures.commands = CoverageRows(figures.ledger.commands, figures.ledger.agreed_commands, true, after);
  figures.prefixes = CoverageRows(figures.ledger.prefixes, figures.ledger.agreed_prefixes, false, after);
  AddMismatches(*proxy, &figures);
  AddNotMigrated(*proxy, &figures);
  AddVerification(*proxy, &figures);
  AddBackfill(*proxy, &figures);
  AddErrors(&figures);
  AddFacts(*proxy, &figures);
  const auto flip_entries = ReadAudit(audit_text, kMostFlips, "flip");
  for (const FlipRecord& flip : proxy->migration().flips)
    figures.flips.push_back({flip, WhoFlipped(flip_entries, flip)});
  figures.audit = ReadAudit(audit_text, kMostAudit);
  figures.criteria = JudgeSignoff(figures.demands, figures.facts);
  figures.verdict = TotalVerdict(figures.criteria);
  return figures;
}

std::vector<ReportFigures::CoverageRow> CoverageRows(const Tallies& ever, const Tallies& agreed, bool commands,
                                                     int64_t covered_after) {
  std::vector<ReportFigures::CoverageRow> rows;
  for (const auto& [name, tally] : ever) {
    ReportFigures::CoverageRow row;
    row.name = name;
    row.ever = tally;
    if (const auto found = agreed.find(name); found != agreed.end()) row.agreed = found->second;
    const CommandRow* command = commands ? FindCommandByName(name) : nullptr;
    if (tally.reads == 0) {
      row.why = "not read";
    } else if (!commands && name == kNoKey) {
      row.why = "no key";
    } else if (commands && name != kOther && command == nullptr) {
      row.why = "a module's: the primary answers it";
    } else if (tally.comparable == 0) {
      row.why = "never compared: each store has its own answer";
    }
    row.counts = row.why.empty();
    const uint64_t enough =
        std::min<uint64_t>(tally.comparable, static_cast<uint64_t>(std::max<int64_t>(1, covered_after)));
    row.covered = row.counts && row.agreed.compared >= std::max<uint64_t>(1, enough);
    rows.push_back(std::move(row));
  }
  return rows;
}

CoverageFacts CoverageOf(const std::vector<ReportFigures::CoverageRow>& rows) {
  CoverageFacts facts;
  for (const ReportFigures::CoverageRow& row : rows) {
    if (!row.counts) continue;
    ++facts.seen;
    if (row.covered) {
      ++facts.covered;
    } else if (facts.uncovered.size() < kMostUncovered) {
      facts.uncovered.push_back(row.name);
    }
  }
  return facts;
}

std::vector<ReportFigures::AuditEntry> ReadAudit(const std::string& text, size_t most, std::string_view what) {
  constexpr size_t kMostText = 300;
  const auto text_of = [](const Json& json, const char* name) {
    const auto found = json.find(name);
    if (found == json.end()) return std::string();
    return Shortened(found->is_string() ? found->get<std::string>() : found->dump(), kMostText);
  };
  std::vector<ReportFigures::AuditEntry> entries;
  std::string_view rest = text;
  while (!rest.empty() && entries.size() < most) {
    if (rest.ends_with('\n')) rest.remove_suffix(1);
    const size_t begin = rest.rfind('\n') == std::string_view::npos ? 0 : rest.rfind('\n') + 1;
    const std::string_view line = rest.substr(begin);
    rest = rest.substr(0, begin);
    if (!what.empty() && line.find(what) == std::string_view::npos) continue;
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) continue;
    ReportFigures::AuditEntry entry;
    const auto at = json.find("at_ms");
    if (at == json.end() || !at->is_number_unsigned()) continue;
    entry.at_ms = static_cast<int64_t>(std::min(at->get<uint64_t>(), LedgerFigures::kMostFigure));
    entry.who = text_of(json, "who");
    entry.what = text_of(json, "what");
    entry.from = text_of(json, "from");
    entry.to = text_of(json, "to");
    entry.outcome = text_of(json, "outcome");
    entry.reason = text_of(json, "reason");
    if (what.empty() || entry.what == what) entries.push_back(std::move(entry));
  }
  return entries;
}

std::string WhoFlipped(const std::vector<ReportFigures::AuditEntry>& audit, const FlipRecord& flip) {
  constexpr int64_t kNearMs = 5000;  // it is written down once the flip is over
  int64_t nearest = kNearMs + static_cast<int64_t>(flip.pause_ms);
  std::string who;
  for (const ReportFigures::AuditEntry& entry : audit) {
    const int64_t away = std::llabs(entry.at_ms - flip.at_ms);
    if (entry.outcome != "done" || entry.to != SideName(flip.to) || away > nearest) continue;
    nearest = away;
    who = entry.who;
  }
  return who;
}

}  // namespace crossfade
