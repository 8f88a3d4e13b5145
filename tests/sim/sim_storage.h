// The state directory of the simulator: in memory, it outlives the proxy, and its disk can be full. After a crash of
// the process everything that was written is there. After a restart of the machine what was not synced may be gone, in
// whole pages, some of them and not others. Owned by the run's World.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/storage.h"
#include "tests/sim/chance.h"

namespace crossfade::sim {

class SimStorage : public Storage {
 public:
  explicit SimStorage(uint64_t seed);
  ~SimStorage() override;

  absl::StatusOr<std::unique_ptr<Lock>> Hold(const std::string& directory) override;
  absl::StatusOr<std::optional<std::string>> Read(const std::string& path) override;
  absl::Status Replace(const std::string& path, std::string_view bytes) override;
  absl::Status Append(const std::string& path, std::string_view bytes, bool sync) override;
  absl::StatusOr<std::unique_ptr<DurableMemory>> Map(const std::string& path, size_t max_bytes) override;
  std::string BootId() override { return "boot-" + std::to_string(boot_); }

  // While it is full nothing becomes longer and no file is replaced.
  void set_full(bool full) { full_ = full; }
  // The process is about to be killed: what it still does in its destructors does not count. Thaw once it is gone.
  void Freeze();
  void Thaw();
  // REQUIRES: nobody holds it.
  void RestartMachine();
  uint64_t refusals() const { return refusals_; }

 private:
  struct Region;
  class Memory;
  class Held;

  Region* FindRegion(const std::string& path);

  Chance chance_;
  std::map<std::string, std::string> files_, frozen_files_;
  std::map<std::string, std::unique_ptr<Region>> regions_;
  std::map<std::string, std::string> frozen_regions_;
  bool held_ = false, full_ = false, frozen_ = false;
  int boot_ = 1;
  uint64_t refusals_ = 0;
};

}  // namespace crossfade::sim
