#include "proxy/cli_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"
#include "proxy/admin_preflight.h"
#include "proxy/cli_operator.h"

namespace crossfade {
namespace {

using testing::HasSubstr;
using testing::Not;

Preflight::Report Report(std::vector<Finding> findings, bool unreachable = false) {
  Preflight::Report report;
  report.findings = std::move(findings);
  report.unreachable = unreachable;
  return report;
}

TEST(CliCheck, AlignedWithTheRemedyBelow) {
  const auto json = PreflightJson(Report({{"one", CheckStatus::kPass, "all well", ""},
                                          {"the second", CheckStatus::kWarn, "not quite", "mend it"},
                                          {"3", CheckStatus::kFail, "a\nkey", "mend that"}}));
  EXPECT_EQ(RenderPreflight(json, false, 0),
            "pass  one         all well\n"
            "warn  the second  not quite\n"
            "                  → mend it\n"
            "fail  3           a\\x0akey\n"
            "                  → mend that\n"
            "\n"
            "check: 1 passed, 1 warning, 1 failed: mend what fails, and check again\n");
}

TEST(CliCheck, BrokenAtSpacesWhereThereIsATerminal) {
  const auto json =
      PreflightJson(Report({{"one", CheckStatus::kPass, "aaaaaaaaaa bbbbbbbbbb cccccccccc dddddddddd", ""}}));
  EXPECT_THAT(RenderPreflight(json, false, 34),
              HasSubstr("pass  one  aaaaaaaaaa bbbbbbbbbb\n           cccccccccc dddddddddd\n"));
  const auto word = PreflightJson(Report({{"one", CheckStatus::kPass, std::string(100, 'x'), ""}}));
  EXPECT_THAT(RenderPreflight(word, false, 34), HasSubstr(std::string(100, 'x')));
}

TEST(CliCheck, ColoursOnlyWhenWanted) {
  const auto json = PreflightJson(Report({{"one", CheckStatus::kFail, "x", "y"}}));
  EXPECT_THAT(RenderPreflight(json, true, 0), HasSubstr("\x1b[1;31mfail\x1b[0m  one"));
  EXPECT_THAT(RenderPreflight(json, false, 0), Not(HasSubstr("\x1b")));
}

TEST(CliCheck, ExitStatus) {
  EXPECT_EQ(PreflightExit(PreflightJson(Report({{"one", CheckStatus::kPass, "", ""}}))), kExitDone);
  EXPECT_EQ(PreflightExit(PreflightJson(Report({{"one", CheckStatus::kWarn, "", ""}}))), kExitDone);
  EXPECT_EQ(PreflightExit(PreflightJson(Report({{"one", CheckStatus::kFail, "", ""}}))), kExitNotTrue);
  EXPECT_EQ(PreflightExit(PreflightJson(Report({{"one", CheckStatus::kFail, "", ""}}, true))), kExitUnreachable);
}

TEST(CliCheck, AnAnswerOfAnotherVersionIsBorneWith) {
  EXPECT_EQ(RenderPreflight(nlohmann::json::parse(R"({"checks": 5})"), false, 0), "no checks\n");
  EXPECT_THAT(RenderPreflight(nlohmann::json::parse(R"({"checks": [5, {"name": 7}]})"), false, 0), HasSubstr("?"));
}

}  // namespace
}  // namespace crossfade
