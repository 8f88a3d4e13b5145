// May the stores be flipped now? Each thing that a flip depends on, with what was found, why it stands in the way, and
// what may override it. The one place where that is decided: the flip itself, the list that people are shown, and the
// wait for it all ask here. Pure: facts in, checks out, always in the same order and under the same names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "routing/migration.h"

namespace crossfade {

// What both stores said to a command that writes nothing and is refused whenever a write would be.
struct FlipProbe {
  enum class State : uint8_t { kNotAsked, kUnanswered, kAnswered };
  State state = State::kNotAsked;
  std::string why;                          // unanswered: why
  std::string target_error, primary_error;  // codes; empty: it takes writes
};

// Filled in by proxy/flip_runner.
struct FlipFacts {
  const Migration* migration = nullptr;  // borrowed for the call
  Side to = Side::kNew;
  bool target_up = false, primary_up = false;
  std::string target_error, primary_error;  // why not
  bool target_is_replica = false, primary_is_replica = false;
  std::string replication_never, replication_not_near;  // of a secondary that is the primary's replica; empty: it may
  FlipProbe probe;

  size_t dirty_keys = 0, most_dirty_keys = 0;
  bool everything_dirty = false;
  bool shedding = false;
  bool breaker_closed = true;
  std::string breaker_reason;
  size_t lag_slots = 0, most_lag_slots = 0;
  std::string subscribers_missing;  // why some can't be moved yet; empty: none, or not tried

  // What goes on beside, and the last preflight.
  size_t subscribers = 0, blocked = 0, watching = 0;
  std::string jobs;  // what is being copied or verified; may be empty
  bool preflight_known = false;
  int64_t preflight_age_ms = 0;
  std::string preflight_failed;  // what it said can't come out right; empty: nothing
};

struct FlipCheck {
  enum class Kind : uint8_t {
    kNever,  // time alone does not mend it
    kWait,   // time or repair may mend it
    kNote,   // always passes; for people
  };
  enum class Override : uint8_t { kNothing, kForce, kCold };  // kCold: force as well

  const char* name = "";
  bool ok = true;
  std::string found;   // how it is
  std::string reason;  // !ok: why that stands in the way, and what to do
  Kind kind = Kind::kNever;
  Override override_by = Override::kForce;

  bool Stands(bool cold, bool force) const {
    return !ok && !(force && override_by != Override::kNothing) && !(cold && override_by == Override::kCold);
  }
};

// A preflight is believed for so long.
inline constexpr int64_t kPreflightFreshMs = 3'600'000;

std::vector<FlipCheck> CheckFlip(const FlipFacts& facts);

// The first of that kind that stands in the way; null: none does.
const FlipCheck* FirstInTheWay(const std::vector<FlipCheck>& checks, FlipCheck::Kind kind, bool cold, bool force);
bool ReadyToFlip(const std::vector<FlipCheck>& checks, bool cold, bool force);

}  // namespace crossfade
