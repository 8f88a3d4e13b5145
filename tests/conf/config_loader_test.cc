#include "conf/config_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/conf/parsing.h"

namespace crossfade {
namespace {

using ::testing::StartsWith;

std::string ReadWholeFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void ExpectSame(const Config& a, const Config& b) {
  EXPECT_EQ(a.listen.ToString(), b.listen.ToString());
  EXPECT_EQ(a.admin_commands, b.admin_commands);
  for (Side side : {Side::kOld, Side::kNew}) {
    EXPECT_EQ(a.backend(side).address.ToString(), b.backend(side).address.ToString());
    EXPECT_EQ(a.backend(side).user, b.backend(side).user);
    EXPECT_EQ(a.backend(side).password, b.backend(side).password);
  }
  EXPECT_EQ(a.routing.primary, b.routing.primary);
  EXPECT_EQ(a.routing.secondary, b.routing.secondary);
  EXPECT_EQ(a.routing.ack, b.routing.ack);
  EXPECT_EQ(a.routing.reads_new, b.routing.reads_new);
  EXPECT_EQ(a.routing.compare, b.routing.compare);
  EXPECT_EQ(a.routing.split, b.routing.split);
  EXPECT_EQ(a.routing.on_miss, b.routing.on_miss);
  EXPECT_EQ(a.rules.size(), b.rules.size());
  EXPECT_EQ(a.scripts.mode, b.scripts.mode);
  EXPECT_EQ(a.scripts.rules.size(), b.scripts.rules.size());
  EXPECT_EQ(a.settle.share, b.settle.share);
  EXPECT_EQ(a.settle.quiet_ms, b.settle.quiet_ms);
  EXPECT_EQ(a.settle.keys_per_second, b.settle.keys_per_second);
  EXPECT_EQ(a.repair.enabled, b.repair.enabled);
  EXPECT_EQ(a.repair.keys_per_second, b.repair.keys_per_second);
  EXPECT_EQ(a.breaker.enabled, b.breaker.enabled);
  EXPECT_EQ(a.breaker.failures, b.breaker.failures);
  EXPECT_EQ(a.breaker.slow_ms, b.breaker.slow_ms);
  EXPECT_EQ(a.breaker.late_reads, b.breaker.late_reads);
  EXPECT_EQ(a.breaker.open_ms, b.breaker.open_ms);
  EXPECT_EQ(a.breaker.probe_ms, b.breaker.probe_ms);
  EXPECT_EQ(a.breaker.probes, b.breaker.probes);
  EXPECT_EQ(a.backfill.keys_per_second, b.backfill.keys_per_second);
  EXPECT_EQ(a.verify.keys_per_second, b.verify.keys_per_second);
  EXPECT_EQ(a.limits.secondary_queue_bytes, b.limits.secondary_queue_bytes);
  EXPECT_EQ(a.limits.dirty_keys, b.limits.dirty_keys);
  EXPECT_EQ(a.limits.journal_bytes, b.limits.journal_bytes);
  EXPECT_EQ(a.limits.clients, b.limits.clients);
  EXPECT_EQ(a.limits.client_output_bytes, b.limits.client_output_bytes);
  EXPECT_EQ(a.limits.client_pipeline, b.limits.client_pipeline);
  EXPECT_EQ(a.limits.expiring_keys, b.limits.expiring_keys);
  EXPECT_EQ(a.limits.settle_keys, b.limits.settle_keys);
  EXPECT_EQ(a.limits.settle_value_bytes, b.limits.settle_value_bytes);
  EXPECT_EQ(a.limits.copy_whole_bytes, b.limits.copy_whole_bytes);
  EXPECT_EQ(a.limits.script_bytes, b.limits.script_bytes);
  EXPECT_EQ(a.limits.private_connections, b.limits.private_connections);
  EXPECT_EQ(a.limits.tracking_keys, b.limits.tracking_keys);
  EXPECT_EQ(a.limits.mismatches, b.limits.mismatches);
  EXPECT_EQ(a.limits.client_input_bytes, b.limits.client_input_bytes);
  EXPECT_EQ(a.limits.transaction_bytes, b.limits.transaction_bytes);
  EXPECT_EQ(a.limits.subscriber_output_bytes, b.limits.subscriber_output_bytes);
  EXPECT_EQ(a.limits.primary_queue_bytes, b.limits.primary_queue_bytes);
  EXPECT_EQ(a.limits.primary_commands, b.limits.primary_commands);
  EXPECT_EQ(a.limits.memory_bytes, b.limits.memory_bytes);
  EXPECT_EQ(a.limits.admin_connections, b.limits.admin_connections);
  EXPECT_EQ(a.timeouts.connect_ms, b.timeouts.connect_ms);
  EXPECT_EQ(a.timeouts.response_ms, b.timeouts.response_ms);
  EXPECT_EQ(a.timeouts.read_ms, b.timeouts.read_ms);
  EXPECT_EQ(a.timeouts.ack_ms, b.timeouts.ack_ms);
  EXPECT_EQ(a.timeouts.reconnect_max_ms, b.timeouts.reconnect_max_ms);
  EXPECT_EQ(a.timeouts.shutdown_ms, b.timeouts.shutdown_ms);
  EXPECT_EQ(a.mismatches.keep_values, b.mismatches.keep_values);
  EXPECT_EQ(a.admin.address.ToString(), b.admin.address.ToString());
  EXPECT_EQ(a.admin.token_file, b.admin.token_file);
  EXPECT_EQ(a.state_dir, b.state_dir);
}

// Every key, each with a value that is not its default.
constexpr char kEveryKey[] = R"(
[listen]
address = "0.0.0.0:7000"
admin_commands = true
[backends.old]
url = "redis://ann:s3cret@old.example:1234"
[backends.new]
url = "redis://[::1]"
[routing]
primary = "new"
secondary = "off"
ack = "both"
reads_new = 12.5
compare = 100
split = "random"
on_miss = "primary"
[[rule]]
prefix = "session:"
reads_new = 50
compare = 2.5
on_miss = "nil"
[[rule]]
prefix = "cart:"
[scripts]
mode = "copy"
[[script]]
name = "59B6ab2fbe0ee4b25733de0f62e6cda4899ef8e9"
mode = "verbatim"
[[script]]
name = "my_function"
[settle]
share = 2.5
quiet_ms = 21
keys_per_second = 22
[repair]
enabled = false
keys_per_second = 7
[breaker]
enabled = false
failures = 28
slow = "29s"
late_reads = 30
open = "31ms"
probe = "32ms"
probes = 33
[backfill]
keys_per_second = 8
[verify]
keys_per_second = 34
[limits]
secondary_queue = "1GB"
dirty_keys = 9
journal = "2MiB"
clients = 10
client_output = 2048
client_pipeline = 11
expiring_keys = 12
settle_keys = 23
settle_value = "24KiB"
copy_whole = "28KiB"
scripts = 2500
private_connections = 26
tracking_keys = 27
mismatches = 13
client_input = 3000
transaction = 3001
subscriber_output = 3002
primary_queue = 3003
primary_commands = 28
memory = "17MiB"
admin_connections = 29
[timeouts]
connect = "14ms"
response = "15s"
read = "16ms"
ack = "17m"
reconnect_max = "2h"
shutdown = "18ms"
[mismatches]
keep_values = true
[admin]
address = "0.0.0.0:7001"
token_file = "/etc/token"
[state]
dir = "state"
)";

TEST(ConfigLoader, ReadsEveryKey) {
  Config expected;
  expected.listen = {"0.0.0.0", 7000};
  expected.admin_commands = true;
  expected.backends[0] = {{"old.example", 1234}, "ann", "s3cret"};
  expected.backends[1] = {{"::1", 6379}, "", ""};
  expected.routing = {Side::kNew, SecondaryMode::kOff, AckMode::kBoth, 12.5, 100, SplitMode::kRandom, OnMiss::kPrimary};
  expected.rules.resize(2);
  expected.scripts = {ScriptMode::kCopy, {{"59B6ab2fbe0ee4b25733de0f62e6cda4899ef8e9", ScriptMode::kVerbatim}, {}}};
  expected.settle = {2.5, 21, 22};
  expected.repair = {false, 7};
  expected.breaker = {false, 28, 29'000, 30, 31, 32, 33};
  expected.backfill = {8};
  expected.verify = {34};
  expected.limits = {1'000'000'000, 9,    2 << 20, 10,   2048, 11,       12, 23, 24 << 10, 28 << 10, 2500, 26, 27, 13,
                     3000,          3001, 3002,    3003, 28,   17 << 20, 29};
  expected.timeouts = {14, 15'000, 16, 17 * 60'000, 2 * 3'600'000, 18};
  expected.mismatches.keep_values = true;
  expected.admin = {{"0.0.0.0", 7001}, "/etc/token"};
  expected.state_dir = "state";
  Config config = MustParse(kEveryKey);
  ExpectSame(config, expected);

  ASSERT_EQ(config.rules.size(), 2u);
  EXPECT_EQ(config.rules[0].prefix, "session:");
  EXPECT_EQ(config.rules[0].reads_new, 50);
  EXPECT_EQ(config.rules[0].compare, 2.5);
  EXPECT_TRUE(config.rules[0].has_on_miss);
  EXPECT_EQ(config.rules[0].on_miss, OnMiss::kNil);
  EXPECT_EQ(config.rules[1].prefix, "cart:");
  EXPECT_LT(config.rules[1].reads_new, 0);
  EXPECT_LT(config.rules[1].compare, 0);
  EXPECT_FALSE(config.rules[1].has_on_miss);

  ASSERT_EQ(config.scripts.rules.size(), 2u);
  EXPECT_EQ(config.scripts.rules[0].name, "59B6ab2fbe0ee4b25733de0f62e6cda4899ef8e9");
  EXPECT_EQ(config.scripts.rules[0].mode, ScriptMode::kVerbatim);
  EXPECT_EQ(config.scripts.rules[1].name, "my_function");
  EXPECT_EQ(config.scripts.rules[1].mode, ScriptMode::kAuto);
}

TEST(ConfigLoader, SampleHasTheDefaults) {
  absl::StatusOr<Config> sample = LoadConfig(kSamplePath, {});
  ASSERT_TRUE(sample.ok()) << sample.status();
  Config expected;
  expected.backends[0].address = {"127.0.0.1", 6379};
  expected.backends[1].address = {"127.0.0.1", 6380};
  ExpectSame(*sample, expected);
}

// The sample has each line of kEveryKey's keys, if only in a comment: nobody can add a key and forget the sample.
TEST(ConfigLoader, SampleHasEveryKey) {
  std::istringstream every_key(kEveryKey);
  std::string sample = "\n" + ReadWholeFile(kSamplePath);
  for (std::string line; std::getline(every_key, line);) {
    std::string key = line.substr(0, line.find('=') == std::string::npos ? line.size() : line.find('=') + 1);
    bool is_there = sample.find("\n" + key) != std::string::npos || sample.find("\n# " + key) != std::string::npos;
    EXPECT_TRUE(is_there) << key;
  }
}

TEST(ConfigLoader, FlagsSuffice) {
  ConfigOverrides flags;
  flags.old_url = "redis://u:p%40ss@one";
  flags.new_url = "redis://two:7000";
  flags.listen = ":0";
  flags.admin = "localhost:0";
  flags.state_dir = "s";
  absl::StatusOr<Config> config = LoadConfig("", flags);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->backend(Side::kOld).address.ToString(), "one:6379");
  EXPECT_EQ(config->backend(Side::kOld).password, "p@ss");
  EXPECT_EQ(config->backend(Side::kNew).address.ToString(), "two:7000");
  EXPECT_EQ(config->listen.ToString(), "127.0.0.1:0");
  EXPECT_EQ(config->admin.address.ToString(), "localhost:0");
  EXPECT_EQ(config->state_dir, "s");
}

TEST(ConfigLoader, FlagsWinOverTheFile) {
  ConfigOverrides flags;
  flags.old_url = "redis://x:5";
  flags.new_url = "redis://y:6";
  flags.listen = "h:7";
  flags.admin = "[::1]:8";
  flags.state_dir = "elsewhere";
  absl::StatusOr<Config> config = ParseConfig(kEveryKey, "c.toml", flags);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->backend(Side::kOld).address.ToString(), "x:5");
  EXPECT_EQ(config->backend(Side::kOld).user, "");  // nothing of the file's URL is left
  EXPECT_EQ(config->backend(Side::kOld).password, "");
  EXPECT_EQ(config->backend(Side::kNew).address.ToString(), "y:6");
  EXPECT_EQ(config->listen.ToString(), "h:7");
  EXPECT_EQ(config->admin.address.ToString(), "[::1]:8");
  EXPECT_EQ(config->state_dir, "elsewhere");
  EXPECT_EQ(config->limits.clients, 10);  // the rest is the file's
}

TEST(ConfigLoader, FlagErrorsNameTheFlag) {
  ConfigOverrides flags;
  flags.old_url = "rediss://u:hunter2@h";
  flags.new_url = "";
  flags.listen = "6400";
  flags.admin = "h:99999";
  flags.state_dir = "";
  EXPECT_EQ(ErrorOf(ParseConfig("x = 1\n", "c.toml", flags)),
            "c.toml:1: x: unknown key, expected one of listen, backends, routing, rule, scripts, script, settle, "
            "breaker, ramp, limits, timeouts, signoff, repair, backfill, verify, mismatches, admin, state\n"
            "--old: rediss:// is refused: TLS to backends is not built yet (redis:// through a TLS tunnel works)\n"
            "--new: expected redis://[[user]:password@]host[:port]\n"
            "--listen: expected HOST:PORT, :PORT or [IPV6]:PORT, got \"6400\": the port is missing\n"
            "--admin: expected HOST:PORT, :PORT or [IPV6]:PORT, got \"h:99999\": the port must be 0 to 65535\n"
            "--state: expected a directory, got \"\"");
}

TEST(ConfigLoader, FlagsAreReportedBesideAFileThatCantBeRead) {
  ConfigOverrides flags;
  flags.old_url = "http://x";
  EXPECT_EQ(ErrorOf(LoadConfig("/nowhere/c.toml", flags)),
            "/nowhere/c.toml: can't be read: No such file or directory\n"
            "--old: expected redis://[[user]:password@]host[:port], got another scheme");
  EXPECT_EQ(ErrorOf(LoadConfig("/", {})), "/: can't be read: Is a directory");
}

TEST(ConfigLoader, MissingBackendsSayHowToGiveThem) {
  EXPECT_EQ(ErrorOf(LoadConfig("", {})),
            "backends.old.url: missing: give --old redis://host:port, or url under [backends.old] in the configuration "
            "file\n"
            "backends.new.url: missing: give --new redis://host:port, or url under [backends.new] in the configuration "
            "file");
  EXPECT_EQ(ErrorOf(Parse("[backends.old]\n[backends.new]\nurl = \"redis://b\"\n")),
            "c.toml: backends.old.url: missing: give --old redis://host:port, or url under [backends.old] in the "
            "configuration file");
}

TEST(ConfigLoader, ReplicationIsNothingToBeginWith) {
  const std::string error = ErrorOf(Parse("[routing]\nsecondary = \"replica\"\n"));
  EXPECT_NE(error.find("got \"replica\""), std::string::npos) << error;
  EXPECT_NE(error.find("crossfade secondary replica"), std::string::npos) << error;
}

TEST(ConfigLoader, AllMistakesAtOnceByLine) {
  EXPECT_EQ(ErrorOf(Parse("# nothing here\n"
                          "[routing]\n"
                          "reads_new = 101\n"
                          "ack = \"all\"\n"
                          "compair = 5\n"
                          "\n"
                          "[limits]\n"
                          "clients = \"many\"\n"
                          "secondary_queue = \"64MiBytes\"\n"
                          "[backends.new]\n"
                          "url = \"redis://h/0\"\n"
                          "[[rule]]\n"
                          "reads_new = true\n"
                          "[repairs]\n"
                          "enabled = true\n"
                          "[listen]\n"
                          "address = 6400\n")),
            "c.toml:3: routing.reads_new: expected a percentage from 0 to 100, got 101\n"
            "c.toml:4: routing.ack: expected \"primary\" or \"both\", got \"all\"\n"
            "c.toml:5: routing.compair: unknown key, did you mean compare?\n"
            "c.toml:8: limits.clients: expected a whole number from 1 to 1000000, got \"many\"\n"
            "c.toml:9: limits.secondary_queue: expected a size from \"1KiB\" to \"1TiB\", got \"64MiBytes\"\n"
            "c.toml:11: backends.new.url: a database after the host is not allowed: SELECT belongs to the application, "
            "and each of its databases goes to the one of the same number\n"
            "c.toml:12: rule: expected a prefix in each [[rule]]\n"
            "c.toml:13: rule.reads_new: expected a percentage from 0 to 100, got true\n"
            "c.toml:14: repairs: unknown table, did you mean repair?\n"
            "c.toml:17: listen.address: expected HOST:PORT in quotes, got 6400\n"
            "c.toml: backends.old.url: missing: give --old redis://host:port, or url under [backends.old] in the "
            "configuration file");
}

TEST(ConfigLoader, UnknownKeysGetAGuess) {
  EXPECT_EQ(ErrorWith("reads_new = 5\n"),
            "c.toml:5: backends.new.reads_new: unknown key, did you mean routing.reads_new?");
  EXPECT_EQ(ErrorWith("[limit]\nclients = 1\n"), "c.toml:5: limit: unknown table, did you mean limits?");
  EXPECT_EQ(ErrorWith("[[rules]]\nprefix = \"a\"\n"), "c.toml:5: rules: unknown table, did you mean rule?");
  EXPECT_EQ(
      ErrorWith("[timeouts]\nread_ms = 100\n"),
      "c.toml:6: timeouts.read_ms: unknown key, expected one of connect, response, read, ack, reconnect_max, shutdown");
  EXPECT_EQ(ErrorWith("[state]\nzzz.dir = \"x\"\n"), "c.toml:6: state.zzz: unknown table, expected one of dir");
  EXPECT_EQ(ErrorWith("[backends.odl]\nurl = \"redis://u:hunter2@h\"\n"),
            "c.toml:5: backends.odl: unknown table, did you mean old?");
  EXPECT_EQ(ErrorWith("[admin]\n\"a\\nb\" = 1\n"),
            "c.toml:6: \"admin.a\\x0ab\": unknown key, expected one of address, token_file");
}

TEST(ConfigLoader, DottedAndInlineFormsAreTheSame) {
  Config config = MustParse("backends = {old = {url = \"redis://a\"}, new.url = \"redis://b\"}\nlimits.clients = 5\n");
  EXPECT_EQ(config.backend(Side::kNew).address.host, "b");
  EXPECT_EQ(config.limits.clients, 5);
}

TEST(ConfigLoader, RulesHaveDistinctPrefixes) {
  EXPECT_EQ(
      ErrorWith("[[rule]]\nprefix = \"a:\"\n\n[[rule]]\nprefix = \"a\"\n[[rule]]\nprefix = \"a:\"\ncompare = 200\n"),
      "c.toml:11: rule.prefix: the rule of line 6 has this prefix already\n"
      "c.toml:12: rule.compare: expected a percentage from 0 to 100, got 200");
}

TEST(ConfigLoader, ScriptsHaveDistinctNames) {
  EXPECT_EQ(ErrorWith("[[script]]\nname = \"f\"\n[[script]]\nname = \"F\"\nmode = \"no\"\n"),
            "c.toml:8: script.name: the script of line 6 has this name already\n"
            "c.toml:9: script.mode: expected \"auto\", \"copy\" or \"verbatim\", got \"no\"");
}

TEST(ConfigLoader, AddressesMustDiffer) {
  EXPECT_EQ(
      ErrorOf(Parse("[backends.old]\nurl = \"redis://LOCALHOST\"\n[backends.new]\nurl = \"redis://127.0.0.1:6379\"\n")),
      "c.toml:4: backends.new.url: the same address as backends.old.url: they must differ");
  ConfigOverrides flags;
  flags.new_url = "redis://u:hunter2@A:1";
  EXPECT_EQ(ErrorOf(ParseConfig(kBackends, "c.toml", flags)),
            "--new: the same address as backends.old.url: they must differ");
  EXPECT_EQ(ErrorWith("[listen]\naddress = \"a:1\"\n[admin]\naddress = \"127.0.0.1:6400\"\n"),
            "c.toml:6: listen.address: the same address as backends.old.url: they must differ");
  EXPECT_EQ(ErrorWith("[admin]\naddress = \"127.0.0.1:6400\"\n"),
            "c.toml:6: admin.address: the same address as listen.address: they must differ");
  MustParse(std::string(kBackends) + "[listen]\naddress = \":0\"\n[admin]\naddress = \":0\"\n");
}

TEST(ConfigLoader, AnOpenAdminAddressNeedsAToken) {
  EXPECT_THAT(ErrorWith("[admin]\naddress = \"0.0.0.0:6401\"\n"),
              StartsWith("c.toml:6: admin.address: an address that is not loopback needs token_file"));
  ConfigOverrides flags;
  flags.admin = "10.0.0.1:1";
  EXPECT_THAT(ErrorOf(ParseConfig(kBackends, "c.toml", flags)), StartsWith("--admin: an address that is not loopback"));
  MustParse(std::string(kBackends) + "[admin]\naddress = \"[::]:6401\"\ntoken_file = \"t\"\n");
  MustParse(std::string(kBackends) + "[admin]\naddress = \"127.9.9.9:6401\"\n");
}

TEST(ConfigLoader, SyntaxErrorsHaveTheirLine) {
  EXPECT_EQ(ErrorWith("[routing\n"), "c.toml:5: column 9: not TOML: Error while parsing table header: expected ']'");
  EXPECT_EQ(ErrorWith("url = \"redis://c\"\n"),
            "c.toml:5: column 7: not TOML: Error while parsing key-value pair: cannot redefine existing string 'url'");
  EXPECT_EQ(ErrorWith("url2 = 99999999999999999999\n"),
            "c.toml:5: column 28: not TOML: Error while parsing decimal integer: in the value is not representable in "
            "64 bits");
  EXPECT_THAT(ErrorOf(Parse("\n[.a]\n")), StartsWith("c.toml:2: column 2: not TOML: "));
  EXPECT_THAT(ErrorOf(Parse("[[[")), StartsWith("c.toml:1: column 3: not TOML: "));
  EXPECT_THAT(ErrorOf(Parse("\n\nx = \"\xff\"\n")), StartsWith("c.toml:3: "));
  EXPECT_EQ(ErrorOf(Parse("\n" + std::string(100, '.'))), "c.toml:2: more than 64 dots in one line");
  EXPECT_EQ(ErrorOf(Parse(std::string((1 << 20) + 1, '\n'))), "c.toml: expected a file of at most 1MiB");
  MustParse("# é" + std::string(100, '.') + "\n" + kBackends);
  for (const char* text : {"\n\303\251 = 1", "\nurl = \"x\" \303\251", "\na = \303\251", "\na = 12\"\305\277"}) {
    EXPECT_THAT(ErrorOf(Parse(text)), StartsWith("c.toml:2: column ")) << text;
  }
}

TEST(Names, RoundTrip) {
  auto round_trips = [](auto value, const std::string& name) {
    auto parsed = value;
    return ParseName(name, &parsed) && parsed == value;
  };
  for (Side side : {Side::kOld, Side::kNew}) EXPECT_TRUE(round_trips(side, SideName(side)));
  for (SecondaryMode mode :
       {SecondaryMode::kFollow, SecondaryMode::kJournal, SecondaryMode::kOff, SecondaryMode::kReplica}) {
    EXPECT_TRUE(round_trips(mode, Name(mode)));
  }
  for (AckMode mode : {AckMode::kPrimary, AckMode::kBoth}) EXPECT_TRUE(round_trips(mode, Name(mode)));
  for (SplitMode mode : {SplitMode::kKey, SplitMode::kRandom}) EXPECT_TRUE(round_trips(mode, Name(mode)));
  for (OnMiss on_miss : {OnMiss::kNil, OnMiss::kPrimary}) EXPECT_TRUE(round_trips(on_miss, Name(on_miss)));
  for (ScriptMode mode : {ScriptMode::kAuto, ScriptMode::kVerbatim, ScriptMode::kCopy}) {
    EXPECT_TRUE(round_trips(mode, Name(mode)));
  }
  AckMode untouched = AckMode::kBoth;
  EXPECT_FALSE(ParseName("", &untouched));
  EXPECT_EQ(untouched, AckMode::kBoth);
}

}  // namespace
}  // namespace crossfade
