// `crossfade flip`: what its arguments ask for, the list of what a flip depends on as text, and the wait for it all.
#pragma once

#include <cstdint>
#include <string>

#include "nlohmann/json_fwd.hpp"

namespace CLI {
class App;
}

namespace crossfade {

struct FlipOptions {
  std::string to;            // "old", "new"; empty: the store that isn't primary
  int64_t max_pause_ms = 0;  // 0: the proxy's default
  bool dry_run = false;
  bool cold = false;
  bool force = false;
  bool wait = false;            // until everything is ready
  std::string timeout = "10m";  // … for so long
};

extern const char kFlipExamples[];
void AddFlipOptions(CLI::App* command, FlipOptions* options);

// A line for each check, and one for what stands in the way. Empty when the answer has none.
std::string RenderFlipChecks(const nlohmann::json& answer, bool colours);

}  // namespace crossfade
