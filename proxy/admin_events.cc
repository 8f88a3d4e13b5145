#include "proxy/admin_events.h"

#include <string>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "proxy/status_json.h"

namespace crossfade {

namespace {

// The HTML standard, section 9.2.6. Dump gives one line, with its end.
std::string Event(uint64_t id, std::string_view event, const nlohmann::json& data) {
  return fmt::format("id: {}\nevent: {}\ndata: {}\n", id, event, Dump(data));
}

}  // namespace

AdminEvents::AdminEvents(Clock* clock, const Proxy* proxy, HttpServer* http) : proxy_(proxy), http_(http) {
  timer_ = clock->MakeTimer([this] { Tick(); });
}

HttpResponse AdminEvents::Begin() {
  if (http_->streams() == 0) timer_->Start(kStatusEventMs, kStatusEventMs);
  HttpResponse response;
  response.stream = true;
  response.content_type = "text/event-stream";
  response.headers["X-Accel-Buffering"] = "no";  // nginx would keep events back
  response.body = Event(last_id_, "status", StatusJson(*proxy_));
  return response;
}

void AdminEvents::Publish(std::string_view event, const nlohmann::json& data) {
  if (http_->streams() > 0) http_->Publish(Event(++last_id_, event, data));
}

void AdminEvents::Tick() {
  if (http_->streams() == 0) return timer_->Stop();
  Publish("status", StatusJson(*proxy_));
}

}  // namespace crossfade
