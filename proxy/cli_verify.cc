#include "proxy/cli_verify.h"

#include <algorithm>
#include <ostream>

#include "nlohmann/json.hpp"
#include "proxy/cli_operator.h"
#include "proxy/cli_output.h"
#include "proxy/cli_progress.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

using nlohmann::json;

constexpr char kVerifyPath[] = "/api/v1/verify";
constexpr size_t kKeysListed = 20;

struct Row {
  const char* count;
  const char* text;
  bool always;
};
constexpr Row kRows[] = {
    {"equal", "equal", true},
    {"value", "differ in value", true},
    {"ttl", "differ in time to live", true},
    {"type", "differ in type", true},
    {"missing_on_new", "missing on new", true},
    {"only_on_new", "only on new", true},
    {"repaired", "of these repaired", false},
    {"not_comparable", "not comparable (a module's value, or a store refused to answer)", false},
    {"undecided", "undecided (busy, just expiring, or still dirty each time we looked)", false},
    {"left_out", "left out (renamed or copied meanwhile, too many to look at again)", false},
};

std::string Words(const std::string& kind) {
  for (const Row& row : kRows) {
    if (kind == row.count) return row.text;
  }
  return kind;
}

std::string StateText(const json& answer) {
  const std::string state = TextAt(answer, {"state"}, "?");
  std::string text = state;
  if (state == "running") {
    text += fmt::format(", {}", RenderProgressLine(ReadProgress("progress", *Find(answer, {"progress"}))));
  } else if (state != "idle") {
    text += fmt::format(", {} keys checked", Grouped(NumberAt(answer, {"keys_checked"})));
  }
  if (const std::string why = TextAt(answer, {"why"}); !why.empty()) text += ": " + why;
  if (const std::string waits = TextAt(answer, {"waiting_for"}); !waits.empty()) text += "; waiting: " + waits;
  return text;
}

}  // namespace

std::string VerifyLine(const json& answer) {
  std::string state = TextAt(answer, {"state"}, "?");
  if (state == "idle") return state;
  if (Find(answer, {"progress"}) != nullptr) state = StateText(answer);
  const double differing = NumberAt(answer, {"differing"}), repaired = NumberAt(answer, {"counts", "repaired"});
  state += fmt::format(", {} differ", Grouped(differing));
  if (repaired > 0) state += fmt::format(" ({} repaired)", Grouped(repaired));
  return state;
}

int VerifyExit(const json& answer) {
  const bool finished = TextAt(answer, {"state"}) == "done";
  const bool decided = NumberAt(answer, {"counts", "undecided"}) == 0 && NumberAt(answer, {"counts", "left_out"}) == 0;
  const bool equal = NumberAt(answer, {"differing"}) <= NumberAt(answer, {"counts", "repaired"});
  return finished && decided && equal ? kExitDone : kExitNotTrue;
}

std::string RenderVerify(const json& answer) {
  if (TextAt(answer, {"state"}, "idle") == "idle") return "verify: idle; start it with: crossfade verify\n";
  std::string out = "verify: " + (Find(answer, {"progress"}) ? StateText(answer) : TextAt(answer, {"state"})) + "\n";
  for (const Row& row : kRows) {
    const double count = NumberAt(answer, {"counts", row.count});
    if (row.always || count > 0) out += fmt::format("{:>14}  {}\n", Grouped(count), row.text);
  }
  const json* list = Find(answer, {"differences"});
  if (list == nullptr || !list->is_array() || list->empty()) return out;
  out += "\n  db  kind                      key\n";
  size_t told = 0;
  for (const json& one : *list) {
    if (told++ >= kKeysListed) break;
    const std::string kind = Words(TextAt(one, {"kind"}, "?")) + (BoolAt(one, {"repaired"}) ? ", repaired" : "");
    out += fmt::format("{:>4}  {:<24}  {}\n", TextAt(one, {"db"}, "?"), kind, TextAt(one, {"key"}, "?"));
  }
  const double more = NumberAt(answer, {"differing"}) - static_cast<double>(std::min(kKeysListed, list->size()));
  if (more > 0) out += fmt::format("      and {} more: crossfade verify status --json\n", Grouped(more));
  return out;
}

int Operator::Verify(const VerifyArguments& arguments) {
  json answer;
  int exit = kExitDone;
  if (arguments.action == "status") {
    if (!Ask("GET", kVerifyPath, nullptr, &answer, &exit)) return exit;
    if (!session_.json) *session_.out << RenderVerify(answer);
    return exit;
  }
  if (arguments.action == "cancel") {
    if (!Ask("DELETE", kVerifyPath, nullptr, &answer, &exit)) return exit;
    if (!session_.json) *session_.out << RenderVerify(answer);
    return exit;
  }
  json body = json::object();
  if (arguments.repair) body["repair"] = true;
  if (arguments.sample) body["sample"] = *arguments.sample;
  if (!arguments.match.empty()) body["match"] = arguments.match;
  if (arguments.db) body["db"] = *arguments.db;
  if (arguments.rate) body["keys_per_second"] = *arguments.rate;
  if (!Ask("POST", kVerifyPath, &body, &answer, &exit, arguments.detach)) return exit;
  if (!arguments.detach) return FollowVerify();
  if (session_.json) return exit;
  *session_.out << fmt::format(
      "verify: started; watch it with: crossfade verify status{}, stop it with: crossfade verify cancel{}\n",
      session_.same_target, session_.same_target);
  return exit;
}

int Operator::FollowVerify() {
  const Pace pace = session_.pace ? *session_.pace : RealPace();
  json answer;
  int exit = kExitDone;
  // A look that fails is told at once; the proxy may be busy with something else for a moment, but hardly for 15 s.
  const FollowEnd end = FollowJob(pace, [&](Progress* progress) {
    if (!Ask("GET", std::string(kVerifyPath) + "?limit=0", nullptr, &answer, &exit, false)) return false;
    const json* figures = Find(answer, {"progress"});
    *progress = ReadProgress("verify", figures != nullptr ? *figures : json::object());
    progress->note = TextAt(answer, {"phase"});
    if (const std::string waits = TextAt(answer, {"waiting_for"}); !waits.empty()) progress->note = "waiting: " + waits;
    if (const double differ = NumberAt(answer, {"differing"}); differ > 0) {
      progress->note = fmt::format("{} differ  {}", Grouped(differ), progress->note);
    }
    progress->over = TextAt(answer, {"state"}) != "running";
    return true;
  });
  if (end == FollowEnd::kLost) return exit;
  const bool interrupted = end == FollowEnd::kInterrupted;
  if (interrupted && !Ask("DELETE", kVerifyPath, nullptr, &answer, &exit, false)) return exit;
  if (!Ask("GET", kVerifyPath, nullptr, &answer, &exit)) return exit;
  if (!session_.json) *session_.out << RenderVerify(answer);
  return VerifyExit(answer);
}

}  // namespace crossfade
