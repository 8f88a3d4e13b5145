#include "proxy/cli_flip.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ostream>

#include "conf/config_values.h"
#include "nlohmann/json.hpp"
#include "proxy/cli_operator.h"
#include "proxy/cli_output.h"
#include "proxy/cli_progress.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

using nlohmann::json;

constexpr char kFlipPath[] = "/api/v1/flip";

std::string CheckTimeout(const std::string& text) {
  const auto ms = ParseDuration(text);
  return ms.ok() ? "" : std::string(ms.status().message());
}

struct Mark {
  const char* word;
  const char* colour;
};

Mark MarkOf(const json& check) {
  if (BoolAt(check, {"ok"})) return {"ok", "32"};
  if (BoolAt(check, {"overridden"})) return {"over", "33"};
  return BoolAt(check, {"waits"}) ? Mark{"wait", "33"} : Mark{"no", "1;31"};
}

bool Stands(const json& check) {
  return !BoolAt(check, {"ok"}) && !BoolAt(check, {"overridden"});
}

std::string Flags(const FlipOptions& options) {
  return fmt::format("{}{}", options.cold ? " --cold" : "", options.force ? " --force" : "");
}

// ", 3 subscribers and 2 blocked clients were moved".
std::string MovedText(const json& answer) {
  const double subscribers = NumberAt(answer, {"moved", "subscribers"}),
               blocked = NumberAt(answer, {"moved", "blocked"});
  const double watches = NumberAt(answer, {"moved", "watches_broken"});
  std::string text;
  if (subscribers > 0) text += fmt::format(", {} subscribers moved", Grouped(subscribers));
  if (blocked > 0) text += fmt::format(", {} blocked clients stayed", Grouped(blocked));
  if (watches > 0) text += fmt::format(", {} WATCHes broken", Grouped(watches));
  return text;
}

}  // namespace

const char kFlipExamples[] =
    "Examples:\n"
    "  crossfade flip --dry-run              what stands in the way? Does all but the swap\n"
    "  crossfade flip new --max-pause 200\n"
    "  crossfade flip new --wait --timeout 1h   as soon as nothing stands in the way; Ctrl-C changes nothing\n"
    "  crossfade flip old                    go back\n"
    "  crossfade flip new --force            old is gone for good: names what is lost, and flips";

void AddFlipOptions(CLI::App* command, FlipOptions* options) {
  command->add_option("to", options->to, "old or new; the one that isn't primary unless given")
      ->check(CLI::IsMember({"old", "new"}));
  CLI::Option* dry_run =
      command->add_flag("--dry-run", options->dry_run, "List what a flip depends on, and do all but the swap");
  command->add_option("--max-pause", options->max_pause_ms, "Give up if writes would wait for longer than this")
      ->type_name("MS")
      ->check(CLI::Range(1, 60'000));
  command->add_flag("--cold", options->cold,
                    "Allow it while the other store is not synced: a cache that may start empty");
  CLI::Option* force =
      command->add_flag("--force", options->force, "Flip in spite of dirty keys, a lag or an unreachable store");
  CLI::Option* wait = command->add_flag("--wait", options->wait, "Wait until nothing stands in the way, then flip");
  wait->excludes(dry_run)->excludes(force);
  command->add_option("--timeout", options->timeout, "With --wait: for so long at most (10m unless given)")
      ->type_name("DURATION")
      ->check(CheckTimeout)
      ->needs(wait);
}

std::string RenderFlipChecks(const json& answer, bool colours) {
  const json* checks = Find(answer, {"checks"});
  if (checks == nullptr || !checks->is_array()) return {};
  size_t longest = 0;
  for (const json& check : *checks) longest = std::max(longest, TextAt(check, {"name"}).size());
  std::string out;
  for (const json& check : *checks) {
    const Mark mark = MarkOf(check);
    const std::string word = fmt::format("{:<4}", mark.word);
    out += fmt::format("{}  {:<{}}  {}\n", colours ? fmt::format("\x1b[{}m{}\x1b[0m", mark.colour, word) : word,
                       TextAt(check, {"name"}), longest, TextAt(check, {"found"}));
    if (!BoolAt(check, {"ok"})) out += fmt::format("{:{}}→ {}\n", "", longest + 8, TextAt(check, {"reason"}));
  }
  return out;
}

int Operator::Flip(FlipOptions options, bool colours) {
  json answer;
  int exit = kExitDone;
  if (options.to.empty()) {
    if (!AskStatus(&answer, &exit)) return exit;
    std::string primary = TextAt(answer, {"primary"});
    if (primary != "old" && primary != "new") {
      *session_.err
          << "the proxy doesn't say which store is primary; name the one to flip to: crossfade flip old|new\n";
      return kExitNotTrue;
    }
    options.to = primary == "old" ? "new" : "old";
  }
  if (options.wait) return WaitAndFlip(options, colours);
  json body = {{"to", options.to}, {"dry_run", options.dry_run}, {"cold", options.cold}, {"force", options.force}};
  if (options.max_pause_ms > 0) body["max_pause_ms"] = options.max_pause_ms;
  if (options.dry_run) body["preflight"] = true;
  json refusal;
  if (!Ask("POST", kFlipPath, &body, &answer, &exit, true, &refusal)) {
    if (!session_.json && options.dry_run) *session_.out << RenderFlipChecks(refusal, colours);
    return exit;
  }
  return TellFlip(options, answer, colours);
}

// Looks until nothing stands in the way, flips, and looks on if something has come between. Nothing is held up or
// changed until the flip itself, so that an end of the waiting leaves all as it was.
int Operator::WaitAndFlip(const FlipOptions& options, bool colours) {
  using Clock = std::chrono::steady_clock;
  const Pace pace = session_.pace ? *session_.pace : RealPace();
  const auto until = Clock::now() + std::chrono::milliseconds(*ParseDuration(options.timeout));
  const std::string path =
      fmt::format("{}?to={}&preflight=true{}", kFlipPath, options.to, options.cold ? "&cold=true" : "");
  json look, answer, refusal, body = {{"to", options.to}, {"dry_run", false}, {"cold", options.cold}, {"force", false}};
  if (options.max_pause_ms > 0) body["max_pause_ms"] = options.max_pause_ms;
  int exit = kExitDone;
  bool flipped = false, never = false, late = false;
  const FollowEnd end = FollowJob(pace, [&](Progress* progress) {
    if (!Ask("GET", path, nullptr, &look, &exit, false)) return false;
    const json* checks = Find(look, {"checks"});
    progress->title = fmt::format("flip to {}", options.to);
    progress->unit = "checks";
    for (const json& check : checks != nullptr && checks->is_array() ? *checks : json::array()) {
      ++progress->total;
      progress->done += Stands(check) ? 0 : 1;
      if (Stands(check) && progress->note.empty()) progress->note = TextAt(check, {"reason"});
      never |= Stands(check) && !BoolAt(check, {"overridable"}) && TextAt(check, {"name"}) == "target";
    }
    if (BoolAt(look, {"ready"})) {
      exit = kExitDone;
      flipped = Ask("POST", kFlipPath, &body, &answer, &exit, false, &refusal);
      if (!flipped && refusal.is_null()) return false;  // told already
      if (!flipped) progress->note = TextAt(refusal, {"reason"});
    }
    late = Clock::now() >= until;
    progress->over = flipped || never || late;
    return true;
  });
  if (end == FollowEnd::kLost) return exit;
  if (session_.json) *session_.out << (flipped ? answer : look).dump() << "\n";
  if (flipped) return TellFlip(options, answer, colours);
  if (!session_.json) *session_.out << RenderFlipChecks(look, colours);
  const std::string why = TextAt(refusal, {"reason"});
  *session_.err << fmt::format("not flipped: {}; nothing has changed{}{}\n",
                               never  ? fmt::format("{} is the primary already", options.to)
                               : late ? fmt::format("not ready within {}", options.timeout)
                                      : "interrupted",
                               why.empty() ? "" : "; the last attempt: ", why);
  return kExitNotTrue;
}

// A 200: flipped, or a dry run, or nothing to do.
int Operator::TellFlip(const FlipOptions& options, const json& answer, bool colours) {
  const bool flipped = BoolAt(answer, {"flipped"});
  const bool true_now = flipped || (options.dry_run && BoolAt(answer, {"would_flip"}));
  const int exit = true_now ? kExitDone : kExitNotTrue;
  if (session_.json) return exit;
  const std::string other = options.to == "old" ? "new" : "old";
  const std::string why = Joined(NotesIn(answer, {"reason", "reasons", "error"}));
  *session_.out << RenderFlipChecks(answer, colours);
  if (flipped) {
    std::string pause = Find(answer, {"pause_ms"}) != nullptr
                            ? fmt::format(" (paused {:.1f} ms{})", NumberAt(answer, {"pause_ms"}), MovedText(answer))
                            : "";
    *session_.out << fmt::format("flipped: {} is primary now{}; go back with: crossfade flip {}{}\n", options.to, pause,
                                 other, session_.same_target);
  } else if (true_now) {
    *session_.out << fmt::format(
        "would flip: {} can become primary (dry run, nothing has changed); do it with: "
        "crossfade flip {}{}{}\n",
        options.to, options.to, Flags(options), session_.same_target);
  } else {
    *session_.err << fmt::format("{}: {}\n", options.dry_run ? "would not flip" : "not flipped",
                                 why.empty() ? "the proxy gave no reason" : why);
  }
  for (const std::string& note : NotesIn(answer, {"attention", "warnings", "lost"})) {
    *session_.out << "note: " << note << "\n";
  }
  return exit;
}

}  // namespace crossfade
