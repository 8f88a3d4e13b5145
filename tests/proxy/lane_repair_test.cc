// Where the stores may differ: which keys become dirty, how a copy makes an end of that, and what carries it on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/repair.h"
#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class LaneRepairTest : public LaneWorldTest {
 protected:
  LaneRepairTest() { w.Start(); }

  // A write on which the secondary disagrees.
  void Diverge(std::string_view key) {
    w.Send(9, {"INCR", key});
    old_store().Reply(Int(1));
    new_store().Reply(Int(2));
    old_store().Sent();
    new_store().Sent();
  }
  void Copy(const std::string& key, const std::string& value) {
    EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL " + key, "DUMP " + key));
    old_store().Replies({Int(-1), Bulk(value)});
    EXPECT_THAT(new_store().Sent(), ElementsAre("RESTORE " + key + " 0 " + value + " REPLACE ABSTTL"));
    new_store().Reply(kOk);
  }
};

TEST_F(LaneRepairTest, I2AnotherReplyIsADivergenceAndACopyMendsIt) {
  Diverge("k");
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_EQ(w.counters.writes_diverged, 1u);
  EXPECT_EQ(w.dirty.marked(DirtyCause::kReplyDiffered), 1u);
  w.Advance(2);
  Copy("k", "payload");
  EXPECT_TRUE(w.dirty.clean());
  EXPECT_EQ(w.repair->copied(), 1u);
  w.Advance(10);
  EXPECT_THAT(old_store().Sent(), IsEmpty());
}

TEST_F(LaneRepairTest, I2ARefusalIsCountedAsOne) {
  w.Send(1, {"SET", "k", "v"});
  old_store().Reply(kOk);
  new_store().Reply("-OOM x\r\n");
  EXPECT_EQ(w.counters.writes_refused, 1u);
  EXPECT_EQ(w.counters.writes_diverged, 0u);
  EXPECT_EQ(w.dirty.marked(DirtyCause::kRefused), 1u);
  w.Advance(2);
  old_store().Sent(), new_store().Sent();
  old_store().Replies({Int(-2), kNil});
  EXPECT_THAT(new_store().Sent(), ElementsAre("DEL k"));  // the primary has none
  new_store().Reply(Int(0));
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneRepairTest, I2ALaterMarkSurvivesAnEarlierCopy) {
  Diverge("k");
  w.Advance(2);
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL k", "DUMP k"));
  w.Send(1, {"INCR", "k"});  // behind the copy, and it will differ too
  old_store().Replies({Int(-1), Bulk("1"), Int(2)});
  new_store().Reply(kOk);
  EXPECT_TRUE(w.dirty.clean());
  new_store().Reply(Int(5));
  EXPECT_TRUE(w.IsDirty("k"));

  w.Advance(2);
  w.dirty.Mark(0, "k", DirtyCause::kReadMismatch, w.lane->next_order());  // while the second copy is under way
  old_store().Sent(), new_store().Sent();
  old_store().Replies({Int(-1), Bulk("2")});
  new_store().Reply(kOk);
  EXPECT_TRUE(w.IsDirty("k"));
  w.Advance(2);
  old_store().Sent(), new_store().Sent();
  old_store().Replies({Int(-1), Bulk("2")});
  new_store().Reply(kOk);
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneRepairTest, I1ACopyTakesItsPlaceBetweenWrites) {
  Diverge("k");
  w.Send(1, {"SET", "k", "before"});
  w.Advance(2);
  w.Send(1, {"SET", "k", "after"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("SET k before", "PTTL k", "DUMP k", "SET k after"));
  old_store().Replies({kOk, Int(50), Bulk("before"), kOk});
  const std::vector<std::string> sent = new_store().Sent();
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[0], "SET k before");
  EXPECT_EQ(sent[1], "RESTORE k " + std::to_string(w.io.clock()->WallMs() + 50) + " before REPLACE ABSTTL");
  EXPECT_EQ(sent[2], "SET k after");
  new_store().ReplyToAll(kOk);
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneRepairTest, I9AFailedCopyIsTriedAgainAfterAPause) {
  Diverge("k");
  w.Advance(2);
  old_store().Replies({Int(-1), Bulk("1")});
  new_store().Reply("-ERR DUMP payload version\r\n");
  EXPECT_EQ(w.repair->failed(), 1u);
  EXPECT_TRUE(w.IsDirty("k"));
  old_store().Sent(), new_store().Sent();
  w.Advance(40);
  EXPECT_THAT(old_store().Sent(), IsEmpty());
  w.Advance(20);
  Copy("k", "1");
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneRepairTest, I9ACopysPayloadCountsForTheBacklog) {
  Diverge("k");
  w.Advance(2);
  old_store().Replies({Int(-1), Bulk(std::string(1 << 20, 'x'))});
  EXPECT_GE(w.lane->lag_bytes(), size_t{1} << 20);
  new_store().ReplyToAll(kOk);
}

TEST_F(LaneRepairTest, I9RepairKeepsToItsRate) {
  w.config.repair.keys_per_second = 100;
  for (int i = 0; i < 50; ++i) w.dirty.Mark(0, "k" + std::to_string(i), DirtyCause::kMiss, 1);
  w.repair->Wake();
  w.Advance(0);
  EXPECT_EQ(w.repair->in_flight(), 10u);  // a tenth of a second's worth
  w.Advance(100);
  EXPECT_EQ(w.repair->in_flight(), 20u);
  w.repair->set_urgent(true);
  w.Advance(2);
  EXPECT_EQ(w.repair->in_flight(), 50u);
  old_store().ReplyToAll("-ERR x\r\n");
  EXPECT_EQ(w.repair->failed(), 50u);
}

TEST_F(LaneRepairTest, RepairStopsWhileThePrimaryIsDistrusted) {
  w.migration.distrust = "came back empty";
  Diverge("k");
  w.Advance(1000);
  EXPECT_THAT(old_store().Sent(), IsEmpty());
  w.migration.distrust.clear();
  w.Advance(2);
  Copy("k", "1");
}

TEST_F(LaneRepairTest, I2ACopyFromADirtyKeyMarksTheDestination) {
  Diverge("src");
  w.Send(1, {"COPY", "src", "dst"});
  w.Send(1, {"RENAME", "src", "moved"});
  w.Send(1, {"SUNIONSTORE", "union", "clean", "moved"});
  w.Send(1, {"COPY", "elsewhere", "fine"});
  old_store().Replies({Int(1), kOk, Int(1), Int(1)});
  new_store().Replies({Int(1), kOk, Int(1), Int(1)});  // the replies show nothing
  EXPECT_TRUE(w.IsDirty("dst") && w.IsDirty("moved") && w.IsDirty("union"));
  EXPECT_FALSE(w.IsDirty("fine"));
  w.Advance(2);
  old_store().ReplyToAll("-ERR x\r\n");
}

TEST_F(LaneRepairTest, I2ContaminationReachesAnotherDatabase) {
  Diverge("k");
  w.Send(1, {"MOVE", "k", "3"});
  old_store().Reply(Int(1));
  new_store().Reply(Int(1));
  EXPECT_TRUE(w.IsDirty("k", 3));
  w.Send(1, {"COPY", "k", "copy", "DB", "2"});
  old_store().Reply(Int(1));
  new_store().Reply(Int(1));
  EXPECT_TRUE(w.IsDirty("copy", 2));
}

TEST_F(LaneRepairTest, I2WhileNotSyncedEveryMultiKeyWriteIsDoubtful) {
  w.migration.synced = Synced::kCopying;
  w.Send(1, {"COPY", "a", "b"});
  w.Send(1, {"SET", "c", "v"});
  old_store().Replies({Int(1), kOk});
  new_store().Replies({Int(1), kOk});
  EXPECT_TRUE(w.IsDirty("b"));
  EXPECT_FALSE(w.IsDirty("c"));
  w.Advance(2);
  old_store().ReplyToAll("-ERR x\r\n");
}

TEST_F(LaneRepairTest, I7ADifferenceOnADirtyKeyIsNoDivergence) {
  w.dirty.Mark(0, "k", DirtyCause::kMiss, 1);
  Diverge("k");
  EXPECT_EQ(w.counters.writes_on_dirty, 1u);
  EXPECT_EQ(w.counters.writes_diverged, 0u);
  EXPECT_TRUE(w.IsDirty("k"));
}

TEST_F(LaneRepairTest, I7AWriteNearItsKeysExpiryIsCopiedAndCountedAsARace) {
  w.Send(1, {"SET", "k", "v", "PX", "100"});
  old_store().Reply(kOk);
  new_store().Reply(kOk);
  w.Advance(100);
  w.Send(1, {"SADD", "k", "m"});
  old_store().Reply(Int(1));
  new_store().Reply("-WRONGTYPE x\r\n");
  EXPECT_EQ(w.counters.writes_diverged, 0u);
  EXPECT_TRUE(w.IsDirty("k"));
  w.dirty.CopyDone({0, "k"}, w.lane->next_order());
  w.Send(1, {"SADD", "k", "n"});
  old_store().Reply(Int(1));
  new_store().Reply(Int(1));  // agrees, and may hide a difference
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_EQ(w.dirty.marked(DirtyCause::kExpiryRace), 1u);
}

TEST_F(LaneRepairTest, I2FlushallOfUnknownOutcomeMakesEverythingDirty) {
  w.Send(1, {"FLUSHALL"});
  old_store().Reply(kOk);
  new_store().Reply("-OOM x\r\n");
  EXPECT_TRUE(w.dirty.everything());
}

}  // namespace
}  // namespace crossfade
