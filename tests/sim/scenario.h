// What one seed stands for, as data: the settings, the applications, and everything that befalls them, each at its
// time. Nothing is decided later by this seed's main stream of chance, so an entry can be left out and the rest stays:
// that is how a failing run is shrunk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "conf/config.h"

namespace crossfade::sim {

struct Action {
  enum class Kind : uint8_t {
    kCut,          // store's connections: `a` which of them (-1 all), `b` half (-1, 0, 1)
    kStall,        // the store's process is stopped for `ms`
    kStallWire,    // one direction (`b`) of one connection (`a`) for `ms`
    kCrash,        // the store, for `ms`; `a` loss
    kMode,         // the store refuses in the way `a` for `ms`
    kSlow,         // the store's replies take `a` ms more, for `ms`
    kRubbish,      // the store says something that is no RESP
    kRefuse,       // connects are refused (`a` 0) or not answered (1) for `ms`
    kCutClient,    // an application's connection `a`, half `b`
    kStallClient,  // … stalls for `ms`
    kCrashProxy,   // for `ms`; `a` 1: the machine too
    kStopProxy,    // an orderly shutdown, and a start after `ms`
    kFullDisk,     // for `ms`
    kWallJump,     // by `a` ms
    kFlip,         // to the other store; `a` 1: forced
    kReadsNew,     // `a` percent
    kCompare,      // `a` percent
    kAck,          // `a` 1: both
    kSecondary,    // `a` 0 follow, 1 journal, 2 off
    kBackfill,     // `a` 0 start, 1 hold or go on, 2 a verification that repairs, 3 start a slow one
    kTamper,       // the secondary's value of a key is changed behind everybody's back
    kResync,
  };
  Kind kind = Kind::kCut;
  int64_t at_us = 0;
  int store = 0;  // 0 old, 1 new
  int64_t a = 0, b = 0;
  int64_t ms = 0;
  int number = 0;  // in the scenario as the seed made it
};
const char* Name(Action::Kind kind);
std::string Describe(const Action& action);

struct Scenario {
  uint64_t seed = 0;
  int apps = 1;
  int commands = 50;  // of each application
  int64_t think_us = 20'000;
  int preloaded = 0;  // keys that only the primary has at the start
  int64_t skew_ms[2] = {0, 0};
  int64_t max_delay_us = 300;
  int split_percent = 10;
  int late_percent = 0;     // connections whose bytes arrive long after their writer's death
  bool short_lived = true;  // keys that expire soon
  bool watches = true;
  bool blocks = true;
  Config config;
  std::vector<Action> actions;

  bool Has(Action::Kind kind) const;
};

Scenario MakeScenario(uint64_t seed);

}  // namespace crossfade::sim
