#include "proxy/settle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kString = "+string\r\n";
const std::string kNone = "+none\r\n";

class SettleTest : public LaneWorldTest {
 protected:
  SettleTest() {
    w.config.repair.enabled = false;
    w.config.limits.settle_keys = 4;
    w.config.settle = {.share = 25, .quiet_ms = 100, .keys_per_second = 1000};
    w.Start();
    check_ = std::make_unique<KeyCheck>(&w.io, &w.config.limits, w.lane.get());
    settle_ = std::make_unique<Settle>(&w.io, &w.config, &w.migration, &w.dirty, &w.counters, w.lane.get(),
                                       check_.get(), [this] { ++woken_; });
  }
  void TearDown() override {
    EXPECT_EQ(settle_->in_flight(), 0u);
    const Counters& c = w.counters;
    EXPECT_EQ(c.settle_checked, c.settle_equal + c.settle_differed + c.settle_too_big + c.settle_not_comparable);
    LaneWorldTest::TearDown();
  }
  // The keys whose checks have begun since the last look.
  std::vector<std::string> Begun() {
    std::vector<std::string> keys;
    for (const std::string& command : old_store().Sent()) {
      if (command.starts_with("TYPE ")) keys.push_back(command.substr(5));
    }
    return keys;
  }
  void AnswerLook() {
    old_store().Replies({kString, Int(-1), Int(60)});
    new_store().Replies({kString, Int(-1), Int(60)});
  }
  void AnswerValues(const std::string& primary, const std::string& secondary, int64_t primary_ttl = -1) {
    old_store().Replies({kString, Int(primary_ttl), Bulk(primary)});
    new_store().Replies({kString, Int(-1), Bulk(secondary)});
  }
  void AnswerGone() {
    old_store().Replies({kNone, Int(-2), kNil});
    new_store().Replies({kNone, Int(-2), kNil});
  }

  std::unique_ptr<KeyCheck> check_;
  std::unique_ptr<Settle> settle_;
  int woken_ = 0;
};

TEST_F(SettleTest, AQuietKeyIsComparedOnce) {
  settle_->Touch(0, "k");
  w.Advance(99);
  EXPECT_THAT(Begun(), IsEmpty());
  w.Advance(1);
  EXPECT_THAT(Begun(), ElementsAre("k"));
  AnswerLook();
  AnswerValues("1", "1");
  EXPECT_EQ(w.counters.settle_equal, 1u);
  EXPECT_EQ(w.counters.settle_checked, 1u);
  EXPECT_TRUE(w.dirty.clean());
  old_store().Sent();
  w.Advance(5000);
  EXPECT_THAT(Begun(), IsEmpty());
  EXPECT_EQ(settle_->waiting(), 0u);
}

TEST_F(SettleTest, I2AKeyThatDiffersIsMadeDirty) {
  settle_->Touch(0, "k");
  w.Advance(100);
  AnswerLook();
  AnswerValues("1", "2");
  EXPECT_EQ(w.counters.settle_differed, 1u);
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_EQ(w.dirty.marked(DirtyCause::kSettleDiffered), 1u);
  EXPECT_EQ(woken_, 1);
  EXPECT_TRUE(w.dirty.CopyDone({0, "k"}, w.lane->next_order()));  // a later copy makes it clean
}

TEST_F(SettleTest, EachTouchPostponesIt) {
  settle_->Touch(0, "a");
  settle_->Touch(0, "b");
  w.Advance(60);
  settle_->Touch(0, "a");
  EXPECT_EQ(settle_->waiting(), 2u);
  w.Advance(40);
  EXPECT_THAT(Begun(), ElementsAre("b"));
  AnswerGone();
  w.Advance(59);
  EXPECT_THAT(Begun(), IsEmpty());
  w.Advance(1);
  EXPECT_THAT(Begun(), ElementsAre("a"));
  AnswerGone();
  EXPECT_EQ(w.counters.settle_equal, 2u);
}

TEST_F(SettleTest, TouchedDuringItsCheckItIsCheckedAgain) {
  settle_->Touch(0, "k");
  w.Advance(100);
  settle_->Touch(0, "k");
  EXPECT_THAT(Begun(), ElementsAre("k"));
  AnswerGone();
  w.Advance(100);
  EXPECT_THAT(Begun(), ElementsAre("k"));
  AnswerGone();
  EXPECT_EQ(w.counters.settle_checked, 2u);
}

TEST_F(SettleTest, WhatIsNotProvedYetIsKnown) {
  EXPECT_FALSE(settle_->Waits(0, "k"));
  settle_->Touch(0, "k");
  EXPECT_TRUE(settle_->Waits(0, "k"));
  EXPECT_FALSE(settle_->Waits(1, "k"));
  w.Advance(100);
  EXPECT_EQ(settle_->waiting(), 0u);
  EXPECT_TRUE(settle_->Waits(0, "k")) << "its check has not ended";
  AnswerGone();
  EXPECT_FALSE(settle_->Waits(0, "k"));
}

TEST_F(SettleTest, SwappedDatabasesTakeTheirKeysAlong) {
  settle_->Touch(0, "checked");
  w.Advance(100);
  settle_->Touch(3, "waiting");
  settle_->Touch(7, "elsewhere");
  const Request swap = MakeRequest({"SWAPDB", "3", "0"});
  settle_->DatabasesSwapped(swap.view());
  EXPECT_TRUE(settle_->Waits(0, "waiting"));
  EXPECT_FALSE(settle_->Waits(3, "waiting"));
  EXPECT_TRUE(settle_->Waits(7, "elsewhere"));
  EXPECT_TRUE(settle_->Waits(3, "checked"));
  AnswerGone();
  EXPECT_TRUE(settle_->Waits(3, "checked")) << "what was compared is no longer there";
}

TEST_F(SettleTest, DatabasesAreApart) {
  old_store().Close();
  new_store().Close();
  old_store().databases = new_store().databases = 300;
  old_store().Connect();
  new_store().Connect();
  settle_->Touch(0, "k");
  settle_->Touch(299, "k");
  EXPECT_EQ(settle_->waiting(), 2u);
  w.Advance(100);
  AnswerGone();
  EXPECT_THAT(new_store().Sent(), ElementsAre("TYPE k", "PTTL k", "MEMORY USAGE k SAMPLES 5", "SELECT 299", "TYPE k",
                                              "PTTL k", "MEMORY USAGE k SAMPLES 5"));
  old_store().Reply(kOk);
  new_store().Reply(kOk);
  AnswerGone();
}

TEST_F(SettleTest, ADirtyKeyIsLeftToItsRepair) {
  settle_->Touch(0, "k");
  w.dirty.Mark(0, "k", DirtyCause::kMiss, 1);
  w.Advance(1000);
  EXPECT_THAT(Begun(), IsEmpty());
  EXPECT_EQ(settle_->waiting(), 0u);
  settle_->Touch(0, "j");
  w.Advance(100);
  w.dirty.Mark(0, "j", DirtyCause::kRefused, w.lane->next_order());  // while it is checked
  AnswerLook();
  AnswerValues("1", "2");
  EXPECT_EQ(w.counters.settle_differed, 0u);
  EXPECT_EQ(w.dirty.marked(DirtyCause::kSettleDiffered), 0u);
}

TEST_F(SettleTest, WaitsWhileNothingCanBeCompared) {
  settle_->Touch(0, "k");
  w.migration.synced = Synced::kCopying;
  w.Advance(1000);
  w.migration.synced = Synced::kYes;
  w.migration.routing.secondary = SecondaryMode::kJournal;
  w.Advance(1000);
  w.migration.routing.secondary = SecondaryMode::kFollow;
  w.migration.distrust = "the primary came back empty";
  w.Advance(1000);
  w.migration.distrust.clear();
  settle_->set_paused(true);
  w.Advance(1000);
  settle_->set_paused(false);
  w.dirty.MarkEverything(5);
  w.Advance(1000);
  EXPECT_THAT(Begun(), IsEmpty());
  EXPECT_EQ(settle_->waiting(), 1u);
  EXPECT_TRUE(w.dirty.SweepDone(6));
  w.Advance(200);
  EXPECT_THAT(Begun(), ElementsAre("k"));
  AnswerGone();
}

TEST_F(SettleTest, WaitsForAStoreThatIsAway) {
  new_store().Close();
  settle_->Touch(0, "k");
  w.Advance(2000);
  EXPECT_THAT(Begun(), IsEmpty());
  EXPECT_EQ(settle_->waiting(), 1u);
  new_store().Connect();
  w.Advance(200);
  EXPECT_THAT(Begun(), ElementsAre("k"));
  new_store().Close();  // in the middle of it
  old_store().ReplyToAll(Int(1));
  EXPECT_EQ(settle_->waiting(), 1u);
  new_store().Connect();
  w.Advance(300);
  EXPECT_THAT(Begun(), ElementsAre("k"));
  AnswerGone();
  EXPECT_EQ(w.counters.settle_checked, 1u);
}

TEST_F(SettleTest, I7AnExpiringKeyIsLookedAtOnceMore) {
  settle_->Touch(0, "k");
  w.Advance(100);
  AnswerLook();
  AnswerValues("1", "2", /*primary_ttl=*/50);
  EXPECT_EQ(w.counters.settle_checked, 0u);
  old_store().Sent();
  w.Advance(100);
  EXPECT_THAT(Begun(), ElementsAre("k"));
  AnswerGone();
  EXPECT_EQ(w.counters.settle_equal, 1u);
}

TEST_F(SettleTest, WhatCantBeComparedIsCounted) {
  settle_->Touch(0, "large");
  w.Advance(100);
  old_store().Replies({kString, Int(-1), Int(2 << 20)});
  new_store().Replies({kString, Int(-1), Int(2 << 20)});
  settle_->Touch(0, "refused");
  w.Advance(100);
  old_store().Replies({"-NOPERM no\r\n", Int(-1), Int(60)});
  new_store().Replies({kString, Int(-1), Int(60)});
  EXPECT_EQ(w.counters.settle_too_big, 1u);
  EXPECT_EQ(w.counters.settle_not_comparable, 1u);
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(SettleTest, I9LongNamesLeaveRoomForFewerKeys) {
  for (char name : {'a', 'b', 'c'}) settle_->Touch(0, std::string(500, name));
  EXPECT_EQ(settle_->waiting(), 2u);
  EXPECT_EQ(w.counters.settle_left_out, 1u);
  w.Advance(100);
  for (int i = 0; i < 2; ++i) AnswerGone();
  settle_->Touch(0, std::string(1000, 'd'));
  EXPECT_EQ(settle_->waiting(), 1u) << "there is room again";
}

TEST_F(SettleTest, I9BeyondTheLimitKeysAreLeftOut) {
  for (const char* key : {"a", "b", "c", "d", "e", "f"}) settle_->Touch(0, key);
  settle_->Touch(0, "a");  // waits already
  EXPECT_EQ(settle_->waiting(), 4u);
  EXPECT_EQ(w.counters.settle_left_out, 2u);
  w.Advance(100);
  EXPECT_THAT(Begun(), ElementsAre("b", "c", "d", "a"));
  for (int i = 0; i < 4; ++i) AnswerGone();
}

TEST_F(SettleTest, AtMostSoManyInASecond) {
  w.config.limits.settle_keys = 1000;
  w.config.settle.keys_per_second = 20;
  for (int i = 0; i < 100; ++i) settle_->Touch(0, std::to_string(i));
  const auto run = [this](int64_t ms) {
    size_t begun = 0;
    for (int64_t t = 0; t < ms; t += 10) {
      w.Advance(10);
      const size_t now = Begun().size();
      for (size_t i = 0; i < now; ++i) AnswerGone();
      begun += now;
    }
    return begun;
  };
  run(100);
  const size_t begun = run(1000);
  EXPECT_GE(begun, 19u);
  EXPECT_LE(begun, 21u);
  EXPECT_GT(settle_->waiting(), 50u);
  run(10'000);
  EXPECT_EQ(settle_->waiting(), 0u);
  EXPECT_EQ(w.counters.settle_checked, 100u);
}

TEST_F(SettleTest, I9ChecksUnderWayAreBounded) {
  w.config.limits.settle_keys = 1000;
  w.config.settle.keys_per_second = 1'000'000;
  for (int i = 0; i < 100; ++i) settle_->Touch(0, std::to_string(i));
  w.Advance(1000);
  EXPECT_EQ(settle_->in_flight(), 32u);
  EXPECT_EQ(settle_->waiting(), 68u);
  while (settle_->waiting() + settle_->in_flight() > 0) {
    while (settle_->in_flight() > 0) AnswerGone();
    w.Advance(10);
  }
  EXPECT_EQ(w.counters.settle_checked, 100u);
}

TEST_F(SettleTest, AShareOfOtherWritesIsTouched) {
  settle_->Sample(0, "a", 0);
  settle_->Sample(0, "b", uint64_t{1} << 62);           // 25 %: not less
  settle_->Sample(0, "c", (uint64_t{1} << 62) - 4096);  // just less
  settle_->Sample(0, "d", UINT64_MAX);
  EXPECT_EQ(settle_->waiting(), 2u);
  w.config.settle.share = 0;
  settle_->Sample(0, "e", 0);
  EXPECT_EQ(settle_->waiting(), 2u);
  w.config.settle.share = 100;
  settle_->Sample(0, "f", UINT64_MAX);
  EXPECT_EQ(settle_->waiting(), 3u);
  w.Advance(100);
  EXPECT_THAT(Begun(), ElementsAre("a", "c", "f"));
  for (int i = 0; i < 3; ++i) AnswerGone();
}

}  // namespace
}  // namespace crossfade
