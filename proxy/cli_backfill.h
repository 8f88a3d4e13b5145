// `crossfade backfill`: what its arguments ask for, and how a backfill stands as text. Operator::Backfill is in the .cc
// file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nlohmann/json_fwd.hpp"

namespace CLI {
class App;
}

namespace crossfade {

struct BackfillArguments {
  std::string action = "status";  // or "start", "pause", "resume", "cancel"
  bool detach = false;            // start it, and don't wait
  std::string match, type;
  std::optional<int64_t> db;
  std::optional<int64_t> keys_per_second, bytes_per_second;  // with start and resume; 0: the configuration's
};

// Both must outlive the parsing of the command line.
void AddBackfillOptions(CLI::App* command, BackfillArguments* arguments);

// How it stands, and the first keys that could not be copied. Ends with a newline.
std::string RenderBackfill(const nlohmann::json& answer);
// One line, for `crossfade status`.
std::string BackfillLine(const nlohmann::json& backfill);

}  // namespace crossfade
