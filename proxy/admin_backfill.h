// The admin API's part for backfills: /api/v1/backfill in JSON, and what the status says of them.
#pragma once

#include "nlohmann/json.hpp"
#include "proxy/http_message.h"

namespace crossfade {

class Proxy;

// How the newest backfill (or a sweep that began by itself) stands.
nlohmann::json BackfillJson(const Proxy& proxy);

// POST starts one, PATCH holds it, lets it go on, or changes its rates, DELETE ends it.
HttpResponse PostBackfill(Proxy* proxy, const HttpRequest& request);
HttpResponse PatchBackfill(Proxy* proxy, const HttpRequest& request);
HttpResponse DeleteBackfill(Proxy* proxy);

}  // namespace crossfade
