#include "proxy/cli_ramp.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <ostream>
#include <sstream>

#include "conf/config_values.h"
#include "nlohmann/json.hpp"
#include "proxy/cli_operator.h"
#include "proxy/cli_output.h"
#include "proxy/cli_progress.h"
#include "routing/figures_text.h"
#include "routing/ramp_rules.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

using nlohmann::json;

constexpr char kRampPath[] = "/api/v1/ramp";
constexpr size_t kDecisionsListed = 10;

bool RampActive(const json& ramp) {
  const std::string state = TextAt(ramp, {"state"});
  return state == "running" || state == "holding" || state == "paused";
}

// "1,5,25" or "1%, 5%, 25%"; nothing when one of them is no number.
std::optional<std::vector<double>> ParseSteps(const std::string& text) {
  std::vector<double> steps;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t from = part.find_first_not_of(' '), to = part.find_last_not_of(" %");
    if (from == std::string::npos || to == std::string::npos) return std::nullopt;
    part = part.substr(from, to - from + 1);
    char* end = nullptr;
    steps.push_back(std::strtod(part.c_str(), &end));
    if (*end != '\0' || part.find_first_not_of("0123456789.") != std::string::npos) return std::nullopt;
  }
  return steps;
}

std::string CheckSteps(const std::string& text) {
  const auto steps = ParseSteps(text);
  if (!steps) return fmt::format("expected percentages such as 1,5,25,50,100, got \"{}\"", text);
  return WhyNotSteps(*steps);
}

std::string CheckDuration(const std::string& text) {
  const auto ms = ParseDuration(text);
  return ms.ok() ? std::string() : std::string(ms.status().message());
}

void AddDuration(CLI::App* command, const char* name, std::optional<int64_t>* out, const char* about) {
  command
      ->add_option_function<std::string>(
          name, [out](const std::string& text) { *out = *ParseDuration(text); }, about)
      ->type_name("TIME")
      ->check(CheckDuration);
}

const json* StepAfter(const json& ramp) {
  const json* steps = Find(ramp, {"steps"});
  const auto step = static_cast<size_t>(NumberAt(ramp, {"step"}));
  return steps != nullptr && steps->is_array() && step < steps->size() ? &(*steps)[step] : nullptr;
}

size_t Steps(const json& ramp) {
  const json* steps = Find(ramp, {"steps"});
  return steps != nullptr && steps->is_array() ? steps->size() : 0;
}

std::string GuardrailLine(const json& rail) {
  const std::string state = TextAt(rail, {"state"}, "?");
  return fmt::format("  {:<8}  {:<14} {:>10.4g}  limit {:<8.4g} {:>10} samples{}\n",
                     state == "no_data" ? "no data" : state, TextAt(rail, {"name"}, "?"), NumberAt(rail, {"value"}),
                     NumberAt(rail, {"limit"}), Grouped(NumberAt(rail, {"samples"})),
                     Find(rail, {"text"}) != nullptr ? "  " + Printable(TextAt(rail, {"text"})) : "");
}

// Of the whole schedule.
Progress RampProgress(const json& ramp) {
  const double every_s = NumberAt(ramp, {"every_ms"}) / 1000, left_s = NumberAt(ramp, {"next_step_in_ms"}) / 1000;
  const double steps = static_cast<double>(Steps(ramp)), step = NumberAt(ramp, {"step"});
  Progress progress;
  progress.title = "ramp";
  progress.done = step - 1;
  progress.total = steps;
  progress.unit = "steps";
  progress.seconds_left = left_s + every_s * (steps - step);
  progress.note = fmt::format("{} % of reads, {}", TextAt(ramp, {"reads_new"}, "?"), TextAt(ramp, {"state"}));
  if (const std::string why = TextAt(ramp, {"reason"}); !why.empty()) progress.note += ": " + why;
  progress.over = !RampActive(ramp);
  return progress;
}

// What has been decided since the decision `number`, oldest first.
std::vector<std::string> NewsSince(const json& ramp, double* number) {
  std::vector<std::string> news;
  const json* decisions = Find(ramp, {"decisions"});
  if (decisions == nullptr || !decisions->is_array()) return news;
  for (auto one = decisions->rbegin(); one != decisions->rend(); ++one) {
    if (NumberAt(*one, {"number"}) <= *number) continue;
    *number = NumberAt(*one, {"number"});
    news.push_back("ramp: " + RampDecisionLine(*one));
  }
  return news;
}

template <typename T>
void Put(json* body, const char* name, const std::optional<T>& value) {
  if (value) (*body)[name] = *value;
}

}  // namespace

void AddRampOptions(CLI::App* command, RampArguments* arguments) {
  command->add_option("action", arguments->action, "start, status (unless given), pause, resume or abort")
      ->check(CLI::IsMember({"start", "status", "pause", "resume", "abort"}));
  command
      ->add_option_function<std::string>(
          "--steps", [arguments](const std::string& text) { arguments->steps = *ParseSteps(text); },
          "With start, as all below: the percentages of reads that new answers (1,5,25,50,100)")
      ->type_name("PERCENT,…")
      ->check(CheckSteps);
  AddDuration(command, "--every", &arguments->every_ms, "How long each step takes at least, such as 30s or 1h (10m)");
  command->add_option("--compare", arguments->compare, "Ask both stores for so many percent of the reads (as it is)")
      ->type_name("PERCENT")
      ->check(CLI::Range(0.0, 100.0));
  command
      ->add_option("--max-mismatch-rate", arguments->max_mismatch_rate, "The share of compared reads that may differ")
      ->type_name("0..1")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--max-error-rate", arguments->max_error_rate, "The share of reads that may fail on new")
      ->type_name("0..1")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--max-p99-ratio", arguments->max_p99_ratio, "How many times as slow as old new may be, at p99")
      ->type_name("N")
      ->check(CLI::Range(1.0, 1000.0));
  AddDuration(command, "--latency-floor", &arguments->latency_floor_ms, "… which counts above this p99 only");
  AddDuration(command, "--max-lag", &arguments->max_lag_ms, "How far new may be behind");
  command->add_option("--max-dirty-keys", arguments->max_dirty_keys, "How many keys may wait for their copy")
      ->type_name("N")
      ->check(CLI::Range(0, 1'000'000'000));
  AddDuration(command, "--max-down", &arguments->max_down_ms, "For how long new may be away");
  command->add_option("--min-samples", arguments->min_samples, "Fewer reads in a step are no data")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000'000));
  command->add_flag("--wait", arguments->wait, "With start or status: watch until the end");
}

std::string RampDecisionLine(const json& decision) {
  std::string line = fmt::format("{}  {:<8} {:>5} %  {}", TimeText(static_cast<int64_t>(NumberAt(decision, {"at_ms"}))),
                                 TextAt(decision, {"decision"}, "?"), TextAt(decision, {"reads_new"}, "?"),
                                 Printable(TextAt(decision, {"reason"})));
  const json* figures = Find(decision, {"figures"});
  if (figures == nullptr || NumberAt(*figures, {"elapsed_ms"}) <= 0) return line;
  return line + fmt::format(
                    "  ({} of {} compared differ, {} of {} failed, p99 {:.1f} ms against {:.1f}, lag {:.0f} ms, "
                    "{} dirty)",
                    Grouped(NumberAt(*figures, {"mismatched"})), Grouped(NumberAt(*figures, {"compared"})),
                    Grouped(NumberAt(*figures, {"failed"})),
                    Grouped(NumberAt(*figures, {"answered"}) + NumberAt(*figures, {"failed"})),
                    NumberAt(*figures, {"new_p99_us"}) / 1000, NumberAt(*figures, {"old_p99_us"}) / 1000,
                    NumberAt(*figures, {"lag_ms"}), Grouped(NumberAt(*figures, {"dirty_keys"})));
}

std::string RampLine(const json& ramp) {
  std::string line = TextAt(ramp, {"state"}, "?");
  if (line == "idle") return line;
  line += fmt::format(", step {} of {}, new answers {} %", TextAt(ramp, {"step"}, "?"), Steps(ramp),
                      TextAt(ramp, {"reads_new"}, "?"));
  if (RampActive(ramp)) {
    const json* next = StepAfter(ramp);
    const std::string then = next != nullptr && next->is_number() ? fmt::format("{:g} %", next->get<double>()) : "done";
    line += fmt::format(", {} in {}", then, RenderSeconds(NumberAt(ramp, {"next_step_in_ms"}) / 1000));
  }
  if (const std::string why = TextAt(ramp, {"reason"}); !why.empty()) line += ": " + Printable(why);
  return line;
}

std::string RenderRamp(const json& answer) {
  if (TextAt(answer, {"state"}, "idle") == "idle") return "ramp: idle; start it with: crossfade ramp start\n";
  std::string out = "ramp: " + RampLine(answer) + "\n";
  if (const json* rails = Find(answer, {"guardrails"}); rails != nullptr && rails->is_array() && RampActive(answer)) {
    for (const json& rail : *rails) out += GuardrailLine(rail);
  }
  const json* decisions = Find(answer, {"decisions"});
  if (decisions == nullptr || !decisions->is_array() || decisions->empty()) return out;
  out += "\nthe latest decisions:\n";
  size_t listed = 0;
  for (const json& one : *decisions) {
    if (++listed > kDecisionsListed) {
      out += "  … (crossfade ramp status --json)\n";
      break;
    }
    out += "  " + RampDecisionLine(one) + "\n";
  }
  return out;
}

int Operator::Ramp(const RampArguments& arguments) {
  const std::string& action = arguments.action;
  json answer, body = json::object();
  int exit = kExitDone;
  if (action == "start") {
    if (!arguments.steps.empty()) body["steps"] = arguments.steps;
    Put(&body, "every_ms", arguments.every_ms);
    Put(&body, "compare", arguments.compare);
    Put(&body, "max_mismatch_rate", arguments.max_mismatch_rate);
    Put(&body, "max_error_rate", arguments.max_error_rate);
    Put(&body, "max_p99_ratio", arguments.max_p99_ratio);
    Put(&body, "latency_floor_ms", arguments.latency_floor_ms);
    Put(&body, "max_lag_ms", arguments.max_lag_ms);
    Put(&body, "max_dirty_keys", arguments.max_dirty_keys);
    Put(&body, "max_down_ms", arguments.max_down_ms);
    Put(&body, "min_samples", arguments.min_samples);
  } else if (action != "status" && action != "abort") {
    body["paused"] = action == "pause";
  }
  const std::string method = action == "start"    ? "POST"
                             : action == "abort"  ? "DELETE"
                             : action == "status" ? "GET"
                                                  : "PATCH";
  const bool has_body = method == "POST" || method == "PATCH";
  const bool follow = arguments.wait && (action == "start" || action == "status");
  if (!Ask(method, kRampPath, has_body ? &body : nullptr, &answer, &exit, !follow)) return exit;
  if (follow) {
    // What was decided before is known; a start is told.
    const json* decisions = Find(answer, {"decisions"});
    const bool any = decisions != nullptr && decisions->is_array() && !decisions->empty();
    const double newest = any ? NumberAt((*decisions)[0], {"number"}) : 0;
    return FollowRamp(action == "start" ? newest - 1 : newest);
  }
  if (session_.json) return exit;
  const std::string& target = session_.same_target;
  if (action == "start") {
    *session_.out << fmt::format(
        "ramp: started, {} % of reads now; watch it with: crossfade ramp status --wait{}, take reads back with: "
        "crossfade ramp abort{}\n",
        TextAt(answer, {"reads_new"}, "?"), target, target);
  } else if (action == "pause") {
    *session_.out << fmt::format("ramp: paused at {} %; go on with: crossfade ramp resume{}\n",
                                 TextAt(answer, {"reads_new"}, "?"), target);
  } else if (action == "abort") {
    *session_.out << "ramp: aborted; old answers all reads now\n";
  } else {
    *session_.out << RenderRamp(answer);
  }
  return exit;
}

// Ctrl-C ends the watching, not the ramp.
int Operator::FollowRamp(double news_from) {
  const Pace pace = session_.pace ? *session_.pace : RealPace();
  json answer;
  int exit = kExitDone;
  const FollowEnd end = FollowJob(pace, [&](Progress* progress) {
    if (!Ask("GET", kRampPath, nullptr, &answer, &exit, false)) return false;
    *progress = RampProgress(answer);
    progress->news = NewsSince(answer, &news_from);
    return true;
  });
  if (end == FollowEnd::kLost) return exit;
  if (!Ask("GET", kRampPath, nullptr, &answer, &exit)) return exit;
  if (!session_.json) *session_.out << "ramp: " << RampLine(answer) << "\n";
  if (end == FollowEnd::kInterrupted && RampActive(answer)) {
    *session_.err << fmt::format("it goes on; take reads back with: crossfade ramp abort{}\n", session_.same_target);
  }
  return TextAt(answer, {"state"}) == "done" ? kExitDone : kExitNotTrue;
}

}  // namespace crossfade
