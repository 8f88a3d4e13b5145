#include "proxy/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <vector>

#include "nlohmann/json.hpp"
#include "proxy/cli_backfill.h"
#include "proxy/cli_output.h"
#include "tests/proxy/cli_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST_F(CliTest, HelpAndVersion) {
  EXPECT_EQ(Run({"--help"}), 0);
  EXPECT_THAT(out(), HasSubstr("crossfade flip new"));
  for (std::string command : {"run", "status", "reads", "compare", "secondary", "ack", "split", "on-miss", "flip",
                              "resync", "reload", "backfill", "verify", "mismatches", "commands"}) {
    EXPECT_THAT(out(), HasSubstr("\n  " + command + " "));
  }
  for (std::string command : {"run", "status", "reads", "secondary", "flip", "backfill", "verify", "commands"}) {
    EXPECT_EQ(Run({command, "--help"}), 0);
    EXPECT_THAT(out(), HasSubstr("Examples:\n  crossfade " + command));
  }
  EXPECT_EQ(Run({"--version"}), 0);
  EXPECT_EQ(out(), "crossfade " CROSSFADE_VERSION "\n");
}

TEST_F(CliTest, WrongUsageIs2AndAsksNothing) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"nonsense"},
                                                       {"status", "extra"},
                                                       {"status", "--nonsense"},
                                                       {"reads"},
                                                       {"reads", "-1"},
                                                       {"reads", "101"},
                                                       {"reads", "ten"},
                                                       {"reads", ""},
                                                       {"reads", "%"},
                                                       {"reads", "1e1"},
                                                       {"reads", "nan"},
                                                       {"reads", "1.2.3"},
                                                       {"reads", "5", "6"},
                                                       {"compare", "100.1"},
                                                       {"compare", "5", "--cold"},
                                                       {"secondary"},
                                                       {"secondary", "on"},
                                                       {"ack", "all"},
                                                       {"split", "half"},
                                                       {"on-miss", "new"},
                                                       {"flip", "sideways"},
                                                       {"flip", "--max-pause", "0"},
                                                       {"flip", "--max-pause", "x"},
                                                       {"backfill", "begin"},
                                                       {"verify", "begin"},
                                                       {"verify", "--sample", "101"},
                                                       {"verify", "--rate", "0"},
                                                       {"mismatches", "--limit", "0"},
                                                       {"status", "--admin", "x:y:z"},
                                                       {"status", "--token-file", "/nonexistent"},
                                                       {"run", "extra"},
                                                       {"commands", "get"},
                                                       {"commands", "--refused", "--not-in-multi"},
                                                       {"run", "--config"}};
  for (const auto& args : wrong) {
    EXPECT_EQ(Run(args), 2) << testing::PrintToString(args);
    EXPECT_FALSE(err().empty()) << testing::PrintToString(args);
    EXPECT_THAT(calls_, IsEmpty());
  }
}

// The commands of `args --json`, by name.
class CommandListTest : public CliTest {
 protected:
  nlohmann::json List(std::vector<std::string> args) {
    args.insert(args.begin(), "commands");
    args.push_back("--json");
    EXPECT_EQ(Run(args), 0);
    nlohmann::json by_name = nlohmann::json::object();
    for (const auto& entry : nlohmann::json::parse(out())) {
      EXPECT_FALSE(by_name.contains(entry["command"])) << entry;
      by_name[entry["command"].get<std::string>()] = entry;
    }
    return by_name;
  }
};

TEST_F(CommandListTest, SaysWhatIsDoneWithEach) {
  const nlohmann::json all = List({});
  const std::pair<const char*, const char*> expected[] = {
      {"GET", "read"},        {"SCAN", "primary"},         {"XGROUP CREATE", "write"}, {"PUBLISH", "both"},
      {"CLIENT ID", "local"}, {"CLIENT LIST", "service"},  {"WATCH", "private"},       {"CONFIG SET", "admin"},
      {"MIGRATE", "admin"},   {"CLUSTER NODES", "refused"}};
  for (const auto& [name, handling] : expected) {
    ASSERT_TRUE(all.contains(name)) << name;
    EXPECT_EQ(all[name]["handling"], handling);
    EXPECT_EQ(all[name]["reason"].get<std::string>().empty(),
              all[name]["handling"] != "admin" && all[name]["handling"] != "refused");
  }
  EXPECT_FALSE(all.contains("CLIENT"));  // stands for unknown subcommands
  EXPECT_TRUE(all.contains("COMMAND"));  // … and this for itself
  EXPECT_TRUE(all["GET"]["in_transaction"]);
  EXPECT_TRUE(all["WAIT"]["in_transaction"]);
  EXPECT_FALSE(all["SUBSCRIBE"]["in_transaction"]);
  EXPECT_FALSE(all["CONFIG SET"]["in_transaction"]);
  EXPECT_THAT(calls_, IsEmpty());
}

TEST_F(CommandListTest, ChoosesWhatIsRefused) {
  const nlohmann::json refused = List({"--refused"});
  EXPECT_TRUE(refused.contains("CONFIG SET"));
  EXPECT_TRUE(refused.contains("SYNC"));
  for (const auto& [name, entry] : refused.items()) {
    EXPECT_THAT(entry["handling"], testing::AnyOf("admin", "refused")) << name;
    EXPECT_FALSE(entry["reason"].get<std::string>().empty()) << name;
  }
  const nlohmann::json not_queued = List({"--not-in-multi"});
  EXPECT_TRUE(not_queued.contains("AUTH"));
  for (const auto& [name, entry] : not_queued.items()) {
    EXPECT_FALSE(entry["in_transaction"]) << name;
    EXPECT_FALSE(refused.contains(name)) << name;
  }
  Run({"commands", "--refused"});
  EXPECT_THAT(out(), HasSubstr("\nPSYNC                          refused  Crossfade can't be replicated from."));
  Run({"commands"});
  EXPECT_THAT(out(), HasSubstr("\nCLUSTER SYNCSLOTS              refused  This"));
  EXPECT_THAT(out(), HasSubstr("\nCLUSTERSCAN                    primary\nCMS.INCRBY "));
}

TEST_F(CliTest, RunPassesTheConfigurationOn) {
  run_exit_ = 7;
  EXPECT_EQ(Run({"run", "--old", "redis://a:1", "--new", "redis://b:2", "--listen", "127.0.0.1:0", "--admin",
                 "127.0.0.1:9", "--state", "/tmp/x"}),
            7)
      << err();
  EXPECT_EQ(ran_.backend(Side::kNew).address.ToString(), "b:2");
  EXPECT_EQ(ran_.listen.port, 0);
  EXPECT_EQ(ran_.admin.address.port, 9);
  EXPECT_EQ(ran_.state_dir, "/tmp/x");
}

TEST_F(CliTest, RunTellsEveryMistake) {
  run_exit_ = 7;
  EXPECT_EQ(Run({"run", "--old", "http://a:1", "--new", "redis://b:2/3"}), 2);
  EXPECT_THAT(err(), HasSubstr("--old: "));
  EXPECT_THAT(err(), HasSubstr("\n--new: "));
  EXPECT_EQ(Run({"run", "--config", "/nonexistent.toml"}), 2);
  EXPECT_THAT(err(), HasSubstr("/nonexistent.toml"));
}

TEST_F(CliTest, WhomToAsk) {
  EXPECT_EQ(Run({"status"}), 3);
  EXPECT_EQ(address_, "127.0.0.1:6401");
  EXPECT_EQ(err(), "can't reach the proxy\n");
  setenv("CROSSFADE_ADMIN", "10.0.0.1:7000", 1);
  Run({"status"});
  EXPECT_EQ(address_, "10.0.0.1:7000");
  Run({"status", "--admin", "10.0.0.2:8000"});
  EXPECT_EQ(address_, "10.0.0.2:8000");
  setenv("CROSSFADE_ADMIN", "", 1);
  Run({"status"});
  EXPECT_EQ(address_, "127.0.0.1:6401");
}

TEST_F(CliTest, Token) {
  Run({"status"});
  EXPECT_EQ(token_, "");
  setenv("CROSSFADE_TOKEN", "from-env\n", 1);
  Run({"status"});
  EXPECT_EQ(token_, "from-env");

  std::string file = testing::TempDir() + "crossfade_cli_test_token";
  auto write = [&file](const std::string& text) { std::ofstream(file, std::ios::binary) << text; };
  write("  from-file \n");
  Run({"status", "--token-file", file});
  EXPECT_EQ(token_, "from-file");
  for (const std::string& bad :
       {std::string(), std::string("two words"), std::string("a\r\nx: y"), std::string(5000, 'a')}) {
    write(bad);
    EXPECT_EQ(Run({"status", "--token-file", file}), 2) << bad;
    EXPECT_THAT(calls_, IsEmpty());
  }
  EXPECT_EQ(Run({"status", "--token-file", testing::TempDir()}), 2);
  std::remove(file.c_str());
}

TEST_F(CliTest, MissingAndWrongToken) {
  replies_ = {{401, R"({"error": "token needed"})"}};
  EXPECT_EQ(Run({"status"}), 2);
  EXPECT_THAT(err(), HasSubstr("--token-file"));
  setenv("CROSSFADE_TOKEN", "wrong", 1);
  EXPECT_EQ(Run({"status"}), 1);
  EXPECT_THAT(err(), HasSubstr("token needed"));
  EXPECT_THAT(err(), Not(HasSubstr("wrong")));
}

TEST_F(CliTest, JsonIsVerbatim) {
  replies_ = {{200, "{ \"primary\" : \"old\" }"}};
  EXPECT_EQ(Run({"status", "--json"}), 0);
  EXPECT_EQ(out(), "{ \"primary\" : \"old\" }\n");
  replies_ = {{409, "{\"error\": \"not synced\"}\n"}};
  EXPECT_EQ(Run({"reads", "5", "--json"}), 1);
  EXPECT_EQ(out(), "{\"error\": \"not synced\"}\n");
  EXPECT_THAT(calls_, ElementsAre("PATCH /api/v1/routing {\"reads_new\":5}"));
  replies_ = {{200, R"({"primary": "old"})"}, {200, R"({"flipped": true})"}};
  EXPECT_EQ(Run({"flip", "--json"}), 0);
  EXPECT_EQ(out(), "{\"flipped\": true}\n");
}

TEST_F(CliTest, ExitStatusByHttpStatus) {
  const std::pair<int, int> expected[] = {{400, 2}, {404, 1}, {405, 1}, {409, 1}, {413, 1}, {500, 1}, {503, 3}};
  for (auto [status, exit] : expected) {
    replies_ = {{status, R"({"error": "the reason"})"}};
    EXPECT_EQ(Run({"resync"}), exit) << status;
    EXPECT_THAT(err(), HasSubstr("the reason"));
    replies_ = {{status, "<html>"}};
    EXPECT_EQ(Run({"resync"}), exit) << status;
  }
  replies_ = {{200, "<html>"}};
  EXPECT_EQ(Run({"status"}), 3);
  replies_ = {{204, ""}};
  EXPECT_EQ(Run({"resync"}), 0);
}

TEST_F(CliTest, Reads) {
  replies_ = {{200, R"({"reads_new": 10, "split": "key"})"}, {200, R"({"reads_new": 25})"}};
  EXPECT_EQ(Run({"reads", "25%", "--cold"}), 0);
  EXPECT_THAT(calls_, ElementsAre("GET /api/v1/status", R"(PATCH /api/v1/routing {"cold":true,"reads_new":25})"));
  EXPECT_EQ(out(), "reads: new answers 25 % of the keys now (was 10 %); undo with: crossfade reads 10\n");
  EXPECT_EQ(Run({"reads", "25", "--admin", "h:1"}), 0);
  EXPECT_THAT(out(), HasSubstr("undo with: crossfade reads 10 --admin h:1\n"));

  replies_ = {{200, R"({"reads_new": 12.5, "split": "random"})"}, {200, "{}"}};
  EXPECT_EQ(Run({"reads", "12.5"}), 0);
  EXPECT_EQ(calls_[1], R"(PATCH /api/v1/routing {"reads_new":12.5})");
  EXPECT_EQ(out(), "reads: new answers 12.5 % of the reads now, as before\n");

  // What is true counts, not what was asked for; and a status that says nothing is no obstacle.
  replies_ = {{200, "[]"}, {200, R"({"reads_new": 20})"}};
  EXPECT_EQ(Run({"reads", "25"}), 0);
  EXPECT_EQ(out(), "reads: new answers 20 % of the keys now\n");

  replies_ = {{200, "{}"}, {409, R"({"reason": "new is not synced"})"}};
  EXPECT_EQ(Run({"reads", "25"}), 1);
  EXPECT_EQ(err(), "refused: new is not synced\n");
}

TEST_F(CliTest, Settings) {
  replies_ = {{200, R"({"compare":0,"secondary":"follow","ack":"primary","split":"key","on_miss":"nil"})"},
              {200, "{}"}};
  EXPECT_EQ(Run({"compare", "100"}), 0);
  EXPECT_EQ(calls_[1], R"(PATCH /api/v1/routing {"compare":100})");
  EXPECT_THAT(out(), HasSubstr("(was 0 %); undo with: crossfade compare 0\n"));
  EXPECT_EQ(Run({"secondary", "journal"}), 0);
  EXPECT_EQ(calls_[1], R"(PATCH /api/v1/routing {"secondary":"journal"})");
  EXPECT_THAT(out(), HasSubstr("(was follow); undo with: crossfade secondary follow\n"));
  EXPECT_EQ(Run({"secondary", "replica", "--replace"}), 0);
  EXPECT_EQ(calls_[1], R"(PATCH /api/v1/routing {"replace":true,"secondary":"replica"})");
  EXPECT_THAT(out(), HasSubstr("(was follow); undo with: crossfade secondary follow\n"));
  EXPECT_EQ(Run({"ack", "both"}), 0);
  EXPECT_EQ(calls_[1], R"(PATCH /api/v1/routing {"ack":"both"})");
  EXPECT_EQ(Run({"split", "random"}), 0);
  EXPECT_EQ(calls_[1], R"(PATCH /api/v1/routing {"split":"random"})");
  EXPECT_EQ(Run({"on-miss", "primary"}), 0);
  EXPECT_EQ(calls_[1], R"(PATCH /api/v1/routing {"on_miss":"primary"})");
  EXPECT_THAT(out(), HasSubstr("undo with: crossfade on-miss nil\n"));
}

TEST_F(CliTest, Flip) {
  replies_ = {{200, R"({"flipped": true, "pause_ms": 3.21})"}};
  EXPECT_EQ(Run({"flip", "new", "--max-pause", "250"}), 0);
  EXPECT_THAT(
      calls_,
      ElementsAre(R"(POST /api/v1/flip {"cold":false,"dry_run":false,"force":false,"max_pause_ms":250,"to":"new"})"));
  EXPECT_EQ(out(), "flipped: new is primary now (paused 3.2 ms); go back with: crossfade flip old\n");

  replies_ = {{200, R"({"primary": "new"})"}, {200, R"({"flipped": true})"}};
  EXPECT_EQ(Run({"flip", "--force", "--cold"}), 0);
  EXPECT_EQ(calls_[1], R"(POST /api/v1/flip {"cold":true,"dry_run":false,"force":true,"to":"old"})");
  EXPECT_EQ(out(), "flipped: old is primary now; go back with: crossfade flip new\n");

  replies_ = {{200, "{}"}};
  EXPECT_EQ(Run({"flip"}), 1);
  EXPECT_EQ(calls_.size(), 1u);

  replies_ = {{409, R"({"flipped": false, "reason": "12 keys are dirty"})"}};
  EXPECT_EQ(Run({"flip", "new"}), 1);
  EXPECT_EQ(err(), "refused: 12 keys are dirty\n");
  replies_ = {{200, R"({"flipped": false, "reason": "new is primary already"})"}};
  EXPECT_EQ(Run({"flip", "new"}), 1);
  EXPECT_EQ(err(), "not flipped: new is primary already\n");
}

TEST_F(CliTest, FlipDryRun) {
  replies_ = {{200, R"({"flipped": false, "dry_run": true, "would_flip": true, "warnings": ["lag is 3 ms"]})"}};
  EXPECT_EQ(Run({"flip", "new", "--dry-run"}), 0);
  EXPECT_THAT(out(), HasSubstr("would flip: new can become primary"));
  EXPECT_THAT(out(), HasSubstr("note: lag is 3 ms\n"));
  replies_ = {{200, R"({"flipped": false, "dry_run": true, "would_flip": false, "reason": "not synced"})"}};
  EXPECT_EQ(Run({"flip", "new", "--dry-run"}), 1);
  EXPECT_EQ(err(), "would not flip: not synced\n");
}

TEST_F(CliTest, Mismatches) {
  replies_ = {{200, R"({"mismatches": [{"key": "k\u001b[31m", "command": "GET", "old": "a", "n": 3}]})"}};
  EXPECT_EQ(Run({"mismatches", "--limit", "5"}), 0);
  EXPECT_THAT(calls_, ElementsAre("GET /api/v1/mismatches?limit=5"));
  EXPECT_THAT(out(), HasSubstr("k\\x1b[31m"));
  EXPECT_THAT(out(), HasSubstr("GET"));
  EXPECT_THAT(out(), HasSubstr("n=3  old=a"));
  replies_ = {{200, "[]"}};
  EXPECT_EQ(Run({"mismatches"}), 0);
  EXPECT_EQ(out(), "no mismatches\n");
}

constexpr char kStatus[] = R"({"version": "0.1.0", "epoch": 3, "primary": "old", "secondary": "follow",
  "ack": "primary", "reads_new": 25, "compare": 100, "synced": "no", "split": "key", "on_miss": "nil",
  "lag": {"slots": 12, "bytes": 4608, "ms": 1.25}, "dirty": {"keys": 1234, "overflowed": true},
  "writes": {"total": 1234567, "followed": 1234555, "diverged": 1, "refused_by_secondary": 0},
  "reads": {"old": 10, "new": 5, "compared": 3, "mismatched": 0, "fallback": 0}, "clients": {"connected": 20},
  "backends": {"old": {"state": "up", "product": "redis", "version": "7.0.15", "latency_us": {"p50": 120, "p99": 3400}},
               "new": {"state": "down", "error": "connection refused"}},
  "backfill": {"state": "idle", "keys_done": 0, "keys_total": 0}, "verify": {"state": "idle"},
  "attention": ["primary came back empty"], "flips": [{"to": "new", "pause_ms": 2}, {"to": "old", "pause_ms": 1.5}]})";

TEST(RenderStatusTest, Whole) {
  EXPECT_EQ(
      RenderStatus(nlohmann::json::parse(kStatus)),
      "crossfade 0.1.0, epoch 3\n\n"
      "ATTENTION  primary came back empty\n"
      "next       bring the secondary (new) back: nothing is lost, written keys are remembered\n"
      "back       crossfade reads 0\n\n"
      "primary    old, acknowledged by primary\n"
      "secondary  new, follow, NOT SYNCED\n"
      "routing    25 % of keys read from new, 100 % of reads compared\n"
      "lag        12 slots, 4.5 KiB, 1.2 ms\n"
      "dirty      1,234 keys, and everything else is taken to be dirty\n"
      "writes     1,234,567 in all, 1,234,555 followed, 0 left to repair, 1 diverged, 0 refused by the secondary\n"
      "reads      10 by old, 5 by new, 3 compared, 0 mismatched, 0 fallen back\n"
      "clients    20 connected\n"
      "backfill   idle\n"
      "verify     idle\n"
      "flips      2, the last to old (paused 1.5 ms)\n\n"
      "backend    state       product     version     p50       p99\n"
      "old        up          redis       7.0.15      120 µs    3.4 ms\n"
      "new        down        -           -           -         -         connection refused\n");
}

// Whatever is missing, or of another type, is survived.
TEST(RenderStatusTest, ToleratesAnything) {
  const nlohmann::json whole = nlohmann::json::parse(kStatus);
  const nlohmann::json others[] = {
      nullptr, 1, "x", true, nlohmann::json::array({1, "a", nullptr}), nlohmann::json::object()};
  EXPECT_THAT(RenderStatus(nlohmann::json::object()), HasSubstr("crossfade ?"));
  for (const auto& other : others) {
    EXPECT_FALSE(RenderStatus(other).empty());
    EXPECT_FALSE(RenderMismatches(nlohmann::json::array({other})).empty());
    EXPECT_FALSE(RenderBackfill(other).empty());
    for (const auto& [name, value] : whole.items()) {
      nlohmann::json changed = whole;
      changed[name] = other;
      EXPECT_FALSE(RenderStatus(changed).empty());
      changed.erase(name);
      EXPECT_FALSE(RenderStatus(changed).empty());
    }
  }
}

TEST(PrintableTest, ControlCharactersAreShown) {
  EXPECT_EQ(Printable("a\x1b[2J\n\x7f\xc2\x9bz"), "a\\x1b[2J\\x0a\\x7f\\x9bz");
  EXPECT_EQ(Printable("\xc3\xa9 \xc2\xa0"), "\xc3\xa9 \xc2\xa0");
}

}  // namespace
}  // namespace crossfade
