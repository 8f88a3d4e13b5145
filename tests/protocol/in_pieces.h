// Runs a stream of RESP through a parser as the network might cut it. Each piece is copied into a heap block of exactly
// its size, so that AddressSanitizer sees any read beyond what had arrived.
#pragma once

#include <cstring>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "protocol/resp_parser.h"

namespace crossfade {

// Everything that a stream held: each message as text, and the error that ended it, if one did.
struct Outcome {
  std::vector<std::string> messages;
  std::string error;
  size_t left = 0;  // bytes of a message that isn't whole

  bool operator==(const Outcome&) const = default;
};

inline void PrintTo(const Outcome& outcome, std::ostream* out) {
  for (const std::string& message : outcome.messages) *out << "  [" << message << "]\n";
  *out << "  error '" << outcome.error << "', " << outcome.left << " bytes left";
}

struct Requests {
  RequestParser parser;

  ParseResult Parse(std::string_view unread, std::string* message, size_t* consumed) {
    RequestView request;
    const ParseResult result = parser.Parse(unread, &request, consumed);
    if (result != ParseResult::kDone) return result;
    for (size_t i = 0; i < request.argc(); ++i) *message += "<" + std::string(request.arg(i)) + ">";
    // What is handed on is always an array of bulk strings that says the same.
    if (request.argc() > 0) {
      std::vector<std::string_view> args;
      for (size_t i = 0; i < request.argc(); ++i) args.push_back(request.arg(i));
      if (unread[0] != '*') {
        EXPECT_EQ(request.bytes(), MakeRequest(args).view().bytes());
      } else {
        EXPECT_EQ(request.bytes(), unread.substr(0, *consumed));
      }
    }
    return result;
  }
};

struct Replies {
  ReplyParser parser;

  ParseResult Parse(std::string_view unread, std::string* message, size_t* consumed) {
    const ParseResult result = parser.Parse(unread, consumed);
    if (result == ParseResult::kDone) *message = unread.substr(0, *consumed);
    return result;
  }
};

// Parses `stream` as it arrives in pieces that end at `cuts` (ascending) and at its end.
template <typename Parser>
Outcome ParseInPieces(std::string_view stream, const std::vector<size_t>& cuts) {
  Parser messages;
  Outcome outcome;
  size_t start = 0;
  for (size_t i = 0; i <= cuts.size(); ++i) {
    const size_t end = i < cuts.size() ? cuts[i] : stream.size();
    while (start < end) {
      const size_t size = end - start;
      const std::unique_ptr<char[]> block(new char[size]);
      memcpy(block.get(), stream.data() + start, size);
      std::string message;
      size_t consumed = 0;
      const ParseResult result = messages.Parse(std::string_view(block.get(), size), &message, &consumed);
      if (result == ParseResult::kError) {
        outcome.error = messages.parser.error();
        return outcome;
      }
      if (result == ParseResult::kNeedMore) {
        EXPECT_GT(messages.parser.wanted_bytes(), size);
        break;
      }
      EXPECT_GT(consumed, 0u);
      EXPECT_LE(consumed, size);
      outcome.messages.push_back(message);
      start += consumed;
    }
  }
  outcome.left = stream.size() - start;
  return outcome;
}

inline std::vector<size_t> EveryByte(size_t size) {
  std::vector<size_t> cuts;
  for (size_t i = 1; i < size; ++i) cuts.push_back(i);
  return cuts;
}

// Parses in every way of cutting that is worth its time; all must agree.
template <typename Parser>
Outcome ParseEverySplit(std::string_view stream) {
  const Outcome whole = ParseInPieces<Parser>(stream, {});
  EXPECT_EQ(ParseInPieces<Parser>(stream, EveryByte(stream.size())), whole) << "byte by byte: " << stream;
  for (size_t cut = 1; cut < stream.size(); ++cut) {
    EXPECT_EQ(ParseInPieces<Parser>(stream, {cut}), whole) << "cut at " << cut << ": " << stream;
    if (::testing::Test::HasFailure()) break;
  }
  return whole;
}

// Whole, and cut near the limit: with a line of that length, every split would take minutes.
template <typename Parser>
Outcome ParseLongLine(const std::string& stream, size_t limit) {
  const Outcome whole = ParseInPieces<Parser>(stream, {});
  for (size_t cut : {size_t{1}, limit - 1, limit, limit + 1, limit + 2}) {
    if (cut < stream.size()) {
      EXPECT_EQ(ParseInPieces<Parser>(stream, {cut}), whole) << "cut at " << cut;
    }
  }
  return whole;
}

}  // namespace crossfade
