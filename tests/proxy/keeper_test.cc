#include "proxy/keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "proxy/disk.h"
#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::HasSubstr;

ServerInfo Server(std::string run_id, int64_t keys = 0) {
  ServerInfo info;
  info.product = "redis";
  info.run_id = std::move(run_id);
  info.keys = keys;
  return info;
}

class KeeperTest : public testing::Test {
 protected:
  KeeperTest() {
    char name[] = "/tmp/crossfade_keeper_test_XXXXXX";
    directory_ = mkdtemp(name);
    EXPECT_TRUE(Restart().ok());
  }
  ~KeeperTest() override { std::filesystem::remove_all(directory_); }

  // The proxy dies, and starts again with the same directory.
  absl::Status Restart(const Journal::Left& left = {}) {
    keeper_.reset();
    file_.reset();
    file_ = *StateFile::Open(&disk_, directory_);
    dirty_ = std::make_unique<DirtySet>(100);
    counters_ = Counters();
    keeper_ = std::make_unique<Keeper>(&io_, config_, file_.get(), dirty_.get(), &counters_);
    return keeper_->Load(left);
  }
  void SeeBoth(int64_t old_keys = 0, int64_t new_keys = 0) {
    keeper_->OnSeen(Side::kOld, Server("o", old_keys), 1);
    keeper_->OnSeen(Side::kNew, Server("n", new_keys), 1);
  }
  const Migration& migration() const { return keeper_->migration(); }
  absl::Status ReadsNew(double percent) {
    RoutingChange change;
    change.reads_new = percent;
    return keeper_->Change(change, 5);
  }
  std::string StatePath() const { return directory_ + "/state.json"; }
  void BreakDisk() { std::filesystem::create_directory(StatePath() + ".new"); }
  void MendDisk() { std::filesystem::remove(StatePath() + ".new"); }

  FakeIo io_;
  Disk disk_;
  Config config_ = TestConfig();
  std::string directory_;
  std::unique_ptr<StateFile> file_;
  std::unique_ptr<DirtySet> dirty_;
  Counters counters_;
  std::unique_ptr<Keeper> keeper_;
};

// --- First sight -----------------------------------------------------------------------------------------------------

TEST_F(KeeperTest, TwoEmptyStoresAreSynced) {
  keeper_->OnSeen(Side::kNew, Server("n"), 1);
  EXPECT_EQ(migration().synced, Synced::kNo);
  keeper_->OnSeen(Side::kOld, Server("o"), 1);
  EXPECT_EQ(migration().synced, Synced::kYes);
  EXPECT_TRUE(dirty_->clean());
}

TEST_F(KeeperTest, StoresThatHoldSomethingAreNot) {
  SeeBoth(3, 0);
  EXPECT_EQ(migration().synced, Synced::kNo);
  EXPECT_THAT(migration().unsynced_why, HasSubstr("old held 3 keys and new 0"));
}

TEST_F(KeeperTest, FirstSightIsTheFirst) {
  keeper_->OnSeen(Side::kNew, Server("n", 4), 1);
  keeper_->OnSeen(Side::kNew, Server("n", 0), 1);  // flushed meanwhile, maybe not by us
  keeper_->OnSeen(Side::kOld, Server("o", 0), 1);
  EXPECT_EQ(migration().synced, Synced::kNo);
}

TEST_F(KeeperTest, ARestartIsNoFirstSight) {
  SeeBoth(3, 0);
  ASSERT_TRUE(Restart().ok());
  SeeBoth(0, 0);
  EXPECT_EQ(migration().synced, Synced::kNo);
}

// --- Stores that lost their memory -----------------------------------------------------------------------------------

TEST_F(KeeperTest, I2ASecondaryThatIsAnotherProcessIsCopiedAnew) {
  SeeBoth();
  keeper_->OnSeen(Side::kNew, Server("n"), 7);
  EXPECT_TRUE(dirty_->clean());  // the same one, reconnected
  keeper_->OnSeen(Side::kNew, Server("n2"), 8);
  EXPECT_TRUE(dirty_->everything());
  EXPECT_EQ(migration().synced, Synced::kNo);
  EXPECT_EQ(migration().distrust, "");
}

TEST_F(KeeperTest, APrimaryThatIsAnotherProcessIsNotBelieved) {
  SeeBoth();
  keeper_->OnSeen(Side::kOld, Server("o2", 0), 8);
  EXPECT_THAT(migration().distrust, HasSubstr("crossfade resync"));
  EXPECT_THAT(migration().distrust, HasSubstr("crossfade flip new --force"));
  EXPECT_EQ(migration().synced, Synced::kNo);
  EXPECT_TRUE(dirty_->clean());  // nothing is copied from it
  // Also over a restart of the proxy, and whichever side it is (I6).
  ASSERT_TRUE(Restart().ok());
  keeper_->OnSeen(Side::kOld, Server("o2"), 1);
  EXPECT_NE(migration().distrust, "");
}

TEST_F(KeeperTest, ResyncBelievesThePrimary) {
  SeeBoth();
  EXPECT_EQ(keeper_->Resync(3).code(), absl::StatusCode::kFailedPrecondition);
  keeper_->OnSeen(Side::kOld, Server("o2"), 8);
  BreakDisk();
  EXPECT_EQ(keeper_->Resync(9).code(), absl::StatusCode::kInternal);
  EXPECT_NE(migration().distrust, "");
  EXPECT_FALSE(dirty_->everything());
  MendDisk();
  EXPECT_TRUE(keeper_->Resync(9).ok());
  EXPECT_EQ(migration().distrust, "");
  EXPECT_TRUE(dirty_->everything());
  EXPECT_FALSE(dirty_->SweepDone(8));  // only a sweep that begins now
}

TEST_F(KeeperTest, I8ACrashOfProxyAndPrimaryLeavesTheLastGoodCopyAlone) {
  SeeBoth();
  ASSERT_TRUE(Restart().ok());
  keeper_->OnSeen(Side::kOld, Server("o2", 0), 1);  // a primary that came back empty
  EXPECT_NE(migration().distrust, "");
}

TEST_F(KeeperTest, ASweepEndedByDistrustDoesNotSayThatTheStoresAgree) {
  SeeBoth();
  keeper_->SweepStarted();
  keeper_->OnSeen(Side::kOld, Server("o2"), 8);
  keeper_->SweepEnded(false, migration().distrust);
  EXPECT_EQ(migration().synced, Synced::kNo);
}

// --- Sweeps and overflow ---------------------------------------------------------------------------------------------

TEST_F(KeeperTest, AVerificationThatFoundAllEqualMakesItSynced) {
  SeeBoth(5, 5);
  EXPECT_EQ(migration().synced, Synced::kNo);
  keeper_->Verified(false);
  EXPECT_EQ(migration().synced, Synced::kNo);
  dirty_->MarkEverything(3);
  keeper_->Verified(true);
  EXPECT_EQ(migration().synced, Synced::kNo);
  EXPECT_TRUE(dirty_->SweepDone(4));
  keeper_->Verified(true);
  EXPECT_EQ(migration().synced, Synced::kYes);
  EXPECT_EQ(migration().unsynced_why, "");
  ASSERT_TRUE(Restart().ok());
  EXPECT_EQ(migration().synced, Synced::kYes);
}

TEST_F(KeeperTest, AFinishedSweepMakesItSynced) {
  SeeBoth(3, 0);
  keeper_->SweepStarted();
  EXPECT_EQ(migration().synced, Synced::kCopying);
  keeper_->SweepEnded(false, "cancelled");
  EXPECT_EQ(migration().synced, Synced::kNo);
  EXPECT_EQ(migration().unsynced_why, "cancelled");
  keeper_->SweepStarted();
  keeper_->SweepEnded(true, "");
  EXPECT_EQ(migration().synced, Synced::kYes);
  keeper_->SweepStarted();
  keeper_->SweepEnded(false, "cancelled");  // it agreed before, and still does
  EXPECT_EQ(migration().synced, Synced::kYes);
}

TEST_F(KeeperTest, I2AnOverflowUnsyncsAndDuringASweepSpoilsIt) {
  SeeBoth();
  keeper_->NoticeOverflow();
  EXPECT_EQ(migration().synced, Synced::kYes);
  dirty_->MarkEverything(4);
  keeper_->NoticeOverflow();
  EXPECT_EQ(migration().synced, Synced::kNo);
  EXPECT_FALSE((*file_->Load())->migration.synced == Synced::kYes);
  keeper_->SweepStarted();
  keeper_->SweepEnded(true, "");
  EXPECT_EQ(migration().synced, Synced::kNo);
}

// --- Changes ---------------------------------------------------------------------------------------------------------

TEST_F(KeeperTest, ReadsAreNotShiftedWhileNotSynced) {
  SeeBoth(3, 0);
  const absl::Status refused = ReadsNew(10);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("not synced"));
  EXPECT_EQ(migration().routing.reads_new, 0);
  RoutingChange cold;
  cold.cold = true;
  cold.reads_new = 10;
  EXPECT_TRUE(keeper_->Change(cold, 5).ok());
  EXPECT_EQ(migration().routing.reads_new, 10);
  cold.cold = false;
  cold.reads_new = 5;
  EXPECT_TRUE(keeper_->Change(cold, 5).ok());  // fewer need nobody's leave
  EXPECT_FALSE(ReadsNew(6).ok());
  RoutingChange miss;
  miss.on_miss = OnMiss::kPrimary;
  miss.reads_new = 50;
  EXPECT_TRUE(keeper_->Change(miss, 5).ok());
}

TEST_F(KeeperTest, I6WithTheRolesSwappedFewerReadsOnNewAreMoreOnTheSecondary) {
  SeeBoth();
  ASSERT_TRUE(ReadsNew(50).ok());
  ASSERT_TRUE(keeper_->Flip(Side::kNew, 1, false, 5).ok());
  dirty_->MarkEverything(6);
  keeper_->NoticeOverflow();
  EXPECT_FALSE(ReadsNew(40).ok());
  EXPECT_TRUE(ReadsNew(60).ok());
}

TEST_F(KeeperTest, TurningTheSecondaryOffUnsyncs) {
  SeeBoth();
  RoutingChange off;
  off.secondary = SecondaryMode::kOff;
  ASSERT_TRUE(keeper_->Change(off, 5).ok());
  EXPECT_EQ(migration().synced, Synced::kNo);
  EXPECT_TRUE(dirty_->everything());
}

TEST_F(KeeperTest, ReplicationBeginsAndEndsByItsOwnSteps) {
  SeeBoth();
  RoutingChange change;
  change.secondary = SecondaryMode::kReplica;
  EXPECT_EQ(keeper_->Change(change, 5).code(), absl::StatusCode::kFailedPrecondition);
  dirty_->Mark(0, "k", DirtyCause::kMiss, 1);
  BreakDisk();
  EXPECT_EQ(keeper_->BeginReplication().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(migration().following());
  MendDisk();
  // Refused by the secondary: all is as it was, the dirty keys included.
  ASSERT_TRUE(keeper_->BeginReplication().ok());
  EXPECT_EQ(migration().synced, Synced::kCopying);
  keeper_->ReplicationRefused();
  EXPECT_TRUE(migration().following());
  EXPECT_EQ(migration().synced, Synced::kYes);
  EXPECT_EQ(dirty_->size(), 1u);
  // Begun: the secondary has lost what it held, and with that what was wrong with it.
  ASSERT_TRUE(keeper_->BeginReplication().ok());
  keeper_->ReplicationBegun();
  EXPECT_TRUE(dirty_->clean());
  change.secondary = SecondaryMode::kFollow;
  EXPECT_EQ(keeper_->Change(change, 5).code(), absl::StatusCode::kFailedPrecondition);
  keeper_->NoteReplication(Synced::kYes, "");
  dirty_->Mark(0, "inexact", DirtyCause::kEffectUnknown, 6);
  keeper_->EndReplication(SecondaryMode::kFollow, true, "", 7);
  EXPECT_TRUE(migration().following());
  EXPECT_EQ(migration().synced, Synced::kYes);
  EXPECT_EQ(dirty_->size(), 1u);
}

TEST_F(KeeperTest, I2AReplicaThatWasNotInStepIsCopiedAnew) {
  SeeBoth();
  ASSERT_TRUE(keeper_->BeginReplication().ok());
  keeper_->ReplicationBegun();
  keeper_->EndReplication(SecondaryMode::kFollow, false, "promoted too early", 7);
  EXPECT_TRUE(dirty_->everything());
  EXPECT_EQ(migration().synced, Synced::kNo);
  EXPECT_EQ(migration().unsynced_why, "promoted too early");
}

TEST_F(KeeperTest, I8WhatCanNotBeSavedDoesNotHappen) {
  SeeBoth();
  BreakDisk();
  EXPECT_EQ(ReadsNew(10).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(migration().routing.reads_new, 0);
  RoutingChange off;
  off.secondary = SecondaryMode::kOff;
  EXPECT_EQ(keeper_->Change(off, 5).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(migration().synced, Synced::kYes);
  EXPECT_TRUE(dirty_->clean());
  EXPECT_EQ(keeper_->Flip(Side::kNew, 1, true, 5).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(migration().primary(), Side::kOld);
  EXPECT_EQ(migration().epoch, 1u);
  EXPECT_TRUE(migration().flips.empty());
  MendDisk();
  EXPECT_TRUE(ReadsNew(10).ok());
}

TEST_F(KeeperTest, AForcedFlipOfUnequalStoresCopiesEverythingBack) {
  SeeBoth();
  dirty_->Mark(0, "k", DirtyCause::kMiss, 3);
  ASSERT_TRUE(keeper_->Flip(Side::kNew, 1, true, 5).ok());
  EXPECT_TRUE(dirty_->everything());
  EXPECT_EQ(migration().synced, Synced::kNo);
  EXPECT_EQ(migration().epoch, 2u);
}

// --- Restarts --------------------------------------------------------------------------------------------------------

TEST_F(KeeperTest, I8RolesAndKnobsSurviveAndACleanEndIsBelieved) {
  SeeBoth();
  ASSERT_TRUE(ReadsNew(12.5).ok());
  ASSERT_TRUE(keeper_->Flip(Side::kNew, 2.5, false, 5).ok());
  ASSERT_TRUE(keeper_->Save().ok());
  ASSERT_TRUE(Restart().ok());
  EXPECT_EQ(migration().primary(), Side::kNew);
  EXPECT_EQ(migration().epoch, 2u);
  EXPECT_EQ(migration().routing.reads_new, 12.5);
  ASSERT_EQ(migration().flips.size(), 1u);
  EXPECT_EQ(migration().flips[0].pause_ms, 2.5);
  EXPECT_EQ(migration().synced, Synced::kYes);
  EXPECT_TRUE(dirty_->clean());
  SeeBoth(9, 9);
  EXPECT_EQ(migration().synced, Synced::kYes);
}

TEST_F(KeeperTest, I8AJournalThatCanNotBeReliedOnMakesEverythingDirty) {
  SeeBoth();
  ASSERT_TRUE(Restart({.useless = "it is cut off"}).ok());
  EXPECT_TRUE(dirty_->everything());
  EXPECT_EQ(migration().synced, Synced::kNo);
  EXPECT_THAT(migration().unsynced_why, testing::AllOf(HasSubstr("it is cut off"), HasSubstr("verification")));
  SeeBoth();
  EXPECT_EQ(migration().synced, Synced::kNo);
}

TEST_F(KeeperTest, I8AJournalThatIsMissingIsNone) {
  SeeBoth();
  ASSERT_TRUE(Restart({.fresh = true}).ok());
  EXPECT_TRUE(dirty_->everything());
}

TEST_F(KeeperTest, BeforeTheFirstCopyNothingIsClaimedThatAJournalCouldSpoil) {
  SeeBoth(3, 0);
  ASSERT_TRUE(Restart({.useless = "it is cut off"}).ok());
  EXPECT_FALSE(dirty_->everything()) << "nobody has asked for a copy";
  EXPECT_EQ(migration().synced, Synced::kNo);
}

TEST_F(KeeperTest, OnAFullDiskItGoesOnWithWhatWasSaved) {
  SeeBoth();
  ASSERT_TRUE(ReadsNew(50).ok());
  BreakDisk();
  ASSERT_TRUE(Restart().ok());
  EXPECT_EQ(migration().routing.reads_new, 50);
  MendDisk();
}

TEST_F(KeeperTest, TheNameOfItsConnectionsIsTheSameAfterEachRestart) {
  const std::string name = keeper_->instance();
  EXPECT_FALSE(keeper_->had_predecessor());
  ASSERT_TRUE(Restart().ok());
  EXPECT_EQ(keeper_->instance(), name);
  EXPECT_TRUE(keeper_->had_predecessor());
}

TEST_F(KeeperTest, I8AStoreThatRestartedMeanwhileIsNoticed) {
  SeeBoth();
  ASSERT_TRUE(keeper_->Save().ok());
  ASSERT_TRUE(Restart().ok());
  keeper_->OnSeen(Side::kNew, Server("n2"), 1);
  EXPECT_TRUE(dirty_->everything());
}

TEST_F(KeeperTest, AFileThatCanNotBeUnderstoodIsNeverOverwritten) {
  for (const char* text : {"", "{", "[]", "{\"format\": 1}", "{\"format\": 99}"}) {
    std::ofstream(StatePath()) << text;
    EXPECT_EQ(Restart().code(), absl::StatusCode::kDataLoss) << text;
    std::stringstream left;
    left << std::ifstream(StatePath()).rdbuf();
    EXPECT_EQ(left.str(), text);
  }
  std::filesystem::remove(StatePath());
  std::filesystem::create_symlink("state.json", StatePath());  // it is there, and can't be opened
  EXPECT_FALSE(Restart().ok());
  EXPECT_TRUE(std::filesystem::is_symlink(StatePath()));
}

TEST_F(KeeperTest, AnotherPairOfStores) {
  SeeBoth();
  ASSERT_TRUE(keeper_->Save().ok());
  config_.backends[1].address.port = 7000;
  ASSERT_TRUE(Restart().ok());  // never flipped: begun anew
  EXPECT_EQ(migration().synced, Synced::kNo);
  SeeBoth();
  ASSERT_TRUE(keeper_->Flip(Side::kNew, 1, false, 5).ok());
  config_.backends[1].address.port = 7001;
  const absl::Status refused = Restart();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("new as primary after 1 flips"));
}

TEST_F(KeeperTest, OneProxyPerDirectory) {
  const auto second = StateFile::Open(&disk_, directory_);
  EXPECT_THAT(second.status().message(), HasSubstr("another crossfade is using"));
  EXPECT_FALSE(StateFile::Open(&disk_, "/proc/nowhere").ok());
}

}  // namespace
}  // namespace crossfade
