#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "proxy/report_sections.h"
#include "routing/figures_text.h"

namespace crossfade {

namespace {

constexpr size_t kMostRows = 100;

const char* ClassName(LatencyClass what) {
  return what == LatencyClass::kRead ? "reads" : "writes";
}

ReportSection LatencySection(const ReportFigures& figures) {
  ReportSection section{"latency", "How long the stores took", {}, true};
  section.blocks.push_back(TextBlock(
      "From when a command of a client (or what follows from it) left the proxy until its reply was there, "
      "over all runs of the proxy. The percentiles are upper ends of buckets a quarter of a power of two wide."));
  ReportTable table;
  table.columns = {{"", false},   {"Store", false}, {"Replies", true}, {"Mean", true},
                   {"p50", true}, {"p90", true},    {"p99", true},     {"p99.9", true}};
  for (LatencyClass what : kLatencyClasses) {
    for (Side side : {Side::kOld, Side::kNew}) {
      const LatencyHistogram& histogram = figures.ledger.latency_of(side, what);
      const uint64_t count = histogram.count();
      const auto percentile = [&](double share) {
        return count == 0 ? std::string("–") : MicrosText(histogram.Percentile(share));
      };
      table.rows.push_back({ClassName(what), SideName(side), CountText(count),
                            count == 0 ? "–" : MicrosText(histogram.sum_us() / static_cast<int64_t>(count)),
                            percentile(0.5), percentile(0.9), percentile(0.99), percentile(0.999)});
    }
  }
  section.blocks.push_back(TableBlock("", std::move(table)));
  for (LatencyClass what : kLatencyClasses) {
    ReportBlock block;
    block.is = ReportBlock::Is::kPlot;
    block.text = fmt::format("Latency of {}; dashed: p99.", ClassName(what));
    block.plot = {fmt::format("latency-{}", ClassName(what)), fmt::format("Latency of {}", ClassName(what)),
                  figures.ledger.latency_of(Side::kOld, what), figures.ledger.latency_of(Side::kNew, what)};
    section.blocks.push_back(std::move(block));
  }
  return section;
}

ReportSection StoresSection(const ReportFigures& figures) {
  ReportSection section{"stores", "Memory and hits", {}, false};
  ReportTable table;
  table.columns = {{"Store", false}, {"Keys", true},   {"Memory used", true}, {"Of at most", true},
                   {"Hits", true},   {"Misses", true}, {"Hit rate", true},    {"Up for", true}};
  for (const ReportFigures::Store& store : figures.stores) {
    const StoreTold& told = store.told;
    if (!told.refused.empty()) {
      table.rows.push_back({SideName(store.side), "–", "–", "–", "–", "–", "–", "–"});
      section.blocks.push_back(
          TextBlock(fmt::format("What {} uses and hits is not known: {}.", SideName(store.side), told.refused)));
      continue;
    }
    table.rows.push_back({SideName(store.side), CountText(static_cast<uint64_t>(told.keys)),
                          BytesText(told.used_memory), told.maxmemory == 0 ? "no limit" : BytesText(told.maxmemory),
                          CountText(told.hits), CountText(told.misses), ShareOf(told.hits, told.hits + told.misses),
                          SpanText(told.uptime_ms)});
  }
  section.blocks.push_back(TableBlock(
      "Asked of the stores for this report (INFO). Hits and misses are of everybody since the store was started: "
      "Crossfade's own comparisons and copies are among them.",
      std::move(table)));
  return section;
}

std::vector<std::string> CoverageCells(const ReportFigures::CoverageRow& row) {
  return {row.name,
          CountText(row.ever.reads),
          CountText(row.ever.writes),
          CountText(row.ever.compared),
          CountText(row.agreed.compared),
          row.ever.compared > 0 ? CountText(row.ever.mismatched)
          : row.counts          ? "not known"
                                : "–",
          !row.counts   ? row.why
          : row.covered ? "yes"
                        : "no"};
}

void AddCoverage(const std::vector<ReportFigures::CoverageRow>& rows, const char* what, const CoverageFacts& facts,
                 ReportSection* section) {
  ReportTable table;
  table.columns = {{what, false},          {"Reads", true},    {"Writes", true},  {"Compared", true},
                   {"In agreement", true}, {"Differed", true}, {"Covered", false}};
  table.empty = "Nothing was read or written.";
  // What is not covered first: that is what somebody must see. Then what is read most, and what isn't at the end.
  std::vector<const ReportFigures::CoverageRow*> ordered;
  for (const ReportFigures::CoverageRow& row : rows) ordered.push_back(&row);
  const auto rank = [](const ReportFigures::CoverageRow& row) { return !row.counts ? 2 : row.covered ? 1 : 0; };
  std::stable_sort(ordered.begin(), ordered.end(), [&](const auto* a, const auto* b) {
    return std::tuple(rank(*a), b->ever.reads, b->ever.writes) < std::tuple(rank(*b), a->ever.reads, a->ever.writes);
  });
  const size_t shown = std::min(ordered.size(), kMostRows), left_out = ordered.size() - shown;
  for (size_t i = 0; i < shown; ++i) table.rows.push_back(CoverageCells(*ordered[i]));
  std::string above = facts.seen == 0
                          ? fmt::format("No {} was read that could be compared.",
                                        what == std::string_view("Command") ? "command" : "prefix")
                          : fmt::format("{} of {} that were read are covered ({}).", CountText(facts.covered),
                                        CountText(facts.seen), ShareOf(facts.covered, facts.seen));
  if (left_out > 0) above += fmt::format(" {} are in the JSON only.", CountOf(left_out, "row"));
  section->blocks.push_back(TableBlock(std::move(above), std::move(table)));
}

ReportSection CoverageSection(const ReportFigures& figures) {
  ReportSection section{"coverage", "What was compared", {}, false};
  section.blocks.push_back(TextBlock(fmt::format(
      "Covered: {}, or all of its reads when they are fewer, were compared while the stores were taken to agree (\"in "
      "agreement\"). A prefix is a key's part up to its first colon.",
      CountOf(static_cast<uint64_t>(figures.demands.covered_after), "read"))));
  AddCoverage(figures.commands, "Command", figures.facts.commands, &section);
  AddCoverage(figures.prefixes, "Prefix", figures.facts.prefixes, &section);
  return section;
}

ReportSection MismatchesSection(const ReportFigures& figures) {
  ReportSection section{"mismatches", "Reads that differed", {}, false};
  const Counters& all = figures.ledger.all;
  const Counters& agreed = figures.ledger.agreed;
  section.blocks.push_back(TextBlock(
      all.reads_compared == 0
          ? std::string("Nothing was compared: whether reads differ is not known.")
          : fmt::format(
                "{} compared: {} differed and were confirmed by a second look at one logical instant ({} of them "
                "while the stores were taken to agree); {} differed at the first look only; {} because a key was "
                "just expiring. {} more could not be compared.",
                CountOf(all.reads_compared, "read"), CountText(all.reads_mismatched),
                CountText(agreed.reads_mismatched), CountText(all.reads_unconfirmed), CountText(all.reads_expiring),
                CountText(all.reads_not_comparable))));
  if (figures.values_asked && !figures.values_kept)
    section.blocks.push_back(TextBlock("Values were asked for, but are not kept (mismatches.keep_values)."));
  const bool values = figures.values_asked && figures.values_kept;
  ReportTable table;
  table.columns = {{"When", false}, {"Command", false}, {"Database", true},
                   {"Key", false},  {"Store", false},   {"Digest of its answer", false}};
  if (values) table.columns.push_back({"Its answer", false});
  table.empty = all.reads_compared == 0 ? "None is known." : "None.";
  for (const ReportFigures::Mismatch& one : figures.mismatches) {
    for (Side side : {Side::kOld, Side::kNew}) {
      const bool first = side == Side::kOld;
      std::vector<std::string> row = {first ? TimeText(one.what.at_ms) : "",
                                      first ? one.what.command : "",
                                      first ? fmt::format("{}", one.what.db) : "",
                                      first ? one.what.key : "",
                                      SideName(side),
                                      first ? one.what.old_digest : one.what.new_digest};
      if (values) row.push_back((first ? one.old_value : one.new_value).value_or("not kept"));
      table.rows.push_back(std::move(row));
    }
  }
  section.blocks.push_back(
      TableBlock(figures.mismatches_more > 0 && !figures.mismatches.empty()
                     ? fmt::format("The newest {} of {}.", figures.mismatches.size(), CountText(all.reads_mismatched))
                     : "",
                 std::move(table)));
  return section;
}

ReportSection NotMigratedSection(const ReportFigures& figures) {
  ReportSection section{"not-migrated", "What was not migrated, and why", {}, false};
  ReportTable table;
  table.columns = {{"What", false}, {"Why", false}, {"What to do", false}};
  table.empty = "Nothing is known to be missing.";
  for (const ReportFigures::NotMigrated& one : figures.not_migrated)
    table.rows.push_back({one.what, one.why, one.remedy});
  section.blocks.push_back(
      TableBlock("Keys that could not be copied, and what is no key or could not be looked at.", std::move(table)));
  return section;
}

ReportSection ErrorsSection(const ReportFigures& figures) {
  ReportSection section{"errors", "Errors", {}, false};
  ReportTable table;
  table.columns = {{"What", false}, {"Times", true}, {"In the error rate", false}};
  for (const ReportFigures::ErrorKind& kind : figures.errors)
    table.rows.push_back({kind.meaning, CountText(kind.count), kind.counts ? "yes" : "no"});
  section.blocks.push_back(
      TableBlock(fmt::format("Of {}. A store's own error replies (WRONGTYPE, …) are answers, and none of these.",
                             CountOf(figures.facts.requests, "request")),
                 std::move(table)));
  return section;
}

}  // namespace

ReportBlock TextBlock(std::string text) {
  ReportBlock block;
  block.text = std::move(text);
  return block;
}

ReportBlock TableBlock(std::string above, ReportTable table) {
  ReportBlock block;
  block.is = ReportBlock::Is::kTable;
  block.text = std::move(above);
  block.table = std::move(table);
  return block;
}

std::string ShareOf(uint64_t part, uint64_t whole) {
  return whole == 0 ? "–" : ShareText(static_cast<double>(part) / static_cast<double>(whole));
}

void AppendStoreSections(const ReportFigures& figures, std::vector<ReportSection>* sections) {
  sections->push_back(LatencySection(figures));
  sections->push_back(StoresSection(figures));
  sections->push_back(CoverageSection(figures));
  sections->push_back(MismatchesSection(figures));
  sections->push_back(NotMigratedSection(figures));
  sections->push_back(ErrorsSection(figures));
}

}  // namespace crossfade
