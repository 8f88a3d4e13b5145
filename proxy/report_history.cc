#include <algorithm>
#include <utility>

#include "conf/config_keys.h"
#include "fmt/format.h"
#include "proxy/report_sections.h"
#include "routing/figures_text.h"

namespace crossfade {

namespace {

std::string Until(int64_t to_ms) {
  return to_ms == 0 ? "now" : TimeText(to_ms);
}

ReportSection Copies(const ReportFigures& figures) {
  ReportSection section{"backfill", "What was copied", {}, false};
  if (!figures.backfill) {
    section.blocks.push_back(TextBlock("No backfill was started with this state directory."));
    return section;
  }
  const ReportFigures::Backfill& one = *figures.backfill;
  ReportTable table;
  table.columns = {{"State", false},
                   {"Began", false},
                   {"Ended", false},
                   {"Copied", true},
                   {"Of", true},
                   {"Bytes", true},
                   {"Looked at on the secondary", true},
                   {"Failed", true}};
  table.rows.push_back({one.state + (one.why.empty() ? "" : ": " + one.why), TimeText(one.started_ms),
                        one.ended_ms == 0 ? "–" : TimeText(one.ended_ms), CountText(one.keys_done),
                        CountText(one.keys_total), BytesText(one.bytes), CountText(one.keys_rechecked),
                        CountText(one.keys_failed)});
  std::string scope;
  if (!one.match.empty()) scope += " match " + one.match;
  if (!one.type.empty()) scope += " type " + one.type;
  if (one.db >= 0) scope += fmt::format(" database {}", one.db);
  section.blocks.push_back(
      TableBlock(scope.empty() ? "The last backfill, of all keys:" : "The last backfill, of some keys only:" + scope,
                 std::move(table)));
  return section;
}

ReportSection Verifications(const ReportFigures& figures) {
  ReportSection section{"verification", "Verifications", {}, false};
  ReportTable table;
  table.columns = {{"Began", false}, {"Ended", false},   {"State", false},   {"Keys", false},    {"Compared", true},
                   {"Equal", true},  {"Differed", true}, {"Repaired", true}, {"Undecided", true}};
  table.empty = "None. Whether all keys are equal is not known.";
  const auto& all = figures.ledger.verifications;
  for (auto it = all.items.rbegin(); it != all.items.rend(); ++it) {
    table.rows.push_back({TimeText(it->started_ms), TimeText(it->ended_ms), it->state, it->full ? "all" : "some",
                          CountText(it->checked), CountText(it->equal), CountText(it->differing),
                          CountText(it->repaired), CountText(it->undecided + it->not_comparable + it->left_out)});
  }
  section.blocks.push_back(
      TableBlock(all.forgotten == 0 ? "" : fmt::format("{} before these are not kept.", CountText(all.forgotten)),
                 std::move(table)));
  if (figures.differences.empty()) return section;
  ReportTable keys;
  keys.columns = {{"Database", true}, {"Key", false}, {"Differs in", false}, {"Repaired", false}};
  for (const ReportFigures::Difference& one : figures.differences)
    keys.rows.push_back({fmt::format("{}", one.db), one.key, one.kind, one.repaired ? "yes" : "no"});
  section.blocks.push_back(TableBlock(
      fmt::format("What the last one found to differ{}:",
                  figures.differences_more == 0 ? "" : fmt::format(" ({} more)", CountText(figures.differences_more))),
      std::move(keys)));
  return section;
}

ReportSection Check(const ReportFigures& figures) {
  ReportSection section{"preflight", "The last check", {}, false};
  if (!figures.ledger.preflight) {
    section.blocks.push_back(TextBlock("The proxy was never asked to check (crossfade check)."));
    return section;
  }
  ReportTable table;
  table.columns = {{"", false}, {"Check", false}, {"Found", false}};
  for (const Finding& one : figures.ledger.preflight->findings) {
    table.rows.push_back({one.status == CheckStatus::kPass   ? "pass"
                          : one.status == CheckStatus::kWarn ? "warn"
                                                             : "fail",
                          one.name, one.found});
  }
  section.blocks.push_back(
      TableBlock(fmt::format("Made {}.", TimeText(figures.ledger.preflight->at_ms)), std::move(table)));
  return section;
}

ReportSection Flips(const ReportFigures& figures) {
  ReportSection section{"flips", "Flips and rollbacks", {}, true};
  ReportTable table;
  table.columns = {{"When", false},
                   {"Primary from then on", false},
                   {"Clients held for", true},
                   {"By force", false},
                   {"Who", false}};
  table.empty = "None.";
  for (const ReportFigures::Flip& one : figures.flips) {
    table.rows.push_back({TimeText(one.what.at_ms), SideName(one.what.to),
                          MicrosText(static_cast<int64_t>(std::clamp(one.what.pause_ms, 0.0, 1e12) * 1000)),
                          one.what.forced ? "yes" : "no", one.who.empty() ? "not recorded" : one.who});
  }
  section.blocks.push_back(TableBlock("", std::move(table)));
  if (figures.audit.empty()) return section;
  ReportTable audit;
  audit.columns = {{"When", false}, {"Who", false}, {"What", false},
                   {"From", false}, {"To", false},  {"Outcome", false}};
  for (const ReportFigures::AuditEntry& one : figures.audit) {
    audit.rows.push_back({TimeText(one.at_ms), one.who, one.what, one.from, one.to,
                          one.outcome + (one.reason.empty() ? "" : ": " + one.reason)});
  }
  section.blocks.push_back(TableBlock("What was changed, and by whom, the newest first:", std::move(audit)));
  return section;
}

ReportSection Runs(const ReportFigures& figures) {
  ReportSection section{"runs", "Runs of the proxy, and what is missing", {}, false};
  const LedgerFigures& ledger = figures.ledger;
  std::string missing =
      fmt::format("{}, {} of them ended in disorder, {} without a proxy.", CountOf(ledger.runs.all(), "run"),
                  CountText(ledger.crashes),
                  SpanText(static_cast<int64_t>(std::min<uint64_t>(ledger.gaps_ms, LedgerFigures::kMostFigure))));
  if (ledger.crashes > 0) {
    missing +=
        " Figures are written down every 5 s, and half a second after something was found to differ: what was "
        "counted later than that, before such an end, is missing in this report.";
  }
  if (ledger.lost_ledgers > 0)
    missing += fmt::format(" {}, the figures of an earlier time could not be read: this report begins {}.",
                           ledger.lost_ledgers == 1 ? "Once" : CountText(ledger.lost_ledgers) + " times",
                           TimeText(ledger.began_ms));
  ReportTable runs;
  runs.columns = {{"Began", false},
                  {"Ended, or last seen", false},
                  {"In order", false},
                  {"Version", false},
                  {"Configuration", false}};
  for (const LedgerFigures::Run& run : ledger.runs.items) {
    const bool last = &run == &ledger.runs.items.back();
    runs.rows.push_back({TimeText(run.started_ms), last ? "it runs" : TimeText(run.seen_ms),
                         last           ? "–"
                         : run.in_order ? "yes"
                                        : "no",
                         run.version, run.config_hash});
  }
  section.blocks.push_back(TableBlock(std::move(missing), std::move(runs)));
  ReportTable gaps;
  gaps.columns = {{"No proxy from", false}, {"To", false}, {"For", true}, {"Figures", false}};
  gaps.empty = "No gaps.";
  for (const LedgerFigures::Gap& gap : ledger.gaps.items) {
    gaps.rows.push_back({TimeText(gap.from_ms), TimeText(gap.to_ms), SpanText(gap.to_ms - gap.from_ms),
                         gap.in_order ? "whole" : "up to 5 s before the proxy's end may be missing"});
  }
  section.blocks.push_back(TableBlock("", std::move(gaps)));
  ReportTable spells;
  spells.columns = {{"What", false}, {"From", false}, {"To", false}, {"For", true}, {"Why", false}};
  spells.empty = "Nothing was out of order while the proxy ran.";
  for (const LedgerFigures::Spell& spell : ledger.spells.items) {
    const int64_t to_ms = spell.to_ms == 0 ? figures.made_ms : spell.to_ms;
    spells.rows.push_back({spell.what, TimeText(spell.from_ms), Until(spell.to_ms),
                           SpanText(std::max<int64_t>(0, to_ms - spell.from_ms)), spell.why});
  }
  section.blocks.push_back(
      TableBlock(ledger.spells.forgotten == 0
                     ? "When something was not as it should be:"
                     : fmt::format("When something was not as it should be; {} before these are not kept:",
                                   CountText(ledger.spells.forgotten)),
                 std::move(spells)));
  return section;
}

ReportSection CountersOf(const ReportFigures& figures) {
  ReportSection section{"counters", "Raw counters", {}, true};
  ReportTable table;
  table.columns = {{"Counter", false}, {"Ever", true}, {"While the stores were taken to agree", true}};
  Counters all = figures.ledger.all, agreed = figures.ledger.agreed;
  for (const CounterField& field : CounterFields())
    table.rows.push_back({field.name, CountText(field.of(all)), CountText(field.of(agreed))});
  section.blocks.push_back(TableBlock("As in GET /api/v1/status, but over all runs of the proxy.", std::move(table)));
  return section;
}

ReportSection Demands(const ReportFigures& figures) {
  ReportSection section{"thresholds", "Thresholds", {}, false};
  Config config;
  const auto defaults = ListKeys(config);
  config.signoff = figures.demands;
  const auto keys = ListKeys(config);
  ReportTable table;
  table.columns = {{"[signoff]", false}, {"Here", true}, {"Default", true}};
  constexpr std::string_view kPrefix = "signoff.";
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].name.starts_with(kPrefix))
      table.rows.push_back({keys[i].name.substr(kPrefix.size()), keys[i].value, defaults[i].value});
  }
  section.blocks.push_back(TableBlock("", std::move(table)));
  return section;
}

}  // namespace

void AppendHistorySections(const ReportFigures& figures, std::vector<ReportSection>* sections) {
  sections->push_back(Copies(figures));
  sections->push_back(Verifications(figures));
  sections->push_back(Check(figures));
  sections->push_back(Flips(figures));
  sections->push_back(Runs(figures));
  sections->push_back(CountersOf(figures));
  sections->push_back(Demands(figures));
}

}  // namespace crossfade
