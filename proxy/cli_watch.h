// `crossfade watch`: the status as a view that redraws, the two stores side by side, and as a line for logs. What is
// shown is pure; the loop that asks and draws is Operator::Watch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "proxy/cli_screen.h"

namespace crossfade {

// What is known at one moment. Rates come from two of them.
struct WatchFrame {
  nlohmann::json status = nullptr, audit = nullptr;  // null: never answered
  nlohmann::json before = nullptr;                   // the status `seconds` earlier; null: none
  double seconds = 0;
  std::string address = {};  // of the admin port
  std::string lost = {};     // why the proxy does not answer now; empty: it does
  int64_t lost_seconds = 0;
};

std::vector<ScreenLine> RenderWatch(const WatchFrame& frame);
// One line, without its end.
std::string RenderWatchLine(const WatchFrame& frame);

}  // namespace crossfade
