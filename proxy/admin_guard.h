// Which requests to the admin port are refused for where they come from, before anybody looks at what they ask for; and
// the headers that tell a browser what an answer may do. Pure functions: who has the token is asked elsewhere
// (proxy/admin_api).
//
// A page of another site that a browser on this machine has open can send requests here. It can hide neither where it
// comes from (Sec-Fetch-Site, Origin) nor, if it has had its own name changed to this address (DNS rebinding), that
// name (Host). Command lines and libraries send neither of the first two, and pass.
#pragma once

#include <optional>

#include "conf/config.h"
#include "proxy/http_message.h"

namespace crossfade {

// The refusal, or nothing. `admin`: where the port is configured to listen. With a token the name in Host is free, for
// a reverse proxy's sake: a page under another name has no token.
std::optional<HttpResponse> RefuseForeign(const HttpRequest& request, const Address& admin, bool has_token);

// Nothing is guessed, framed, kept or told to others, and a page runs and loads only what its own policy allows. Leaves
// alone what the response says already.
void AddSafetyHeaders(HttpResponse* response);

}  // namespace crossfade
