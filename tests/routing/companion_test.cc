#include "routing/companion.h"

#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Follow CopyOf(std::string_view pttl, std::string_view dump) {
  Follow follow;
  RewriteCopy("k", pttl, dump, kTimes, &follow);
  return follow;
}

std::vector<std::string> Copied(std::string_view pttl, std::string_view dump) {
  return Described(CopyOf(pttl, dump));
}

TEST(RewriteCopy, TimesToLive) {
  EXPECT_THAT(Copied(":-1\r\n", Bulk("P")), ElementsAre("RESTORE k 0 P REPLACE ABSTTL => ok"));
  EXPECT_THAT(Copied(":90\r\n", Bulk("P")), ElementsAre("RESTORE k 1000600 P REPLACE ABSTTL => ok"));
  EXPECT_THAT(Copied(":0\r\n", Bulk("P")), ElementsAre("RESTORE k 1000511 P REPLACE ABSTTL => ok"));
}

TEST(RewriteCopy, AKeyThatIsNotThereIsDeleted) {
  for (const char* nil : {kNil, kNil3}) {
    EXPECT_THAT(Copied(":-2\r\n", nil), ElementsAre("DEL k => no error"));
    EXPECT_THAT(Copied(":5\r\n", nil), ElementsAre("DEL k => no error"));
    EXPECT_THAT(CopyOf(":-2\r\n", nil).expiries, IsEmpty());
  }
}

// Nothing is known of when it expires: a copy must not be immortal.
TEST(RewriteCopy, AKeyThatCameBetweenTheAnswersIsUnknown) {
  EXPECT_THAT(Copied(":-2\r\n", Bulk("P")), ElementsAre("unknown"));
}

TEST(RewriteCopy, GarbageIsUnknown) {
  EXPECT_THAT(Copied("-ERR x\r\n", Bulk("P")), ElementsAre("unknown"));
  EXPECT_THAT(Copied("+OK\r\n", Bulk("P")), ElementsAre("unknown"));
  EXPECT_THAT(Copied("", Bulk("P")), ElementsAre("unknown"));
  EXPECT_THAT(Copied(":-1\r\n", "-ERR x\r\n"), ElementsAre("unknown"));
  EXPECT_THAT(Copied(":-1\r\n", ":5\r\n"), ElementsAre("unknown"));
  EXPECT_THAT(Copied(":-1\r\n", "*0\r\n"), ElementsAre("unknown"));
  EXPECT_THAT(Copied(":-1\r\n", ""), ElementsAre("unknown"));
}

TEST(RewriteCopy, NotesTheExpiry) {
  const Follow follow = CopyOf(":90\r\n", Bulk("P"));
  ASSERT_EQ(follow.expiries.size(), 1u);
  EXPECT_EQ(follow.expiries[0].key, "k");
  EXPECT_EQ(follow.expiries[0].window.from_ms, 1'000'085);
  EXPECT_EQ(follow.expiries[0].window.to_ms, 1'000'105);
  EXPECT_THAT(CopyOf(":-1\r\n", Bulk("P")).expiries, IsEmpty());
}

TEST(RewriteCopy, AtTheEndOfTime) {
  const Follow follow = CopyOf(":9223372036854775000\r\n", Bulk("P"));
  EXPECT_THAT(Described(follow), ElementsAre("RESTORE k 9223372036854775802 P REPLACE ABSTTL => ok"));
  ASSERT_EQ(follow.expiries.size(), 1u);
  EXPECT_LT(follow.expiries[0].window.from_ms, follow.expiries[0].window.to_ms);
}

// The companions' bytes as text; their number must be the one returned.
std::vector<std::string> Appended(std::string_view command) {
  const Request request = MakeRequest(SplitWords(command));
  Follow follow;
  const int count =
      AppendCompanions(CompanionFor(command), *FindCommand(request.view()), request.view(), &follow.bytes);
  follow.expectations.resize(static_cast<size_t>(count));
  std::vector<std::string> commands = Described(follow);
  for (std::string& text : commands) text = text.substr(0, text.find(" => "));
  return commands;
}

TEST(CompanionOf, WhatOnlyTheServerKnows) {
  EXPECT_EQ(CompanionFor("XADD k MAXLEN ~ 5 * f v"), Companion::kStreamLength);
  EXPECT_EQ(CompanionFor("XTRIM k MINID ~ 5"), Companion::kStreamLength);
  EXPECT_EQ(CompanionFor("XADD k MAXLEN 5 * f v"), Companion::kNone);
  EXPECT_EQ(CompanionFor("SORT a STORE d"), Companion::kCopyKeys);
  EXPECT_EQ(CompanionFor("SET k v"), Companion::kNone);
}

TEST(AppendCompanions, NamesWhatIsWritten) {
  EXPECT_THAT(Appended("XADD k MAXLEN ~ 5 * f v"), ElementsAre("XLEN k"));
  EXPECT_THAT(Appended("SORT a STORE d"), ElementsAre("PTTL d", "DUMP d"));
  EXPECT_THAT(Appended("GEORADIUSBYMEMBER a m 1 m STOREDIST d"), ElementsAre("PTTL d", "DUMP d"));
  EXPECT_THAT(Appended("SORT a"), IsEmpty());
  EXPECT_THAT(Appended("SET k v"), IsEmpty());
}

}  // namespace
}  // namespace crossfade
