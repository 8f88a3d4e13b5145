// Replies and requests in few words, for the tests of RepliesAgree.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "protocol/request.h"
#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"
#include "routing/comparer.h"

namespace crossfade {

using Args = std::vector<std::string_view>;

inline std::string Bulk(std::string_view text) {
  std::string out;
  AppendBulk(&out, text);
  return out;
}

// An aggregate of values that are already RESP. `type` '%' counts pairs.
inline std::string List(char type, std::initializer_list<std::string> items) {
  std::string out = type + std::to_string(type == '%' ? items.size() / 2 : items.size()) + "\r\n";
  for (const std::string& item : items) out += item;
  return out;
}

inline std::string Bulks(std::initializer_list<std::string_view> texts) {
  std::string out = "*" + std::to_string(texts.size()) + "\r\n";
  for (std::string_view text : texts) AppendBulk(&out, text);
  return out;
}

// Whether the rule holds them equal; checked in both directions.
inline bool Agree(CompareRule rule, Args args, const std::string& a, const std::string& b, int64_t tolerance_ms = 0) {
  for (const std::string& reply : {a, b}) {
    size_t consumed = 0;
    EXPECT_EQ(ReplyParser().Parse(reply, &consumed), ParseResult::kDone) << "test's own error: " << reply;
    EXPECT_EQ(consumed, reply.size()) << "test's own error: " << reply;
  }
  const Request request = MakeRequest(args);
  const bool agree = RepliesAgree(rule, request.view(), a, b, tolerance_ms);
  EXPECT_EQ(RepliesAgree(rule, request.view(), b, a, tolerance_ms), agree) << "not symmetric: " << a << b;
  EXPECT_TRUE(RepliesAgree(rule, request.view(), a, a, tolerance_ms));
  return agree;
}

inline std::string Integer(int64_t value) {
  return ":" + std::to_string(value) + "\r\n";
}

}  // namespace crossfade
