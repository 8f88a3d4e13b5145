// What a report is made of, and how it is written: figures in, JSON, Markdown and HTML out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "nlohmann/json.hpp"
#include "proxy/cli_report.h"
#include "proxy/report_asker.h"
#include "proxy/report_collect.h"
#include "proxy/report_html.h"
#include "proxy/report_json.h"
#include "proxy/report_markdown.h"
#include "proxy/report_plot.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kEvil[] = "<script>alert('1')</script>&\"|`*_[x](y)\n# h";

// Something in every list, and evil wherever a client, a store or an operator has a say.
ReportFigures Full() {
  ReportFigures figures;
  figures.made_ms = 1'700'000'000'000;
  figures.version = "1.2.3";
  figures.config_hash = "abc";
  figures.unsynced_why = figures.config_file = kEvil;
  figures.attention = {kEvil};
  for (ReportFigures::Store& store : figures.stores) {
    store.address = "127.0.0.1:6379";
    store.product = store.version = store.state = kEvil;
    store.told.refused = kEvil;
  }
  figures.stores[1].side = Side::kNew;
  figures.stores[1].told = {"", 1000, 2000, 30, 10, 5000, 7};
  LedgerFigures& ledger = figures.ledger;
  ledger.began_ms = 1'600'000'000'000;
  ledger.all.reads_compared = 1000;
  ledger.latency[0][0].Record(100);
  ledger.latency[1][0].Record(1'000'000);
  ledger.runs.Add({1, 2, false, kEvil, kEvil});
  ledger.gaps.Add({1, 2, false});
  ledger.spells.Add({kEvil, kEvil, 1, 0});
  ledger.verifications.Add({1, 2, kEvil, true, false, 5, 4, 1, 0, 0, 0, 0});
  ledger.preflight = LedgerFigures::Preflight{1, {{kEvil, CheckStatus::kWarn, kEvil, kEvil}}};
  figures.commands = {{kEvil, {1, 2, 3, 4}, {1, 1, 1, 1}, true, false, ""}};
  figures.prefixes = {{kEvil, {1, 0, 0, 0}, {}, true, false, kEvil}};
  figures.mismatches = {{{5, 0, kEvil, kEvil, "00", "01"}, kEvil, kEvil}};
  figures.values_asked = figures.values_kept = true;
  figures.not_migrated = {{kEvil, kEvil, kEvil}};
  figures.backfill = ReportFigures::Backfill{kEvil, kEvil, kEvil, kEvil, 3, 1, 2, 3, 4, 5, 6, 7};
  figures.differences = {{0, kEvil, kEvil, true}};
  figures.flips = {{{1, Side::kNew, std::numeric_limits<double>::infinity(), true}, kEvil}};
  figures.audit = {{1, kEvil, kEvil, kEvil, kEvil, kEvil, kEvil}};
  figures.criteria = JudgeSignoff(figures.demands, figures.facts);
  figures.criteria[0].found = kEvil;
  figures.criteria[0].figure = std::numeric_limits<double>::quiet_NaN();
  figures.verdict = Verdict::kFail;
  return figures;
}

// Nothing at all: a proxy that has just been started.
ReportFigures Empty() {
  ReportFigures figures;
  figures.criteria = JudgeSignoff(figures.demands, figures.facts);
  figures.verdict = TotalVerdict(figures.criteria);
  return figures;
}

std::string Html(const ReportFigures& figures) {
  return ReportHtml(MakeReportDocument(figures));
}
std::string Markdown(const ReportFigures& figures) {
  return ReportMarkdown(MakeReportDocument(figures));
}

void ExpectNoNonsense(const std::string& text) {
  for (const char* word : {" nan", "nan %", ">nan", "\"nan", " inf ", ">inf<", "inf %", "null %", "-nan"})
    EXPECT_THAT(text, Not(HasSubstr(word)));
}

TEST(ReportHtml, WhatIsEvilIsOnlyText) {
  const std::string html = Html(Full());
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;|"));
  ExpectNoNonsense(html);
}

TEST(ReportHtml, NothingIsFetchedOrRun) {
  for (const ReportFigures& figures : {Full(), Empty()}) {
    const std::string html = Html(figures);
    for (const char* word : {"<script", "<link", "<img", "<iframe", "url(", "@import", "http://", "https://",
                             " src=", " onload", "javascript:"})
      EXPECT_THAT(html, Not(HasSubstr(word)));
    EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  }
}

TEST(ReportHtml, SaysItsVerdictWhereItCanBeFound) {
  EXPECT_EQ(VerdictIn("html", Html(Full())), "FAIL");
  EXPECT_EQ(VerdictIn("html", Html(Empty())), "FAIL");  // it does not follow
  EXPECT_EQ(VerdictIn("markdown", Markdown(Full())), "FAIL");
  EXPECT_EQ(VerdictIn("json", ReportJson(Full()).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)),
            "FAIL");
  EXPECT_EQ(VerdictIn("html", "<p>PASS</p>"), "");
  EXPECT_EQ(VerdictIn("markdown", "\n**Verdict: EXCELLENT.**"), "");
  EXPECT_EQ(VerdictIn("json", "[]"), "");
}

TEST(ReportText, EveryByteIsHarmless) {
  EXPECT_EQ(HtmlText("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(HtmlText(std::string("\0\n", 2)), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(MarkdownText("a|b\n<c> `d` *e* # [f]"), "a\\|b &lt;c&gt; \\`d\\` \\*e\\* \\# \\[f\\]");
}

// However evil, a row stays one row of as many cells.
TEST(ReportMarkdown, TablesStayWhole) {
  size_t cells = 0;
  std::string line;
  std::istringstream lines(Markdown(Full()));
  while (std::getline(lines, line)) {
    if (!line.starts_with("|")) {
      cells = 0;
      continue;
    }
    size_t here = 0;
    for (size_t i = 0; i < line.size(); ++i) here += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
    if (cells == 0) cells = here;
    EXPECT_EQ(here, cells) << line;
  }
}

TEST(ReportMarkdown, HasNoNonsense) {
  ExpectNoNonsense(Markdown(Full()));
  ExpectNoNonsense(Markdown(Empty()));
}

// What is not known is null, or said; never a 0 that looks as if somebody had counted.
TEST(ReportJson, WhatIsNotKnownIsNull) {
  const nlohmann::json json = ReportJson(Empty());
  for (const nlohmann::json& one : json["criteria"]) {
    EXPECT_NE(one["verdict"],
              one["name"] == "dirty" || one["name"] == "restarts" || one["name"] == "gaps" ? "" : "PASS")
        << one.dump();
  }
  EXPECT_TRUE(json["stores"]["old"]["latency_us"]["reads"]["p99"].is_null());
  EXPECT_TRUE(json["criteria"][1]["figure"].is_null());
  EXPECT_TRUE(json["backfill"].is_null());
  EXPECT_TRUE(json["preflight"].is_null());
  EXPECT_TRUE(ReportJson(Full())["criteria"][0]["figure"].is_null());  // NaN
  EXPECT_THAT(Html(Empty()), HasSubstr("whether reads differ is not known"));
  EXPECT_THAT(Markdown(Empty()), HasSubstr("Whether all keys are equal is not known."));
}

TEST(ReportJson, HitRates) {
  const nlohmann::json json = ReportJson(Full());
  EXPECT_EQ(json["stores"]["new"]["info"]["hit_rate"], 0.75);
  EXPECT_EQ(json["stores"]["old"]["info"]["error"], kEvil);
}

TEST(ReportPlot, WhateverWasCountedIsDrawn) {
  LatencyHistogram nothing, one, wide, longest;
  one.Record(500);
  for (int64_t us = 1; us < int64_t{1} << 40; us *= 2) wide.Record(us);
  longest.Record(INT64_MAX);
  for (const LatencyHistogram& a : {nothing, one, wide, longest}) {
    for (const LatencyHistogram& b : {nothing, one, wide, longest}) {
      const std::string svg = PlotSvg({"id", "Latency of <reads>", a, b});
      ExpectNoNonsense(svg);
      EXPECT_THAT(svg, Not(HasSubstr("inf")));
      EXPECT_THAT(svg, Not(HasSubstr("<reads>")));
      EXPECT_THAT(svg, HasSubstr("role=\"img\" aria-labelledby=\"id-title id-desc\""));
      EXPECT_THAT(svg, HasSubstr("</svg>"));
    }
  }
}

TEST(ReportCollect, CoverageKnowsWhatCounts) {
  const Tallies ever = {{"get", {100, 100, 0, 50, 0}},  {"set", {0, 0, 9, 0, 0}},    {"mget", {5, 5, 0, 5, 0}},
                        {"randomkey", {7, 0, 0, 0, 0}}, {"x.read", {3, 0, 0, 0, 0}}, {"eval_ro", {2, 0, 0, 0, 0}},
                        {"strlen", {40, 40, 0, 29, 0}}};
  const Tallies agreed = {{"get", {90, 90, 0, 30, 0}}, {"mget", {5, 5, 0, 5, 0}}, {"strlen", {40, 40, 0, 29, 0}}};
  const auto rows = CoverageRows(ever, agreed, true, 30);
  std::map<std::string, std::string> told;
  for (const auto& row : rows) told[row.name] = !row.counts ? "-" : row.covered ? "yes" : "no";
  EXPECT_EQ(told["get"], "yes");
  EXPECT_EQ(told["mget"], "yes");  // each of its five reads
  EXPECT_EQ(told["strlen"], "no");
  EXPECT_EQ(told["set"], "-");
  EXPECT_EQ(told["randomkey"], "-");
  EXPECT_EQ(told["x.read"], "-");
  EXPECT_EQ(told["eval_ro"], "-");
  const CoverageFacts facts = CoverageOf(rows);
  EXPECT_EQ(facts.seen, 3u);
  EXPECT_EQ(facts.covered, 2u);
  EXPECT_THAT(facts.uncovered, ElementsAre("strlen"));
}

TEST(ReportCollect, WhatWasNeverComparedIsNotCovered) {
  const auto rows = CoverageRows({{"a:", {1, 1, 0, 1, 0}}, {"(no key)", {9, 9, 0, 0, 0}}}, {}, false, 0);
  EXPECT_EQ(CoverageOf(rows).seen, 1u);
  EXPECT_EQ(CoverageOf(rows).covered, 0u);
}

TEST(ReportCollect, ReadsThatCannotBeComparedAreNotDemanded) {
  const Tallies ever = {{"dumped:", {9, 0, 0, 0, 0}}, {"both:", {9, 2, 0, 2, 0}}, {"lacks:", {9, 3, 0, 2, 0}}};
  const Tallies agreed = {{"both:", {9, 2, 0, 2, 0}}, {"lacks:", {9, 3, 0, 2, 0}}};
  const CoverageFacts facts = CoverageOf(CoverageRows(ever, agreed, false, 30));
  EXPECT_EQ(facts.seen, 2u);
  EXPECT_EQ(facts.covered, 1u);
  EXPECT_THAT(facts.uncovered, ElementsAre("lacks:"));
}

TEST(ReportCollect, TheAuditTrailSaysWho) {
  const std::string trail =
      "{\"at_ms\":1000,\"who\":\"token a@127.0.0.1\",\"what\":\"flip\",\"from\":\"old\",\"to\":\"new\",\"outcome\":"
      "\"done\"}\n{\"at_ms\":1500,\"who\":\"b\",\"what\":\"reads_new\",\"from\":0,\"to\":25,\"outcome\":\"done\"}\n"
      "{\"at_ms\":2000,\"who\":\"c\",\"what\":\"flip\",\"to\":\"new\",\"outcome\":\"refused\"}\n{\"at_ms\":3000,\"wh";
  const auto all = ReadAudit(trail, 10);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].who, "c");
  EXPECT_EQ(all[1].to, "25");
  EXPECT_EQ(ReadAudit(trail, 2).size(), 2u);
  const auto flips = ReadAudit(trail, 10, "flip");
  FlipRecord flip;
  flip.at_ms = 1200;
  flip.to = Side::kNew;
  EXPECT_EQ(WhoFlipped(flips, flip), "token a@127.0.0.1");
  flip.to = Side::kOld;
  EXPECT_EQ(WhoFlipped(flips, flip), "");
  flip.to = Side::kNew;
  flip.at_ms = 60'000;
  EXPECT_EQ(WhoFlipped(flips, flip), "");
  EXPECT_THAT(ReadAudit("", 5), IsEmpty());
  EXPECT_THAT(ReadAudit("\n\nrubbish\n[]\n{}\n", 5), IsEmpty());
}

TEST(ReportAsker, InfoIsReadAsFarAsItGoes) {
  const std::string text = "used_memory:100\r\nmaxmemory:200\r\nkeyspace_hits:3\r\nkeyspace_misses:1\r\ndb0:keys=5\r\n";
  const StoreTold told = ReadStoreTold("$" + std::to_string(text.size()) + "\r\n" + text + "\r\n");
  EXPECT_EQ(told.refused, "");
  EXPECT_EQ(told.used_memory, 100u);
  EXPECT_EQ(told.misses, 1u);
  EXPECT_EQ(told.keys, 5);
  EXPECT_EQ(ReadStoreTold("-NOPERM no\r\n").refused, "NOPERM no");
  EXPECT_THAT(ReadStoreTold("$0\r\n\r\n").refused, HasSubstr("neither memory nor hits"));
}

}  // namespace
}  // namespace crossfade
