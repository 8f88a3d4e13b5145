#include "proxy/ramp_record.h"

#include <utility>

#include "nlohmann/json.hpp"
#include "proxy/json_reader.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

constexpr RampState kStates[] = {RampState::kRunning, RampState::kHolding, RampState::kPaused,
                                 RampState::kTripped, RampState::kDone,    RampState::kAborted};
constexpr const char* kDecisions[] = {"start",   "advance", "hold",  "pause", "resume",
                                      "restart", "trip",    "abort", "done"};

bool ReadFigures(const Json& json, RampFigures* figures) {
  JsonReader reader(json);
  figures->elapsed_ms = reader.Number("elapsed_ms");
  figures->compared = reader.Count("compared");
  figures->mismatched = reader.Count("mismatched");
  figures->answered = reader.Count("answered");
  figures->failed = reader.Count("failed");
  figures->old_timed = reader.Count("old_timed");
  figures->new_timed = reader.Count("new_timed");
  figures->new_slow = reader.Count("new_slow");
  figures->old_p99_us = reader.Number("old_p99_us");
  figures->new_p99_us = reader.Number("new_p99_us");
  figures->lag_ms = reader.Real("lag_ms");
  figures->dirty_keys = reader.Count("dirty_keys");
  figures->down_ms = reader.Number("down_ms");
  return reader.ok();
}

Json FiguresJson(const RampFigures& figures) {
  return {{"elapsed_ms", figures.elapsed_ms}, {"compared", figures.compared}, {"mismatched", figures.mismatched},
          {"answered", figures.answered},     {"failed", figures.failed},     {"old_timed", figures.old_timed},
          {"new_timed", figures.new_timed},   {"new_slow", figures.new_slow}, {"old_p99_us", figures.old_p99_us},
          {"new_p99_us", figures.new_p99_us}, {"lag_ms", figures.lag_ms},     {"dirty_keys", figures.dirty_keys},
          {"down_ms", figures.down_ms}};
}

Json LimitsJson(const RampOverrides& limits) {
  Json json = Json::object();
  const auto put = [&json](const char* name, const auto& value) {
    if (value) json[name] = *value;
  };
  put("max_mismatch_rate", limits.max_mismatch_rate);
  put("max_error_rate", limits.max_error_rate);
  put("max_p99_ratio", limits.max_p99_ratio);
  put("latency_floor_ms", limits.latency_floor_ms);
  put("max_lag_ms", limits.max_lag_ms);
  put("max_dirty_keys", limits.max_dirty_keys);
  put("max_down_ms", limits.max_down_ms);
  put("min_samples", limits.min_samples);
  return json;
}

bool ReadLimits(const Json& json, RampOverrides* limits) {
  JsonReader reader(json);
  reader.Maybe("max_mismatch_rate", &limits->max_mismatch_rate);
  reader.Maybe("max_error_rate", &limits->max_error_rate);
  reader.Maybe("max_p99_ratio", &limits->max_p99_ratio);
  reader.Maybe("latency_floor_ms", &limits->latency_floor_ms);
  reader.Maybe("max_lag_ms", &limits->max_lag_ms);
  reader.Maybe("max_dirty_keys", &limits->max_dirty_keys);
  reader.Maybe("max_down_ms", &limits->max_down_ms);
  reader.Maybe("min_samples", &limits->min_samples);
  return reader.ok();
}

bool ReadEntries(const Json& list, std::deque<RampEntry>* entries) {
  if (list.size() > RampRecord::kMostEntries) return false;
  for (const Json& json : list) {
    JsonReader reader(json);
    RampEntry entry;
    entry.number = reader.Count("number");
    entry.at_ms = reader.Number("at_ms");
    entry.decision = reader.Text("decision");
    entry.reads_new = reader.Real("reads_new");
    entry.reason = reader.Text("reason");
    bool known = false;
    for (const char* decision : kDecisions) known = known || entry.decision == decision;
    if (!known || !ReadFigures(reader.Object("figures"), &entry.figures) || !reader.ok()) return false;
    entries->push_back(std::move(entry));
  }
  return true;
}

}  // namespace

const char* Name(RampState state) {
  switch (state) {
    case RampState::kRunning:
      return "running";
    case RampState::kHolding:
      return "holding";
    case RampState::kPaused:
      return "paused";
    case RampState::kTripped:
      return "tripped";
    case RampState::kDone:
      return "done";
    case RampState::kAborted:
      break;
  }
  return "aborted";
}

RampConfig RampOverrides::Over(const RampConfig& config) const {
  RampConfig limits = config;
  limits.max_mismatch_rate = max_mismatch_rate.value_or(config.max_mismatch_rate);
  limits.max_error_rate = max_error_rate.value_or(config.max_error_rate);
  limits.max_p99_ratio = max_p99_ratio.value_or(config.max_p99_ratio);
  limits.latency_floor_ms = latency_floor_ms.value_or(config.latency_floor_ms);
  limits.max_lag_ms = max_lag_ms.value_or(config.max_lag_ms);
  limits.max_dirty_keys = max_dirty_keys.value_or(config.max_dirty_keys);
  limits.max_down_ms = max_down_ms.value_or(config.max_down_ms);
  limits.min_samples = min_samples.value_or(config.min_samples);
  return limits;
}

Json EntryJson(const RampEntry& entry) {
  return {{"number", entry.number},       {"at_ms", entry.at_ms},   {"decision", entry.decision},
          {"reads_new", entry.reads_new}, {"reason", entry.reason}, {"figures", FiguresJson(entry.figures)}};
}

std::string RampText(const RampRecord& record) {
  Json entries = Json::array();
  for (const RampEntry& entry : record.entries) {
    entries.push_back(EntryJson(entry));
  }
  const Json json = {{"state", Name(record.state)},
                     {"reason", record.reason},
                     {"steps", record.options.steps},
                     {"every_ms", record.options.every_ms},
                     {"limits", LimitsJson(record.options.limits)},
                     {"step", record.step},
                     {"counted", FiguresJson(record.counted)},
                     {"taken_over", record.taken_over},
                     {"epoch", record.epoch},
                     {"step_since_ms", record.step_since_ms},
                     {"started_ms", record.started_ms},
                     {"ended_ms", record.ended_ms},
                     {"decisions", entries}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<RampRecord> ReadRampText(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return std::nullopt;
  RampRecord record;
  JsonReader reader(json);
  const std::string state = reader.Text("state");
  record.reason = reader.Text("reason");
  for (const Json& step : reader.Array("steps")) record.options.steps.push_back(reader.Real(step));
  record.options.every_ms = reader.Number("every_ms");
  record.step = reader.Count("step");
  record.taken_over = reader.Flag("taken_over");
  record.epoch = reader.Count("epoch");
  record.step_since_ms = reader.Number("step_since_ms");
  record.started_ms = reader.Number("started_ms");
  record.ended_ms = reader.Number("ended_ms");
  bool ok = ReadLimits(reader.Object("limits"), &record.options.limits) &&
            ReadFigures(reader.Object("counted"), &record.counted) &&
            ReadEntries(reader.Array("decisions"), &record.entries);
  bool known = false;
  for (const RampState one : kStates) {
    if (state != Name(one)) continue;
    record.state = one;
    known = true;
  }
  ok = ok && known && reader.ok() && WhyNotSteps(record.options.steps).empty() &&
       record.step < record.options.steps.size() && record.counted.mismatched <= record.counted.compared;
  if (!ok) return std::nullopt;
  return record;
}

}  // namespace crossfade
