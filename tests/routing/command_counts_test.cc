#include "routing/command_counts.h"

#include <map>
#include <set>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace crossfade {
namespace {

using ::testing::AnyOf;

std::map<std::pair<std::string, std::string>, uint64_t> Counted(const CommandCounts& counts) {
  std::map<std::pair<std::string, std::string>, uint64_t> found;
  for (const auto& entry : counts.ByFamilyAndRoute()) {
    EXPECT_TRUE(found.emplace(std::pair{std::string(entry.family), std::string(entry.route)}, entry.count).second)
        << entry.family << " " << entry.route << " is there twice";
  }
  return found;
}

// What has no dot in its name is not a module's, but for the commands that the table takes for no container's.
TEST(CommandCountsTest, EachCommandOfTheTableHasAFamily) {
  for (const CommandRow& row : AllCommands()) {
    const bool dotted = row.name.find('.') != std::string_view::npos;
    EXPECT_EQ(FamilyOf(row) == "module", dotted) << row.name << " is taken for " << FamilyOf(row);
  }
}

TEST(CommandCountsTest, FamiliesAreTheServers) {
  const std::pair<const char*, const char*> expected[] = {{"get", "string"},        {"hset", "hash"},
                                                          {"zadd", "sorted_set"},   {"xgroup|create", "stream"},
                                                          {"set", "string"},        {"sort", "generic"},
                                                          {"sort_ro", "generic"},   {"setbit", "bitmap"},
                                                          {"exec", "transactions"}, {"client|list", "connection"},
                                                          {"eval", "scripting"},    {"memory|usage", "server"},
                                                          {"pfadd", "hyperloglog"}, {"geoadd", "geo"},
                                                          {"publish", "pubsub"},    {"json.get", "module"}};
  for (const auto& [name, family] : expected) {
    ASSERT_NE(FindCommandByName(name), nullptr) << name;
    EXPECT_EQ(FamilyOf(*FindCommandByName(name)), family) << name;
  }
}

TEST(CommandCountsTest, CountsByFamilyAndRoute) {
  CommandCounts counts;
  const auto before = Counted(counts);
  for (const char* name : {"get", "get", "strlen", "set", "hset"}) counts.Count(FindCommandByName(name));
  auto after = Counted(counts);
  EXPECT_EQ((after[{"string", "read"}]), 3u);
  EXPECT_EQ((after[{"string", "write"}]), 1u);
  EXPECT_EQ((after[{"hash", "write"}]), 1u);
  // What is told doesn't depend on what came.
  EXPECT_EQ(before.size(), after.size());
  uint64_t sum = 0;
  for (const auto& [key, count] : after) sum += count;
  EXPECT_EQ(sum, 5u);
}

TEST(CommandCountsTest, WhatTheTableLacksIsCountedToo) {
  CommandCounts counts;
  CommandRow module = *FindCommandByName("set");
  module.name = "their.set";
  counts.Count(&module);
  counts.Count(nullptr);
  counts.Count(nullptr);
  auto found = Counted(counts);
  EXPECT_EQ((found[{"module", "write"}]), 1u);
  EXPECT_EQ((found[{"string", "write"}]), 0u);
  EXPECT_EQ((found[{"unknown", "unknown"}]), 2u);
}

TEST(CommandCountsTest, EachRouteHasAName) {
  std::set<std::string> names;
  for (const CommandRow& row : AllCommands()) names.insert(Name(row.route));
  EXPECT_EQ(names.count(""), 0u);
  EXPECT_GE(names.size(), 8u);
}

TEST(CommandCountsTest, NamesOfComparedCommandsAreBounded) {
  std::set<std::string_view> names;
  for (const CommandRow& row : AllCommands()) names.insert(ComparedName(row.name));
  EXPECT_LE(names.size(), kMaxComparedNames);
  EXPECT_GT(names.size(), 50u);
  EXPECT_EQ(ComparedName("get"), "get");
  EXPECT_EQ(ComparedName("xinfo|stream"), "xinfo|stream");
  for (const char* name : {"set", "json.get", "no such command", "", "scan"}) EXPECT_EQ(ComparedName(name), "other");
}

}  // namespace
}  // namespace crossfade
