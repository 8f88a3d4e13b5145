#include "proxy/cli_ramp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "nlohmann/json.hpp"
#include "proxy/cli_operator.h"
#include "proxy/cli_progress.h"
#include "tests/proxy/cli_world.h"

namespace crossfade {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

json Decision(int number, const std::string& decision, double reads_new) {
  return {{"number", number},
          {"at_ms", 1'700'000'000'000},
          {"decision", decision},
          {"reads_new", reads_new},
          {"reason", "because \x1b[1m"},
          {"figures", {{"elapsed_ms", number > 1 ? 1000 : 0}, {"compared", 1234}, {"mismatched", 2}}}};
}

json RampAnswer(const std::string& state, int step = 1, const json& decisions = json::array()) {
  return {{"state", state},
          {"steps", {1, 25, 100}},
          {"every_ms", 60'000},
          {"step", step},
          {"reads_new", 25},
          {"next_step_in_ms", 30'500},
          {"reason", state == "running" ? "" : "its reason"},
          {"guardrails",
           {{{"name", "mismatch_rate"}, {"value", 0.0}, {"limit", 0.001}, {"samples", 1234}, {"state", "ok"}},
            {{"name", "p99_ratio"},
             {"value", 0},
             {"limit", 2},
             {"samples", 3},
             {"state", "no_data"},
             {"text", "too few"}}}},
          {"decisions", decisions}};
}

TEST(RampTextTest, OneLine) {
  EXPECT_EQ(RampLine(RampAnswer("running", 2)), "running, step 2 of 3, new answers 25 %, 100 % in 0:31");
  EXPECT_EQ(RampLine(RampAnswer("holding", 3)), "holding, step 3 of 3, new answers 25 %, done in 0:31: its reason");
  EXPECT_EQ(RampLine(RampAnswer("tripped")), "tripped, step 1 of 3, new answers 25 %: its reason");
  EXPECT_EQ(RampLine({{"state", "idle"}}), "idle");
  EXPECT_EQ(RampLine(json::array()), "?, step ? of 0, new answers ? %") << "another version's";
}

TEST(RampTextTest, Whole) {
  EXPECT_EQ(RenderRamp({{"state", "idle"}}), "ramp: idle; start it with: crossfade ramp start\n");
  const std::string text = RenderRamp(RampAnswer("holding", 2, {Decision(2, "hold", 25), Decision(1, "start", 1)}));
  EXPECT_THAT(text, StartsWith("ramp: holding, step 2 of 3"));
  EXPECT_THAT(text, HasSubstr("  ok        mismatch_rate           0  limit 0.001         1,234 samples\n"));
  EXPECT_THAT(text, HasSubstr("  no data   p99_ratio               0  limit 2                 3 samples  too few\n"));
  EXPECT_THAT(text, HasSubstr("hold        25 %  because \\x1b[1m  (2 of 1,234 compared differ"));
  EXPECT_THAT(text, HasSubstr("start        1 %  because \\x1b[1m\n"));
  EXPECT_THAT(RenderRamp(RampAnswer("done")), Not(HasSubstr("samples"))) << "nobody watches any more";
  json many = json::array();
  for (int i = 0; i < 11; ++i) many.push_back(Decision(i, "pause", 1));
  EXPECT_THAT(RenderRamp(RampAnswer("done", 1, many)), HasSubstr("… (crossfade ramp status --json)"));
}

class RampCliTest : public CliTest {
 protected:
  void Answer(const json& json, int status = 200) { replies_.push_back({.status = status, .body = json.dump()}); }
};

TEST_F(RampCliTest, StartSaysWhatWasAskedFor) {
  Answer(RampAnswer("running"), 202);
  EXPECT_EQ(Run({"ramp",
                 "start",
                 "--steps",
                 "0.5, 5%,100",
                 "--every",
                 "10m",
                 "--compare",
                 "20",
                 "--max-mismatch-rate",
                 "0.01",
                 "--max-error-rate",
                 "0.02",
                 "--max-p99-ratio",
                 "3",
                 "--latency-floor",
                 "2ms",
                 "--max-lag",
                 "1s",
                 "--max-dirty-keys",
                 "5",
                 "--max-down",
                 "3s",
                 "--min-samples",
                 "9"}),
            0);
  EXPECT_THAT(
      calls_,
      ElementsAre("POST /api/v1/ramp {\"compare\":20.0,\"every_ms\":600000,\"latency_floor_ms\":2,"
                  "\"max_dirty_keys\":5,\"max_down_ms\":3000,\"max_error_rate\":0.02,\"max_lag_ms\":1000,"
                  "\"max_mismatch_rate\":0.01,\"max_p99_ratio\":3.0,\"min_samples\":9,\"steps\":[0.5,5.0,100.0]}"));
  EXPECT_THAT(out(), StartsWith("ramp: started, 25 % of reads now; watch it with: crossfade ramp status --wait"));
}

TEST_F(RampCliTest, EveryActionAsksItsOwn) {
  const struct {
    std::vector<std::string> args;
    std::string call, said;
  } cases[] = {{{"ramp"}, "GET /api/v1/ramp", "ramp: paused, step 1 of 3"},
               {{"ramp", "status"}, "GET /api/v1/ramp", "ramp: paused, step 1 of 3"},
               {{"ramp", "start"}, "POST /api/v1/ramp {}", "ramp: started"},
               {{"ramp", "pause"}, "PATCH /api/v1/ramp {\"paused\":true}", "ramp: paused at 25 %; go on with"},
               {{"ramp", "resume"}, "PATCH /api/v1/ramp {\"paused\":false}", "ramp: paused, step 1 of 3"},
               {{"ramp", "abort"}, "DELETE /api/v1/ramp", "ramp: aborted; old answers all reads now"}};
  for (const auto& one : cases) {
    replies_.clear();
    Answer(RampAnswer("paused"));
    EXPECT_EQ(Run(one.args), 0);
    EXPECT_THAT(calls_, ElementsAre(one.call));
    EXPECT_THAT(out(), StartsWith(one.said));
  }
}

TEST_F(RampCliTest, WrongArgumentsAskNobody) {
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"ramp", "go"},
                                             {"ramp", "start", "--steps", "5,1"},
                                             {"ramp", "start", "--steps", ""},
                                             {"ramp", "start", "--steps", "5,,6"},
                                             {"ramp", "start", "--steps", "5e1"},
                                             {"ramp", "start", "--every", "10"},
                                             {"ramp", "start", "--compare", "101"},
                                             {"ramp", "start", "--max-lag", "soon"}}) {
    EXPECT_EQ(Run(args), 2) << testing::PrintToString(args);
    EXPECT_THAT(calls_, IsEmpty());
    EXPECT_THAT(err(), Not(IsEmpty()));
  }
}

// --- --wait ----------------------------------------------------------------------------------------------------------

class RampWaitTest : public testing::Test {
 protected:
  int Wait(std::vector<json> answers, int interrupted_after = 1000, const std::string& action = "start") {
    progress_.str("");
    out_.str("");
    Pace pace;
    pace.out = &progress_;
    pace.sleep = [&](int64_t) { return --interrupted_after > 0; };
    AdminSession session;
    session.out = &out_;
    session.err = &err_;
    session.pace = &pace;
    size_t next = 0;
    session.call = [&](const Address&, const std::string&, const std::string&, const std::string&, const std::string&,
                       int64_t) -> absl::StatusOr<AdminReply> {
      return AdminReply{.status = 200, .body = answers[std::min(next++, answers.size() - 1)].dump()};
    };
    RampArguments arguments;
    arguments.action = action;
    arguments.wait = true;
    return Operator(std::move(session)).Ramp(arguments);
  }
  std::ostringstream out_, err_, progress_;
};

TEST_F(RampWaitTest, TellsEachDecisionOnce) {
  const json start = Decision(7, "start", 1), advance = Decision(8, "advance", 25), done = Decision(9, "done", 25);
  const json before = Decision(6, "done", 9);
  EXPECT_EQ(Wait({RampAnswer("running", 1, json::array({start})), RampAnswer("running", 1, json::array({start})),
                  RampAnswer("running", 2, {advance, start}), RampAnswer("running", 2, {advance, start}),
                  RampAnswer("done", 2, {done, advance, start})}),
            kExitDone);
  const std::string text = progress_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
  EXPECT_THAT(text, testing::ContainsRegex("start .*\n.*advance .*\n.*done "));
  EXPECT_THAT(out_.str(), StartsWith("ramp: done, step 2 of 3"));
}

TEST_F(RampWaitTest, AStatusBeginsWithWhatIsNew) {
  const json start = Decision(7, "start", 1), trip = Decision(8, "trip", 0);
  EXPECT_EQ(Wait({RampAnswer("running", 1, json::array({start})), RampAnswer("running", 1, json::array({start})),
                  RampAnswer("tripped", 1, {trip, start})},
                 1000, "status"),
            kExitNotTrue);
  EXPECT_THAT(progress_.str(), Not(HasSubstr("start")));
  EXPECT_THAT(progress_.str(), HasSubstr("trip "));
}

TEST_F(RampWaitTest, CtrlCEndsTheWatchingOnly) {
  EXPECT_EQ(Wait({RampAnswer("running")}, 3), kExitNotTrue);
  EXPECT_THAT(err_.str(), HasSubstr("it goes on; take reads back with: crossfade ramp abort"));
}

}  // namespace
}  // namespace crossfade
