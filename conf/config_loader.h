// Reads a TOML file, and the command line's overrides, into a Config. Every mistake is reported at once, each with its
// file and line and what was expected; only an error of TOML's own syntax hides what else is in the file. A password is
// in no error. Reads files; keeps nothing; throws nothing. What single values look like is conf/config_values.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "conf/config.h"
#include "conf/config_values.h"

namespace crossfade {

// What `crossfade run` takes on the command line; set ones win over the file.
struct ConfigOverrides {
  std::optional<std::string> old_url;    // --old redis://[[user]:password@]host[:port]
  std::optional<std::string> new_url;    // --new
  std::optional<std::string> listen;     // --listen HOST:PORT
  std::optional<std::string> admin;      // --admin HOST:PORT
  std::optional<std::string> state_dir;  // --state DIR
};

// `path` may be empty: then defaults and overrides are all there is. Any error is an InvalidArgument status: one line
// per mistake, by line, those of the flags last ("crossfade.toml:12: routing.ack: expected \"primary\" or \"both\", got
// \"all\"").
absl::StatusOr<Config> LoadConfig(const std::string& path, const ConfigOverrides& overrides);

// The same on text, under the name that its errors show. What LoadConfig and the fuzzer call.
absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& name, const ConfigOverrides& overrides);

}  // namespace crossfade
