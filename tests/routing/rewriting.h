// A write and the primary's reply in, the secondary's commands out as text: for the tests of Rewrite. Each command is
// one string, its words separated by spaces, then " => " and what the secondary must answer:
//   ok, an integer, same, no error, text:…, reply:… (line ends as "/"), number:….
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "protocol/reply.h"
#include "protocol/request.h"
#include "protocol/resp_parser.h"
#include "routing/command_table.h"
#include "routing/companion.h"
#include "routing/rewrite.h"

namespace crossfade {

// On the secondary's clock, the reply was read at 1'000'510.
inline constexpr WriteTimes kTimes = {.sent_ms = 1'000'000,
                                      .read_ms = 1'000'010,
                                      .primary_offset_ms = -200,
                                      .secondary_offset_ms = 500,
                                      .uncertainty_ms = 5};

inline constexpr char kOk[] = "+OK\r\n";
inline constexpr char kNil[] = "$-1\r\n";
inline constexpr char kNil3[] = "_\r\n";
inline constexpr char kNilArray[] = "*-1\r\n";

// "SET k v" in words. Every space separates, so that there is one reading.
inline std::vector<std::string_view> SplitWords(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t space = text.find(' ');
    words.push_back(text.substr(0, space));
    if (space == std::string_view::npos) return words;
    text.remove_prefix(space + 1);
  }
}

inline Companion CompanionFor(std::string_view command) {
  const Request request = MakeRequest(SplitWords(command));
  return CompanionOf(*FindCommand(request.view()), request.view());
}

inline std::string DescribeExpectation(const Expectation& expectation) {
  using Kind = Expectation::Kind;
  switch (expectation.kind) {
    case Kind::kSame:
      return "same";
    case Kind::kOk:
      return "ok";
    case Kind::kInteger:
      return std::to_string(expectation.integer);
    case Kind::kText:
      return "text:" + expectation.text;
    case Kind::kReply: {
      std::string text;
      for (char c : expectation.text) {
        if (c == '\n') text += '/';
        if (c != '\r' && c != '\n') text += c;
      }
      return "reply:" + text;
    }
    case Kind::kNumber:
      return fmt::format("number:{:.6g}", expectation.number);
    case Kind::kNoError:
      return "no error";
  }
  return "?";
}

// The follow's commands; "unknown" behind them when the effect is.
inline std::vector<std::string> Described(const Follow& follow) {
  std::vector<std::string> commands;
  RequestParser parser;
  std::string_view rest = follow.bytes;
  while (!rest.empty()) {
    RequestView command;
    size_t consumed = 0;
    if (parser.Parse(rest, &command, &consumed) != ParseResult::kDone) {
      ADD_FAILURE() << "no whole command: " << rest;
      break;
    }
    std::string& text = commands.emplace_back();
    for (size_t i = 0; i < command.argc(); ++i) text += (i == 0 ? "" : " ") + std::string(command.arg(i));
    rest.remove_prefix(consumed);
  }
  EXPECT_EQ(commands.size(), follow.expectations.size()) << "one expectation for each command";
  for (size_t i = 0; i < commands.size() && i < follow.expectations.size(); ++i) {
    commands[i] += " => " + DescribeExpectation(follow.expectations[i]);
  }
  EXPECT_EQ(follow.empty(), follow.bytes.empty());
  if (follow.unknown) commands.push_back("unknown");
  return commands;
}

struct RewriteOptions {
  std::vector<std::string> companions;
  bool eager_consumers = true;
  WriteTimes times = kTimes;
  bool field_expiry = false;
};

inline Follow FollowOf(const std::vector<std::string_view>& words, std::string_view reply,
                       const RewriteOptions& options = {}) {
  size_t consumed = 0;
  EXPECT_EQ(ReplyParser().Parse(reply, &consumed), ParseResult::kDone) << "test's own error: " << reply;
  EXPECT_EQ(consumed, reply.size()) << "test's own error: " << reply;
  const Request request = MakeRequest(words);
  Follow follow;
  const CommandRow* row = FindCommand(request.view());
  if (row == nullptr || row->route != Route::kWrite) {
    ADD_FAILURE() << "no write: " << words[0];
    return follow;
  }
  Rewrite(
      {*row, request.view(), reply, options.companions, options.times, options.eager_consumers, options.field_expiry},
      &follow);
  return follow;
}

inline Follow FollowOf(std::string_view command, std::string_view reply, const RewriteOptions& options = {}) {
  return FollowOf(SplitWords(command), reply, options);
}

// What the secondary gets for `command`, words separated by spaces.
inline std::vector<std::string> Emitted(std::string_view command, std::string_view reply,
                                        const RewriteOptions& options = {}) {
  return Described(FollowOf(command, reply, options));
}

}  // namespace crossfade
