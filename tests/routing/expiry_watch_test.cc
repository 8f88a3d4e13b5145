#include "routing/expiry_watch.h"

#include <string>

#include "gtest/gtest.h"

namespace crossfade {
namespace {

TEST(ExpiryWatch, UncertainWithinTheWindow) {
  ExpiryWatch watch(10);
  EXPECT_TRUE(watch.empty());
  EXPECT_FALSE(watch.Uncertain(0, "k", 0, 1'000'000));
  watch.Set(0, "k", {100, 200}, 0);
  EXPECT_FALSE(watch.Uncertain(0, "k", 0, 99));
  EXPECT_TRUE(watch.Uncertain(0, "k", 0, 100));
  EXPECT_TRUE(watch.Uncertain(0, "k", 150, 160));
  EXPECT_TRUE(watch.Uncertain(0, "k", 0, 1000));
  EXPECT_TRUE(watch.Uncertain(0, "k", 200, 300));
  EXPECT_FALSE(watch.Uncertain(0, "k", 201, 300));
  EXPECT_FALSE(watch.Uncertain(0, "other", 150, 160));
  EXPECT_FALSE(watch.Uncertain(1, "k", 150, 160));
}

TEST(ExpiryWatch, TheLastWindowCounts) {
  ExpiryWatch watch(10);
  watch.Set(0, "k", {100, 200}, 0);
  watch.Set(0, "k", {500, 600}, 0);
  EXPECT_EQ(watch.size(), 1u);
  EXPECT_FALSE(watch.Uncertain(0, "k", 100, 200));
  EXPECT_TRUE(watch.Uncertain(0, "k", 550, 550));
}

TEST(ExpiryWatch, Inherits) {
  ExpiryWatch watch(10);
  watch.Set(0, "a", {100, 200}, 0);
  watch.Inherit(0, "a", 3, "b", 0);
  EXPECT_TRUE(watch.Uncertain(3, "b", 150, 150));
  EXPECT_TRUE(watch.Uncertain(0, "a", 150, 150));
  EXPECT_FALSE(watch.Uncertain(0, "b", 150, 150));
  watch.Inherit(0, "unwatched", 0, "c", 0);
  EXPECT_FALSE(watch.Uncertain(0, "c", 150, 150));
}

TEST(ExpiryWatch, CountsWhatItDoesNotWatch) {
  ExpiryWatch watch(2);
  watch.Set(0, "a", {100, 200}, 0);
  watch.Set(0, "b", {100, 200}, 0);
  watch.Set(0, "c", {100, 200}, 0);
  EXPECT_EQ(watch.size(), 2u);
  EXPECT_EQ(watch.unwatched(), 1u);
  EXPECT_FALSE(watch.Uncertain(0, "c", 150, 150));
  watch.Set(0, "a", {300, 400}, 0);  // one that is watched still changes
  EXPECT_TRUE(watch.Uncertain(0, "a", 350, 350));
}

TEST(ExpiryWatch, ForgetsWindowsLongPast) {
  ExpiryWatch watch(100'000);
  for (int i = 0; i < 1024; ++i) watch.Set(0, std::to_string(i), {100, 200}, 0);
  watch.Set(0, "next", {900'000, 900'001}, 500'000);
  EXPECT_EQ(watch.size(), 1u);
}

// At the limit too, however small or large it is, and whatever was there when it was last looked.
TEST(ExpiryWatch, ForgetsAtTheLimit) {
  for (int limit : {2, 1500, 3000}) {
    ExpiryWatch watch(static_cast<size_t>(limit));
    for (int i = 0; i < limit; ++i) watch.Set(0, std::to_string(i), {100, 200}, 0);
    EXPECT_EQ(watch.size(), static_cast<size_t>(limit));
    watch.Set(0, "too early", {900'000, 900'001}, 1000);
    EXPECT_EQ(watch.unwatched(), 1u) << limit;
    watch.Set(0, "next", {900'000, 900'001}, 500'000);
    EXPECT_EQ(watch.unwatched(), 1u) << limit;
    EXPECT_EQ(watch.size(), 1u) << limit;
  }
}

TEST(ExpiryWatch, SwappedDatabases) {
  ExpiryWatch watch(10);
  watch.Set(0, "a", {100, 200}, 0);
  watch.Set(3, "b", {100, 200}, 0);
  watch.Set(1, "c", {100, 200}, 0);
  for (int turn = 0; turn < 2; ++turn) {
    watch.SwapDatabases(0, 3);
    EXPECT_EQ(watch.Uncertain(3, "a", 150, 150), turn == 0);
    EXPECT_EQ(watch.Uncertain(0, "a", 150, 150), turn == 1);
    EXPECT_EQ(watch.Uncertain(0, "b", 150, 150), turn == 0);
    EXPECT_TRUE(watch.Uncertain(1, "c", 150, 150));
  }
  // A chain of swaps, and what is set after one.
  watch.SwapDatabases(3, 0);
  watch.SwapDatabases(3, 9);
  EXPECT_TRUE(watch.Uncertain(9, "a", 150, 150));
  EXPECT_TRUE(watch.Uncertain(0, "b", 150, 150));
  watch.Set(9, "d", {300, 400}, 0);
  watch.SwapDatabases(9, 1);
  EXPECT_TRUE(watch.Uncertain(1, "d", 350, 350));
  EXPECT_TRUE(watch.Uncertain(9, "c", 150, 150));
  watch.SwapDatabases(1, 1);
  EXPECT_TRUE(watch.Uncertain(1, "d", 350, 350));
  EXPECT_EQ(watch.size(), 4u);
}

TEST(ExpiryWatch, InheritedAcrossSwaps) {
  ExpiryWatch watch(10);
  watch.Set(2, "a", {100, 200}, 0);
  watch.SwapDatabases(2, 5);
  watch.Inherit(5, "a", 2, "b", 0);
  EXPECT_TRUE(watch.Uncertain(2, "b", 150, 150));
  watch.Inherit(2, "a", 2, "c", 0);  // it isn't there any more
  EXPECT_FALSE(watch.Uncertain(2, "c", 150, 150));
}

TEST(ExpiryWatch, WhatIsNotWatchedIsKnownToBeMissingUntilItIsPast) {
  ExpiryWatch watch(1);
  watch.Set(0, "a", {100, 900}, 0);
  EXPECT_FALSE(watch.incomplete(0));
  watch.Set(0, "b", {100, 500}, 0);
  watch.Set(0, "c", {100, 300}, 0);
  EXPECT_EQ(watch.unwatched(), 2u);
  EXPECT_TRUE(watch.incomplete(0));
  EXPECT_TRUE(watch.incomplete(500));
  EXPECT_FALSE(watch.incomplete(501));
}

}  // namespace
}  // namespace crossfade
