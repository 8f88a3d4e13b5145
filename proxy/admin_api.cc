#include "proxy/admin_api.h"

#include <string>
#include <utility>

#include "conf/config_loader.h"
#include "fmt/format.h"
#include "protocol/reply.h"
#include "proxy/admin_audit.h"
#include "proxy/admin_backfill.h"
#include "proxy/admin_copy.h"
#include "proxy/admin_events.h"
#include "proxy/admin_fields.h"
#include "proxy/admin_flip.h"
#include "proxy/admin_guard.h"
#include "proxy/admin_preflight.h"
#include "proxy/admin_ramp.h"
#include "proxy/admin_report.h"
#include "proxy/admin_tokens.h"
#include "proxy/admin_verify.h"
#include "proxy/console_page.h"
#include "proxy/metrics.h"
#include "proxy/proxy.h"
#include "proxy/status_json.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

class AdminApi {
 public:
  explicit AdminApi(Proxy* proxy) : proxy_(proxy) {}

  void Handle(const HttpRequest& request, HttpServer::Responder respond) const {
    if (request.path == "/healthz") return respond(JsonResponse({{"status", "ok"}, {"version", CROSSFADE_VERSION}}));
    if (request.path == "/readyz") return respond(Ready());
    if (auto file = GetConsole(request)) return respond(*std::move(file));
    const bool has_token = !proxy_->admin_tokens().empty();
    if (auto refusal = RefuseForeign(request, proxy_->config().admin.address, has_token)) return respond(*refusal);
    if (!Allowed(request)) {
      HttpResponse response = HttpError(401, "a token is needed: Authorization: Bearer TOKEN");
      response.headers["WWW-Authenticate"] = "Bearer";
      return respond(std::move(response));
    }
    respond = Audited(proxy_, request, std::move(respond));
    const std::string call = (request.method == "HEAD" ? "GET" : request.method) + " " + request.path;
    if (call == "GET /api/v1/events") return respond(proxy_->events()->Begin());
    if (call == "GET /api/v1/status") return respond(JsonResponse(StatusJson(*proxy_)));
    if (call == "PATCH /api/v1/routing") return PatchRouting(request, respond);
    if (call == "POST /api/v1/flip") return PostFlip(proxy_, request, respond);
    if (call == "GET /api/v1/flip") return GetFlip(proxy_, request, respond);
    if (call == "POST /api/v1/reload") return respond(PostReload(request));
    if (call == "POST /api/v1/resync") return respond(After(proxy_->Resync()));
    if (call == "GET /api/v1/backfill") return respond(JsonResponse(BackfillJson(*proxy_)));
    if (call == "POST /api/v1/backfill") return respond(PostBackfill(proxy_, request));
    if (call == "PATCH /api/v1/backfill") return respond(PatchBackfill(proxy_, request));
    if (call == "DELETE /api/v1/backfill") return respond(DeleteBackfill(proxy_));
    if (request.path == "/api/v1/verify" && IsVerifyCall(request)) return respond(HandleVerify(proxy_, request));
    if (request.path == "/api/v1/ramp" && IsRampCall(request)) return respond(HandleRamp(proxy_, request));
    if (call == "GET /api/v1/preflight") return GetPreflight(proxy_, respond);
    if (call == "POST /api/v1/copy") return PostCopy(proxy_, request, respond);
    if (call == "GET /api/v1/audit") return respond(GetAudit(*proxy_, request));
    if (call == "GET /api/v1/report") return GetReport(proxy_, request, respond);
    if (call == "GET /api/v1/mismatches") return respond(GetMismatches(request));
    if (call == "GET /metrics") return respond(GetMetrics(*proxy_));
    respond(NoRoute(request));
  }

 private:
  bool Allowed(const HttpRequest& request) const {
    return proxy_->admin_tokens().empty() || FindToken(proxy_->admin_tokens(), request) != nullptr;
  }

  // The primary decides: a dead secondary must not take the proxy out of rotation.
  HttpResponse Ready() const {
    const bool ready = proxy_->lane().primary().up() && !proxy_->stopping();
    const Upstream& upstream = proxy_->lane().primary().upstream();
    Json json = {
        {"ready", ready}, {"primary", SideName(proxy_->migration().primary())}, {"state", upstream.StateWord()}};
    if (!ready) json["error"] = proxy_->stopping() ? "the proxy is stopping" : upstream.last_error();
    return JsonResponse(json, ready ? 200 : 503);
  }

  HttpResponse After(const absl::Status& status) const {
    return status.ok() ? JsonResponse(RoutingJson(*proxy_)) : FromStatus(status);
  }

  void PatchRouting(const HttpRequest& request, const HttpServer::Responder& respond) const {
    Fields fields(request.body);
    RoutingChange change;
    std::optional<bool> snapshot, elsewhere, replace;
    fields.Percent("reads_new", &change.reads_new);
    fields.Percent("compare", &change.compare);
    fields.Word("ack", &change.ack, "\"primary\" or \"both\"");
    fields.Word("secondary", &change.secondary, "\"follow\", \"journal\", \"replica\" or \"off\"");
    fields.Word("split", &change.split, "\"key\" or \"random\"");
    fields.Word("on_miss", &change.on_miss, "\"nil\" or \"primary\"");
    fields.Flag("cold", &change.cold);
    fields.Flag("replace", &replace);
    fields.Flag("snapshot_loaded", &snapshot);
    fields.Flag("snapshot_elsewhere", &elsewhere);
    const bool with_snapshot = snapshot.value_or(false);
    if ((with_snapshot && change.secondary != SecondaryMode::kFollow) ||
        (elsewhere.value_or(false) && !with_snapshot)) {
      fields.Complain("snapshot_loaded belongs to \"secondary\": \"follow\", and snapshot_elsewhere to it");
    }
    const bool alone = !change.reads_new && !change.compare && !change.ack && !change.split && !change.on_miss;
    if (with_snapshot && (!alone || change.cold)) fields.Complain("snapshot_loaded: nothing else is changed with it");
    if (const absl::Status status = fields.Done(); !status.ok()) return respond(FromStatus(status));
    const auto done = [api = *this, respond](const absl::Status& status) { respond(api.After(status)); };
    if (with_snapshot) return proxy_->FollowSnapshot(elsewhere.value_or(false), done);
    proxy_->ChangeInSteps(change, replace.value_or(false), done);
  }

  // Mistakes are told one by one; nothing has changed then.
  HttpResponse PostReload(const HttpRequest& request) const {
    Fields fields(request.body);
    if (const absl::Status status = fields.Done(); !status.ok()) return FromStatus(status);
    const auto changes = proxy_->Reload(WhoAsks(proxy_->admin_tokens(), request));
    if (!changes.ok()) {
      const std::string message(changes.status().message());
      return JsonResponse({{"error", message}, {"reason", message}}, 409);
    }
    Json changed = Json::array(), kept = Json::array();
    for (const ConfigChange& change : *changes) {
      Json json = {{"key", change.key}, {"from", change.from}, {"to", change.to}};
      if (!change.fixed.empty()) json["reason"] = std::string(change.fixed);
      (change.fixed.empty() ? changed : kept).push_back(std::move(json));
    }
    return JsonResponse({{"changed", changed}, {"kept", kept}, {"hash", proxy_->config_hash()}});
  }

  HttpResponse GetMismatches(const HttpRequest& request) const {
    size_t limit = static_cast<size_t>(proxy_->config().limits.mismatches);
    if (const auto found = request.query.find("limit"); found != request.query.end()) {
      const auto number = ParseInt64(found->second);
      if (!number || *number < 0) return HttpError(400, "limit: expected a number");
      limit = static_cast<size_t>(*number);
    }
    return JsonResponse(MismatchesJson(*proxy_, limit));
  }

  static HttpResponse NoRoute(const HttpRequest& request) {
    const struct {
      const char* path;
      const char* methods;
    } routes[] = {{"/", "GET"},
                  {"/api/v1/status", "GET"},
                  {"/api/v1/events", "GET"},
                  {"/api/v1/routing", "PATCH"},
                  {"/api/v1/flip", "GET, POST"},
                  {"/api/v1/reload", "POST"},
                  {"/api/v1/resync", "POST"},
                  {"/api/v1/backfill", "GET, POST, PATCH, DELETE"},
                  {"/api/v1/verify", "GET, POST, DELETE"},
                  {"/api/v1/ramp", "GET, POST, PATCH, DELETE"},
                  {"/api/v1/mismatches", "GET"},
                  {"/api/v1/preflight", "GET"},
                  {"/api/v1/copy", "POST"},
                  {"/api/v1/audit", "GET"},
                  {"/api/v1/report", "GET"},
                  {"/metrics", "GET"}};
    for (const auto& route : routes) {
      if (request.path != route.path) continue;
      HttpResponse response =
          HttpError(405, fmt::format("{} is not allowed here; allowed: {}", request.method, route.methods));
      response.headers["Allow"] = route.methods;
      return response;
    }
    return HttpError(404, fmt::format("nothing at {}; the API begins at /api/v1/status", request.path));
  }

  Proxy* proxy_;
};

}  // namespace

HttpServer::Handler MakeAdminHandler(Proxy* proxy) {
  return [api = AdminApi(proxy)](const HttpRequest& request, HttpServer::Responder respond) {
    api.Handle(request, [respond = std::move(respond)](HttpResponse response) {
      AddSafetyHeaders(&response);
      respond(std::move(response));
    });
  };
}

}  // namespace crossfade
