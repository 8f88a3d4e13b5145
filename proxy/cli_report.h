// `crossfade report`: what its arguments ask for, its summary as text, and the file that it is written to.
// Operator::Report is in the .cc file.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "nlohmann/json_fwd.hpp"

namespace CLI {
class App;
}

namespace crossfade {

struct ReportArguments {
  std::string format;  // "html", "json", "markdown"; empty: by the file's name, else for people or Markdown
  std::string out;     // a file; empty: standard output
  bool values = false;
};

extern const char kReportExamples[];

// Both must outlive the parsing of the command line.
void AddReportOptions(CLI::App* command, ReportArguments* arguments);

// The verdict, and a line for each criterion; `width` of the terminal, 0: no line is broken. Ends with a newline.
std::string RenderReportSummary(const nlohmann::json& report, bool colours, size_t width);

// PASS, FAIL or INSUFFICIENT, as the report says of itself in this format; empty when it doesn't.
std::string VerdictIn(std::string_view format, const std::string& report);
// kExitDone for PASS alone.
int ReportExit(std::string_view verdict);

// As a whole or not at all: written beside, synced, renamed. Who could read the directory's files can read it.
absl::Status WriteReportFile(const std::string& path, const std::string& text);

}  // namespace crossfade
