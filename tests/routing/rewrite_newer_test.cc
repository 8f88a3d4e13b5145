// Rewrite, what later versions and modules added to strings, streams and time series. On the secondary's clock it is
// 1'000'510; the primary's was 999'800 when the command left.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "routing/companion.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const RewriteOptions kLength9 = {.companions = {":9\r\n"}};

TEST(RewriteSet, ComparedWithTheOldValue) {
  EXPECT_THAT(Emitted("SET k v IFEQ old", kOk), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("SET k v IFEQ old", kNil), IsEmpty());
  EXPECT_THAT(Emitted("SET k v IFNE old EX 100", kOk), ElementsAre("SET k v PXAT 1100510 => ok"));
  EXPECT_THAT(Emitted("SET k v IFDEQ 0123456789abcdef", kOk), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("SET k v IFDNE 0123456789abcdef KEEPTTL", kNil3), IsEmpty());
  // The compared value may be called as an option is.
  EXPECT_THAT(Emitted("SET k v IFEQ GET", kNil), IsEmpty());
  EXPECT_THAT(Emitted("SET k v IFEQ", kOk), ElementsAre("unknown"));
}

TEST(RewriteSet, ComparedAndTold) {
  EXPECT_THAT(Emitted("SET k v IFEQ old GET", Bulk("old")), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("SET k v GET IFEQ old", Bulk("other")), IsEmpty());
  EXPECT_THAT(Emitted("SET k v IFEQ old GET", Bulk("OLD")), IsEmpty());
  EXPECT_THAT(Emitted("SET k v IFNE old GET", Bulk("old")), IsEmpty());
  EXPECT_THAT(Emitted("SET k v IFNE old GET KEEPTTL", Bulk("other")), ElementsAre("SET k v KEEPTTL => ok"));
  for (const char* nil : {kNil, kNil3}) {
    EXPECT_THAT(Emitted("SET k v IFEQ old GET", nil), IsEmpty());
    EXPECT_THAT(Emitted("SET k v IFNE old GET", nil), ElementsAre("SET k v => ok"));
  }
}

// Whether the digest was the one, the old value doesn't tell without computing it.
TEST(RewriteSet, ComparedByDigestAndToldIsCopied) {
  for (const char* command : {"SET k v IFDEQ 0123456789abcdef GET", "SET k v GET EX 5 IFDNE 0123456789abcdef"}) {
    EXPECT_EQ(CompanionFor(command), Companion::kCopyKeys);
    EXPECT_THAT(Emitted(command, Bulk("old"), {.companions = {":-1\r\n", Bulk("P")}}),
                ElementsAre("RESTORE k 0 P REPLACE ABSTTL => ok"));
    EXPECT_THAT(Emitted(command, Bulk("old")), ElementsAre("unknown"));
  }
  EXPECT_EQ(CompanionFor("SET k v IFDEQ 0123456789abcdef"), Companion::kNone);
  EXPECT_EQ(CompanionFor("SET k v IFEQ old GET"), Companion::kNone);
}

TEST(RewriteMsetex, PairByPair) {
  EXPECT_THAT(Emitted("MSETEX 2 a 1 b 2 NX", ":1\r\n"), ElementsAre("MSET a 1 b 2 => ok"));
  EXPECT_THAT(Emitted("MSETEX 2 a 1 b 2 XX EX 100", ":1\r\n"),
              ElementsAre("SET a 1 PXAT 1100510 => ok", "SET b 2 PXAT 1100510 => ok"));
  EXPECT_THAT(Emitted("MSETEX 1 a 1 KEEPTTL", ":1\r\n"), ElementsAre("SET a 1 KEEPTTL => ok"));
  EXPECT_THAT(Emitted("MSETEX 2 a 1 b 2 PXAT 5", ":1\r\n"), ElementsAre("DEL a => no error", "DEL b => no error"));
  EXPECT_THAT(Emitted("MSETEX 2 a 1 b 2 NX PX 5", ":0\r\n"), IsEmpty());
  const Follow follow = FollowOf("MSETEX 2 a 1 b 2 PX 5", ":1\r\n");
  ASSERT_EQ(follow.expiries.size(), 2u);
  EXPECT_EQ(follow.expiries[0].key, "a");
  EXPECT_EQ(follow.expiries[1].key, "b");
}

TEST(RewriteMsetex, WhatIsNotUnderstoodIsUnknown) {
  EXPECT_THAT(Emitted("MSETEX 2 a 1", ":1\r\n"), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("MSETEX 1 a 1 SOON", ":1\r\n"), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("MSETEX 1 a 1 EX +5", ":1\r\n"), ElementsAre("unknown"));
}

TEST(RewriteDelete, OnCondition) {
  for (const char* command : {"DELEX k", "DELEX k IFEQ v", "DELEX k IFDNE 0123456789abcdef", "DELIFEQ k v"}) {
    EXPECT_THAT(Emitted(command, ":1\r\n"), ElementsAre("DEL k => 1"));
    EXPECT_THAT(Emitted(command, ":0\r\n"), IsEmpty());
  }
}

TEST(RewriteCopying, TheKeyAsThePrimaryHasIt) {
  for (const char* command : {"INCREX k", "INCREX k BYINT 5 UBOUND 9 EX 5 ENX", "CF.ADD k x", "TOPK.ADD k x y",
                              "JSON.NUMINCRBY k $ 1", "CL.THROTTLE k 1 2 3"}) {
    EXPECT_EQ(CompanionFor(command), Companion::kCopyKeys) << command;
    EXPECT_THAT(Emitted(command, "*2\r\n:1\r\n:1\r\n", {.companions = {":90\r\n", Bulk("P")}}),
                ElementsAre("RESTORE k 1000600 P REPLACE ABSTTL => ok"));
    EXPECT_THAT(Emitted(command, "*2\r\n:1\r\n:1\r\n", {.companions = {":-2\r\n", kNil}}),
                ElementsAre("DEL k => no error"));
    EXPECT_THAT(Emitted(command, "*2\r\n:1\r\n:1\r\n"), ElementsAre("unknown"));
  }
}

TEST(RewriteVerbatim, WhatServersDoAlike) {
  EXPECT_THAT(Emitted("LMOVEM a b LEFT LEFT COUNT 2 OBO", Bulks({"x", "y"})),
              ElementsAre("LMOVEM a b LEFT LEFT COUNT 2 OBO => same"));
  EXPECT_THAT(Emitted("LMOVEM a b LEFT LEFT EXACTLY 2 OBO", kNilArray), IsEmpty());
  EXPECT_THAT(Emitted("ARINSERT k v", ":3\r\n"), ElementsAre("ARINSERT k v => same"));
  EXPECT_THAT(Emitted("XNACK k g FAIL IDS 1 7-0", ":1\r\n"), ElementsAre("XNACK k g FAIL IDS 1 7-0 => same"));
  EXPECT_THAT(Emitted("XDELEX k ACKED IDS 1 7-0", "*1\r\n:2\r\n"), ElementsAre("XDELEX k ACKED IDS 1 7-0 => same"));
  EXPECT_THAT(Emitted("JSON.SET k $ 1 NX", kOk), ElementsAre("JSON.SET k $ 1 NX => same"));
  EXPECT_THAT(Emitted("JSON.SET k $ 1 NX", kNil), IsEmpty());
  EXPECT_THAT(Emitted("VADD k VALUES 1 0.5 e", ":1\r\n"), ElementsAre("VADD k VALUES 1 0.5 e => same"));
}

TEST(RewriteXadd, WhatATrimDoesToPendingEntries) {
  EXPECT_THAT(Emitted("XADD k DELREF MAXLEN 5 * f v", Bulk("7-0")),
              ElementsAre("XADD k DELREF MAXLEN 5 7-0 f v => text:7-0"));
  EXPECT_THAT(Emitted("XADD k ACKED MINID ~ 5 * f v", Bulk("7-0"), kLength9),
              ElementsAre("XADD k 7-0 f v => text:7-0", "XTRIM k MAXLEN = 9 ACKED => no error"));
  EXPECT_THAT(Emitted("XADD k KEEPREF MAXLEN = 5 * f v", Bulk("7-0")),
              ElementsAre("XADD k MAXLEN = 5 7-0 f v => text:7-0"));
  EXPECT_THAT(Emitted("XADD k DELREF * f v", Bulk("7-0")), ElementsAre("XADD k 7-0 f v => text:7-0"));
  EXPECT_THAT(Emitted("XTRIM k MAXLEN ~ 5 LIMIT 10 delref", ":3\r\n", kLength9),
              ElementsAre("XTRIM k MAXLEN = 9 delref => no error"));
  EXPECT_THAT(Emitted("XTRIM k MAXLEN ~ 5 KEEPREF", ":3\r\n", kLength9), ElementsAre("XTRIM k MAXLEN = 9 => no error"));
  EXPECT_THAT(Emitted("XTRIM k MAXLEN 5 ACKED", ":3\r\n"), ElementsAre("XTRIM k MAXLEN 5 ACKED => same"));
}

// A server gives a new entry an id of its clock's, or a later one.
TEST(RewriteXadd, OnceIsOnce) {
  EXPECT_EQ(CompanionFor("XADD k IDMP p i * f v"), Companion::kStreamLength);
  EXPECT_EQ(CompanionFor("XADD k IDMPAUTO p MAXLEN 5 * f v"), Companion::kStreamLength);
  EXPECT_EQ(CompanionFor("XADD k * IDMP p"), Companion::kNone);
  EXPECT_THAT(Emitted("XADD k IDMP p i * f v", Bulk("999800-0"), kLength9),
              ElementsAre("XADD k 999800-0 f v => text:999800-0"));
  EXPECT_THAT(Emitted("XADD k IDMPAUTO p * f v", Bulk("5000000-3"), kLength9),
              ElementsAre("XADD k 5000000-3 f v => text:5000000-3"));
  EXPECT_THAT(Emitted("XADD k NOMKSTREAM DELREF IDMP p i MAXLEN ~ 5 * f v", Bulk("999795-0"), kLength9),
              ElementsAre("XADD k 999795-0 f v => text:999795-0", "XTRIM k MAXLEN = 9 DELREF => no error"));
  EXPECT_THAT(Emitted("XADD k IDMPAUTO p * f v", kNil, kLength9), IsEmpty());
}

TEST(RewriteXadd, ADuplicateAddsNothing) {
  for (const char* command : {"XADD k IDMP p i * f v", "XADD k IDMPAUTO p MAXLEN ~ 5 * f v"}) {
    EXPECT_THAT(Emitted(command, Bulk("999794-7"), kLength9), ElementsAre("XLEN k => 9"));
    EXPECT_THAT(Emitted(command, Bulk("999794-7")), ElementsAre("unknown"));
  }
}

std::string Entry(std::string_view id, int idle, int deliveries) {
  return List('*', {Bulk(id), Bulks({"f", "v"}), Integer(idle), Integer(deliveries)});
}

TEST(RewriteXreadgroup, WhatWasClaimedIsClaimed) {
  const std::string entries = List('*', {Entry("1-0", 900, 1), Entry("2-0", 800, 0), Entry("3-0", 0, 0)});
  const std::string claim =
      "XCLAIM k g c 0 1-0 2-0 TIME 1000510 => reply:*2/*2/$3/1-0/*2/$1/f/$1/v/*2/$3/2-0/*2/$1/f/$1/v/";
  const std::string read = "XREADGROUP GROUP g c COUNT 1 STREAMS k > => reply:*1/*2/$1/k/*1/*2/$3/3-0/*2/$1/f/$1/v/";
  const std::string command = "XREADGROUP GROUP g c COUNT 9 CLAIM 500 STREAMS k >";
  EXPECT_THAT(Emitted(command, List('*', {List('*', {Bulk("k"), entries})})), ElementsAre(claim, read));
  EXPECT_THAT(Emitted(command, List('%', {Bulk("k"), entries})), ElementsAre(claim, read));
  const std::string pending = List('*', {Entry("1-0", 900, 1), Entry("2-0", 800, 0)});
  EXPECT_THAT(Emitted(command, List('%', {Bulk("k"), pending})), ElementsAre(claim));
  const std::string fresh = List('*', {Entry("3-0", 0, 0)});
  EXPECT_THAT(Emitted(command, List('*', {List('*', {Bulk("k"), fresh})})), ElementsAre(read));
  EXPECT_THAT(Emitted(command, kNilArray), ElementsAre("XGROUP CREATECONSUMER k g c => no error"));
  // As Redis 8.4 writes the numbers.
  const auto entry = [](std::string_view id, std::string_view idle, std::string_view deliveries) {
    return List('*', {Bulk(id), Bulks({"f", "v"}), Bulk(idle), Bulk(deliveries)});
  };
  const std::string texts = List('*', {entry("1-0", "900", "1"), entry("2-0", "800", "0"), entry("3-0", "0", "0")});
  EXPECT_THAT(Emitted(command, List('*', {List('*', {Bulk("k"), texts})})), ElementsAre(claim, read));
}

TEST(RewriteXreadgroup, OptionsOfLaterVersions) {
  const std::string reply =
      List('*', {List('*', {Bulk("k"), List('*', {List('*', {Bulk("3-0"), Bulks({"f", "v"})})})})});
  EXPECT_THAT(Emitted("XREADGROUP GROUP g c MAXCOUNT 5 MAXSIZE 100 STREAMS k >", reply),
              ElementsAre("XREADGROUP GROUP g c COUNT 1 STREAMS k > => reply:*1/*2/$1/k/*1/*2/$3/3-0/*2/$1/f/$1/v/"));
}

TEST(RewriteXclaim, TheTimeOfDeliveryIsWhenThePrimaryRanIt) {
  const std::string claimed = Bulks({"7-0"});
  EXPECT_THAT(Emitted("XCLAIM k g c 5 7-0 IDLE 500 JUSTID", claimed),
              ElementsAre("XCLAIM k g c 0 7-0 JUSTID TIME 1000010 => same"));
  EXPECT_THAT(Emitted("XCLAIM k g c 5 7-0 JUSTID TIME 123", claimed),
              ElementsAre("XCLAIM k g c 0 7-0 JUSTID TIME 123 => same"));
  EXPECT_THAT(Emitted("XCLAIM k g c 5 7-0 IDLE 9223372036854775807 JUSTID", claimed),
              ElementsAre("XCLAIM k g c 0 7-0 JUSTID TIME 0 => same"));
  EXPECT_THAT(Emitted("XCLAIM k g c 5 7-0 RETRYCOUNT 2 FORCE LASTID 9-0 IDLE 10 JUSTID", claimed),
              ElementsAre("XCLAIM k g c 0 7-0 RETRYCOUNT 2 FORCE LASTID 9-0 JUSTID TIME 1000500 => same"));
}

TEST(RewriteTimeSeries, SamplesHaveThePrimarysTime) {
  EXPECT_THAT(Emitted("TS.ADD k * 5 LABELS a *", ":777\r\n"), ElementsAre("TS.ADD k 777 5 LABELS a * => 777"));
  EXPECT_THAT(Emitted("TS.ADD k 123 5", ":123\r\n"), ElementsAre("TS.ADD k 123 5 => same"));
  EXPECT_THAT(Emitted("TS.ADD k * 5", kOk), ElementsAre("unknown"));
}

TEST(RewriteTimeSeries, OnlyTheSamplesThatWereTaken) {
  EXPECT_THAT(Emitted("TS.MADD a * 1 b 5 2 c * 3", "*3\r\n:777\r\n-TSDB: exists\r\n:778\r\n"),
              ElementsAre("TS.MADD a 777 1 c 778 3 => reply:*2/:777/:778/"));
  EXPECT_THAT(Emitted("TS.MADD a * 1", "*1\r\n-TSDB: no\r\n"), IsEmpty());
  EXPECT_THAT(Emitted("TS.MADD a * 1 b * 2", "*1\r\n:777\r\n"), ElementsAre("unknown"));
}

TEST(RewriteTimeSeries, IncrementsToo) {
  EXPECT_THAT(Emitted("TS.INCRBY k 5", ":777\r\n"), ElementsAre("TS.INCRBY k 5 TIMESTAMP 777 => 777"));
  EXPECT_THAT(Emitted("ts.decrby k 5 RETENTION 9 timestamp * LABELS TIMESTAMP x", ":777\r\n"),
              ElementsAre("ts.decrby k 5 TIMESTAMP 777 RETENTION 9 LABELS TIMESTAMP x => 777"));
  EXPECT_THAT(Emitted("TS.INCRBY k 5 LABELS TIMESTAMP 3", ":777\r\n"),
              ElementsAre("TS.INCRBY k 5 TIMESTAMP 777 LABELS TIMESTAMP 3 => 777"));
  EXPECT_THAT(Emitted("TS.INCRBY k 5 TIMESTAMP 123", ":123\r\n"), ElementsAre("TS.INCRBY k 5 TIMESTAMP 123 => same"));
  EXPECT_THAT(Emitted("TS.INCRBY k 5", kOk), ElementsAre("unknown"));
}

TEST(Comparing, RanksWithScores) {
  const Args command{"ZRANK", "k", "m", "WITHSCORE"};
  const std::string old_form = List('*', {Integer(1), Bulk("3.1000000000000001")});
  EXPECT_TRUE(Agree(CompareRule::kFloat, command, old_form, List('*', {Integer(1), ",3.1\r\n"})));
  EXPECT_FALSE(Agree(CompareRule::kFloat, command, old_form, List('*', {Integer(2), ",3.1\r\n"})));
  EXPECT_FALSE(Agree(CompareRule::kFloat, command, old_form, kNilArray));
  const Request request = MakeRequest(command);
  EXPECT_TRUE(ArityMatches(*FindCommand(request.view()), request.view().argc()));
}

}  // namespace
}  // namespace crossfade
