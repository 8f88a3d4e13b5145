// The HTTP API of the contract (DESIGN.md, section 10) over one Proxy: routes, JSON in and out, and who may ask.
// Every body is JSON, every error {"error": …} with its status. Decides nothing itself.
#pragma once

#include "proxy/http_server.h"

namespace crossfade {

class Proxy;

// `proxy` must outlive the server that the handler is given to.
HttpServer::Handler MakeAdminHandler(Proxy* proxy);

}  // namespace crossfade
