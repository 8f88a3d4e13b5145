#include "proxy/cli_report.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <vector>

#include "nlohmann/json.hpp"
#include "proxy/cli_check.h"
#include "proxy/cli_operator.h"
#include "proxy/cli_output.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {

namespace {

using nlohmann::json;

constexpr int64_t kReportTimeoutMs = 15'000;

const char* ColourOfVerdict(const std::string& verdict, bool colours) {
  if (!colours) return nullptr;
  return verdict == "PASS" ? "32" : verdict == "FAIL" ? "1;31" : "33";
}

// By what the file is called; empty when that says nothing.
std::string FormatOf(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension();
  if (extension == ".html" || extension == ".htm") return "html";
  if (extension == ".json") return "json";
  return extension == ".md" || extension == ".markdown" ? "markdown" : "";
}

absl::Status WriteError(const std::string& what) {
  return absl::UnavailableError(fmt::format("{}: {}", what, strerror(errno)));
}

absl::Status WriteAll(int file, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t size = write(file, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return WriteError("write " + path);
    text.remove_prefix(static_cast<size_t>(size));
  }
  return absl::OkStatus();
}

}  // namespace

const char kReportExamples[] =
    "Examples:\n"
    "  crossfade report                      the verdict and each criterion; Markdown if it isn't a terminal\n"
    "  crossfade report --out report.html    one file that prints well, with plots\n"
    "  crossfade report --format markdown > report.md\n"
    "  crossfade report --json | jq '.criteria[] | select(.verdict != \"PASS\")'\n"
    "What it demands is set under [signoff] in the configuration.\n"
    "Exit status: 0 PASS, 1 FAIL or INSUFFICIENT.";

void AddReportOptions(CLI::App* command, ReportArguments* arguments) {
  command->add_option("--format", arguments->format, "html, json or markdown; else by the name of the file")
      ->check(CLI::IsMember({"html", "json", "markdown"}));
  command->add_option("--out", arguments->out, "Write it to this file, as a whole or not at all")->type_name("FILE");
  command->add_flag("--values", arguments->values,
                    "With the values of reads that differed, if mismatches.keep_values keeps them");
}

std::string RenderReportSummary(const json& report, bool colours, size_t width) {
  const json* criteria = Find(report, {"criteria"});
  if (criteria == nullptr || !criteria->is_array()) return "no criteria\n";
  constexpr size_t kVerdictWidth = 12;
  size_t longest = 0;
  for (const json& one : *criteria) longest = std::max(longest, TextAt(one, {"title"}).size());
  const size_t indent = kVerdictWidth + 2 + longest + 2;
  std::string out;
  for (const json& one : *criteria) {
    const std::string verdict = TextAt(one, {"verdict"}, "?");
    const std::string gap(kVerdictWidth + 2 - std::min(verdict.size(), kVerdictWidth), ' ');
    out += fmt::format("{}{}{:<{}}  {}\n", Painted(verdict, ColourOfVerdict(verdict, colours)), gap,
                       TextAt(one, {"title"}), longest, Wrapped(Printable(TextAt(one, {"found"})), indent, width));
    if (verdict == "PASS") continue;
    out += fmt::format("{:{}}demanded: {}\n", "", indent, Wrapped(TextAt(one, {"demands"}), indent + 2, width));
    out += fmt::format("{:{}}→ {}\n", "", indent, Wrapped(TextAt(one, {"remedy"}), indent + 2, width));
  }
  const std::string verdict = TextAt(report, {"verdict"}, "?");
  const char* meaning = verdict == "PASS"   ? "every criterion is met"
                        : verdict == "FAIL" ? "at least one criterion is not met"
                                            : "nothing failed, but there is too little to tell";
  return out + fmt::format("\nreport: {}: {}\n", Painted(verdict, ColourOfVerdict(verdict, colours)), meaning);
}

std::string VerdictIn(std::string_view format, const std::string& report) {
  std::string found;
  if (format == "json") {
    const json parsed = json::parse(report, nullptr, false);
    if (parsed.is_object()) found = TextAt(parsed, {"verdict"});
  } else {
    const std::string_view mark = format == "html" ? "<meta name=\"crossfade-verdict\" content=\"" : "\n**Verdict: ";
    const size_t at = report.find(mark);
    if (at == std::string::npos) return "";
    const size_t begin = at + mark.size();
    found = report.substr(begin, report.find_first_of("\".", begin) - begin);
  }
  return found == "PASS" || found == "FAIL" || found == "INSUFFICIENT" ? found : "";
}

int ReportExit(std::string_view verdict) {
  return verdict == "PASS" ? kExitDone : kExitNotTrue;
}

absl::Status WriteReportFile(const std::string& path, const std::string& text) {
  struct stat about {};
  const bool plain = stat(path.c_str(), &about) != 0 || S_ISREG(about.st_mode);  // else a pipe, a terminal
  const std::string beside = plain ? fmt::format("{}.{}.new", path, getpid()) : path;
  const int flags = O_WRONLY | O_CLOEXEC | (plain ? O_CREAT | O_EXCL : 0);
  const int file = open(beside.c_str(), flags, 0666);
  if (file < 0) return WriteError("open " + beside);
  absl::Status written = WriteAll(file, text, beside);
  if (written.ok() && plain && fsync(file) != 0) written = WriteError("sync " + beside);
  if (close(file) != 0 && written.ok()) written = WriteError("close " + beside);
  if (written.ok() && plain && rename(beside.c_str(), path.c_str()) != 0) written = WriteError("rename to " + path);
  if (!written.ok() && plain) unlink(beside.c_str());
  return written;
}

int Operator::Report(const ReportArguments& arguments) {
  const bool to_file = !arguments.out.empty() && arguments.out != "-";
  std::string format = session_.json ? "json" : arguments.format;
  if (format.empty() && to_file) format = FormatOf(arguments.out);
  if (format.empty() && to_file) {
    *session_.err << "--out " << arguments.out
                  << ": what is it to be? Give --format html, json or markdown, or a name that ends so\n";
    return kExitUsage;
  }
  const size_t width = TerminalWidth(*session_.out);
  const bool for_people = format.empty() && width > 0;
  if (format.empty()) format = for_people ? "json" : "markdown";
  const std::string path = "/api/v1/report?format=" + format + (arguments.values ? "&values=true" : "");
  const auto reply = session_.call(session_.address, "GET", path, "", session_.token, kReportTimeoutMs);
  if (!reply.ok()) {
    *session_.err << std::string(reply.status().message()) << "\n";
    return absl::IsUnavailable(reply.status()) ? kExitUnreachable : kExitNotTrue;
  }
  if (reply->status != 200) return Refused("GET /api/v1/report", *reply);
  const std::string verdict = VerdictIn(format, reply->body);
  if (verdict.empty()) {
    *session_.err << "what answers at " << session_.address.ToString()
                  << " gave a report without a verdict; is it Crossfade's admin port?\n";
    return kExitNotTrue;
  }
  if (for_people) {
    const json report = json::parse(reply->body, nullptr, false);
    *session_.out << RenderReportSummary(report, WantsColours(*session_.out), width) << "All of it: crossfade report"
                  << session_.same_target << " --out report.html\n";
  } else if (!to_file) {
    *session_.out << reply->body << (reply->body.ends_with('\n') ? "" : "\n");
  } else if (const absl::Status written = WriteReportFile(arguments.out, reply->body); written.ok()) {
    *session_.out << "report: " << verdict << "; written to " << arguments.out << "\n";
    if (verdict != "PASS") *session_.out << "why: crossfade report" << session_.same_target << "\n";
  } else {
    *session_.err << std::string(written.message()) << "\n";
    return kExitNotTrue;
  }
  return ReportExit(verdict);
}

}  // namespace crossfade
