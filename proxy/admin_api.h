// The HTTP API of the contract (DESIGN.md, section 10) over one Proxy: routes, JSON in and out, and who may ask.
// Every body is JSON, every error {"error": …} with its status. Decides nothing itself.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "conf/config.h"
#include "proxy/http_server.h"

namespace crossfade {

class Proxy;

// `proxy` must outlive the server that the handler is given to.
HttpServer::Handler MakeAdminHandler(Proxy* proxy);

// The token that the API asks for; empty: none. Fails when the file can't be read, or when there must be one.
absl::StatusOr<std::string> ReadAdminToken(const AdminConfig& config);

}  // namespace crossfade
