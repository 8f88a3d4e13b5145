#include "proxy/cli_check.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iostream>

#include "nlohmann/json.hpp"
#include "proxy/admin_preflight.h"
#include "proxy/cli_operator.h"
#include "proxy/cli_output.h"
#include "proxy/preflight.h"
#include "proxy/status_json.h"
#include "proxy/uv_io.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {

namespace {

using nlohmann::json;

constexpr size_t kLeastWidth = 60;

const char* ColourOfStatus(const std::string& status, bool colours) {
  if (!colours) return nullptr;
  return status == "pass" ? "32" : status == "warn" ? "33" : "1;31";
}

}  // namespace

size_t TerminalWidth(const std::ostream& out) {
  winsize size{};
  if (&out != &std::cout || isatty(STDOUT_FILENO) == 0) return 0;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 0;
  return std::max<size_t>(kLeastWidth, size.ws_col);
}

std::string Wrapped(const std::string& text, size_t indent, size_t width) {
  if (width == 0) return text;
  const size_t room = width > indent + 20 ? width - indent : 20;
  std::string out, rest = text;
  while (rest.size() > room) {
    size_t at = rest.rfind(' ', room);
    if (at == std::string::npos || at == 0) at = rest.find(' ', room);
    if (at == std::string::npos) break;
    out += rest.substr(0, at) + "\n" + std::string(indent, ' ');
    rest = rest.substr(at + 1);
  }
  return out + rest;
}

const char kCheckExamples[] =
    "Asks both stores all that a migration depends on, and says for each thing: pass, warn or fail, what was found, "
    "and\n"
    "what to do. Writes a few test keys, __crossfade:check:…, to both stores, and removes them.\n"
    "Examples:\n"
    "  crossfade check --old redis://10.0.0.1:6379 --new redis://:secret@10.0.0.2:6379   before there is a proxy\n"
    "  crossfade check --config /etc/crossfade/crossfade.toml                            the same, from its file\n"
    "  crossfade check                                                                   by the running proxy\n"
    "  crossfade check --json | jq '.checks[] | select(.status != \"pass\")'\n"
    "Exit status: 0 nothing fails, 1 a check fails, 2 wrong usage, 3 the proxy or a store can't be reached.";

bool WantsColours(const std::ostream& out) {
  const char* const no = std::getenv("NO_COLOR");
  return &out == &std::cout && isatty(STDOUT_FILENO) != 0 && (no == nullptr || *no == '\0');
}

std::string RenderPreflight(const json& report, bool colours, size_t width) {
  const json* checks = Find(report, {"checks"});
  if (checks == nullptr || !checks->is_array()) return "no checks\n";
  size_t longest = 0;
  for (const json& check : *checks) longest = std::max(longest, TextAt(check, {"name"}).size());
  const size_t indent = 4 + 2 + longest + 2;
  std::string out;
  for (const json& check : *checks) {
    const std::string status = TextAt(check, {"status"}, "?");
    out += fmt::format("{}  {:<{}}  {}\n", Painted(status, ColourOfStatus(status, colours)), TextAt(check, {"name"}),
                       longest, Wrapped(TextAt(check, {"found"}), indent, width));
    const std::string remedy = TextAt(check, {"remedy"});
    if (!remedy.empty()) out += fmt::format("{:{}}→ {}\n", "", indent, Wrapped(remedy, indent + 2, width));
  }
  const double failed = NumberAt(report, {"failed"}), warnings = NumberAt(report, {"warnings"});
  out += fmt::format("\ncheck: {:.0f} passed, {:.0f} {}, {:.0f} failed: {}\n", NumberAt(report, {"passed"}), warnings,
                     warnings == 1 ? "warning" : "warnings", failed,
                     failed > 0     ? "mend what fails, and check again"
                     : warnings > 0 ? "nothing stands in the way that you don't know of"
                                    : "nothing stands in the way");
  return out;
}

int PreflightExit(const json& report) {
  if (BoolAt(report, {"unreachable"})) return kExitUnreachable;
  return TextAt(report, {"verdict"}) == "fail" ? kExitNotTrue : kExitDone;
}

int CheckStores(const Config& config, bool as_json, bool colours, std::ostream* out) {
  json report;
  signal(SIGPIPE, SIG_IGN);
  UvIo io;
  {
    Preflight preflight(&io, &config);
    preflight.Run([&](const Preflight::Report& found) {
      report = PreflightJson(found);
      io.Stop();
    });
    io.Run();
  }
  *out << (as_json ? Dump(report) + "\n" : RenderPreflight(report, colours, TerminalWidth(*out)));
  return PreflightExit(report);
}

int Operator::Check(bool colours) {
  json report;
  int exit = kExitDone;
  if (!Ask("GET", "/api/v1/preflight", nullptr, &report, &exit)) return exit;
  if (!session_.json) *session_.out << RenderPreflight(report, colours, TerminalWidth(*session_.out));
  return PreflightExit(report);
}

}  // namespace crossfade
