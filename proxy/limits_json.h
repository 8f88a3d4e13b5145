// Every limit of [limits] as JSON, by its name in the configuration: `limit`, what is used of it now (`used`; for
// limits of one client, of the client that uses most), the most that it was where that is known (`peak`), and how often
// it was `reached`. So that whoever reads the status sees what is about to run full.
#pragma once

#include "nlohmann/json.hpp"

namespace crossfade {

class Proxy;

nlohmann::json LimitsJson(const Proxy& proxy);

}  // namespace crossfade
