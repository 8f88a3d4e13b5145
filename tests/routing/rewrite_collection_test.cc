// Rewrite, lists, sets, hashes and sorted sets; and copies by companions.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "routing/rewrite.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Score(std::string_view number) {
  return "," + std::string(number) + "\r\n";
}

// A set or an array of the members m0, m1, …
std::string Members(char type, size_t count) {
  std::string reply = type + std::to_string(count) + "\r\n";
  for (size_t i = 0; i < count; ++i) reply += Bulk("m" + std::to_string(i));
  return reply;
}

TEST(RewriteList, PopOne) {
  EXPECT_THAT(Emitted("LPOP k", Bulk("a")), ElementsAre("LPOP k => same"));
  EXPECT_THAT(Emitted("rpop k", Bulk("")), ElementsAre("rpop k => same"));
  EXPECT_THAT(Emitted("LPOP k", kNil), IsEmpty());
  EXPECT_THAT(Emitted("LPOP k", kNil3), IsEmpty());
}

TEST(RewriteList, PopAsManyAsCame) {
  EXPECT_THAT(Emitted("LPOP k 5", Bulks({"a", "b"})), ElementsAre("LPOP k 2 => same"));
  EXPECT_THAT(Emitted("RPOP k 1", Bulks({"a"})), ElementsAre("RPOP k 1 => same"));
  EXPECT_THAT(Emitted("LPOP k 5", kNilArray), IsEmpty());
  EXPECT_THAT(Emitted("LPOP k 5", kNil3), IsEmpty());
  EXPECT_THAT(Emitted("LPOP k 0", "*0\r\n"), IsEmpty());
}

TEST(RewriteList, MultiPop) {
  const std::string reply = List('*', {Bulk("b"), Bulks({"x", "y"})});
  EXPECT_THAT(Emitted("LMPOP 2 a b LEFT COUNT 9", reply), ElementsAre("LPOP b 2 => reply:*2/$1/x/$1/y/"));
  EXPECT_THAT(Emitted("LMPOP 2 a b right", List('*', {Bulk("a"), Bulks({"x"})})),
              ElementsAre("RPOP a 1 => reply:*1/$1/x/"));
  // A key may be called as a direction is.
  EXPECT_THAT(Emitted("LMPOP 2 right b LEFT", List('*', {Bulk("right"), Bulks({"x"})})),
              ElementsAre("LPOP right 1 => reply:*1/$1/x/"));
  EXPECT_THAT(Emitted("LMPOP 1 a LEFT", kNilArray), IsEmpty());
  EXPECT_THAT(Emitted("LMPOP 1 a LEFT", kNil3), IsEmpty());
  EXPECT_THAT(Emitted("LMPOP 1 a LEFT", "*1\r\n:1\r\n"), ElementsAre("unknown"));
}

TEST(RewriteList, MoveUnlessThereWasNothing) {
  EXPECT_THAT(Emitted("LMOVE a b LEFT RIGHT", Bulk("x")), ElementsAre("LMOVE a b LEFT RIGHT => same"));
  EXPECT_THAT(Emitted("LMOVE a b LEFT RIGHT", kNil), IsEmpty());
  EXPECT_THAT(Emitted("RPOPLPUSH a b", Bulk("x")), ElementsAre("RPOPLPUSH a b => same"));
  EXPECT_THAT(Emitted("RPOPLPUSH a b", kNil3), IsEmpty());
}

TEST(RewriteList, PushIfThereWasAList) {
  for (const char* command : {"LPUSHX k a", "RPUSHX k a b", "LINSERT k BEFORE p a"}) {
    EXPECT_THAT(Emitted(command, ":3\r\n"), ElementsAre(std::string(command) + " => same"));
    EXPECT_THAT(Emitted(command, ":0\r\n"), IsEmpty()) << command;
  }
  EXPECT_THAT(Emitted("LINSERT k BEFORE p a", ":-1\r\n"), IsEmpty());
}

TEST(RewriteSets, Move) {
  EXPECT_THAT(Emitted("SMOVE a b m", ":1\r\n"), ElementsAre("SREM a m => 1", "SADD b m => no error"));
  EXPECT_THAT(Emitted("SMOVE a b m", ":0\r\n"), IsEmpty());
  EXPECT_THAT(Emitted("SMOVE a a m", ":1\r\n"), IsEmpty());
}

TEST(RewriteSets, Pop) {
  EXPECT_THAT(Emitted("SPOP k", Bulk("m")), ElementsAre("SREM k m => 1"));
  EXPECT_THAT(Emitted("SPOP k", kNil), IsEmpty());
  EXPECT_THAT(Emitted("SPOP k", kNil3), IsEmpty());
  EXPECT_THAT(Emitted("SPOP k 3", Members('*', 2)), ElementsAre("SREM k m0 m1 => 2"));
  EXPECT_THAT(Emitted("SPOP k 3", Members('~', 2)), ElementsAre("SREM k m0 m1 => 2"));
  EXPECT_THAT(Emitted("SPOP k 3", "*0\r\n"), IsEmpty());
  EXPECT_THAT(Emitted("SPOP k 3", "~0\r\n"), IsEmpty());
}

TEST(RewriteSets, PopInChunks) {
  for (const auto& [count, commands] : {std::pair<size_t, size_t>{1024, 1}, {1025, 2}, {2048, 2}, {2500, 3}}) {
    const auto emitted = Emitted("SPOP k 9999", Members('*', count));
    ASSERT_EQ(emitted.size(), commands) << count;
    size_t next = 0;
    for (const std::string& command : emitted) {
      const size_t here = std::min<size_t>(1024, count - next);
      std::string expected = "SREM k";
      for (size_t i = 0; i < here; ++i) expected += " m" + std::to_string(next++);
      EXPECT_EQ(command, expected + " => " + std::to_string(here));
    }
    EXPECT_EQ(next, count);
  }
}

TEST(RewriteHash, SetNx) {
  EXPECT_THAT(Emitted("HSETNX k f v", ":1\r\n"), ElementsAre("HSET k f v => 1"));
  EXPECT_THAT(Emitted("HSETNX k f v", ":0\r\n"), IsEmpty());
}

TEST(RewriteHash, IncrByFloat) {
  EXPECT_THAT(Emitted("HINCRBYFLOAT k f 0.5", Bulk("3.5")), ElementsAre("HSET k f 3.5 => no error"));
  EXPECT_THAT(Emitted("HINCRBY k f 5", ":8\r\n"), ElementsAre("HINCRBY k f 5 => same"));
}

TEST(RewriteSortedSet, Add) {
  EXPECT_THAT(Emitted("ZADD k GT CH 1 a 2 b", ":1\r\n"), ElementsAre("ZADD k GT CH 1 a 2 b => same"));
  EXPECT_THAT(Emitted("ZADD k INCR 1 a", Bulk("4")), ElementsAre("ZADD k 4 a => no error"));
  EXPECT_THAT(Emitted("ZADD k XX gt CH incr 1 a", Score("4.5")), ElementsAre("ZADD k 4.5 a => no error"));
  EXPECT_THAT(Emitted("ZADD k NX INCR 1 a", kNil), IsEmpty());
  EXPECT_THAT(Emitted("ZADD k NX INCR 1 a", kNil3), IsEmpty());
}

// The options end where the first score stands.
TEST(RewriteSortedSet, AMemberMayBeCalledIncr) {
  EXPECT_THAT(Emitted("ZADD k 1 incr 2 b", ":2\r\n"), ElementsAre("ZADD k 1 incr 2 b => same"));
  EXPECT_THAT(Emitted("ZADD k CH 1 INCR", ":1\r\n"), ElementsAre("ZADD k CH 1 INCR => same"));
  EXPECT_THAT(Emitted("ZADD k INCR 1 INCR", Bulk("2")), ElementsAre("ZADD k 2 INCR => no error"));
}

TEST(RewriteSortedSet, PopInEveryShape) {
  EXPECT_THAT(Emitted("ZPOPMIN k", Bulks({"a", "1"})), ElementsAre("ZREM k a => 1"));
  EXPECT_THAT(Emitted("ZPOPMAX k 2", Bulks({"a", "1", "b", "2"})), ElementsAre("ZREM k a b => 2"));
  EXPECT_THAT(Emitted("ZPOPMIN k", List('*', {Bulk("a"), Score("1")})), ElementsAre("ZREM k a => 1"));
  EXPECT_THAT(
      Emitted("ZPOPMIN k 2", List('*', {List('*', {Bulk("a"), Score("1")}), List('*', {Bulk("b"), Score("2")})})),
      ElementsAre("ZREM k a b => 2"));
  EXPECT_THAT(Emitted("ZPOPMIN k", "*0\r\n"), IsEmpty());
  EXPECT_THAT(Emitted("ZPOPMIN k 0", "*0\r\n"), IsEmpty());
}

TEST(RewriteSortedSet, MultiPop) {
  const std::string resp2 = List('*', {Bulk("b"), List('*', {Bulks({"x", "1"}), Bulks({"y", "2"})})});
  const std::string resp3 = List('*', {Bulk("b"), List('*', {List('*', {Bulk("x"), Score("1")})})});
  EXPECT_THAT(Emitted("ZMPOP 2 a b MIN COUNT 5", resp2), ElementsAre("ZREM b x y => 2"));
  EXPECT_THAT(Emitted("ZMPOP 2 a b MAX", resp3), ElementsAre("ZREM b x => 1"));
  EXPECT_THAT(Emitted("ZMPOP 1 a MIN", kNilArray), IsEmpty());
  EXPECT_THAT(Emitted("ZMPOP 1 a MIN", kNil3), IsEmpty());
  EXPECT_THAT(Emitted("ZMPOP 1 a MIN", List('*', {Bulk("a"), "*0\r\n"})), ElementsAre("unknown"));
}

TEST(RewriteCopyKeys, TheDestinationIsCopied) {
  const RewriteOptions held = {.companions = {":-1\r\n", Bulk("PAYLOAD")}};
  EXPECT_THAT(Emitted("SORT a STORE d", ":3\r\n", held), ElementsAre("RESTORE d 0 PAYLOAD REPLACE ABSTTL => ok"));
  EXPECT_THAT(Emitted("GEORADIUS a 0 0 1 m STORE d", ":3\r\n", held),
              ElementsAre("RESTORE d 0 PAYLOAD REPLACE ABSTTL => ok"));
  const RewriteOptions gone = {.companions = {":-2\r\n", kNil}};
  EXPECT_THAT(Emitted("SORT a STORE d", ":0\r\n", gone), ElementsAre("DEL d => no error"));
}

TEST(RewriteCopyKeys, WithoutTheAnswersItIsUnknown) {
  EXPECT_THAT(Emitted("SORT a STORE d", ":3\r\n"), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("SORT a STORE d", ":3\r\n", {.companions = {":-1\r\n"}}), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("SORT a", "*0\r\n"), IsEmpty());
}

}  // namespace
}  // namespace crossfade
