#include "routing/preflight_findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "routing/preflight_commands.h"

namespace crossfade {
namespace {

using testing::Each;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

// Two stores between which nothing stands in the way; each test spoils something.
class PreflightFindings : public testing::Test {
 protected:
  PreflightFindings() {
    for (StoreFacts* store : {&old(), &now()}) {
      store->reached = true;
      store->address = store == &old() ? "old:1" : "new:1";
      store->resp3 = true;
      store->clock_known = true;
      store->whoami = "fade";
      ServerFigures figures;
      figures.product = "redis";
      figures.version = "7.0.15";
      figures.run_id = store->address;
      figures.policy = "noeviction";
      figures.used_memory = 100 << 20;
      figures.system_memory = int64_t{8} << 30;
      figures.maxclients = 10'000;
      store->info.Set(figures);
      store->calls.Set({});
      store->config["databases"].Set("16");
      store->config["maxmemory"].Set("0");
      store->config["notify-keyspace-events"].Set("");
      store->modules.Set({});
      store->functions.Set({});
      store->users.Set({{"default", "digest"}});
      store->probes.Set({});
      store->script_asked = true;
    }
    old().info.value.keys[0] = 2;
    facts_.sampled = 2;
    facts_.types["string"] = 2;
    facts_.biggest = {{0, "k", "string", 100}};
    CanaryResult canary;
    canary.is = CanaryResult::Is::kEqual;
    canary.kind = canary.type = "string";
    facts_.canaries = {canary};
    facts_.rdb_version[0] = facts_.rdb_version[1] = 10;
  }

  StoreFacts& old() { return facts_.store(Side::kOld); }
  StoreFacts& now() { return facts_.store(Side::kNew); }
  void Deny(const char* command) { now().probes.value[command] = {Probe::Is::kDenied, "NOPERM no"}; }

  Finding Of(const std::string& name) {
    for (const Finding& finding : JudgePreflight(facts_)) {
      if (finding.name == name) return finding;
    }
    return {name, CheckStatus::kPass, "", "not there"};
  }
  void Expect(const char* name, CheckStatus status, const char* found, const char* remedy = "") {
    const Finding finding = Of(name);
    EXPECT_EQ(finding.status, status) << name << ": " << finding.found;
    EXPECT_THAT(finding.found, HasSubstr(found));
    EXPECT_THAT(finding.remedy, HasSubstr(remedy));
  }

  PreflightFacts facts_;
};

TEST_F(PreflightFindings, NothingStandsInTheWay) {
  const auto findings = JudgePreflight(facts_);
  EXPECT_GT(findings.size(), 20u);
  EXPECT_THAT(findings, Each(Field(&Finding::status, CheckStatus::kPass)));
  EXPECT_THAT(findings, Each(Field(&Finding::remedy, IsEmpty())));
}

TEST_F(PreflightFindings, AStoreThatWasNotReachedLeavesTheOthersOwnChecks) {
  now() = StoreFacts();
  now().address = "new:1";
  now().unreachable = "connection refused";
  const auto findings = JudgePreflight(facts_);
  EXPECT_EQ(std::count_if(findings.begin(), findings.end(),
                          [](const Finding& one) { return one.status != CheckStatus::kPass; }),
            1);
  Expect("new is reached", CheckStatus::kFail, "new:1 can't be reached: connection refused", "backends.new.url");
  Expect("big keys", CheckStatus::kPass, "k (string, 100 B)");
}

TEST_F(PreflightFindings, EachKindOfServerThatItCantBe) {
  now().info.value.is_replica = true;
  Expect("role of new", CheckStatus::kFail, "replica", "REPLICAOF NO ONE");
  now().info.value.is_cluster = true;
  Expect("role of new", CheckStatus::kFail, "Cluster", "not support");
  now().info.value.mode = "sentinel";
  Expect("role of new", CheckStatus::kFail, "Sentinel", "store itself");
  old().info.value.loading = true;
  Expect("role of old", CheckStatus::kFail, "loading", "Check again");
  now().info.value.run_id = old().info.value.run_id;
  Expect("two stores", CheckStatus::kFail, "same server", "Correct");
}

TEST_F(PreflightFindings, MemoryByRoom) {
  now().info.value.maxmemory = 99 << 20;
  Expect("memory", CheckStatus::kFail, "old uses 100.0 MiB, new may use 99.0 MiB", "125.0 MiB");
  now().info.value.maxmemory = 110 << 20;
  Expect("memory", CheckStatus::kWarn, "110.0 MiB", "little room");
  now().info.value.maxmemory = 125 << 20;
  Expect("memory", CheckStatus::kPass, "125.0 MiB");
  now().info.value.maxmemory = 0;
  now().info.value.system_memory = 50 << 20;
  Expect("memory", CheckStatus::kFail, "what its machine has (50.0 MiB)", "larger machine");
  old().info.refused = "NOPERM";
  old().info.value.used_memory = 0;
  Expect("memory", CheckStatus::kWarn, "could not be looked at: NOPERM", "yourself");
}

TEST_F(PreflightFindings, Eviction) {
  now().info.value.policy = "allkeys-lru";
  Expect("eviction", CheckStatus::kWarn, "noeviction on old, allkeys-lru on new", "noeviction");
  old().info.value.policy = "allkeys-lru";
  Expect("eviction", CheckStatus::kWarn, "", "cache");
  now().info.value.policy = "noeviction";
  Expect("eviction", CheckStatus::kWarn, "allkeys-lru on old, noeviction on new", "refuse writes");
}

TEST_F(PreflightFindings, CommandsInUseByTheirWeight) {
  old().calls.value = {{"xadd", 1000}, {"get", 5}, {"object|encoding", 5}, {"info", 5}, {"restore", 7}};
  Deny("info");
  Expect("commands in use", CheckStatus::kPass, "allows all 6");
  Deny("restore");
  Expect("commands in use", CheckStatus::kWarn, "RESTORE (7 calls): NOPERM no", "ACL SETUSER fade +restore");
  Deny("xadd");
  Expect("commands in use", CheckStatus::kFail, "XADD (1000 calls): NOPERM no", "+xadd");
  now().probes.value = {{"get", {Probe::Is::kUnknown, "ERR unknown command 'get'"}}};
  Expect("commands in use", CheckStatus::kFail, "GET (5 calls): ERR unknown command", "another version");
}

// A preflight adds an entry to a stream of its own on old: so few calls don't make it a store with streams.
TEST_F(PreflightFindings, WhatAPreflightItselfHasCalledIsNoUse) {
  old().calls.value = {{"xadd", 4}};
  Deny("xadd");
  Expect("commands in use", CheckStatus::kWarn, "XADD (4 calls)");
  old().calls.value = {{"xadd", 21}};
  Expect("commands in use", CheckStatus::kFail, "XADD (21 calls)");
  old().calls.value = {};
  Expect("commands in use", CheckStatus::kPass, "");
  facts_.types["stream"] = 1;
  Expect("commands in use", CheckStatus::kFail, "XADD (writes a type that old holds)");
}

TEST_F(PreflightFindings, RefusedCommands) {
  old().calls.value = {{"config|set", 3}, {"psync", 3}, {"get", 3}};
  Expect("commands that Crossfade refuses", CheckStatus::kWarn, "CONFIG SET (3 calls)", "admin_commands");
  facts_.admin_commands = true;
  Expect("commands that Crossfade refuses", CheckStatus::kPass, "none");
  old().calls.value = {{"ts.read", 3}};
  Expect("commands that Crossfade refuses", CheckStatus::kFail, "TS.READ (3 calls)", "TS.RANGE");
}

TEST_F(PreflightFindings, RightsByWhatTheyAreNeededFor) {
  Deny("del");
  Expect("rights on new", CheckStatus::kFail, "user fade lacks DEL", "On new: ACL SETUSER fade +del");
  now().probes.value = {{"dump", {Probe::Is::kDenied, "NOPERM"}}};
  Expect("rights on new", CheckStatus::kWarn, "DUMP (needed after a flip)");
  now().probes.value = {{"client|kill", {Probe::Is::kUnknown, "ERR unknown"}}};
  Expect("rights on new", CheckStatus::kWarn, "CLIENT KILL is not known there (without it what a broken", "disabled");
  now().probes.refused = "MULTI: NOPERM";
  Expect("rights on new", CheckStatus::kWarn, "could not be looked at: MULTI: NOPERM", "Allow MULTI");
  Expect("commands in use", CheckStatus::kWarn, "could not be asked");
}

TEST_F(PreflightFindings, Copies) {
  CanaryResult& canary = facts_.canaries[0];
  canary = {CanaryResult::Is::kRebuilt, "string", "string", "NOPERM restore", ""};
  Expect("copies of every type", CheckStatus::kWarn, "RESTORE is refused (NOPERM restore)", "+restore");
  canary.is = CanaryResult::Is::kNotCopied;
  canary.rebuild_error = "NOPERM set";
  Expect("copies of every type", CheckStatus::kFail, "string: RESTORE: NOPERM restore; by its commands: NOPERM set");
  canary.type = "stream";  // which old doesn't hold
  Expect("copies of every type", CheckStatus::kWarn, "can't be copied");
  facts_.sample_refused = "NOPERM";  // or so it seems
  Expect("copies of every type", CheckStatus::kFail, "can't be copied");
  canary.is = CanaryResult::Is::kDiffers;
  Expect("copies of every type", CheckStatus::kFail, "it reads otherwise on new");
  canary.is = CanaryResult::Is::kNotMade;
  Expect("copies of every type", CheckStatus::kWarn, "old refused the test key");
  facts_.canaries_refused = "DEL is denied";
  Expect("copies of every type", CheckStatus::kWarn, "not tried: DEL is denied");
}

TEST_F(PreflightFindings, WhatElseBelongsToAStore) {
  old().functions.value = {"one", "two"};
  now().functions.value = {"two"};
  Expect("functions", CheckStatus::kWarn, "new lacks one", "crossfade copy functions");
  old().modules.value = {"search"};
  Expect("modules", CheckStatus::kWarn, "new lacks search", "Load it");
  old().users.value = {{"ann", "1"}, {"bob", "2"}, {"fade", "3"}, {"default", "4"}};
  now().users.value = {{"bob", "9"}, {"default", "5"}};
  Expect("users", CheckStatus::kWarn, "new lacks ann; with other rules or passwords there: bob",
         "crossfade copy users");
  now().users.refused = "NOPERM";
  Expect("users", CheckStatus::kWarn, "those of new could not be looked at: NOPERM", "yourself");
  old().config["notify-keyspace-events"].Set("Kx");
  Expect("keyspace notifications", CheckStatus::kWarn, "Kx on old, off on new", "notify-keyspace-events Kx");
  now().script_error = "NOPERM eval";
  Expect("scripts", CheckStatus::kPass, "old was asked for none");
  old().calls.value = {{"evalsha", 3}};
  Expect("scripts", CheckStatus::kFail, "3 calls on old", "+@scripting");
  now().resp3 = false;
  Expect("RESP3", CheckStatus::kWarn, "new does not speak it", "RESP2");
  old().resp3 = false;
  Expect("RESP3", CheckStatus::kPass, "neither");
  now().clock_offset_ms = -5000;
  Expect("clocks", CheckStatus::kWarn, "5000 ms behind old", "NTP");
  now().clock_known = false;
  Expect("clocks", CheckStatus::kWarn, "new does not say", "TIME");
}

TEST_F(PreflightFindings, DatabasesKeysAndConnections) {
  facts_.highest_db_refused = "ERR DB index is out of range";
  old().info.value.keys[9] = 1;
  Expect("databases", CheckStatus::kFail, "new refuses SELECT 9", "databases = 10");
  facts_.highest_db_refused.clear();
  now().config["databases"].Set("10");
  Expect("databases", CheckStatus::kWarn, "old has 16, new 10", "as many");
  now().info.value.keys[0] = 7;
  Expect("new is empty", CheckStatus::kWarn, "holds 7 keys", "removes every key");
  facts_.looked_up = 7;
  facts_.only_on_new = 3;
  Expect("new is empty", CheckStatus::kWarn, "old lacks 3 of 7", "right server");
  old().info.value.connected_clients = 20'000;
  Expect("connections", CheckStatus::kWarn, "old has 20000 of 10000; new takes 10000", "raise maxclients");
  facts_.biggest[0].bytes = 200 << 20;
  Expect("big keys", CheckStatus::kWarn, "k (string, 200.0 MiB)", "in pieces");
  facts_.usage_refused = "NOPERM";
  Expect("big keys", CheckStatus::kWarn, "could not be looked at: MEMORY USAGE: NOPERM", "Allow");
}

TEST(PreflightProbes, AskAboutEverythingAndRunNothing) {
  CommandBatch batch;
  AppendProbe("xadd", "KEY", &batch);
  AppendProbe("xgroup|create", "KEY", &batch);
  AppendProbe("rename", "KEY", &batch);
  AppendProbe("eval", "KEY", &batch);
  AppendProbe("no.such", "KEY", &batch);
  EXPECT_EQ(batch.count, 5);
  std::string words;
  for (char c : batch.bytes) words += c == '\r' ? ' ' : c == '\n' ? '\0' : c;
  std::erase(words, '\0');
  EXPECT_EQ(words,
            "*5 $4 xadd $3 KEY $1 1 $1 1 $1 1 *5 $6 xgroup $6 create $3 KEY $1 1 $1 1 *3 $6 rename $3 KEY $3 KEY "
            "*3 $4 eval $1 1 $1 1 *1 $7 no.such ");
}

TEST(PreflightProbes, WhatTheAnswersSay) {
  EXPECT_EQ(JudgeProbe("+QUEUED\r\n").is, Probe::Is::kThere);
  EXPECT_EQ(JudgeProbe("-ERR wrong number of arguments for 'x' command\r\n").is, Probe::Is::kThere);
  EXPECT_EQ(JudgeProbe("-ERR unknown command `X`, with args beginning with: \r\n").is, Probe::Is::kUnknown);
  EXPECT_EQ(JudgeProbe("-ERR unknown command 'x', with args beginning with: 'k'\r\n").error, "ERR unknown command 'x'");
  EXPECT_EQ(JudgeProbe("-ERR Unknown subcommand 'y'. Try X HELP.\r\n").is, Probe::Is::kUnknown);
  EXPECT_EQ(JudgeProbe("-NOPERM this user has no permissions\r\n").is, Probe::Is::kDenied);
  EXPECT_EQ(JudgeProbe("-OOM command not allowed\r\n").is, Probe::Is::kThere);
  EXPECT_EQ(JudgeProbe("-LOST no reply in time\r\n").is, Probe::Is::kNotAsked);
}

// Nothing that a server runs, or takes for the end of the transaction, in spite of MULTI.
TEST(PreflightProbes, WhatMultiDoesNotQueueIsNotAsked) {
  PreflightFacts facts;
  for (const char* command :
       {"exec", "discard", "multi", "watch", "quit", "reset", "hello", "shutdown", "quit|x", "get"}) {
    facts.store(Side::kOld).calls.value[command] = 5;
  }
  const auto commands = CommandsToProbe(facts);
  EXPECT_TRUE(commands.contains("get"));
  for (const char* command : {"exec", "discard", "multi", "watch", "quit", "reset", "hello", "shutdown", "quit|x"}) {
    EXPECT_FALSE(commands.contains(command)) << command;
  }
}

}  // namespace
}  // namespace crossfade
