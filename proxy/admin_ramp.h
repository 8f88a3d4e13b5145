// The ramp in the admin API (/api/v1/ramp), and what the status says of it.
#pragma once

#include "nlohmann/json_fwd.hpp"
#include "proxy/http_message.h"

namespace crossfade {

class Proxy;

// GET, POST, PATCH or DELETE? REQUIRES: its path is /api/v1/ramp.
bool IsRampCall(const HttpRequest& request);
// GET: how it stands, with its decisions, newest first. POST {"steps", "every_ms", "compare", and guardrails by the
// names of [ramp], durations with _ms} starts one: 202. PATCH {"paused"}. DELETE aborts: reads go back to 0. 409 with
// the reason when refused. REQUIRES: IsRampCall.
HttpResponse HandleRamp(Proxy* proxy, const HttpRequest& request);

// How it stands; the status does without the decisions.
nlohmann::json RampJson(const Proxy& proxy, bool with_decisions);
// Adds to the array `list` what a person must know of it.
void RampAttention(const Proxy& proxy, nlohmann::json* list);

}  // namespace crossfade
