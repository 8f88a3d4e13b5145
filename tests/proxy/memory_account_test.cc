#include "proxy/memory_account.h"

#include <gtest/gtest.h>

#include <memory>

namespace crossfade {
namespace {

using Holder = MemoryAccount::Holder;

TEST(BoundedSum, IsFullFromTheLimitDownToSevenEighths) {
  BoundedSum sum(800);
  sum.Add(799);
  EXPECT_FALSE(sum.full());
  sum.Add(1);
  EXPECT_TRUE(sum.full());
  sum.Add(100);
  EXPECT_FALSE(sum.Subtract(200));  // 700: not below the mark
  EXPECT_TRUE(sum.full());
  EXPECT_TRUE(sum.Subtract(1));  // told once
  EXPECT_FALSE(sum.full());
  EXPECT_FALSE(sum.Subtract(1));
  EXPECT_EQ(sum.used(), 698u);
  EXPECT_EQ(sum.peak(), 900u);
  EXPECT_EQ(sum.reached(), 1u);
  sum.Add(200);
  EXPECT_EQ(sum.reached(), 2u);
}

TEST(BoundedSum, ANewLimitCountsAtOnce) {
  BoundedSum sum(100);
  sum.Add(50);
  sum.set_limit(40);
  EXPECT_TRUE(sum.full());
  EXPECT_EQ(sum.reached(), 1u);
  sum.set_limit(57);  // 50 is its mark
  EXPECT_TRUE(sum.full());
  sum.set_limit(1000);
  EXPECT_FALSE(sum.full());
}

class MemoryAccountTest : public testing::Test {
 protected:
  int filled_ = 0, emptied_ = 0;
  MemoryAccount account_{1000, [this] { ++filled_; }, [this] { ++emptied_; }};
};

TEST_F(MemoryAccountTest, SharesAddUpAndGiveBackWhatTheyHeld) {
  MemoryShare input(&account_, Holder::kInput);
  auto output = std::make_unique<MemoryShare>(&account_, Holder::kOutput);
  input.Set(100);
  output->Set(300);
  output->Add(50);
  input.Set(20);
  EXPECT_EQ(account_.sum().used(), 370u);
  EXPECT_EQ(account_.held(Holder::kInput), 20u);
  EXPECT_EQ(account_.of_clients(), 370u);
  output.reset();
  EXPECT_EQ(account_.sum().used(), 20u);
  EXPECT_EQ(account_.held(Holder::kOutput), 0u);
  EXPECT_EQ(account_.sum().peak(), 450u);
}

TEST_F(MemoryAccountTest, I9ItTellsWhenItIsFullAndWhenThereIsRoomAgain) {
  MemoryShare share(&account_, Holder::kPrimary);
  share.Set(999);
  EXPECT_EQ(filled_, 0);
  share.Set(1000);
  EXPECT_TRUE(share.account_full());
  share.Set(5000);
  EXPECT_EQ(filled_, 1);
  share.Set(900);
  EXPECT_EQ(emptied_, 0);
  share.Set(874);
  EXPECT_EQ(emptied_, 1);
  EXPECT_FALSE(share.account_full());
  account_.set_limit(500);
  EXPECT_EQ(filled_, 2);
  account_.set_limit(2000);
  EXPECT_EQ(emptied_, 2);
}

TEST_F(MemoryAccountTest, AShareWithoutAnAccountOnlyRemembers) {
  MemoryShare share;
  share.Set(7);
  EXPECT_EQ(share.bytes(), 7u);
  EXPECT_FALSE(share.account_full());
}

}  // namespace
}  // namespace crossfade
