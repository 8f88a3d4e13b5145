// The keys of writes in flight are in the journal from before the primary is asked until both sides are over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/lane_world.h"
#include "tests/routing/memory.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class LaneJournalTest : public LaneWorldTest {
 protected:
  void SetUp() override {
    w.old_store.databases = w.new_store.databases = 16;
    KeyLog::Found found;
    ASSERT_TRUE(journal_.Open("boot", &found).ok());
    w.Start();
    w.lane->set_journal(&journal_);
  }
  std::vector<std::string> InFlight() { return Contents(&journal_); }

  TestMemory memory_;
  KeyLog journal_{&memory_};
};

TEST_F(LaneJournalTest, I2FromBeforeThePrimaryIsAskedUntilTheSecondaryHasAgreed) {
  w.Send(1, {"SET", "k", "v"});
  EXPECT_THAT(InFlight(), ElementsAre("0:k"));
  EXPECT_THAT(old_store().Sent(), ElementsAre("SET k v"));
  old_store().Reply(kOk);
  EXPECT_THAT(InFlight(), ElementsAre("0:k")) << "acknowledged, and not yet on the secondary";
  new_store().Reply(kOk);
  EXPECT_THAT(InFlight(), IsEmpty());
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneJournalTest, WhatThePrimaryRefusedIsOver) {
  w.Send(1, {"LPUSH", "k", "v"});
  old_store().Reply("-WRONGTYPE no\r\n");
  EXPECT_THAT(InFlight(), IsEmpty());
}

TEST_F(LaneJournalTest, WhatBecameDirtyLeavesTheJournalAfterwards) {
  new_store().Close();
  w.Send(1, {"SET", "k", "v"});
  EXPECT_THAT(InFlight(), ElementsAre("0:k"));
  old_store().Reply(kOk);
  EXPECT_THAT(InFlight(), IsEmpty());
  EXPECT_TRUE(w.IsDirty("k"));
}

TEST_F(LaneJournalTest, AllKeysOfAWriteInTheirDatabases) {
  w.Send(1, {"SELECT", "2"});
  w.Send(1, {"MSET", "a", "1", "b", "2"});
  w.Send(1, {"COPY", "a", "c", "DB", "5"});
  w.Send(1, {"MOVE", "b", "6"});
  EXPECT_THAT(InFlight(), ElementsAre("2:a 2:b", "2:a 2:c 5:c", "2:b 6:b"));
  EXPECT_EQ(journal_.unlogged(), 0u);
  w.lane->Abandon(absl::AbortedError("enough"));
}

TEST_F(LaneJournalTest, ATransactionsWritesAreOneRecord) {
  w.Send(1, {"MULTI"});
  w.Send(1, {"SET", "a", "1"});
  w.Send(1, {"GET", "r"});
  w.Send(1, {"INCR", "b"});
  EXPECT_THAT(InFlight(), IsEmpty());
  w.Send(1, {"EXEC"});
  EXPECT_THAT(InFlight(), ElementsAre("0:a 0:b"));
  w.lane->Abandon(absl::AbortedError("enough"));
}

TEST_F(LaneJournalTest, AWriteWhoseKeysNobodyKnowsIsCounted) {
  w.Send(1, {"FLUSHALL"});
  EXPECT_EQ(journal_.unlogged(), 1u);
  old_store().Reply(kOk);
  new_store().Reply(kOk);
  EXPECT_EQ(journal_.unlogged(), 0u);
}

TEST_F(LaneJournalTest, ReadsAndMessagesAreNotJournalled) {
  w.Send(1, {"GET", "k"});
  w.Send(1, {"PUBLISH", "c", "m"});
  w.Send(1, {"MULTI"});
  w.Send(1, {"GET", "r"});
  w.Send(1, {"EXEC"});
  EXPECT_THAT(InFlight(), IsEmpty());
  EXPECT_EQ(journal_.unlogged(), 0u);
  w.lane->Abandon(absl::AbortedError("enough"));
}

TEST_F(LaneJournalTest, ATransactionElsewhere) {
  Lane::Elsewhere transaction;
  transaction.to = {1, 77};
  QueuedCommand& command = transaction.commands.emplace_back();
  command.request = MakeRequest({"SET", "k", "v"});
  command.row = FindCommand(command.request.view());
  w.lane->BeginElsewhere(&transaction, [](bool) {});
  EXPECT_THAT(InFlight(), ElementsAre("0:k"));
  old_store().Reply("+PONG\r\n");
  w.lane->EndElsewhere(&transaction, std::vector<std::string>{kOk, kQueued, Array({kOk})});
  EXPECT_THAT(InFlight(), ElementsAre("0:k"));
  new_store().Reply(kOk);
  EXPECT_THAT(InFlight(), IsEmpty());
}

TEST_F(LaneJournalTest, ATransactionElsewhereThatIsCancelled) {
  Lane::Elsewhere transaction;
  QueuedCommand& command = transaction.commands.emplace_back();
  command.request = MakeRequest({"SET", "k", "v"});
  command.row = FindCommand(command.request.view());
  w.lane->BeginElsewhere(&transaction, [](bool) {});
  old_store().Reply("+PONG\r\n");
  w.lane->CancelElsewhere(&transaction);
  EXPECT_THAT(InFlight(), IsEmpty());
}

TEST_F(LaneJournalTest, APrimaryThatBreaksLeavesDirtyKeys) {
  w.Send(1, {"SET", "k", "v"});
  old_store().Close();
  EXPECT_THAT(InFlight(), IsEmpty());
  EXPECT_TRUE(w.IsDirty("k"));
}

}  // namespace
}  // namespace crossfade
