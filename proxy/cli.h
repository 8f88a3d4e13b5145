// The command line: `crossfade run` and the operator commands, which ask a running proxy's admin API (DESIGN.md,
// section 10). Parses arguments, prints, and returns the exit status. Knows nothing of how the proxy runs.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

#include "absl/status/statusor.h"
#include "conf/config.h"
#include "proxy/cli_operator.h"

namespace crossfade {

// What `crossfade run` was asked for.
struct RunRequest {
  Config config;
  std::string config_file;                             // empty: none
  std::function<absl::StatusOr<Config>()> read_again;  // the file, and the flags over it
};

// What the command line touches besides its arguments, the environment and the files that they name. Tests have their
// own.
struct CliWorld {
  std::function<int(const RunRequest&)> run_proxy;  // returns the exit status
  AdminCaller call_admin;
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  const Pace* pace = nullptr;  // how waiting for a job goes; null: really
};

// Exit status: see CliExit. `argv` as main gets it.
int RunCli(int argc, const char* const* argv, const CliWorld& world);

// The real world: standard output and error, and HTTP to the admin port.
int RunCli(int argc, char** argv, std::function<int(const RunRequest&)> run_proxy);

}  // namespace crossfade
