// The HTTP API of the contract (DESIGN.md, section 10) over one Proxy: routes, JSON in and out, and who may ask.
// Every body is JSON, every error {"error": …} with its status. Decides nothing itself.
#pragma once

#include "absl/status/statusor.h"
#include "conf/config.h"
#include "proxy/http_server.h"

namespace crossfade {

class Proxy;

// `proxy` must outlive the server that the handler is given to. Fails when the token file can't be read.
absl::StatusOr<HttpServer::Handler> MakeAdminHandler(Proxy* proxy, const AdminConfig& config);

}  // namespace crossfade
