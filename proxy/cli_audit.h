// The audit trail as text for people. Pure.
#pragma once

#include <string>

#include "nlohmann/json_fwd.hpp"

namespace crossfade {

// One line without its end: "2026-11-21T23:45:10Z  token ci@127.0.0.1        reads_new: 0 → 25".
std::string RenderAuditEntry(const nlohmann::json& entry);

}  // namespace crossfade
