// The lists, sets, hashes and sorted sets of Rewrite: what was popped, moved or added. COMMANDS.md, sections A3 to A6.
// Pure.
#pragma once

#include "routing/rewrite.h"

namespace crossfade {

// REQUIRES: the row's effect is one of kPop to kSortedSetMultiPop.
void RewriteCollection(const Accepted& accepted, Follow* follow);

}  // namespace crossfade
