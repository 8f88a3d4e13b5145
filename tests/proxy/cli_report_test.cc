#include "proxy/cli_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "nlohmann/json.hpp"
#include "proxy/cli_operator.h"
#include "tests/proxy/cli_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const char kPass[] = "{\"verdict\": \"PASS\", \"criteria\": []}";
const char kFailed[] = "<meta name=\"crossfade-verdict\" content=\"FAIL\">";
const char kThin[] = "# Migration report\n\n**Verdict: INSUFFICIENT.** Too little.\n";

class CliReportTest : public CliTest {
 protected:
  CliReportTest() : directory_(std::filesystem::temp_directory_path() / ("cli_report." + std::to_string(getpid()))) {
    std::filesystem::create_directories(directory_);
  }
  ~CliReportTest() override { std::filesystem::remove_all(directory_); }
  std::string Path(const std::string& name) const { return directory_ / name; }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::filesystem::path directory_;
};

TEST_F(CliReportTest, TheExitStatusIsTheVerdict) {
  replies_ = {{200, kPass}};
  EXPECT_EQ(Run({"report", "--format", "json"}), kExitDone);
  EXPECT_THAT(calls_, ElementsAre("GET /api/v1/report?format=json"));
  replies_ = {{200, kThin}};
  EXPECT_EQ(Run({"report"}), kExitNotTrue);
  EXPECT_THAT(calls_, ElementsAre("GET /api/v1/report?format=markdown"));  // the test is no terminal
  EXPECT_EQ(out(), kThin);
  replies_ = {{200, kFailed}};
  EXPECT_EQ(Run({"report", "--format", "html", "--values"}), kExitNotTrue);
  EXPECT_THAT(calls_, ElementsAre("GET /api/v1/report?format=html&values=true"));
  replies_ = {};
  EXPECT_EQ(Run({"report"}), kExitUnreachable);
}

TEST_F(CliReportTest, AReportWithoutAVerdictIsNone) {
  replies_ = {{200, "<h1>It works!</h1>"}};
  EXPECT_EQ(Run({"report", "--out", Path("r.html")}), kExitNotTrue);
  EXPECT_THAT(err(), HasSubstr("without a verdict"));
  EXPECT_FALSE(std::filesystem::exists(Path("r.html")));
}

TEST_F(CliReportTest, TheFilesNameSaysTheFormat) {
  replies_ = {{200, kFailed}};
  EXPECT_EQ(Run({"report", "--out", Path("r.html")}), kExitNotTrue);
  EXPECT_THAT(calls_, ElementsAre("GET /api/v1/report?format=html"));
  EXPECT_EQ(Read(Path("r.html")), kFailed);
  EXPECT_THAT(out(), HasSubstr("report: FAIL; written to " + Path("r.html") + "\nwhy: crossfade report\n"));
  replies_ = {{200, kPass}};
  EXPECT_EQ(Run({"report", "--out", Path("r.json")}), kExitDone);
  EXPECT_THAT(calls_, ElementsAre("GET /api/v1/report?format=json"));
  EXPECT_EQ(out(), "report: PASS; written to " + Path("r.json") + "\n");
  EXPECT_EQ(Run({"report", "--out", Path("r")}), kExitUsage);
  EXPECT_THAT(calls_, IsEmpty());
  replies_ = {{200, kThin}};
  EXPECT_EQ(Run({"report", "--out", Path("r"), "--format", "markdown"}), kExitNotTrue);
  EXPECT_EQ(Read(Path("r")), kThin);
  EXPECT_EQ(Run({"report", "--format", "pdf"}), kExitUsage);
}

TEST_F(CliReportTest, AFileIsReplacedAsAWholeOrNotAtAll) {
  std::ofstream(Path("r.json")) << "an older one";
  ASSERT_TRUE(WriteReportFile(Path("r.json"), kPass).ok());
  EXPECT_EQ(Read(Path("r.json")), kPass);
  std::filesystem::create_directory(Path("taken"));
  EXPECT_FALSE(WriteReportFile(Path("taken"), kPass).ok());
  EXPECT_FALSE(WriteReportFile(Path("none/r.json"), kPass).ok());
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory_)) ++files;
  EXPECT_EQ(files, 2u);  // and nothing beside them
  EXPECT_TRUE(WriteReportFile("/dev/null", kPass).ok());
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(CliReport, TheSummarySaysWhatIsMissing) {
  const auto report = nlohmann::json::parse(
      "{\"verdict\": \"INSUFFICIENT\", \"criteria\": [{\"title\": \"Reads compared\", \"verdict\": \"INSUFFICIENT\","
      "\"found\": \"20 \\u001b reads\", \"demands\": \"300\", \"remedy\": \"wait\"}, {\"title\": \"Rollback\","
      "\"verdict\": \"PASS\", \"found\": \"1\"}]}");
  EXPECT_EQ(RenderReportSummary(report, false, 0),
            "INSUFFICIENT  Reads compared  20 \\x1b reads\n"
            "                              demanded: 300\n"
            "                              → wait\n"
            "PASS          Rollback        1\n"
            "\nreport: INSUFFICIENT: nothing failed, but there is too little to tell\n");
  EXPECT_THAT(RenderReportSummary(report, true, 80), HasSubstr("\x1b[32mPASS\x1b[0m"));
  EXPECT_EQ(RenderReportSummary({}, false, 0), "no criteria\n");
}

}  // namespace
}  // namespace crossfade
