// What must survive a restart of the proxy: the roles, the knobs that were turned, whether the stores were in
// agreement, and who they were. One JSON file in the state directory, replaced as a whole: written beside, synced,
// renamed, and the directory synced. A lock keeps a second proxy away from the same directory.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "conf/config.h"
#include "proxy/server_info.h"
#include "routing/migration.h"

namespace crossfade {

struct SavedState {
  std::string addresses[2];  // host:port of old and new, to recognise another migration's directory
  Migration migration;
  ServerInfo identities[2];       // run_id and start; product is empty when a side was never seen
  bool everything_dirty = false;  // a sweep was due, or had not come to its end
  bool clean = false;             // ended by a shutdown with both stores in agreement
};

class StateFile {
 public:
  // Makes the directory if it is missing, and takes its lock. The error says what to do.
  static absl::StatusOr<std::unique_ptr<StateFile>> Open(const std::string& directory);
  ~StateFile();

  // nullopt when there is none yet. A file that can't be understood is an error: it is never overwritten blindly.
  absl::StatusOr<std::optional<SavedState>> Load() const;
  // Returns once it is on the disk.
  absl::Status Save(const SavedState& state) const;
  const std::string& directory() const { return directory_; }

 private:
  StateFile(std::string directory, int lock) : directory_(std::move(directory)), lock_(lock) {}
  std::string path() const { return directory_ + "/state.json"; }

  std::string directory_;
  int lock_;
};

}  // namespace crossfade
