// `crossfade verify`: what its arguments ask for, and its result as text. Operator::Verify is in the .cc file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nlohmann/json_fwd.hpp"

namespace crossfade {

struct VerifyArguments {
  std::string action = "start";  // or "status", "cancel"
  bool repair = false;
  bool detach = false;  // start it, and don't wait
  std::optional<double> sample;
  std::string match;
  std::optional<int64_t> db, rate;
};

// How it stands, the counts, and the first keys that differ. Ends with a newline.
std::string RenderVerify(const nlohmann::json& answer);
// One line, for `crossfade status`.
std::string VerifyLine(const nlohmann::json& answer);
// kExitDone when it has finished, every key was decided, and none differs now.
int VerifyExit(const nlohmann::json& answer);

}  // namespace crossfade
