#include "routing/read_splitter.h"

#include <cmath>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace crossfade {
namespace {

constexpr int kKeys = 100'000;

std::string KeyOf(int i) {
  return "user:" + std::to_string(i);
}

RuleConfig Rule(std::string prefix, double reads_new, double compare = -1) {
  RuleConfig rule;
  rule.prefix = std::move(prefix);
  rule.reads_new = reads_new;
  rule.compare = compare;
  return rule;
}

bool FromNew(const ReadSplitter& splitter, double reads_new, std::string_view key, uint64_t dice = 0) {
  RoutingConfig routing;
  routing.reads_new = reads_new;
  return splitter.Choose(routing, key, dice).from_new;
}

TEST(ReadSplitter, RaisingReadsNewOnlyAddsKeys) {
  const ReadSplitter splitter({});
  for (int i = 0; i < kKeys; i += 7) {
    bool before = false;
    for (double percent : {0.0, 0.5, 1.0, 5.0, 10.0, 33.3, 50.0, 90.0, 99.9, 100.0}) {
      const bool now = FromNew(splitter, percent, KeyOf(i), static_cast<uint64_t>(i) * percent);
      EXPECT_TRUE(now || !before) << KeyOf(i) << " left at " << percent;
      before = now;
    }
    EXPECT_FALSE(FromNew(splitter, 0, KeyOf(i)));
    EXPECT_TRUE(FromNew(splitter, 100, KeyOf(i)));
  }
}

// Four standard deviations: sqrt(n p (1 - p)).
void ExpectShare(int hits, double percent, const char* what) {
  const double share = percent / 100;
  EXPECT_NEAR(hits, kKeys * share, 4 * std::sqrt(kKeys * share * (1 - share))) << what << " " << percent;
}

TEST(ReadSplitter, ShareOfTheKeys) {
  const ReadSplitter splitter({});
  for (double percent : {1.0, 10.0, 25.0, 50.0, 90.0}) {
    int hits = 0;
    for (int i = 0; i < kKeys; ++i) hits += FromNew(splitter, percent, KeyOf(i)) ? 1 : 0;
    ExpectShare(hits, percent, "by key");
  }
}

TEST(ReadSplitter, RandomSplitGoesByTheDice) {
  const ReadSplitter splitter({});
  RoutingConfig routing;
  routing.split = SplitMode::kRandom;
  std::mt19937_64 random(42);
  for (double percent : {1.0, 25.0, 50.0}) {
    routing.reads_new = percent;
    int hits = 0;
    for (int i = 0; i < kKeys; ++i) hits += splitter.Choose(routing, "same key", random()).from_new ? 1 : 0;
    ExpectShare(hits, percent, "random");
  }
}

TEST(ReadSplitter, ComparisonIsDrawnForItself) {
  const ReadSplitter splitter({});
  RoutingConfig routing;
  routing.split = SplitMode::kRandom;
  routing.reads_new = 50;
  routing.compare = 50;
  std::mt19937_64 random(7);
  int compared = 0, both = 0;
  for (int i = 0; i < kKeys; ++i) {
    const ReadChoice choice = splitter.Choose(routing, KeyOf(i), random());
    compared += choice.compare ? 1 : 0;
    both += choice.compare && choice.from_new ? 1 : 0;
  }
  ExpectShare(compared, 50, "compared");
  ExpectShare(both, 25, "compared and from new");
}

TEST(ReadSplitter, TheLongestPrefixCounts) {
  const ReadSplitter splitter({Rule("a:", 100), Rule("a:b:", 0), Rule("a:b:c:", -1, 100)});
  EXPECT_FALSE(FromNew(splitter, 0, "x"));
  EXPECT_TRUE(FromNew(splitter, 0, "a:x"));
  EXPECT_FALSE(FromNew(splitter, 100, "a:b:x"));
  // A rule that leaves reads_new alone leaves it as it is in general, not as in a shorter rule.
  EXPECT_FALSE(FromNew(splitter, 0, "a:b:c:x"));
  EXPECT_TRUE(FromNew(splitter, 100, "a:b:c:x"));
  EXPECT_TRUE(splitter.Choose(RoutingConfig(), "a:b:c:x", 1).compare);
  EXPECT_FALSE(splitter.Choose(RoutingConfig(), "a:x", 1).compare);
}

TEST(ReadSplitter, OnMissByRule) {
  RuleConfig rule = Rule("cache:", -1);
  rule.has_on_miss = true;
  rule.on_miss = OnMiss::kPrimary;
  const ReadSplitter splitter({rule});
  EXPECT_EQ(splitter.Choose(RoutingConfig(), "cache:1", 0).on_miss, OnMiss::kPrimary);
  EXPECT_EQ(splitter.Choose(RoutingConfig(), "other", 0).on_miss, OnMiss::kNil);
}

TEST(ReadSplitter, IdleOnlyWithNothingToShiftOrCompare) {
  RoutingConfig off, shifted, compared;
  shifted.reads_new = 1;
  compared.compare = 1;
  EXPECT_TRUE(ReadSplitter({}).Idle(off));
  EXPECT_TRUE(ReadSplitter({Rule("a", 0)}).Idle(off));
  EXPECT_FALSE(ReadSplitter({}).Idle(shifted));
  EXPECT_FALSE(ReadSplitter({}).Idle(compared));
  EXPECT_FALSE(ReadSplitter({Rule("a", 1)}).Idle(off));
  EXPECT_FALSE(ReadSplitter({Rule("a", -1, 1)}).Idle(off));
}

}  // namespace
}  // namespace crossfade
