#include "proxy/cli_advice.h"

#include "nlohmann/json.hpp"
#include "proxy/cli_output.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

using nlohmann::json;

std::string StateOf(const json& status, const std::string& side) {
  return TextAt(status, {"backends", side.c_str(), "state"});
}

// What must be mended before anything else; empty: nothing.
std::string Mend(const json& status, const std::string& primary, const std::string& secondary) {
  if (!StateOf(status, primary).empty() && StateOf(status, primary) != "up") {
    return fmt::format("bring the primary ({}) back; if it is gone for good: crossfade flip {} --force", primary,
                       secondary);
  }
  const json* trouble = Find(status, {"attention"});
  const bool distrusted = TextAt(status, {"synced_why"}).find("the primary may have lost data") != std::string::npos;
  if (distrusted && trouble != nullptr && !trouble->empty()) {
    return fmt::format(
        "decide who is right: crossfade resync (the primary), or crossfade flip {} --force (the secondary)", secondary);
  }
  if (!StateOf(status, secondary).empty() && StateOf(status, secondary) != "up") {
    return fmt::format("bring the secondary ({}) back: nothing is lost, written keys are remembered", secondary);
  }
  const std::string breaker = TextAt(status, {"backends", secondary.c_str(), "breaker", "state"}, "closed");
  if (breaker != "closed") return fmt::format("mend the secondary ({}), which the breaker leaves alone", secondary);
  return {};
}

// What makes the stores equal; empty: they are.
std::string MakeEqual(const json& status) {
  const std::string mode = TextAt(status, {"secondary"});
  if (mode == "off") return "crossfade secondary follow, then crossfade backfill start";
  if (mode == "journal") return "load the snapshot into the secondary, then: crossfade secondary follow --snapshot";
  const std::string backfill = TextAt(status, {"backfill", "state"});
  if (backfill == "running") return "wait for the backfill: crossfade backfill status";
  if (backfill == "paused") return "crossfade backfill resume";
  if (TextAt(status, {"synced"}) == "copying") return "wait until everything is copied";
  if (BoolAt(status, {"dirty", "overflowed"})) return "wait: everything is copied again by itself";
  if (TextAt(status, {"synced"}) == "no") {
    return mode == "replica" ? "wait for the replica, or look why it is not in step"
                             : "crossfade check, then crossfade backfill start";
  }
  return {};
}

// With equal stores: one step further.
std::string StepOn(const json& status, const std::string& primary) {
  if (NumberAt(status, {"reads", "mismatched"}) > 0 && TextAt(status, {"verify", "state"}) != "done") {
    return "look at crossfade mismatches, then: crossfade verify --repair";
  }
  if (TextAt(status, {"verify", "state"}) == "running") return "wait for the verification: crossfade verify status";
  if (primary == "new") return "let it run; when you are satisfied: crossfade report";
  if (NumberAt(status, {"verify", "differing"}) > NumberAt(status, {"verify", "counts", "repaired"})) {
    return "crossfade verify --repair: the last verification found differences";
  }
  if (TextAt(status, {"verify", "state"}) == "idle") return "crossfade verify: are both stores the same?";
  const double reads = NumberAt(status, {"reads_new"});
  const std::string ramp = TextAt(status, {"ramp", "state"});
  if (ramp == "running" || ramp == "holding") return "wait for the ramp: crossfade ramp status";
  if (ramp == "paused") return "crossfade ramp resume";
  if (NumberAt(status, {"compare"}) == 0) return "crossfade compare 100: do both answer the same?";
  for (int percent : {1, 5, 25, 50, 100}) {
    if (reads < percent) return fmt::format("crossfade reads {}", percent);
  }
  return "crossfade flip new --dry-run, then crossfade flip new --wait";
}

}  // namespace

Advice AdviseFrom(const json& status) {
  Advice advice;
  const std::string primary = TextAt(status, {"primary"});
  if (primary != "old" && primary != "new") return advice;
  const std::string secondary = primary == "old" ? "new" : "old";
  advice.next = Mend(status, primary, secondary);
  if (advice.next.empty()) advice.next = MakeEqual(status);
  if (advice.next.empty() && NumberAt(status, {"dirty", "keys"}) > 0) advice.next = "wait until no key is dirty";
  if (advice.next.empty()) advice.next = StepOn(status, primary);
  if (primary == "new") {
    advice.back = "crossfade flip old";
  } else if (NumberAt(status, {"reads_new"}) > 0) {
    advice.back = "crossfade reads 0";
  }
  return advice;
}

}  // namespace crossfade
