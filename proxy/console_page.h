// The console as a browser loads it: GET of `/` and of the files beside it. They hold no data, so no token is asked
// for; what they show they ask the API for.
#pragma once

#include <optional>

#include "proxy/http_message.h"

namespace crossfade {

// Nothing: it is no GET of one of the console's files.
std::optional<HttpResponse> GetConsole(const HttpRequest& request);

}  // namespace crossfade
