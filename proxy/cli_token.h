// Where the command line finds the admin token, and the environment's variables.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace crossfade {

std::string EnvOrEmpty(const char* name);

// The token of the file, or of CROSSFADE_TOKEN when no file is named (empty); empty when there is neither. The
// file holds the token and nothing else. InvalidArgument: for people.
absl::StatusOr<std::string> ReadToken(const std::string& file);

}  // namespace crossfade
