// Which way a key is copied, and who waits for whom.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/copier_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

using KeyCopierTest = CopierWorldTest;

TEST_F(KeyCopierTest, ASmallKeyGoesWhole) {
  Copy("k", 1000);
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL k", "DUMP k"));
  old_store().Replies({Int(-1), Bulk("dump")});
  EXPECT_THAT(new_store().Sent(), ElementsAre("RESTORE k 0 dump REPLACE ABSTTL"));
  new_store().Reply(kOk);
  EXPECT_THAT(results_, ElementsAre(true));
  EXPECT_EQ(copier_->whole(), 1u);
}

TEST_F(KeyCopierTest, AMissingKeyIsRemoved) {
  Copy("k");
  old_store().Sent();
  old_store().Reply(kNil);
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL k", "DUMP k"));
  old_store().Replies({Int(-2), kNil});
  EXPECT_THAT(new_store().Sent(), ElementsAre("DEL k"));
  new_store().Reply(Int(1));
  EXPECT_THAT(results_, ElementsAre(true));
}

TEST_F(KeyCopierTest, WithoutMemoryUsageTheNumberOfElementsCounts) {
  Copy("k");
  old_store().Sent();
  old_store().Reply("-NOPERM no\r\n");
  EXPECT_THAT(old_store().Sent(), ElementsAre("TYPE k"));
  old_store().Reply("+list\r\n");
  EXPECT_THAT(old_store().Sent(), ElementsAre("LLEN k"));
  old_store().Reply(Int(16));  // of 64 bytes, as far as one knows: beyond 1000
  EXPECT_THAT(new_store().Sent(), ElementsAre("PING"));
  new_store().Reply("-ERR x\r\n");  // an answer all the same
  old_store().Sent();
  old_store().Reply("+none\r\n");
  EXPECT_THAT(new_store().Sent(), ElementsAre("UNLINK k"));
  new_store().Reply(Int(0));
  EXPECT_THAT(results_, ElementsAre(true));
}

TEST_F(KeyCopierTest, ARestoreThatIsRefusedForGoodIsNotTriedAgain) {
  Copy("k", 10);
  old_store().Sent();
  old_store().Replies({Int(-1), Bulk("dump")});
  new_store().Sent();
  new_store().Reply("-NOPERM this user has no permissions to run the 'restore' command\r\n");
  EXPECT_THAT(results_, IsEmpty());
  EXPECT_THAT(copier_->restore_refused(), StartsWith("NOPERM"));
  EXPECT_THAT(old_store().Sent(), ElementsAre("MEMORY USAGE k SAMPLES 5", "TYPE k"));
  old_store().Replies({Int(10), "+string\r\n"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL k", "GET k"));
  old_store().Replies({Int(-1), Bulk("v")});
  EXPECT_THAT(new_store().Sent(), ElementsAre("UNLINK k", "SET k v"));
  new_store().Replies({Int(0), kOk});
  EXPECT_THAT(results_, ElementsAre(true));
  // The next one isn't even dumped.
  Copy("l");
  EXPECT_THAT(old_store().Sent(), ElementsAre("MEMORY USAGE l SAMPLES 5", "TYPE l"));
  old_store().Replies({Int(10), "+list\r\n"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL l", "LRANGE l 0 -1"));
  old_store().Replies({Int(500), Array({Bulk("a")})});
  EXPECT_THAT(new_store().Sent(), ElementsAre("UNLINK l", "RPUSH l a", StartsWith("PEXPIREAT l ")));
  new_store().Replies({Int(0), Int(1), Int(1)});
  EXPECT_EQ(copier_->by_type(), 2u);
  EXPECT_EQ(w.expiry.size(), 1u);
  // After a minute it is.
  w.Advance(61'000);
  Copy("m", 10);
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL m", "DUMP m"));
  old_store().Replies({Int(-2), kNil});
  new_store().Reply(Int(0));
}

TEST_F(KeyCopierTest, NeitherKeyNorValueIsTold) {
  Copy("secret", 10);
  old_store().Replies({Int(-1), Bulk("dump")});
  new_store().Reply("-ERR unknown command 'RESTORE', with args beginning with: 'secret' '0' 'dump' \r\n");
  EXPECT_EQ(copier_->restore_refused(), "ERR unknown command 'RESTORE'");
  // Gone meanwhile: that is found without DUMP too, which may be what is refused.
  old_store().Sent();
  old_store().Replies({kNil, "+none\r\n"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL secret", "GET secret"));
  old_store().Replies({Int(-2), kNil});
  EXPECT_THAT(new_store().Sent(), testing::Contains("UNLINK secret"));
  new_store().Reply("-ERR unknown command 'UNLINK', with args beginning with: 'secret' \r\n");
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_EQ(copier_->last_failure(), "ERR unknown command 'UNLINK'");
}

TEST_F(KeyCopierTest, ARefusalThatPassesIsLeftToTheCaller) {
  Copy("k", 10);
  old_store().Replies({Int(-1), Bulk("dump")});
  new_store().Reply("-OOM no\r\n");
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_THAT(copier_->last_failure(), HasSubstr("OOM"));
  EXPECT_EQ(copier_->restore_refused(), "");
}

TEST_F(KeyCopierTest, AModulesValueIsRestoredOrNot) {
  Copy("k", 10);
  old_store().Replies({Int(-1), Bulk("dump")});
  new_store().Reply("-ERR Bad data format\r\n");
  old_store().Replies({Int(10), "+ReJSON-RL\r\n"});
  old_store().Sent();
  old_store().Replies({Int(-1), Bulk("dump")});
  new_store().Reply("-ERR Bad data format\r\n");
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_THAT(copier_->last_failure(), HasSubstr("module"));
  EXPECT_EQ(copier_->restore_refused(), "");  // other keys may be understood
}

TEST_F(KeyCopierTest, ALargeModulesValueGoesWhole) {
  BeginPieces("k", "ReJSON-RL");
  EXPECT_FALSE(w.lane->Gated("k"));
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL k", "DUMP k"));
  old_store().Replies({Int(-1), Bulk("dump")});
  new_store().Reply(kOk);
  EXPECT_THAT(results_, ElementsAre(true));
}

TEST_F(KeyCopierTest, I9OnlyAFewAtOnce) {
  for (const char* key : {"a", "b", "c"}) Copy(key, 5000);
  EXPECT_THAT(new_store().Sent(), ElementsAre("PING", "PING"));
  EXPECT_EQ(copier_->waiting(), 1u);
  new_store().ReplyToAll("+PONG\r\n");
  old_store().Sent();
  old_store().Replies({"+none\r\n", "+none\r\n"});
  new_store().ReplyToAll(Int(0));
  w.Advance(4);
  EXPECT_THAT(Written(), testing::Contains("PING"));
  new_store().ReplyToAll("+PONG\r\n");
  old_store().Reply("+none\r\n");
  new_store().ReplyToAll(Int(0));
  EXPECT_THAT(results_, ElementsAre(true, true, true));
  EXPECT_EQ(copier_->waiting(), 0u);
}

// A FLUSHALL waits for every gate: none closes before it has gone by.
TEST_F(KeyCopierTest, GivesWayToWhoWaitsForAllGates) {
  BeginPieces("a", "set");
  copier_->GiveWay();
  Copy("b");
  old_store().Sent();
  old_store().Replies({Page("0", {}), Int(5000)});
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  EXPECT_EQ(copier_->waiting(), 1u);
  old_store().Replies({Int(-2), Int(0)});
  EXPECT_THAT(Written(), ElementsAre("UNLINK a"));
  new_store().Reply(Int(1));
  w.Advance(4);
  EXPECT_THAT(Written(), ElementsAre("PING"));
  new_store().Reply("+PONG\r\n");
  old_store().Reply("+none\r\n");
  new_store().Reply(Int(1));
  EXPECT_THAT(results_, ElementsAre(true, true));
}

// A large key that is written becomes dirty again and again: it isn't copied once for each time.
TEST_F(KeyCopierTest, OneCopyForAllWhoWaitForTheSameKey) {
  w.dirty.Mark(0, "k", DirtyCause::kReplyDiffered, 1);
  for (const char* key : {"a", "b", "k", "k", "k"}) Copy(key, 5000);
  EXPECT_EQ(copier_->waiting(), 1u);
  EXPECT_THAT(new_store().Sent(), ElementsAre("PING", "PING"));
  new_store().ReplyToAll("+PONG\r\n");
  old_store().ReplyToAll("+none\r\n");
  new_store().ReplyToAll(Int(0));
  EXPECT_THAT(results_, ElementsAre(true, true));
  new_store().Sent();
  w.Advance(4);
  EXPECT_THAT(new_store().Sent(), ElementsAre("PING"));
  new_store().ReplyToAll("+PONG\r\n");
  old_store().ReplyToAll("+none\r\n");
  new_store().ReplyToAll(Int(0));
  EXPECT_THAT(results_, ElementsAre(true, true, true, true, true));
}

TEST_F(KeyCopierTest, AKeyThatBecameCleanWhileItWaitedIsNotCopiedAgain) {
  w.dirty.Mark(0, "k", DirtyCause::kReplyDiffered, 1);
  Copy("a", 5000);
  Copy("b", 5000);
  old_store().Sent();
  Copy("k");
  old_store().Reply(Int(5000));
  w.dirty.CopyDone({0, "k"}, 1000);
  w.Advance(4);
  EXPECT_THAT(results_, ElementsAre(true));
  new_store().ReplyToAll("+PONG\r\n");
  old_store().ReplyToAll("+none\r\n");
  new_store().ReplyToAll(Int(0));
  EXPECT_THAT(results_, ElementsAre(true, true, true));
}

TEST_F(KeyCopierTest, WhoWaitsIsToldWhenAStoreIsGone) {
  BeginPieces("a", "set");
  copier_->GiveWay();
  Copy("b");
  old_store().Replies({Page("0", {}), Int(5000)});
  new_store().Close();
  old_store().ReplyToAll(Int(-2));
  w.Advance(4);
  EXPECT_THAT(results_, ElementsAre(false, false));
  EXPECT_EQ(copier_->waiting(), 0u);
}

}  // namespace
}  // namespace crossfade
