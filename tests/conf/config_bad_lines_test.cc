// One bad line each, and exactly what is said of it.
#include <gtest/gtest.h>

#include "tests/conf/parsing.h"

namespace crossfade {
namespace {

struct BadLine {
  const char* table;
  const char* line;
  const char* error;
};

class BadLineTest : public ::testing::TestWithParam<BadLine> {};

TEST_P(BadLineTest, IsRefusedWithItsLine) {
  const BadLine& bad = GetParam();
  EXPECT_EQ(ErrorWith(std::string(bad.table) + "\n" + bad.line + "\n"), std::string("c.toml:") + bad.error);
}

const BadLine kBadLines[] = {
    {"[listen]", "address = \"*:1\"",
     "6: listen.address: expected HOST:PORT, :PORT or [IPV6]:PORT, got \"*:1\": the host is no host name or IP "
     "address"},
    {"[routing]", "primary = \"second\"", "6: routing.primary: expected \"old\" or \"new\", got \"second\""},
    {"[routing]", "secondary = \"Follow\"",
     "6: routing.secondary: expected \"follow\", \"journal\" or \"off\", got \"Follow\""},
    {"[routing]", "ack = true", "6: routing.ack: expected \"primary\" or \"both\", got true"},
    {"[routing]", "split = \"keys\"", "6: routing.split: expected \"key\" or \"random\", got \"keys\""},
    {"[routing]", "on_miss = []", "6: routing.on_miss: expected \"nil\" or \"primary\", got an array"},
    {"[routing]", "reads_new = -1", "6: routing.reads_new: expected a percentage from 0 to 100, got -1"},
    {"[routing]", "reads_new = \"50\"", "6: routing.reads_new: expected a percentage from 0 to 100, got \"50\""},
    {"[routing]", "compare = 100.5", "6: routing.compare: expected a percentage from 0 to 100, got 100.5"},
    {"[routing]", "compare = nan", "6: routing.compare: expected a percentage from 0 to 100, got nan"},
    {"[routing]", "compare = inf", "6: routing.compare: expected a percentage from 0 to 100, got inf"},
    {"[listen]", "admin_commands = \"no\"", "6: listen.admin_commands: expected true or false, got \"no\""},
    {"[scripts]", "mode = \"Auto\"", "6: scripts.mode: expected \"auto\", \"copy\" or \"verbatim\", got \"Auto\""},
    {"[[script]]", "mode = \"copy\"", "5: script: expected a name in each [[script]]"},
    {"[[script]]", "name = \"\"",
     "6: script.name: expected a SHA1 or a function's name, got \"\" (what counts for all goes under [scripts])"},
    {"[[script]]", "name = 1", "6: script.name: expected a SHA1 or a function's name, in quotes, got 1"},
    {"[script]", "name = \"a\"", "5: script: expected tables, each under [[script]], got a table"},
    {"[settle]", "share = 101", "6: settle.share: expected a percentage from 0 to 100, got 101"},
    {"[settle]", "quiet_ms = \"1s\"", "6: settle.quiet_ms: expected a whole number from 1 to 86400000, got \"1s\""},
    {"[settle]", "keys_per_second = 0", "6: settle.keys_per_second: expected a whole number from 1 to 10000000, got 0"},
    {"[ramp]", "max_mismatch_rate = 1.5", "6: ramp.max_mismatch_rate: expected a number from 0 to 1, got 1.5"},
    {"[ramp]", "max_error_rate = nan", "6: ramp.max_error_rate: expected a number from 0 to 1, got nan"},
    {"[ramp]", "max_p99_ratio = 0", "6: ramp.max_p99_ratio: expected a number from 1 to 1000, got 0"},
    {"[ramp]", "max_p99_ratio = \"2\"", "6: ramp.max_p99_ratio: expected a number from 1 to 1000, got \"2\""},
    {"[ramp]", "max_lag = 5", "6: ramp.max_lag: expected a duration from \"1ms\" to \"24h\", got 5"},
    {"[ramp]", "max_dirty_keys = -1", "6: ramp.max_dirty_keys: expected a whole number from 0 to 1000000000, got -1"},
    {"[ramp]", "min_samples = 0", "6: ramp.min_samples: expected a whole number from 1 to 1000000000, got 0"},
    {"[limits]", "settle_keys = 0", "6: limits.settle_keys: expected a whole number from 1 to 1000000000, got 0"},
    {"[limits]", "settle_value = 1", "6: limits.settle_value: expected a size from \"1KiB\" to \"1TiB\", got 1"},
    {"[limits]", "scripts = \"big\"", "6: limits.scripts: expected a size from \"1KiB\" to \"1TiB\", got \"big\""},
    {"[limits]", "private_connections = 0",
     "6: limits.private_connections: expected a whole number from 1 to 1000000, got 0"},
    {"[repair]", "enabled = \"yes\"", "6: repair.enabled: expected true or false, got \"yes\""},
    {"[repair]", "enabled = 1", "6: repair.enabled: expected true or false, got 1"},
    {"[repair]", "keys_per_second = 0", "6: repair.keys_per_second: expected a whole number from 1 to 10000000, got 0"},
    {"[backfill]", "keys_per_second = 1.5",
     "6: backfill.keys_per_second: expected a whole number from 1 to 10000000, got 1.5"},
    {"[limits]", "secondary_queue = 0", "6: limits.secondary_queue: expected a size from \"1KiB\" to \"1TiB\", got 0"},
    {"[limits]", "secondary_queue = \"2TiB\"",
     "6: limits.secondary_queue: expected a size from \"1KiB\" to \"1TiB\", got \"2TiB\""},
    {"[limits]", "client_output = false",
     "6: limits.client_output: expected a size from \"1KiB\" to \"1TiB\", got false"},
    {"[limits]", "dirty_keys = -5", "6: limits.dirty_keys: expected a whole number from 1 to 1000000000, got -5"},
    {"[limits]", "clients = 1000001", "6: limits.clients: expected a whole number from 1 to 1000000, got 1000001"},
    {"[limits]", "client_pipeline = {}",
     "6: limits.client_pipeline: expected a whole number from 1 to 1000000, got a table"},
    {"[limits]", "expiring_keys = 2020-01-01",
     "6: limits.expiring_keys: expected a whole number from 1 to 1000000000, got a date or time"},
    {"[limits]", "mismatches = 0", "6: limits.mismatches: expected a whole number from 1 to 1000000, got 0"},
    {"[timeouts]", "connect = 100", "6: timeouts.connect: expected a duration from \"1ms\" to \"24h\", got 100"},
    {"[timeouts]", "response = \"0s\"",
     "6: timeouts.response: expected a duration from \"1ms\" to \"24h\", got \"0s\""},
    {"[timeouts]", "read = \"100\"", "6: timeouts.read: expected a duration from \"1ms\" to \"24h\", got \"100\""},
    {"[timeouts]", "ack = \"25h\"", "6: timeouts.ack: expected a duration from \"1ms\" to \"24h\", got \"25h\""},
    {"[timeouts]", "shutdown = \"soon\"",
     "6: timeouts.shutdown: expected a duration from \"1ms\" to \"24h\", got \"soon\""},
    {"[mismatches]", "keep_values = 0", "6: mismatches.keep_values: expected true or false, got 0"},
    {"[admin]", "token_file = 5", "6: admin.token_file: expected a path in quotes, got 5"},
    {"[state]", "dir = \"\"", "6: state.dir: expected a directory, got \"\""},
    {"[[rule]]", "prefix = \"\"",
     "6: rule.prefix: expected a prefix, got \"\" (what counts for all keys goes under [routing])"},
    {"[[rule]]", "prefix = 1", "6: rule.prefix: expected the beginning of keys, in quotes, got 1"},
    {"[rule]", "prefix = \"a\"", "5: rule: expected tables, each under [[rule]], got a table"},
    {"", "[listen.address]", "6: listen.address: expected HOST:PORT in quotes, got a table"},
    {"", "[[routing]]", "6: routing: expected a table, [routing], got an array of tables"},
};

INSTANTIATE_TEST_SUITE_P(All, BadLineTest, ::testing::ValuesIn(kBadLines));

}  // namespace
}  // namespace crossfade
