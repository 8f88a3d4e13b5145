// A report's document as Markdown: headings, lists and tables that GitHub and others read. Whatever is in a key's name,
// it stays in its cell.
#pragma once

#include <string>
#include <string_view>

#include "proxy/report_document.h"

namespace crossfade {

std::string ReportMarkdown(const ReportDocument& document);

// Text in which nothing has a meaning, on one line.
std::string MarkdownText(std::string_view text);

}  // namespace crossfade
