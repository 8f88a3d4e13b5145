// Whose answer a client gets: ack = both, shifted reads and what takes their place, a cold cache that warms itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// --- ack = both ------------------------------------------------------------------------------------------------------

class AckBothTest : public LaneWorldTest {
 protected:
  AckBothTest() {
    w.config.repair.enabled = false;
    w.migration.routing.ack = AckMode::kBoth;
    w.Start();
  }
};

TEST_F(AckBothTest, TheClientWaitsForTheSecondary) {
  const ReplyTo to = w.Send(1, {"SET", "k", "v"});
  const ReplyTo nothing = w.Send(1, {"DEL", "none"});
  const ReplyTo error = w.Send(1, {"INCR", "k"});
  const ReplyTo unset = w.Send(1, {"SET", "k", "w", "NX"});
  old_store().Replies({kOk, Int(0), "-ERR x\r\n", kNil});
  EXPECT_EQ(w.Got(to), "");
  EXPECT_EQ(w.Got(error), "-ERR x\r\n");
  EXPECT_EQ(w.Got(unset), kNil);  // nothing to wait for
  new_store().Replies({kOk, Int(0)});
  EXPECT_EQ(w.Got(to), kOk);
  EXPECT_EQ(w.Got(nothing), Int(0));
  EXPECT_EQ(w.counters.acks_failed, 0u);
}

TEST_F(AckBothTest, ADisagreementIsAnErrorAndDirty) {
  const ReplyTo to = w.Send(1, {"INCR", "n"});
  old_store().Reply(Int(1));
  new_store().Reply(Int(2));
  EXPECT_THAT(w.Got(to), HasSubstr("applied on the primary, but the secondary did not agree"));
  EXPECT_TRUE(w.IsDirty("n"));
  EXPECT_EQ(w.counters.acks_failed, 1u);
}

TEST_F(AckBothTest, ASlowSecondaryIsAnErrorAndDirty) {
  const ReplyTo to = w.Send(1, {"SET", "k", "v"});
  old_store().Reply(kOk);
  w.Advance(990);
  EXPECT_EQ(w.Got(to), "");
  w.Advance(30);
  EXPECT_THAT(w.Got(to), HasSubstr("has not confirmed it in time"));
  EXPECT_TRUE(w.IsDirty("k"));
  new_store().Reply(kOk);
  EXPECT_EQ(w.counters.acks_failed, 1u);
  EXPECT_TRUE(w.IsDirty("k"));
}

TEST_F(AckBothTest, ASecondaryThatIsAwayIsAnErrorAndDirty) {
  const ReplyTo sent = w.Send(1, {"SET", "sent", "v"});
  old_store().Reply(kOk);
  const ReplyTo pending = w.Send(1, {"SET", "pending", "v"});
  new_store().Close();
  EXPECT_THAT(w.Got(sent), HasSubstr("the secondary is away"));
  const ReplyTo after = w.Send(1, {"SET", "after", "v"});
  old_store().Replies({kOk, kOk});
  EXPECT_THAT(w.Got(pending), HasSubstr("the secondary is away"));
  EXPECT_THAT(w.Got(after), HasSubstr("the secondary is away"));
  EXPECT_EQ(w.dirty.size(), 3u);
  EXPECT_EQ(w.counters.acks_failed, 3u);
}

TEST_F(AckBothTest, ATransactionWaitsToo) {
  w.Send(1, {"MULTI"});
  w.Send(1, {"SET", "a", "1"});
  w.Send(1, {"SET", "b", "1"});
  const ReplyTo to = w.Send(1, {"EXEC"});
  old_store().Replies({kOk, kQueued, kQueued, Array({kOk, kOk})});
  EXPECT_EQ(w.Got(to), "");
  new_store().Replies({kOk, kQueued, kQueued, Array({kOk, kOk})});
  EXPECT_EQ(w.Got(to), Array({kOk, kOk}));
}

TEST_F(AckBothTest, AnEffectThatCanNotBeToldIsNotConfirmed) {
  w.Send(1, {"MULTI"});
  w.Send(1, {"SORT", "l", "STORE", "d"});
  const ReplyTo to = w.Send(1, {"EXEC"});
  EXPECT_THAT(old_store().Sent(),
              ElementsAre("MULTI", "SORT l STORE d", "EXEC", "PTTL l", "DUMP l", "PTTL d", "DUMP d"));
  old_store().Replies({kOk, kQueued, Array({Int(2)}), Int(-1), Bulk("l"), Int(-1), "-ERR no DUMP here\r\n"});
  EXPECT_THAT(w.Got(to), HasSubstr("applied on the primary"));
  EXPECT_TRUE(w.IsDirty("d"));
  EXPECT_EQ(w.counters.acks_failed, 1u);
}

// --- Shifted reads ---------------------------------------------------------------------------------------------------

class ShiftedReadTest : public LaneWorldTest {
 protected:
  ShiftedReadTest() {
    w.config.repair.enabled = false;
    w.Start();
  }
};

TEST_F(ShiftedReadTest, I4ADirtyKeyIsReadFromThePrimary) {
  w.dirty.Mark(0, "k", DirtyCause::kMiss, 1);
  const ReplyTo to = w.Send(1, {"MGET", "a", "k"}, kFromNew);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  old_store().Reply(Array({kNil, Bulk("v")}));
  EXPECT_EQ(w.Got(to), Array({kNil, Bulk("v")}));
  EXPECT_EQ(w.counters.reads_fallback, 1u);
}

TEST_F(ShiftedReadTest, I4AKeyThatBecameDirtyMeanwhileIsReadFromThePrimary) {
  w.Send(1, {"INCR", "k"});
  const ReplyTo to = w.Send(1, {"GET", "k"}, kFromNew);
  old_store().Reply(Int(5));
  new_store().Replies({Int(1), Bulk("1")});
  EXPECT_EQ(w.Got(to), "");
  EXPECT_THAT(old_store().Sent(), ElementsAre("INCR k", "GET k"));
  old_store().Reply(Bulk("5"));
  EXPECT_EQ(w.Got(to), Bulk("5"));
}

TEST_F(ShiftedReadTest, I4NotSyncedMeansThePrimary) {
  w.migration.synced = Synced::kCopying;
  w.Send(1, {"GET", "k"}, kFromNew);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  old_store().Reply(kNil);
  w.migration.cold = true;
  w.Send(1, {"GET", "k"}, kFromNew);
  EXPECT_THAT(new_store().Sent(), ElementsAre("GET k"));
  new_store().Reply(kNil);
  w.migration.distrust = "came back empty";
  w.Send(1, {"GET", "k"}, kFromNew);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  old_store().Reply(kNil);
}

TEST_F(ShiftedReadTest, I3AnErrorOfTheSecondaryIsNoClients) {
  const ReplyTo to = w.Send(1, {"GET", "k"}, kFromNew);
  new_store().Reply("-BUSY x\r\n");
  old_store().Reply(Bulk("v"));
  EXPECT_EQ(w.Got(to), Bulk("v"));
}

TEST_F(ShiftedReadTest, I3ASlowSecondaryIsOvertakenAfterTheReadTimeout) {
  const ReplyTo slow = w.Send(1, {"GET", "k"}, kFromNew);
  const ReplyTo first = w.Send(1, {"GET", "j"}, kFromNew);
  w.Advance(95);
  EXPECT_THAT(old_store().Sent(), IsEmpty());
  w.Advance(20);
  EXPECT_THAT(old_store().Sent(), ElementsAre("GET k", "GET j"));
  old_store().Reply(Bulk("old"));
  EXPECT_EQ(w.Got(slow), Bulk("old"));
  new_store().Replies({Bulk("new"), Bulk("new")});
  EXPECT_EQ(w.Got(slow), Bulk("old"));
  EXPECT_EQ(w.Got(first), Bulk("new"));  // whoever is first
  old_store().Reply(Bulk("old"));
}

TEST_F(ShiftedReadTest, I3ALostSecondaryHandsItsReadsToThePrimary) {
  const ReplyTo to = w.Send(1, {"GET", "k"}, kFromNew);
  w.Send(1, {"SET", "j", "v"});
  const ReplyTo queued = w.Send(1, {"GET", "j"}, kFromNew);
  new_store().Close();
  EXPECT_THAT(old_store().Sent(), ElementsAre("SET j v", "GET k", "GET j"));
  old_store().Replies({kOk, Bulk("1"), Bulk("2")});
  EXPECT_EQ(w.Got(to), Bulk("1"));
  EXPECT_EQ(w.Got(queued), Bulk("2"));
  w.Advance(300);
}

TEST_F(ShiftedReadTest, AMissIsAskedOfThePrimaryAndWarms) {
  ReadChoice choice = kFromNew;
  choice.on_miss = OnMiss::kPrimary;
  const ReplyTo hit = w.Send(1, {"GET", "k"}, choice);
  const ReplyTo miss = w.Send(1, {"GET", "none"}, choice);
  new_store().Replies({kNil, kNil});
  EXPECT_EQ(w.Got(hit), "");
  old_store().Replies({Bulk("v"), kNil});
  EXPECT_EQ(w.Got(hit), Bulk("v"));
  EXPECT_EQ(w.Got(miss), kNil);
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_FALSE(w.IsDirty("none"));
  EXPECT_EQ(w.dirty.marked(DirtyCause::kMiss), 1u);
}

TEST_F(ShiftedReadTest, AMissIsAnAnswerUnlessToldOtherwise) {
  const ReplyTo to = w.Send(1, {"GET", "k"}, kFromNew);
  new_store().Reply(kNil);
  EXPECT_EQ(w.Got(to), kNil);
  EXPECT_THAT(old_store().Sent(), IsEmpty());
}

TEST_F(ShiftedReadTest, OneServersReadsAreNeverShifted) {
  w.Send(1, {"SCAN", "0"}, kFromNew);
  w.Send(1, {"RANDOMKEY"}, kFromNew);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  old_store().ReplyToAll(kNil);
}

TEST_F(ShiftedReadTest, AShiftedReadIsComparedToo) {
  ReadChoice choice = kFromNew;
  choice.compare = true;
  const ReplyTo to = w.Send(1, {"GET", "k"}, choice);
  old_store().Reply(Bulk("old"));
  EXPECT_EQ(w.Got(to), "");  // it was routed to the other side
  new_store().Reply(Bulk("new"));
  EXPECT_EQ(w.Got(to), Bulk("new"));
  EXPECT_THAT(w.differences, ElementsAre("GET k"));
}

TEST_F(ShiftedReadTest, I6EverythingHoldsWithTheRolesSwapped) {
  w.migration.routing.primary = Side::kNew;
  w.Send(1, {"SET", "k", "v"});
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k v"));
  EXPECT_THAT(old_store().Sent(), IsEmpty());
  const ReplyTo read = w.Send(1, {"GET", "k"}, ReadChoice{});  // old answers it: it is the secondary now
  new_store().Reply(kOk);
  old_store().Replies({kOk, Bulk("v")});
  EXPECT_EQ(w.Got(read), Bulk("v"));
  EXPECT_EQ(w.counters.reads[0], 1u);
}

TEST_F(ShiftedReadTest, JournalRemembersEveryKeyAndSendsNothing) {
  w.migration.routing.secondary = SecondaryMode::kJournal;
  w.Send(1, {"SET", "k", "v"});
  w.Send(1, {"SPOP", "empty"});
  old_store().Replies({kOk, kNil});
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_FALSE(w.IsDirty("empty"));
  EXPECT_EQ(w.dirty.marked(DirtyCause::kNotFollowed), 1u);
  w.migration.routing.secondary = SecondaryMode::kOff;
  w.Send(1, {"SET", "j", "v"});
  old_store().Reply(kOk);
  EXPECT_FALSE(w.IsDirty("j"));  // off claims nothing
}

}  // namespace
}  // namespace crossfade
