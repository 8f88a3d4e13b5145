#include "routing/dirty_set.h"

#include <string>

#include "gtest/gtest.h"

namespace crossfade {
namespace {

constexpr DirtyCause kCause = DirtyCause::kReplyDiffered;

// The next key as "db:name"; empty when none is due.
std::string Take(DirtySet* set, int64_t now_ms = 0) {
  DirtySet::Key key;
  return set->TakeForRepair(now_ms, &key) ? std::to_string(key.db) + ":" + key.name : "";
}

TEST(DirtySet, MarksAndResolves) {
  DirtySet set(10);
  EXPECT_TRUE(set.clean());
  set.Mark(0, "a", kCause, 5);
  EXPECT_TRUE(set.Contains(0, "a"));
  EXPECT_FALSE(set.Contains(1, "a"));
  EXPECT_FALSE(set.Contains(0, "b"));
  EXPECT_TRUE(set.CopyDone({0, "a"}, 6));
  EXPECT_TRUE(set.clean());
  EXPECT_EQ(set.repaired(), 1u);
  EXPECT_EQ(set.marked(kCause), 1u);
}

TEST(DirtySet, DatabasesAndBytesAreKept) {
  DirtySet set(10);
  const std::string name("\0\xff key", 6);
  set.Mark(300, name, kCause, 1);
  DirtySet::Key key;
  ASSERT_TRUE(set.TakeForRepair(0, &key));
  EXPECT_EQ(key.db, 300);
  EXPECT_EQ(key.name, name);
}

TEST(DirtySet, AMarkAfterTheCopysSlotSurvivesIt) {
  DirtySet set(10);
  set.Mark(0, "a", kCause, 5);
  EXPECT_EQ(Take(&set), "0:a");
  set.Mark(0, "a", kCause, 7);  // while the copy of slot 6 is on its way
  EXPECT_FALSE(set.CopyDone({0, "a"}, 6));
  EXPECT_TRUE(set.Contains(0, "a"));
  EXPECT_EQ(Take(&set), "0:a");
  EXPECT_TRUE(set.CopyDone({0, "a"}, 8));
  EXPECT_TRUE(set.clean());
}

// Follows are judged when the secondary answers: the mark comes late, but its slot was before the copy's.
TEST(DirtySet, AMarkBeforeTheCopysSlotIsResolvedByIt) {
  DirtySet set(10);
  set.Mark(0, "a", kCause, 9);
  set.Mark(0, "a", kCause, 5);
  EXPECT_FALSE(set.CopyDone({0, "a"}, 8));
  EXPECT_TRUE(set.CopyDone({0, "a"}, 10));
}

TEST(DirtySet, HandsOutOldestFirstAndOnce) {
  DirtySet set(10);
  set.Mark(0, "a", kCause, 1);
  set.Mark(0, "b", kCause, 2);
  set.Mark(0, "a", kCause, 3);
  EXPECT_EQ(Take(&set), "0:a");
  EXPECT_EQ(Take(&set), "0:b");
  EXPECT_EQ(Take(&set), "");
  EXPECT_EQ(set.size(), 2u);
}

TEST(DirtySet, HandsOutOnceAfterACopyThatNobodyTook) {
  DirtySet set(10);
  set.Mark(0, "a", kCause, 1);
  EXPECT_TRUE(set.CopyDone({0, "a"}, 2));  // a sweep's
  set.Mark(0, "a", kCause, 3);
  EXPECT_EQ(Take(&set), "0:a");
  EXPECT_EQ(Take(&set), "");
}

TEST(DirtySet, BacksOffFrom50MsTo30S) {
  DirtySet set(10);
  set.Mark(0, "a", kCause, 1);
  EXPECT_EQ(Take(&set), "0:a");
  int64_t now = 1000;
  for (int64_t pause : {50, 100, 200, 400, 800, 1600, 3200, 6400, 12'800, 25'600, 30'000, 30'000, 30'000}) {
    set.CopyFailed({0, "a"}, now);
    EXPECT_EQ(Take(&set, now + pause - 1), "") << pause;
    EXPECT_EQ(Take(&set, now + pause), "0:a") << pause;
    now += pause;
  }
}

TEST(DirtySet, AFailureOfWhatIsGoneOrQueuedChangesNothing) {
  DirtySet set(10);
  set.CopyFailed({0, "a"}, 0);
  EXPECT_TRUE(set.clean());
  set.Mark(0, "a", kCause, 1);
  EXPECT_EQ(Take(&set), "0:a");
  set.Mark(0, "a", kCause, 2);
  set.CopyFailed({0, "a"}, 0);
  EXPECT_EQ(Take(&set), "0:a");
  EXPECT_EQ(Take(&set, 1'000'000), "");
}

TEST(DirtySet, DatabasesBeyond65535AreTheirOwn) {
  DirtySet set(10);
  set.Mark(65'536 + 3, "a", kCause, 1);
  EXPECT_TRUE(set.Contains(65'539, "a"));
  EXPECT_FALSE(set.Contains(3, "a"));
  set.SpreadOverDatabases(65'539, 1'000'000, 2);
  EXPECT_EQ(Take(&set), "65539:a");
  EXPECT_EQ(Take(&set), "1000000:a");
  EXPECT_EQ(Take(&set), "");
}

// A place in the waiting queue that was left behind must not cut the next pause short.
TEST(DirtySet, AnOldPauseDoesNotCount) {
  DirtySet set(10);
  set.Mark(0, "a", kCause, 1);
  Take(&set);
  set.CopyFailed({0, "a"}, 0);  // until 50
  EXPECT_TRUE(set.CopyDone({0, "a"}, 2));
  set.Mark(0, "a", kCause, 3);
  EXPECT_EQ(Take(&set, 10), "0:a");
  set.CopyFailed({0, "a"}, 40);  // until 90
  EXPECT_EQ(Take(&set, 60), "");
  EXPECT_EQ(Take(&set, 90), "0:a");
  EXPECT_EQ(Take(&set, 1'000'000), "");
}

TEST(DirtySet, ManyCopiesThatNobodyTookLeaveTheOrderRight) {
  DirtySet set(10);
  set.Mark(0, "first", kCause, 1);
  for (uint64_t i = 2; i < 20'000; i += 2) {
    set.Mark(0, "a", kCause, i);
    EXPECT_TRUE(set.CopyDone({0, "a"}, i + 1));
  }
  set.Mark(0, "last", kCause, 30'000);
  EXPECT_EQ(Take(&set), "0:first");
  EXPECT_EQ(Take(&set), "0:last");
  EXPECT_EQ(Take(&set), "");
}

TEST(DirtySet, I9LongNamesLeaveRoomForFewerKeys) {
  constexpr size_t kKeys = 8;
  DirtySet set(kKeys);
  const auto mark = [&set](char name) { set.Mark(0, std::string(2 * DirtySet::kNameBytes, name), kCause, 1); };
  for (char name : {'a', 'b', 'c'}) mark(name);
  EXPECT_TRUE(set.CopyDone({0, std::string(2 * DirtySet::kNameBytes, 'b')}, 2)) << "which makes room";
  mark('d');
  EXPECT_FALSE(set.everything());
  EXPECT_EQ(set.size(), 3u);
  mark('e');
  EXPECT_TRUE(set.everything());
  EXPECT_EQ(set.size(), 0u);
  EXPECT_TRUE(set.SweepDone(2));
  for (char name : {'a', 'b', 'c'}) mark(name);
  EXPECT_FALSE(set.everything()) << "what was forgotten takes no room";
}

TEST(DirtySet, OverflowsIntoEverything) {
  DirtySet set(2);
  set.Mark(0, "a", kCause, 1);
  set.Mark(0, "b", kCause, 2);
  set.Mark(0, "a", kCause, 3);
  EXPECT_FALSE(set.everything());
  set.Mark(0, "c", kCause, 4);
  EXPECT_TRUE(set.everything());
  EXPECT_EQ(set.overflows(), 1u);
  EXPECT_EQ(set.size(), 0u);
  EXPECT_TRUE(set.Contains(7, "never seen"));
  EXPECT_FALSE(set.Remembers(0, "a"));
  EXPECT_FALSE(set.clean());
  EXPECT_EQ(Take(&set), "");
}

TEST(DirtySet, OnlyASweepBegunAfterwardsCounts) {
  DirtySet set(10);
  EXPECT_FALSE(set.SweepDone(100));  // nothing to make an end of
  set.MarkEverything(50);
  EXPECT_FALSE(set.SweepDone(49));
  EXPECT_TRUE(set.everything());
  set.MarkEverything(60);  // again, while the sweep of 55 runs
  EXPECT_FALSE(set.SweepDone(55));
  EXPECT_TRUE(set.SweepDone(60));
  EXPECT_TRUE(set.clean());
}

TEST(DirtySet, KeysMarkedDuringTheSweepOutliveIt) {
  DirtySet set(10);
  set.MarkEverything(1);
  set.Mark(0, "a", kCause, 20);
  EXPECT_TRUE(set.SweepDone(10));
  EXPECT_FALSE(set.clean());
  EXPECT_TRUE(set.Contains(0, "a"));
  EXPECT_FALSE(set.Contains(0, "b"));
  EXPECT_EQ(Take(&set), "0:a");
}

TEST(DirtySet, EveryCauseHasAName) {
  for (int cause = 0; cause < kDirtyCauses; ++cause) EXPECT_STRNE(Name(static_cast<DirtyCause>(cause)), "");
}

TEST(DirtySet, ASwapKeepsBothDatabases) {
  DirtySet set(10);
  set.Mark(0, "a", kCause, 1);
  set.Mark(1, "b", kCause, 2);
  set.Mark(2, "c", kCause, 3);
  set.SpreadOverDatabases(0, 1, 10);
  for (int db : {0, 1}) {
    EXPECT_TRUE(set.Contains(db, "a")) << db;
    EXPECT_TRUE(set.Contains(db, "b")) << db;
    EXPECT_FALSE(set.Contains(db, "c")) << db;
  }
  EXPECT_EQ(set.size(), 5u);
  // What moved is clean only by a copy behind the swap.
  EXPECT_FALSE(set.CopyDone({1, "a"}, 9));
  EXPECT_TRUE(set.Contains(1, "a"));
  EXPECT_TRUE(set.CopyDone({1, "a"}, 11));
  EXPECT_FALSE(set.Contains(1, "a"));
}

TEST(DirtySet, ASwapOfEverythingOrNothing) {
  DirtySet set(10);
  set.SpreadOverDatabases(0, 1, 1);
  EXPECT_TRUE(set.clean());
  set.MarkEverything(2);
  set.SpreadOverDatabases(0, 1, 3);
  EXPECT_TRUE(set.everything());
  EXPECT_EQ(set.size(), 0u);
}

TEST(DirtySet, ASwapMayOverflow) {
  DirtySet set(3);
  for (const char* key : {"a", "b", "c"}) set.Mark(0, key, kCause, 1);
  set.SpreadOverDatabases(0, 4, 2);
  EXPECT_TRUE(set.everything());
  EXPECT_TRUE(set.Contains(4, "a"));
}

TEST(DirtySet, WhatWasReadLastIsCopiedFirst) {
  DirtySet set(10);
  for (const char* key : {"a", "b", "c", "d"}) set.Mark(0, key, kCause, 1);
  set.Wanted(0, "c");
  set.Wanted(0, "d");
  set.Wanted(0, "nothing");
  EXPECT_EQ(Take(&set), "0:d");
  EXPECT_EQ(Take(&set), "0:c");
  set.Wanted(0, "c");  // its copy is under way
  EXPECT_EQ(Take(&set), "0:a");
  EXPECT_EQ(Take(&set), "0:b");
  EXPECT_EQ(Take(&set), "");
}

TEST(DirtySet, WantingAKeyDoesNotShortenItsPause) {
  DirtySet set(10);
  set.Mark(0, "a", kCause, 1);
  EXPECT_EQ(Take(&set), "0:a");
  set.CopyFailed({0, "a"}, 0);
  set.Wanted(0, "a");
  EXPECT_EQ(Take(&set, 49), "");
  EXPECT_EQ(Take(&set, 50), "0:a");
  set.CopyFailed({0, "a"}, 50);
  EXPECT_EQ(Take(&set, 149), "");
  set.Mark(0, "b", kCause, 1);
  EXPECT_EQ(Take(&set, 150), "0:b");
  set.Wanted(0, "a");  // its pause is over now
  EXPECT_EQ(Take(&set, 150), "0:a");
}

TEST(DirtySet, WantedAgainAndAgainCostsNoMemory) {
  DirtySet set(10);
  set.Mark(0, "a", kCause, 1);
  for (int i = 0; i < 100'000; ++i) set.Wanted(0, "a");
  EXPECT_EQ(Take(&set), "0:a");
  EXPECT_EQ(Take(&set), "");
}

TEST(DirtySet, KeysOfOtherStoresAreForgotten) {
  DirtySet set(10);
  set.Mark(0, "a", kCause, 1);
  set.Forget();
  EXPECT_TRUE(set.clean());
  set.MarkEverything(1);
  set.Forget();
  EXPECT_TRUE(set.clean());
  EXPECT_EQ(Take(&set), "");
}

}  // namespace
}  // namespace crossfade
