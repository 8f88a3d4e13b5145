#include "proxy/admin_api.h"

#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "conf/config_loader.h"
#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/secret.h"
#include "proxy/admin_backfill.h"
#include "proxy/admin_copy.h"
#include "proxy/admin_events.h"
#include "proxy/admin_fields.h"
#include "proxy/admin_guard.h"
#include "proxy/admin_preflight.h"
#include "proxy/admin_ramp.h"
#include "proxy/admin_report.h"
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

  void Handle(const HttpRequest& request, const HttpServer::Responder& respond) const {
    if (request.path == "/healthz") return respond(JsonResponse({{"status", "ok"}, {"version", CROSSFADE_VERSION}}));
    if (request.path == "/readyz") return respond(Ready());
    if (auto file = GetConsole(request)) return respond(*std::move(file));
    const bool has_token = !proxy_->admin_token().empty();
    if (auto refusal = RefuseForeign(request, proxy_->config().admin.address, has_token)) return respond(*refusal);
    if (!Allowed(request)) {
      HttpResponse response = HttpError(401, "a token is needed: Authorization: Bearer TOKEN");
      response.headers["WWW-Authenticate"] = "Bearer";
      return respond(std::move(response));
    }
    const std::string call = (request.method == "HEAD" ? "GET" : request.method) + " " + request.path;
    if (call == "GET /api/v1/events") return respond(proxy_->events()->Begin());
    if (call == "GET /api/v1/status") return respond(JsonResponse(StatusJson(*proxy_)));
    if (call == "PATCH /api/v1/routing") return PatchRouting(request, respond);
    if (call == "POST /api/v1/flip") return PostFlip(request, respond);
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
    if (call == "GET /api/v1/report") return GetReport(proxy_, request, respond);
    if (call == "GET /api/v1/mismatches") return respond(GetMismatches(request));
    if (call == "GET /metrics") return respond(GetMetrics(*proxy_));
    respond(NoRoute(request));
  }

 private:
  bool Allowed(const HttpRequest& request) const {
    if (proxy_->admin_token().empty()) return true;
    const auto found = request.headers.find("authorization");
    return found != request.headers.end() && SecretsEqual(found->second, "Bearer " + proxy_->admin_token());
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

  void PostFlip(const HttpRequest& request, const HttpServer::Responder& respond) const {
    Fields fields(request.body);
    FlipRequest flip;
    std::optional<Side> to;
    std::optional<bool> dry_run, cold, force;
    fields.Word("to", &to, "\"old\" or \"new\"");
    fields.Milliseconds("max_pause_ms", &flip.max_pause_ms);
    fields.Flag("dry_run", &dry_run);
    fields.Flag("cold", &cold);
    fields.Flag("force", &force);
    if (!to) fields.Complain("to: expected \"old\" or \"new\"");
    if (const absl::Status status = fields.Done(); !status.ok()) return respond(FromStatus(status));
    flip.to = *to;
    flip.dry_run = dry_run.value_or(false);
    flip.cold = cold.value_or(false);
    flip.force = force.value_or(false);
    proxy_->Flip(flip, [respond, flip, proxy = proxy_](const FlipResult& result) {
      Json json = {{"flipped", result.flipped},
                   {"primary", SideName(proxy->migration().primary())},
                   {"epoch", proxy->migration().epoch},
                   {"pause_ms", result.pause_ms}};
      if (flip.dry_run) json.update({{"dry_run", true}, {"would_flip", result.would_flip}});
      if (!result.reason.empty())
        json[flip.force && (result.flipped || result.would_flip) ? "lost" : "reason"] = result.reason;
      respond(JsonResponse(json, result.flipped || result.would_flip ? 200 : 409));
    });
  }

  // Mistakes are told one by one; nothing has changed then.
  HttpResponse PostReload(const HttpRequest& request) const {
    Fields fields(request.body);
    if (const absl::Status status = fields.Done(); !status.ok()) return FromStatus(status);
    const auto changes = proxy_->Reload();
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
                  {"/api/v1/flip", "POST"},
                  {"/api/v1/reload", "POST"},
                  {"/api/v1/resync", "POST"},
                  {"/api/v1/backfill", "GET, POST, PATCH, DELETE"},
                  {"/api/v1/verify", "GET, POST, DELETE"},
                  {"/api/v1/ramp", "GET, POST, PATCH, DELETE"},
                  {"/api/v1/mismatches", "GET"},
                  {"/api/v1/preflight", "GET"},
                  {"/api/v1/report", "GET"},
                  {"/api/v1/copy", "POST"},
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

absl::StatusOr<std::string> ReadAdminToken(const AdminConfig& config) {
  std::string token;
  if (!config.token_file.empty()) {
    std::ifstream file(config.token_file);
    if (!file || !(file >> token)) {
      return absl::FailedPreconditionError(
          fmt::format("can't read a token from {} (admin.token_file)", config.token_file));
    }
  } else if (!IsLoopback(config.address.host)) {
    return absl::FailedPreconditionError("an admin address that is not loopback needs admin.token_file");
  }
  return token;
}

HttpServer::Handler MakeAdminHandler(Proxy* proxy) {
  return [api = AdminApi(proxy)](const HttpRequest& request, HttpServer::Responder respond) {
    api.Handle(request, [respond = std::move(respond)](HttpResponse response) {
      AddSafetyHeaders(&response);
      respond(std::move(response));
    });
  };
}

}  // namespace crossfade
