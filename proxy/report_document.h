// A report as a document: sections of paragraphs, tables and plots, in words. Made once of the figures, then written as
// Markdown (proxy/report_markdown) and HTML (proxy/report_html), so that both say the same. All text is plain: whoever
// writes it down escapes it for where it goes.
#pragma once

#include <string>
#include <vector>

#include "proxy/report_figures.h"

namespace crossfade {

struct ReportTable {
  struct Column {
    std::string title;
    bool number = false;  // to the right
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
  int verdict_column = -1;  // whose cells are PASS, FAIL or INSUFFICIENT
  std::string empty;        // what is said when there are no rows
};

// How long the replies of both stores took.
struct ReportPlot {
  std::string id, title;
  LatencyHistogram old_store, new_store;
};

struct ReportBlock {
  enum class Is : uint8_t { kText, kTable, kPlot, kChecklist, kSignatures };
  Is is = Is::kText;
  std::string text;                // kText; above the others if not empty
  ReportTable table;               // kTable
  ReportPlot plot;                 // kPlot
  std::vector<std::string> items;  // kChecklist: to be ticked; kSignatures: who signs
};

struct ReportSection {
  std::string id, title;
  std::vector<ReportBlock> blocks;
  bool new_page = false;  // on paper
};

struct ReportDocument {
  std::string title;
  Verdict verdict = Verdict::kInsufficient;
  std::string verdict_meaning;
  std::vector<ReportSection> sections;
};

ReportDocument MakeReportDocument(const ReportFigures& figures);

}  // namespace crossfade
