#include "proxy/backfill_record.h"

#include "nlohmann/json.hpp"
#include "proxy/json_reader.h"
#include "proxy/server_info.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;
constexpr int64_t kMostRate = 1LL << 40;
constexpr size_t kMostCursorDigits = 20;  // 64 bits

Json ToJson(const BackfillRecord& record) {
  const SweepPlace& place = record.place;
  const SweepScope& scope = record.options.scope;
  return {{"state", Sweep::Name(record.state)},
          {"why", record.why},
          {"match", scope.match},
          {"type", scope.type},
          {"db", scope.db},
          {"keys_per_second", record.options.keys_per_second},
          {"bytes_per_second", record.options.bytes_per_second},
          {"secondary_side", place.secondary_side},
          {"at_db", place.db},
          {"cursor", place.cursor},
          {"keys_done", place.keys_done},
          {"keys_total", place.keys_total},
          {"keys_rechecked", place.keys_rechecked},
          {"keys_failed", place.keys_failed},
          {"bytes", place.bytes},
          {"primary", SideName(record.primary)},
          {"run_id", record.source.run_id},
          {"server_started_ms", record.source.started_ms},
          {"started_ms", record.started_ms},
          {"ended_ms", record.ended_ms},
          {"resumed", record.resumed}};
}

bool ParseState(const std::string& text, Sweep::State* state) {
  using State = Sweep::State;
  for (const State one : {State::kRunning, State::kPaused, State::kDone, State::kFailed}) {
    if (text != Sweep::Name(one)) continue;
    *state = one;
    return true;
  }
  return false;
}

}  // namespace

std::string BackfillText(const BackfillRecord& record) {
  return ToJson(record).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<BackfillRecord> ReadBackfillText(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return std::nullopt;
  BackfillRecord record;
  JsonReader reader(json);
  const std::string state = reader.Text("state"), primary = reader.Text("primary");
  record.why = reader.Text("why");
  record.options.scope.match = reader.Text("match");
  record.options.scope.type = reader.Text("type");
  record.options.scope.db = static_cast<int>(reader.Number("db", -1, ServerInfo::kMostDatabases - 1));
  record.options.keys_per_second = reader.Number("keys_per_second", 0, kMostRate);
  record.options.bytes_per_second = reader.Number("bytes_per_second", 0, kMostRate);
  SweepPlace& place = record.place;
  place.secondary_side = reader.Flag("secondary_side");
  place.db = static_cast<int>(reader.Number("at_db", 0, ServerInfo::kMostDatabases - 1));
  place.cursor = reader.Text("cursor");
  place.keys_done = reader.Count("keys_done");
  place.keys_total = reader.Count("keys_total");
  place.keys_rechecked = reader.Count("keys_rechecked");
  place.keys_failed = reader.Count("keys_failed");
  place.bytes = reader.Count("bytes");
  record.source.run_id = reader.Text("run_id");
  record.source.started_ms = reader.Number("server_started_ms", INT64_MIN / 2, INT64_MAX / 2);
  record.started_ms = reader.Number("started_ms", 0, INT64_MAX);
  record.ended_ms = reader.Number("ended_ms", 0, INT64_MAX);
  record.resumed = reader.Number("resumed", 0, INT32_MAX);
  const bool is_cursor = !place.cursor.empty() && place.cursor.size() <= kMostCursorDigits &&
                         place.cursor.find_first_not_of("0123456789") == std::string::npos;
  if (!reader.ok() || !is_cursor || !ParseState(state, &record.state) || !ParseName(primary, &record.primary)) {
    return std::nullopt;
  }
  return record;
}

}  // namespace crossfade
