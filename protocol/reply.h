// One reply, understood: a tree over bytes that somebody else owns. For the few places that must look inside a reply
// (rewriting, comparing, the proxy's own questions); everything else forwards the bytes as they came.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace crossfade {

enum class ReplyType : uint8_t {
  kSimple,     // +
  kError,      // - and !
  kInteger,    // :
  kBulk,       // $ and = (a verbatim string's text comes without its "txt:" prefix)
  kNull,       // _ and $-1 and *-1
  kDouble,     // ,
  kBoolean,    // #
  kBigNumber,  // (
  kArray,      // *
  kMap,        // % (items: key, value, key, value …)
  kSet,        // ~
  kPush,       // >
};

struct Reply {
  ReplyType type = ReplyType::kNull;
  std::string_view text;     // strings, errors (without '-'), numbers as sent; borrowed from the parsed bytes
  int64_t integer = 0;       // kInteger, and kBoolean as 0 or 1
  std::vector<Reply> items;  // aggregates

  bool is_error() const { return type == ReplyType::kError; }
  bool is_null() const { return type == ReplyType::kNull; }
  bool is_aggregate() const { return type >= ReplyType::kArray; }
  // A string's or simple string's text, an integer's digits; empty for others.
  bool is_text() const { return type == ReplyType::kSimple || type == ReplyType::kBulk; }
};

// REQUIRES: `bytes` is exactly one reply, as ReplyParser found it. Attributes are skipped. The result borrows `bytes`.
Reply ParseReply(std::string_view bytes);

// The same value in RESP again (RESP3's null, and plain strings for verbatim ones).
void AppendReply(std::string* out, const Reply& reply);

// Without building a tree, for the paths that run once a command.
inline bool IsErrorReply(std::string_view bytes) {
  return !bytes.empty() && (bytes[0] == '-' || bytes[0] == '!');
}
inline bool IsNullReply(std::string_view bytes) {
  return !bytes.empty() && (bytes[0] == '_' || bytes.substr(0, 3) == "$-1" || bytes.substr(0, 3) == "*-1");
}
// The value of ":n". nullopt for every other reply.
std::optional<int64_t> IntegerReply(std::string_view bytes);
// First word of an error reply: "WRONGTYPE", "ERR". Empty for other replies.
std::string_view ErrorCode(std::string_view bytes);

// Strict decimal integer as servers read it: optional '-', no leading zeros, no '+', no spaces, within 64 bits.
std::optional<int64_t> ParseInt64(std::string_view text);
// A float as servers print and read it, "inf" included; nullopt unless all of `text` is one.
std::optional<double> ParseDouble(std::string_view text);

}  // namespace crossfade
