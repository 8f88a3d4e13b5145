#include "proxy/flip_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <optional>

#include "proxy/disk.h"
#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FlipRunnerTest : public testing::Test {
 protected:
  FlipRunnerTest() {
    char name[] = "/tmp/crossfade_flip_test_XXXXXX";
    directory_ = mkdtemp(name);
    file_ = *StateFile::Open(&disk_, directory_);
    keeper_ = std::make_unique<Keeper>(&w.io, w.config, file_.get(), &w.dirty, &w.counters);
    EXPECT_TRUE(keeper_->Load({}).ok());
    w.on_link_up = [this](Side side) { keeper_->OnSeen(side, w.lane->link(side).info(), w.lane->next_order()); };
    w.Start(&keeper_->migration());
    flip_ = std::make_unique<FlipRunner>(&w.io, w.lane.get(), &w.dirty, keeper_.get(), w.repair.get(),
                                         [this](bool holding) { holds_.push_back(holding); });
    w.on_drained = [this] {
      if (flip_->state() == FlipRunner::State::kDraining) flip_->Check();
    };
    EXPECT_EQ(keeper_->migration().synced, Synced::kYes);
  }
  ~FlipRunnerTest() override { std::filesystem::remove_all(directory_); }
  // Whatever came of it: the lane is empty, and clients are held no more.
  void TearDown() override {
    w.ExpectQuiet();
    EXPECT_EQ(flip_->state(), FlipRunner::State::kFollowing);
    EXPECT_TRUE(holds_.empty() || !holds_.back());
  }

  void Flip(FlipRequest request) {
    flip_->Start(request, [this](const FlipResult& result) {
      EXPECT_FALSE(result_.has_value());
      result_ = result;
    });
    w.Settle();
  }
  Side primary() const { return keeper_->migration().primary(); }

  LaneWorld w;
  Disk disk_;
  std::string directory_;
  std::unique_ptr<StateFile> file_;
  std::unique_ptr<Keeper> keeper_;
  std::unique_ptr<FlipRunner> flip_;
  std::vector<bool> holds_;
  std::optional<FlipResult> result_;
};

TEST_F(FlipRunnerTest, I5AnIdleLaneFlipsAtOnceAndBack) {
  Flip({});
  w.Settle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_TRUE(result_->flipped) << result_->reason;
  EXPECT_EQ(result_->reason, "");
  EXPECT_EQ(primary(), Side::kNew);
  EXPECT_EQ(keeper_->migration().epoch, 2u);
  EXPECT_THAT(holds_, ElementsAre(true, false));
  EXPECT_EQ((*file_->Load())->migration.primary(), Side::kNew);
  result_.reset();
  w.Send(1, {"SET", "k", "v"});
  EXPECT_THAT(w.new_store.Sent(), ElementsAre("SET k v"));
  w.new_store.Reply(kOk);
  EXPECT_THAT(w.old_store.Sent(), ElementsAre("SET k v"));
  w.old_store.Reply(kOk);
  Flip({.to = Side::kOld});
  EXPECT_TRUE(result_->flipped);
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(FlipRunnerTest, I5WaitsUntilEverySlotIsDrained) {
  w.Send(1, {"SET", "k", "v"});
  Flip({});
  EXPECT_EQ(flip_->state(), FlipRunner::State::kDraining);
  EXPECT_STREQ(flip_->StateWord(), "draining");
  EXPECT_THAT(holds_, ElementsAre(true));
  w.old_store.Reply(kOk);
  w.Advance(100);
  EXPECT_FALSE(result_.has_value());
  w.new_store.Reply(kOk);  // the lane says that it is empty: no timer needed
  w.Settle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_TRUE(result_->flipped);
  EXPECT_GE(result_->pause_ms, 100);
  EXPECT_LT(result_->pause_ms, 102);
  EXPECT_EQ(keeper_->migration().flips.back().pause_ms, result_->pause_ms);
}

TEST_F(FlipRunnerTest, I5WaitsUntilNoKeyIsDirty) {
  w.dirty.Mark(0, "k", DirtyCause::kMiss, 1);
  Flip({});
  EXPECT_EQ(flip_->state(), FlipRunner::State::kArming);
  EXPECT_THAT(holds_, IsEmpty());
  w.repair->Wake();
  w.Advance(2);
  w.old_store.Replies({Int(-1), Bulk("v")});
  w.new_store.Reply(kOk);
  w.Advance(2);
  EXPECT_TRUE(result_->flipped);
}

TEST_F(FlipRunnerTest, I5ADivergenceWhileDrainingIsRepairedBeforeTheSwap) {
  w.Send(1, {"INCR", "n"});
  Flip({});
  w.old_store.Reply(Int(1));
  w.new_store.Reply(Int(2));
  EXPECT_FALSE(result_.has_value());
  w.Advance(4);
  w.old_store.Replies({Int(-1), Bulk("1")});
  w.new_store.Reply(kOk);
  w.Advance(2);
  w.Settle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_TRUE(result_->flipped);
}

TEST_F(FlipRunnerTest, I5ThePauseEndsAtItsDeadline) {
  w.Send(1, {"SET", "k", "v"});
  w.old_store.Reply(kOk);
  Flip({.max_pause_ms = 50});
  w.Advance(49);
  EXPECT_FALSE(result_.has_value());
  w.Advance(2);
  w.Settle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_FALSE(result_->flipped);
  EXPECT_THAT(result_->reason, HasSubstr("not drained within 50 ms: 1 commands were still in flight, 1 of them"));
  EXPECT_EQ(primary(), Side::kOld);
  EXPECT_THAT(holds_, ElementsAre(true, false));
  w.new_store.Reply(kOk);
  w.Advance(1000);
  EXPECT_EQ(primary(), Side::kOld);
}

TEST_F(FlipRunnerTest, ArmingEndsAfterFiveSeconds) {
  w.config.repair.enabled = false;
  w.dirty.Mark(0, "k", DirtyCause::kMiss, 1);
  Flip({});
  w.Advance(5002);
  w.Settle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_EQ(result_->reason, "1 keys are dirty");
  EXPECT_THAT(holds_, IsEmpty());  // nobody was held for it
}

TEST_F(FlipRunnerTest, ADryRunDoesAllButTheSwap) {
  w.Send(1, {"SET", "k", "v"});
  Flip({.dry_run = true});
  EXPECT_THAT(holds_, ElementsAre(true));
  w.old_store.Reply(kOk);
  w.new_store.Reply(kOk);
  w.Settle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_FALSE(result_->flipped);
  EXPECT_TRUE(result_->would_flip);
  EXPECT_EQ(primary(), Side::kOld);
  EXPECT_EQ(keeper_->migration().epoch, 1u);
}

TEST_F(FlipRunnerTest, ADryRunUnderForceDropsNothing) {
  w.Send(1, {"SET", "k", "v"});
  Flip({.max_pause_ms = 10, .dry_run = true, .force = true});
  w.Advance(20);
  w.Settle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_TRUE(result_->would_flip);
  EXPECT_THAT(result_->reason, HasSubstr("1 slots and 0 dirty keys were not on new"));
  w.old_store.Reply(kOk);
  w.new_store.Reply(kOk);
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(FlipRunnerTest, RefusedReasons) {
  Flip({.to = Side::kOld});
  EXPECT_EQ(result_->reason, "old is the primary already");
  result_.reset();
  keeper_->SweepStarted();
  Flip({});
  EXPECT_THAT(result_->reason, HasSubstr("not synced (copying)"));
  result_.reset();
  Flip({.dry_run = true, .cold = true});
  EXPECT_TRUE(result_->would_flip);
  keeper_->SweepEnded(true, "");
  result_.reset();
  RoutingChange journal;
  journal.secondary = SecondaryMode::kJournal;
  EXPECT_TRUE(keeper_->Change(journal, w.lane->next_order()).ok());
  Flip({});
  EXPECT_THAT(result_->reason, HasSubstr("the secondary does not follow"));
}

TEST_F(FlipRunnerTest, RefusedWhileAStoreIsAway) {
  w.new_store.Close();
  Flip({.force = true});
  EXPECT_THAT(result_->reason, HasSubstr("new is unreachable"));
  result_.reset();
  w.new_store.role = "slave";
  w.new_store.Connect();
  Flip({});
  EXPECT_THAT(result_->reason, HasSubstr("replica"));
  result_.reset();
  w.old_store.Close();
  Flip({});
  EXPECT_THAT(result_->reason, HasSubstr("the primary (old) is unreachable"));
  EXPECT_THAT(holds_, IsEmpty());
}

TEST_F(FlipRunnerTest, I5AStoreThatGoesWhileDrainingEndsIt) {
  w.Send(1, {"SET", "k", "v"});
  Flip({});
  w.new_store.Close();
  w.Advance(2);
  w.Settle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_FALSE(result_->flipped);
  EXPECT_THAT(holds_, ElementsAre(true, false));
  w.old_store.Reply(kOk);
}

TEST_F(FlipRunnerTest, OneAtATime) {
  w.Send(1, {"SET", "k", "v"});
  Flip({});
  std::string reason;
  flip_->Start({}, [&](const FlipResult& result) { reason = result.reason; });
  EXPECT_EQ(reason, "another flip is under way");
  w.old_store.Reply(kOk);
  w.new_store.Reply(kOk);
  w.Settle();
  EXPECT_TRUE(result_->flipped);
}

// Found by the simulator: a flip to a store that had just died.
TEST_F(FlipRunnerTest, I5AStoreThatDoesNotAnswerIsNotFlippedTo) {
  w.new_store.answers_time = false;
  Flip({.max_pause_ms = 50});
  EXPECT_EQ(flip_->state(), FlipRunner::State::kDraining);
  w.Advance(40);
  EXPECT_FALSE(result_.has_value());
  w.new_store.Close();
  w.Advance(20);
  ASSERT_TRUE(result_.has_value());
  EXPECT_FALSE(result_->flipped);
  EXPECT_EQ(primary(), Side::kOld);
}

TEST_F(FlipRunnerTest, I5AStoreThatRefusesWritesIsNotFlippedTo) {
  w.new_store.fence_reply = "-READONLY You can't write against a read only replica.\r\n";
  Flip({.max_pause_ms = 50});
  w.Advance(60);
  ASSERT_TRUE(result_.has_value());
  EXPECT_FALSE(result_->flipped);
  EXPECT_THAT(result_->reason, HasSubstr("new refuses writes: READONLY"));
}

TEST_F(FlipRunnerTest, WhoCouldNotFollowAfterwardsIsNotFlippedAwayFrom) {
  w.old_store.fence_reply = "-MISCONF Errors writing to the AOF file\r\n";
  Flip({.max_pause_ms = 50});
  w.Advance(60);
  ASSERT_TRUE(result_.has_value());
  EXPECT_FALSE(result_->flipped);
  EXPECT_THAT(result_->reason, HasSubstr("old refuses writes (MISCONF)"));
  result_.reset();
  Flip({.force = true});
  w.Advance(10);
  ASSERT_TRUE(result_.has_value());
  EXPECT_TRUE(result_->flipped) << result_->reason;
}

TEST_F(FlipRunnerTest, ALookAsksBothStoresAndHoldsNothing) {
  std::string standing = "not answered";
  const auto look = [&] {
    flip_->Look(Side::kNew, [&](const std::vector<FlipCheck>& checks) {
      standing.clear();
      for (const FlipCheck& check : checks) {
        if (!check.ok) standing += std::string(check.name) + " ";
      }
    });
  };
  look();
  w.Settle();
  EXPECT_EQ(standing, "");
  w.new_store.fence_reply = "-NOREPLICAS Not enough good replicas to write.\r\n";
  look();
  w.Settle();
  EXPECT_EQ(standing, "target_writable ");
  w.new_store.answers_time = false;
  standing = "not answered";
  look();
  w.Advance(900);
  EXPECT_EQ(standing, "not answered");
  w.Advance(200);
  EXPECT_EQ(standing, "answers ");
  EXPECT_THAT(holds_, IsEmpty());
  EXPECT_EQ(primary(), Side::kOld);
  w.new_store.Close();
  w.Settle();
}

TEST_F(FlipRunnerTest, I8AFlipThatCanNotBeSavedHasNotHappened) {
  std::filesystem::create_directory(directory_ + "/state.json.new");  // where the file is written first
  Flip({});
  w.Settle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_FALSE(result_->flipped);
  EXPECT_THAT(result_->reason, HasSubstr("could not be saved"));
  EXPECT_EQ(primary(), Side::kOld);
  EXPECT_EQ(keeper_->migration().epoch, 1u);
  EXPECT_THAT(holds_, ElementsAre(true, false));
}

// --- Force -----------------------------------------------------------------------------------------------------------

TEST_F(FlipRunnerTest, ForceWithThePrimaryGonePromotesTheSecondary) {
  w.config.repair.enabled = false;
  w.Send(1, {"SET", "lost", "v"});
  const ReplyTo read = w.Send(2, {"GET", "x"});
  w.old_store.Close();
  EXPECT_THAT(w.broken, ElementsAre(1u));
  Flip({.max_pause_ms = 50, .force = true});
  EXPECT_THAT(holds_, ElementsAre(true));
  w.Advance(60);
  w.Settle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_TRUE(result_->flipped) << result_->reason;
  EXPECT_THAT(result_->reason, HasSubstr("1 dirty keys were not on new"));
  EXPECT_NE(w.Got(read), "");
  EXPECT_EQ(primary(), Side::kNew);
  EXPECT_TRUE(keeper_->migration().flips.back().forced);
  EXPECT_TRUE(w.dirty.everything());  // on the store that is the secondary now
  EXPECT_EQ(keeper_->migration().synced, Synced::kNo);
  // The new primary was well all the time: whoever was held goes on without an error.
  EXPECT_FALSE(w.new_store.hung_up());
  const ReplyTo next = w.Send(3, {"SET", "k", "v"});
  EXPECT_THAT(w.new_store.Sent(), ElementsAre("SET k v"));
  w.new_store.Reply(kOk);
  EXPECT_EQ(w.Got(next), kOk);
}

TEST_F(FlipRunnerTest, ForceEndsWhatIsInFlight) {
  w.config.repair.enabled = false;
  w.Send(1, {"SET", "a", "v"});
  w.old_store.Reply(kOk);        // a is not on the secondary
  w.Send(2, {"SET", "b", "v"});  // b is unanswered on both
  const ReplyTo read = w.Send(3, {"GET", "c"});
  Flip({.max_pause_ms = 20, .force = true});
  w.Advance(30);
  w.Settle();
  ASSERT_TRUE(result_.has_value());
  EXPECT_TRUE(result_->flipped) << result_->reason;
  EXPECT_TRUE(w.lane->drained());
  EXPECT_THAT(w.broken, ElementsAre(2u));
  EXPECT_NE(w.Got(read), "");
  EXPECT_TRUE(w.dirty.everything());
  EXPECT_THAT(holds_, ElementsAre(true, false));
}

TEST_F(FlipRunnerTest, ForceOnStoresInAgreementLosesNothing) {
  Flip({.force = true});
  EXPECT_TRUE(result_->flipped);
  EXPECT_EQ(result_->reason, "");
  EXPECT_TRUE(w.dirty.clean());
  EXPECT_EQ(keeper_->migration().synced, Synced::kYes);
}

TEST_F(FlipRunnerTest, ForceAgainstADistrustedPrimary) {
  keeper_->mutable_migration_for_lane()->distrust = "came back empty";
  Flip({});
  EXPECT_EQ(result_->reason, "came back empty");
  result_.reset();
  Flip({.force = true});
  EXPECT_TRUE(result_->flipped);
  EXPECT_THAT(result_->reason, HasSubstr("not trusted"));
  EXPECT_TRUE(keeper_->migration().distrust.empty());
  EXPECT_TRUE(w.dirty.everything());
  EXPECT_TRUE(keeper_->migration().flips.back().forced);
}

}  // namespace
}  // namespace crossfade
