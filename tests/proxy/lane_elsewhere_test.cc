// Transactions that run outside of the lane, under a gate; and SWAPDB, whose keys' names change while slots are in
// flight.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ElsewhereTest : public LaneWorldTest {
 protected:
  void SetUp() override {
    w.old_store.databases = w.new_store.databases = 16;
    w.Start();
    transaction_ = std::make_unique<Lane::Elsewhere>();
    transaction_->to = {1, 77};
  }
  void Add(std::initializer_list<std::string_view> args, int db = 0) {
    QueuedCommand& command = transaction_->commands.emplace_back();
    command.request = MakeRequest(args);
    command.row = FindCommand(command.request.view());
    command.db = db;
  }
  void Begin() {
    w.lane->BeginElsewhere(transaction_.get(), [this](bool ready) { started_.push_back(ready); });
  }
  void Ready() {
    old_store().Reply("+PONG\r\n");
    old_store().Sent();
    ASSERT_THAT(started_, ElementsAre(true));
  }
  void End(std::vector<std::string> replies) { w.lane->EndElsewhere(transaction_.get(), replies); }

  std::unique_ptr<Lane::Elsewhere> transaction_;  // owned by the lane's callback too
  std::vector<bool> started_;
};

TEST_F(ElsewhereTest, StartsOnceNothingIsInFlight) {
  w.Send(2, {"SET", "k", "before"});
  Add({"SET", "k", "v"});
  Begin();
  EXPECT_TRUE(w.lane->Gated("k"));
  EXPECT_FALSE(w.lane->Gated("other"));
  EXPECT_THAT(old_store().Sent(), ElementsAre("SET k before", "PING"));
  old_store().Reply(kOk);
  EXPECT_THAT(started_, IsEmpty());
  old_store().Reply("+PONG\r\n");
  EXPECT_THAT(started_, ElementsAre(true));
  EXPECT_EQ(TakeCommands(&transaction_->bytes), (std::vector<std::string>{"MULTI", "SET k v", "EXEC"}));
  EXPECT_EQ(transaction_->replies, 3);
  End({kOk, kQueued, Array({kOk})});
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k before", "SET k v"));
  new_store().Replies({kOk, kOk});
  EXPECT_EQ(w.Got({1, 77}), Array({kOk}));
  EXPECT_TRUE(w.dirty.clean());
}

// It is behind everything that the primary had accepted, and before everything that waited for it.
TEST_F(ElsewhereTest, ItsPlaceInTheOrder) {
  Add({"INCR", "k"});
  Begin();
  Ready();
  w.Send(2, {"SET", "other", "1"});
  old_store().Reply(kOk);
  End({kOk, kQueued, Array({Int(1)})});
  w.Send(2, {"SET", "k", "2"});
  old_store().Reply(kOk);
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET other 1", "INCR k", "SET k 2"));
  new_store().Replies({kOk, Int(1), kOk});
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(ElsewhereTest, TheLaneIsNotDrainedMeanwhile) {
  Add({"SET", "k", "v"});
  Begin();
  Ready();
  EXPECT_EQ(w.lane->slots_in_use(), 0u);
  EXPECT_FALSE(w.lane->drained());  // so no flip happens now
  const int drained = w.drained;
  w.lane->CancelElsewhere(transaction_.get());
  EXPECT_TRUE(w.lane->drained());
  EXPECT_EQ(w.drained, drained + 1);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
}

TEST_F(ElsewhereTest, WhatItMayTouchIsGated) {
  Add({"COPY", "a", "b", "DB", "3"});
  Add({"MOVE", "m", "3"});
  Add({"MSET", "x", "1", "y", "1"});
  Begin();
  for (const char* key : {"a", "b", "m", "x", "y"}) EXPECT_TRUE(w.lane->Gated(key)) << key;
  EXPECT_FALSE(w.lane->Gated("c"));
  Ready();
  w.lane->CancelElsewhere(transaction_.get());
}

TEST_F(ElsewhereTest, KeysThatNobodyCanName) {
  Add({"FLUSHDB"});
  Begin();
  EXPECT_TRUE(w.lane->Gated("anything"));
  Ready();
  w.lane->CancelElsewhere(transaction_.get());
  EXPECT_FALSE(w.lane->Gated("anything"));
}

TEST_F(ElsewhereTest, AnUnknownOutcome) {
  Add({"SET", "k", "v"});
  Add({"GET", "r"});
  Begin();
  Ready();
  w.lane->EndElsewhere(transaction_.get(), absl::UnavailableError("gone"));
  EXPECT_THAT(w.broken, ElementsAre(1));
  EXPECT_EQ(w.Got({1, 77}), "");
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_FALSE(w.IsDirty("r"));
  EXPECT_EQ(w.counters.unknown_outcomes, 1u);
}

TEST_F(ElsewhereTest, RefusedOrBrokenByAChange) {
  Add({"SET", "k", "v"});
  Begin();
  Ready();
  End({kOk, "-ERR no\r\n", "-EXECABORT no\r\n"});
  EXPECT_EQ(w.Got({1, 77}), "-EXECABORT no\r\n");
  EXPECT_TRUE(w.dirty.clean());
  EXPECT_THAT(new_store().Sent(), IsEmpty());
}

TEST_F(ElsewhereTest, TheSecondaryIsAway) {
  new_store().Close();
  Add({"SET", "k", "v"});
  Begin();
  Ready();
  End({kOk, kQueued, Array({kOk})});
  EXPECT_EQ(w.Got({1, 77}), Array({kOk}));
  EXPECT_TRUE(w.IsDirty("k"));
}

TEST_F(ElsewhereTest, ThePrimaryIsLostBeforeItStarts) {
  Add({"SET", "k", "v"});
  Begin();
  old_store().Close();
  EXPECT_THAT(started_, ElementsAre(false));
  w.lane->CancelElsewhere(transaction_.get());
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(ElsewhereTest, ReadsOnly) {
  Add({"GET", "k"});
  Begin();
  Ready();
  End({kOk, kQueued, Array({kNil})});
  EXPECT_EQ(w.Got({1, 77}), Array({kNil}));
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  EXPECT_EQ(w.counters.writes_total, 0u);
}

// --- SWAPDB ----------------------------------------------------------------------------------------------------------

class SwapTest : public LaneWorldTest {
 protected:
  void SetUp() override {
    w.old_store.databases = w.new_store.databases = 16;
    w.Start();
  }
};

TEST_F(SwapTest, DirtyKeysFollowTheSwap) {
  w.dirty.Mark(0, "k", DirtyCause::kReplyDiffered, 1);
  w.Send(1, {"SWAPDB", "0", "1"});
  old_store().Reply(kOk);
  EXPECT_TRUE(w.IsDirty("k", 1) && w.IsDirty("k", 0));
  EXPECT_THAT(new_store().Sent(), ElementsAre("SWAPDB 0 1"));
  new_store().Reply(kOk);
}

TEST_F(SwapTest, ARefusedSwapMovesNothing) {
  w.dirty.Mark(0, "k", DirtyCause::kReplyDiffered, 1);
  w.Send(1, {"SWAPDB", "0", "99"});
  old_store().Reply("-ERR DB index is out of range\r\n");
  EXPECT_FALSE(w.IsDirty("k", 99));
  EXPECT_THAT(new_store().Sent(), IsEmpty());
}

// What was written before the swap, and is found out about after it, may be in either database.
TEST_F(SwapTest, AWriteBeforeItThatDiffers) {
  w.Send(1, {"SET", "k", "v"});
  w.Send(1, {"SWAPDB", "0", "1"});
  w.Send(1, {"SET", "later", "v"});
  old_store().Replies({kOk, kOk, kOk});
  new_store().Replies({"-OOM no\r\n", kOk, "-OOM no\r\n"});
  EXPECT_TRUE(w.IsDirty("k", 0) && w.IsDirty("k", 1));
  EXPECT_TRUE(w.IsDirty("later", 0));
  EXPECT_FALSE(w.IsDirty("later", 1));
}

TEST_F(SwapTest, AWriteBeforeItWhoseConnectionBreaks) {
  w.Send(1, {"SET", "k", "v"});
  w.Send(1, {"SWAPDB", "0", "1"});
  old_store().Replies({kOk, kOk});
  new_store().Close();
  // The swap itself may not have happened: then nothing can be said of any key.
  EXPECT_TRUE(w.IsDirty("k", 0) && w.IsDirty("k", 1));
  EXPECT_TRUE(w.dirty.everything());
}

// The copy's place is before the swap: the key that it made equal is the other database's now.
TEST_F(SwapTest, ACopyBeforeIt) {
  w.dirty.Mark(0, "k", DirtyCause::kReplyDiffered, w.lane->next_order());
  DirtySet::Key key;
  ASSERT_TRUE(w.dirty.TakeForRepair(0, &key));
  w.lane->SubmitCopy(key, [](bool) {});
  w.Send(1, {"SWAPDB", "0", "1"});
  old_store().Replies({Int(-1), Bulk("dump"), kOk});
  new_store().Replies({kOk, kOk});
  EXPECT_TRUE(w.IsDirty("k", 1));  // until a copy behind the swap
}

TEST_F(SwapTest, InATransaction) {
  w.dirty.Mark(0, "k", DirtyCause::kReplyDiffered, 1);
  w.Send(1, {"MULTI"});
  w.Send(1, {"SWAPDB", "0", "1"});
  w.Send(1, {"SET", "a", "v"});
  w.Send(1, {"EXEC"});
  old_store().Replies({kOk, kQueued, kQueued, Array({kOk, kOk})});
  EXPECT_TRUE(w.IsDirty("k", 1));
  EXPECT_THAT(new_store().Sent(), ElementsAre("MULTI", "SWAPDB 0 1", "SET a v", "EXEC"));
  new_store().Replies({kOk, kQueued, kQueued, Array({kOk, kOk})});
  EXPECT_FALSE(w.dirty.everything());
}

// A swap in a block moves what the block's copies are named by.
TEST_F(SwapTest, BesideACopyInATransaction) {
  w.Send(1, {"MULTI"});
  w.Send(1, {"SORT", "l", "STORE", "d"});
  w.Send(1, {"SWAPDB", "0", "1"});
  w.Send(1, {"EXEC"});
  old_store().Replies({kOk, kQueued, kQueued, Array({Int(1), kOk}), Int(-2), kNil, Int(-2), kNil});
  EXPECT_TRUE(w.dirty.everything());
}

}  // namespace
}  // namespace crossfade
