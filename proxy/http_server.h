// The admin port's HTTP server: accepts connections, bounds what each may send and how slowly, and hands whole requests
// to one handler. Knows nothing of Crossfade. Owns its connections; runs on the loop thread.
//
// Limits: limits.admin_connections at once (beyond: 503 and closed), HttpParser's head and body limits, and
// kHttpRequestTimeoutMs for a whole request to arrive (beyond: 408 and closed; an idle kept-alive connection is closed
// without a word).
//
// A response may be a stream (HttpResponse::stream), which Publish appends to. At most half of limits.admin_connections
// are streams (beyond: 503), so that there is room for plain requests; a peer that reads more slowly than is published
// loses pieces, whole ones, and one that takes nothing for kHttpRequestTimeoutMs is cut off.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "conf/config.h"
#include "proxy/http_message.h"
#include "proxy/io.h"

namespace crossfade {

inline constexpr int64_t kHttpRequestTimeoutMs = 10'000;

class HttpServer {
 public:
  // Answers one request. May be called later, from the loop thread, at most once; calling it after the connection or
  // the server is gone does nothing.
  using Responder = std::function<void(HttpResponse)>;
  using Handler = std::function<void(const HttpRequest&, Responder)>;

  // `io` and `limits` must outlive this object. The handler runs inside the loop's turn and must not block.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Io* io, const Address& address, const LimitsConfig* limits,
                                                           Handler handler);
  virtual ~HttpServer() = default;
  virtual Address address() const = 0;
  virtual size_t connections() const = 0;
  virtual uint64_t refused() const = 0;  // so many were told 503, or nothing

  // Appends to every stream.
  virtual void Publish(std::string_view piece) = 0;
  virtual size_t streams() const = 0;
  virtual uint64_t pieces_lost() const = 0;  // that a stream had no room for

 protected:
  HttpServer() = default;
};

}  // namespace crossfade
