// One HTTP request to the admin port of a running proxy, for the command line: connects, asks, reads the answer,
// closes. Blocks the calling thread for at most `timeout_ms` after the name is resolved; nothing of it may run on a
// loop thread. Keeps nothing; follows no redirects; speaks no TLS.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "conf/config.h"

namespace crossfade {

struct AdminReply {
  int status = 0;
  std::string body;
};

// Any HTTP status is a reply. Unavailable: there is no (whole) answer. OutOfRange: it is larger than HttpParser takes.
// The messages are for people, and say what to do. `body` may be empty; `token` too, and is sent as a bearer token
// otherwise (REQUIRES: no control characters in it).
absl::StatusOr<AdminReply> CallAdmin(const Address& address, const std::string& method, const std::string& path,
                                     const std::string& body, const std::string& token, int64_t timeout_ms);

}  // namespace crossfade
