// Copying in pieces, under a gate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/copier_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using RebuildTest = CopierWorldTest;

TEST_F(RebuildTest, InPiecesUnderAGate) {
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

TEST_F(RebuildTest, WithItsExpiry) {
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

TEST_F(RebuildTest, AKeyThatExpiresMeanwhileIsRemoved) {
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
TEST_F(RebuildTest, I1WhatWasInFlightBeforeTheFenceIsSettledByTheCopy) {
  Copy("k", 5000);
  w.Send(1, {"SADD", "k", "before"});
  old_store().Reply(Int(1));
  new_store().Reply("+PONG\r\n");
  old_store().Sent();
  EXPECT_TRUE(w.lane->Gated("k"));
  EXPECT_EQ(w.dirty.marked(DirtyCause::kReplyDiffered), 0u);
  new_store().Reply(Int(0));  // the secondary differs
  EXPECT_EQ(w.counters.writes_on_dirty, 1u);
  EXPECT_EQ(w.dirty.marked(DirtyCause::kReplyDiffered), 1u);
  CopyASet();
  EXPECT_THAT(results_, ElementsAre(true));
  EXPECT_FALSE(w.IsDirty("k"));
}

// A write that nobody has held back has a place behind the fence. Its mark stays.
TEST_F(RebuildTest, I2AMarkWithALaterOrderStays) {
  Copy("k", 5000);
  new_store().Reply("+PONG\r\n");
  w.dirty.Mark(0, "k", DirtyCause::kSettleDiffered, w.lane->next_order());
  CopyASet();
  EXPECT_THAT(results_, ElementsAre(true));
  EXPECT_TRUE(w.IsDirty("k"));
}

TEST_F(RebuildTest, I2APieceThatIsRefused) {
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

TEST_F(RebuildTest, WhatIsLeftIsRemovedWhenALaterPieceIsRefused) {
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

TEST_F(RebuildTest, NoPartIsTakenForTheWhole) {
  BeginPieces("k", "set");
  old_store().Reply(Page("7", {Bulk("m")}));
  new_store().Replies({Int(1), Int(1), Int(1)});
  old_store().Reply(Page("0", {Bulk("n")}));
  new_store().Replies({Int(0), Int(1), Int(1)});  // PEXPIRE: it isn't there any more
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_THAT(copier_->last_failure(), HasSubstr("lost"));
  new_store().ReplyToAll(Int(1));
}

TEST_F(RebuildTest, LengthsMustAddUp) {
  BeginPieces("k", "set");
  old_store().Reply(Page("0", {Bulk("m")}));
  new_store().Replies({Int(1), Int(1), Int(1)});
  old_store().Replies({Int(-1), Int(2)});
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_TRUE(w.IsDirty("k"));
  new_store().ReplyToAll(Int(1));
}

TEST_F(RebuildTest, AReplacementThatFailsLeavesTheKeyDirty) {
  ReachReplace();
  new_store().Replies({kOk, kQueued, kQueued, kQueued, Array({Int(1), "-ERR no such key\r\n", Int(0)})});
  EXPECT_THAT(results_, ElementsAre(false));
  EXPECT_TRUE(w.IsDirty("k"));
  new_store().ReplyToAll(Int(0));
}

TEST_F(RebuildTest, I3ASecondaryThatStallsOpensTheGate) {
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

TEST_F(RebuildTest, I3ASecondaryThatLagsClosesNoGate) {
  Copy("k", 5000);
  w.Advance(1500);
  new_store().Reply("+PONG\r\n");
  EXPECT_FALSE(w.lane->Gated("k"));
  EXPECT_THAT(results_, ElementsAre(false));
}

TEST_F(RebuildTest, EitherStoreIsLostInTheMiddle) {
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

TEST_F(RebuildTest, APrimaryThatWasRestartedIsNotMixed) {
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

}  // namespace
}  // namespace crossfade
