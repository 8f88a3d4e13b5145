#include "routing/ramp_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace crossfade {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kEvery = 60'000;

// A step that is over, and in which all was well.
RampFigures GoodFigures() {
  RampFigures figures;
  figures.elapsed_ms = kEvery;
  figures.compared = 1000;
  figures.answered = 1000;
  figures.old_timed = figures.new_timed = 1000;
  figures.old_p99_us = 2000;
  figures.new_p99_us = 3000;
  figures.lag_ms = 3;
  return figures;
}

RampVerdict Judge(const RampFigures& figures, const RampConfig& limits = {}) {
  return JudgeRamp(limits, figures, kEvery);
}

Guardrail Rail(const RampVerdict& verdict, std::string_view name) {
  for (const Guardrail& rail : verdict.guardrails) {
    if (rail.name == name) return rail;
  }
  ADD_FAILURE() << "no guardrail " << name;
  return {};
}

// --- Steps -----------------------------------------------------------------------------------------------------------

TEST(RampStepsTest, Ascend) {
  EXPECT_THAT(WhyNotSteps({1, 5, 25, 50, 100}), IsEmpty());
  EXPECT_THAT(WhyNotSteps({0.1}), IsEmpty());
  EXPECT_THAT(WhyNotSteps({}), HasSubstr("at least one"));
  EXPECT_THAT(WhyNotSteps({5, 5}), HasSubstr("got 5 after 5"));
  EXPECT_THAT(WhyNotSteps({5, 1}), HasSubstr("got 1 after 5"));
  EXPECT_THAT(WhyNotSteps({0, 1}), HasSubstr("got 0"));
  EXPECT_THAT(WhyNotSteps({-1}), HasSubstr("got -1"));
  EXPECT_THAT(WhyNotSteps({50, 101}), HasSubstr("got 101"));
  EXPECT_THAT(WhyNotSteps({std::nan("")}), HasSubstr("nan"));
  std::vector<double> many;
  for (int i = 1; i <= kMostRampSteps; ++i) many.push_back(i * 0.5);
  EXPECT_THAT(WhyNotSteps(many), IsEmpty());
  many.push_back(100);
  EXPECT_THAT(WhyNotSteps(many), HasSubstr("at most 100"));
}

// --- Chance ----------------------------------------------------------------------------------------------------------

TEST(SurelyAboveTest, AgreesWithTheBinomialDistribution) {
  // 1 - 0.999^20 = 0.0198; 1 - 0.999^10 = 0.00996.
  EXPECT_FALSE(SurelyAbove(1, 20, 0.001));
  EXPECT_TRUE(SurelyAbove(1, 10, 0.001));
  // At least 2 of 145: 0.0095, of 155: 0.0107.
  EXPECT_TRUE(SurelyAbove(2, 145, 0.001));
  EXPECT_FALSE(SurelyAbove(2, 155, 0.001));
  // At least 23 of 1300 where 13 are expected: 0.0073; 22: 0.0136.
  EXPECT_TRUE(SurelyAbove(23, 1300, 0.01));
  EXPECT_FALSE(SurelyAbove(22, 1300, 0.01));
}

TEST(SurelyAboveTest, Edges) {
  EXPECT_FALSE(SurelyAbove(0, 0, 0.001));
  EXPECT_FALSE(SurelyAbove(0, 1000, 0));
  EXPECT_TRUE(SurelyAbove(1, 1'000'000, 0)) << "none is allowed";
  EXPECT_FALSE(SurelyAbove(10, 10, 1)) << "all are allowed";
  EXPECT_TRUE(SurelyAbove(10, 10, 0.5));
  EXPECT_TRUE(SurelyAbove(20, 10, 0.5)) << "more than there are: counted by others at another moment";
  EXPECT_FALSE(SurelyAbove(1000, 1'000'000, 0.001)) << "just the share";
  EXPECT_FALSE(SurelyAbove(1050, 1'000'000, 0.001));
  EXPECT_TRUE(SurelyAbove(1100, 1'000'000, 0.001));
  EXPECT_TRUE(SurelyAbove(2'000'000'000, 1'000'000'000'000, 0.001));
}

// --- The clock, and no data ------------------------------------------------------------------------------------------

TEST(RampRulesTest, AdvancesOnceTheStepIsOver) {
  RampFigures figures = GoodFigures();
  EXPECT_EQ(Judge(figures).move, RampMove::kAdvance);
  EXPECT_THAT(Judge(figures).reason, IsEmpty());
  EXPECT_EQ(Judge(figures).guardrails.size(), 7u);
  figures.elapsed_ms = kEvery - 1;
  EXPECT_EQ(Judge(figures).move, RampMove::kStay);
}

TEST(RampRulesTest, NoDataHolds) {
  RampFigures nothing;
  EXPECT_EQ(Judge(nothing).move, RampMove::kStay) << "its time is not up";
  nothing.elapsed_ms = 100 * kEvery;
  const RampVerdict verdict = Judge(nothing);
  EXPECT_EQ(verdict.move, RampMove::kHold);
  EXPECT_THAT(verdict.reason, HasSubstr("mismatch_rate: 0 of the 200 reads that it takes"));
  EXPECT_THAT(verdict.reason, HasSubstr("error_rate: 0 of the 200"));
  EXPECT_THAT(verdict.reason, HasSubstr("p99_ratio: 0 reads timed on old and 0 on new"));
  EXPECT_EQ(Rail(verdict, "mismatch_rate").state, GuardrailState::kNoData);
  EXPECT_EQ(Rail(verdict, "lag_ms").state, GuardrailState::kOk) << "is always known";
}

TEST(RampRulesTest, EachKindOfDataIsNeeded) {
  const auto hold = [](auto&& spoil) {
    RampFigures figures = GoodFigures();
    spoil(&figures, 200);
    EXPECT_EQ(Judge(figures).move, RampMove::kAdvance) << "just enough";
    spoil(&figures, 199);
    EXPECT_EQ(Judge(figures).move, RampMove::kHold);
    return Judge(figures).reason;
  };
  EXPECT_THAT(hold([](RampFigures* figures, uint64_t n) { figures->compared = n; }), HasSubstr("mismatch_rate: 199"));
  EXPECT_THAT(hold([](RampFigures* figures, uint64_t n) { figures->answered = n; }), HasSubstr("error_rate: 199"));
  EXPECT_THAT(hold([](RampFigures* figures, uint64_t n) { figures->old_timed = n; }),
              HasSubstr("199 reads timed on old"));
  EXPECT_THAT(hold([](RampFigures* figures, uint64_t n) { figures->new_timed = n; }), HasSubstr("and 199 on new"));
}

// --- Mismatches ------------------------------------------------------------------------------------------------------

TEST(RampRulesTest, OneInAHundredTripsWithinSomeHundredReads) {
  RampFigures figures = GoodFigures();
  figures.elapsed_ms = 100;
  figures.compared = 140;
  figures.mismatched = 2;
  const RampVerdict verdict = Judge(figures);
  EXPECT_EQ(verdict.move, RampMove::kTrip) << "fewer than min_samples, and still no chance";
  EXPECT_EQ(verdict.reason, "mismatch_rate 1.43 % (2 of 140 compared reads differ), the limit is 0.1 %");
  EXPECT_EQ(Rail(verdict, "mismatch_rate").state, GuardrailState::kTripped);
  EXPECT_DOUBLE_EQ(Rail(verdict, "mismatch_rate").value, 2.0 / 140);
  EXPECT_EQ(Rail(verdict, "mismatch_rate").samples, 140u);
}

TEST(RampRulesTest, OneReadTripsNothingAlone) {
  RampFigures figures = GoodFigures();
  for (uint64_t compared : {1, 5, 20, 199}) {
    figures.compared = compared;
    figures.mismatched = 1;
    EXPECT_EQ(Judge(figures).move, RampMove::kHold) << compared;
  }
  figures.compared = 400;
  EXPECT_EQ(Judge(figures).move, RampMove::kHold);
  EXPECT_THAT(Judge(figures).reason, HasSubstr("1 of 400 compared reads differ), the limit is 0.1 %, but that may be"));
  figures.compared = 1000;
  EXPECT_EQ(Judge(figures).move, RampMove::kAdvance) << "the limit itself";
}

TEST(RampRulesTest, FewReadsTripNothing) {
  RampFigures figures = GoodFigures();
  figures.compared = figures.mismatched = 19;
  EXPECT_EQ(Judge(figures).move, RampMove::kHold);
  figures.compared = figures.mismatched = 20;
  EXPECT_EQ(Judge(figures).move, RampMove::kTrip);
}

TEST(RampRulesTest, WithALimitOfNoneTheFirstTrips) {
  RampConfig limits;
  limits.max_mismatch_rate = 0;
  RampFigures figures = GoodFigures();
  EXPECT_EQ(Judge(figures, limits).move, RampMove::kAdvance);
  figures.mismatched = 1;
  EXPECT_EQ(Judge(figures, limits).move, RampMove::kTrip);
  figures.compared = 1;
  EXPECT_EQ(Judge(figures, limits).move, RampMove::kTrip);
}

TEST(RampRulesTest, ALimitOfAllTripsNever) {
  RampConfig limits;
  limits.max_mismatch_rate = 1;
  RampFigures figures = GoodFigures();
  figures.mismatched = figures.compared;
  EXPECT_EQ(Judge(figures, limits).move, RampMove::kAdvance);
}

// --- Errors ----------------------------------------------------------------------------------------------------------

TEST(RampRulesTest, ErrorsTrip) {
  RampFigures figures = GoodFigures();
  figures.answered = 980;
  figures.failed = 20;
  EXPECT_EQ(Judge(figures).move, RampMove::kTrip);
  EXPECT_EQ(Judge(figures).reason, "error_rate 2 % (20 of 1000 reads meant for new failed there), the limit is 1 %");
  figures.answered = 990;
  figures.failed = 10;
  EXPECT_EQ(Judge(figures).move, RampMove::kAdvance) << "the limit itself";
  figures.failed = 12;
  EXPECT_EQ(Judge(figures).move, RampMove::kHold) << "above it, but that may be chance";
}

// --- Latency ---------------------------------------------------------------------------------------------------------

TEST(RampRulesTest, P99Trips) {
  RampFigures figures = GoodFigures();
  figures.old_p99_us = 4000;
  figures.new_p99_us = 8000;
  EXPECT_EQ(SlowUs({}, 4000), 8000);
  EXPECT_EQ(Judge(figures).move, RampMove::kAdvance) << "the limit itself";
  figures.new_p99_us = 8001;
  figures.new_slow = 1000 / 100 + 1;
  EXPECT_EQ(Judge(figures).move, RampMove::kHold) << "eleven slow ones where ten may be";
  EXPECT_THAT(Judge(figures).reason, HasSubstr("but that may be chance"));
  figures.new_slow = 30;
  const RampVerdict verdict = Judge(figures);
  EXPECT_EQ(verdict.move, RampMove::kTrip);
  EXPECT_EQ(
      verdict.reason,
      "p99_ratio 2.0 (99 % of 1000 reads took at most 8.0 ms on new, 4.0 ms on old), the limit is 2 from 5 ms on");
  EXPECT_EQ(Rail(verdict, "p99_ratio").samples, 1000u);
}

TEST(RampRulesTest, P99BelowTheFloorIsNeverSlow) {
  RampFigures figures = GoodFigures();
  figures.old_p99_us = 30;
  figures.new_p99_us = 60;
  figures.new_slow = 0;
  EXPECT_EQ(SlowUs({}, 30), 5000);
  EXPECT_EQ(Judge(figures).move, RampMove::kAdvance);
  figures.new_p99_us = 5000;
  EXPECT_EQ(Judge(figures).move, RampMove::kAdvance);
  EXPECT_NEAR(Rail(Judge(figures), "p99_ratio").value, 166.7, 0.1) << "is told all the same";
  figures.new_p99_us = 5001;
  figures.new_slow = 100;
  EXPECT_EQ(Judge(figures).move, RampMove::kTrip);
}

TEST(RampRulesTest, P99OfFewReadsSaysNothing) {
  RampFigures figures = GoodFigures();
  figures.new_timed = 199;
  figures.new_slow = 199;
  figures.new_p99_us = 1'000'000;
  EXPECT_EQ(Judge(figures).move, RampMove::kHold);
  figures.new_timed = 1000;
  figures.old_timed = 0;
  figures.old_p99_us = 0;
  EXPECT_EQ(Judge(figures).move, RampMove::kHold) << "against what?";
  EXPECT_EQ(Rail(Judge(figures), "p99_ratio").value, 0);
}

TEST(RampRulesTest, SlowUsStaysWithinWhatCanBeComputedWith) {
  RampConfig limits;
  limits.max_p99_ratio = 1000;
  EXPECT_EQ(SlowUs(limits, INT64_MAX), 1'000'000'000'000'000);
}

// --- What is measured now --------------------------------------------------------------------------------------------

TEST(RampRulesTest, LagTripsAtOnce) {
  RampFigures figures;
  figures.lag_ms = 1000;
  EXPECT_EQ(Judge(figures).move, RampMove::kStay) << "the limit itself";
  figures.lag_ms = 1001;
  EXPECT_EQ(Judge(figures).move, RampMove::kTrip);
  EXPECT_EQ(Judge(figures).reason, "lag_ms 1001 ms, the limit is 1000 ms");
}

TEST(RampRulesTest, DirtyKeysTripAtOnce) {
  RampFigures figures;
  figures.dirty_keys = 1000;
  EXPECT_EQ(Judge(figures).move, RampMove::kStay);
  figures.dirty_keys = 1001;
  EXPECT_EQ(Judge(figures).move, RampMove::kTrip);
  EXPECT_EQ(Judge(figures).reason, "dirty_keys 1001, the limit is 1000");
}

TEST(RampRulesTest, AnAbsentNewHoldsAndThenTrips) {
  RampFigures figures = GoodFigures();
  figures.down_ms = 1;
  EXPECT_EQ(Judge(figures).move, RampMove::kHold);
  EXPECT_THAT(Judge(figures).reason, HasSubstr("down_ms 1: new is not to be reached"));
  figures.down_ms = 1000;
  EXPECT_EQ(Judge(figures).move, RampMove::kHold);
  figures.down_ms = 1001;
  EXPECT_EQ(Judge(figures).move, RampMove::kTrip);
  EXPECT_THAT(Judge(figures).reason, HasSubstr("down_ms 1001"));
}

TEST(RampRulesTest, WhatForbidsShiftingTripsAtOnce) {
  RampFigures figures;
  figures.unreadable = "not synced (no): lost";
  EXPECT_EQ(Judge(figures).move, RampMove::kTrip);
  EXPECT_EQ(Judge(figures).reason, "unreadable: not synced (no): lost");
  EXPECT_EQ(Rail(Judge(figures), "unreadable").value, 1);
}

TEST(RampRulesTest, AllThatTripIsTold) {
  RampFigures figures = GoodFigures();
  figures.mismatched = 100;
  figures.dirty_keys = 5000;
  EXPECT_THAT(Judge(figures).reason, HasSubstr("mismatch_rate 10 % "));
  EXPECT_THAT(Judge(figures).reason, HasSubstr("; dirty_keys 5000"));
}

TEST(RampRulesTest, LimitsAreTheConfigurations) {
  RampConfig limits;
  limits.max_lag_ms = 10;
  limits.max_dirty_keys = 0;
  limits.max_down_ms = 5;
  limits.min_samples = 10'000;
  limits.max_error_rate = 0.5;
  RampFigures figures = GoodFigures();
  EXPECT_EQ(Judge(figures, limits).move, RampMove::kHold) << "too few samples";
  figures.failed = 500;
  EXPECT_EQ(Judge(figures, limits).move, RampMove::kHold);
  figures.lag_ms = 11;
  EXPECT_EQ(Judge(figures, limits).move, RampMove::kTrip);
  figures.lag_ms = 0;
  figures.dirty_keys = 1;
  EXPECT_EQ(Judge(figures, limits).move, RampMove::kTrip);
  figures.dirty_keys = 0;
  figures.down_ms = 6;
  EXPECT_EQ(Judge(figures, limits).move, RampMove::kTrip);
}

}  // namespace
}  // namespace crossfade
