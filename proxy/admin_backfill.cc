#include "proxy/admin_backfill.h"

#include <optional>
#include <string>

#include "proxy/admin_fields.h"
#include "proxy/proxy.h"
#include "proxy/server_info.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

constexpr int64_t kMostKeysPerSecond = 10'000'000;
constexpr int64_t kMostBytesPerSecond = int64_t{1} << 40;
constexpr size_t kMostFailures = 100;

Json ScopeJson(const SweepScope& scope) {
  Json json = Json::object();
  if (!scope.match.empty()) json["match"] = scope.match;
  if (!scope.type.empty()) json["type"] = scope.type;
  if (scope.db >= 0) json["db"] = scope.db;
  return json;
}

void AddPlace(const SweepPlace& place, Json* json) {
  json->update({{"phase", place.secondary_side ? "tidying" : "copying"},
                {"db", place.db},
                {"keys_done", place.keys_done},
                {"keys_total", place.keys_total},
                {"keys_rechecked", place.keys_rechecked},
                {"keys_failed", place.keys_failed},
                {"bytes", place.bytes}});
}

// Keys that have been copied since are not told.
Json FailuresJson(const Proxy& proxy) {
  Json list = Json::array();
  for (const Sweep::Failure& failure : proxy.sweep().failures()) {
    if (list.size() >= kMostFailures) break;
    if (!proxy.dirty().Remembers(failure.key.db, failure.key.name)) continue;
    list.push_back({{"db", failure.key.db}, {"key", failure.key.name}, {"reason", failure.why}});
  }
  return list;
}

void TakeRates(Fields* fields, std::optional<int64_t>* keys_per_second, std::optional<int64_t>* bytes_per_second) {
  fields->Number("keys_per_second", 0, kMostKeysPerSecond, keys_per_second);
  fields->Number("bytes_per_second", 0, kMostBytesPerSecond, bytes_per_second);
}

}  // namespace

Json BackfillJson(const Proxy& proxy) {
  const Sweep& sweep = proxy.sweep();
  const auto& record = proxy.backfill().record();
  Json json;
  if (record && (proxy.backfill().pending() || sweep.runs() == 0)) {
    // Of the last run of the proxy.
    json = {{"state", Sweep::Name(record->state)},
            {"why", proxy.backfill().pending() ? "it goes on once both stores can be reached" : record->why},
            {"scope", ScopeJson(record->options.scope)}};
    AddPlace(record->place, &json);
  } else {
    json = {{"state", Sweep::Name(sweep.state())}, {"why", sweep.why()}, {"scope", ScopeJson(sweep.scope())}};
    SweepPlace place = sweep.place();
    place.keys_done = sweep.keys_done();
    place.keys_rechecked = sweep.keys_rechecked();
    place.keys_failed = sweep.keys_failed();
    place.bytes = sweep.bytes();
    AddPlace(place, &json);
    json["failed"] = FailuresJson(proxy);
    json["percent"] = sweep.Percent();
    if (sweep.running()) {
      json["keys_per_second"] = sweep.keys_per_second();
      if (sweep.SecondsLeft() >= 0) json["seconds_left"] = sweep.SecondsLeft();
      json["pace"] = {{"share", sweep.pace().share()},
                      {"added_latency_us", sweep.pace().added_latency_us()},
                      {"slowed", sweep.pace().slowed()}};
    }
  }
  json["resumed"] = record && record->resumed > 0;
  if (record && record->started_ms > 0) json["started_ms"] = record->started_ms;
  if (record && record->ended_ms > 0) json["ended_ms"] = record->ended_ms;
  return json;
}

HttpResponse PostBackfill(Proxy* proxy, const HttpRequest& request) {
  Fields fields(request.body);
  BackfillOptions options;
  std::optional<int64_t> db, keys_per_second, bytes_per_second;
  fields.Text("match", &options.scope.match);
  fields.Text("type", &options.scope.type);
  fields.Number("db", 0, ServerInfo::kMostDatabases - 1, &db);
  TakeRates(&fields, &keys_per_second, &bytes_per_second);
  if (const absl::Status status = fields.Done(); !status.ok()) return FromStatus(status);
  options.scope.db = static_cast<int>(db.value_or(-1));
  options.keys_per_second = keys_per_second.value_or(0);
  options.bytes_per_second = bytes_per_second.value_or(0);
  const absl::Status started = proxy->StartBackfill(options);
  return started.ok() ? JsonResponse(BackfillJson(*proxy), 202) : FromStatus(started);
}

HttpResponse PatchBackfill(Proxy* proxy, const HttpRequest& request) {
  Fields fields(request.body);
  Proxy::BackfillChange change;
  fields.Flag("paused", &change.paused);
  TakeRates(&fields, &change.keys_per_second, &change.bytes_per_second);
  if (const absl::Status status = fields.Done(); !status.ok()) return FromStatus(status);
  const absl::Status changed = proxy->ChangeBackfill(change);
  return changed.ok() ? JsonResponse(BackfillJson(*proxy)) : FromStatus(changed);
}

HttpResponse DeleteBackfill(Proxy* proxy) {
  const absl::Status cancelled = proxy->CancelBackfill();
  return cancelled.ok() ? JsonResponse(BackfillJson(*proxy)) : FromStatus(cancelled);
}

}  // namespace crossfade
