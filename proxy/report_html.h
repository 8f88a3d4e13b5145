// A report's document as one HTML file: its style and its plots are in it, nothing is fetched, nothing is run. Reads
// well on a screen, and prints on A4 and Letter. All text is escaped: keys are what clients make them.
#pragma once

#include <string>
#include <string_view>

#include "proxy/report_document.h"

namespace crossfade {

std::string ReportHtml(const ReportDocument& document);

// Text in which nothing has a meaning, in elements and in attributes. Control characters become U+FFFD.
std::string HtmlText(std::string_view text);

}  // namespace crossfade
