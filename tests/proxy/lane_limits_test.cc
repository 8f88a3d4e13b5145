// What the lane may hold for either store, who is told when that is too much, and that all of it is given back (which
// every test of the lane looks at when it ends).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using Holder = MemoryAccount::Holder;

Config SmallLimits() {
  Config config = TestConfig();
  config.limits.primary_commands = 8;
  config.limits.primary_queue_bytes = 100'000;
  config.repair.enabled = false;
  return config;
}

class LaneLimitsTest : public testing::Test {
 protected:
  LaneLimitsTest() { w.Start(); }
  void TearDown() override { w.ExpectQuiet(); }
  void AnswerBoth() {
    w.old_store.ReplyToAll(kOk);
    w.new_store.ReplyToAll(kOk);
  }
  LaneWorld w{SmallLimits()};
};

TEST_F(LaneLimitsTest, I9SoManyCommandsThatClientsMustWait) {
  for (int i = 0; i < 7; ++i) w.Send(1, {"SET", "k", "v"});
  EXPECT_FALSE(w.lane->full());
  w.Send(1, {"GET", "k"});
  EXPECT_TRUE(w.lane->full());
  w.old_store.Reply(kOk);
  EXPECT_TRUE(w.lane->full());
  EXPECT_EQ(w.room, 0);
  w.old_store.Reply(kOk);
  EXPECT_FALSE(w.lane->full());
  EXPECT_EQ(w.room, 1);
  EXPECT_EQ(w.lane->primary_commands().reached(), 1u);
  AnswerBoth();
  EXPECT_EQ(w.room, 1);
}

TEST_F(LaneLimitsTest, I9SoManyBytesThatClientsMustWait) {
  w.Send(1, {"SET", "k", std::string(60'000, 'x')});
  EXPECT_FALSE(w.lane->full());
  w.Send(1, {"SET", "k", std::string(60'000, 'x')});
  EXPECT_TRUE(w.lane->full());
  EXPECT_GE(w.account.held(Holder::kPrimary), 120'000u);
  w.Send(1, {"SET", "k", "v"});  // what is submitted all the same is sent
  w.old_store.Reply(kOk);
  EXPECT_FALSE(w.lane->full());
  EXPECT_EQ(w.room, 1);
  AnswerBoth();
}

TEST_F(LaneLimitsTest, APrimaryThatBreaksMakesRoom) {
  for (int i = 0; i < 4; ++i) {
    w.Send(1, {"SET", "k", "v"});
    w.Send(2, {"GET", "k"});
  }
  EXPECT_TRUE(w.lane->full());
  w.old_store.Close();
  EXPECT_FALSE(w.lane->full());
  EXPECT_EQ(w.room, 1);
  w.old_store.Connect();
  EXPECT_EQ(w.lane->primary_commands().used(), 4u);  // the reads, asked again
  w.old_store.ReplyToAll(kNil);
}

TEST_F(LaneLimitsTest, WhatWaitsForTheSecondaryIsHeldOnceThePrimaryHasAnswered) {
  w.Send(1, {"SET", "k", std::string(50'000, 'x')});
  EXPECT_EQ(w.account.held(Holder::kSecondary), 0u);
  w.old_store.Reply(kOk);
  EXPECT_EQ(w.account.held(Holder::kPrimary), 0u);
  EXPECT_GE(w.account.held(Holder::kSecondary), 100'000u);  // the request, and what the secondary gets
  w.new_store.Reply(kOk);
}

TEST_F(LaneLimitsTest, RepliesThatWaitForTheOtherSideAreHeld) {
  w.Send(1, {"GET", "a"}, kCompared);
  w.old_store.Reply(Bulk(std::string(30'000, 'x')));
  EXPECT_GE(w.account.held(Holder::kSecondary), 30'000u);
  w.new_store.Reply(Bulk(std::string(30'000, 'x')));
  EXPECT_EQ(w.account.sum().used(), 0u);
  w.Send(1, {"GET", "b"}, kCompared);
  w.new_store.Reply(Bulk(std::string(30'000, 'x')));
  EXPECT_GE(w.account.held(Holder::kPrimary), 30'000u);
  w.old_store.Reply(Bulk(std::string(30'000, 'x')));
}

TEST_F(LaneLimitsTest, I9ShedGivesBackWhatTheSecondaryHasNotBeenSent) {
  w.new_store.peer()->stalled = true;
  for (int i = 0; i < 40; ++i) {
    w.Send(1, {"SET", "k" + std::to_string(i), std::string(60'000, 'x')});
    w.old_store.Reply(kOk);
  }
  const size_t held = w.account.held(Holder::kSecondary);
  EXPECT_GE(held, 40u * 120'000);
  w.lane->Shed();
  EXPECT_LT(w.account.held(Holder::kSecondary), held * 3 / 4);
  EXPECT_TRUE(w.IsDirty("k39"));
  EXPECT_FALSE(w.IsDirty("k0"));  // it was sent
  EXPECT_EQ(w.counters.queue_overflows, 1u);
  w.new_store.peer()->Drain();
  w.new_store.ReplyToAll(kOk);
}

TEST_F(LaneLimitsTest, WithoutMemoryNothingIsCopied) {
  EXPECT_TRUE(w.lane->CanCopy());
  w.account.set_limit(1000);
  MemoryShare share(&w.account, Holder::kOutput);
  share.Set(1000);
  EXPECT_FALSE(w.lane->CanCopy());
}

TEST_F(LaneLimitsTest, NewLimitsCountAtOnce) {
  for (int i = 0; i < 8; ++i) w.Send(1, {"SET", "k", "v"});
  EXPECT_TRUE(w.lane->full());
  w.config.limits.primary_commands = 1000;
  w.lane->LimitsChanged();
  EXPECT_FALSE(w.lane->full());
  EXPECT_EQ(w.room, 1);
  AnswerBoth();
}

}  // namespace
}  // namespace crossfade
