// What a ramp does next, from figures alone: stay in its step, go on to the next one, hold, or trip (DESIGN.md, section
// 8). Reads are shifted to new step by step, and in each step new must show, by figures of that step, that it is well.
// Pure: proxy/ramp takes the figures, and acts.
//
// What always holds: no data means hold, never advance. What is counted in reads (mismatches, errors, slow replies)
// trips only when there is more of it than chance would give a store that is just within its limit (SurelyAbove), so
// that one read in twenty trips nothing, and one in a hundred is found within some hundred reads. What is measured now
// (lag, dirty keys, how long new is away) trips at once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"

namespace crossfade {

inline constexpr int kMostRampSteps = 100;

// Why these are no steps of a ramp; empty when they are: percentages that ascend, above 0 and up to 100.
std::string WhyNotSteps(const std::vector<double>& steps);

// What a step has seen so far, and what is true now.
struct RampFigures {
  int64_t elapsed_ms = 0;  // of the step, while the ramp ran
  uint64_t compared = 0, mismatched = 0;
  uint64_t answered = 0, failed = 0;  // reads meant for new: answered there, or not for a reason that is new's
  uint64_t old_timed = 0, new_timed = 0, new_slow = 0;  // reads whose latency is known; on new above SlowUs
  int64_t old_p99_us = 0, new_p99_us = 0;
  double lag_ms = 0;
  uint64_t dirty_keys = 0;
  int64_t down_ms = 0;     // for how long new can't be read from, by the breaker's will or its own; 0: it can
  std::string unreadable;  // why no read may be shifted at all; empty: they may
};

enum class GuardrailState : uint8_t { kOk, kTripped, kNoData };
const char* Name(GuardrailState state);

struct Guardrail {
  const char* name = "";  // as in the API
  double value = 0, limit = 0;
  uint64_t samples = 0;
  GuardrailState state = GuardrailState::kOk;
  std::string text;  // the figure in words; empty when it is well
};

enum class RampMove : uint8_t { kStay, kAdvance, kHold, kTrip };

struct RampVerdict {
  RampMove move = RampMove::kStay;
  std::string reason;  // the figures that hold or trip it; empty otherwise
  std::vector<Guardrail> guardrails;
};

// Beyond what latency a read on new is slow: the limit, as old's p99 makes it.
int64_t SlowUs(const RampConfig& limits, int64_t old_p99_us);

RampVerdict JudgeRamp(const RampConfig& limits, const RampFigures& figures, int64_t every_ms);

// Would a store of which exactly this `share` of reads is bad show so many bad ones by chance in less than one case of
// a hundred? With a share of 0 any bad one is too many.
bool SurelyAbove(uint64_t bad, uint64_t of, double share);

}  // namespace crossfade
