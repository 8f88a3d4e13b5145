#include "tests/sim/shrink.h"

#include <algorithm>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "tests/sim/world.h"

namespace crossfade::sim {

namespace {
constexpr int kMaxRuns = 400;
}

Scenario Cuts::Apply(Scenario scenario) const {
  if (apps > 0) scenario.apps = std::min(scenario.apps, apps);
  if (commands > 0) scenario.commands = std::min(scenario.commands, commands);
  std::erase_if(scenario.actions, [this](const Action& action) {
    return std::find(without.begin(), without.end(), action.number) != without.end();
  });
  return scenario;
}

std::string Cuts::Flags() const {
  std::string flags;
  if (apps > 0) flags += fmt::format(" --apps {}", apps);
  if (commands > 0) flags += fmt::format(" --commands {}", commands);
  for (size_t i = 0; i < without.size(); ++i) flags += fmt::format("{}{}", i == 0 ? " --without " : ",", without[i]);
  return flags;
}

std::vector<int> ParseNumbers(std::string_view text) {
  std::vector<int> numbers;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    if (const auto number = ParseInt64(text.substr(0, comma))) numbers.push_back(static_cast<int>(*number));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return numbers;
}

Shrunk Shrink(uint64_t seed, const Cuts& cuts, const std::string& invariant) {
  const Scenario whole = MakeScenario(seed);
  Shrunk best{cuts, cuts.Apply(whole), 0};
  const auto fails = [&](const Cuts& candidate) {
    if (best.runs >= kMaxRuns) return false;
    ++best.runs;
    World world(candidate.Apply(whole));
    const auto violation = world.Run();
    if (!violation || violation->invariant != invariant) return false;
    best.cuts = candidate;
    best.scenario = candidate.Apply(whole);
    return true;
  };
  for (bool better = true; better && best.runs < kMaxRuns;) {
    better = false;
    for (const Action& action : std::vector<Action>(best.scenario.actions)) {
      Cuts candidate = best.cuts;
      candidate.without.push_back(action.number);
      better = fails(candidate) || better;
    }
    for (int apps = best.scenario.apps - 1; apps >= 1; --apps) {
      Cuts candidate = best.cuts;
      candidate.apps = apps;
      if (!fails(candidate)) break;
      better = true;
    }
    for (int step = best.scenario.commands / 2; step >= 1; step /= 2) {
      Cuts candidate = best.cuts;
      candidate.commands = best.scenario.commands - step;
      if (candidate.commands >= 1) better = fails(candidate) || better;
    }
  }
  return best;
}

}  // namespace crossfade::sim
