#include "routing/follow_check.h"

#include <cmath>
#include <optional>

#include "protocol/reply.h"
#include "routing/comparer.h"

namespace crossfade {

bool Meets(const Expectation& expectation, const CommandRow& row, RequestView request, std::string_view primary_reply,
           std::string_view secondary_reply) {
  // Only a script that names no keys is followed although it failed: then it must fail there too, with an error of the
  // same class (what it says may hold the server's own words).
  const bool may_vary = expectation.kind == Expectation::Kind::kNoError;
  if (IsErrorReply(primary_reply) && (may_vary || expectation.kind == Expectation::Kind::kSame)) {
    return may_vary || ErrorCode(primary_reply) == ErrorCode(secondary_reply);
  }
  if (IsErrorReply(secondary_reply)) return false;
  switch (expectation.kind) {
    case Expectation::Kind::kSame:
      return row.compare == CompareRule::kNever || primary_reply == secondary_reply ||
             RepliesAgree(row.compare, request, primary_reply, secondary_reply, 0);
    case Expectation::Kind::kOk:
      return secondary_reply == "+OK\r\n";
    case Expectation::Kind::kInteger:
      return IntegerReply(secondary_reply) == expectation.integer;
    case Expectation::Kind::kText:
      return ParseReply(secondary_reply).text == expectation.text;
    case Expectation::Kind::kReply:
      return RepliesAgree(CompareRule::kExact, request, expectation.text, secondary_reply, 0);
    case Expectation::Kind::kNumber: {
      const Reply reply = ParseReply(secondary_reply);
      const auto value = reply.is_null() ? std::optional<double>(0) : ParseDouble(reply.text);
      return value && std::abs(*value - expectation.number) <= expectation.tolerance;
    }
    case Expectation::Kind::kNoError:
      return true;
  }
  return false;
}

}  // namespace crossfade
