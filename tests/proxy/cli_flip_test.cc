#include "proxy/cli_flip.h"

#include <gmock/gmock.h>

#include "nlohmann/json.hpp"
#include "tests/proxy/cli_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr char kOpen[] = R"({"to": "new", "ready": false, "checks": [
  {"name": "target", "ok": true, "found": "old is primary", "reason": "", "overridable": false},
  {"name": "clean", "ok": false, "found": "12 keys", "reason": "12 keys are dirty", "overridable": true, "waits": true},
  {"name": "synced", "ok": false, "found": "no", "reason": "not synced", "overridable": true, "overridden": true},
  {"name": "trust", "ok": false, "found": "no\u001b", "reason": "came back empty", "overridable": true}]})";
constexpr char kReady[] = R"({"to": "new", "ready": true, "checks": [{"name": "target", "ok": true, "found": "f"}]})";
constexpr char kAlready[] = R"({"to": "new", "ready": false, "checks": [
  {"name": "target", "ok": false, "found": "new is primary", "reason": "new is the primary already", "overridable": false}]})";

TEST(RenderFlipChecksTest, EachCheckWithItsReason) {
  const std::string text = RenderFlipChecks(nlohmann::json::parse(kOpen), false);
  EXPECT_EQ(text,
            "ok    target  old is primary\n"
            "wait  clean   12 keys\n"
            "              → 12 keys are dirty\n"
            "over  synced  no\n"
            "              → not synced\n"
            "no    trust   no\\x1b\n"
            "              → came back empty\n");
  EXPECT_THAT(RenderFlipChecks(nlohmann::json::parse(kOpen), true), HasSubstr("\x1b[1;31mno  \x1b[0m"));
  for (const char* other : {"{}", "[]", "null", R"({"checks": [1, {}, null]})"}) {
    EXPECT_THAT(RenderFlipChecks(nlohmann::json::parse(other), true), Not(HasSubstr("ok"))) << other;
  }
}

TEST_F(CliTest, ADryRunListsWhatAFlipDependsOn) {
  nlohmann::json refusal = nlohmann::json::parse(kOpen);
  refusal.update({{"flipped", false}, {"dry_run", true}, {"would_flip", false}, {"reason", "12 keys are dirty"}});
  replies_ = {{409, refusal.dump()}};
  EXPECT_EQ(Run({"flip", "new", "--dry-run"}), 1);
  EXPECT_THAT(out(), HasSubstr("→ 12 keys are dirty"));
  EXPECT_THAT(err(), HasSubstr("12 keys are dirty"));
  ASSERT_THAT(calls_, SizeIs(1));
  EXPECT_THAT(calls_[0], HasSubstr(R"("preflight":true)"));
}

TEST_F(CliTest, WaitLooksUntilNothingStandsInTheWayAndThenFlips) {
  replies_ = {{200, kOpen}, {200, kOpen}, {200, kReady}, {200, R"({"flipped": true, "pause_ms": 1})"}};
  EXPECT_EQ(Run({"flip", "new", "--wait"}), 0);
  EXPECT_THAT(calls_, ElementsAre("GET /api/v1/flip?to=new&preflight=true", "GET /api/v1/flip?to=new&preflight=true",
                                  "GET /api/v1/flip?to=new&preflight=true", HasSubstr("POST /api/v1/flip")));
  EXPECT_THAT(out(), HasSubstr("flipped: new is primary now"));
}

TEST_F(CliTest, WaitLooksOnWhenAFlipWasRefusedAfterAll) {
  replies_ = {{200, kReady},
              {409, R"({"flipped": false, "reason": "not drained"})"},
              {200, kReady},
              {200, R"({"flipped": true, "pause_ms": 1})"}};
  EXPECT_EQ(Run({"flip", "new", "--wait"}), 0);
  EXPECT_THAT(calls_, SizeIs(4));
}

TEST_F(CliTest, WaitEndsAtItsTimeoutAndSaysWhatIsOpen) {
  replies_ = {{200, kOpen}, {200, kOpen}};
  EXPECT_EQ(Run({"flip", "new", "--wait", "--timeout", "1ms"}), 1);
  EXPECT_THAT(err(), HasSubstr("not ready within 1ms; nothing has changed"));
  EXPECT_THAT(out(), HasSubstr("12 keys are dirty"));
  replies_ = {{200, kAlready}};
  EXPECT_EQ(Run({"flip", "new", "--wait"}), 1);
  EXPECT_THAT(err(), HasSubstr("new is the primary already"));
  replies_ = {};
  EXPECT_EQ(Run({"flip", "new", "--wait"}), 3);
  EXPECT_EQ(Run({"flip", "new", "--wait", "--dry-run"}), 2);
  EXPECT_EQ(Run({"flip", "new", "--timeout", "1s"}), 2);
  EXPECT_EQ(Run({"flip", "new", "--wait", "--timeout", "soon"}), 2);
}

TEST_F(CliTest, AFlipSaysWhomItHasMoved) {
  replies_ = {
      {200, R"({"flipped": true, "pause_ms": 3.21, "moved": {"subscribers": 2, "blocked": 1, "watches_broken": 0}})"}};
  EXPECT_EQ(Run({"flip", "new"}), 0);
  EXPECT_THAT(out(), HasSubstr("(paused 3.2 ms, 2 subscribers moved, 1 blocked clients stayed)"));
}

TEST_F(CliTest, AuditIsALineForEachEntry) {
  replies_ = {{200, R"({"entries": [
    {"at_ms": 1000, "who": "token ci@127.0.0.1", "what": "reads_new", "from": "0", "to": "25", "outcome": "done", "reason": ""},
    {"at_ms": 0, "who": "proxy", "what": "start", "from": "", "to": "", "outcome": "done", "reason": "because"},
    {"at_ms": 0, "who": "x", "what": "flip", "from": "old", "to": "new", "outcome": "refused", "reason": "dirty"}, 7]})"}};
  EXPECT_EQ(Run({"audit", "--limit", "4"}), 0);
  EXPECT_THAT(calls_, ElementsAre("GET /api/v1/audit?limit=4"));
  EXPECT_THAT(out(), HasSubstr("1970-01-01T00:00:01Z  token ci@127.0.0.1        reads_new: 0 → 25\n"));
  EXPECT_THAT(out(), HasSubstr("start (because)\n"));
  EXPECT_THAT(out(), HasSubstr("flip: old → new, refused (dirty)\n"));
  replies_ = {{200, R"({"entries": []})"}};
  EXPECT_EQ(Run({"audit"}), 0);
  EXPECT_EQ(out(), "nothing has been changed yet\n");
}

}  // namespace
}  // namespace crossfade
