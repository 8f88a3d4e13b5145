// What a preflight's facts mean for a migration: each check passes, warns or fails, with what was found and what to do
// about it. Pure: facts in, findings out, always in the same order.
//
// fail: a migration would not come out right, or could not begin. warn: it can, but an operator should know. What a
// store doesn't let us look at is a warning that says so, never a pass. A check that needs a store which wasn't reached
// is left out: that store's own line has failed already.
#pragma once

#include <vector>

#include "routing/preflight_facts.h"

namespace crossfade {

std::vector<Finding> JudgePreflight(const PreflightFacts& facts);

// pass, warn, fail.
const char* Name(CheckStatus status);

}  // namespace crossfade
