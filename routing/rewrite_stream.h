// The stream commands of Rewrite: ids, trims, consumer groups. COMMANDS.md, section A7. Pure.
#pragma once

#include "routing/rewrite.h"

namespace crossfade {

// REQUIRES: the row's effect is one of the kStream… ones.
void RewriteStream(const Accepted& accepted, Follow* follow);

// Does this XADD or XTRIM trim with "~", so that only the server knows how much went?
bool TrimsApproximately(const CommandRow& row, RequestView request);

}  // namespace crossfade
