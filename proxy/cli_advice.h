// What an operator does next, and how to go back, told from the status: for `crossfade status` and `watch`. Pure. Only
// ever suggests what is safe in the state that it sees; what is not known is not suggested.
#pragma once

#include <string>

#include "nlohmann/json_fwd.hpp"

namespace crossfade {

struct Advice {
  std::string next;  // the next safe step; empty: none is known
  std::string back;  // how to undo the last one; empty: there is nothing to undo
};

Advice AdviseFrom(const nlohmann::json& status);

}  // namespace crossfade
