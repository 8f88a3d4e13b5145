#include "proxy/admin_ramp.h"

#include <optional>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "proxy/admin_fields.h"
#include "proxy/proxy.h"
#include "proxy/ramp.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kShortestStepMs = 100, kLongestStepMs = 90 * 24 * kHourMs;
constexpr int64_t kMostSamples = 1'000'000'000;
constexpr double kMostP99Ratio = 1000;
constexpr int64_t kUsualStepMs = 600'000;

void TakeLimits(Fields* fields, RampOverrides* limits) {
  fields->Real("max_mismatch_rate", 0, 1, &limits->max_mismatch_rate);
  fields->Real("max_error_rate", 0, 1, &limits->max_error_rate);
  fields->Real("max_p99_ratio", 1, kMostP99Ratio, &limits->max_p99_ratio);
  fields->Number("latency_floor_ms", 0, kHourMs, &limits->latency_floor_ms);
  fields->Number("max_lag_ms", 1, 24 * kHourMs, &limits->max_lag_ms);
  fields->Number("max_dirty_keys", 0, kMostSamples, &limits->max_dirty_keys);
  fields->Number("max_down_ms", 1, 24 * kHourMs, &limits->max_down_ms);
  fields->Number("min_samples", 1, kMostSamples, &limits->min_samples);
}

HttpResponse StartRamp(Proxy* proxy, const HttpRequest& request) {
  Fields fields(request.body);
  RampOptions options;
  options.steps = {1, 5, 25, 50, 100};
  std::optional<int64_t> every_ms;
  fields.Numbers("steps", &options.steps);
  fields.Number("every_ms", kShortestStepMs, kLongestStepMs, &every_ms);
  fields.Percent("compare", &options.compare);
  TakeLimits(&fields, &options.limits);
  options.every_ms = every_ms.value_or(kUsualStepMs);
  if (const std::string why = WhyNotSteps(options.steps); !why.empty()) fields.Complain("steps: " + why);
  if (const absl::Status status = fields.Done(); !status.ok()) return FromStatus(status);
  const absl::Status started = proxy->ramp()->Start(options);
  return started.ok() ? JsonResponse(RampJson(*proxy, true), 202) : FromStatus(started);
}

HttpResponse Patch(Proxy* proxy, const HttpRequest& request) {
  Fields fields(request.body);
  std::optional<bool> paused;
  fields.Flag("paused", &paused);
  if (!paused) fields.Complain("paused: expected true or false");
  if (const absl::Status status = fields.Done(); !status.ok()) return FromStatus(status);
  const absl::Status changed = proxy->ramp()->SetPaused(*paused);
  return changed.ok() ? JsonResponse(RampJson(*proxy, true)) : FromStatus(changed);
}

Json GuardrailsJson(const Ramp& ramp) {
  Json list = Json::array();
  for (const Guardrail& rail : ramp.guardrails()) {
    Json json = {{"name", rail.name},
                 {"value", rail.value},
                 {"limit", rail.limit},
                 {"samples", rail.samples},
                 {"state", Name(rail.state)}};
    if (!rail.text.empty()) json["text"] = rail.text;
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace

bool IsRampCall(const HttpRequest& request) {
  for (const char* method : {"GET", "HEAD", "POST", "PATCH", "DELETE"}) {
    if (request.method == method) return true;
  }
  return false;
}

HttpResponse HandleRamp(Proxy* proxy, const HttpRequest& request) {
  if (request.method == "POST") return StartRamp(proxy, request);
  if (request.method == "PATCH") return Patch(proxy, request);
  if (request.method == "DELETE") {
    if (const absl::Status aborted = proxy->ramp()->Abort(); !aborted.ok()) return FromStatus(aborted);
  }
  return JsonResponse(RampJson(*proxy, true));
}

Json RampJson(const Proxy& proxy, bool with_decisions) {
  const Ramp& ramp = *proxy.ramp();
  const auto& record = ramp.record();
  Json json = {{"state", record ? Name(record->state) : "idle"},
               {"steps", record ? record->options.steps : std::vector<double>()},
               {"every_ms", record ? record->options.every_ms : 0},
               {"step", record ? record->step + 1 : 0},
               {"reads_new", proxy.migration().routing.reads_new},
               {"compare", proxy.migration().routing.compare},
               {"step_since_ms", record ? record->step_since_ms : 0},
               {"next_step_in_ms", ramp.step_left_ms()},
               {"started_ms", record ? record->started_ms : 0},
               {"ended_ms", record ? record->ended_ms : 0},
               {"reason", record ? record->reason : ""},
               {"guardrails", GuardrailsJson(ramp)}};
  if (!with_decisions) return json;
  json["decisions"] = Json::array();
  if (record) {
    for (auto entry = record->entries.rbegin(); entry != record->entries.rend(); ++entry) {
      json["decisions"].push_back(EntryJson(*entry));
    }
  }
  return json;
}

void RampAttention(const Proxy& proxy, Json* list) {
  const auto& record = proxy.ramp()->record();
  if (!record) return;
  if (record->state == RampState::kTripped) {
    list->push_back(fmt::format("the ramp tripped at step {} ({:g} %), and reads went back to old: {}",
                                record->step + 1, record->percent(), record->reason));
  } else if (record->state == RampState::kPaused) {
    list->push_back(fmt::format("the ramp is paused: {}; go on with: crossfade ramp resume", record->reason));
  } else if (record->state == RampState::kHolding) {
    list->push_back(fmt::format("the ramp holds at {:g} %: {}", record->percent(), record->reason));
  }
}

}  // namespace crossfade
