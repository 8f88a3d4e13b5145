#include "proxy/ramp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/ramp_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

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

}  // namespace
}  // namespace crossfade
