#include "proxy/admin_guard.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "conf/config_values.h"

namespace crossfade {

namespace {

// Nothing at all; a page without scripts, such as the report, may have styles in itself.
constexpr char kDataPolicy[] = "default-src 'none'; frame-ancestors 'none'";
constexpr char kPagePolicy[] =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

std::string_view Header(const HttpRequest& request, const char* name) {
  const auto found = request.headers.find(name);
  return found == request.headers.end() ? std::string_view() : std::string_view(found->second);
}

// Host as RFC 9110, section 7.2, has it, without the port: a tunnel's end has another one.
std::string HostName(std::string_view host) {
  const size_t end = host.substr(0, 1) == "[" ? host.find(']') : host.find(':');
  host = host.substr(0, end);
  if (host.substr(0, 1) == "[") host.remove_prefix(1);
  std::string name(host);
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return name;
}

bool IsMine(const std::string& name, const Address& admin) {
  return name == "localhost" || name == admin.host || IsLoopback(name);
}

bool SameOrigin(std::string_view origin, std::string_view host) {
  for (std::string_view scheme : {"http://", "https://"}) {  // the second: TLS ends before it comes here
    if (origin.substr(0, scheme.size()) == scheme && origin.substr(scheme.size()) == host) return !host.empty();
  }
  return false;
}

bool IsJson(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return type == "application/json";
}

}  // namespace

std::optional<HttpResponse> RefuseForeign(const HttpRequest& request, const Address& admin, bool has_token) {
  const std::string_view host = Header(request, "host"), origin = Header(request, "origin");
  const std::string_view site = Header(request, "sec-fetch-site");  // scripts can't set it
  if (!has_token && !host.empty() && !IsMine(HostName(host), admin)) {
    return HttpError(403,
                     "without a token only requests to a loopback name (localhost, 127.0.0.1) are answered, and Host "
                     "names another one: ask for that, or set admin.token_file");
  }
  const bool foreign = site.empty() ? !origin.empty() && !SameOrigin(origin, host)
                                    : site != "same-origin" && site != "none";  // none: typed, or a bookmark
  if (foreign) return HttpError(403, "requests from another site's pages are refused");
  // What a form could send is no JSON.
  const bool from_page = !site.empty() || !origin.empty();
  if (from_page && !request.body.empty() && !IsJson(Header(request, "content-type"))) {
    return HttpError(415, "a page's request needs the content-type application/json");
  }
  return std::nullopt;
}

void AddSafetyHeaders(HttpResponse* response) {
  const bool page = std::string_view(response->content_type).substr(0, 9) == "text/html";
  auto& headers = response->headers;
  headers.try_emplace("Cache-Control", "no-store");
  headers.try_emplace("Content-Security-Policy", page ? kPagePolicy : kDataPolicy);
  headers.try_emplace("Cross-Origin-Resource-Policy", "same-origin");
  headers.try_emplace("Referrer-Policy", "no-referrer");
  headers.try_emplace("X-Content-Type-Options", "nosniff");
  headers.try_emplace("X-Frame-Options", "DENY");
}

}  // namespace crossfade
