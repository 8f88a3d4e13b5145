#include "conf/config_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "conf/config_loader.h"
#include "tests/conf/parsing.h"

namespace crossfade {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Config WithStores(const std::string& text) {
  auto config =
      ParseConfig("[backends]\nold.url = \"redis://u:s3cret@a\"\nnew.url = \"redis://b\"\n" + text, "c.toml", {});
  EXPECT_TRUE(config.ok()) << config.status();
  return *config;
}

TEST(ConfigKeys, EveryKeyOfTheSampleIsListed) {
  std::ifstream sample(kSamplePath);
  ASSERT_TRUE(sample);
  std::set<std::string> expected;
  std::string line, section;
  while (std::getline(sample, line)) {
    if (line.starts_with("[")) section = line.substr(1, line.find(']') - 1) + ".";
    const size_t equals = line.find(" = ");
    if (!line.starts_with("#") && equals != std::string::npos) expected.insert(section + line.substr(0, equals));
  }
  EXPECT_GT(expected.size(), 40u);
  std::set<std::string> listed;
  for (const ConfigKey& key : ListKeys(*LoadConfig(kSamplePath, {}))) {
    EXPECT_TRUE(listed.insert(key.name).second) << key.name << " twice";
  }
  EXPECT_EQ(listed, expected);
}

TEST(ConfigKeys, NoPasswordIsShown) {
  for (const ConfigKey& key : ListKeys(WithStores(""))) EXPECT_THAT(key.value, Not(HasSubstr("s3cret"))) << key.name;
}

TEST(ConfigKeys, WhatIsTakenOverIsTheSameAfterwards) {
  Config running = WithStores("");
  const Config fresh = WithStores(R"(
[listen]
admin_commands = true
[[rule]]
prefix = "a:"
reads_new = 5
[scripts]
mode = "copy"
[[script]]
name = "f"
mode = "copy"
[settle]
share = 3
[repair]
enabled = false
[backfill]
keys_per_second = 5
[verify]
keys_per_second = 6
[limits]
clients = 5
memory = "1GiB"
[timeouts]
shutdown = "9s"
[mismatches]
keep_values = true
[admin]
token_file = "t"
)");
  const auto changes = CompareConfigs(running, fresh);
  EXPECT_EQ(changes.size(), 13u);
  for (const ConfigChange& change : changes) EXPECT_THAT(change.fixed, IsEmpty()) << change.key;
  TakeOver(fresh, &running);
  EXPECT_THAT(CompareConfigs(running, fresh), IsEmpty());
  const auto back = CompareConfigs(running, WithStores(""));
  EXPECT_EQ(back.size(), 13u);  // also what is no longer in a list
}

TEST(ConfigKeys, WhatIsFixedSaysWhyAndStays) {
  Config running = WithStores("");
  const Config fresh = WithStores(R"(
[listen]
address = "127.0.0.1:1"
[routing]
primary = "new"
secondary = "journal"
ack = "both"
reads_new = 1
compare = 2
split = "random"
on_miss = "primary"
[limits]
journal = "2MiB"
[admin]
address = "127.0.0.1:2"
[state]
dir = "elsewhere"
)");
  const auto changes = CompareConfigs(running, fresh);
  EXPECT_EQ(changes.size(), 11u);
  for (const ConfigChange& change : changes) EXPECT_THAT(change.fixed, Not(IsEmpty())) << change.key;
  TakeOver(fresh, &running);
  EXPECT_EQ(CompareConfigs(running, fresh).size(), 11u);
}

TEST(ConfigKeys, AnotherPasswordIsToldWithoutShowingIt) {
  const Config running = WithStores("");
  Config fresh = running;
  fresh.backends[0].password = "0ther";
  const auto changes = CompareConfigs(running, fresh);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].key, "backends.old.url");
  EXPECT_THAT(changes[0].fixed, Not(IsEmpty()));
  EXPECT_THAT(changes[0].from + changes[0].to, Not(HasSubstr("0ther")));
  EXPECT_THAT(changes[0].from + changes[0].to, Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace crossfade
