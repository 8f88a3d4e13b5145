// Do two replies say the same? Pure: bytes and a rule in, a verdict out. What is done about a difference is decided
// elsewhere (proxy/second_look).
#pragma once

#include <string_view>

#include "protocol/request.h"
#include "routing/command_table.h"

namespace crossfade {

// REQUIRES: `a` and `b` are each exactly one reply (RESP2 or RESP3, not necessarily the same).
// `request` is what was asked (some rules depend on its options). `tolerance_ms` is the lag plus the clocks'
// uncertainty, for TTLs. Errors are equal when their first words are. Symmetric in a and b.
bool RepliesAgree(CompareRule rule, RequestView request, std::string_view a, std::string_view b, int64_t tolerance_ms);

}  // namespace crossfade
