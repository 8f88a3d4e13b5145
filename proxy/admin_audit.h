// The audit trail in the admin API: GET /api/v1/audit, and the entries for what operators ask for. Whatever is asked
// with POST, PATCH, PUT or DELETE by somebody who may, and was understood, is recorded before its answer goes out: what
// came of it, or that it was refused and why. Asking, dry runs, and what changes nothing are not.
#pragma once

#include <string>

#include "proxy/http_server.h"

namespace crossfade {

class Proxy;

// {"entries": [{"at_ms", "who", "what", "from", "to", "outcome", "reason"}, …], "trouble": "…", "unsaved": n}, newest
// first; ?limit=N.
HttpResponse GetAudit(const Proxy& proxy, const HttpRequest& request);

// The responder to give to whoever carries out the request: records, then responds. `proxy` must outlive the server.
// REQUIRES: the request is allowed.
HttpServer::Responder Audited(Proxy* proxy, const HttpRequest& request, HttpServer::Responder respond);

}  // namespace crossfade
