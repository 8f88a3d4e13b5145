// The lane while both stores are well: what reaches the secondary, when, and in which form.
#include "proxy/lane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

class LaneTest : public LaneWorldTest {
 protected:
  LaneTest() { w.Start(); }
};

TEST_F(LaneTest, I1NothingFollowsBeforeThePrimaryHasAnswered) {
  const ReplyTo to = w.Send(1, {"SET", "k", "v"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("SET k v"));
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  EXPECT_EQ(w.lane->lag_slots(), 1u);
  old_store().Reply(kOk);
  EXPECT_EQ(w.Got(to), kOk);  // before the secondary has it (I3)
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k v"));
  EXPECT_FALSE(w.lane->drained());
  new_store().Reply(kOk);
  EXPECT_EQ(w.counters.writes_followed, 1u);
  EXPECT_TRUE(w.dirty.clean());
  EXPECT_EQ(w.drained, 1);
}

TEST_F(LaneTest, I1NothingFollowsWhatThePrimaryRefused) {
  const ReplyTo to = w.Send(1, {"SET", "k", "v"});
  old_store().Reply("-OOM no\r\n");
  EXPECT_EQ(w.Got(to), "-OOM no\r\n");
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  EXPECT_EQ(w.counters.writes_total, 0u);
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneTest, I1OrderOverPipelinedWritesOfManyClients) {
  w.Send(1, {"SET", "k", "1"});
  w.Send(2, {"SET", "k", "2"});
  w.Send(3, {"INCR", "n"});
  w.Send(1, {"SET", "k", "3"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("SET k 1", "SET k 2", "INCR n", "SET k 3"));
  old_store().Reply(kOk);
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k 1"));  // the ready prefix
  old_store().Replies({"-ERR x\r\n", Int(1), kOk});
  EXPECT_THAT(new_store().Sent(), ElementsAre("INCR n", "SET k 3"));
  new_store().Replies({kOk, Int(1), kOk});
  EXPECT_EQ(w.counters.writes_followed, 3u);
}

TEST_F(LaneTest, I1EffectsComeFromTheReply) {
  w.Send(1, {"SPOP", "s"});
  w.Send(1, {"SET", "k", "v", "NX"});
  w.Send(1, {"SET", "k", "w", "NX"});
  w.Send(1, {"INCRBYFLOAT", "f", "0.1"});
  w.Send(1, {"XADD", "x", "*", "a", "b"});
  w.Send(1, {"SPOP", "gone"});
  old_store().Replies({Bulk("b"), kOk, kNil, Bulk("1.5"), Bulk("5-1"), kNil});
  EXPECT_THAT(new_store().Sent(), ElementsAre("SREM s b", "SET k v", "SET f 1.5 KEEPTTL GET", "XADD x 5-1 a b"));
  new_store().Replies({Int(1), kOk, Bulk("1.4"), Bulk("5-1")});
  EXPECT_TRUE(w.dirty.clean());
  EXPECT_EQ(w.counters.writes_followed, 6u);  // two without an effect
}

TEST_F(LaneTest, I1ExpiriesAreMomentsOnTheSecondarysClock) {
  new_store().skew_ms = 5000;
  w.Advance(1000);
  w.lane->Tick();
  new_store().unanswered();  // TIME is answered
  const int64_t now = w.io.clock()->WallMs();
  w.Send(1, {"SET", "k", "v", "PX", "60000"});
  old_store().Reply(kOk);
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k v PXAT " + std::to_string(now + 5000 + 60000)));
  new_store().Reply(kOk);
}

// The stores' clocks are known by how far they are from ours: setting ours must not move their keys' expiries.
TEST_F(LaneTest, I1ExpiriesStayWhenTheWallClockIsSet) {
  constexpr int64_t kJumpMs = 3'600'000;
  w.Advance(1000);
  w.lane->Tick();
  new_store().unanswered();  // TIME is answered
  const int64_t now = w.io.clock()->WallMs();
  w.io.clock()->SetWallMs(now + kJumpMs);
  old_store().skew_ms = new_store().skew_ms = -kJumpMs;
  const std::string expected = "SET k v PXAT " + std::to_string(now + 60000);
  for (int i = 0; i < 3; ++i) {
    w.Send(1, {"SET", "k", "v", "PX", "60000"});
    old_store().Reply(kOk);
    EXPECT_THAT(new_store().Sent(), ElementsAre(expected)) << i;
    new_store().Reply(kOk);
    w.lane->Tick();  // asks for the time; at first that is not answered yet
    if (i > 0) new_store().unanswered();
  }
}

TEST_F(LaneTest, I1ACompanionTellsAnApproximateTrim) {
  w.Send(1, {"XADD", "x", "MAXLEN", "~", "5", "*", "f", "v"});
  w.Send(1, {"SET", "k", "v"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("XADD x MAXLEN ~ 5 * f v", "XLEN x", "SET k v"));
  old_store().Reply(Bulk("7-0"));
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  old_store().Replies({Int(8), kOk});
  EXPECT_THAT(new_store().Sent(), ElementsAre("XADD x 7-0 f v", "XTRIM x MAXLEN = 8", "SET k v"));
  new_store().Replies({Bulk("7-0"), Int(2), kOk});
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneTest, I4ReadsWaitBehindPendingWritesOnTheSecondary) {
  w.Send(1, {"SET", "k", "v"});
  const ReplyTo read = w.Send(1, {"GET", "k"}, kFromNew);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  old_store().Reply(kOk);
  EXPECT_THAT(old_store().Sent(), ElementsAre("SET k v"));
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k v", "GET k"));
  new_store().Replies({kOk, Bulk("v")});
  EXPECT_EQ(w.Got(read), Bulk("v"));
  EXPECT_EQ(w.counters.reads[1], 1u);
}

TEST_F(LaneTest, I7AComparedReadSeesBothAtOneInstant) {
  w.Send(1, {"SET", "k", "1"});
  const ReplyTo read = w.Send(2, {"GET", "k"}, kCompared);
  w.Send(1, {"SET", "k", "2"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("SET k 1", "GET k", "SET k 2"));
  old_store().Replies({kOk, Bulk("1"), kOk});
  EXPECT_EQ(w.Got(read), Bulk("1"));  // without waiting for the comparison
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k 1", "GET k", "SET k 2"));
  new_store().Replies({kOk, Bulk("1"), kOk});
  EXPECT_EQ(w.counters.reads_compared, 1u);
  EXPECT_THAT(w.differences, IsEmpty());

  w.Send(2, {"GET", "k"}, kCompared);
  old_store().Reply(Bulk("2"));
  new_store().Reply(Bulk("3"));
  EXPECT_THAT(w.differences, ElementsAre("GET k"));
}

TEST_F(LaneTest, I7NoComparisonOnADirtyKey) {
  w.dirty.Mark(0, "k", DirtyCause::kMiss, 1);
  w.Send(1, {"GET", "k"}, kCompared);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  old_store().Reply(Bulk("1"));
  EXPECT_EQ(w.counters.reads_not_comparable, 1u);
  // It became dirty while the comparison was under way.
  w.Send(1, {"GET", "j"}, kCompared);
  w.dirty.Mark(0, "j", DirtyCause::kMiss, 2);
  old_store().Reply(Bulk("1"));
  new_store().Reply(kNil);
  EXPECT_EQ(w.counters.reads_not_comparable, 2u);
  EXPECT_THAT(w.differences, IsEmpty());
}

TEST_F(LaneTest, BothIsSentToEachAndNotCompared) {
  const ReplyTo to = w.Send(1, {"PUBLISH", "c", "m"});
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  old_store().Reply(Int(3));
  EXPECT_EQ(w.Got(to), Int(3));
  EXPECT_THAT(new_store().Sent(), ElementsAre("PUBLISH c m"));
  new_store().Reply("-NOPERM x\r\n");
  EXPECT_EQ(w.counters.writes_total + w.counters.writes_diverged + w.counters.writes_refused, 0u);
  EXPECT_TRUE(w.dirty.clean());
}

// --- Connection state ------------------------------------------------------------------------------------------------

class LaneSwitchTest : public LaneWorldTest {
 protected:
  LaneSwitchTest() {
    for (FakeBackend* store : {&old_store(), &new_store()}) {
      store->resp3 = true;
      store->databases = 16;
    }
    w.Start();
  }
};

TEST_F(LaneSwitchTest, DatabaseAndProtocolAreSwitchedOnlyWhenTheyDiffer) {
  w.Send(1, {"HELLO", "3"});
  w.Send(1, {"GET", "k"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("GET k"));  // RESP3 is where a connection begins
  w.Send(2, {"SELECT", "4"});
  w.Send(2, {"GET", "a"});
  w.Send(2, {"GET", "b"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("HELLO 2", "SELECT 4", "GET a", "GET b"));
  w.Send(1, {"GET", "k"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("HELLO 3", "SELECT 0", "GET k"));
  old_store().Replies({"_\r\n", kOk, kOk, kNil, kNil, kOk, kOk, "_\r\n"});
}

TEST_F(LaneSwitchTest, AFollowNeedsOnlyTheDatabase) {
  w.Send(1, {"SELECT", "2"});
  w.Send(1, {"SET", "k", "v"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("HELLO 2", "SELECT 2", "SET k v"));
  old_store().Replies({kOk, kOk, kOk});
  EXPECT_THAT(new_store().Sent(), ElementsAre("SELECT 2", "SET k v"));
  new_store().Replies({kOk, kOk});
  w.Send(1, {"GET", "k"}, kFromNew);  // a forwarded reply must be in the client's protocol
  EXPECT_THAT(new_store().Sent(), ElementsAre("HELLO 2", "GET k"));
  new_store().Replies({kOk, Bulk("v")});
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneSwitchTest, ARefusedSwitchCutsTheConnection) {
  w.Send(1, {"SELECT", "2"});
  const ReplyTo to = w.Send(1, {"SET", "k", "v"});
  old_store().Replies({kOk, "-ERR DB index is out of range\r\n"});
  EXPECT_TRUE(old_store().hung_up());
  EXPECT_EQ(w.Got(to), "");
  EXPECT_THAT(w.broken, ElementsAre(1u));
  EXPECT_TRUE(w.IsDirty("k", 2));
}

// --- Transactions ----------------------------------------------------------------------------------------------------

TEST_F(LaneTest, I1ATransactionIsOneBlockOnBothSides) {
  w.Send(1, {"MULTI"});
  w.Send(1, {"INCR", "n"});
  w.Send(2, {"SET", "other", "1"});
  w.Send(1, {"GET", "n"});
  w.Send(1, {"SPOP", "s"});
  const ReplyTo exec = w.Send(1, {"EXEC"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("SET other 1", "MULTI", "INCR n", "GET n", "SPOP s", "EXEC"));
  const std::string reply = Array({Int(1), Bulk("1"), Bulk("m")});
  old_store().Replies({kOk, kOk, kQueued, kQueued, kQueued, reply});
  EXPECT_EQ(w.Got(exec), reply);
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET other 1", "MULTI", "INCR n", "SREM s m", "EXEC"));
  new_store().Replies({kOk, kOk, kQueued, kQueued, Array({Int(1), Int(1)})});
  EXPECT_TRUE(w.dirty.clean());
  EXPECT_EQ(w.counters.writes_followed, 2u);
}

TEST_F(LaneTest, I2ABlocksReplyIsCheckedElementByElement) {
  for (const std::string& answer :
       {Array({Int(1), Int(9)}), Array({Int(1), "-OOM x\r\n"}), std::string("-EXECABORT x\r\n"), Array({Int(1)})}) {
    w.Send(1, {"MULTI"});
    w.Send(1, {"INCR", "n"});
    w.Send(1, {"INCR", "m"});
    w.Send(1, {"EXEC"});
    old_store().Replies({kOk, kQueued, kQueued, Array({Int(1), Int(1)})});
    new_store().Replies({kOk, kQueued, kQueued, answer});
    EXPECT_TRUE(w.IsDirty("n") && w.IsDirty("m")) << answer;
    w.dirty.CopyDone({0, "n"}, w.lane->next_order());
    w.dirty.CopyDone({0, "m"}, w.lane->next_order());
  }
  EXPECT_EQ(w.counters.writes_diverged, 1u);
  EXPECT_EQ(w.counters.writes_refused, 3u);
}

TEST_F(LaneTest, I1AnElementThatFailedDoesNotFollow) {
  w.Send(1, {"MULTI"});
  w.Send(1, {"INCR", "text"});
  w.Send(1, {"SET", "k", "v"});
  w.Send(1, {"EXEC"});
  old_store().Replies({kOk, kQueued, kQueued, Array({"-ERR not an integer\r\n", kOk})});
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k v"));  // alone, it needs no block
  new_store().Reply(kOk);
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneTest, I2AnExecReplyOfAnotherShapeMakesItsKeysDirty) {
  for (const std::string& reply : {Array({kOk}), std::string("+OK\r\n"), Array({})}) {
    w.Send(1, {"MULTI"});
    w.Send(1, {"SET", "a", "v"});
    w.Send(1, {"SET", "b", "v"});
    w.Send(1, {"EXEC"});
    old_store().Replies({kOk, kQueued, kQueued, reply});
    EXPECT_TRUE(w.IsDirty("a") && w.IsDirty("b")) << reply;
    w.dirty.CopyDone({0, "a"}, w.lane->next_order());
    w.dirty.CopyDone({0, "b"}, w.lane->next_order());
  }
  EXPECT_THAT(new_store().Sent(), IsEmpty());
}

TEST_F(LaneTest, I2WhatABlockCanNotTellIsCopied) {
  w.Send(1, {"MULTI"});
  w.Send(1, {"SORT", "l", "STORE", "d"});
  w.Send(1, {"SET", "k", "v"});
  w.Send(1, {"EXEC"});
  EXPECT_THAT(old_store().Sent(),
              ElementsAre("MULTI", "SORT l STORE d", "SET k v", "EXEC", "PTTL l", "DUMP l", "PTTL d", "DUMP d"));
  old_store().Replies({kOk, kQueued, kQueued, Array({Int(2), kOk}), Int(-2), kNil, Int(-1), Bulk("dumped")});
  EXPECT_THAT(new_store().Sent(),
              ElementsAre("MULTI", "SET k v", "DEL l", "RESTORE d 0 dumped REPLACE ABSTTL", "EXEC"));
  new_store().Replies({kOk, kQueued, kQueued, kQueued, Array({kOk, Int(0), kOk})});
  EXPECT_TRUE(w.dirty.clean());
  EXPECT_EQ(w.counters.writes_followed, 1u);
}

TEST_F(LaneTest, I2ABlockWhoseCopiesMakeNoSenseMakesItsKeysDirty) {
  w.Send(1, {"MULTI"});
  w.Send(1, {"SORT", "l", "STORE", "d"});
  w.Send(1, {"SET", "k", "v"});
  w.Send(1, {"EXEC"});
  old_store().Replies({kOk, kQueued, kQueued, Array({Int(2), kOk}), Int(-1), Bulk("l"), Int(-1), "-ERR no DUMP\r\n"});
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  EXPECT_TRUE(w.IsDirty("d") && w.IsDirty("k"));
  EXPECT_EQ(w.counters.writes_followed, 0u);  // not yet, and not by this slot
}

}  // namespace
}  // namespace crossfade
