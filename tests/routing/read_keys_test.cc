#include "routing/read_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST(ReadKeysTest, AKeyIsTakenOnceForAllWhoHaveReadIt) {
  ReadKeys keys(100, 100);
  EXPECT_TRUE(keys.Remember(1, "a"));
  EXPECT_TRUE(keys.Remember(2, "a"));
  EXPECT_TRUE(keys.Remember(2, "b"));
  EXPECT_TRUE(keys.Remember(2, "b"));
  EXPECT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys.size(2), 2u);
  EXPECT_THAT(keys.Take("a"), UnorderedElementsAre(1, 2));
  EXPECT_THAT(keys.Take("a"), IsEmpty());
  EXPECT_THAT(keys.Take("never"), IsEmpty());
  EXPECT_EQ(keys.size(), 1u);
  EXPECT_TRUE(keys.Remember(1, "a"));
  EXPECT_THAT(keys.Take("a"), ElementsAre(1));
}

TEST(ReadKeysTest, OneOrAllForget) {
  ReadKeys keys(1000, 1000);
  for (int i = 0; i < 200; ++i) {
    for (uint64_t client : {1, 2, 3}) keys.Remember(client, "key " + std::to_string(i));
  }
  keys.Forget(2);
  keys.Forget(7);
  EXPECT_EQ(keys.size(), 400u);
  EXPECT_EQ(keys.size(2), 0u);
  EXPECT_THAT(keys.Take("key 17"), UnorderedElementsAre(1, 3));
  keys.Clear();
  EXPECT_EQ(keys.size(), 0u);
  EXPECT_THAT(keys.Take("key 18"), IsEmpty());
}

TEST(ReadKeysTest, WhoHasTooManyOrMostOfAllMustForget) {
  ReadKeys keys(5, 3);
  for (std::string_view key : {"a", "b", "c"}) EXPECT_TRUE(keys.Remember(1, key));
  EXPECT_FALSE(keys.Remember(1, "d"));  // its own limit
  EXPECT_EQ(keys.Victim(1), 1u);
  EXPECT_TRUE(keys.Remember(1, "a"));  // it has that
  EXPECT_TRUE(keys.Remember(2, "a"));
  EXPECT_TRUE(keys.Remember(2, "e"));
  EXPECT_FALSE(keys.Remember(2, "f"));  // the limit of all
  EXPECT_EQ(keys.Victim(2), 1u);
  EXPECT_EQ(keys.size(), 5u);
  keys.Forget(1);
  EXPECT_TRUE(keys.Remember(2, "f"));
}

}  // namespace
}  // namespace crossfade
