#include "proxy/admin_flip.h"

#include <functional>
#include <utility>

#include "proxy/admin_fields.h"
#include "proxy/preflight.h"
#include "proxy/proxy.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

constexpr int64_t kPreflightRecentMs = 600'000;       // not asked for again before
constexpr int64_t kFailedPreflightRecentMs = 10'000;  // … one that failed: somebody may be mending it

// Runs the preflight, unless there is no need to.
void WithPreflight(Proxy* proxy, Side to, bool wanted, std::function<void()> then) {
  const Preflight::Report* last = proxy->preflight()->last();
  const bool failed = last != nullptr && last->Count(CheckStatus::kFail) > 0;
  const int64_t age_ms = proxy->preflight_age_ms();
  const bool recent = last != nullptr && age_ms < (failed ? kFailedPreflightRecentMs : kPreflightRecentMs);
  if (!wanted || recent || to == Side::kOld || to == proxy->migration().primary()) return then();
  proxy->preflight()->Run([then = std::move(then)](const Preflight::Report&) { then(); });
}

struct Wish {
  Side to = Side::kNew;
  bool cold = false, force = false, preflight = false;
};

// Empty when the query is understood.
std::string ReadQuery(const HttpRequest& request, Wish* wish) {
  for (const auto& [name, value] : request.query) {
    if (name == "to") {
      if (!ParseName(value, &wish->to)) return "to: expected old or new";
      continue;
    }
    bool* flag = name == "cold" ? &wish->cold : name == "force" ? &wish->force : nullptr;
    if (name == "preflight") flag = &wish->preflight;
    if (flag == nullptr) continue;  // as everywhere: who asks may add what defeats a cache
    if (value != "true" && value != "false") return name + ": expected true or false";
    *flag = value == "true";
  }
  return {};
}

Json FlipJson(const Proxy& proxy, const FlipRequest& flip, const FlipResult& result) {
  Json json = {{"flipped", result.flipped},
               {"primary", SideName(proxy.migration().primary())},
               {"epoch", proxy.migration().epoch},
               {"pause_ms", result.pause_ms}};
  if (flip.dry_run) json.update({{"dry_run", true}, {"would_flip", result.would_flip}});
  if (!result.reason.empty()) {
    json[flip.force && (result.flipped || result.would_flip) ? "lost" : "reason"] = result.reason;
  }
  if (result.flipped || result.would_flip) {
    json["moved"] = {
        {"subscribers", result.subscribers}, {"blocked", result.blocked}, {"watches_broken", result.watching}};
  }
  return json;
}

}  // namespace

Json FlipChecksJson(const std::vector<FlipCheck>& checks, bool cold, bool force) {
  Json list = Json::array();
  for (const FlipCheck& check : checks) {
    list.push_back({{"name", check.name},
                    {"ok", check.ok},
                    {"found", check.found},
                    {"reason", check.reason},
                    {"overridable", check.override_by != FlipCheck::Override::kNothing},
                    {"overridden", !check.ok && !check.Stands(cold, force)},
                    {"waits", check.kind == FlipCheck::Kind::kWait}});
  }
  return list;
}

void GetFlip(Proxy* proxy, const HttpRequest& request, const HttpServer::Responder& respond) {
  Wish wish{.to = proxy->migration().secondary()};
  if (const std::string mistake = ReadQuery(request, &wish); !mistake.empty()) return respond(HttpError(400, mistake));
  WithPreflight(proxy, wish.to, wish.preflight, [proxy, wish, respond] {
    proxy->flip_runner().Look(wish.to, [proxy, wish, respond](const std::vector<FlipCheck>& checks) {
      respond(JsonResponse({{"to", SideName(wish.to)},
                            {"primary", SideName(proxy->migration().primary())},
                            {"ready", ReadyToFlip(checks, wish.cold, wish.force)},
                            {"state", proxy->flip_runner().StateWord()},
                            {"checks", FlipChecksJson(checks, wish.cold, wish.force)}}));
    });
  });
}

void PostFlip(Proxy* proxy, const HttpRequest& request, const HttpServer::Responder& respond) {
  Fields fields(request.body);
  FlipRequest flip;
  std::optional<Side> to;
  std::optional<bool> dry_run, cold, force, preflight;
  fields.Word("to", &to, "\"old\" or \"new\"");
  fields.Milliseconds("max_pause_ms", &flip.max_pause_ms);
  fields.Flag("dry_run", &dry_run);
  fields.Flag("cold", &cold);
  fields.Flag("force", &force);
  fields.Flag("preflight", &preflight);
  if (!to) fields.Complain("to: expected \"old\" or \"new\"");
  if (const absl::Status status = fields.Done(); !status.ok()) return respond(FromStatus(status));
  flip.to = *to;
  flip.dry_run = dry_run.value_or(false);
  flip.cold = cold.value_or(false);
  flip.force = force.value_or(false);
  WithPreflight(proxy, flip.to, preflight.value_or(false), [proxy, flip, respond] {
    proxy->Flip(flip, [proxy, flip, respond](const FlipResult& result) {
      Json json = FlipJson(*proxy, flip, result);
      const int status = result.flipped || result.would_flip ? 200 : 409;
      if (result.flipped) return respond(JsonResponse(json, status));
      proxy->flip_runner().Look(flip.to, [=](const std::vector<FlipCheck>& checks) mutable {
        json["checks"] = FlipChecksJson(checks, flip.cold, flip.force);
        respond(JsonResponse(json, status));
      });
    });
  });
}

}  // namespace crossfade
