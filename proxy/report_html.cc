#include "proxy/report_html.h"

#include "fmt/format.h"
#include "proxy/report_plot.h"

namespace crossfade {

namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: #fff; color: #1c2430;
  font: 15px/1.5 "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.65rem; line-height: 1.25; }
h2 { margin: 2.4rem 0 .6rem; padding-bottom: .2rem; border-bottom: 1px solid #cfd6df; font-size: 1.2rem; }
p { margin: .6rem 0; max-width: 52rem; }
.verdict { max-width: none; margin: 1.2rem 0 0; padding: .9rem 1.1rem; border: 1px solid; border-left-width: .5rem; border-radius: 4px; }
.verdict strong { display: block; font-size: 1.5rem; letter-spacing: .02em; }
.verdict.PASS { border-color: #2f7d4f; background: #eef7f1; }
.verdict.INSUFFICIENT { border-color: #b07d12; background: #fdf7e8; }
.verdict.FAIL { border-color: #b3261e; background: #fdf0ef; }
nav ul { margin: 1rem 0 0; padding: 0; list-style: none; columns: 3 13rem; }
a { color: #1d5fa8; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 1rem; font-size: .87rem; }
th, td { padding: .32rem .55rem; border-bottom: 1px solid #e2e7ee; text-align: left; vertical-align: top; }
th { border-bottom: 1.5px solid #98a4b3; background: #f5f7fa; font-weight: 600; }
td.long { overflow-wrap: anywhere; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } td.n { white-space: nowrap; }
td.v { white-space: nowrap; font-weight: 700; }
td.v.PASS { color: #23643d; } td.v.INSUFFICIENT { color: #7a5400; } td.v.FAIL { color: #a11b14; }
table.plain { width: auto; } table.plain th { background: none; border: 0; padding: 0; }
table.plain td:first-child { white-space: nowrap; color: #56616f; }
svg.plot { display: block; width: 100%; max-width: 50rem; height: auto; margin: 1rem 0; }
svg text { font: 11px "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif; fill: #414b58; }
svg text.legend { font-size: 12px; fill: #1c2430; }
svg .grid { stroke: #e6eaf0; fill: none; } svg .frame, svg .tick { stroke: #66707d; fill: none; }
svg .old { fill: #9dbfe3; fill-opacity: .75; stroke: #2b66a3; stroke-width: 1; }
svg .new { fill: none; stroke: #c4520a; stroke-width: 2; }
svg .p99 { fill: none; stroke-dasharray: 4 3; stroke-width: 1.4; }
ul.check { padding: 0; list-style: none; }
ul.check li { margin: .55rem 0; padding-left: 1.9rem; position: relative; max-width: 52rem; }
ul.check li::before { content: ""; position: absolute; left: .1rem; top: .2em; width: .95rem; height: .95rem;
  border: 1.5px solid #414b58; border-radius: 2px; }
table.sign td { height: 3.1rem; vertical-align: bottom; border-bottom: 1px solid #414b58; }
table.sign td:first-child { width: 9rem; } table.sign th { background: none; border: 0; }
@page { margin: 16mm 14mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  a { color: inherit; text-decoration: none; }
  .wide { overflow: visible; }
  table { font-size: 8.2pt; } th, td { padding: 2pt 4pt; }
  thead { display: table-header-group; }
  tr, li, p, svg, .verdict, table.sign { break-inside: avoid; }
  svg.plot { max-width: 150mm; margin: 2mm 0; }
  h2, .above { break-after: avoid; }
  section.page { break-before: page; }
  .verdict, th, svg .old, td.v { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
)";

// A key, a hash: it may be broken anywhere, or the table would be as wide as it is.
bool HasLongWord(std::string_view text) {
  constexpr size_t kLong = 24;
  size_t length = 0;
  for (const char c : text) {
    length = c == ' ' ? 0 : length + 1;
    if (length > kLong) return true;
  }
  return false;
}

void AppendHtmlTable(const ReportTable& table, std::string* out) {
  if (table.rows.empty()) {
    *out += fmt::format("<p>{}</p>\n", HtmlText(table.empty));
    return;
  }
  bool headed = false;
  for (const ReportTable::Column& column : table.columns) headed = headed || !column.title.empty();
  *out += fmt::format("<div class=\"wide\"><table{}>", headed ? "" : " class=\"plain\"");
  if (headed) {
    *out += "<thead><tr>";
    for (const ReportTable::Column& column : table.columns)
      *out += fmt::format("<th scope=\"col\"{}>{}</th>", column.number ? " class=\"n\"" : "", HtmlText(column.title));
    *out += "</tr></thead>";
  }
  *out += "<tbody>\n";
  for (const std::vector<std::string>& row : table.rows) {
    *out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string text = HtmlText(row[i]);
      if (static_cast<int>(i) == table.verdict_column) {
        *out += fmt::format("<td class=\"v {}\">{}</td>", text, text);
      } else {
        const char* kind = table.columns[i].number ? " class=\"n\"" : HasLongWord(row[i]) ? " class=\"long\"" : "";
        *out += fmt::format("<td{}>{}</td>", kind, text);
      }
    }
    *out += "</tr>\n";
  }
  *out += "</tbody></table></div>\n";
}

void AppendHtmlBlock(const ReportBlock& block, std::string* out) {
  if (!block.text.empty()) {
    *out += fmt::format("<p{}>{}</p>\n", block.is == ReportBlock::Is::kText ? "" : " class=\"above\"",
                        HtmlText(block.text));
  }
  switch (block.is) {
    case ReportBlock::Is::kText:
      break;
    case ReportBlock::Is::kTable:
      AppendHtmlTable(block.table, out);
      break;
    case ReportBlock::Is::kPlot:
      *out += PlotSvg(block.plot) + "\n";
      break;
    case ReportBlock::Is::kChecklist:
      *out += "<ul class=\"check\">\n";
      for (const std::string& item : block.items) *out += fmt::format("<li>{}</li>\n", HtmlText(item));
      *out += "</ul>\n";
      break;
    case ReportBlock::Is::kSignatures:
      *out +=
          "<table class=\"sign\"><thead><tr><th scope=\"col\"></th><th scope=\"col\">Name</th><th "
          "scope=\"col\">Date</th>"
          "<th scope=\"col\">Signature</th></tr></thead><tbody>\n";
      for (const std::string& who : block.items)
        *out += fmt::format("<tr><td>{}</td><td></td><td></td><td></td></tr>\n", HtmlText(who));
      *out += "</tbody></table>\n";
      break;
  }
}

}  // namespace

std::string HtmlText(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case ' ':  // a figure stays with its unit
        out += text.substr(i + 1, 1) == "%" ? "\xc2\xa0" : " ";
        break;
      default:
        out += byte < 0x20 || byte == 0x7f ? "\xef\xbf\xbd" : std::string(1, c);
    }
  }
  return out;
}

std::string ReportHtml(const ReportDocument& document) {
  const char* verdict = Name(document.verdict);
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{}: {}</title>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"crossfade-verdict\" content=\"{}\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
      "<style>{}</style>\n</head>\n<body>\n<header>\n<h1>{}</h1>\n"
      "<p class=\"verdict {}\"><strong>{}</strong>{}</p>\n</header>\n<nav aria-label=\"Sections\"><ul>\n",
      verdict, HtmlText(document.title), verdict, kStyle, HtmlText(document.title), verdict, verdict,
      HtmlText(document.verdict_meaning));
  for (const ReportSection& section : document.sections)
    out += fmt::format("<li><a href=\"#{}\">{}</a></li>\n", section.id, HtmlText(section.title));
  out += "</ul></nav>\n<main>\n";
  for (const ReportSection& section : document.sections) {
    out += fmt::format("<section id=\"{}\"{}>\n<h2>{}</h2>\n", section.id, section.new_page ? " class=\"page\"" : "",
                       HtmlText(section.title));
    for (const ReportBlock& block : section.blocks) AppendHtmlBlock(block, &out);
    out += "</section>\n";
  }
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace crossfade
