#include "routing/companion.h"

#include <algorithm>
#include <limits>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/rewrite_stream.h"
#include "routing/write_options.h"

namespace crossfade {

KeyIndices WrittenKeys(const CommandRow& row, RequestView request) {
  KeyIndices keys = FindKeys(row, request);
  // The first key of these is the source; what follows is where the result is stored.
  if ((row.keys == KeyRule::kSort || row.keys == KeyRule::kGeoStore) && !keys.empty()) keys.erase(keys.begin());
  return keys;
}

bool MayWriteInSpiteOfError(const CommandRow& row, std::string_view reply) {
  if (row.effect == Effect::kMigrate) return true;
  if (row.effect != Effect::kScript) return false;
  // Refused before it ran: a script's own commands don't fail in these words.
  const std::string_view code = ErrorCode(reply);
  const bool no_permission = code == "NOPERM" && reply.find("this user has no permissions") != std::string_view::npos;
  return code != "NOSCRIPT" && code != "BUSY" && !no_permission;
}

Companion CompanionOf(const CommandRow& row, RequestView request) {
  if (row.effect == Effect::kCopyKeys) return Companion::kCopyKeys;
  if (row.effect == Effect::kStreamAdd || row.effect == Effect::kStreamTrim) {
    return NeedsStreamLength(row, request) ? Companion::kStreamLength : Companion::kNone;
  }
  if (row.effect == Effect::kSet) {
    const SetOptions options = ReadSetOptions(request, 3);
    if (options.by_digest && options.get) return Companion::kCopyKeys;
  }
  return Companion::kNone;
}

int AppendCompanions(Companion companion, const CommandRow& row, RequestView request, std::string* out) {
  switch (companion) {
    case Companion::kNone:
      return 0;
    case Companion::kStreamLength:
      AppendCommand(out, {"XLEN", request.arg(1)});
      return 1;
    case Companion::kCopyKeys: {
      const KeyIndices keys = WrittenKeys(row, request);
      for (uint32_t key : keys) {
        AppendCommand(out, {"PTTL", request.arg(key)});
        AppendCommand(out, {"DUMP", request.arg(key)});
      }
      return static_cast<int>(2 * keys.size());
    }
  }
  return 0;
}

CopyExpiry ExpiryOfCopy(std::string_view key, int64_t ttl_ms, const WriteTimes& times) {
  // PTTL answers 0 in the last millisecond, but RESTORE takes 0 for "never". And servers take an expiry at the end of
  // int64, past which the sum must not go.
  const int64_t now = times.read_ms + times.secondary_offset_ms;
  const int64_t left = std::clamp<int64_t>(
      ttl_ms, 1, std::numeric_limits<int64_t>::max() - std::max(now, times.read_ms) - times.uncertainty_ms);
  CopyExpiry expiry;
  expiry.at_ms = now + left;
  expiry.note.key = key;
  expiry.note.window = {times.sent_ms + left - times.uncertainty_ms, times.read_ms + left + times.uncertainty_ms};
  return expiry;
}

void RewriteCopy(std::string_view key, std::string_view pttl, std::string_view dump, const WriteTimes& times,
                 Follow* follow) {
  const auto ttl = IntegerReply(pttl);
  // -2 beside a value: the key came into being between the two answers, and when it expires isn't known.
  if (!ttl || (!dump.starts_with('$') && !IsNullReply(dump)) || (*ttl == -2 && !IsNullReply(dump))) {
    follow->unknown = true;
    return;
  }
  Expectation& expectation = follow->expectations.emplace_back();
  if (IsNullReply(dump)) {
    AppendCommand(&follow->bytes, {"DEL", key});
    expectation.kind = Expectation::Kind::kNoError;
    return;
  }
  const Reply payload = ParseReply(dump);
  expectation.kind = Expectation::Kind::kOk;
  if (*ttl < 0) {
    AppendCommand(&follow->bytes, {"RESTORE", key, "0", payload.text, "REPLACE", "ABSTTL"});
    return;
  }
  CopyExpiry expiry = ExpiryOfCopy(key, *ttl, times);
  AppendCommand(&follow->bytes, {"RESTORE", key, std::to_string(expiry.at_ms), payload.text, "REPLACE", "ABSTTL"});
  follow->expiries.push_back(std::move(expiry.note));
}

}  // namespace crossfade
