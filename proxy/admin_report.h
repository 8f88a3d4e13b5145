// The report in the admin API: GET /api/v1/report, as JSON, HTML or Markdown. `?format=json|html|markdown`;
// `values=true`: with the values of mismatches where they are kept.
#pragma once

#include "proxy/http_message.h"
#include "proxy/http_server.h"

namespace crossfade {

class Proxy;

// Asks both stores for their memory first; `respond` is called within some three seconds, not inside.
void GetReport(Proxy* proxy, const HttpRequest& request, const HttpServer::Responder& respond);

}  // namespace crossfade
