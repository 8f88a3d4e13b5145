// A ramp over restarts of the proxy and on a full disk, and its file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "proxy/ramp.h"
#include "tests/proxy/ramp_world.h"

namespace crossfade {
namespace {

using testing::HasSubstr;

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
        with("\"running\"", "\"flying\""), with("\"start\"", "\"dance\""),
        with("\"every_ms\": 10000", "\"every_ms\": -5"),
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
