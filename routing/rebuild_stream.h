// A stream with all that belongs to it, for routing/rebuild_commands: entries, ids and counters, groups, consumers,
// pending entries. Pure.
//
// Pending entries come first, entries afterwards: XCLAIM makes an entry pending only while it is in the stream, but one
// that was deleted stays pending. So each gets a placeholder of its id, is claimed, and the placeholders are trimmed
// away, which leaves what is pending; then the empty stream's last id is set back to zero, for the entries.
#pragma once

#include <memory>
#include <string_view>

#include "protocol/reply.h"
#include "routing/rebuild_commands.h"

namespace crossfade {

std::unique_ptr<PieceReader> MakeStreamReader(std::string_view key, std::string_view temporary,
                                              const PieceLimits& limits, bool stream_counters);

// From XINFO STREAM key FULL COUNT 0. False when it isn't understood.
bool RebuildStream(std::string_view key, const Reply& full, bool stream_counters, const WriteTimes& times,
                   CommandBatch* out);

// The id after this one, "ms-seq". Empty when there is none, or it is no id.
std::string NextStreamId(std::string_view id);
// By their order; what is no id comes before all.
bool StreamIdLess(std::string_view a, std::string_view b);

}  // namespace crossfade
