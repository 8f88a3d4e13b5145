#include "tests/sim/scenario.h"

#include <algorithm>
#include <vector>

#include "fmt/format.h"
#include "tests/sim/chance.h"

namespace crossfade::sim {

namespace {

using Kind = Action::Kind;

// What a run is about. One where the primary stays well is held to more than one where it doesn't.
enum class Theme : uint8_t { kCalm, kSecondary, kPrimary, kNetwork, kProxy, kOperator, kEverything };

std::vector<Kind> KindsOf(Theme theme) {
  const std::vector<Kind> store{Kind::kCut,  Kind::kCut,  Kind::kStall,   Kind::kStallWire, Kind::kCrash,
                                Kind::kMode, Kind::kSlow, Kind::kRubbish, Kind::kRefuse};
  const std::vector<Kind> knobs{Kind::kFlip, Kind::kFlip,      Kind::kReadsNew, Kind::kCompare,
                                Kind::kAck,  Kind::kSecondary, Kind::kBackfill};
  const std::vector<Kind> proxy{Kind::kCrashProxy, Kind::kCrashProxy, Kind::kStopProxy, Kind::kFullDisk,
                                Kind::kWallJump};
  std::vector<Kind> kinds;
  const auto add = [&kinds](const std::vector<Kind>& more) { kinds.insert(kinds.end(), more.begin(), more.end()); };
  switch (theme) {
    case Theme::kCalm:
      add({Kind::kReadsNew, Kind::kCompare, Kind::kBackfill, Kind::kFlip, Kind::kTamper});
      break;
    case Theme::kSecondary:
    case Theme::kPrimary:
      add(store);
      add({Kind::kReadsNew, Kind::kCompare});
      break;
    case Theme::kNetwork:
      add({Kind::kCut, Kind::kStallWire, Kind::kCutClient, Kind::kStallClient, Kind::kSlow, Kind::kRefuse,
           Kind::kFlip});
      break;
    case Theme::kProxy:
      add(proxy);
      add({Kind::kReadsNew, Kind::kFlip});
      break;
    case Theme::kOperator:
      add(knobs);
      add({Kind::kCut, Kind::kStall});
      break;
    case Theme::kEverything:
      add(store);
      add(knobs);
      add(proxy);
      add({Kind::kCutClient, Kind::kStallClient, Kind::kResync});
      break;
  }
  return kinds;
}

int64_t PickMs(Chance* chance) {
  switch (chance->Below(4)) {
    case 0:
      return chance->Range(0, 20);
    case 1:
      return chance->Range(20, 200);
    case 2:
      return chance->Range(200, 900);
    default:
      return chance->Range(900, 2500);
  }
}

Action MakeAction(Kind kind, Chance* chance) {
  Action action;
  action.kind = kind;
  action.ms = PickMs(chance);
  switch (kind) {
    case Kind::kCut:
      action.a = chance->Range(-1, 2);
      action.b = chance->Range(-1, 1);
      break;
    case Kind::kStallWire:
      action.a = chance->Range(-1, 2);
      action.b = chance->Range(-1, 1);
      break;
    case Kind::kCrash:
      action.a = chance->Range(0, 2);
      break;
    case Kind::kMode:
      action.a = chance->Range(1, 5);
      break;
    case Kind::kSlow:
      action.a = chance->Range(1, 250);
      break;
    case Kind::kRefuse:
      action.a = chance->Range(0, 1);
      break;
    case Kind::kCutClient:
    case Kind::kStallClient:
      action.a = chance->Range(0, 3);
      action.b = chance->Range(-1, 1);
      break;
    case Kind::kBackfill:
      action.a = chance->Range(0, 3);
      break;
    case Kind::kCrashProxy:
      action.a = chance->Percent(20) ? 1 : 0;
      action.ms = chance->Percent(50) ? 0 : action.ms;
      break;
    case Kind::kStopProxy:
      action.ms = chance->Range(0, 100);
      break;
    case Kind::kWallJump:
      action.a = chance->Range(-1, 1) * chance->Range(500, 4'000'000);
      break;
    case Kind::kFlip:
      action.a = chance->Percent(15) ? 1 : 0;
      break;
    case Kind::kReadsNew:
    case Kind::kCompare:
      action.a = chance->Percent(30) ? 0 : chance->Percent(50) ? 100 : chance->Range(1, 99);
      break;
    case Kind::kAck:
      action.a = chance->Range(0, 1);
      break;
    case Kind::kSecondary:
      action.a = chance->Percent(50) ? 0 : chance->Range(1, 2);
      break;
    default:
      break;
  }
  return action;
}

void Settings(Scenario* scenario, Chance* chance) {
  Config& config = scenario->config;
  config.listen = {"127.0.0.1", 6400};
  config.admin.address = {"127.0.0.1", 6401};
  config.backends[0].address = {"127.0.0.1", 7001};
  config.backends[1].address = {"127.0.0.1", 7002};
  config.state_dir = "/state";
  // I6: every rule holds with the two backends swapped.
  config.routing.primary = chance->Percent(50) ? Side::kOld : Side::kNew;
  config.routing.ack = chance->Percent(15) ? AckMode::kBoth : AckMode::kPrimary;
  config.routing.split = chance->Percent(30) ? SplitMode::kRandom : SplitMode::kKey;
  config.routing.on_miss = chance->Percent(15) ? OnMiss::kPrimary : OnMiss::kNil;
  config.routing.compare = chance->Percent(50) ? 100 : 0;
  config.routing.reads_new = chance->Percent(50) ? 100 * static_cast<double>(chance->Below(2)) : 50;
  // Checked again are either all writes, to see that none differs, or none, so that nothing is healed on the side.
  config.settle.share = chance->Percent(30) ? 100 : 0;
  config.settle.quiet_ms = chance->Range(50, 500);
  if (chance->Percent(30)) config.limits.secondary_queue_bytes = chance->Range(4, 64) << 10;
  if (chance->Percent(25)) config.limits.dirty_keys = chance->Range(1, 12);
  if (chance->Percent(20)) config.limits.client_pipeline = chance->Range(1, 4);
  if (chance->Percent(15)) config.limits.expiring_keys = chance->Range(1, 4);
  if (chance->Percent(25)) config.repair.keys_per_second = chance->Range(5, 50);
  config.timeouts.connect_ms = chance->Range(200, 800);
  config.timeouts.response_ms = chance->Range(500, 1500);
  config.timeouts.read_ms = chance->Range(20, 100);
  config.timeouts.ack_ms = chance->Range(100, 500);
  config.timeouts.reconnect_max_ms = chance->Range(50, 300);
  config.timeouts.shutdown_ms = 2000;
}

}  // namespace

const char* Name(Action::Kind kind) {
  static constexpr const char* kNames[] = {
      "cut",        "stall",        "stall-wire",  "crash",      "mode",      "slow",      "rubbish", "refuse",
      "cut-client", "stall-client", "crash-proxy", "stop-proxy", "full-disk", "wall-jump", "flip",    "reads-new",
      "compare",    "ack",          "secondary",   "backfill",   "tamper",    "resync"};
  return kNames[static_cast<int>(kind)];
}

std::string Describe(const Action& action) {
  return fmt::format("#{} at {:.3f} s: {} store={} a={} b={} ms={}", action.number,
                     static_cast<double>(action.at_us) / 1e6, Name(action.kind), action.store == 0 ? "old" : "new",
                     action.a, action.b, action.ms);
}

bool Scenario::Has(Action::Kind kind) const {
  return std::any_of(actions.begin(), actions.end(), [kind](const Action& action) { return action.kind == kind; });
}

Scenario MakeScenario(uint64_t seed) {
  Chance chance(seed, 7);
  Scenario scenario;
  scenario.seed = seed;
  Settings(&scenario, &chance);
  scenario.apps = static_cast<int>(chance.Range(1, 4));
  scenario.commands = static_cast<int>(chance.Range(120, 300)) / scenario.apps;
  scenario.think_us = chance.Range(0, 2) * chance.Range(1'000, 30'000);
  scenario.preloaded = chance.Percent(20) ? static_cast<int>(chance.Range(1, 40)) : 0;
  for (int64_t& skew_ms : scenario.skew_ms) skew_ms = chance.Percent(50) ? chance.Range(-90'000, 90'000) : 0;
  scenario.max_delay_us = chance.Percent(60) ? chance.Range(50, 500) : chance.Range(500, 8'000);
  scenario.split_percent = chance.Percent(50) ? 0 : static_cast<int>(chance.Range(1, 60));
  scenario.late_percent = chance.Percent(30) ? static_cast<int>(chance.Range(1, 100)) : 0;
  scenario.short_lived = chance.Percent(60);
  scenario.watches = chance.Percent(60);
  scenario.blocks = chance.Percent(40);
  const Theme theme = static_cast<Theme>(chance.Below(7));
  const std::vector<Kind> kinds = KindsOf(theme);
  const int count = theme == Theme::kCalm ? static_cast<int>(chance.Range(0, 4)) : static_cast<int>(chance.Range(1, 8));
  const int secondary = scenario.config.routing.primary == Side::kOld ? 1 : 0;
  for (int i = 0; i < count; ++i) {
    Action action = MakeAction(kinds[chance.Below(kinds.size())], &chance);
    action.number = i;
    action.at_us = chance.Range(0, 2'500'000);
    action.store = static_cast<int>(chance.Below(2));
    if (theme == Theme::kSecondary) action.store = secondary;
    if (theme == Theme::kPrimary) action.store = 1 - secondary;
    scenario.actions.push_back(action);
  }
  std::stable_sort(scenario.actions.begin(), scenario.actions.end(),
                   [](const Action& a, const Action& b) { return a.at_us < b.at_us; });
  return scenario;
}

}  // namespace crossfade::sim
