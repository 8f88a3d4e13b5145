// The parsers find the same messages in the same bytes however the network cut them.
#include "protocol/resp_parser.h"

#include <sys/mman.h>

#include <cstring>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "protocol/resp_writer.h"
#include "tests/protocol/in_pieces.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Bulks(std::initializer_list<std::string_view> args) {
  std::string out;
  AppendCommand(&out, args);
  return out;
}

TEST(RequestParser, ArraysInEverySplit) {
  const std::string stream = Bulks({"GET", "k"}) + Bulks({"SET", "k", "a\r\nb"}) + Bulks({""}) +
                             Bulks({"MSET", "a", "", "b", std::string_view("\0\n", 2)}) + Bulks({"PING"});
  const Outcome outcome = ParseEverySplit<Requests>(stream);
  EXPECT_THAT(outcome.messages, ElementsAre("<GET><k>", "<SET><k><a\r\nb>", "<>",
                                            "<MSET><a><><b><" + std::string("\0\n", 2) + ">", "<PING>"));
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.left, 0u);
}

TEST(RequestParser, InlineInEverySplit) {
  const Outcome outcome = ParseEverySplit<Requests>(
      "PING\r\n  set\tk  v \nset \"a b\" 'c d'\r\n"
      "echo \"\\x41\\n\\\"\\q\\xZZ\" 'it\\'s \\n' \"\"\r\nfoo\"bar\"\r\n");
  EXPECT_THAT(outcome.messages,
              ElementsAre("<PING>", "<set><k><v>", "<set><a b><c d>", "<echo><A\n\"qxZZ><it's \\n><>", "<foobar>"));
}

TEST(RequestParser, IgnoresWhatAServerIgnores) {
  const Outcome outcome = ParseEverySplit<Requests>("\r\n\n*0\r\n*-1\r\n*-77\r\n   \r\n" + Bulks({"PING"}));
  EXPECT_THAT(outcome.messages, ElementsAre("", "", "", "", "", "", "<PING>"));
}

TEST(RequestParser, WhatIsCutShortIsLeft) {
  const std::string stream = Bulks({"SET", "key", "value"}) + Bulks({"GET", "key"}) + "PING\r\n";
  for (size_t size = 0; size < stream.size(); ++size) {
    const Outcome outcome = ParseInPieces<Requests>(stream.substr(0, size), EveryByte(size));
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome, ParseInPieces<Requests>(stream.substr(0, size), {}));
  }
}

// Texts: Redis 7.0 networking.c, processMultibulkBuffer and processInlineBuffer.
TEST(RequestParser, ErrorsAreWordedAsRedisWordsThem) {
  const struct {
    std::string stream;
    std::string error;
  } kCases[] = {
      {"*x\r\n", "ERR Protocol error: invalid multibulk length"},
      {"*\r\n", "ERR Protocol error: invalid multibulk length"},
      {"*1\n", "ERR Protocol error: invalid multibulk length"},
      {"*01\r\n", "ERR Protocol error: invalid multibulk length"},
      {"*+1\r\n", "ERR Protocol error: invalid multibulk length"},
      {"* 1\r\n", "ERR Protocol error: invalid multibulk length"},
      {"*1048577\r\n", "ERR Protocol error: invalid multibulk length"},
      {"*9223372036854775808\r\n", "ERR Protocol error: invalid multibulk length"},
      {"*1\r\nGET\r\n", "ERR Protocol error: expected '$', got 'G'"},
      {"*2\r\n$3\r\nGET\r\n:1\r\n", "ERR Protocol error: expected '$', got ':'"},
      {"*1\r\n$-5\r\n", "ERR Protocol error: invalid bulk length"},
      {"*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length"},
      {"*1\r\n$\r\n", "ERR Protocol error: invalid bulk length"},
      {"*1\r\n$abc\r\n", "ERR Protocol error: invalid bulk length"},
      {"*1\r\n$536870913\r\n", "ERR Protocol error: invalid bulk length"},
      {"set \"a\r\n", "ERR Protocol error: unbalanced quotes in request"},
      {"set 'a\r\n", "ERR Protocol error: unbalanced quotes in request"},
      {"set \"a\"b\r\n", "ERR Protocol error: unbalanced quotes in request"},
      {"set \"a\\\r\n", "ERR Protocol error: unbalanced quotes in request"},
  };
  for (const auto& [stream, error] : kCases) {
    EXPECT_EQ(ParseEverySplit<Requests>(stream).error, error) << stream;
    // What came before it is still delivered.
    const Outcome after = ParseEverySplit<Requests>(Bulks({"PING"}) + stream);
    EXPECT_EQ(after.error, error) << stream;
    EXPECT_THAT(after.messages, ElementsAre("<PING>"));
  }
}

TEST(RequestParser, BulksEndInCrLf) {
  EXPECT_THAT(ParseEverySplit<Requests>("*1\r\n$1\r\naXY").error, HasSubstr("expected CRLF"));
  EXPECT_THAT(ParseEverySplit<Requests>("*1\r\n$1\r\nab\r\n").error, HasSubstr("expected CRLF"));
}

TEST(RequestParser, LongLines) {
  const std::string longest(kMaxInlineBytes, 'a');
  EXPECT_THAT(ParseLongLine<Requests>(longest + "\n", kMaxInlineBytes).messages, ElementsAre("<" + longest + ">"));
  for (const char* end : {"", "a", "\n", "a\r\n", "aaa\r\n"}) {
    const Outcome outcome = ParseLongLine<Requests>(longest + "a" + end, kMaxInlineBytes);
    EXPECT_EQ(outcome.error, "ERR Protocol error: too big inline request");
    EXPECT_TRUE(outcome.messages.empty());
  }
  const std::string digits(kMaxInlineBytes, '1');
  for (const char* end : {"", "\n", "\r\n", "1\r\n"}) {
    EXPECT_EQ(ParseLongLine<Requests>("*" + digits + end, kMaxInlineBytes).error,
              "ERR Protocol error: too big mbulk count string");
    EXPECT_EQ(ParseLongLine<Requests>("*1\r\n$" + digits + end, kMaxInlineBytes + 4).error,
              "ERR Protocol error: too big bulk count string");
  }
}

TEST(RequestParser, LimitsAreInclusive) {
  for (const char* header : {"*1048576\r\n", "*1\r\n$536870912\r\n"}) {
    const Outcome outcome = ParseInPieces<Requests>(header, {});
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.left, strlen(header));
  }
}

// Two arguments of 512 MiB and their headers are more than 1 GiB. The first one's bytes are pages never touched: the
// parser looks only at what surrounds them.
TEST(RequestParser, ARequestIsBounded) {
  constexpr size_t kMapped = size_t{600} << 20;
  void* const pages =
      mmap(nullptr, kMapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  char* const bytes = static_cast<char*>(pages);
  const std::string head = "*3\r\n$536870912\r\n";
  const std::string next = "\r\n$536870912\r\n";
  memcpy(bytes, head.data(), head.size());
  memcpy(bytes + head.size() + 536870912, next.data(), next.size());

  RequestParser parser;
  RequestView request;
  size_t consumed = 0;
  EXPECT_EQ(parser.Parse(std::string_view(bytes, head.size()), &request, &consumed), ParseResult::kNeedMore);
  EXPECT_EQ(parser.wanted_bytes(), head.size() + 536870912 + 2);
  const std::string_view both(bytes, head.size() + 536870912 + next.size());
  EXPECT_EQ(parser.Parse(both, &request, &consumed), ParseResult::kError);
  EXPECT_EQ(parser.error(), "ERR Protocol error: too big request");
  EXPECT_EQ(munmap(pages, kMapped), 0);
}

TEST(RequestParser, APromiseOfAMillionCostsNothing) {
  std::vector<RequestParser> parsers(10000);
  std::vector<RequestView> requests(parsers.size());
  size_t consumed = 0;
  for (size_t i = 0; i < parsers.size(); ++i) {  // 8 bytes for each promised argument would be 80 GB
    EXPECT_EQ(parsers[i].Parse("*1000000\r\n", &requests[i], &consumed), ParseResult::kNeedMore);
  }
}

TEST(RequestParser, ResetStartsAfresh) {
  for (const char* begun : {"*2\r\n$3\r\nGE", "*2\r\n$3\r\nGET\r\n$", "*", "set \"a", "*1\r\nx"}) {
    RequestParser parser;
    RequestView request;
    size_t consumed = 0;
    EXPECT_NE(parser.Parse(begun, &request, &consumed), ParseResult::kDone);
    parser.Reset();
    const std::string stream = Bulks({"PING"});
    ASSERT_EQ(parser.Parse(stream, &request, &consumed), ParseResult::kDone);
    EXPECT_EQ(consumed, stream.size());
    EXPECT_EQ(request.argc(), 1u);
  }
}

TEST(ReplyParser, EveryTypeInEverySplit) {
  const std::vector<std::string> replies = {
      "+OK\r\n",
      "+\r\n",
      "-ERR no such key\r\n",
      ":42\r\n",
      ":-1\r\n",
      "$5\r\nhe\r\no\r\n",
      "$0\r\n\r\n",
      "$-1\r\n",
      "*-1\r\n",
      "*0\r\n",
      "*2\r\n$1\r\na\r\n*2\r\n:1\r\n*-1\r\n",
      "_\r\n",
      ",3.25\r\n",
      ",inf\r\n",
      "#t\r\n",
      "#f\r\n",
      "(3492890328409238509324850943850943825024385\r\n",
      "!21\r\nSYNTAX invalid syntax\r\n",
      "=15\r\ntxt:Some string\r\n",
      "%2\r\n+a\r\n:1\r\n+b\r\n~2\r\n+x\r\n+y\r\n",
      "%0\r\n",
      "~0\r\n",
      ">3\r\n+message\r\n+c\r\n$1\r\nm\r\n",
      "|1\r\n+key-popularity\r\n%1\r\n$1\r\na\r\n,0.1923\r\n*2\r\n:1\r\n|1\r\n+ttl\r\n:3600\r\n:2\r\n",
      "|0\r\n+OK\r\n",
  };
  std::string stream;
  for (const std::string& reply : replies) {
    EXPECT_THAT(ParseEverySplit<Replies>(reply).messages, ElementsAre(reply));
    stream += reply;
  }
  EXPECT_EQ(ParseEverySplit<Replies>(stream).messages, replies);
}

TEST(ReplyParser, Refuses) {
  for (const char* stream : {"hello\r\n", "$x\r\n", "$\r\n", "$-2\r\n", "*-2\r\n", "%-1\r\n", "~-1\r\n", "!-1\r\n",
                             "=-1\r\n", ">-1\r\n", "|-1\r\n", "$1\r\nab\r\n", "+OK\n", "\r\n", "\n", "$536870913\r\n",
                             "*4611686018427387904\r\n", "*9223372036854775808\r\n", "*1\r\n?\r\n"}) {
    const Outcome outcome = ParseEverySplit<Replies>(stream);
    EXPECT_THAT(outcome.error, HasSubstr("not RESP: ")) << stream;
    EXPECT_TRUE(outcome.messages.empty());
  }
}

TEST(ReplyParser, LongLines) {
  const std::string longest = "+" + std::string(kMaxReplyLineBytes - 2, 'a');
  EXPECT_THAT(ParseLongLine<Replies>(longest + "\r\n", kMaxReplyLineBytes).messages, ElementsAre(longest + "\r\n"));
  for (const char* end : {"", "\r\n", "a"}) {
    const Outcome outcome = ParseLongLine<Replies>(longest + "aaa" + end, kMaxReplyLineBytes);
    EXPECT_EQ(outcome.error, "not RESP: a line without an end");
  }
}

TEST(ReplyParser, NestingIsBounded) {
  const auto nested = [](size_t levels, std::string_view core) {
    std::string out;
    for (size_t i = 0; i < levels; ++i) out += "*1\r\n";
    return out.append(core);
  };
  EXPECT_EQ(ParseEverySplit<Replies>(nested(kMaxNesting, ":1\r\n")).messages.size(), 1u);
  EXPECT_EQ(ParseEverySplit<Replies>(nested(kMaxNesting - 1, "*0\r\n")).messages.size(), 1u);
  EXPECT_EQ(ParseEverySplit<Replies>(nested(kMaxNesting, "*-1\r\n")).messages.size(), 1u);
  EXPECT_THAT(ParseEverySplit<Replies>(nested(kMaxNesting + 1, ":1\r\n")).error, HasSubstr("nested too deeply"));
  EXPECT_THAT(ParseEverySplit<Replies>(nested(kMaxNesting, "*0\r\n")).error, HasSubstr("nested too deeply"));
  EXPECT_THAT(ParseInPieces<Replies>(nested(1000000, ""), {}).error, HasSubstr("nested too deeply"));
}

TEST(ReplyParser, APromiseOfManyCostsNothing) {
  std::vector<ReplyParser> parsers(10000);
  size_t consumed = 0;
  for (ReplyParser& parser : parsers) {
    EXPECT_EQ(parser.Parse("*1000000000\r\n%1000000000\r\n", &consumed), ParseResult::kNeedMore);
  }
}

TEST(ReplyParser, ResetStartsAfresh) {
  for (const char* begun : {"*2\r\n:1\r\n", "$5\r\nab", "*3\r\n*2\r\n$1", "?\r\n"}) {
    ReplyParser parser;
    size_t consumed = 0;
    EXPECT_NE(parser.Parse(begun, &consumed), ParseResult::kDone);
    parser.Reset();
    ASSERT_EQ(parser.Parse("+OK\r\n:1\r\n", &consumed), ParseResult::kDone);
    EXPECT_EQ(consumed, 5u);
  }
}

// Streams of random messages, some of them damaged, in random pieces.
template <typename Parser, typename Generate>
void RandomSplits(Generate generate) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string stream;
    for (int i = 0; i < 5; ++i) generate(&random, &stream);
    if (random() % 4 == 0) stream[random() % stream.size()] = static_cast<char>(random());
    const Outcome whole = ParseInPieces<Parser>(stream, {});
    for (int split = 0; split < 4; ++split) {
      std::vector<size_t> cuts;
      for (size_t at = 1 + random() % 30; at < stream.size(); at += 1 + random() % 30) cuts.push_back(at);
      ASSERT_EQ(ParseInPieces<Parser>(stream, cuts), whole) << stream;
    }
  }
}

TEST(RequestParser, RandomSplits) {
  RandomSplits<Requests>([](std::mt19937* random, std::string* stream) {
    const size_t args = (*random)() % 5;
    AppendArrayHeader(stream, args);
    for (size_t i = 0; i < args; ++i) {
      std::string arg((*random)() % 20, 'a');
      for (char& c : arg) c = "ab\r\n$*1"[(*random)() % 7];
      AppendBulk(stream, arg);
    }
    if ((*random)() % 3 == 0) *stream += "echo \"a b\" c\r\n";
  });
}

void AppendRandomReply(std::mt19937* random, int depth, std::string* stream) {
  const char* const kScalars[] = {"+OK\r\n",       "-ERR x\r\n", ":7\r\n",     "_\r\n",           "#t\r\n",
                                  ",1.5\r\n",      "(12\r\n",    "$-1\r\n",    "*-1\r\n",         "$4\r\n\r\n\r\n\r\n",
                                  "!3\r\nE a\r\n", "*0\r\n",     "$0\r\n\r\n", "=5\r\ntxt:a\r\n", "%0\r\n"};
  if (depth == 0 || (*random)() % 3 == 0) {
    *stream += kScalars[(*random)() % std::size(kScalars)];
    return;
  }
  const char type = "*~>%|"[(*random)() % 5];
  const size_t size = (*random)() % 4;
  *stream += type + std::to_string(size) + "\r\n";
  const size_t values = size * (type == '%' || type == '|' ? 2 : 1) + (type == '|' ? 1 : 0);
  for (size_t i = 0; i < values; ++i) AppendRandomReply(random, depth - 1, stream);
}

TEST(ReplyParser, RandomSplits) {
  RandomSplits<Replies>([](std::mt19937* random, std::string* stream) { AppendRandomReply(random, 3, stream); });
}

}  // namespace
}  // namespace crossfade
