#include "routing/signoff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace crossfade {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr int64_t kNow = 1'800'000'000'000, kHour = 3'600'000;

FlipRecord To(Side side, bool forced = false) {
  FlipRecord flip;
  flip.to = side;
  flip.forced = forced;
  return flip;
}

// All that the defaults demand, and no more.
SignoffFacts GoodFacts() {
  SignoffFacts facts;
  facts.now_ms = kNow;
  facts.compared = 100'000;
  facts.followed = 10'000;
  facts.observed_ms = 24 * kHour;
  facts.commands = {10, 10, {}};
  facts.prefixes = {20, 19, {"rare:"}};
  facts.synced = Synced::kYes;
  facts.following = true;
  facts.verification = {true, kNow - 3 * kHour, kNow - 2 * kHour, 42'000, 0, 0, 0, 0, 0, 0};
  facts.preflight = {true, kNow - kHour, 20, 2, 0};
  facts.p99_us[0] = 2000;
  facts.p99_us[1] = 3000;
  facts.timed[0] = facts.timed[1] = 1000;
  facts.flips = {To(Side::kNew), To(Side::kOld)};
  facts.requests = 200'000;
  return facts;
}

Criterion Find(const std::string& name, const SignoffFacts& facts, const SignoffConfig& demands = {}) {
  for (Criterion& criterion : JudgeSignoff(demands, facts)) {
    if (criterion.name == name) return criterion;
  }
  ADD_FAILURE() << "no criterion " << name;
  return {};
}

using Change = std::function<void(SignoffFacts*)>;

Verdict Of(const std::string& name, const Change& change, const SignoffConfig& demands = {}) {
  SignoffFacts facts = GoodFacts();
  change(&facts);
  const Criterion criterion = Find(name, facts, demands);
  EXPECT_FALSE(criterion.demands.empty()) << name;
  EXPECT_FALSE(criterion.found.empty()) << name;
  EXPECT_EQ(criterion.remedy.empty(), criterion.verdict == Verdict::kPass) << name;
  // One criterion that doesn't pass is enough, and nothing else moved.
  EXPECT_EQ(TotalVerdict(JudgeSignoff(demands, facts)), criterion.verdict) << name;
  return criterion.verdict;
}

TEST(Signoff, WhatTheDefaultsDemandPasses) {
  for (const Criterion& criterion : JudgeSignoff({}, GoodFacts())) {
    EXPECT_EQ(criterion.verdict, Verdict::kPass) << criterion.name << ": " << criterion.found;
    EXPECT_THAT(criterion.remedy, IsEmpty()) << criterion.name;
  }
  EXPECT_EQ(TotalVerdict(JudgeSignoff({}, GoodFacts())), Verdict::kPass);
}

// The worst that a report can do. Whatever is demanded, of nothing nothing follows.
TEST(Signoff, NothingIsNeverAPass) {
  SignoffConfig lax;
  lax.min_compared = lax.min_writes = lax.min_timed = 0;
  lax.mismatch_rate = lax.error_rate = 100;
  lax.commands_covered = lax.prefixes_covered = 0;
  lax.min_observed_ms = 0;
  lax.rollback = false;
  SignoffFacts nothing;
  nothing.now_ms = kNow;
  nothing.following = true;
  nothing.synced = Synced::kYes;
  for (const char* name : {"comparisons", "mismatches", "mismatch_rate", "divergence", "commands", "prefixes",
                           "verification", "read_latency", "error_rate", "observation", "preflight"}) {
    const Criterion criterion = Find(name, nothing, lax);
    EXPECT_EQ(criterion.verdict, Verdict::kInsufficient) << name;
    EXPECT_EQ(criterion.samples, 0u) << name;
    EXPECT_THAT(criterion.found, Not(HasSubstr("0 mismatched"))) << name;
  }
  EXPECT_FALSE(Find("mismatches", nothing, lax).figure.has_value());
  EXPECT_FALSE(Find("mismatch_rate", nothing, lax).figure.has_value());
  EXPECT_NE(TotalVerdict(JudgeSignoff(lax, nothing)), Verdict::kPass);
  EXPECT_EQ(TotalVerdict({}), Verdict::kInsufficient);
}

// Comparisons that all fell on expiring keys decided nothing.
TEST(Signoff, ComparisonsThatDecidedNothingAreNoSample) {
  EXPECT_EQ(Of("mismatches", [](SignoffFacts* f) { f->expiring = f->compared; }), Verdict::kInsufficient);
  const Criterion rate = Find("mismatch_rate", [] {
    SignoffFacts facts = GoodFacts();
    facts.expiring = 40'000;
    return facts;
  }());
  EXPECT_EQ(rate.samples, 60'000u);
}

TEST(Signoff, Comparisons) {
  EXPECT_EQ(Of("comparisons", [](SignoffFacts* f) { f->compared = 99'999; }), Verdict::kInsufficient);
  EXPECT_EQ(Of("comparisons", [](SignoffFacts* f) { f->compared = 100'001; }), Verdict::kPass);
}

TEST(Signoff, Mismatches) {
  EXPECT_EQ(Of("mismatches", [](SignoffFacts* f) { f->mismatched = 1; }), Verdict::kFail);
  SignoffConfig three;
  three.max_mismatches = 3;
  EXPECT_EQ(Of(
                "mismatches", [](SignoffFacts* f) { f->mismatched = 3; }, three),
            Verdict::kPass);
  EXPECT_EQ(Of(
                "mismatches", [](SignoffFacts* f) { f->mismatched = 4; }, three),
            Verdict::kFail);
  // Also while too little was compared to say more.
  EXPECT_EQ(Of("mismatches", [](SignoffFacts* f) { f->compared = f->mismatched = 1; }), Verdict::kFail);
}

TEST(Signoff, TheMismatchRateIsJudgedByItsBound) {
  SignoffConfig demands;
  demands.mismatch_rate = 1;
  demands.max_mismatches = 1000;
  demands.min_compared = 1;
  const auto of = [&](uint64_t mismatched, uint64_t compared) {
    SignoffFacts facts = GoodFacts();
    facts.mismatched = mismatched;
    facts.compared = compared;
    return Find("mismatch_rate", facts, demands);
  };
  EXPECT_EQ(of(0, 300).verdict, Verdict::kPass);  // 3/300 is 1 %
  EXPECT_EQ(of(0, 299).verdict, Verdict::kInsufficient);
  EXPECT_NEAR(*of(0, 299).bound, 100 * 3.0 / 299, 1e-12);
  EXPECT_EQ(of(0, 299).bound_method, "rule of three, 95 %");
  EXPECT_THAT(of(0, 299).remedy, HasSubstr("with none in 300"));
  EXPECT_EQ(of(1, 300).verdict, Verdict::kInsufficient);  // seen: 0.33 %; at most 1.57 %
  EXPECT_EQ(of(1, 300).bound_method, "Clopper-Pearson, one-sided 95 %");
  EXPECT_EQ(of(1, 500).verdict, Verdict::kPass);
  EXPECT_EQ(of(5, 499).verdict, Verdict::kFail);  // what was seen is too much already
  EXPECT_EQ(of(1, 1).verdict, Verdict::kFail);
  demands.mismatch_rate = 0;
  EXPECT_EQ(of(0, 1'000'000).verdict, Verdict::kInsufficient);  // no sample shows that
  EXPECT_EQ(of(1, 1'000'000).verdict, Verdict::kFail);
}

TEST(Signoff, Divergence) {
  EXPECT_EQ(Of("divergence", [](SignoffFacts* f) { f->diverged = 1; }), Verdict::kFail);
  EXPECT_EQ(Of("divergence", [](SignoffFacts* f) { f->differed_later = 1; }), Verdict::kFail);
  EXPECT_EQ(Of("divergence", [](SignoffFacts* f) { f->scripts_failed = 1; }), Verdict::kFail);
  EXPECT_EQ(Of("divergence", [](SignoffFacts* f) { f->followed = 9'999; }), Verdict::kInsufficient);
  EXPECT_EQ(Of("divergence", [](SignoffFacts* f) { f->followed = 0, f->diverged = 1; }), Verdict::kFail);
  SignoffConfig two;
  two.max_diverged = 2;
  EXPECT_EQ(Of(
                "divergence", [](SignoffFacts* f) { f->diverged = f->differed_later = 1; }, two),
            Verdict::kPass);
  EXPECT_EQ(Of(
                "divergence", [](SignoffFacts* f) { f->diverged = 2, f->differed_later = 1; }, two),
            Verdict::kFail);
}

TEST(Signoff, Coverage) {
  EXPECT_EQ(Of("commands", [](SignoffFacts* f) { f->commands = {10, 9, {"geopos"}}; }), Verdict::kInsufficient);
  EXPECT_EQ(Of("prefixes", [](SignoffFacts* f) { f->prefixes = {20, 18, {"a:", "b:"}}; }), Verdict::kInsufficient);
  EXPECT_EQ(Of("prefixes", [](SignoffFacts* f) { f->prefixes = {0, 0, {}}; }), Verdict::kInsufficient);
  SignoffFacts facts = GoodFacts();
  facts.commands = {10, 5, {"geopos", "lcs"}};
  EXPECT_THAT(Find("commands", facts).found, HasSubstr("5 of 10 (50 %); not: geopos, lcs, …"));
}

TEST(Signoff, Verification) {
  const auto of = [](const std::function<void(SignoffFacts::Verification*)>& change, int64_t doubted_ms = 0) {
    return Of("verification", [&](SignoffFacts* facts) {
      change(&facts->verification);
      facts->doubted_ms = doubted_ms;
    });
  };
  using V = SignoffFacts::Verification;
  EXPECT_EQ(of([](V* v) { v->any = false; }), Verdict::kInsufficient);
  EXPECT_EQ(of([](V* v) { v->keys = 0; }), Verdict::kInsufficient);
  EXPECT_EQ(of([](V* v) { v->differing = 1; }), Verdict::kFail);
  EXPECT_EQ(of([](V* v) { v->differing = v->repaired = 1; }), Verdict::kFail);  // they did differ
  EXPECT_EQ(of([](V* v) { v->differing_since = 1; }), Verdict::kFail);          // a sample, later
  EXPECT_EQ(of([](V* v) { *v = {}, v->differing_since = 1; }), Verdict::kFail);
  EXPECT_EQ(of([](V* v) { v->undecided = 1; }), Verdict::kInsufficient);
  EXPECT_EQ(of([](V* v) { v->not_comparable = 1; }), Verdict::kInsufficient);
  EXPECT_EQ(of([](V* v) { v->left_out = 1; }), Verdict::kInsufficient);
  EXPECT_EQ(of([](V* v) { v->ended_ms = kNow - 24 * kHour; }), Verdict::kPass);
  EXPECT_EQ(of([](V* v) { v->ended_ms = kNow - 24 * kHour - 1; }), Verdict::kInsufficient);
  // The stores have been doubted since it began: it says nothing any more.
  EXPECT_EQ(of([](V*) {}, kNow - 3 * kHour), Verdict::kPass);
  EXPECT_EQ(of([](V*) {}, kNow - 3 * kHour + 1), Verdict::kInsufficient);
}

TEST(Signoff, SyncedAndDirty) {
  EXPECT_EQ(Of("synced", [](SignoffFacts* f) { f->synced = Synced::kNo; }), Verdict::kFail);
  EXPECT_EQ(Of("synced", [](SignoffFacts* f) { f->synced = Synced::kCopying; }), Verdict::kInsufficient);
  EXPECT_EQ(Of("synced", [](SignoffFacts* f) { f->following = false; }), Verdict::kFail);
  EXPECT_EQ(Of("dirty", [](SignoffFacts* f) { f->dirty_keys = 1; }), Verdict::kInsufficient);
  EXPECT_EQ(Of("dirty", [](SignoffFacts* f) { f->everything_dirty = true; }), Verdict::kFail);
  EXPECT_EQ(Of("dirty", [](SignoffFacts* f) { f->dirty_keys = f->not_copied = 1; }), Verdict::kFail);
}

TEST(Signoff, ReadLatency) {
  EXPECT_EQ(Of("read_latency", [](SignoffFacts* f) { f->p99_us[1] = 3001; }), Verdict::kFail);
  EXPECT_EQ(Of("read_latency", [](SignoffFacts* f) { f->timed[0] = 999; }), Verdict::kInsufficient);
  EXPECT_EQ(Of("read_latency", [](SignoffFacts* f) { f->timed[1] = 0; }), Verdict::kInsufficient);
  // Fast enough is fast enough, however fast old is.
  const auto fast = [](int64_t new_us) {
    return [new_us](SignoffFacts* f) { f->p99_us[0] = 100, f->p99_us[1] = new_us; };
  };
  EXPECT_EQ(Of("read_latency", fast(1000)), Verdict::kPass);
  EXPECT_EQ(Of("read_latency", fast(1001)), Verdict::kFail);
}

TEST(Signoff, ErrorsAreJudgedByTheBound) {
  const auto of = [](uint64_t errors, uint64_t requests) {
    return Of("error_rate", [&](SignoffFacts* f) { f->errors = errors, f->requests = requests; });
  };
  EXPECT_EQ(of(0, 3000), Verdict::kPass);
  EXPECT_EQ(of(0, 2999), Verdict::kInsufficient);
  EXPECT_EQ(of(2, 2000), Verdict::kInsufficient);
  EXPECT_EQ(of(3, 2000), Verdict::kFail);
  EXPECT_EQ(of(50, 100'000), Verdict::kPass);
  EXPECT_EQ(of(5, 2), Verdict::kFail);  // more than there were requests: no share above all of them
}

TEST(Signoff, Rollback) {
  const auto of = [](std::vector<FlipRecord> flips) {
    return Of("rollback", [&](SignoffFacts* f) { f->flips = std::move(flips); });
  };
  EXPECT_EQ(of({}), Verdict::kInsufficient);
  EXPECT_EQ(of({To(Side::kNew)}), Verdict::kInsufficient);
  EXPECT_EQ(of({To(Side::kOld), To(Side::kNew)}), Verdict::kInsufficient);
  EXPECT_EQ(of({To(Side::kNew), To(Side::kOld), To(Side::kNew)}), Verdict::kPass);
  EXPECT_EQ(of({To(Side::kNew), To(Side::kOld, true)}), Verdict::kInsufficient);
  EXPECT_EQ(of({To(Side::kNew, true), To(Side::kOld)}), Verdict::kInsufficient);
  SignoffConfig none;
  none.rollback = false;
  SignoffFacts facts = GoodFacts();
  facts.flips.clear();
  EXPECT_EQ(Find("rollback", facts, none).verdict, Verdict::kPass);
}

TEST(Signoff, Restarts) {
  EXPECT_EQ(Of("restarts", [](SignoffFacts* f) { f->crashes = 1; }), Verdict::kFail);
  EXPECT_EQ(Of("restarts", [](SignoffFacts* f) { f->lost_ledgers = 1; }), Verdict::kFail);
  SignoffConfig one;
  one.max_crashes = 1;
  EXPECT_EQ(Of(
                "restarts", [](SignoffFacts* f) { f->crashes = 1; }, one),
            Verdict::kPass);
  EXPECT_EQ(Of(
                "restarts", [](SignoffFacts* f) { f->crashes = f->lost_ledgers = 1; }, one),
            Verdict::kFail);
}

TEST(Signoff, GapsAreShortOrVerified) {
  const int64_t verified = GoodFacts().verification.started_ms;
  const auto of = [](int64_t from_ms, int64_t span_ms) {
    return Of("gaps", [&](SignoffFacts* f) { f->gaps = {{from_ms, from_ms + span_ms}}; });
  };
  EXPECT_EQ(of(verified, 600'000), Verdict::kPass);
  EXPECT_EQ(of(verified, 600'001), Verdict::kInsufficient);
  EXPECT_EQ(of(verified - 600'001, 600'001), Verdict::kPass);
  EXPECT_EQ(of(verified - 600'000, 600'001), Verdict::kInsufficient);
  EXPECT_EQ(Of("gaps", [](SignoffFacts* f) { f->more_gaps = 1, f->longest_more_ms = 600'000; }), Verdict::kPass);
  EXPECT_EQ(Of("gaps", [](SignoffFacts* f) { f->more_gaps = 1, f->longest_more_ms = 600'001; }),
            Verdict::kInsufficient);
}

TEST(Signoff, Observation) {
  EXPECT_EQ(Of("observation", [](SignoffFacts* f) { --f->observed_ms; }), Verdict::kInsufficient);
}

TEST(Signoff, Preflight) {
  EXPECT_EQ(Of("preflight", [](SignoffFacts* f) { f->preflight.any = false; }), Verdict::kInsufficient);
  EXPECT_EQ(Of("preflight", [](SignoffFacts* f) { f->preflight = {true, kNow, 0, 0, 0}; }), Verdict::kInsufficient);
  EXPECT_EQ(Of("preflight", [](SignoffFacts* f) { f->preflight.failed = 1; }), Verdict::kFail);
  EXPECT_EQ(Of("preflight", [](SignoffFacts* f) { f->preflight.at_ms = kNow - 168 * kHour - 1; }),
            Verdict::kInsufficient);
}

TEST(Signoff, FailWinsOverInsufficient) {
  SignoffFacts facts = GoodFacts();
  facts.compared = 10;
  EXPECT_EQ(TotalVerdict(JudgeSignoff({}, facts)), Verdict::kInsufficient);
  facts.mismatched = 1;
  EXPECT_EQ(TotalVerdict(JudgeSignoff({}, facts)), Verdict::kFail);
}

}  // namespace
}  // namespace crossfade
