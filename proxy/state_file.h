// What must survive a restart of the proxy, beside the keys in the journal: the roles, the knobs that were turned,
// whether the stores were in agreement, and who they were. One JSON file in the state directory, replaced as a whole.
// The directory is held, so that no second proxy uses it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "conf/config.h"
#include "proxy/server_info.h"
#include "proxy/storage.h"
#include "routing/migration.h"

namespace crossfade {

struct SavedState {
  std::string addresses[2];  // host:port of old and new, to recognise another migration's directory
  std::string instance;      // names this proxy's connections at the stores, over its restarts
  Migration migration;
  ServerInfo identities[2];  // run_id and start; product is empty when a side was never seen
};

class StateFile {
 public:
  // Makes the directory if it is missing, and holds it. The error says what to do. `storage` must outlive this object.
  static absl::StatusOr<std::unique_ptr<StateFile>> Open(Storage* storage, const std::string& directory);

  // nullopt when there is none yet. A file that can't be understood is an error: it is never overwritten blindly.
  absl::StatusOr<std::optional<SavedState>> Load() const;
  // Returns once it is on the disk.
  absl::Status Save(const SavedState& state) const;
  const std::string& directory() const { return directory_; }

 private:
  StateFile(Storage* storage, std::string directory, std::unique_ptr<Storage::Lock> lock)
      : storage_(storage), directory_(std::move(directory)), lock_(std::move(lock)) {}
  std::string path() const { return directory_ + "/state.json"; }

  Storage* storage_;
  std::string directory_;
  std::unique_ptr<Storage::Lock> lock_;
};

}  // namespace crossfade
