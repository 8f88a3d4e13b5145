// The plots of a report: how long the replies of both stores took, as one SVG that is part of the page. The shares of
// old's replies are filled, those of new's a line, so that they can be told apart without colours. Pure.
#pragma once

#include <string>

#include "proxy/report_document.h"

namespace crossfade {

// An <svg> element with a title and a description; no figure in it is NaN or infinite, whatever was counted.
std::string PlotSvg(const ReportPlot& plot);

}  // namespace crossfade
