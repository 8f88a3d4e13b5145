#include "routing/copy_pace.h"

#include <gtest/gtest.h>

namespace crossfade {
namespace {

constexpr int64_t kStepUs = 2000;

// Clients ask `per_step` commands each step, which take `usual_us`, and `added_us` more while anything is copied.
class CopyPaceTest : public testing::Test {
 protected:
  CopyPaceTest() { pace_.Start(now_us_); }

  // Copies as fast as it may for so long; returns how many keys.
  int64_t Run(int64_t us) {
    int64_t copied = 0;
    for (const int64_t end = now_us_ + us; now_us_ < end;) {
      now_us_ += kStepUs;
      replies_ += per_step_;
      replies_us_ += static_cast<int64_t>(per_step_) * (usual_us_ + (copied_last_ ? added_us_ : 0));
      pace_.Advance(now_us_, limits_, replies_, replies_us_, 0);
      copied_last_ = false;
      while (pace_.MayCopy()) {
        pace_.TakeKey();
        pace_.TakeBytes(key_bytes_);
        ++copied;
        copied_last_ = true;
      }
    }
    return copied;
  }

  CopyPace pace_;
  CopyPaceLimits limits_;
  int64_t now_us_ = 1'000'000;
  uint64_t replies_ = 0, per_step_ = 10;
  int64_t replies_us_ = 0, usual_us_ = 100, added_us_ = 0;
  uint64_t key_bytes_ = 100;
  bool copied_last_ = false;
};

TEST_F(CopyPaceTest, KeepsToTheKeysPerSecond) {
  limits_.keys_per_second = 1000;
  EXPECT_NEAR(Run(10'000'000), 10'000, 60);
}

TEST_F(CopyPaceTest, KeepsToTheBytesPerSecond) {
  limits_.bytes_per_second = 100'000;
  key_bytes_ = 1000;
  EXPECT_NEAR(Run(10'000'000), 1000, 20);
}

TEST_F(CopyPaceTest, ALargeKeyLeavesADebt) {
  limits_.bytes_per_second = 1'000'000;
  key_bytes_ = 3'000'000;
  EXPECT_NEAR(Run(9'000'000), 3, 1);
}

TEST_F(CopyPaceTest, StandsStillForNobody) {
  limits_.added_latency_us = 1000;
  per_step_ = 0;
  EXPECT_NEAR(Run(10'000'000), 200'000, 6000);
  EXPECT_EQ(pace_.share(), 1);
}

TEST_F(CopyPaceTest, UnderTheCeilingItRunsFull) {
  limits_.added_latency_us = 1000;
  added_us_ = 500;
  EXPECT_NEAR(Run(10'000'000), 200'000, 6000);
  EXPECT_EQ(pace_.slowed(), 0u);
  EXPECT_NEAR(pace_.added_latency_us(), 500, 10);
}

TEST_F(CopyPaceTest, AboveTheCeilingItSlowsDownAndComesBack) {
  limits_.added_latency_us = 1000;
  added_us_ = 5000;
  Run(10'000'000);
  EXPECT_GT(pace_.slowed(), 5u);
  EXPECT_LT(pace_.share(), 0.3);
  const uint64_t slowed = pace_.slowed();
  added_us_ = 0;
  Run(20'000'000);
  EXPECT_EQ(pace_.share(), 1);
  EXPECT_EQ(pace_.slowed(), slowed);
}

// Clients that have become slower by themselves are nothing that copying adds.
TEST_F(CopyPaceTest, LearnsAnewWhatIsUsual) {
  limits_.added_latency_us = 1000;
  Run(5'000'000);
  usual_us_ = 5000;
  Run(20'000'000);
  EXPECT_EQ(pace_.share(), 1);
  EXPECT_LT(pace_.added_latency_us(), 100);
}

TEST_F(CopyPaceTest, WithoutACeilingNothingRests) {
  limits_.added_latency_us = 0;
  Run(1'000'000);
  EXPECT_TRUE(pace_.share() == 1);
  pace_.Advance(now_us_ + 100'000, limits_, replies_, replies_us_, 5);
  EXPECT_TRUE(pace_.MayCopy());
}

}  // namespace
}  // namespace crossfade
