// Blocking commands without the blocking: what is tried in the lane instead, how its reply becomes the client's, and
// how what was popped for a client that has gone is given back. Pure. The waiting itself is proxy/waiting_room's.
//
// COMMANDS.md, "How Crossfade uses this" and C5: the non-blocking form runs in the lane, so its place in the order is
// exact; who finds nothing waits in the proxy and tries again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/request.h"
#include "routing/command_table.h"

namespace crossfade {

// Would this request wait if there were nothing for it? XREAD and XREADGROUP only with BLOCK.
bool MayBlock(const CommandRow& row, RequestView request);

struct BlockingForm {
  enum class Kind : uint8_t { kList, kSortedSet, kStream, kStreamGroup };
  enum class Shape : uint8_t {
    kAsIs,       // the attempt's reply is the client's
    kKeyFirst,   // [key, element] from the element of a single key
    kMultiFlat,  // [key, element] from [key, [element]]; [key, member, score] from [key, [[member, score]]]
  };

  Request attempt;         // the non-blocking form
  int64_t timeout_ms = 0;  // 0: for ever
  std::vector<std::string> keys;
  std::vector<size_t> ends;  // which arguments of `attempt` are "$": the stream's end, which only the primary knows
  Kind kind = Kind::kList;
  Shape shape = Shape::kAsIs;
  std::string error;  // not empty: the arguments are wrong, and this is what a server says (without '-')
};

// REQUIRES: MayBlock(row, request), and the row's arity is met.
BlockingForm MakeBlockingForm(const CommandRow& row, RequestView request);

// The client's reply to an attempt that found something. REQUIRES: `reply` is neither null nor an error.
void AppendBlockingReply(const BlockingForm& form, std::string_view reply, std::string* out);

// Commands that put back what an attempt has taken for a client that is gone. Empty when nothing has to be: a move has
// its destination, a consumer group its pending entries.
std::vector<Request> GiveBack(const BlockingForm& form, std::string_view reply);

// The attempt with the n-th of `ends` replaced by ids[n].
Request WithStreamEnds(const BlockingForm& form, const std::vector<std::string>& ids);

// The attempt for one of its keys alone: a server serves who waits for several by the one that was fed (blocked.c).
// `attempt` is the form's, or what WithStreamEnds made of it.
Request ForOneKey(const BlockingForm& form, const Request& attempt, std::string_view key);

// The id after which XINFO STREAM's reply says that nothing has come yet; "0-0" when there is no such stream.
std::string StreamEnd(std::string_view xinfo_reply);

}  // namespace crossfade
