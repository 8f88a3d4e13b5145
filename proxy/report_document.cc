#include "proxy/report_document.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "proxy/report_sections.h"
#include "routing/figures_text.h"

namespace crossfade {

namespace {

ReportSection Summary(const ReportFigures& figures) {
  ReportSection section{"summary", "Summary", {}, false};
  const LedgerFigures& ledger = figures.ledger;
  const uint64_t reads = ledger.all.reads[0] + ledger.all.reads[1];
  ReportTable table;
  table.columns = {{"", false}, {"", false}};
  const auto row = [&](std::string name, std::string value) {
    table.rows.push_back({std::move(name), std::move(value)});
  };
  row("Made", fmt::format("{} by crossfade {}", TimeText(figures.made_ms), figures.version));
  row("Figures since", fmt::format("{}{}; the proxy ran for {} of it", TimeText(ledger.began_ms),
                                   ledger.lost_ledgers > 0 ? " (those from before could not be read)" : "",
                                   SpanText(ledger.running_ms)));
  row("Observed",
      fmt::format("{} while the stores were taken to agree, with every write followed", SpanText(ledger.observed_ms)));
  for (const ReportFigures::Store& store : figures.stores) {
    row(store.side == Side::kOld ? "Old" : "New",
        fmt::format("{} {} at {}, {}, {}", store.product.empty() ? "never reached" : store.product, store.version,
                    store.address, store.role, store.state));
  }
  row("Traffic", fmt::format("{}, {}", CountOf(reads, "read"), CountOf(ledger.all.writes_total, "write")));
  row("Compared", ledger.all.reads_compared == 0
                      ? "nothing: whether reads differ is not known"
                      : fmt::format("{}, of which {} differed", CountOf(ledger.all.reads_compared, "read"),
                                    CountText(ledger.all.reads_mismatched)));
  row("Configuration", fmt::format("hash {}, read {} from {}", figures.config_hash, TimeText(figures.config_loaded_ms),
                                   figures.config_file.empty() ? "the command line" : figures.config_file));
  row("Routing now",
      fmt::format(
          "primary {}, secondary {}, ack {}, {:g} % of reads by new, {:g} % compared, split by {}, on a miss: {}",
          SideName(figures.routing.primary), Name(figures.routing.secondary), Name(figures.routing.ack),
          figures.routing.reads_new, figures.routing.compare, Name(figures.routing.split),
          Name(figures.routing.on_miss)));
  row("Synced now",
      fmt::format("{}{}{}", Name(figures.synced), figures.unsynced_why.empty() ? "" : ": " + figures.unsynced_why,
                  figures.cold ? "; cold: new may lack what was there before" : ""));
  section.blocks.push_back({ReportBlock::Is::kTable, "", std::move(table), {}, {}});
  for (const std::string& note : figures.attention)
    section.blocks.push_back({ReportBlock::Is::kText, "Attention: " + note, {}, {}, {}});
  return section;
}

std::string Figure(const std::optional<double>& figure, const std::string& unit) {
  if (!figure) return "–";
  if (unit == "ms") return SpanText(static_cast<int64_t>(*figure));
  return unit == "%" ? NumberText(*figure) + " %" : NumberText(*figure);
}

ReportSection Criteria(const ReportFigures& figures) {
  ReportSection section{"criteria", "What was demanded, and what was found", {}, false};
  ReportTable table;
  table.columns = {{"Verdict", false}, {"Criterion", false}, {"Demanded", false},
                   {"Found", false},   {"Sample", true},     {"95 % bound", true}};
  table.verdict_column = 0;
  ReportTable open;
  open.columns = {{"Verdict", false}, {"Criterion", false}, {"What to do", false}};
  open.verdict_column = 0;
  for (const Criterion& one : figures.criteria) {
    table.rows.push_back({Name(one.verdict), one.title, one.demands, one.found,
                          one.samples_of.empty() ? "–" : CountText(one.samples) + " " + one.samples_of,
                          one.bound ? Figure(one.bound, "%") + " (" + one.bound_method + ")" : "–"});
    if (one.verdict != Verdict::kPass) open.rows.push_back({Name(one.verdict), one.title, one.remedy});
  }
  section.blocks.push_back(
      {ReportBlock::Is::kText,
       "FAIL if any criterion fails; else INSUFFICIENT if for any there is too little to tell; else "
       "PASS. A share is judged by the bound that holds with 95 % confidence, not by what was "
       "seen. The thresholds are those of [signoff] in the configuration.",
       {},
       {},
       {}});
  section.blocks.push_back({ReportBlock::Is::kTable, "", std::move(table), {}, {}});
  if (!open.rows.empty())
    section.blocks.push_back({ReportBlock::Is::kTable, "What to do next:", std::move(open), {}, {}});
  return section;
}

ReportSection Checklist(const ReportFigures& figures) {
  ReportSection section{"checklist", "For people to check", {}, true};
  std::vector<std::string> items = {
      "Every writer of the old store goes through the proxy, or is named here with the reason.",
      "Rare work (nightly jobs, month's end, administration) ran while reads were compared, or is known to be missing.",
      "Each warning and each line of what was not migrated was read, and is accepted.",
      "Functions, ACL users, persistence, replicas, backups and alarms of the new store are as they should be.",
      "The new store has room for the data to grow, and its eviction policy is meant.",
      "The applications' own figures (errors, latency) were looked at for the time of this report.",
      "Those on call know how to go back (crossfade flip old, crossfade reads 0) and until when old will be kept.",
      "The thresholds of this report are the ones that were agreed on."};
  if (figures.facts.crashes + figures.facts.lost_ledgers > 0)
    items.push_back("Why the proxy ended in disorder, or figures are missing, is known and written down.");
  section.blocks.push_back({ReportBlock::Is::kChecklist, "A machine can't know these.", {}, {}, std::move(items)});
  section.blocks.push_back(
      {ReportBlock::Is::kSignatures,
       fmt::format("Verdict of this report: {}. Configuration hash: {}.", Name(figures.verdict), figures.config_hash),
       {},
       {},
       {"Made by", "Checked by", "Released by"}});
  return section;
}

const char* MeaningOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "Every criterion is met, each with a sample that suffices.";
    case Verdict::kInsufficient:
      return "Nothing failed, but for some criteria there is too little to tell.";
    case Verdict::kFail:
      return "At least one criterion is not met.";
  }
  return "";
}

}  // namespace

ReportDocument MakeReportDocument(const ReportFigures& figures) {
  ReportDocument document;
  document.title = fmt::format("Migration report: {} to {}", figures.stores[0].address, figures.stores[1].address);
  document.verdict = figures.verdict;
  document.verdict_meaning = MeaningOf(figures.verdict);
  document.sections.push_back(Summary(figures));
  document.sections.push_back(Criteria(figures));
  AppendStoreSections(figures, &document.sections);
  AppendHistorySections(figures, &document.sections);
  document.sections.push_back(Checklist(figures));
  return document;
}

}  // namespace crossfade
