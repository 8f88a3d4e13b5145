// A ramp as it stands: what was asked for, the step that it is in, what that step has counted, and the decisions so
// far. Plain data, and its text in the state directory (`ramp.json`). Proxy/ramp fills it; the admin API and the status
// show it.
//
// What always holds: whatever is in the file, reading it does no harm, and what is read can be gone on with: the steps
// ascend, the step is one of them, and no figure is beyond what can be computed with.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "conf/config.h"
#include "nlohmann/json_fwd.hpp"
#include "routing/ramp_rules.h"

namespace crossfade {

enum class RampState : uint8_t { kRunning, kHolding, kPaused, kTripped, kDone, kAborted };
const char* Name(RampState state);

// What `crossfade ramp start` may name in place of the configuration's guardrails.
struct RampOverrides {
  std::optional<double> max_mismatch_rate, max_error_rate, max_p99_ratio;
  std::optional<int64_t> latency_floor_ms, max_lag_ms, max_dirty_keys, max_down_ms, min_samples;

  RampConfig Over(const RampConfig& config) const;
};

struct RampOptions {
  std::vector<double> steps;  // percent
  int64_t every_ms = 0;
  RampOverrides limits;
  std::optional<double> compare;  // set at the start
};

// A decision, and the figures behind it.
struct RampEntry {
  uint64_t number = 0;   // each one more than the one before, over all ramps of this state directory
  int64_t at_ms = 0;     // wall clock
  std::string decision;  // "start", "advance", "hold", "pause", "resume", "restart", "trip", "abort", "done"
  double reads_new = 0;  // from then on
  std::string reason;
  RampFigures figures;
};

struct RampRecord {
  static constexpr size_t kMostEntries = 200;  // the oldest goes

  RampState state = RampState::kRunning;
  std::string reason;  // of the state
  RampOptions options;
  size_t step = 0;          // index into options.steps
  RampFigures counted;      // of the step, up to the last save: its time and its reads; the rest is not kept
  bool taken_over = false;  // paused because somebody else has set reads_new: the guardrails do nothing
  uint64_t epoch = 0;       // of the migration: no flip since
  int64_t step_since_ms = 0, started_ms = 0, ended_ms = 0;  // wall clock; 0: it hasn't
  std::deque<RampEntry> entries;                            // oldest first

  // It is under way, if only paused.
  bool active() const {
    return state == RampState::kRunning || state == RampState::kHolding || state == RampState::kPaused;
  }
  double percent() const { return options.steps[step]; }
};

nlohmann::json EntryJson(const RampEntry& entry);

std::string RampText(const RampRecord& record);
// What RampText gave; nullopt for what can't be understood.
std::optional<RampRecord> ReadRampText(const std::string& text);

}  // namespace crossfade
