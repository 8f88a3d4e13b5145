// What the writer writes, the parsers read back.
#include "protocol/resp_writer.h"

#include "gtest/gtest.h"
#include "protocol/reply.h"
#include "protocol/request.h"
#include "protocol/resp_parser.h"

namespace crossfade {
namespace {

// REQUIRES: `bytes` outlives the result.
Reply ReadBack(const std::string& bytes) {
  size_t consumed = 0;
  EXPECT_EQ(ReplyParser().Parse(bytes, &consumed), ParseResult::kDone) << bytes;
  EXPECT_EQ(consumed, bytes.size()) << bytes;
  return ParseReply(bytes);
}

TEST(RespWriter, Integers) {
  for (int64_t value : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{1234567890}, INT64_MAX, INT64_MIN}) {
    std::string out;
    AppendInteger(&out, value);
    EXPECT_EQ(out, ":" + std::to_string(value) + "\r\n");
    EXPECT_EQ(ReadBack(out).integer, value);
    EXPECT_EQ(IntegerReply(out), value);
  }
}

TEST(RespWriter, Strings) {
  const std::string big(100000, 'x');
  for (std::string_view text :
       {std::string_view(), std::string_view("a"), std::string_view("\r\n$5\r\n\0", 7), std::string_view(big)}) {
    std::string out;
    AppendBulk(&out, text);
    const Reply reply = ReadBack(out);
    EXPECT_EQ(reply.type, ReplyType::kBulk);
    EXPECT_EQ(reply.text, text);
  }
  std::string out;
  AppendSimple(&out, "OK");
  EXPECT_EQ(out, "+OK\r\n");
  EXPECT_EQ(ReadBack(out).text, "OK");
}

TEST(RespWriter, AnErrorStaysOnItsLine) {
  std::string out;
  AppendError(&out, "ERR unknown command 'a\r\n+OK\r\n'");
  EXPECT_EQ(out, "-ERR unknown command 'a  +OK  '\r\n");
  EXPECT_TRUE(ReadBack(out).is_error());
  EXPECT_EQ(ErrorCode(out), "ERR");
}

TEST(RespWriter, NullsAndMapsByProtocol) {
  const struct {
    int protocol;
    std::string null, null_array, map;
  } kCases[] = {{2, "$-1\r\n", "*-1\r\n", "*2\r\n"}, {3, "_\r\n", "_\r\n", "%1\r\n"}};
  for (const auto& expected : kCases) {
    std::string out;
    AppendNull(&out, expected.protocol);
    EXPECT_EQ(out, expected.null);
    EXPECT_TRUE(ReadBack(out).is_null());
    EXPECT_TRUE(IsNullReply(out));
    out.clear();
    AppendNullArray(&out, expected.protocol);
    EXPECT_EQ(out, expected.null_array);
    EXPECT_TRUE(ReadBack(out).is_null());
    EXPECT_TRUE(IsNullReply(out));
    out.clear();
    AppendMapHeader(&out, 1, expected.protocol);
    EXPECT_EQ(out, expected.map);
    AppendBulk(&out, "field");
    AppendInteger(&out, 7);
    const Reply reply = ReadBack(out);
    ASSERT_EQ(reply.items.size(), 2u);
    EXPECT_EQ(reply.items[1].integer, 7);
  }
}

TEST(RespWriter, Nested) {
  std::string out;
  AppendArrayHeader(&out, 3);
  AppendArrayHeader(&out, 0);
  AppendMapHeader(&out, 0, 3);
  AppendArrayHeader(&out, 1);
  AppendNull(&out, 3);
  const Reply reply = ReadBack(out);
  ASSERT_EQ(reply.items.size(), 3u);
  EXPECT_EQ(reply.items[1].type, ReplyType::kMap);
  EXPECT_TRUE(reply.items[2].items.at(0).is_null());
}

TEST(RespWriter, CommandsAreRequests) {
  const std::string_view args[] = {"SET", "", "a\r\nb", std::string_view("\0", 1)};
  std::string out;
  AppendCommand(&out, args);
  AppendCommand(&out, {"PING"});
  RequestParser parser;
  RequestView request;
  size_t consumed = 0;
  ASSERT_EQ(parser.Parse(out, &request, &consumed), ParseResult::kDone);
  ASSERT_EQ(request.argc(), std::size(args));
  for (size_t i = 0; i < std::size(args); ++i) EXPECT_EQ(request.arg(i), args[i]);
  const Request made = MakeRequest(args);
  EXPECT_EQ(made.view().bytes(), request.bytes());
  for (size_t i = 0; i < std::size(args); ++i) EXPECT_EQ(made.view().arg(i), args[i]);
  ASSERT_EQ(parser.Parse(std::string_view(out).substr(consumed), &request, &consumed), ParseResult::kDone);
  EXPECT_EQ(request.arg(0), "PING");
}

TEST(Request, KeepsItsViewWhenAssignedAgain) {
  Request request;
  const std::string big(100000, 'x');
  for (std::string_view value : {std::string_view("small"), std::string_view(big), std::string_view()}) {
    request.Assign(MakeRequest({"SET", "k", value}).view());
    ASSERT_EQ(request.view().argc(), 3u);
    EXPECT_EQ(request.view().arg(2), value);
  }
  request.Assign(MakeRequest({"SET", "k", big}).view());
  request.Clear();
  EXPECT_EQ(request.view().argc(), 0u);
  EXPECT_EQ(request.view().bytes(), "");
  EXPECT_LT(request.capacity_bytes(), 1024u);
}

}  // namespace
}  // namespace crossfade
