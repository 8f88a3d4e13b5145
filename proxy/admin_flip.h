// Flips in the admin API: POST /api/v1/flip, and GET /api/v1/flip, which says whether one would happen now and what
// stands in its way, without holding anything up. `proxy` must outlive the server.
#pragma once

#include "nlohmann/json.hpp"
#include "proxy/http_server.h"
#include "routing/flip_checks.h"

namespace crossfade {

class Proxy;

// [{"name", "ok", "found", "reason", "overridable", "overridden", "waits"}, …]
nlohmann::json FlipChecksJson(const std::vector<FlipCheck>& checks, bool cold, bool force);

// ?to=old|new (else: who isn't primary), cold=true, force=true, preflight=true: run it first unless its last result is
// recent → {"to", "ready", "state", "primary", "checks": […]}.
void GetFlip(Proxy* proxy, const HttpRequest& request, const HttpServer::Responder& respond);

// {"to", "max_pause_ms", "dry_run", "cold", "force", "preflight"}; a dry run's answer and a refusal have the checks,
// too.
void PostFlip(Proxy* proxy, const HttpRequest& request, const HttpServer::Responder& respond);

}  // namespace crossfade
