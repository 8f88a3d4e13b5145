// GET /api/v1/events: what happens, as server-sent events. Once a second `event: status` with what GET /api/v1/status
// would answer, and whatever others publish. Every event has the next `id`, so that who misses one (a slow reader loses
// whole events, proxy/http_server) sees the gap and asks for what it needs. Costs nothing while nobody listens.
//
// Owned by the Proxy; on the loop thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "nlohmann/json_fwd.hpp"
#include "proxy/http_server.h"

namespace crossfade {

class Proxy;

inline constexpr int64_t kStatusEventMs = 1000;

class AdminEvents {
 public:
  // All must outlive this object.
  AdminEvents(Clock* clock, const Proxy* proxy, HttpServer* http);

  // The answer to who asks for the events: a stream that begins with the status.
  HttpResponse Begin();
  // To everybody who listens. `event` is one word.
  void Publish(std::string_view event, const nlohmann::json& data);

 private:
  void Tick();

  const Proxy* const proxy_;
  HttpServer* const http_;
  uint64_t last_id_ = 0;
  std::unique_ptr<Timer> timer_;
};

}  // namespace crossfade
