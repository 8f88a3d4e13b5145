// A failing run made short: fewer applications, fewer commands, fewer faults, as long as the same invariant is
// violated.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/scenario.h"

namespace crossfade::sim {

// What is left out of a seed's scenario.
struct Cuts {
  int apps = 0;              // 0: as the seed says
  int commands = 0;          // of each application
  std::vector<int> without;  // numbers of actions

  Scenario Apply(Scenario scenario) const;
  std::string Flags() const;  // for the command line
};

std::vector<int> ParseNumbers(std::string_view text);  // "1,4"

struct Shrunk {
  Cuts cuts;
  Scenario scenario;
  int runs = 0;
};
Shrunk Shrink(uint64_t seed, const Cuts& cuts, const std::string& invariant);

}  // namespace crossfade::sim
