// POST /api/v1/copy: copies functions or users from the primary to the secondary, and says what became of each.
#pragma once

#include "proxy/http_server.h"

namespace crossfade {

class Proxy;

// {"what": "functions"} or {"what": "users"} → 200 {"what", "from", "to", "copied": […], "equal": […],
// "only_on_secondary": […], "skipped": [{"name", "why"}], "refused": [{"name", "why"}], "note"}; 400 a bad body; 409 a
// store doesn't allow it; 503 one can't be reached. `proxy` must outlive the server.
void PostCopy(Proxy* proxy, const HttpRequest& request, const HttpServer::Responder& respond);

}  // namespace crossfade
