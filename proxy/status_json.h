// The proxy's state as the JSON of GET /api/v1/status and of its lists. Reads, never changes.
#pragma once

#include <string>

#include "nlohmann/json.hpp"

namespace crossfade {

class Proxy;

nlohmann::json StatusJson(const Proxy& proxy);
nlohmann::json RoutingJson(const Proxy& proxy);
// What a person must know or do now, a sentence each. Empty when all is well.
nlohmann::json AttentionJson(const Proxy& proxy);
// The newest first, at most `limit`.
nlohmann::json MismatchesJson(const Proxy& proxy, size_t limit);

// Text for people and machines, whatever bytes it has: invalid UTF-8 becomes U+FFFD.
std::string Dump(const nlohmann::json& json);

}  // namespace crossfade
