// Options that write commands share: when a value expires, and on what condition it is written. Read as servers read
// them; what a server would refuse is said to be not understood. Pure, and everything borrows the request.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "protocol/request.h"
#include "routing/rewrite.h"

namespace crossfade {

// An expiry as the client gave it: a number and what it counts.
struct GivenExpiry {
  bool absolute = false;  // a moment; otherwise a time to live
  int64_t ms = 0;
};

// nullopt when the server would refuse it.
std::optional<GivenExpiry> ReadExpiry(std::string_view number, bool absolute, bool seconds);

// An option word with its number: EX, PX, EXAT, PXAT.
bool IsExpiryOption(std::string_view word);
std::optional<GivenExpiry> ReadExpiryOption(std::string_view word, std::string_view number);

// The sum, or the last moment there is: servers take an expiry in 292 million years.
int64_t SaturatingAdd(int64_t a, int64_t b);

// The moment of an expiry on the secondary's clock.
int64_t SecondaryExpiry(const WriteTimes& times, GivenExpiry expiry);
// Is that moment over? A server would delete at once.
bool IsPast(const WriteTimes& times, GivenExpiry expiry);

// The options of SET and MSETEX.
struct SetOptions {
  bool nx = false, xx = false, get = false, keep_ttl = false;
  bool if_equal = false, if_other = false;  // IFEQ, IFNE: `compared` is what the old value is held against
  bool by_digest = false;                   // IFDEQ, IFDNE: of Redis 8.4
  std::string_view compared;
  std::optional<GivenExpiry> expiry;
  bool misread = false;  // an expiry that we don't understand
  bool unknown = false;  // an option that we don't know
};

// From argv[from] to the end.
SetOptions ReadSetOptions(RequestView request, size_t from);

}  // namespace crossfade
