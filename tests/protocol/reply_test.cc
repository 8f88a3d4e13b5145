#include "protocol/reply.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "gtest/gtest.h"
#include "protocol/resp_parser.h"

namespace crossfade {
namespace {

// Parses from a block of exactly the reply's size, which outlives the tree.
class Parsed {
 public:
  explicit Parsed(std::string_view bytes) : block_(new char[bytes.size()]) {
    memcpy(block_.get(), bytes.data(), bytes.size());
    const std::string_view view(block_.get(), bytes.size());
    size_t consumed = 0;
    EXPECT_EQ(ReplyParser().Parse(view, &consumed), ParseResult::kDone) << bytes;
    EXPECT_EQ(consumed, bytes.size()) << bytes;
    reply_ = ParseReply(view);
  }
  const Reply* operator->() const { return &reply_; }
  const Reply& operator*() const { return reply_; }

 private:
  std::unique_ptr<char[]> block_;
  Reply reply_;
};

TEST(ParseReply, Scalars) {
  const struct {
    const char* bytes;
    ReplyType type;
    const char* text;
    int64_t integer;
  } kCases[] = {
      {"+OK\r\n", ReplyType::kSimple, "OK", 0},
      {"+\r\n", ReplyType::kSimple, "", 0},
      {"-ERR bad\r\n", ReplyType::kError, "ERR bad", 0},
      {"!8\r\nERR\r\nbad\r\n", ReplyType::kError, "ERR\r\nbad", 0},
      {":-42\r\n", ReplyType::kInteger, "-42", -42},
      {":9223372036854775807\r\n", ReplyType::kInteger, "9223372036854775807", INT64_MAX},
      {":what\r\n", ReplyType::kInteger, "what", 0},
      {"$4\r\na\r\nb\r\n", ReplyType::kBulk, "a\r\nb", 0},
      {"$0\r\n\r\n", ReplyType::kBulk, "", 0},
      {"=7\r\ntxt:abc\r\n", ReplyType::kBulk, "abc", 0},
      {"=4\r\nmkd:\r\n", ReplyType::kBulk, "", 0},
      {"$-1\r\n", ReplyType::kNull, "", 0},
      {"*-1\r\n", ReplyType::kNull, "", 0},
      {"_\r\n", ReplyType::kNull, "", 0},
      {",3.25\r\n", ReplyType::kDouble, "3.25", 0},
      {"#t\r\n", ReplyType::kBoolean, "t", 1},
      {"#f\r\n", ReplyType::kBoolean, "f", 0},
      {"(123456789012345678901234567890\r\n", ReplyType::kBigNumber, "123456789012345678901234567890", 0},
  };
  for (const auto& expected : kCases) {
    const Parsed reply(expected.bytes);
    EXPECT_EQ(reply->type, expected.type) << expected.bytes;
    EXPECT_EQ(reply->text, expected.text) << expected.bytes;
    EXPECT_EQ(reply->integer, expected.integer) << expected.bytes;
    EXPECT_TRUE(reply->items.empty());
    EXPECT_EQ(IsErrorReply(expected.bytes), reply->is_error());
    EXPECT_EQ(IsNullReply(expected.bytes), reply->is_null());
  }
}

TEST(ParseReply, Aggregates) {
  const Parsed array("*3\r\n:1\r\n*2\r\n+a\r\n$-1\r\n*0\r\n");
  ASSERT_EQ(array->type, ReplyType::kArray);
  ASSERT_EQ(array->items.size(), 3u);
  EXPECT_EQ(array->items[0].integer, 1);
  ASSERT_EQ(array->items[1].items.size(), 2u);
  EXPECT_EQ(array->items[1].items[0].text, "a");
  EXPECT_TRUE(array->items[1].items[1].is_null());
  EXPECT_EQ(array->items[2].type, ReplyType::kArray);
  EXPECT_TRUE(array->items[2].items.empty());

  const Parsed map("%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n+x\r\n");
  ASSERT_EQ(map->type, ReplyType::kMap);
  ASSERT_EQ(map->items.size(), 4u);
  EXPECT_EQ(map->items[2].text, "b");
  EXPECT_EQ(map->items[3].type, ReplyType::kSet);

  EXPECT_EQ(Parsed(">1\r\n+x\r\n")->type, ReplyType::kPush);
}

TEST(ParseReply, AttributesAreSkipped) {
  const Parsed reply("|1\r\n+popularity\r\n%1\r\n+a\r\n,0.5\r\n*2\r\n:1\r\n|1\r\n+ttl\r\n:9\r\n|0\r\n:2\r\n");
  ASSERT_EQ(reply->items.size(), 2u);
  EXPECT_EQ(reply->items[1].integer, 2);
}

// One value may have any number of attributes: no stack is spent on them.
TEST(ParseReply, AHundredThousandAttributes) {
  std::string bytes;
  for (int i = 0; i < 100000; ++i) bytes += i % 2 == 0 ? "|0\r\n" : "|1\r\n+a\r\n+b\r\n";
  bytes += ":5\r\n";
  EXPECT_EQ(Parsed(bytes)->integer, 5);
}

TEST(ParseReply, AsDeepAsTheParserLetsThrough) {
  std::string bytes;
  for (size_t i = 0; i < kMaxNesting; ++i) bytes += "*1\r\n";
  bytes += "+x\r\n";
  const Parsed reply(bytes);
  const Reply* inner = &*reply;
  size_t depth = 0;
  for (; inner->is_aggregate(); ++depth) inner = &inner->items.at(0);
  EXPECT_EQ(depth, kMaxNesting);
  EXPECT_EQ(inner->text, "x");
}

TEST(IntegerReply, OnlyIntegers) {
  EXPECT_EQ(IntegerReply(":0\r\n"), 0);
  EXPECT_EQ(IntegerReply(":-12\r\n"), -12);
  for (const char* other : {"", ":\r\n", ":x\r\n", "$1\r\n1\r\n", "+1\r\n", "*-1\r\n", "#t\r\n"}) {
    EXPECT_EQ(IntegerReply(other), std::nullopt) << other;
  }
}

TEST(ErrorCode, FirstWord) {
  EXPECT_EQ(ErrorCode("-WRONGTYPE Operation against a key\r\n"), "WRONGTYPE");
  EXPECT_EQ(ErrorCode("-ERR\r\n"), "ERR");
  EXPECT_EQ(ErrorCode("-\r\n"), "");
  EXPECT_EQ(ErrorCode("!10\r\nSYNTAX bad\r\n"), "SYNTAX");
  EXPECT_EQ(ErrorCode("+OK\r\n"), "");
  EXPECT_EQ(ErrorCode(""), "");
}

TEST(ParseInt64, AsServersReadThem) {
  EXPECT_EQ(ParseInt64("0"), 0);
  EXPECT_EQ(ParseInt64("-1"), -1);
  EXPECT_EQ(ParseInt64("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(ParseInt64("-9223372036854775808"), INT64_MIN);
  for (const char* bad :
       {"", "-", "+1", " 1", "1 ", "01", "-01", "-0", "00", "1.0", "1e3", "9223372036854775808", "0x1", "--1"}) {
    EXPECT_EQ(ParseInt64(bad), std::nullopt) << bad;
  }
}

TEST(ParseDouble, AsServersPrintThem) {
  EXPECT_EQ(ParseDouble("3"), 3.0);
  EXPECT_EQ(ParseDouble("-3.5"), -3.5);
  EXPECT_EQ(ParseDouble("+2"), 2.0);
  EXPECT_EQ(ParseDouble("3.1000000000000001"), ParseDouble("3.1"));
  EXPECT_EQ(ParseDouble("1e+20"), 1e20);
  EXPECT_EQ(ParseDouble("4.9406564584124654e-324"), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(ParseDouble("inf"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(ParseDouble("-inf"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(ParseDouble("+inf"), std::numeric_limits<double>::infinity());
  for (const char* bad : {"", "+", "-", "+-1", "++1", "nan", "-nan", " 1", "1 ", "1x", "1,5", "1e999", "abc"}) {
    EXPECT_EQ(ParseDouble(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace crossfade
