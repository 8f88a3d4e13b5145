// The stream commands of Rewrite: ids, trims, consumer groups. COMMANDS.md, section A7. Pure.
#pragma once

#include "routing/rewrite.h"

namespace crossfade {

// REQUIRES: the row's effect is one of the kStream… ones.
void RewriteStream(const Accepted& accepted, Follow* follow);

// What stands before STREAMS in an XREAD or XREADGROUP, walked one by one: a group or a consumer may be called as an
// option is.
struct StreamReadOptions {
  size_t group = 0;  // where GROUP stands, its two names behind it; 0: nowhere
  bool block = false;
  bool no_ack = false;
};
StreamReadOptions ReadStreamReadOptions(RequestView request);

// Does only the stream's length tell what this XADD or XTRIM did? It trims with "~", or adds once (IDMP).
bool NeedsStreamLength(const CommandRow& row, RequestView request);

}  // namespace crossfade
