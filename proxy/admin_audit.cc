#include "proxy/admin_audit.h"

#include <utility>
#include <vector>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "proxy/admin_fields.h"
#include "proxy/admin_tokens.h"
#include "proxy/proxy.h"
#include "proxy/status_json.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

constexpr char kApi[] = "/api/v1/";

// "25" for a number, a word as it is.
std::string TextOf(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{:g}", value.get<double>());
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Field(const Json& json, const char* name) {
  const auto found = json.is_object() ? json.find(name) : json.end();
  return found == json.end() || found->is_null() ? "" : TextOf(*found);
}

bool Flag(const Json& json, const char* name) {
  return Field(json, name) == "true";
}

// What was asked for and what came of it.
struct Asked {
  std::string who;
  std::string method, what;  // "PATCH", "routing"
  Json body;                 // of the request
  Json before;               // the routing
  int status = 0;            // of the answer
  Json answer;

  bool done() const { return status < 300; }
  AuditEntry Entry(std::string name) const {
    std::string why = Field(answer, "reason");
    if (why.empty()) why = Field(answer, "error");
    return {.who = who,
            .what = std::move(name),
            .outcome = done()         ? "done"
                       : status < 500 ? "refused"
                                      : "failed",
            .reason = std::move(why)};
  }
};

// One entry for each setting that has changed, or was to change.
std::vector<AuditEntry> RoutingEntries(const Asked& asked, const Json& after) {
  std::vector<AuditEntry> entries;
  for (const auto& [name, wanted] : asked.body.items()) {
    const auto was = asked.before.find(name);
    if (was == asked.before.end()) continue;
    AuditEntry entry = asked.Entry(name);
    entry.from = TextOf(*was);
    entry.to = asked.done() ? Field(after, name.c_str()) : TextOf(wanted);
    if (asked.done() && name == "secondary" && Flag(asked.body, "snapshot_loaded")) {
      entry.reason = "it holds a snapshot that was taken in journal mode";
    }
    if (entry.from != entry.to) entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<AuditEntry> FlipEntries(const Asked& asked) {
  if (Flag(asked.body, "dry_run")) return {};
  AuditEntry entry = asked.Entry("flip");
  entry.from = Field(asked.before, "primary");
  entry.to = Field(asked.body, "to");
  for (const char* how : {"force", "cold"}) {
    if (Flag(asked.body, how))
      entry.reason = fmt::format("{}{}{}", how, entry.reason.empty() ? "" : "; ", entry.reason);
  }
  if (asked.done()) {
    entry.reason += fmt::format("{}requests were held for {} ms", entry.reason.empty() ? "" : "; ",
                                Field(asked.answer, "pause_ms"));
    const Json moved = asked.answer.value("moved", Json::object());
    for (const auto& [what, count] : moved.items()) {
      if (count != 0) entry.reason += fmt::format(", {} {}", TextOf(count), what);
    }
    if (const std::string lost = Field(asked.answer, "lost"); !lost.empty()) entry.reason += "; lost: " + lost;
  }
  return {std::move(entry)};
}

// A job of the proxy (backfill, verify, ramp), or what happens at once (resync, copy). What it was told beside is
// named.
std::vector<AuditEntry> JobEntries(const Asked& asked) {
  AuditEntry entry = asked.Entry(asked.what);
  Json details = asked.body;
  const bool job = asked.what != "resync" && asked.what != "copy" && asked.what != "snapshot";
  if (asked.method == "DELETE") {
    entry.to = "cancel";
  } else if (asked.method == "PATCH" && details.contains("paused")) {
    entry.to = Flag(details, "paused") ? "pause" : "resume";
    details.erase("paused");
  } else if (asked.method == "POST") {
    entry.to = asked.what == "copy" ? Field(details, "what") : job ? "start" : "";
    details.erase("what");
  } else {
    entry.to = "change";
  }
  if (!details.empty()) {
    const std::string text = details.dump(-1, ' ', false, Json::error_handler_t::replace);
    entry.reason = entry.reason.empty() ? text : fmt::format("{}; asked for {}", entry.reason, text);
  }
  return {std::move(entry)};
}

std::vector<AuditEntry> EntriesOf(const Proxy& proxy, const Asked& asked) {
  // Not understood: nobody knows what it holds. And what does not exist can't be asked for.
  if (asked.status == 400 || asked.status == 401 || asked.status == 404 || asked.status == 405 || asked.status == 501)
    return {};
  if (asked.what == "reload") return {};  // Proxy::Reload does so, for SIGHUP as well
  if (asked.what == "routing") return RoutingEntries(asked, RoutingJson(proxy));
  if (asked.what == "flip") return FlipEntries(asked);
  return JobEntries(asked);
}

}  // namespace

HttpServer::Responder Audited(Proxy* proxy, const HttpRequest& request, HttpServer::Responder respond) {
  if (request.method == "GET" || !request.path.starts_with(kApi)) return respond;
  Asked asked;
  asked.who = WhoAsks(proxy->admin_tokens(), request);
  asked.method = request.method;
  asked.what = request.path.substr(sizeof(kApi) - 1);
  asked.body = request.body.empty() ? Json::object() : Json::parse(request.body, nullptr, false);
  if (!asked.body.is_object()) asked.body = Json::object();
  asked.before = RoutingJson(*proxy);
  return [proxy, asked = std::move(asked), respond = std::move(respond)](HttpResponse response) mutable {
    asked.status = response.status;
    asked.answer = Json::parse(response.body, nullptr, false);
    for (AuditEntry& entry : EntriesOf(*proxy, asked)) proxy->audit().Record(std::move(entry));
    respond(std::move(response));
  };
}

HttpResponse GetAudit(const Proxy& proxy, const HttpRequest& request) {
  size_t limit = 100;
  if (const auto found = request.query.find("limit"); found != request.query.end()) {
    const auto number = ParseInt64(found->second);
    if (!number || *number < 0) return HttpError(400, "limit: expected a number");
    limit = static_cast<size_t>(*number);
  }
  Json list = Json::array();
  const std::deque<AuditEntry>& entries = proxy.audit().entries();
  for (auto entry = entries.rbegin(); entry != entries.rend() && list.size() < limit; ++entry) {
    list.push_back(AuditEntryJson(*entry));
  }
  return JsonResponse({{"entries", std::move(list)},
                       {"kept", entries.size()},
                       {"unsaved", proxy.audit().unsaved()},
                       {"trouble", proxy.audit().trouble()}});
}

}  // namespace crossfade
