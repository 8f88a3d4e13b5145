// Which way a key is copied, and the copying in pieces, between two scripted stores.
#include "proxy/key_copier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class KeyCopierTest : public LaneWorldTest {
 protected:
  KeyCopierTest() {
    w.config.repair.enabled = false;
    w.config.limits.copy_whole_bytes = 1000;
    w.old_store.answers_time = w.new_store.answers_time = true;
    w.Start();
    copier_ = std::make_unique<KeyCopier>(&w.io, &w.config.limits, &w.migration, &w.dirty, &w.expiry, w.lane.get(),
                                          [this] { ++gates_opened_; });
  }
  void Copy(const std::string& key) {
    copier_->Copy({0, key}, [this](bool copied) { results_.push_back(copied); });
  }
  // … of a size that the primary gives.
  void Copy(const std::string& key, int64_t bytes) {
    Copy(key);
    EXPECT_THAT(old_store().Sent(), ElementsAre("MEMORY USAGE " + key + " SAMPLES 5"));
    old_store().Reply(Int(bytes));
  }
  // Up to the first read of a large key.
  void BeginPieces(const std::string& key, const std::string& type) {
    Copy(key, 5000);
    EXPECT_THAT(new_store().Sent(), ElementsAre("PING"));
    new_store().Reply("+PONG\r\n");
    EXPECT_THAT(old_store().Sent(), ElementsAre("TYPE " + key));
    old_store().Reply("+" + type + "\r\n");
  }
  // What the secondary is sent, with the temporary name as "T".
  std::vector<std::string> Written() {
    std::vector<std::string> commands = new_store().Sent();
    for (std::string& command : commands) {
      const size_t at = command.find(kTemporaryPrefix);
      if (at != std::string::npos) command.replace(at, kTemporaryPrefix.size() + 16, "T");
    }
    return commands;
  }
  static std::string Page(const std::string& cursor, std::initializer_list<std::string> items) {
    return Array({Bulk(cursor), Array(items)});
  }
  void ReplaceOk() { new_store().Replies({kOk, kQueued, kQueued, kQueued, Array({Int(1), kOk, Int(1)})}); }
  // A set of one member is at its last step.
  void ReachReplace() {
    BeginPieces("k", "set");
    old_store().Sent();
    old_store().Reply(Page("0", {Bulk("m")}));
    new_store().Sent();
    new_store().Replies({Int(1), Int(1), Int(1)});
    old_store().Sent();
    old_store().Replies({Int(-1), Int(1)});
  }

  std::unique_ptr<KeyCopier> copier_;
  std::vector<bool> results_;
  int gates_opened_ = 0;
};

// --- Which way -------------------------------------------------------------------------------------------------------

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

// --- In pieces -------------------------------------------------------------------------------------------------------

TEST_F(KeyCopierTest, InPiecesUnderAGate) {
  BeginPieces("k", "set");
  EXPECT_TRUE(w.lane->Gated("k"));
  EXPECT_TRUE(w.lane->gates().Blocks(*FindCommand(MakeRequest({"SADD", "k", "m"}).view()),
                                     MakeRequest({"SADD", "k", "m"}).view()));
  EXPECT_FALSE(w.lane->gates().Blocks(*FindCommand(MakeRequest({"SMEMBERS", "k"}).view()),
                                      MakeRequest({"SMEMBERS", "k"}).view()));
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_THAT(old_store().Sent(), ElementsAre("SSCAN k 0 COUNT 8"));
  old_store().Reply(Page("7", {Bulk("a"), Bulk("b")}));
  EXPECT_THAT(old_store().Sent(), IsEmpty());  // not before the secondary has confirmed
  EXPECT_THAT(Written(), ElementsAre("SADD T a b", "PEXPIRE T 60000", "SCARD T"));
  new_store().Replies({Int(2), Int(1), Int(2)});
  EXPECT_THAT(old_store().Sent(), ElementsAre("SSCAN k 7 COUNT 32"));
  old_store().Reply(Page("0", {Bulk("c")}));
  EXPECT_THAT(Written(), ElementsAre("PEXPIRE T 60000", "SADD T c", "SCARD T"));
  new_store().Replies({Int(1), Int(1), Int(3)});
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL k", "SCARD k"));
  old_store().Replies({Int(-1), Int(3)});
  EXPECT_THAT(Written(), ElementsAre("MULTI", "UNLINK k", "RENAME T k", "PERSIST k", "EXEC"));
  EXPECT_FALSE(w.lane->Gated("k"));  // later writes are behind it
  EXPECT_EQ(gates_opened_, 1);
  EXPECT_TRUE(w.IsDirty("k"));
  w.Send(1, {"SADD", "k", "later"});
  old_store().Reply(Int(1));
  EXPECT_THAT(Written(), ElementsAre("SADD k later"));
  ReplaceOk();
  EXPECT_THAT(results_, ElementsAre(true));
  EXPECT_FALSE(w.IsDirty("k"));
  new_store().Reply(Int(1));
  EXPECT_EQ(copier_->in_pieces(), 1u);
}

TEST_F(KeyCopierTest, WithItsExpiry) {
  BeginPieces("k", "string");
  old_store().Sent();
  old_store().Reply(Bulk("v"));
  new_store().Sent();
  new_store().Replies({kOk, Int(1), Int(1)});
  old_store().Sent();
  old_store().Replies({Int(500), Int(1)});
  const int64_t now = w.io.clock()->WallMs() + w.lane->secondary().clock().offset_ms;
  EXPECT_THAT(Written(),
              ElementsAre("MULTI", "UNLINK k", "RENAME T k", "PEXPIREAT k " + std::to_string(now + 500), "EXEC"));
  ReplaceOk();
  EXPECT_EQ(w.expiry.size(), 1u);
  EXPECT_THAT(results_, ElementsAre(true));
}

TEST_F(KeyCopierTest, AKeyThatExpiresMeanwhileIsRemoved) {
  BeginPieces("k", "set");
  old_store().Reply(Page("0", {Bulk("m")}));
  new_store().Sent();
  new_store().Replies({Int(1), Int(1), Int(1)});
  old_store().Replies({Int(-2), Int(0)});
  EXPECT_THAT(Written(), ElementsAre("UNLINK k", "UNLINK T"));
  new_store().Replies({Int(1), Int(1)});
  EXPECT_THAT(results_, ElementsAre(true));
  EXPECT_FALSE(w.IsDirty("k"));
}

// What was in flight before the gate closed may still turn out to differ: the copy settles it.
TEST_F(KeyCopierTest, I1WhatWasInFlightBeforeTheFenceIsSettledByTheCopy) {
  Copy("k", 5000);
  new_store().Reply("+PONG\r\n");
  w.Send(1, {"SADD", "k", "other key's writer"});  // not held by anybody in this test: it stands for a slot before
  old_store().Sent();
  old_store().Replies({"+set\r\n", Int(1)});
  new_store().Sent();
  new_store().Reply(Int(0));  // the secondary differs; this one's order is behind the fence's
  old_store().Reply(Page("0", {Bulk("m")}));
  new_store().Replies({Int(1), Int(1), Int(1)});
  old_store().Replies({Int(-1), Int(1)});
  ReplaceOk();
  EXPECT_THAT(results_, ElementsAre(true));
  EXPECT_TRUE(w.IsDirty("k"));  // a mark with a later order stays
}

TEST_F(KeyCopierTest, I2APieceThatIsRefused) {
  BeginPieces("k", "set");
  old_store().Reply(Page("7", {Bulk("m")}));
  new_store().Sent();
  new_store().Replies({"-OOM no\r\n", Int(0), Int(0)});
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_FALSE(w.lane->Gated("k"));
  EXPECT_EQ(gates_opened_, 1);
  EXPECT_THAT(copier_->last_failure(), HasSubstr("OOM"));
}

TEST_F(KeyCopierTest, WhatIsLeftIsRemovedWhenALaterPieceIsRefused) {
  BeginPieces("k", "set");
  old_store().Reply(Page("7", {Bulk("m")}));
  new_store().Replies({Int(1), Int(1), Int(1)});
  old_store().Reply(Page("0", {Bulk("n")}));
  new_store().Sent();
  new_store().Replies({Int(1), "-OOM no\r\n", Int(1)});
  EXPECT_THAT(Written(), ElementsAre("UNLINK T"));
  new_store().Reply(Int(1));
  EXPECT_THAT(results_, ElementsAre(false));
}

TEST_F(KeyCopierTest, NoPartIsTakenForTheWhole) {
  BeginPieces("k", "set");
  old_store().Reply(Page("7", {Bulk("m")}));
  new_store().Replies({Int(1), Int(1), Int(1)});
  old_store().Reply(Page("0", {Bulk("n")}));
  new_store().Replies({Int(0), Int(1), Int(1)});  // PEXPIRE: it isn't there any more
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_THAT(copier_->last_failure(), HasSubstr("lost"));
  new_store().ReplyToAll(Int(1));
}

TEST_F(KeyCopierTest, LengthsMustAddUp) {
  BeginPieces("k", "set");
  old_store().Reply(Page("0", {Bulk("m")}));
  new_store().Replies({Int(1), Int(1), Int(1)});
  old_store().Replies({Int(-1), Int(2)});
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_TRUE(w.IsDirty("k"));
  new_store().ReplyToAll(Int(1));
}

TEST_F(KeyCopierTest, AReplacementThatFailsLeavesTheKeyDirty) {
  ReachReplace();
  new_store().Replies({kOk, kQueued, kQueued, kQueued, Array({Int(1), "-ERR no such key\r\n", Int(0)})});
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_TRUE(w.IsDirty("k"));
  new_store().ReplyToAll(Int(0));
}

TEST_F(KeyCopierTest, I3ASecondaryThatStallsOpensTheGate) {
  BeginPieces("k", "set");
  old_store().Reply(Page("0", {Bulk("m")}));
  w.Advance(1900);
  EXPECT_TRUE(w.lane->Gated("k"));
  w.Advance(300);
  EXPECT_FALSE(w.lane->Gated("k"));
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_EQ(gates_opened_, 1);
  EXPECT_THAT(Written(), ElementsAre("SADD T m", "PEXPIRE T 60000", "SCARD T", "UNLINK T"));
  new_store().ReplyToAll(Int(1));  // late: nobody is there to go on
  EXPECT_THAT(old_store().unanswered(), 0u);
}

TEST_F(KeyCopierTest, I3ASecondaryThatLagsClosesNoGate) {
  Copy("k", 5000);
  w.Advance(1500);
  new_store().Reply("+PONG\r\n");
  EXPECT_FALSE(w.lane->Gated("k"));
  EXPECT_THAT(results_, ElementsAre(false));
}

TEST_F(KeyCopierTest, EitherStoreIsLostInTheMiddle) {
  BeginPieces("k", "set");
  old_store().Close();
  EXPECT_FALSE(w.lane->Gated("k"));
  EXPECT_THAT(results_, ElementsAre(false));
  old_store().Connect();
  BeginPieces("k", "set");
  old_store().Reply(Page("0", {Bulk("m")}));
  new_store().Close();
  EXPECT_FALSE(w.lane->Gated("k"));
  EXPECT_THAT(results_, ElementsAre(false, false));
  EXPECT_TRUE(w.IsDirty("k"));
}

TEST_F(KeyCopierTest, APrimaryThatWasRestartedIsNotMixed) {
  BeginPieces("k", "set");
  old_store().Reply(Page("0", {Bulk("m")}));
  new_store().Sent();
  old_store().Close();  // while the secondary is at work
  old_store().run_id = "another";
  old_store().Connect();
  new_store().Replies({Int(1), Int(1), Int(1)});
  old_store().Replies({Int(-1), Int(1)});
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_THAT(copier_->last_failure(), HasSubstr("restarted"));
  new_store().ReplyToAll(Int(1));
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
