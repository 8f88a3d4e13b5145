#include "routing/coverage.h"

#include <string>

#include "fmt/format.h"
#include "gtest/gtest.h"

namespace crossfade {
namespace {

TEST(CoverageTest, PrefixesEndWithTheFirstColon) {
  EXPECT_EQ(Coverage::PrefixOf("user:1:name"), "user:");
  EXPECT_EQ(Coverage::PrefixOf(":"), ":");
  EXPECT_EQ(Coverage::PrefixOf("user"), "(none)");
  EXPECT_EQ(Coverage::PrefixOf(""), "(none)");
  EXPECT_EQ(Coverage::PrefixOf(std::string(63, 'x') + ":"), std::string(63, 'x') + ":");
  EXPECT_EQ(Coverage::PrefixOf(std::string(64, 'x') + ":"), "(none)");
}

TEST(CoverageTest, CountsByCommandAndByPrefix) {
  Coverage coverage;
  coverage.Count({.reads = 1}, "get", "user:1", false);
  coverage.Count({.reads = 1}, "mget", "user:2", false);
  coverage.Count({.compared = 1}, "get", "user:1", false);
  coverage.Count({.writes = 1}, "flushall", "", true);
  EXPECT_EQ(coverage.by_command().at("get").reads, 1u);
  EXPECT_EQ(coverage.by_command().at("get").compared, 1u);
  EXPECT_EQ(coverage.by_prefix().at("user:").reads, 2u);
  EXPECT_EQ(coverage.by_prefix().at("(no key)").writes, 1u);
  EXPECT_EQ(coverage.by_command().size(), 3u);
}

TEST(CoverageTest, NamesThatAreMadeUpCostNoMemory) {
  Coverage coverage;
  for (int i = 0; i < 10'000; ++i) {
    coverage.Count({.reads = 1}, fmt::format("c{}", i), fmt::format("p{}:", i), false);
  }
  EXPECT_LE(coverage.by_command().size(), Coverage::kMaxCommands + 1);
  EXPECT_LE(coverage.by_prefix().size(), Coverage::kMaxPrefixes + 1);
  EXPECT_EQ(coverage.by_prefix().at("(other)").reads, 10'000 - Coverage::kMaxPrefixes);
  EXPECT_EQ(coverage.by_command().at("(other)").reads, 10'000 - Coverage::kMaxCommands);
}

}  // namespace
}  // namespace crossfade
