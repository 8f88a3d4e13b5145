// Rewrite, streams and consumer groups.
#include "routing/rewrite_stream.h"

#include <string>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const RewriteOptions kLazy = {.companions = {}, .eager_consumers = false};

RewriteOptions Length(const std::string& reply) {
  return {.companions = {reply}};
}

std::string Entry(std::string_view id) {
  return List('*', {Bulk(id), Bulks({"f", "v"})});
}

TEST(RewriteXadd, TheIdIsThePrimarys) {
  EXPECT_THAT(Emitted("XADD k * f v", Bulk("7-0")), ElementsAre("XADD k 7-0 f v => text:7-0"));
  EXPECT_THAT(Emitted("XADD k 7-* f v g w", Bulk("7-3")), ElementsAre("XADD k 7-3 f v g w => text:7-3"));
  EXPECT_THAT(Emitted("XADD k 7 f v", Bulk("7-0")), ElementsAre("XADD k 7-0 f v => text:7-0"));
  EXPECT_THAT(Emitted("xadd k 7-1 maxlen 5", Bulk("7-1")), ElementsAre("XADD k 7-1 maxlen 5 => text:7-1"));
}

TEST(RewriteXadd, NoMkStream) {
  EXPECT_THAT(Emitted("XADD k NOMKSTREAM * f v", Bulk("7-0")), ElementsAre("XADD k 7-0 f v => text:7-0"));
  EXPECT_THAT(Emitted("XADD k NOMKSTREAM * f v", kNil), IsEmpty());
  EXPECT_THAT(Emitted("XADD k NOMKSTREAM * f v", kNil3), IsEmpty());
}

TEST(RewriteXadd, ExactTrimsAreRepeated) {
  EXPECT_THAT(Emitted("XADD k MAXLEN 5 * f v", Bulk("7-0")), ElementsAre("XADD k MAXLEN 5 7-0 f v => text:7-0"));
  EXPECT_THAT(Emitted("XADD k maxlen = 5 * f v", Bulk("7-0")), ElementsAre("XADD k maxlen = 5 7-0 f v => text:7-0"));
  EXPECT_THAT(Emitted("XADD k MINID 5-1 NOMKSTREAM * f v", Bulk("7-0")),
              ElementsAre("XADD k MINID 5-1 7-0 f v => text:7-0"));
}

TEST(RewriteXadd, ApproximateTrimsBecomeTheirResult) {
  EXPECT_THAT(Emitted("XADD k MAXLEN ~ 5 * f v", Bulk("7-0"), Length(":100\r\n")),
              ElementsAre("XADD k 7-0 f v => text:7-0", "XTRIM k MAXLEN = 100 => no error"));
  EXPECT_THAT(Emitted("XADD k NOMKSTREAM MINID ~ 5 LIMIT 10 * f v", Bulk("7-0"), Length(":3\r\n")),
              ElementsAre("XADD k 7-0 f v => text:7-0", "XTRIM k MAXLEN = 3 => no error"));
  EXPECT_THAT(Emitted("XADD k LIMIT 10 MAXLEN ~ 5 * f v", Bulk("7-0"), Length(":3\r\n")),
              ElementsAre("XADD k 7-0 f v => text:7-0", "XTRIM k MAXLEN = 3 => no error"));
}

TEST(RewriteXadd, WithoutTheLengthItIsUnknown) {
  EXPECT_THAT(Emitted("XADD k MAXLEN ~ 5 * f v", Bulk("7-0")), ElementsAre("XADD k 7-0 f v => text:7-0", "unknown"));
  EXPECT_THAT(Emitted("XADD k MAXLEN ~ 5 * f v", Bulk("7-0"), Length("-ERR x\r\n")),
              ElementsAre("XADD k 7-0 f v => text:7-0", "unknown"));
}

// Taken for an id, an option of a later version would make fields of what follows.
TEST(RewriteXadd, OptionsNotKnownAreUnknown) {
  EXPECT_THAT(Emitted("XADD k KEEPSOME MAXLEN ~ 5 * f v", Bulk("7-0")), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("XADD k IDMP p i * f v", Bulk("7-0")), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("XADD k MAXLEN 5", Bulk("7-0")), ElementsAre("unknown"));
}

TEST(RewriteXtrim, ExactAndApproximate) {
  EXPECT_THAT(Emitted("XTRIM k MAXLEN 5", ":2\r\n"), ElementsAre("XTRIM k MAXLEN 5 => same"));
  EXPECT_THAT(Emitted("XTRIM k MINID = 5", ":2\r\n"), ElementsAre("XTRIM k MINID = 5 => same"));
  EXPECT_THAT(Emitted("XTRIM k MAXLEN ~ 5 LIMIT 9", ":2\r\n", Length(":50\r\n")),
              ElementsAre("XTRIM k MAXLEN = 50 => no error"));
  EXPECT_THAT(Emitted("XTRIM k MAXLEN ~ 5", ":2\r\n"), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("XTRIM k MAXLEN ~ 5", ":0\r\n"), IsEmpty());
  EXPECT_THAT(Emitted("XTRIM k MAXLEN 5", ":0\r\n"), IsEmpty());
}

TEST(RewriteXreadgroup, FreshEntriesAreReadAgainAsManyAsCame) {
  const std::string entries = List('*', {Entry("7-0"), Entry("7-1")});
  const std::string expected =
      "XREADGROUP GROUP g c COUNT 2 STREAMS k > => "
      "reply:*1/*2/$1/k/*2/*2/$3/7-0/*2/$1/f/$1/v/*2/$3/7-1/*2/$1/f/$1/v/";
  EXPECT_THAT(Emitted("XREADGROUP GROUP g c COUNT 9 STREAMS k >", List('*', {List('*', {Bulk("k"), entries})})),
              ElementsAre(expected));
  EXPECT_THAT(Emitted("XREADGROUP GROUP g c STREAMS k >", List('%', {Bulk("k"), entries})), ElementsAre(expected));
}

TEST(RewriteXreadgroup, OptionsInAnyOrder) {
  const std::string reply = List('%', {Bulk("k"), List('*', {Entry("7-0")})});
  const std::string tail = " STREAMS k > => reply:*1/*2/$1/k/*1/*2/$3/7-0/*2/$1/f/$1/v/";
  EXPECT_THAT(Emitted("XREADGROUP GROUP g c noack STREAMS k >", reply),
              ElementsAre("XREADGROUP GROUP g c COUNT 1 NOACK" + tail));
  EXPECT_THAT(Emitted("XREADGROUP COUNT 5 NOACK GROUP g c STREAMS k >", reply),
              ElementsAre("XREADGROUP GROUP g c COUNT 1 NOACK" + tail));
  EXPECT_THAT(Emitted("XREADGROUP GROUP streams noack STREAMS k >", reply),
              ElementsAre("XREADGROUP GROUP streams noack COUNT 1" + tail));
  EXPECT_THAT(Emitted("XREADGROUP GROUP g c SOON 5 STREAMS k >", reply), ElementsAre("unknown"));
}

// Redis creates the consumer of a fresh read that found nothing since 7.2.
TEST(RewriteXreadgroup, NothingCame) {
  const std::string created = "XGROUP CREATECONSUMER k g c => no error";
  for (const char* reply : {kNilArray, kNil3}) {
    EXPECT_THAT(Emitted("XREADGROUP GROUP g c STREAMS k >", reply), ElementsAre(created));
    EXPECT_THAT(Emitted("XREADGROUP GROUP g c STREAMS k >", reply, kLazy), IsEmpty());
  }
}

// It raises how often the entries were delivered: of as many as came, which may be deleted ones.
TEST(RewriteXreadgroup, History) {
  const std::string some =
      List('*', {List('*', {Bulk("k"), List('*', {Entry("7-0"), List('*', {Bulk("8-0"), kNilArray})})})});
  const std::string again = "XREADGROUP GROUP g c COUNT 2 STREAMS k 0 => no error";
  for (const auto& kind : {"", "COUNT 10 ", "NOACK "}) {
    const std::string command = fmt::format("XREADGROUP GROUP g c {}STREAMS k 0", kind);
    EXPECT_THAT(Emitted(command, some), ElementsAre(again));
    EXPECT_THAT(Emitted(command, some, kLazy), ElementsAre(again));
  }
}

TEST(RewriteXreadgroup, HistoryWithoutEntriesCreatesTheConsumer) {
  const std::string created = "XGROUP CREATECONSUMER k g c => no error";
  const std::string none = List('*', {List('*', {Bulk("k"), "*0\r\n"})});
  EXPECT_THAT(Emitted("XREADGROUP GROUP g c STREAMS k 0", none), ElementsAre(created));
  EXPECT_THAT(Emitted("XREADGROUP GROUP g c STREAMS k 0", none, kLazy), ElementsAre(created));
}

TEST(RewriteXreadgroup, SeveralStreams) {
  const std::string reply =
      List('*', {List('*', {Bulk("b"), List('*', {Entry("7-0")})}), List('*', {Bulk("h"), List('*', {Entry("6-0")})})});
  const std::string of_b = "XREADGROUP GROUP g c COUNT 1 STREAMS b > => reply:*1/*2/$1/b/*1/*2/$3/7-0/*2/$1/f/$1/v/";
  const std::string of_h = "XREADGROUP GROUP g c COUNT 1 STREAMS h 0 => no error";
  EXPECT_THAT(Emitted("XREADGROUP GROUP g c STREAMS a b h > > 0", reply),
              ElementsAre("XGROUP CREATECONSUMER a g c => no error", of_b, of_h));
  EXPECT_THAT(Emitted("XREADGROUP GROUP g c STREAMS a b h > > 0", reply, kLazy), ElementsAre(of_b, of_h));
}

TEST(RewriteXclaim, WhatCameIsClaimedWhateverItsIdleTime) {
  EXPECT_THAT(Emitted("XCLAIM k g c 5000 7-0 7-1", List('*', {Entry("7-0"), Entry("7-1")})),
              ElementsAre("XCLAIM k g c 0 7-0 7-1 TIME 1000510 => same"));
  EXPECT_THAT(Emitted("XCLAIM k g c 5000 7 RETRYCOUNT 3 FORCE JUSTID", Bulks({"7-0"})),
              ElementsAre("XCLAIM k g c 0 7-0 RETRYCOUNT 3 FORCE JUSTID TIME 1000510 => same"));
}

TEST(RewriteXclaim, WhatDidNotComeClaimsNothingButDropsWhatIsGone) {
  const std::string nothing = " JUSTID => reply:*0/";
  const std::string never = "XCLAIM k g c 9223372036854775807 ";
  const std::string created = "XGROUP CREATECONSUMER k g c => no error";
  EXPECT_THAT(Emitted("XCLAIM k g c 5000 7-0 8", List('*', {Entry("7-0")})),
              ElementsAre("XCLAIM k g c 0 7-0 TIME 1000510 => same", never + "8-0" + nothing));
  EXPECT_THAT(Emitted("XCLAIM k g c 5000 7-0", "*0\r\n"), ElementsAre(never + "7-0" + nothing, created));
  EXPECT_THAT(Emitted("XCLAIM k g c 5000 7-0", "*0\r\n", kLazy), ElementsAre(never + "7-0" + nothing));
}

TEST(RewriteXclaim, LastIdGoesWithBoth) {
  EXPECT_THAT(Emitted("XCLAIM k g c 5 7-0 8-0 LASTID 9-0", List('*', {Entry("7-0")})),
              ElementsAre("XCLAIM k g c 0 7-0 LASTID 9-0 TIME 1000510 => same",
                          "XCLAIM k g c 9223372036854775807 8-0 LASTID 9-0 JUSTID => reply:*0/"));
}

TEST(RewriteXautoclaim, ClaimedAndDeleted) {
  const std::string claimed = List('*', {Entry("7-0")});
  EXPECT_THAT(Emitted("XAUTOCLAIM k g c 5000 0 COUNT 3", List('*', {Bulk("0-0"), claimed, Bulks({"6-0", "6-1"})})),
              ElementsAre("XCLAIM k g c 0 7-0 TIME 1000510 => reply:*1/*2/$3/7-0/*2/$1/f/$1/v/",
                          "XACK k g 6-0 6-1 => no error"));
  EXPECT_THAT(Emitted("XAUTOCLAIM k g c 5000 0 justid", List('*', {Bulk("0-0"), Bulks({"7-0"}), "*0\r\n"})),
              ElementsAre("XCLAIM k g c 0 7-0 TIME 1000510 JUSTID => reply:*1/$3/7-0/"));
}

TEST(RewriteXautoclaim, NothingClaimed) {
  const std::string empty = List('*', {Bulk("0-0"), "*0\r\n", "*0\r\n"});
  EXPECT_THAT(Emitted("XAUTOCLAIM k g c 5000 0", empty), ElementsAre("XGROUP CREATECONSUMER k g c => no error"));
  EXPECT_THAT(Emitted("XAUTOCLAIM k g c 5000 0", empty, kLazy), IsEmpty());
  const std::string deleted = List('*', {Bulk("0-0"), "*0\r\n", Bulks({"6-0"})});
  EXPECT_THAT(Emitted("XAUTOCLAIM k g c 5000 0", deleted, kLazy), ElementsAre("XACK k g 6-0 => no error"));
  EXPECT_THAT(Emitted("XAUTOCLAIM k g c 5000 0", "*0\r\n"), ElementsAre("unknown"));
}

TEST(NeedsStreamLength, OnlyWithATilde) {
  const auto trims = [](std::string_view command) {
    const Request request = MakeRequest(SplitWords(command));
    return NeedsStreamLength(*FindCommand(request.view()), request.view());
  };
  EXPECT_TRUE(trims("XADD k MAXLEN ~ 5 * f v"));
  EXPECT_TRUE(trims("xtrim k minid ~ 5"));
  EXPECT_FALSE(trims("XADD k MAXLEN 5 * f v"));
  EXPECT_FALSE(trims("XADD k * MAXLEN ~"));
  EXPECT_FALSE(trims("XTRIM k MAXLEN = 5"));
  EXPECT_FALSE(trims("SET k MAXLEN ~ 5"));
}

TEST(StreamReadOptions, NamesAreNoOptions) {
  const auto read = [](std::string_view command) {
    const Request request = MakeRequest(SplitWords(command));
    return ReadStreamReadOptions(request.view());
  };
  EXPECT_TRUE(read("XREAD BLOCK 0 STREAMS k 0").block);
  EXPECT_TRUE(read("XREADGROUP GROUP streams c BLOCK 0 STREAMS k >").block);
  EXPECT_FALSE(read("XREADGROUP GROUP block block COUNT 1 STREAMS k >").block);
  EXPECT_FALSE(read("XREAD STREAMS block 0").block);
  EXPECT_EQ(read("XREADGROUP NOACK GROUP a b STREAMS k >").group, 2u);
}

}  // namespace
}  // namespace crossfade
