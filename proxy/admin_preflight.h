// GET /api/v1/preflight, and the JSON of a preflight's report for it and for the command line.
#pragma once

#include "nlohmann/json.hpp"
#include "proxy/http_server.h"
#include "proxy/preflight.h"

namespace crossfade {

class Proxy;

// {"verdict": "pass" | "warn" | "fail", "unreachable": …, "passed": n, "warnings": n, "failed": n,
//  "checks": [{"name", "status", "found", "remedy"}, …]}
nlohmann::json PreflightJson(const Preflight::Report& report);

// Answers once the stores have: 200, whatever was found. `proxy` must outlive the server.
void GetPreflight(Proxy* proxy, const HttpServer::Responder& respond);

}  // namespace crossfade
