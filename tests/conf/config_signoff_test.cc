// [signoff]: what a report demands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conf/config_keys.h"
#include "conf/config_loader.h"

namespace crossfade {
namespace {

using testing::HasSubstr;

absl::StatusOr<Config> WithSignoff(const std::string& text) {
  return ParseConfig("[backends]\nold.url = \"redis://a\"\nnew.url = \"redis://b\"\n[signoff]\n" + text, "c.toml", {});
}

TEST(ConfigSignoff, EveryKeyIsReadAndTakenOverWhileItRuns) {
  const auto fresh = WithSignoff(R"(
min_compared = 1
max_mismatches = 2
mismatch_rate = 3.5
min_writes = 4
max_diverged = 5
covered_after = 6
commands_covered = 7
prefixes_covered = 8.5
verify_age = "9s"
preflight_age = "10s"
min_observed = "11s"
min_timed = 12
p99_percent = 13
p99_fine = "14ms"
rollback = false
error_rate = 15
max_crashes = 16
max_gap = "17m"
)");
  ASSERT_TRUE(fresh.ok()) << fresh.status();
  EXPECT_EQ(fresh->signoff.mismatch_rate, 3.5);
  EXPECT_EQ(fresh->signoff.verify_age_ms, 9000);
  EXPECT_EQ(fresh->signoff.max_gap_ms, 17 * 60'000);
  Config running = *WithSignoff("");
  const std::vector<ConfigChange> changes = CompareConfigs(running, *fresh);
  EXPECT_EQ(changes.size(), 18u);  // each of them, so each is read
  for (const ConfigChange& change : changes) EXPECT_EQ(change.fixed, "") << change.key;
  TakeOver(*fresh, &running);
  EXPECT_TRUE(CompareConfigs(running, *fresh).empty());
}

TEST(ConfigSignoff, WhatMakesNoSenseIsRefused) {
  for (const char* line :
       {"min_compared = 0", "min_writes = 0", "min_timed = 0", "covered_after = 0", "mismatch_rate = 101",
        "max_mismatches = -1", "verify_age = 5", "p99_percent = 0", "rollback = 1", "min_comparisons = 5"}) {
    const auto config = WithSignoff(line);
    EXPECT_FALSE(config.ok()) << line;
    EXPECT_THAT(std::string(config.status().message()), HasSubstr("c.toml:5")) << line;
  }
}

}  // namespace
}  // namespace crossfade
