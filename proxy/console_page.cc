#include "proxy/console_page.h"

#include <string>

#include "proxy/console_assets.h"

namespace crossfade {

namespace {

// Nothing from elsewhere, nothing inline. Chart.js sets its canvases' styles by script, which is no inline style.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace

std::optional<HttpResponse> GetConsole(const HttpRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") return std::nullopt;
  for (const ConsoleAsset& asset : ConsoleAssets()) {
    if (asset.path != request.path) continue;
    HttpResponse response;
    response.content_type = std::string(asset.content_type);
    response.headers["ETag"] = std::string(asset.etag);
    response.headers["Cache-Control"] = "no-cache";  // kept, but asked about each time: a new proxy has a new console
    response.headers["Content-Security-Policy"] = kPolicy;
    const auto known = request.headers.find("if-none-match");
    if (known != request.headers.end() && known->second == asset.etag) {
      response.status = 304;
    } else {
      response.body = std::string(asset.body);
    }
    return response;
  }
  return std::nullopt;
}

}  // namespace crossfade
