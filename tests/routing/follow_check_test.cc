#include "routing/follow_check.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using Kind = Expectation::Kind;

bool Met(const Expectation& expectation, std::string_view secondary, std::string_view command = "SET k v",
         std::string_view primary = kOk) {
  const Request request = MakeRequest(SplitWords(command));
  return Meets(expectation, *FindCommand(request.view()), request.view(), primary, secondary);
}

Expectation Of(Kind kind, int64_t integer = 0, std::string text = {}) {
  Expectation expectation;
  expectation.kind = kind;
  expectation.integer = integer;
  expectation.text = std::move(text);
  return expectation;
}

TEST(Meets, NoErrorEver) {
  for (Kind kind : {Kind::kSame, Kind::kOk, Kind::kInteger, Kind::kText, Kind::kReply, Kind::kNumber, Kind::kNoError}) {
    EXPECT_FALSE(Met(Of(kind, 0, "*0\r\n"), "-OOM x\r\n"));
    EXPECT_FALSE(Met(Of(kind, 0, "*0\r\n"), "!5\r\nERR x\r\n"));
  }
  EXPECT_TRUE(Met(Of(Kind::kNoError), kNil));
  EXPECT_TRUE(Met(Of(Kind::kNoError), ":0\r\n"));
}

TEST(Meets, OkIntegerText) {
  EXPECT_TRUE(Met(Of(Kind::kOk), kOk));
  EXPECT_FALSE(Met(Of(Kind::kOk), kNil));
  EXPECT_FALSE(Met(Of(Kind::kOk), "+QUEUED\r\n"));
  EXPECT_TRUE(Met(Of(Kind::kInteger, 1), ":1\r\n"));
  EXPECT_FALSE(Met(Of(Kind::kInteger, 1), ":0\r\n"));
  EXPECT_FALSE(Met(Of(Kind::kInteger, 0), kNil));
  EXPECT_FALSE(Met(Of(Kind::kInteger, 1), Bulk("1")));
  EXPECT_TRUE(Met(Of(Kind::kText, 0, "7-0"), Bulk("7-0")));
  EXPECT_FALSE(Met(Of(Kind::kText, 0, "7-0"), Bulk("7-1")));
  EXPECT_FALSE(Met(Of(Kind::kText, 0, "7-0"), kNil));
}

TEST(Meets, Same) {
  EXPECT_TRUE(Met(Of(Kind::kSame), ":3\r\n", "INCR k", ":3\r\n"));
  EXPECT_FALSE(Met(Of(Kind::kSame), ":4\r\n", "INCR k", ":3\r\n"));
  EXPECT_TRUE(Met(Of(Kind::kSame), Bulk("1.50"), "ZINCRBY k 1 m", ",1.5\r\n"));
  EXPECT_FALSE(Met(Of(Kind::kSame), kNil, "LPOP k", Bulk("a")));
  EXPECT_TRUE(Met(Of(Kind::kSame), kNil3, "BITFIELD k SET u8 0 1", kNil));
  // A DEL may delete another number.
  EXPECT_TRUE(Met(Of(Kind::kSame), ":0\r\n", "DEL k", ":1\r\n"));
}

TEST(Meets, ReplyInEitherProtocol) {
  const std::string entries = List('*', {List('*', {Bulk("7-0"), Bulks({"f", "v"})})});
  const Expectation expectation = Of(Kind::kReply, 0, List('*', {List('*', {Bulk("k"), entries})}));
  const char* command = "XREADGROUP GROUP g c STREAMS k >";
  EXPECT_TRUE(Met(expectation, List('*', {List('*', {Bulk("k"), entries})}), command));
  EXPECT_TRUE(Met(expectation, List('%', {Bulk("k"), entries}), command));
  EXPECT_FALSE(Met(expectation, kNil, command));
  EXPECT_FALSE(Met(expectation, List('%', {Bulk("k"), "*0\r\n"}), command));
  EXPECT_TRUE(Met(Of(Kind::kReply, 0, "*0\r\n"), "*0\r\n", "XCLAIM k g c 0 7-0"));
}

// The old value that SET … GET reveals, after INCRBYFLOAT of `increment` gave `sum`.
bool OldValueMet(std::string_view increment, std::string_view sum, std::string_view old_reply) {
  const Request request = MakeRequest({"INCRBYFLOAT", "k", increment});
  const Follow follow = FollowOf({"INCRBYFLOAT", "k", increment}, Bulk(sum));
  return Meets(follow.expectations.at(0), *FindCommand(request.view()), request.view(), Bulk(sum), old_reply);
}

TEST(Meets, TheOldValueOfAnIncrement) {
  EXPECT_TRUE(OldValueMet("0.5", "3.5", Bulk("3")));
  EXPECT_TRUE(OldValueMet("0.1", "0.30000000000000004", Bulk("0.2")));
  EXPECT_FALSE(OldValueMet("0.5", "3.5", Bulk("3.1")));
  EXPECT_FALSE(OldValueMet("0.5", "3.5", Bulk("text")));
  EXPECT_FALSE(OldValueMet("0.5", "3.5", kNil));
  EXPECT_TRUE(OldValueMet("0.5", "0.5", kNil));
  EXPECT_TRUE(OldValueMet("0.5", "0.5", kNil3));
}

// Beside a large number, what was there is lost in rounding: no false alarm.
TEST(Meets, TheOldValueBesideALargeIncrement) {
  EXPECT_TRUE(OldValueMet("10000000000", "10000000000.1", Bulk("0.1")));
  EXPECT_TRUE(OldValueMet("-10000000000", "-9999999999.9", Bulk("0.1")));
  EXPECT_TRUE(OldValueMet("1e20", "100000000000000000000", Bulk("1")));
  EXPECT_FALSE(OldValueMet("10000000000", "10000000000.1", Bulk("0.2")));
  EXPECT_FALSE(OldValueMet("10000000000", "10000000001", kNil));
}

TEST(FollowCheck, AScriptThatFailedFailsThereToo) {
  const Request request = MakeRequest({"EVAL", "return {err='MINE'}", "0"});
  const CommandRow& row = *FindCommand(request.view());
  Expectation same;
  EXPECT_TRUE(Meets(same, row, request.view(), "-MINE one\r\n", "-MINE another\r\n"));
  EXPECT_FALSE(Meets(same, row, request.view(), "-MINE one\r\n", "-NOSCRIPT no\r\n"));
  EXPECT_FALSE(Meets(same, row, request.view(), "-MINE one\r\n", "+OK\r\n"));
  EXPECT_FALSE(Meets(same, row, request.view(), "+OK\r\n", "-MINE one\r\n"));
}

}  // namespace
}  // namespace crossfade
