// What is asked of the primary beside a command, directly after it, so that its effect on the secondary can be told:
// how much a trim left, and what a key holds. And a key's copy, made from such answers. Pure.
#pragma once

#include <string>
#include <string_view>

#include "routing/rewrite.h"

namespace crossfade {

enum class Companion : uint8_t {
  kNone,
  kStreamLength,  // XLEN key: how much an approximate trim left, or whether an entry was added at all
  kCopyKeys,      // PTTL and DUMP of each written key
};
Companion CompanionOf(const CommandRow& row, RequestView request);

// A script that fails keeps what it had written, and MIGRATE may have moved some of its keys (COMMANDS.md, E-6).
bool MayWriteInSpiteOfError(const CommandRow& row, std::string_view reply);

// Appends the companion commands for the keys they concern, and returns how many.
int AppendCompanions(Companion companion, const CommandRow& row, RequestView request, std::string* out);

// Keys that a copying command writes: for SORT and GEORADIUS those of its STORE, none without one.
KeyIndices WrittenKeys(const CommandRow& row, RequestView request);

// When a copied key expires, by the secondary's clock, and in which window of time the two sides may disagree about it.
struct CopyExpiry {
  int64_t at_ms = 0;
  ExpiryNote note;
};
// REQUIRES: ttl_ms, the primary's reply to PTTL, isn't negative.
CopyExpiry ExpiryOfCopy(std::string_view key, int64_t ttl_ms, const WriteTimes& times);

// One key copied: RESTORE, or DEL when the primary has none. `pttl` and `dump` are the primary's replies to PTTL and
// DUMP. Sets follow->unknown when they make no sense.
void RewriteCopy(std::string_view key, std::string_view pttl, std::string_view dump, const WriteTimes& times,
                 Follow* follow);

}  // namespace crossfade
