#include "proxy/state_file.h"

#include <limits>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace crossfade {

namespace {

using Json = nlohmann::json;
constexpr int kStateFormat = 1;
constexpr size_t kKeptFlips = 100;

Json ToJson(const SavedState& state) {
  const RoutingConfig& routing = state.migration.routing;
  Json flips = Json::array();
  for (const FlipRecord& flip : state.migration.flips) {
    flips.push_back(
        {{"at_ms", flip.at_ms}, {"to", SideName(flip.to)}, {"pause_ms", flip.pause_ms}, {"forced", flip.forced}});
  }
  while (flips.size() > kKeptFlips) flips.erase(flips.begin());
  Json identities = Json::object();
  for (Side side : {Side::kOld, Side::kNew}) {
    const ServerInfo& info = state.identities[static_cast<int>(side)];
    identities[SideName(side)] = {{"product", info.product}, {"run_id", info.run_id}, {"started_ms", info.started_ms}};
  }
  return {{"format", kStateFormat},
          {"old", state.addresses[0]},
          {"new", state.addresses[1]},
          {"epoch", state.migration.epoch},
          {"primary", SideName(routing.primary)},
          {"secondary", Name(routing.secondary)},
          {"ack", Name(routing.ack)},
          {"reads_new", routing.reads_new},
          {"compare", routing.compare},
          {"split", Name(routing.split)},
          {"on_miss", Name(routing.on_miss)},
          {"synced", state.migration.synced == Synced::kYes},
          {"unsynced_why", state.migration.unsynced_why},
          {"cold", state.migration.cold},
          {"distrust", state.migration.distrust},
          {"keep_secondary", state.migration.keep_secondary},
          {"journal_since_ms", state.migration.journal_since_ms},
          {"flips", flips},
          {"identities", identities},
          {"instance", state.instance}};
}

template <typename T>
bool Get(const Json& json, const char* name, T* out) {
  const auto found = json.find(name);
  if (found == json.end()) return false;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!found->is_string()) return false;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!found->is_boolean()) return false;
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!found->is_number()) return false;
  } else {
    // Whole, and one that T can hold: anything else would become any number.
    if (!found->is_number_integer()) return false;
    const bool fits = found->is_number_unsigned()
                          ? found->template get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<T>::max())
                          : found->template get<int64_t>() >= static_cast<int64_t>(std::numeric_limits<T>::min());
    if (!fits) return false;
  }
  *out = found->get<T>();
  return true;
}

bool IsPercent(double value) {
  return value >= 0 && value <= 100;
}

template <typename E>
bool GetName(const Json& json, const char* name, E* out) {
  std::string text;
  return Get(json, name, &text) && ParseName(text, out);
}

bool FromJson(const Json& json, SavedState* state) {
  Migration& migration = state->migration;
  RoutingConfig& routing = migration.routing;
  bool synced = false;
  const bool complete = Get(json, "old", &state->addresses[0]) && Get(json, "new", &state->addresses[1]) &&
                        Get(json, "epoch", &migration.epoch) && GetName(json, "primary", &routing.primary) &&
                        GetName(json, "secondary", &routing.secondary) && GetName(json, "ack", &routing.ack) &&
                        Get(json, "reads_new", &routing.reads_new) && Get(json, "compare", &routing.compare) &&
                        GetName(json, "split", &routing.split) && GetName(json, "on_miss", &routing.on_miss) &&
                        Get(json, "synced", &synced) && Get(json, "unsynced_why", &migration.unsynced_why) &&
                        Get(json, "cold", &migration.cold) && Get(json, "distrust", &migration.distrust);
  if (!complete || !IsPercent(routing.reads_new) || !IsPercent(routing.compare)) return false;
  Get(json, "keep_secondary", &migration.keep_secondary);
  Get(json, "journal_since_ms", &migration.journal_since_ms);
  Get(json, "instance", &state->instance);
  migration.synced = synced ? Synced::kYes : Synced::kNo;
  for (const Json& entry : json.value("flips", Json::array())) {
    FlipRecord flip;
    if (!entry.is_object() || !Get(entry, "at_ms", &flip.at_ms) || !GetName(entry, "to", &flip.to)) return false;
    Get(entry, "pause_ms", &flip.pause_ms);
    Get(entry, "forced", &flip.forced);
    migration.flips.push_back(flip);
  }
  const Json identities = json.value("identities", Json::object());
  if (!identities.is_object()) return false;
  for (Side side : {Side::kOld, Side::kNew}) {
    const Json identity = identities.value(SideName(side), Json::object());
    ServerInfo& info = state->identities[static_cast<int>(side)];
    Get(identity, "product", &info.product);
    Get(identity, "run_id", &info.run_id);
    Get(identity, "started_ms", &info.started_ms);
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateFile>> StateFile::Open(Storage* storage, const std::string& directory) {
  auto lock = storage->Hold(directory);
  if (!lock.ok()) return lock.status();
  return std::unique_ptr<StateFile>(new StateFile(storage, directory, std::move(*lock)));
}

absl::StatusOr<std::optional<SavedState>> StateFile::Load() const {
  const auto text = storage_->Read(path());
  if (!text.ok()) {
    return absl::FailedPreconditionError(
        fmt::format("{}; which store is primary can't be known without it", std::string(text.status().message())));
  }
  if (!text->has_value()) return std::optional<SavedState>();
  const Json json = Json::parse(**text, nullptr, false);
  SavedState state;
  int format = 0;
  if (json.is_discarded() || !json.is_object() || !Get(json, "format", &format) || format != kStateFormat ||
      !FromJson(json, &state)) {
    return absl::DataLossError(
        fmt::format("{} is not a state file of this version; which store is primary can't be known from it. Look at "
                    "it, then move it away",
                    path()));
  }
  return std::optional<SavedState>(std::move(state));
}

absl::Status StateFile::Save(const SavedState& state) const {
  return storage_->Replace(path(), ToJson(state).dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace crossfade
