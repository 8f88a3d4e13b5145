#include "proxy/waiting_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/waiting_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class WaitingRoomTest : public WaitingWorld {};

TEST_F(WaitingRoomTest, WhatIsThereIsAnsweredAtOnce) {
  Enter(1, {"BLPOP", "k", "0"});
  EXPECT_THAT(Asked(), ElementsAre("LPOP k"));
  w.old_store.Reply(Bulk("x"));
  EXPECT_EQ(answers_[1], Popped("k", "x"));
  EXPECT_TRUE(room_->empty());
  EXPECT_THAT(w.new_store.Sent(), ElementsAre("LPOP k"));  // followed as the pop that it is
  w.new_store.Reply(Bulk("x"));
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(WaitingRoomTest, WrongArguments) {
  Enter(1, {"BLPOP", "k", "x"});
  EXPECT_EQ(answers_[1], "-ERR timeout is not a float or out of range\r\n");
  EXPECT_THAT(Asked(), IsEmpty());
  EXPECT_TRUE(room_->empty());
}

TEST_F(WaitingRoomTest, AnErrorOfTheFirstAttemptIsTheAnswer) {
  Enter(1, {"BLPOP", "k", "0"});
  w.old_store.Reply("-WRONGTYPE no\r\n");
  EXPECT_EQ(answers_[1], "-WRONGTYPE no\r\n");
  EXPECT_TRUE(room_->empty());
}

TEST_F(WaitingRoomTest, WokenByAWrite) {
  Park(1, {"BLPOP", "k", "0"});
  EXPECT_THAT(w.new_store.Sent(), IsEmpty());
  Write({"RPUSH", "k", "x"}, Int(1));
  EXPECT_THAT(Asked(), ElementsAre("LPOP k"));
  w.old_store.Reply(Bulk("x"));
  EXPECT_EQ(answers_[1], Popped("k", "x"));
  EXPECT_THAT(w.new_store.Sent(), ElementsAre("RPUSH k x", "LPOP k"));
}

TEST_F(WaitingRoomTest, AnotherKeyOrDatabaseWakesNobody) {
  Park(1, {"BLPOP", "k", "0"});
  Write({"RPUSH", "other", "x"}, Int(1));
  EXPECT_THAT(Asked(), IsEmpty());
  w.Send(1000, {"SELECT", "1"});
  w.Send(1000, {"RPUSH", "k", "x"});
  Asked();
  w.old_store.Replies({kOk, Int(1)});
  EXPECT_THAT(Asked(), IsEmpty());
}

TEST_F(WaitingRoomTest, WhatTheServerRefusedWakesNobody) {
  Park(1, {"BLPOP", "k", "0"});
  Write({"RPUSH", "k", "x"}, "-OOM no\r\n");
  EXPECT_THAT(Asked(), IsEmpty());
}

// One element is for the longest waiter, and wakes nobody else.
TEST_F(WaitingRoomTest, TheLongestWaiterIsFirst) {
  Park(1, {"BLPOP", "k", "0"});
  Enter(2, {"BLPOP", "k", "0"});
  EXPECT_THAT(Asked(), ElementsAre("LPOP k"));  // if there is something, it is for the first
  w.old_store.Reply(kNil);
  Write({"RPUSH", "k", "x"}, Int(1));
  EXPECT_THAT(Asked(), ElementsAre("LPOP k"));
  w.old_store.Reply(Bulk("x"));
  EXPECT_EQ(answers_[1], Popped("k", "x"));
  EXPECT_EQ(answers_.count(2), 0u);
  EXPECT_THAT(Asked(), IsEmpty());
  EXPECT_TRUE(room_->Waits(2));
  Write({"RPUSH", "k", "y"}, Int(1));
  EXPECT_THAT(Asked(), ElementsAre("LPOP k"));
  w.old_store.Reply(Bulk("y"));
  EXPECT_EQ(answers_[2], Popped("k", "y"));
}

// How much a RENAME brings nobody knows: each that gets something lets the next look, until one finds nothing.
TEST_F(WaitingRoomTest, WhatMayBringMoreIsForOneAfterTheOther) {
  Park(1, {"BLPOP", "k", "0"});
  for (uint64_t client : {2, 3, 4}) {
    Enter(client, {"BLPOP", "k", "0"});
    EXPECT_THAT(Asked(), ElementsAre("LPOP k"));
    w.old_store.Reply(kNil);
  }
  Write({"RENAME", "from", "k"}, kOk);
  for (uint64_t client : {1, 2}) {
    EXPECT_THAT(Asked(), ElementsAre("LPOP k"));
    w.old_store.Reply(Bulk("x"));
    EXPECT_EQ(answers_[client], Popped("k", "x"));
  }
  EXPECT_THAT(Asked(), ElementsAre("LPOP k"));
  w.old_store.Reply(kNil);
  EXPECT_THAT(Asked(), IsEmpty());
  EXPECT_TRUE(room_->Waits(3));
  EXPECT_TRUE(room_->Waits(4));
}

TEST_F(WaitingRoomTest, WhatTakesAwayWakesNobody) {
  Park(1, {"BLPOP", "k", "0"});
  Write({"LPOP", "k"}, Bulk("x"));
  Write({"LREM", "k", "0", "x"}, Int(1));
  Write({"LTRIM", "k", "0", "1"}, kOk);
  Write({"PEXPIRE", "k", "1000"}, Int(1));
  EXPECT_THAT(Asked(), IsEmpty());
  EXPECT_TRUE(room_->Waits(1));
}

TEST_F(WaitingRoomTest, ManyElementsAreForMany) {
  Park(1, {"BLPOP", "k", "0"});
  Enter(2, {"BLPOP", "k", "0"});
  Asked();
  w.old_store.Reply(kNil);
  Write({"RPUSH", "k", "x", "y"}, Int(2));
  EXPECT_THAT(Asked(), ElementsAre("LPOP k", "LPOP k"));
  w.old_store.Replies({Bulk("x"), Bulk("y")});
  EXPECT_EQ(answers_[1], Popped("k", "x"));
  EXPECT_EQ(answers_[2], Popped("k", "y"));
}

TEST_F(WaitingRoomTest, AMoveFeedsItsDestination) {
  Park(1, {"BLPOP", "d", "0"});
  Enter(2, {"BLMOVE", "s", "d", "LEFT", "RIGHT", "0"});
  Asked();
  w.old_store.Reply(kNil);
  Write({"RPUSH", "s", "x"}, Int(1));
  EXPECT_THAT(Asked(), ElementsAre("LMOVE s d LEFT RIGHT"));
  w.old_store.Reply(Bulk("x"));
  EXPECT_EQ(answers_[2], Bulk("x"));
  EXPECT_THAT(Asked(), ElementsAre("LPOP d"));
  w.old_store.Reply(Bulk("x"));
  EXPECT_EQ(answers_[1], Popped("d", "x"));
}

TEST_F(WaitingRoomTest, ATransactionFeeds) {
  Park(1, {"BZPOPMIN", "z", "0"});
  w.Send(5, {"MULTI"});
  w.Send(5, {"ZADD", "z", "1", "m"});
  w.Send(5, {"EXEC"});
  w.old_store.Replies({kOk, kQueued, Array({Int(1)})});
  EXPECT_THAT(Asked(), ElementsAre("MULTI", "ZADD z 1 m", "EXEC", "ZMPOP 1 z MIN"));
  w.old_store.Reply(Array({Bulk("z"), Array({Array({Bulk("m"), Bulk("1")})})}));
  EXPECT_EQ(answers_[1], Array({Bulk("z"), Bulk("m"), Bulk("1")}));
}

TEST_F(WaitingRoomTest, MoveAndCopyFeedAnotherDatabase) {
  Enter(1, {"BLPOP", "k", "0"}, 3);
  w.old_store.Replies({kOk, kNil});
  Asked();
  w.Send(1000, {"MOVE", "k", "3"});
  w.old_store.Replies({kOk, Int(1)});
  EXPECT_THAT(Asked(), ElementsAre("SELECT 0", "MOVE k 3", "SELECT 3", "LPOP k"));
  w.old_store.Replies({kOk, Bulk("x")});
  EXPECT_EQ(answers_[1], Popped("k", "x"));
}

// Several keys: who waited is served by the one that was fed, and not by one that comes first in its arguments.
TEST_F(WaitingRoomTest, TheFedKeyAlone) {
  Park(1, {"BLPOP", "a", "b", "0"});
  Write({"RPUSH", "b", "x"}, Int(1));
  EXPECT_THAT(Asked(), ElementsAre("LMPOP 1 b LEFT"));
  w.old_store.Reply(Array({Bulk("b"), Array({Bulk("x")})}));
  EXPECT_EQ(answers_[1], Popped("b", "x"));
}

// Keys that are fed while an attempt is on its way are tried after it, in the order in which they were fed.
TEST_F(WaitingRoomTest, FedWhileItTries) {
  Enter(1, {"BLPOP", "a", "b", "c", "0"});
  EXPECT_THAT(Asked(), ElementsAre("LMPOP 3 a b c LEFT"));
  w.Send(1000, {"RPUSH", "c", "x"});
  w.Send(1000, {"RPUSH", "b", "y"});
  w.Send(1000, {"LPOP", "c"});
  w.old_store.Replies({kNilAnswer});
  EXPECT_TRUE(room_->Waits(1));
  Asked();
  w.old_store.Replies({Int(1)});
  EXPECT_THAT(Asked(), ElementsAre("LMPOP 1 c LEFT"));
  w.old_store.Replies({Int(1), Bulk("x")});  // b was fed; and somebody was faster with c
  w.old_store.Reply(kNilAnswer);
  EXPECT_THAT(Asked(), ElementsAre("LMPOP 1 b LEFT"));
  w.old_store.Reply(Array({Bulk("b"), Array({Bulk("y")})}));
  EXPECT_EQ(answers_[1], Popped("b", "y"));
}

TEST_F(WaitingRoomTest, WhileItWaitsAnotherTypeIsNoError) {
  Park(1, {"BLPOP", "k", "0"});
  Write({"SET", "k", "v"}, kOk);
  EXPECT_THAT(Asked(), ElementsAre("LPOP k"));
  w.old_store.Reply("-WRONGTYPE no\r\n");
  EXPECT_TRUE(room_->Waits(1));
  EXPECT_EQ(answers_.count(1), 0u);
  Write({"RPUSH", "k", "x"}, Int(1));
  w.old_store.Reply(Bulk("x"));
  EXPECT_EQ(answers_[1], Popped("k", "x"));
}

// A move whose destination is no list fails; one whose source isn't goes on waiting. The error is the same.
TEST_F(WaitingRoomTest, AMoveOntoAnotherType) {
  Park(1, {"BLMOVE", "s", "d", "LEFT", "LEFT", "0"});
  Write({"SET", "s", "v"}, kOk);
  w.old_store.Reply("-WRONGTYPE no\r\n");
  EXPECT_THAT(Asked(), ElementsAre("LMOVE s d LEFT LEFT", "TYPE s"));
  w.old_store.Reply("+string\r\n");
  EXPECT_TRUE(room_->Waits(1));
  Write({"RPUSH", "s", "x"}, Int(1));
  w.old_store.Reply("-WRONGTYPE no\r\n");
  Asked();
  w.old_store.Reply("+list\r\n");
  EXPECT_EQ(answers_[1], "-WRONGTYPE no\r\n");
  EXPECT_TRUE(room_->empty());
}

// --- Time --------------------------------------------------------------------------------------------------------

TEST_F(WaitingRoomTest, Timeouts) {
  Enter(1, {"BLPOP", "k", "0.04"});
  Enter(2, {"BLPOP", "j", "0.02"}, 0, 3);
  w.old_store.Replies({kNil, kNil});
  w.Advance(19);
  EXPECT_TRUE(answers_.empty());
  w.Advance(1);
  EXPECT_EQ(answers_[2], "_\r\n");
  w.Advance(19);
  EXPECT_EQ(answers_.count(1), 0u);
  w.Advance(1);
  EXPECT_EQ(answers_[1], kNilAnswer);
  EXPECT_TRUE(room_->empty());
}

TEST_F(WaitingRoomTest, AnAttemptThatOutlastsTheTimeout) {
  Enter(1, {"BLPOP", "k", "0.02"});
  Enter(2, {"BLPOP", "j", "0.02"});
  w.Advance(30);
  EXPECT_TRUE(answers_.empty());
  w.old_store.Reply(Bulk("x"));  // it must not be lost
  w.old_store.Reply(kNil);
  EXPECT_EQ(answers_[1], Popped("k", "x"));
  EXPECT_EQ(answers_[2], kNilAnswer);
}

// --- Leaving -----------------------------------------------------------------------------------------------------

TEST_F(WaitingRoomTest, WhoLeavesWhileItWaits) {
  Park(1, {"BLPOP", "k", "0"});
  room_->Leave(1);
  room_->Leave(1);
  EXPECT_TRUE(room_->empty());
  Write({"RPUSH", "k", "x"}, Int(1));
  EXPECT_THAT(Asked(), IsEmpty());
}

TEST_F(WaitingRoomTest, WhatWasPoppedForSomebodyGoneIsGivenBack) {
  Park(1, {"BLPOP", "k", "0"});
  Enter(2, {"BLPOP", "k", "0"});
  Asked();
  w.old_store.Reply(kNil);
  Write({"RPUSH", "k", "x"}, Int(1));
  room_->Leave(1);
  EXPECT_EQ(Asked().size(), 1u);
  w.old_store.Reply(Bulk("x"));
  EXPECT_EQ(room_->given_back(), 1u);
  EXPECT_THAT(Asked(), ElementsAre("LPUSH k x"));
  w.old_store.Reply(Int(1));
  EXPECT_THAT(Asked(), ElementsAre("LPOP k"));  // it is a push as any other, for the next in line
  w.old_store.Reply(Bulk("x"));
  EXPECT_EQ(answers_[2], Popped("k", "x"));
  EXPECT_EQ(answers_.count(1), 0u);
  EXPECT_TRUE(room_->empty());
}

TEST_F(WaitingRoomTest, NothingToGiveBack) {
  Enter(1, {"BLPOP", "k", "0"});
  Asked();
  room_->Leave(1);
  w.old_store.Reply(kNil);
  EXPECT_TRUE(room_->empty());
  EXPECT_THAT(Asked(), IsEmpty());
  EXPECT_EQ(room_->given_back(), 0u);
}

TEST_F(WaitingRoomTest, Unblock) {
  EXPECT_FALSE(room_->Unblock(1, false));
  Park(1, {"BLPOP", "k", "0"});
  Park(2, {"BLPOP", "j", "0"});
  EXPECT_TRUE(room_->Unblock(1, false));
  EXPECT_TRUE(room_->Unblock(2, true));
  EXPECT_EQ(answers_[1], kNilAnswer);
  EXPECT_EQ(answers_[2], "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
  EXPECT_FALSE(room_->Unblock(1, false));
}

TEST_F(WaitingRoomTest, UnblockWhileItTries) {
  Enter(1, {"BLPOP", "k", "0"});
  Enter(2, {"BLPOP", "j", "0"});
  EXPECT_TRUE(room_->Unblock(1, true));
  EXPECT_TRUE(room_->Unblock(2, true));
  EXPECT_TRUE(answers_.empty());
  w.old_store.Replies({kNil, Bulk("x")});
  EXPECT_EQ(answers_[1], "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
  EXPECT_EQ(answers_[2], Popped("j", "x"));
}

// --- A flip ------------------------------------------------------------------------------------------------------

TEST_F(WaitingRoomTest, WhileAFlipDrainsNobodyTries) {
  Park(1, {"BLPOP", "k", "0"});
  w.Send(1000, {"RPUSH", "k", "x"});
  Asked();
  room_->Hold(true);
  w.old_store.Reply(Int(1));
  EXPECT_THAT(Asked(), IsEmpty());
  w.new_store.Reply(Int(1));
  w.ExpectQuiet();
  w.Advance(200);
  EXPECT_THAT(Asked(), IsEmpty());  // nor does anybody poll
  room_->Hold(false);
  EXPECT_THAT(Asked(), ElementsAre("LPOP k"));
  w.old_store.Reply(Bulk("x"));
  EXPECT_EQ(answers_[1], Popped("k", "x"));
}

TEST_F(WaitingRoomTest, TimeoutsAndUnblocksGoOnInAFlip) {
  Park(1, {"BLPOP", "k", "0.02"});
  Park(2, {"BLPOP", "j", "0"});
  room_->Hold(true);
  w.Advance(20);
  EXPECT_EQ(answers_[1], kNilAnswer);
  EXPECT_TRUE(room_->Unblock(2, false));
  EXPECT_TRUE(room_->empty());
}

}  // namespace
}  // namespace crossfade
