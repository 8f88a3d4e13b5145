#include "proxy/cli_verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <vector>

#include "nlohmann/json.hpp"
#include "proxy/cli_operator.h"
#include "proxy/cli_progress.h"
#include "proxy/verify_result.h"

namespace crossfade {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

VerifyResult Running() {
  VerifyResult result;
  result.state = VerifyState::kRunning;
  result.phase = "scanning old, database 0";
  result.keys_checked = 500;
  result.keys_total = 1000;
  result.scanned = 500;
  result.to_scan = 2000;
  result.per_second = 100;
  return result;
}

VerifyResult Done() {
  VerifyResult result = Running();
  result.state = VerifyState::kDone;
  result.phase.clear();
  result.equal = 1234;
  return result;
}

std::string Text(const VerifyResult& result) {
  return VerifyJson(result, VerifyResult::kMaxListed).dump();
}

class CliVerifyTest : public testing::Test {
 protected:
  CliVerifyTest() {
    pace_.out = &err_;
    pace_.sleep = [this](int64_t) { return ++naps_ != interrupt_at_; };
  }
  int Run(const VerifyArguments& arguments, bool as_json = false) {
    AdminSession session;
    session.json = as_json;
    session.out = &out_;
    session.err = &err_;
    session.pace = &pace_;
    session.call = [this](const Address&, const std::string& method, const std::string& path, const std::string& body,
                          const std::string&, int64_t) -> absl::StatusOr<AdminReply> {
      calls_.push_back(method + " " + path + (body.empty() ? "" : " " + body));
      if (answers_.empty()) return absl::UnavailableError("can't reach the proxy\n");
      AdminReply reply = answers_.front();
      if (answers_.size() > 1) answers_.erase(answers_.begin());
      return reply;
    };
    return Operator(std::move(session)).Verify(arguments);
  }
  void Answers(const std::vector<VerifyResult>& results) {
    for (const VerifyResult& result : results)
      answers_.push_back({result.state == VerifyState::kIdle ? 202 : 200, Text(result)});
  }

  Pace pace_;
  int naps_ = 0, interrupt_at_ = -1;
  std::ostringstream out_, err_;
  std::vector<AdminReply> answers_;
  std::vector<std::string> calls_;
};

TEST_F(CliVerifyTest, StartsWaitsAndTells) {
  Answers({Running(), Running(), Running(), Done()});
  EXPECT_EQ(Run({.repair = true, .sample = 12.5, .match = "a*", .db = 3, .rate = 9}), kExitDone);
  EXPECT_THAT(calls_, ElementsAre("POST /api/v1/verify {\"db\":3,\"keys_per_second\":9,\"match\":\"a*\","
                                  "\"repair\":true,\"sample\":12.5}",
                                  "GET /api/v1/verify?limit=0", "GET /api/v1/verify?limit=0",
                                  "GET /api/v1/verify?limit=0", "GET /api/v1/verify"));
  EXPECT_THAT(out_.str(), HasSubstr("verify: done, 500 keys checked\n"));
  EXPECT_THAT(out_.str(), HasSubstr("\n         1,234  equal\n"));
  EXPECT_THAT(out_.str(), HasSubstr("\n             0  only on new\n"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("undecided")));
}

TEST_F(CliVerifyTest, DifferencesAreListedAndCountInTheExitStatus) {
  VerifyResult result = Done();
  result.differ[static_cast<int>(VerifyKind::kMissingOnNew)] = 30;
  for (int i = 0; i < 30; ++i)
    result.differences.push_back({2, EscapedName("k\n\\"), VerifyKind::kMissingOnNew, i == 0});
  Answers({result});
  EXPECT_EQ(Run({}), kExitNotTrue);
  EXPECT_THAT(out_.str(),
              HasSubstr("   2  missing on new, repaired  k\\x0a\\\\\n   2  missing on new            k\\x0a\\\\\n"));
  EXPECT_THAT(out_.str(), HasSubstr("and 10 more"));
  result.repaired = 30;
  EXPECT_EQ(VerifyExit(json::parse(Text(result))), kExitDone);
  result.undecided[0] = 1;
  EXPECT_EQ(VerifyExit(json::parse(Text(result))), kExitNotTrue);
  EXPECT_EQ(VerifyExit(json::parse(Text(Running()))), kExitNotTrue);
}

TEST_F(CliVerifyTest, CtrlCCancels) {
  interrupt_at_ = 2;
  VerifyResult cancelled = Running();
  cancelled.state = VerifyState::kCancelled;
  cancelled.why = "cancelled; 500 of 1000 keys had been checked";
  Answers({Running(), Running(), Running(), cancelled});
  EXPECT_EQ(Run({}, true), kExitNotTrue);
  EXPECT_EQ(calls_[3], "DELETE /api/v1/verify");
  EXPECT_EQ(json::parse(out_.str())["why"], cancelled.why);  // nothing but the result
}

TEST_F(CliVerifyTest, DetachStatusCancelAndAProxyThatIsGone) {
  Answers({Running()});
  VerifyArguments arguments;
  arguments.detach = true;
  EXPECT_EQ(Run(arguments), kExitDone);
  EXPECT_THAT(out_.str(), HasSubstr("verify: started"));
  out_.str("");
  arguments.action = "status";
  EXPECT_EQ(Run(arguments), kExitDone);
  EXPECT_THAT(out_.str(), HasSubstr("verify: running, progress: 25 %, 500 of 2,000 keys  100/s  0:15 left"));
  arguments.action = "cancel";
  EXPECT_EQ(Run(arguments), kExitDone);
  EXPECT_THAT(calls_, ElementsAre("POST /api/v1/verify {}", "GET /api/v1/verify", "DELETE /api/v1/verify"));
  answers_.clear();
  EXPECT_EQ(Run({}), kExitUnreachable);
}

TEST(VerifyLineTest, IsShort) {
  EXPECT_EQ(VerifyLine(json::parse(R"({"state": "idle"})")), "idle");
  EXPECT_EQ(VerifyLine(json::parse(Text(Done()))), "done, 500 keys checked, 0 differ");
  for (const json& other : {json(), json(1), json("x"), json::object(), json::array({1})}) {
    EXPECT_FALSE(VerifyLine(other).empty());
    EXPECT_FALSE(RenderVerify(other).empty());
  }
}

TEST(VerifyJsonTest, IsReadAgain) {
  VerifyResult result = Done();
  result.options = {.repair = true, .sample = 2.5, .match = "x", .db = 1, .keys_per_second = 7};
  for (int i = 0; i < kVerifyKinds; ++i) result.differ[i] = static_cast<uint64_t>(i) + 1;
  result.undecided[1] = 9;
  result.not_comparable = result.repaired = result.unconfirmed = result.left_out = 2;
  result.differences = {{1, "a", VerifyKind::kTtl, true}, {0, "", VerifyKind::kOnlyOnNew, false}};
  VerifyResult read;
  ASSERT_TRUE(ReadVerifyJson(Text(result), &read));
  result.per_second = 0;  // of the past
  EXPECT_EQ(VerifyJson(read, 100), VerifyJson(result, 100));
  EXPECT_EQ(VerifyJson(result, 1)["differences_more"], 14);
  for (const char* bad : {"", "{", "[]", "{}", R"({"state": "asleep"})", R"({"state": 1})"}) {
    EXPECT_FALSE(ReadVerifyJson(bad, &read)) << bad;
  }
  EXPECT_TRUE(
      ReadVerifyJson(R"({"state": "done", "counts": 1, "options": {"db": "x"}, "differences": [1, {}]})", &read));
}

TEST(VerifyResultTest, KindsAreSaidOfNew) {
  EXPECT_EQ(KindOf(KeyDifference::kMissingOnSecondary, Side::kNew), VerifyKind::kMissingOnNew);
  EXPECT_EQ(KindOf(KeyDifference::kMissingOnSecondary, Side::kOld), VerifyKind::kOnlyOnNew);
  EXPECT_EQ(KindOf(KeyDifference::kOnlyOnSecondary, Side::kOld), VerifyKind::kMissingOnNew);
}

TEST(VerifyResultTest, OnlyAWholeAndCleanOneProvesEquality) {
  EXPECT_TRUE(Done().proves_equality());
  EXPECT_FALSE(Running().proves_equality());
  VerifyResult sampled = Done(), matched = Done(), undecided = Done(), left_out = Done(), differs = Done();
  sampled.options.sample = 99;
  matched.options.match = "*";
  undecided.undecided[2] = 1;
  left_out.left_out = 1;
  differs.differ[0] = 2;
  differs.repaired = 1;
  for (const VerifyResult& one : {sampled, matched, undecided, left_out, differs}) EXPECT_FALSE(one.proves_equality());
  differs.repaired = 2;
  EXPECT_TRUE(differs.proves_equality());
}

TEST(EscapedNameTest, LosesNothing) {
  EXPECT_EQ(EscapedName("plain key"), "plain key");
  EXPECT_EQ(EscapedName(std::string_view("\0\xff\\x00\x7f", 7)), "\\x00\\xff\\\\x00\\x7f");
  EXPECT_EQ(EscapedName(std::string(5000, 'x')).size(), kMaxNameBytes + 3);
}

}  // namespace
}  // namespace crossfade
