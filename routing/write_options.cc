#include "routing/write_options.h"

#include <limits>

#include "protocol/reply.h"

namespace crossfade {

std::optional<GivenExpiry> ReadExpiry(std::string_view number, bool absolute, bool seconds) {
  const std::optional<int64_t> value = ParseInt64(number);
  if (!value) return std::nullopt;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 1000;
  if (seconds && (*value > kMax || *value < -kMax)) return std::nullopt;
  return GivenExpiry{absolute, seconds ? *value * 1000 : *value};
}

bool IsExpiryOption(std::string_view word) {
  return EqualsIgnoreCase(word, "EX") || EqualsIgnoreCase(word, "PX") || EqualsIgnoreCase(word, "EXAT") ||
         EqualsIgnoreCase(word, "PXAT");
}

std::optional<GivenExpiry> ReadExpiryOption(std::string_view word, std::string_view number) {
  if (EqualsIgnoreCase(word, "EX")) return ReadExpiry(number, false, true);
  if (EqualsIgnoreCase(word, "PX")) return ReadExpiry(number, false, false);
  if (EqualsIgnoreCase(word, "EXAT")) return ReadExpiry(number, true, true);
  if (EqualsIgnoreCase(word, "PXAT")) return ReadExpiry(number, true, false);
  return std::nullopt;
}

int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
}

int64_t SecondaryExpiry(const WriteTimes& times, GivenExpiry expiry) {
  return expiry.absolute ? expiry.ms : SaturatingAdd(times.read_ms + times.secondary_offset_ms, expiry.ms);
}

bool IsPast(const WriteTimes& times, GivenExpiry expiry) {
  return expiry.absolute ? expiry.ms <= times.read_ms + times.secondary_offset_ms : expiry.ms <= 0;
}

SetOptions ReadSetOptions(RequestView request, size_t from) {
  SetOptions options;
  for (size_t i = from; i < request.argc() && !options.unknown; ++i) {
    const std::string_view word = request.arg(i);
    const bool has_argument = i + 1 < request.argc();
    if (EqualsIgnoreCase(word, "NX")) {
      options.nx = true;
    } else if (EqualsIgnoreCase(word, "XX")) {
      options.xx = true;
    } else if (EqualsIgnoreCase(word, "GET")) {
      options.get = true;
    } else if (EqualsIgnoreCase(word, "KEEPTTL")) {
      options.keep_ttl = true;
    } else if (IsExpiryOption(word) && has_argument) {
      options.expiry = ReadExpiryOption(word, request.arg(++i));
      options.misread = !options.expiry;
    } else if ((EqualsIgnoreCase(word, "IFEQ") || EqualsIgnoreCase(word, "IFNE")) && has_argument) {
      options.if_equal = EqualsIgnoreCase(word, "IFEQ");
      options.if_other = !options.if_equal;
      options.compared = request.arg(++i);
    } else if ((EqualsIgnoreCase(word, "IFDEQ") || EqualsIgnoreCase(word, "IFDNE")) && has_argument) {
      options.by_digest = true;
      ++i;
    } else {
      options.unknown = true;  // of a newer server: the primary took it, we can't tell what it did
    }
  }
  return options;
}

}  // namespace crossfade
