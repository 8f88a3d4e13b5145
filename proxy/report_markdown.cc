#include "proxy/report_markdown.h"

#include "fmt/format.h"
#include "routing/figures_text.h"

namespace crossfade {

namespace {

void AppendMarkdownTable(const ReportTable& table, std::string* out) {
  if (table.rows.empty()) {
    *out += MarkdownText(table.empty) + "\n\n";
    return;
  }
  *out += "|";
  for (const ReportTable::Column& column : table.columns) *out += " " + MarkdownText(column.title) + " |";
  *out += "\n|";
  for (const ReportTable::Column& column : table.columns) *out += column.number ? "---:|" : "---|";
  *out += "\n";
  for (size_t i = 0; i < table.rows.size(); ++i) {
    *out += "|";
    for (size_t j = 0; j < table.rows[i].size(); ++j) {
      const std::string text = MarkdownText(table.rows[i][j]);
      const bool verdict = static_cast<int>(j) == table.verdict_column;
      *out += fmt::format(" {} |", verdict ? "**" + text + "**" : text);
    }
    *out += "\n";
  }
  *out += "\n";
}

void AppendMarkdownBlock(const ReportBlock& block, std::string* out) {
  if (block.is == ReportBlock::Is::kPlot) return;  // the table above it says the same; the HTML report draws it
  if (!block.text.empty()) *out += MarkdownText(block.text) + "\n\n";
  switch (block.is) {
    case ReportBlock::Is::kText:
    case ReportBlock::Is::kPlot:
      break;
    case ReportBlock::Is::kTable:
      AppendMarkdownTable(block.table, out);
      break;
    case ReportBlock::Is::kChecklist:
      for (const std::string& item : block.items) *out += "- [ ] " + MarkdownText(item) + "\n";
      *out += "\n";
      break;
    case ReportBlock::Is::kSignatures:
      *out += "| | Name | Date | Signature |\n|---|---|---|---|\n";
      for (const std::string& who : block.items) *out += "| " + MarkdownText(who) + " | | | |\n";
      *out += "\n";
      break;
  }
}

}  // namespace

std::string MarkdownText(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += ' ';
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      if (std::string_view("\\`*_[]|~#").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string ReportMarkdown(const ReportDocument& document) {
  std::string out = fmt::format("# {}\n\n**Verdict: {}.** {}\n\n", MarkdownText(document.title), Name(document.verdict),
                                MarkdownText(document.verdict_meaning));
  for (const ReportSection& section : document.sections) {
    out += "## " + MarkdownText(section.title) + "\n\n";
    for (const ReportBlock& block : section.blocks) AppendMarkdownBlock(block, &out);
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace crossfade
