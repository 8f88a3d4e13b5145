// Small parts of the lane that stand alone: the pool of slots, and the histogram of latencies.
#include "proxy/slot.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "proxy/latency.h"

namespace crossfade {
namespace {

TEST(SlotPoolTest, CountsWhatIsInUseAndHandsOutEachOnce) {
  SlotPool pool;
  EXPECT_EQ(pool.in_use(), 0u);
  std::set<Slot*> slots;
  for (int i = 0; i < 3000; ++i) slots.insert(pool.Take());
  EXPECT_EQ(slots.size(), 3000u);
  EXPECT_EQ(pool.in_use(), 3000u);
  for (Slot* slot : slots) pool.Free(slot);
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_TRUE(slots.contains(pool.Take()));
}

TEST(SlotPoolTest, AFreedSlotRemembersNothing) {
  SlotPool pool;
  Slot* slot = pool.Take();
  slot->kind = Slot::Kind::kTransaction;
  slot->primary = slot->secondary = Half::kDone;
  slot->shifted = slot->compare = slot->warm = slot->retried = slot->wait_for_both = true;
  slot->diverged = slot->refused = slot->no_follow = true;
  slot->missed = DirtyCause::kQueueFull;
  slot->db = 3;
  slot->to = {1, 2};
  slot->keys = {1, 2, 3};
  slot->request.Assign(MakeRequest({"SET", "k", std::string(5000, 'x')}).view());
  slot->primary_reply = slot->secondary_reply = std::string(5000, 'x');
  slot->companions = {"a"};
  slot->follow.bytes = "x";
  slot->follow.unknown = true;
  slot->follow.expectations.emplace_back();
  slot->transaction.emplace_back();
  slot->element_replies = {"x"};
  slot->block.element_of = {0};
  slot->copies.keys.push_back({0, "k"});
  slot->copies.covered = {true};
  slot->script.copy = true;
  slot->login = 3;
  slot->unfollowed = true;
  slot->answered_us = 7;
  slot->copy_key = {1, "k"};
  slot->answers.status = absl::AbortedError("x");
  slot->question_done = [](const Answers&) {};
  slot->copy_done = [](bool) {};
  pool.Free(slot);
  EXPECT_EQ(slot->to.client, 0u);
  EXPECT_EQ(slot->primary, Half::kNone);
  EXPECT_FALSE(slot->shifted || slot->compare || slot->warm || slot->retried || slot->wait_for_both);
  EXPECT_FALSE(slot->diverged || slot->refused || slot->no_follow || slot->follow.unknown);
  EXPECT_EQ(slot->missed, DirtyCause::kSecondaryAway);
  EXPECT_EQ(slot->db, 0);
  EXPECT_EQ(slot->login, 0u);
  EXPECT_EQ(slot->answered_us, 0);
  EXPECT_FALSE(slot->unfollowed || slot->script.copy);
  EXPECT_TRUE(slot->copies.keys.empty() && slot->copies.covered.empty());
  EXPECT_TRUE(slot->keys.empty() && slot->companions.empty() && slot->follow.empty() && slot->follow.bytes.empty());
  EXPECT_TRUE(slot->transaction.empty() && slot->element_replies.empty() && slot->block.element_of.empty());
  EXPECT_TRUE(slot->primary_reply.empty() && slot->secondary_reply.empty() && slot->copy_key.name.empty());
  EXPECT_LT(slot->primary_reply.capacity() + slot->request.capacity_bytes(), 5000u);  // large buffers are given back
  EXPECT_TRUE(slot->answers.status.ok());
  EXPECT_FALSE(slot->question_done || slot->copy_done);
}

TEST(SlotPoolTest, TheSlotsTakenNextAreWarm) {
  SlotPool pool;
  std::vector<Slot*> slots;
  for (size_t i = 0; i < 3 * SlotPool::kWarmSlots; ++i) slots.push_back(pool.Take());
  for (Slot* slot : slots) slot->primary_reply.reserve(1000);
  for (Slot* slot : slots) pool.Free(slot);
  EXPECT_EQ(pool.in_use(), 0u);
  for (size_t i = 0; i < slots.size(); ++i) {
    EXPECT_EQ(pool.Take()->primary_reply.capacity() >= 1000, i < SlotPool::kWarmSlots) << i;
  }
}

TEST(LatencyWindowTest, PercentilesWithinAQuarterOfAPowerOfTwo) {
  LatencyWindow window;
  EXPECT_EQ(window.Percentile(0.5), 0);
  for (int i = 0; i < 99; ++i) window.Record(100);
  window.Record(10'000);
  EXPECT_GE(window.Percentile(0.5), 100);
  EXPECT_LE(window.Percentile(0.5), 125);
  EXPECT_LE(window.Percentile(0.98), 125);
  EXPECT_GE(window.Percentile(0.99), 10'000);
  EXPECT_LE(window.Percentile(1), 12'500);
  EXPECT_GE(window.Percentile(1), 10'000);
  EXPECT_EQ(window.count(), 100u);
}

TEST(LatencyWindowTest, AnyValueFindsABucketThatHoldsIt) {
  for (int64_t us : {int64_t{-5}, int64_t{0}, int64_t{3}, int64_t{4}, int64_t{5}, int64_t{7}, int64_t{8},
                     int64_t{1'000'000}, int64_t{60'000'000}, int64_t{1} << 40}) {
    LatencyWindow window;
    window.Record(us);
    EXPECT_GE(window.Percentile(0.5), us);
    EXPECT_LE(window.Percentile(0.5), std::max<int64_t>(4, us + us / 4)) << us;
  }
  LatencyWindow window;
  window.Record(INT64_MAX);
  EXPECT_GT(window.Percentile(0.5), 0);
}

TEST(LatencyWindowTest, WhatIsTwoRotationsOldIsForgotten) {
  LatencyWindow window;
  window.Record(1000);
  window.Rotate();
  EXPECT_GE(window.Percentile(0.5), 1000);
  window.Rotate();
  EXPECT_EQ(window.Percentile(0.5), 0);
}

}  // namespace
}  // namespace crossfade
