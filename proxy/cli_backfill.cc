#include "proxy/cli_backfill.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>

#include "conf/config_values.h"
#include "nlohmann/json.hpp"
#include "proxy/cli_operator.h"
#include "proxy/cli_output.h"
#include "proxy/cli_progress.h"
#include "proxy/server_info.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

using nlohmann::json;

constexpr char kBackfillPath[] = "/api/v1/backfill";
constexpr size_t kTroublesListed = 20;

bool BackfillActive(const json& backfill) {
  const std::string state = TextAt(backfill, {"state"});
  return state == "running" || state == "paused";
}

// Of the half that it is in.
Progress BackfillProgress(const json& backfill) {
  const bool tidying = TextAt(backfill, {"phase"}) == "tidying";
  Progress progress;
  progress.title = "backfill";
  progress.done = NumberAt(backfill, {tidying ? "keys_rechecked" : "keys_done"});
  // What is known of a narrower scope is how much of it has been looked through.
  const double percent = NumberAt(backfill, {"percent"});
  const bool known = Find(backfill, {"percent"}) != nullptr && percent > 0;
  progress.total = known ? std::max(progress.done, progress.done * 100 / percent) : 0;
  const json* scope = Find(backfill, {"scope"});
  if (!tidying && (scope == nullptr || scope->empty())) progress.total = NumberAt(backfill, {"keys_total"});
  progress.per_second = NumberAt(backfill, {"keys_per_second"});
  if (Find(backfill, {"seconds_left"}) != nullptr) progress.seconds_left = NumberAt(backfill, {"seconds_left"});
  progress.note = tidying ? "looking for what only the secondary has" : "";
  if (TextAt(backfill, {"state"}) == "paused") progress.note = "paused: crossfade backfill resume";
  if (NumberAt(backfill, {"pace", "share"}) > 0 && NumberAt(backfill, {"pace", "share"}) < 1) {
    progress.note = fmt::format("slowed to {:.0f} % to spare the primary's clients {}",
                                100 * NumberAt(backfill, {"pace", "share"}), progress.note);
  }
  progress.over = !BackfillActive(backfill);
  return progress;
}

std::string ScopeText(const json& backfill) {
  std::string text;
  for (const char* name : {"match", "type", "db"}) {
    if (Find(backfill, {"scope", name}) != nullptr) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, Printable(TextAt(backfill, {"scope", name})));
    }
  }
  return text.empty() ? text : ", only " + text;
}

}  // namespace

void AddBackfillOptions(CLI::App* command, BackfillArguments* arguments) {
  command->add_option("action", arguments->action, "start, status (unless given), pause, resume or cancel")
      ->check(CLI::IsMember({"start", "status", "pause", "resume", "cancel"}));
  command->add_option("--match", arguments->match, "With start: only keys that match, as SCAN does")->type_name("GLOB");
  command->add_option("--type", arguments->type, "With start: only keys of this type, as TYPE says it")
      ->type_name("TYPE");
  command->add_option("--db", arguments->db, "With start: only this database")
      ->type_name("N")
      ->check(CLI::Range(int64_t{0}, ServerInfo::kMostDatabases - 1));
  command->add_option("--rate", arguments->keys_per_second, "At most so many keys in a second")
      ->type_name("N")
      ->check(CLI::Range(0, 10'000'000));
  command
      ->add_option_function<std::string>(
          "--bandwidth", [arguments](const std::string& text) { arguments->bytes_per_second = *ParseBytes(text); },
          "At most so many bytes in a second, such as 20MiB")
      ->type_name("SIZE")
      ->check([](const std::string& text) {
        const auto bytes = ParseBytes(text);
        return bytes.ok() ? std::string() : std::string(bytes.status().message());
      });
  command->add_flag("--detach", arguments->detach, "With start: don't wait");
}

std::string BackfillLine(const json& backfill) {
  std::string line = TextAt(backfill, {"state"}, "?") + ScopeText(backfill);
  const double done = NumberAt(backfill, {"keys_done"}), total = NumberAt(backfill, {"keys_total"});
  if (total > 0) {
    line +=
        fmt::format(", {} of {} keys ({:.0f} %)", Grouped(done), Grouped(total), std::min(100.0, 100 * done / total));
  } else if (done > 0) {
    line += fmt::format(", {} keys", Grouped(done));
  }
  if (NumberAt(backfill, {"bytes"}) > 0) line += fmt::format(", {}", SizeText(NumberAt(backfill, {"bytes"})));
  if (const double rate = NumberAt(backfill, {"keys_per_second"}); rate > 0) {
    line += fmt::format(", {}/s", Grouped(rate));
  }
  if (Find(backfill, {"seconds_left"}) != nullptr) {
    line += fmt::format(", {} left", RenderSeconds(NumberAt(backfill, {"seconds_left"})));
  }
  if (const double failed = NumberAt(backfill, {"keys_failed"}); failed > 0) {
    line += fmt::format(", {} keys could not be copied at once", Grouped(failed));
  }
  for (const std::string& note : NotesIn(backfill, {"why"})) line += ", " + note;
  return line;
}

std::string RenderBackfill(const json& answer) {
  const json* inner = Find(answer, {"backfill"});
  const json& backfill = inner != nullptr ? *inner : answer;
  std::string out = "backfill: " + BackfillLine(backfill) + "\n";
  const json* failed = Find(backfill, {"failed"});
  if (failed == nullptr || !failed->is_array() || failed->empty()) return out;
  out += "These keys could not be copied so far; they are dirty, and tried again:\n";
  size_t listed = 0;
  for (const json& entry : *failed) {
    if (++listed > kTroublesListed) {
      out += "  … (crossfade backfill status --json)\n";
      break;
    }
    out += fmt::format("  db {}  {}  {}\n", TextAt(entry, {"db"}, "?"), Printable(TextAt(entry, {"key"}, "?")),
                       TextAt(entry, {"reason"}));
  }
  return out;
}

int Operator::Backfill(const BackfillArguments& arguments) {
  const std::string& action = arguments.action;
  json answer, body = json::object();
  int exit = kExitDone;
  if (action == "start") {
    if (!arguments.match.empty()) body["match"] = arguments.match;
    if (!arguments.type.empty()) body["type"] = arguments.type;
    if (arguments.db) body["db"] = *arguments.db;
  }
  if (action == "start" || action == "resume") {
    if (arguments.keys_per_second) body["keys_per_second"] = *arguments.keys_per_second;
    if (arguments.bytes_per_second) body["bytes_per_second"] = *arguments.bytes_per_second;
  }
  if (action == "pause" || action == "resume") body["paused"] = action == "pause";
  const std::string method = action == "start"    ? "POST"
                             : action == "cancel" ? "DELETE"
                             : action == "status" ? "GET"
                                                  : "PATCH";
  const bool follow = action == "start" && !arguments.detach;
  if (!Ask(method, kBackfillPath, body.empty() && action != "start" ? nullptr : &body, &answer, &exit, !follow))
    return exit;
  if (follow) return FollowBackfill();
  if (session_.json) return exit;
  const std::string& target = session_.same_target;
  if (action == "start") {
    *session_.out << fmt::format(
        "backfill: started; watch it with: crossfade backfill status{}, stop it with: crossfade backfill cancel{}\n",
        target, target);
  } else if (action == "cancel") {
    *session_.out << "backfill: cancelled; what was copied stays\n";
  } else if (action == "pause") {
    *session_.out << fmt::format("backfill: paused; go on with: crossfade backfill resume{}\n", target);
  } else {
    *session_.out << RenderBackfill(answer);
  }
  return exit;
}

// Ctrl-C ends the looking, not the copying: that may take hours.
int Operator::FollowBackfill() {
  const Pace pace = session_.pace ? *session_.pace : RealPace();
  json answer;
  int exit = kExitDone;
  const FollowEnd end = FollowJob(pace, [&](Progress* progress) {
    if (!Ask("GET", kBackfillPath, nullptr, &answer, &exit, false)) return false;
    *progress = BackfillProgress(answer);
    return true;
  });
  if (end == FollowEnd::kLost) return exit;
  if (!Ask("GET", kBackfillPath, nullptr, &answer, &exit)) return exit;
  if (!session_.json) *session_.out << RenderBackfill(answer);
  if (end == FollowEnd::kInterrupted && BackfillActive(answer)) {
    *session_.err << fmt::format("it goes on; stop it with: crossfade backfill cancel{}\n", session_.same_target);
  }
  return TextAt(answer, {"state"}) == "done" ? kExitDone : kExitNotTrue;
}

}  // namespace crossfade
