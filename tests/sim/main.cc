// crossfade_sim: runs seeds, says what came of them, and shrinks what fails.
//
//   crossfade_sim --seeds N [--seed FIRST] [--jobs J] [--fault NAME]
//   crossfade_sim --seeds N --survey      goes on after a violation, a line for each
//   crossfade_sim --seeds N --twice       each seed is run twice, and must be the same run
//   crossfade_sim --seeds N --faults      each deliberate fault (protocol/fault.h) must be found within N seeds
//   crossfade_sim --seed S --trace [--without 1,4] [--apps N] [--commands N] [--log]
//
// Exit status: 0 no violation (with --fault and --faults: found), 1 otherwise, 2 wrong usage.
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "protocol/fault.h"
#include "protocol/reply.h"
#include "spdlog/spdlog.h"
#include "tests/sim/scenario.h"
#include "tests/sim/shrink.h"
#include "tests/sim/world.h"

namespace crossfade::sim {

namespace {

struct Options {
  uint64_t seed = 1;
  uint64_t seeds = 1;
  int jobs = 1;
  std::string fault;
  bool trace = false;
  bool twice = false;  // each seed is run again: both must be the same run
  bool logs = false;
  bool faults = false;  // every deliberate fault must be found
  bool survey = false;  // goes on after a violation, and shrinks none
  Cuts cuts;
};

[[noreturn]] void WrongUsage(const std::string& what) {
  fmt::print(stderr, "crossfade_sim: {}\n", what);
  std::exit(2);
}

uint64_t NumberOf(const char* text) {
  const auto number = ParseInt64(text);
  if (!number || *number < 0) WrongUsage(fmt::format("not a number: {}", text));
  return static_cast<uint64_t>(*number);
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto value = [&]() -> const char* {
      if (i + 1 >= argc) WrongUsage(fmt::format("{} needs a value", name));
      return argv[++i];
    };
    if (name == "--seed") {
      options.seed = NumberOf(value());
    } else if (name == "--seeds") {
      options.seeds = NumberOf(value());
    } else if (name == "--jobs") {
      options.jobs = std::max(1, static_cast<int>(NumberOf(value())));
    } else if (name == "--fault") {
      options.fault = value();
    } else if (name == "--trace") {
      options.trace = true;
    } else if (name == "--twice") {
      options.twice = true;
    } else if (name == "--faults") {
      options.faults = true;
    } else if (name == "--survey") {
      options.survey = true;
    } else if (name == "--log") {
      options.logs = true;
    } else if (name == "--apps") {
      options.cuts.apps = static_cast<int>(NumberOf(value()));
    } else if (name == "--commands") {
      options.cuts.commands = static_cast<int>(NumberOf(value()));
    } else if (name == "--without") {
      options.cuts.without = ParseNumbers(value());
    } else {
      WrongUsage(fmt::format("unknown option: {}", name));
    }
  }
  return options;
}

void Say(const std::string& text) {
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

// A failing seed: what it violates, the shortest run that still does, and how to see it again.
void Report(uint64_t seed, const Violation& violation, const Options& options) {
  Say(fmt::format("seed {} violates {}: {}", seed, violation.invariant, violation.text));
  const Shrunk shrunk = Shrink(seed, options.cuts, violation.invariant);
  Say(fmt::format("shrunk in {} runs to {} applications with {} commands each, and:", shrunk.runs, shrunk.scenario.apps,
                  shrunk.scenario.commands));
  for (const Action& action : shrunk.scenario.actions) Say("  " + Describe(action));
  World world(shrunk.scenario, true);
  const auto again = world.Run();
  Say(again ? fmt::format("{}: {}", again->invariant, again->text)
            : "(the shrunk run does not fail when it is traced)");
  const auto& trace = world.trace();
  constexpr size_t kShown = 60;
  for (size_t i = trace.size() > kShown ? trace.size() - kShown : 0; i < trace.size(); ++i) Say("  " + trace[i]);
  Say(fmt::format("replay: ./run sim --seed {}{} --trace{}", seed, shrunk.cuts.Flags(),
                  options.fault.empty() ? "" : " --fault " + options.fault));
}

// Seen by parent and child: where a child that a CHECK ended has got to.
struct Shared {
  uint64_t seed;
  bool found;
  char text[400];
};
Shared* MakeShared(int count) {
  void* memory = mmap(nullptr, sizeof(Shared) * static_cast<size_t>(count), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) WrongUsage("no memory");
  return static_cast<Shared*>(memory);
}

// One worker's share: every jobs-th seed. The number of seeds that failed; it stops at the first.
int Work(const Options& options, int worker, Figures* figures, Shared* shared) {
  const auto began = std::chrono::steady_clock::now();
  auto said = began;
  int failed = 0;
  for (uint64_t i = static_cast<uint64_t>(worker); i < options.seeds; i += static_cast<uint64_t>(options.jobs)) {
    const uint64_t seed = shared->seed = options.seed + i;
    const Scenario scenario = options.cuts.Apply(MakeScenario(seed));
    World world(scenario, options.trace);
    const auto violation = world.Run();
    figures->Add(world.figures());
    if (options.trace) {
      for (const std::string& line : world.trace()) Say(line);
    }
    if (violation && options.survey) {
      Say(fmt::format("seed {} violates {}: {}", seed, violation->invariant, violation->text));
      failed = 1;
      continue;
    }
    if (violation) {
      Report(seed, *violation, options);
      return 1;
    }
    if (options.twice) {
      World again(scenario);
      (void)again.Run();
      if (again.digest() != world.digest()) {
        Say(fmt::format("seed {} is not the same run twice", seed));
        return 1;
      }
    }
    const auto now = std::chrono::steady_clock::now();
    if (worker == 0 && now - said > std::chrono::seconds(10)) {
      said = now;
      const double seconds = std::chrono::duration<double>(now - began).count();
      Say(fmt::format("{} of {} seeds in {:.0f} s", i + 1, options.seeds, seconds));
    }
  }
  return failed;
}

void Summarise(const Figures& f, double seconds) {
  Say(fmt::format(
      "{} seeds in {:.1f} s ({:.2f} ms each): {} commands answered, {:.1f} hours of virtual time, {} steps\n"
      "{} faults injected, {} crashes, {} restarts of the proxy, {} flips ({} forced), {} sweeps asked for, {} "
      "resumed\n"
      "{} verifications of equal stores, {} with a planted difference\n"
      "{} keys repaired, {} queues overflowed, {} reads from the secondary, {} compared, {} keys checked again",
      f.runs, seconds, 1000 * seconds / static_cast<double>(std::max<uint64_t>(f.runs, 1)), f.commands,
      static_cast<double>(f.virtual_ms) / 3.6e6, f.steps, f.faults, f.crashes, f.restarts, f.flips, f.forced_flips,
      f.sweeps, f.resumed, f.verified, f.planted, f.repaired, f.overflows, f.shifted, f.compared, f.checked));
}

// Worker processes, each with a pipe for its figures.
int RunAll(const Options& options) {
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::pair<pid_t, int>> workers;
  Shared* const shared = MakeShared(options.jobs);
  std::fflush(stdout);
  for (int worker = 0; worker < options.jobs; ++worker) {
    int ends[2];
    if (pipe(ends) != 0) WrongUsage("no pipe");
    const pid_t pid = fork();
    if (pid == 0) {
      Figures figures;
      const int failed = Work(options, worker, &figures, &shared[worker]);
      const bool sent = write(ends[1], &figures, sizeof(figures)) == static_cast<ssize_t>(sizeof(figures));
      std::fflush(stdout);
      _exit(failed != 0 || !sent ? 1 : 0);
    }
    close(ends[1]);
    workers.emplace_back(pid, ends[0]);
  }
  Figures all;
  int violations = 0;
  for (const auto& worker : workers) {
    const auto [pid, end] = worker;
    Figures figures;
    if (read(end, &figures, sizeof(figures)) == static_cast<ssize_t>(sizeof(figures))) all.Add(figures);
    close(end);
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) {
      Say(fmt::format("seed {} ended its worker by signal {}: replay: ./run sim --seed {} --log",
                      shared[&worker - workers.data()].seed, WTERMSIG(status), shared[&worker - workers.data()].seed));
    }
    if (status != 0) ++violations;
  }
  Summarise(all, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  Say(fmt::format("violations: {}", violations));
  return violations;
}

// In a process of its own, since the product's own CHECKs may be what finds it.
void FindFault(std::string_view fault, const Options& options, Shared* shared) {
  const pid_t pid = fork();
  if (pid == 0) {
    SetFault(fault);
    for (uint64_t i = 0; i < options.seeds && !shared->found; ++i) {
      shared->seed = options.seed + i;
      const auto violation = World(MakeScenario(shared->seed)).Run();
      if (!violation) continue;
      const std::string text = violation->invariant + ": " + violation->text;
      std::strncpy(shared->text, text.c_str(), sizeof(shared->text) - 1);
      shared->found = true;
    }
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (!WIFSIGNALED(status)) return;
  shared->found = true;
  std::strncpy(shared->text, "a CHECK of the proxy ended it", sizeof(shared->text) - 1);
}

// Each deliberate fault is found within so many seeds; and the seed that finds it has nothing to say without it.
int FindFaults(const Options& options) {
  int missing = 0;
  for (std::string_view fault : kFaultNames) {
    if (fault == kFaultNames[0]) continue;
    Shared* shared = MakeShared(1);
    FindFault(fault, options, shared);
    if (!shared->found) {
      ++missing;
      Say(fmt::format("{}: NOT found in {} seeds", fault, options.seeds));
      continue;
    }
    Say(fmt::format("{}: found by seed {}: {}", fault, shared->seed, shared->text));
    if (const auto without = World(MakeScenario(shared->seed)).Run()) {
      ++missing;
      Say(fmt::format("… but it violates {} without the fault too: {}", without->invariant, without->text));
    }
  }
  return missing;
}

int Main(int argc, char** argv) {
  const Options options = ParseOptions(argc, argv);
  spdlog::set_level(options.logs ? spdlog::level::debug : spdlog::level::off);
  if (!options.fault.empty() && !SetFault(options.fault)) {
    WrongUsage(fmt::format("unknown fault: {} (known: {})", options.fault, FaultNames()));
  }
  if (options.faults) return FindFaults(options) == 0 ? 0 : 1;
  const int violations = RunAll(options);
  if (options.fault.empty()) return violations == 0 ? 0 : 1;
  Say(violations > 0 ? "the deliberate fault was found" : "the deliberate fault was NOT found");
  return violations > 0 ? 0 : 1;
}

}  // namespace
}  // namespace crossfade::sim

int main(int argc, char** argv) {
  // Hash tables take their seed from addresses: with these always the same, a run is a function of its seed alone.
  if (personality(0xffffffff) != -1 && (personality(0xffffffff) & ADDR_NO_RANDOMIZE) == 0 &&
      personality(static_cast<unsigned long>(personality(0xffffffff)) | ADDR_NO_RANDOMIZE) != -1) {
    execv("/proc/self/exe", argv);
  }
  return crossfade::sim::Main(argc, argv);
}
