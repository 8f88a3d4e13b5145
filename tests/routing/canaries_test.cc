#include "routing/canaries.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace crossfade {
namespace {

TEST(Canaries, OneOfEveryTypeEachWithAnEnd) {
  const auto canaries = MakeCanaries(255);
  std::set<ValueType> types;
  for (const Canary& canary : canaries) {
    types.insert(canary.type);
    EXPECT_TRUE(canary.key.starts_with("__crossfade:check:00000000000000ff:"));
    EXPECT_TRUE(IsTemporaryName(canary.key));
    EXPECT_EQ(canary.make.back().front(), "PEXPIRE");
    EXPECT_EQ(canary.read.back().front(), "PTTL");
    // No other key is touched.
    for (const auto* commands : {&canary.make, &canary.read}) {
      for (const auto& words : *commands) EXPECT_THAT(words, testing::Contains(canary.key));
    }
  }
  EXPECT_EQ(types.size(), 6u);
  EXPECT_NE(MakeCanaries(1)[0].key, canaries[0].key);
}

TEST(Canaries, ReadingsAgreeAsTheirTypeDoes) {
  const auto canaries = MakeCanaries(1);
  const Canary *set = nullptr, *list = nullptr;
  for (const Canary& canary : canaries) {
    if (canary.type == ValueType::kSet) set = &canary;
    if (canary.type == ValueType::kList) list = &canary;
  }
  const std::string ab = "*2\r\n$1\r\na\r\n$1\r\nb\r\n", ba = "*2\r\n$1\r\nb\r\n$1\r\na\r\n";
  const auto agree = [](const Canary& canary, std::vector<std::string> a, std::vector<std::string> b) {
    std::string what;
    return ReadingsAgree(canary, a, b, 2000, &what) ? "" : what;
  };
  EXPECT_EQ(agree(*set, {ab, ":60000\r\n"}, {ba, ":59500\r\n"}), "");
  EXPECT_EQ(agree(*list, {ab, ":60000\r\n"}, {ba, ":60000\r\n"}), "LRANGE");
  EXPECT_EQ(agree(*list, {ab, ":60000\r\n"}, {ab, ":-1\r\n"}), "PTTL");
  EXPECT_EQ(agree(*list, {ab, ":60000\r\n"}, {ab, ":50000\r\n"}), "PTTL");
  EXPECT_EQ(agree(*list, {"-ERR no\r\n", ":60000\r\n"}, {"-ERR no\r\n", ":60000\r\n"}), "LRANGE");
  EXPECT_EQ(agree(*list, {ab}, {ab}), "PTTL");
}

TEST(Canaries, VersionOfADump) {
  EXPECT_EQ(RdbVersion(std::string("$13\r\n\0\1a\x0a\0", 10) + "checksum\r\n"), 10);
  EXPECT_EQ(RdbVersion(std::string("$13\r\n\0\1a\x50\0", 10) + "checksum\r\n"), 80);
  EXPECT_EQ(RdbVersion("$-1\r\n"), 0);
  EXPECT_EQ(RdbVersion("-NOPERM\r\n"), 0);
  EXPECT_EQ(RdbVersion("$3\r\nabc\r\n"), 0);
}

}  // namespace
}  // namespace crossfade
