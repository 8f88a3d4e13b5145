#include "proxy/cli_watch.h"

#include <gmock/gmock.h>

#include "proxy/cli_advice.h"
#include "tests/proxy/cli_world.h"

namespace crossfade {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json GoodStatus() {
  return json::parse(R"({"version": "0.1.0", "epoch": 1, "primary": "old", "secondary": "follow", "ack": "primary",
    "reads_new": 0, "compare": 0, "synced": "yes", "synced_why": "", "lag": {"slots": 1, "bytes": 2048, "ms": 0.5},
    "dirty": {"keys": 0, "overflowed": false}, "writes": {"total": 100, "followed": 90},
    "reads": {"old": 1000, "new": 0, "compared": 200, "mismatched": 0}, "clients": {"connected": 3},
    "backends": {"old": {"state": "up", "latency_us": {"p50": 80, "p99": 2500}}, "new": {"state": "up"}},
    "backfill": {"state": "done"}, "verify": {"state": "done", "differing": 0}, "attention": [], "uptime_ms": 61000})");
}

std::string TextOf(const std::vector<ScreenLine>& lines) {
  std::string text;
  for (const ScreenLine& line : lines) text += line.text + "\n";
  return text;
}

TEST(RenderWatchTest, RatesComeFromTwoLooks) {
  WatchFrame frame{.status = GoodStatus(), .address = "127.0.0.1:6401"};
  EXPECT_THAT(TextOf(RenderWatch(frame)), HasSubstr("reads/s     -"));
  frame.before = frame.status;
  frame.seconds = 2;
  frame.status["reads"]["old"] = 3000;
  frame.status["writes"]["total"] = 300;
  const std::string text = TextOf(RenderWatch(frame));
  EXPECT_THAT(text, HasSubstr("old (PRIMARY)             new (secondary)"));
  EXPECT_THAT(text, HasSubstr("reads/s     1,000                     0\n"));
  EXPECT_THAT(text, HasSubstr("writes/s    100                       0\n"));
  EXPECT_THAT(text, HasSubstr("p50         80 µs                     -\n"));
  EXPECT_THAT(text, HasSubstr("lag         1 slots, 2.0 KiB, 0.5 ms"));
  frame.before["reads"]["old"] = 5000;  // another run of the proxy
  EXPECT_THAT(TextOf(RenderWatch(frame)), HasSubstr("reads/s     -"));
}

TEST(RenderWatchTest, SaysThatTheProxyIsGoneAndWhatNeedsAttention) {
  WatchFrame frame{.status = GoodStatus(), .lost = "connection refused", .lost_seconds = 12};
  frame.status["attention"] = {"look\x1b here"};
  frame.status["ramp"] = {{"state", "tripped"}, {"reads_new", 0}, {"reason", "mismatch_rate"}};
  frame.audit =
      json::parse(R"({"entries": [{"at_ms": 0, "who": "ramp", "what": "reads_new", "from": "5", "to": "0"}]})");
  const std::string text = TextOf(RenderWatch(frame));
  EXPECT_THAT(text, HasSubstr("NO ANSWER   for 12 s"));
  EXPECT_THAT(text, HasSubstr("ATTENTION   look\\x1b here"));
  EXPECT_THAT(text, HasSubstr("ramp        tripped, 0 % of reads: mismatch_rate"));
  EXPECT_THAT(text, HasSubstr("reads_new: 5 → 0"));
  EXPECT_THAT(RenderWatchLine(frame), HasSubstr("no answer: connection refused"));
  frame.lost.clear();
  EXPECT_THAT(RenderWatchLine(frame), HasSubstr("primary=old reads_new=0 synced=yes lag_slots=1 dirty=0 "));
}

TEST(RenderWatchTest, SurvivesWhateverTheProxySays) {
  const json whole = GoodStatus();
  for (const json& other : {json(), json(1), json("x"), json::array({1, "a", nullptr}), json::object()}) {
    EXPECT_FALSE(RenderWatch({.status = other, .audit = other, .before = other, .seconds = 1}).empty());
    for (const auto& [name, value] : whole.items()) {
      json changed = whole;
      changed[name] = other;
      EXPECT_FALSE(RenderWatch({.status = changed, .before = changed, .seconds = 1}).empty());
      EXPECT_FALSE(RenderWatchLine({.status = changed, .before = whole, .seconds = 1}).empty());
      AdviseFrom(changed);
    }
  }
}

TEST(RenderFrameTest, IsCutToTheTerminalAndCoversWhatWasThere) {
  const std::vector<ScreenLine> lines = {{"µµµµµ", "1"}, {"second", ""}, {"third", ""}};
  EXPECT_EQ(RenderFrame(lines, 3, 2, true), "\x1b[H\x1b[1mµµµ\x1b[0m\x1b[K\r\nsec\x1b[K\x1b[J");
  EXPECT_EQ(RenderFrame(lines, 10, 10, false), "\x1b[Hµµµµµ\x1b[K\r\nsecond\x1b[K\r\nthird\x1b[K\x1b[J");
}

TEST(AdviceTest, TheNextSafeStepOfAMigrationAndTheWayBack) {
  const auto next = [](const json& changes) {
    json status = GoodStatus();
    status.merge_patch(changes);
    return AdviseFrom(status).next;
  };
  const auto back = [](const json& changes) {
    json status = GoodStatus();
    status.merge_patch(changes);
    return AdviseFrom(status).back;
  };
  EXPECT_THAT(next({{"synced", "no"}, {"backfill", {{"state", "idle"}}}}), HasSubstr("backfill start"));
  EXPECT_THAT(next({{"synced", "copying"}, {"backfill", {{"state", "running"}}}}), HasSubstr("wait for the backfill"));
  EXPECT_THAT(next({{"backfill", {{"state", "paused"}}}}), HasSubstr("backfill resume"));
  EXPECT_THAT(next({{"verify", {{"state", "idle"}}}}), HasSubstr("crossfade verify"));
  EXPECT_THAT(next({{"verify", {{"differing", 3}}}}), HasSubstr("verify --repair"));
  EXPECT_EQ(next(json::object()), "crossfade compare 100: do both answer the same?");
  EXPECT_EQ(next({{"compare", 100}}), "crossfade reads 1");
  EXPECT_EQ(next({{"compare", 100}, {"reads_new", 25}}), "crossfade reads 50");
  EXPECT_THAT(next({{"compare", 100}, {"reads_new", 5}, {"ramp", {{"state", "running"}}}}),
              HasSubstr("wait for the ramp"));
  EXPECT_THAT(next({{"compare", 100}, {"reads_new", 100}}), HasSubstr("flip new"));
  EXPECT_THAT(next({{"primary", "new"}, {"reads_new", 100}}), HasSubstr("report"));
  EXPECT_THAT(next({{"dirty", {{"keys", 4}}}}), HasSubstr("no key is dirty"));
  EXPECT_THAT(next({{"backends", {{"old", {{"state", "down"}}}}}}), HasSubstr("flip new --force"));
  EXPECT_THAT(next({{"backends", {{"new", {{"state", "down"}}}}}}), HasSubstr("bring the secondary (new) back"));
  EXPECT_EQ(back(json::object()), "");
  EXPECT_EQ(back({{"reads_new", 25}}), "crossfade reads 0");
  EXPECT_EQ(back({{"primary", "new"}}), "crossfade flip old");
}

TEST_F(CliTest, WatchNeedsAProxyToBeginWith) {
  EXPECT_EQ(Run({"watch"}), 3);
  replies_ = {{401, R"({"error": "token needed"})"}};
  EXPECT_EQ(Run({"watch"}), 2);
  EXPECT_EQ(Run({"watch", "--interval", "1ms"}), 2);
}

TEST_F(CliTest, ShellsAndManAreToldOfEveryCommandAndOption) {
  ASSERT_EQ(Run({"completion", "bash"}), 0);
  const std::string bash = out();
  ASSERT_EQ(Run({"completion", "zsh"}), 0);
  const std::string zsh = out();
  ASSERT_EQ(Run({"man"}), 0);
  const std::string man = out();
  for (const char* word : {"backfill", "watch", "on-miss", "--max-pause", "--token-file", "--dry-run", "--limit"}) {
    EXPECT_THAT(bash, HasSubstr(word));
    EXPECT_THAT(zsh, HasSubstr(word));
  }
  EXPECT_THAT(bash, HasSubstr("'run --config') compopt"));
  EXPECT_THAT(man, HasSubstr("\\-\\-max\\-pause MS\n"));
  EXPECT_THAT(man, HasSubstr(".SS \"crossfade flip [to] [options]\""));
  EXPECT_THAT(man, Not(HasSubstr("INT in [")));
  EXPECT_EQ(Run({"completion", "fish"}), 2);
}

}  // namespace
}  // namespace crossfade
