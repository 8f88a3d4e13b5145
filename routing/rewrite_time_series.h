// The time series of Rewrite: samples for which the primary's clock gave the time get that time on the secondary too.
// COMMANDS.md, section A9. Pure.
#pragma once

#include "routing/rewrite.h"

namespace crossfade {

// REQUIRES: the row's effect is one of kTimeSeriesAdd to kTimeSeriesIncrement.
void RewriteTimeSeries(const Accepted& accepted, Follow* follow);

}  // namespace crossfade
