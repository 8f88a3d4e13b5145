#include "proxy/state_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace crossfade {

namespace {

using Json = nlohmann::json;
constexpr int kFormat = 1;
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
  return {{"format", kFormat},
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
          {"flips", flips},
          {"identities", identities},
          {"everything_dirty", state.everything_dirty},
          {"clean", state.clean}};
}

template <typename T>
bool Get(const Json& json, const char* name, T* out) {
  const auto found = json.find(name);
  if (found == json.end()) return false;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!found->is_string()) return false;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!found->is_boolean()) return false;
  } else {
    if (!found->is_number()) return false;
  }
  *out = found->get<T>();
  return true;
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
                        Get(json, "cold", &migration.cold) && Get(json, "distrust", &migration.distrust) &&
                        Get(json, "clean", &state->clean);
  if (!complete) return false;
  Get(json, "keep_secondary", &migration.keep_secondary);
  Get(json, "everything_dirty", &state->everything_dirty);
  migration.synced = synced ? Synced::kYes : Synced::kNo;
  for (const Json& entry : json.value("flips", Json::array())) {
    FlipRecord flip;
    if (!entry.is_object() || !Get(entry, "at_ms", &flip.at_ms) || !GetName(entry, "to", &flip.to)) return false;
    Get(entry, "pause_ms", &flip.pause_ms);
    Get(entry, "forced", &flip.forced);
    migration.flips.push_back(flip);
  }
  const Json identities = json.value("identities", Json::object());
  for (Side side : {Side::kOld, Side::kNew}) {
    const Json identity = identities.value(SideName(side), Json::object());
    ServerInfo& info = state->identities[static_cast<int>(side)];
    Get(identity, "product", &info.product);
    Get(identity, "run_id", &info.run_id);
    Get(identity, "started_ms", &info.started_ms);
  }
  return true;
}

absl::Status IoError(const std::string& what) {
  return absl::UnavailableError(fmt::format("{}: {}", what, strerror(errno)));
}

// Writes all of it and waits for the disk.
absl::Status WriteSynced(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return IoError("open " + path);
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t size = write(file, text.data() + written, text.size() - written);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) {
      const absl::Status error = IoError("write " + path);
      close(file);
      return error;
    }
    written += static_cast<size_t>(size);
  }
  const bool synced = fdatasync(file) == 0;
  const absl::Status error = synced ? absl::OkStatus() : IoError("sync " + path);
  close(file);
  return error;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateFile>> StateFile::Open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::FailedPreconditionError(
        fmt::format("can't make the state directory {}: {}; name one that you may write to with --state DIR", directory,
                    error.message()));
  }
  const std::string lock_path = directory + "/lock";
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) {
    return absl::FailedPreconditionError(
        fmt::format("can't write to the state directory {}: {}; name one that you may write to with --state DIR",
                    directory, strerror(errno)));
  }
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    close(lock);
    return absl::FailedPreconditionError(fmt::format(
        "another crossfade is using the state directory {}; stop it, or name another with --state DIR", directory));
  }
  return std::unique_ptr<StateFile>(new StateFile(directory, lock));
}

StateFile::~StateFile() {
  close(lock_);
}

absl::StatusOr<std::optional<SavedState>> StateFile::Load() const {
  std::ifstream file(path());
  if (!file) {
    std::error_code error;
    if (!std::filesystem::exists(std::filesystem::symlink_status(path(), error))) return std::optional<SavedState>();
    return absl::FailedPreconditionError(
        fmt::format("can't read {}; which store is primary can't be known without it", path()));
  }
  std::stringstream text;
  text << file.rdbuf();
  const Json json = Json::parse(text.str(), nullptr, false);
  SavedState state;
  int format = 0;
  if (json.is_discarded() || !json.is_object() || !Get(json, "format", &format) || format != kFormat ||
      !FromJson(json, &state)) {
    return absl::DataLossError(
        fmt::format("{} is not a state file of this version; which store is primary can't be known from it. Look at "
                    "it, then move it away",
                    path()));
  }
  return std::optional<SavedState>(std::move(state));
}

absl::Status StateFile::Save(const SavedState& state) const {
  const std::string text = ToJson(state).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  const std::string temporary = path() + ".new";
  if (const absl::Status written = WriteSynced(temporary, text); !written.ok()) return written;
  if (rename(temporary.c_str(), path().c_str()) != 0) return IoError("rename " + temporary);
  const int directory = open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return IoError("open " + directory_);
  const bool synced = fsync(directory) == 0;
  close(directory);
  return synced ? absl::OkStatus() : IoError("sync " + directory_);
}

}  // namespace crossfade
