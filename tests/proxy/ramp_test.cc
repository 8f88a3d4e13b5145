#include "proxy/ramp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "proxy/disk.h"
#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr int64_t kEvery = 10'000;

ServerInfo Server(std::string run_id) {
  ServerInfo info;
  info.product = "redis";
  info.run_id = std::move(run_id);
  return info;
}

// A ramp with a real Keeper on a real directory; the stores' figures are the test's.
class RampTest : public testing::Test {
 protected:
  RampTest() {
    char name[] = "/tmp/crossfade_ramp_test_XXXXXX";
    directory_ = mkdtemp(name);
    Restart();
    keeper_->OnSeen(Side::kOld, Server("o"), 1);
    keeper_->OnSeen(Side::kNew, Server("n"), 1);
    reading_.new_reachable = true;
    RoutingChange change;
    change.compare = 10;
    EXPECT_TRUE(keeper_->Change(change, 1).ok());
  }
  ~RampTest() override { std::filesystem::remove_all(directory_); }

  // The proxy dies, and starts again with the same directory.
  void Restart() {
    ramp_.reset();
    keeper_.reset();
    file_.reset();
    file_ = *StateFile::Open(&disk_, directory_);
    dirty_ = std::make_unique<DirtySet>(100);
    keeper_ = std::make_unique<Keeper>(&io_, config_, file_.get(), dirty_.get(), &counters_);
    ASSERT_TRUE(keeper_->Load({}).ok());
    const bool reachable = reading_.new_reachable;
    reading_ = RampReading();
    reading_.new_reachable = reachable;
    ramp_ = std::make_unique<Ramp>(Ramp::Parts{&io_, &disk_, directory_, &limits_, keeper_.get(),
                                               [this] { return reading_; }, [] { return uint64_t{1}; },
                                               [this] { return busy_; }});
    ramp_->Load();
  }
  absl::Status Start(std::vector<double> steps = {1, 25, 100}) {
    RampOptions options;
    options.steps = std::move(steps);
    options.every_ms = kEvery;
    return ramp_->Start(options);
  }
  // Traffic that is well, a hundred reads a second, for so long.
  void GoodFor(int64_t ms) {
    for (int64_t passed = 0; passed < ms; passed += 100) {
      reading_.compared += 10;
      reading_.answered += 10;
      for (int i = 0; i < 10; ++i) {
        reading_.old_reads.Record(1000);
        reading_.new_reads.Record(1200);
      }
      io_.clock()->Advance(100);
    }
  }
  void Advance(int64_t ms) { io_.clock()->Advance(ms); }
  void SetReads(double percent) {
    RoutingChange change;
    change.reads_new = percent;
    ASSERT_TRUE(keeper_->Change(change, 1).ok());
  }
  double reads() const { return keeper_->migration().routing.reads_new; }
  std::string state() const { return ramp_->record() ? Name(ramp_->record()->state) : "idle"; }
  const RampEntry& last() const { return ramp_->record()->entries.back(); }
  std::vector<std::string> Decisions() const {
    std::vector<std::string> names;
    for (const RampEntry& entry : ramp_->record()->entries) names.push_back(entry.decision);
    return names;
  }
  std::string SavedText(const std::string& file) const {
    std::ostringstream text;
    text << std::ifstream(directory_ + "/" + file).rdbuf();
    return text.str();
  }
  void BreakDisk(const std::string& file) { std::filesystem::create_directory(directory_ + "/" + file + ".new"); }
  void MendDisk(const std::string& file) { std::filesystem::remove(directory_ + "/" + file + ".new"); }

  FakeIo io_;
  Disk disk_;
  Config config_ = TestConfig();
  RampConfig limits_;
  std::string directory_, busy_;
  std::unique_ptr<StateFile> file_;
  std::unique_ptr<DirtySet> dirty_;
  Counters counters_;
  std::unique_ptr<Keeper> keeper_;
  RampReading reading_;
  std::unique_ptr<Ramp> ramp_;
};

TEST_F(RampTest, ReachesItsLastStepAndStaysThere) {
  EXPECT_EQ(state(), "idle");
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(reads(), 1);
  GoodFor(kEvery - 100);
  EXPECT_EQ(reads(), 1);
  EXPECT_EQ(ramp_->step_left_ms(), 100);
  GoodFor(100);
  EXPECT_EQ(reads(), 25);
  EXPECT_EQ(last().decision, "advance");
  EXPECT_EQ(last().figures.compared, 1000u) << "of the step that is over";
  EXPECT_EQ(last().figures.elapsed_ms, kEvery);
  EXPECT_EQ(ramp_->record()->counted.compared, 0u);
  GoodFor(2 * kEvery);
  EXPECT_EQ(state(), "done");
  EXPECT_EQ(reads(), 100);
  EXPECT_THAT(Decisions(), ElementsAre("start", "advance", "advance", "done"));
  reading_.dirty_keys = 1'000'000;
  Advance(10'000);
  EXPECT_EQ(reads(), 100) << "nobody watches any more";
  EXPECT_EQ(io_.clock()->pending_timers(), 0u);
}

TEST_F(RampTest, AMismatchTripsWithinATick) {
  ASSERT_TRUE(Start().ok());
  GoodFor(2000);
  reading_.compared += 10;
  reading_.mismatched += 3;
  Advance(100);
  EXPECT_EQ(state(), "tripped");
  EXPECT_EQ(reads(), 0);
  EXPECT_THAT(ramp_->record()->reason, StartsWith("mismatch_rate 1.43 % (3 of 210 compared reads differ)"));
  EXPECT_EQ(last().decision, "trip");
  EXPECT_EQ(last().figures.mismatched, 3u);
  EXPECT_EQ(last().reads_new, 0);
  EXPECT_THAT(SavedText("state.json"), testing::Not(HasSubstr("\"reads_new\": 1")));
  EXPECT_THAT(SavedText("ramp.json"), HasSubstr("\"state\": \"tripped\""));
  Advance(100);
  EXPECT_EQ(io_.clock()->pending_timers(), 0u);
  EXPECT_TRUE(Start().ok()) << "another one may be begun";
  EXPECT_EQ(reads(), 1);
}

TEST_F(RampTest, AStepAnswersForItselfAlone) {
  ASSERT_TRUE(Start().ok());
  GoodFor(kEvery / 2);
  ++reading_.mismatched;
  GoodFor(kEvery / 2);
  EXPECT_EQ(reads(), 25) << "one of a thousand";
  for (int step = 0; step < 2; ++step) {
    ++reading_.mismatched;
    GoodFor(kEvery);
  }
  EXPECT_EQ(state(), "done");
}

TEST_F(RampTest, SlowRepliesOfOldStepsDoNotCount) {
  for (int i = 0; i < 1000; ++i) reading_.new_reads.Record(1'000'000);
  ASSERT_TRUE(Start().ok());
  GoodFor(kEvery);
  EXPECT_EQ(reads(), 25);
  for (int i = 0; i < 1000; ++i) {
    reading_.new_reads.Record(20'000);
    reading_.old_reads.Record(1000);
  }
  Advance(100);
  EXPECT_EQ(state(), "tripped");
  EXPECT_THAT(ramp_->record()->reason, StartsWith("p99_ratio"));
  EXPECT_EQ(last().figures.new_slow, 1000u);
}

TEST_F(RampTest, HoldsWithoutDataAndGoesOnWithIt) {
  ASSERT_TRUE(Start().ok());
  Advance(3 * kEvery);
  EXPECT_EQ(state(), "holding");
  EXPECT_EQ(reads(), 1);
  EXPECT_THAT(ramp_->record()->reason, HasSubstr("mismatch_rate: 0 of the 200 reads"));
  EXPECT_THAT(Decisions(), ElementsAre("start", "hold")) << "told once";
  GoodFor(2000);
  EXPECT_EQ(reads(), 25);
  EXPECT_EQ(state(), "running");
  EXPECT_THAT(ramp_->record()->reason, IsEmpty());
}

TEST_F(RampTest, ANewThatIsAwayHoldsAndTrips) {
  ASSERT_TRUE(Start().ok());
  reading_.new_reachable = false;
  Advance(1000);
  EXPECT_EQ(state(), "running");
  reading_.new_reachable = true;
  Advance(100);
  reading_.new_reachable = false;
  Advance(1100);
  EXPECT_EQ(state(), "running") << "each time counts for itself";
  Advance(100);
  EXPECT_EQ(state(), "tripped");
  EXPECT_THAT(ramp_->record()->reason, StartsWith("down_ms 1100"));
}

TEST_F(RampTest, WhatForbidsShiftingTrips) {
  ASSERT_TRUE(Start().ok());
  keeper_->SweepStarted();
  Advance(100);
  EXPECT_EQ(state(), "tripped");
  EXPECT_THAT(ramp_->record()->reason, StartsWith("unreadable: not synced (copying)"));
}

// --- Starting --------------------------------------------------------------------------------------------------------

TEST_F(RampTest, IsRefusedWithAReason) {
  const auto why = [this](std::vector<double> steps = {1, 5}) {
    const absl::Status status = Start(std::move(steps));
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(state(), "idle");
    return std::string(status.message());
  };
  EXPECT_THAT(why({}), HasSubstr("steps: expected at least one"));
  busy_ = "a flip is under way";
  EXPECT_EQ(why(), busy_);
  busy_.clear();
  reading_.new_reachable = false;
  EXPECT_THAT(why(), HasSubstr("new can't be read from now"));
  reading_.new_reachable = true;
  reading_.dirty_keys = 1001;
  EXPECT_THAT(why(), HasSubstr("it would trip at once: dirty_keys 1001"));
  reading_.dirty_keys = 0;
  RoutingChange change;
  change.compare = 0;
  ASSERT_TRUE(keeper_->Change(change, 1).ok());
  EXPECT_THAT(why(), HasSubstr("--compare"));
  keeper_->SweepStarted();
  EXPECT_THAT(why(), HasSubstr("reads can't be shifted: not synced (copying)"));
  keeper_->SweepEnded(true, "");
  ASSERT_TRUE(keeper_->Flip(Side::kNew, 1, false, 1).ok());
  EXPECT_THAT(why(), HasSubstr("new is the primary"));
  EXPECT_EQ(reads(), 0);
  EXPECT_FALSE(ramp_->SetPaused(true).ok());
  EXPECT_FALSE(ramp_->Abort().ok());
}

TEST_F(RampTest, SetsCompareAndItsOwnLimits) {
  RampOptions options;
  options.steps = {10};
  options.every_ms = kEvery;
  options.compare = 50;
  options.limits.min_samples = 5000;
  options.limits.max_lag_ms = 20;
  ASSERT_TRUE(ramp_->Start(options).ok());
  EXPECT_EQ(keeper_->migration().routing.compare, 50);
  EXPECT_THAT(Start().message(), HasSubstr("under way already"));
  GoodFor(2 * kEvery);
  EXPECT_EQ(state(), "holding");
  Restart();
  reading_.lag_ms = 21;
  Advance(100);
  EXPECT_EQ(state(), "tripped");
  EXPECT_THAT(ramp_->record()->reason, HasSubstr("lag_ms 21 ms, the limit is 20 ms"));
}

TEST_F(RampTest, LimitsOfAReloadedConfigurationCount) {
  ASSERT_TRUE(Start().ok());
  reading_.lag_ms = 500;
  Advance(100);
  EXPECT_EQ(state(), "running");
  limits_.max_lag_ms = 499;
  Advance(100);
  EXPECT_EQ(state(), "tripped");
}

// --- Pausing, and others ---------------------------------------------------------------------------------------------

TEST_F(RampTest, APauseStopsTheClockAndNotTheGuardrails) {
  ASSERT_TRUE(Start().ok());
  GoodFor(kEvery - 1000);
  ASSERT_TRUE(ramp_->SetPaused(true).ok());
  ASSERT_TRUE(ramp_->SetPaused(true).ok());
  GoodFor(5 * kEvery);
  EXPECT_EQ(reads(), 1);
  EXPECT_EQ(ramp_->step_left_ms(), 1000);
  ASSERT_TRUE(ramp_->SetPaused(false).ok());
  GoodFor(1000);
  EXPECT_EQ(reads(), 25);
  EXPECT_THAT(Decisions(), ElementsAre("start", "pause", "resume", "advance"));
  ASSERT_TRUE(ramp_->SetPaused(true).ok());
  reading_.dirty_keys = 1001;
  Advance(100);
  EXPECT_EQ(state(), "tripped");
  EXPECT_EQ(reads(), 0);
}

TEST_F(RampTest, WhoElseSetsReadsIsInCharge) {
  ASSERT_TRUE(Start().ok());
  GoodFor(5000);
  SetReads(50);
  Advance(100);
  EXPECT_EQ(state(), "paused");
  EXPECT_THAT(ramp_->record()->reason, StartsWith("reads_new is 50 %, and not the step's 1 %"));
  reading_.dirty_keys = 1001;
  Advance(2 * kEvery);
  EXPECT_EQ(state(), "paused") << "the guardrails do nothing";
  EXPECT_EQ(reads(), 50);
  Restart();
  Advance(1000);
  EXPECT_EQ(state(), "paused");
  EXPECT_EQ(reads(), 50);
  ASSERT_TRUE(ramp_->SetPaused(false).ok());
  EXPECT_EQ(reads(), 1);
  EXPECT_EQ(ramp_->step_left_ms(), kEvery) << "the step begins anew";
  GoodFor(kEvery);
  EXPECT_EQ(reads(), 25);
  SetReads(26);
  Advance(100);
  ASSERT_TRUE(ramp_->Abort().ok());
  EXPECT_EQ(reads(), 0);
  EXPECT_EQ(state(), "aborted");
}

TEST_F(RampTest, AFlipEndsItAndReadsStay) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(keeper_->Flip(Side::kNew, 1, false, 1).ok());
  Advance(100);
  EXPECT_EQ(state(), "aborted");
  EXPECT_THAT(ramp_->record()->reason, HasSubstr("there was a flip, and new is the primary"));
  EXPECT_EQ(reads(), 1);
}

TEST_F(RampTest, AFlipThereAndBackEndsItToo) {
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(keeper_->Flip(Side::kNew, 1, false, 1).ok());
  ASSERT_TRUE(keeper_->Flip(Side::kOld, 1, false, 1).ok());
  EXPECT_FALSE(ramp_->Abort().ok()) << "not seen by a tick yet";
  EXPECT_EQ(state(), "aborted");
  EXPECT_EQ(reads(), 1);
}

// --- Restarts, and the disk ------------------------------------------------------------------------------------------

TEST_F(RampTest, GoesOnAfterARestartWithTheStepsClock) {
  ASSERT_TRUE(Start().ok());
  GoodFor(kEvery + 6000);
  EXPECT_EQ(reads(), 25);
  const int64_t saved_ms = kEvery - ramp_->step_left_ms();
  reading_.mismatched += 1;
  ramp_->Suspend();
  Advance(60'000);
  EXPECT_EQ(reads(), 25) << "it is suspended";
  Restart();
  EXPECT_EQ(state(), "running");
  EXPECT_EQ(last().decision, "restart");
  EXPECT_EQ(kEvery - ramp_->step_left_ms(), saved_ms) << "time away is no time";
  EXPECT_EQ(last().figures.compared, 600u);
  EXPECT_EQ(last().figures.mismatched, 1u) << "what was seen is remembered";
  GoodFor(kEvery - saved_ms);
  EXPECT_EQ(reads(), 100);
  EXPECT_EQ(last().figures.compared, 1000u);
  EXPECT_EQ(last().figures.new_timed, 400u) << "latencies are measured anew";
}

TEST_F(RampTest, AKillCostsAFewSecondsOfTheClock) {
  ASSERT_TRUE(Start().ok());
  GoodFor(8000);
  Restart();
  EXPECT_GE(ramp_->step_left_ms(), 2000);
  EXPECT_LE(ramp_->step_left_ms(), 7100);
  GoodFor(7100);
  EXPECT_EQ(reads(), 25);
}

TEST_F(RampTest, HeldAfterARestartUntilNewIsReached) {
  ASSERT_TRUE(Start().ok());
  reading_.new_reachable = false;
  Restart();
  Advance(9000);
  EXPECT_EQ(state(), "running");
  Advance(3000);
  EXPECT_EQ(state(), "tripped");
}

TEST_F(RampTest, AKillBetweenTheTwoFilesIsMadeGood) {
  ASSERT_TRUE(Start().ok());
  SetReads(25);  // as Advance does first
  Restart();
  EXPECT_EQ(state(), "running");
  EXPECT_EQ(ramp_->record()->step, 1u);
  Advance(100);
  EXPECT_EQ(state(), "running");
}

TEST_F(RampTest, AFullDiskKeepsNoReadsOnNew) {
  ASSERT_TRUE(Start().ok());
  BreakDisk("state.json");
  BreakDisk("ramp.json");
  reading_.dirty_keys = 1001;
  Advance(100);
  EXPECT_EQ(state(), "tripped");
  EXPECT_EQ(reads(), 0);
  EXPECT_THAT(SavedText("state.json"), HasSubstr("\"reads_new\": 1"));
  MendDisk("state.json");
  MendDisk("ramp.json");
  Advance(5100);
  EXPECT_THAT(SavedText("state.json"), testing::Not(HasSubstr("\"reads_new\": 1")));
  EXPECT_THAT(SavedText("ramp.json"), HasSubstr("\"state\": \"tripped\""));
  EXPECT_EQ(io_.clock()->pending_timers(), 0u);
}

TEST_F(RampTest, AFullDiskHoldsTheNextStepAndStillTrips) {
  ASSERT_TRUE(Start().ok());
  BreakDisk("state.json");
  GoodFor(kEvery + 1000);
  EXPECT_EQ(state(), "holding");
  EXPECT_EQ(reads(), 1);
  EXPECT_THAT(ramp_->record()->reason, HasSubstr("could not be saved"));
  MendDisk("state.json");
  GoodFor(5000);
  EXPECT_EQ(reads(), 25);
}

TEST_F(RampTest, DecisionsAreBounded) {
  ASSERT_TRUE(Start().ok());
  for (int i = 0; i < 110; ++i) {
    ASSERT_TRUE(ramp_->SetPaused(true).ok());
    ASSERT_TRUE(ramp_->SetPaused(false).ok());
  }
  EXPECT_EQ(ramp_->record()->entries.size(), RampRecord::kMostEntries);
  EXPECT_EQ(last().number, 221u);
  Restart();
  EXPECT_EQ(ramp_->record()->entries.size(), RampRecord::kMostEntries);
  EXPECT_EQ(last().number, 222u);
  ASSERT_TRUE(ramp_->Abort().ok());
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(last().number, 224u) << "also over two ramps";
}

// --- The file --------------------------------------------------------------------------------------------------------

TEST_F(RampTest, TheFileIsReadAsItWasWritten) {
  RampOptions options;
  options.steps = {0.5, 33.3, 100};
  options.every_ms = kEvery;
  options.limits.max_mismatch_rate = 0.25;
  options.limits.max_down_ms = 77;
  ASSERT_TRUE(ramp_->Start(options).ok());
  GoodFor(5100);
  const std::string text = SavedText("ramp.json");
  const auto record = ReadRampText(text);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(RampText(*record), text);
  EXPECT_EQ(record->options.steps, options.steps);
  EXPECT_EQ(record->options.limits.max_down_ms, 77);
  EXPECT_EQ(record->options.limits.max_lag_ms, std::nullopt);
}

TEST_F(RampTest, AFileThatCanNotBeUnderstoodIsForgotten) {
  ASSERT_TRUE(Start().ok());
  const std::string text = SavedText("ramp.json");
  const auto with = [&text](const std::string& from, const std::string& to) {
    std::string changed = text;
    const size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return changed.replace(at, from.size(), to);
  };
  for (const std::string& bad :
       {std::string(), std::string("{}"), std::string("[]"), text.substr(0, text.size() / 2),
        with("\"step\": 0", "\"step\": 3"), with("\"step\": 0", "\"step\": -1"), with("\"step\": 0", "\"step\": 1e300"),
        with("\"running\"", "\"flying\""), with("\"start\"", "\"dance\""), with("\"every_ms\": 10000", "\"every_ms\": -5"),
        with("\"every_ms\": 10000", "\"every_ms\": 18446744073709551615"), with("25.0", "0.5"),
        with("\"taken_over\": false", "\"taken_over\": 0"), with("\"lag_ms\": 0.0", "\"lag_ms\": \"x\""),
        with("\"limits\": {}", "\"limits\": {\"max_lag_ms\": -1}")}) {
    EXPECT_EQ(ReadRampText(bad), std::nullopt) << bad;
  }
  std::ofstream(directory_ + "/ramp.json") << "{";
  Restart();
  EXPECT_EQ(state(), "idle");
  EXPECT_EQ(reads(), 1) << "where somebody sees it";
  EXPECT_TRUE(Start().ok());
}

}  // namespace
}  // namespace crossfade
