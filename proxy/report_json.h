// A report as JSON: every figure as a number. What is not known is null, never 0.
#pragma once

#include "nlohmann/json_fwd.hpp"
#include "proxy/report_figures.h"

namespace crossfade {

nlohmann::json ReportJson(const ReportFigures& figures);

}  // namespace crossfade
