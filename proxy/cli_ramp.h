// `crossfade ramp`: what its arguments ask for, and how a ramp stands as text. Operator::Ramp is in the .cc file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nlohmann/json_fwd.hpp"

namespace CLI {
class App;
}

namespace crossfade {

inline constexpr char kRampExamples[] =
    "Examples:\n  crossfade compare 10                 a ramp goes by what is compared\n"
    "  crossfade ramp start --steps 1,5,25,50,100 --every 10m\n"
    "  crossfade ramp start --every 1h --max-mismatch-rate 0 --max-lag 200ms --wait\n"
    "  crossfade ramp status\n"
    "  crossfade ramp pause                 … and `resume`; the guardrails are still watched\n"
    "  crossfade ramp abort                 reads go back to old\n"
    "A guardrail that trips takes reads back to old at once; without data it holds. The limits are those of\n"
    "[ramp] in the configuration, unless named here. --wait shows each decision until the end; Ctrl-C ends the\n"
    "watching only. Exit status of --wait: 0 when the last step is over, 1 when it tripped or was aborted.";

struct RampArguments {
  std::string action = "status";  // or "start", "pause", "resume", "abort"
  bool wait = false;
  std::vector<double> steps;
  std::optional<int64_t> every_ms;
  std::optional<double> compare, max_mismatch_rate, max_error_rate, max_p99_ratio;
  std::optional<int64_t> latency_floor_ms, max_lag_ms, max_dirty_keys, max_down_ms, min_samples;
};

// Both must outlive the parsing of the command line.
void AddRampOptions(CLI::App* command, RampArguments* arguments);

// How it stands, its guardrails, and its latest decisions. Ends with a newline.
std::string RenderRamp(const nlohmann::json& answer);
// One line, for `crossfade status`.
std::string RampLine(const nlohmann::json& ramp);
// One decision, as --wait tells it.
std::string RampDecisionLine(const nlohmann::json& decision);

}  // namespace crossfade
