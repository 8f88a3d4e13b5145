#include "routing/blocking.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "protocol/reply.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using FormKind = BlockingForm::Kind;

std::string Text(const Request& request) {
  std::string text;
  for (size_t i = 0; i < request.view().argc(); ++i) text += (i == 0 ? "" : " ") + std::string(request.view().arg(i));
  return text;
}

BlockingForm FormOf(std::string_view command) {
  const Request request = MakeRequest(SplitWords(command));
  const CommandRow* row = FindCommand(request.view());
  EXPECT_TRUE(MayBlock(*row, request.view())) << command;
  return MakeBlockingForm(*row, request.view());
}

// The form as text: what is tried, and how long is waited.
std::string Tried(std::string_view command) {
  const BlockingForm form = FormOf(command);
  if (!form.error.empty()) return "-" + form.error;
  return Text(form.attempt) + " / " + std::to_string(form.timeout_ms);
}

std::string Answered(std::string_view command, std::string_view reply) {
  const BlockingForm form = FormOf(command);
  std::string out;
  AppendBlockingReply(form, reply, &out);
  return out;
}

std::vector<std::string> GivenBack(std::string_view command, std::string_view reply) {
  std::vector<std::string> commands;
  for (const Request& request : GiveBack(FormOf(command), reply)) commands.push_back(Text(request));
  return commands;
}

TEST(MayBlock, OnlyWhatWouldWait) {
  const auto may = [](std::string_view command) {
    const Request request = MakeRequest(SplitWords(command));
    return MayBlock(*FindCommand(request.view()), request.view());
  };
  EXPECT_TRUE(may("BLPOP k 0"));
  EXPECT_TRUE(may("BZMPOP 0 1 z MIN"));
  EXPECT_TRUE(may("XREAD COUNT 1 block 0 STREAMS k $"));
  EXPECT_TRUE(may("XREADGROUP GROUP streams c BLOCK 0 STREAMS k >"));
  EXPECT_FALSE(may("XREAD STREAMS block 0"));
  EXPECT_FALSE(may("XREADGROUP GROUP block c STREAMS k >"));
  EXPECT_FALSE(may("LPOP k"));
  EXPECT_FALSE(may("LMPOP 1 k LEFT"));
}

TEST(BlockingForm, EveryCommandsAttempt) {
  EXPECT_EQ(Tried("BLPOP k 0"), "LPOP k / 0");
  EXPECT_EQ(Tried("BRPOP k 1"), "RPOP k / 1000");
  EXPECT_EQ(Tried("BLPOP a b 2.5"), "LMPOP 2 a b LEFT / 2500");
  EXPECT_EQ(Tried("BRPOP a b c 0"), "LMPOP 3 a b c RIGHT / 0");
  EXPECT_EQ(Tried("BZPOPMIN z 0"), "ZMPOP 1 z MIN / 0");
  EXPECT_EQ(Tried("BZPOPMAX z y 0"), "ZMPOP 2 z y MAX / 0");
  EXPECT_EQ(Tried("BLMPOP 3 2 a b RIGHT COUNT 4"), "LMPOP 2 a b RIGHT COUNT 4 / 3000");
  EXPECT_EQ(Tried("BZMPOP 0 1 z MAX"), "ZMPOP 1 z MAX / 0");
  EXPECT_EQ(Tried("BLMOVE s d left Right 1"), "LMOVE s d left Right / 1000");
  EXPECT_EQ(Tried("BRPOPLPUSH s d 1"), "RPOPLPUSH s d / 1000");
  EXPECT_EQ(Tried("XREAD COUNT 2 BLOCK 70 STREAMS a b $ 0-1"), "XREAD COUNT 2 STREAMS a b $ 0-1 / 70");
  EXPECT_EQ(Tried("XREADGROUP GROUP g c BLOCK 0 NOACK STREAMS k >"), "XREADGROUP GROUP g c NOACK STREAMS k > / 0");
}

TEST(BlockingForm, KeysAndKinds) {
  EXPECT_THAT(FormOf("BLPOP a b 0").keys, ElementsAre("a", "b"));
  EXPECT_THAT(FormOf("BLMOVE s d LEFT LEFT 0").keys, ElementsAre("s"));  // the destination isn't waited for
  EXPECT_THAT(FormOf("BRPOPLPUSH s d 0").keys, ElementsAre("s"));
  EXPECT_THAT(FormOf("BZMPOP 0 2 x y MIN").keys, ElementsAre("x", "y"));
  EXPECT_THAT(FormOf("XREAD BLOCK 0 STREAMS a b 0 $").keys, ElementsAre("a", "b"));
  EXPECT_EQ(FormOf("BLMPOP 0 1 a LEFT").kind, FormKind::kList);
  EXPECT_EQ(FormOf("BZPOPMAX a 0").kind, FormKind::kSortedSet);
  EXPECT_EQ(FormOf("XREAD BLOCK 0 STREAMS a 0").kind, FormKind::kStream);
  EXPECT_EQ(FormOf("XREADGROUP GROUP g c BLOCK 0 STREAMS k >").kind, FormKind::kStreamGroup);
}

// A group, a consumer, a key or an id may be called as an option is.
TEST(BlockingForm, NamesAreNotOptions) {
  EXPECT_EQ(Tried("XREADGROUP GROUP block streams BLOCK 5 STREAMS block >"),
            "XREADGROUP GROUP block streams STREAMS block > / 5");
  EXPECT_EQ(Tried("XREAD BLOCK 5 STREAMS streams block 0 $"), "XREAD STREAMS streams block 0 $ / 5");
}

TEST(BlockingForm, TimeoutsAsTheServerReadsThem) {
  EXPECT_EQ(Tried("BLPOP k 0.0001"), "LPOP k / 1");  // rounded up: 0 would be for ever
  EXPECT_EQ(Tried("BLPOP k 1e2"), "LPOP k / 100000");
  for (const char* text : {"x", "", "1x", "nan"}) {
    EXPECT_EQ(Tried(std::string("BLPOP k ") + text), "-ERR timeout is not a float or out of range") << text;
  }
  EXPECT_EQ(Tried("BLPOP k -1"), "-ERR timeout is negative");
  EXPECT_EQ(Tried("BLPOP k 1e300"), "-ERR timeout is out of range");
  EXPECT_EQ(Tried("BLMPOP -1 1 k LEFT"), "-ERR timeout is negative");
  EXPECT_EQ(Tried("BLMOVE s d LEFT LEFT x"), "-ERR timeout is not a float or out of range");
  EXPECT_EQ(Tried("BZPOPMIN k x"), "-ERR timeout is not a float or out of range");
  EXPECT_EQ(Tried("XREAD BLOCK x STREAMS k $"), "-ERR timeout is not an integer or out of range");
  EXPECT_EQ(Tried("XREAD BLOCK 1.5 STREAMS k $"), "-ERR timeout is not an integer or out of range");
  EXPECT_EQ(Tried("XREADGROUP GROUP g c BLOCK -1 STREAMS k >"), "-ERR timeout is negative");
  EXPECT_EQ(Tried("XREAD BLOCK 9223372036854775807 STREAMS k $"), "-ERR timeout is out of range");
}

TEST(BlockingForm, ErrorsThatTheAttemptWouldNotMake) {
  EXPECT_EQ(Tried("BLMOVE s d UP LEFT 0"), "-ERR syntax error");
  EXPECT_EQ(Tried("BLMOVE s d LEFT DOWN x"), "-ERR syntax error");  // before the timeout, as a server does
  EXPECT_THAT(FormOf("BLMPOP 0 x k LEFT").keys, IsEmpty());         // the attempt's own error says it
  EXPECT_EQ(FormOf("BLMPOP 0 x k LEFT").error, "");
}

TEST(BlockingReply, InBothProtocols) {
  const std::string pair = "*2\r\n$1\r\nk\r\n$1\r\nx\r\n";
  EXPECT_EQ(Answered("BLPOP k 0", "$1\r\nx\r\n"), pair);
  EXPECT_EQ(Answered("BRPOP j k 0", "*2\r\n$1\r\nk\r\n*1\r\n$1\r\nx\r\n"), pair);
  EXPECT_EQ(Answered("BZPOPMIN z 0", "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\nm\r\n$3\r\n1.5\r\n"),
            "*3\r\n$1\r\nz\r\n$1\r\nm\r\n$3\r\n1.5\r\n");
  EXPECT_EQ(Answered("BZPOPMAX z 0", "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\nm\r\n,1.5\r\n"),
            "*3\r\n$1\r\nz\r\n$1\r\nm\r\n,1.5\r\n");
}

TEST(BlockingReply, WhatNeedsNoChange) {
  for (const char* command : {"BLMPOP 0 1 k LEFT", "BZMPOP 0 1 k MIN", "BLMOVE s d LEFT LEFT 0", "BRPOPLPUSH s d 0",
                              "XREAD BLOCK 0 STREAMS k $", "XREADGROUP GROUP g c BLOCK 0 STREAMS k >"}) {
    const std::string reply = "*1\r\n*2\r\n$1\r\nk\r\n*0\r\n";
    EXPECT_EQ(Answered(command, reply), reply) << command;
  }
}

// Back where it was: the left end in its old order.
TEST(GiveBack, PutsWhatWasPoppedWhereItWas) {
  EXPECT_THAT(GivenBack("BLPOP k 0", "$1\r\nx\r\n"), ElementsAre("LPUSH k x"));
  EXPECT_THAT(GivenBack("BRPOP k 0", "$1\r\nx\r\n"), ElementsAre("RPUSH k x"));
  const std::string two = "*2\r\n$1\r\nb\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n";
  EXPECT_THAT(GivenBack("BLMPOP 0 2 a b LEFT COUNT 2", two), ElementsAre("LPUSH b 2 1"));
  EXPECT_THAT(GivenBack("BLMPOP 0 2 a b right COUNT 2", two), ElementsAre("RPUSH b 2 1"));
  EXPECT_THAT(GivenBack("BRPOP left b 0", "*2\r\n$1\r\nb\r\n*1\r\n$1\r\n1\r\n"), ElementsAre("RPUSH b 1"));
  const std::string members = "*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\nm\r\n$3\r\n1.5\r\n*2\r\n$1\r\nn\r\n$1\r\n2\r\n";
  EXPECT_THAT(GivenBack("BZMPOP 0 1 z MIN COUNT 2", members), ElementsAre("ZADD z 1.5 m 2 n"));
  EXPECT_THAT(GivenBack("BZPOPMAX z 0", "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\nm\r\n,0.1\r\n"),
              ElementsAre("ZADD z 0.1 m"));
}

TEST(GiveBack, NothingWhereNothingIsLost) {
  EXPECT_THAT(GivenBack("BLMOVE s d LEFT LEFT 0", "$1\r\nx\r\n"), IsEmpty());
  EXPECT_THAT(GivenBack("BRPOPLPUSH s d 0", "$1\r\nx\r\n"), IsEmpty());
  EXPECT_THAT(GivenBack("XREAD BLOCK 0 STREAMS k $", "*1\r\n*2\r\n$1\r\nk\r\n*0\r\n"), IsEmpty());
  EXPECT_THAT(GivenBack("XREADGROUP GROUP g c BLOCK 0 STREAMS k >", "*1\r\n*2\r\n$1\r\nk\r\n*0\r\n"), IsEmpty());
}

std::string OneKey(std::string_view command, std::string_view key) {
  const BlockingForm form = FormOf(command);
  return Text(ForOneKey(form, form.attempt, key));
}

TEST(ForOneKey, TheFedOneAlone) {
  EXPECT_EQ(OneKey("BLPOP a b c 0", "b"), "LMPOP 1 b LEFT");
  EXPECT_EQ(OneKey("BLMPOP 0 2 a b RIGHT COUNT 3", "a"), "LMPOP 1 a RIGHT COUNT 3");
  EXPECT_EQ(OneKey("BZMPOP 0 2 a b MAX", "b"), "ZMPOP 1 b MAX");
  EXPECT_EQ(OneKey("XREAD COUNT 1 BLOCK 0 STREAMS a b 1-1 2-2", "b"), "XREAD COUNT 1 STREAMS b 2-2");
  EXPECT_EQ(OneKey("XREADGROUP GROUP g c BLOCK 0 STREAMS a b > >", "a"), "XREADGROUP GROUP g c STREAMS a >");
}

TEST(ForOneKey, OneKeyStaysAsItIs) {
  EXPECT_EQ(OneKey("BLPOP k 0", "k"), "LPOP k");
  EXPECT_EQ(OneKey("BLMOVE s d LEFT LEFT 0", "s"), "LMOVE s d LEFT LEFT");
  EXPECT_EQ(OneKey("XREAD BLOCK 0 STREAMS k 0", "k"), "XREAD STREAMS k 0");
}

TEST(ForOneKey, AKeyNamedTwice) {
  EXPECT_EQ(OneKey("BLPOP a b a 0", "a"), "LMPOP 1 a LEFT");
  EXPECT_EQ(OneKey("XREAD BLOCK 0 STREAMS a b a 1-1 2-2 3-3", "a"), "XREAD STREAMS a a 1-1 3-3");
}

TEST(StreamEnds, AreFilledInWhereTheyWereAskedFor) {
  const BlockingForm form = FormOf("XREAD BLOCK 0 STREAMS $ b c 5-5 $ $");
  EXPECT_THAT(form.ends, ElementsAre(6, 7));  // a stream may be called "$"
  EXPECT_EQ(Text(WithStreamEnds(form, {"1-1", "2-2"})), "XREAD STREAMS $ b c 5-5 1-1 2-2");
  EXPECT_THAT(FormOf("XREAD BLOCK 0 STREAMS a 0").ends, IsEmpty());
  EXPECT_THAT(FormOf("XREADGROUP GROUP g c BLOCK 0 STREAMS k >").ends, IsEmpty());
}

TEST(StreamEnds, FromXinfo) {
  EXPECT_EQ(StreamEnd("*4\r\n$6\r\nlength\r\n:1\r\n$17\r\nlast-generated-id\r\n$3\r\n7-1\r\n"), "7-1");
  EXPECT_EQ(StreamEnd("%2\r\n$6\r\nlength\r\n:1\r\n$17\r\nlast-generated-id\r\n$3\r\n7-1\r\n"), "7-1");
  EXPECT_EQ(StreamEnd("-ERR no such key\r\n"), "0-0");
  EXPECT_EQ(StreamEnd("-WRONGTYPE not a stream\r\n"), "0-0");
}

}  // namespace
}  // namespace crossfade
