#include "tests/sim/sim_storage.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/check.h"

namespace crossfade::sim {

namespace {
constexpr size_t kPage = 4096;
constexpr size_t kLongest = 64 << 20;
}  // namespace

// A file's memory: reserved at its longest, so that it never moves.
struct SimStorage::Region {
  explicit Region(size_t max) : max_bytes(std::min(max, kLongest)) {
    void* memory = mmap(nullptr, max_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
    data = static_cast<char*>(memory);
  }
  ~Region() { munmap(data, max_bytes); }

  const size_t max_bytes;
  char* data = nullptr;
  size_t size = 0;
  std::string synced;  // what a loss of power leaves
};

class SimStorage::Memory : public DurableMemory {
 public:
  Memory(SimStorage* storage, Region* region) : storage_(storage), region_(region) {}
  char* data() override { return region_->data; }
  size_t size() const override { return region_->size; }
  absl::Status Grow(size_t size) override {
    if (storage_->full_ || size > region_->max_bytes) {
      ++storage_->refusals_;
      return absl::ResourceExhaustedError("no space left on device");
    }
    region_->size = std::max(region_->size, size);
    return absl::OkStatus();
  }
  absl::Status Sync() override {
    region_->synced.assign(region_->data, region_->size);
    return absl::OkStatus();
  }

 private:
  SimStorage* const storage_;
  Region* const region_;
};

class SimStorage::Held : public Storage::Lock {
 public:
  explicit Held(SimStorage* storage) : storage_(storage) { storage_->held_ = true; }
  ~Held() override { storage_->held_ = false; }

 private:
  SimStorage* const storage_;
};

SimStorage::SimStorage(uint64_t seed) : chance_(seed, 99) {}

SimStorage::~SimStorage() = default;

absl::StatusOr<std::unique_ptr<Storage::Lock>> SimStorage::Hold(const std::string&) {
  if (held_) return absl::FailedPreconditionError("another crossfade is using the state directory");
  return std::unique_ptr<Lock>(std::make_unique<Held>(this));
}

absl::StatusOr<std::optional<std::string>> SimStorage::Read(const std::string& path) {
  if (Region* region = FindRegion(path)) return std::optional<std::string>(std::string(region->data, region->size));
  const auto found = files_.find(path);
  if (found == files_.end()) return std::optional<std::string>();
  return std::optional<std::string>(found->second);
}

absl::Status SimStorage::Replace(const std::string& path, std::string_view bytes) {
  if (full_) {
    ++refusals_;
    return absl::UnavailableError("no space left on device");
  }
  files_[path] = bytes;
  return absl::OkStatus();
}

// A restart of the machine leaves all of it: nothing depends on what was appended.
absl::Status SimStorage::Append(const std::string& path, std::string_view bytes, bool) {
  if (full_) {
    ++refusals_;
    return absl::UnavailableError("no space left on device");
  }
  files_[path] += bytes;
  return absl::OkStatus();
}

SimStorage::Region* SimStorage::FindRegion(const std::string& path) {
  const auto found = regions_.find(path);
  return found == regions_.end() ? nullptr : found->second.get();
}

absl::StatusOr<std::unique_ptr<DurableMemory>> SimStorage::Map(const std::string& path, size_t max_bytes) {
  Region* region = FindRegion(path);
  if (region == nullptr) {
    if (full_) return absl::ResourceExhaustedError("no space left on device");
    region = (regions_[path] = std::make_unique<Region>(max_bytes)).get();
  }
  return std::unique_ptr<DurableMemory>(std::make_unique<Memory>(this, region));
}

void SimStorage::Freeze() {
  frozen_ = true;
  frozen_files_ = files_;
  frozen_regions_.clear();
  for (const auto& [path, region] : regions_) frozen_regions_[path] = std::string(region->data, region->size);
}

void SimStorage::Thaw() {
  CHECK(std::exchange(frozen_, false));
  files_ = std::exchange(frozen_files_, {});
  for (auto& [path, bytes] : std::exchange(frozen_regions_, {})) {
    Region* region = FindRegion(path);
    if (region == nullptr) continue;
    std::memcpy(region->data, bytes.data(), bytes.size());
    if (region->size > bytes.size()) std::memset(region->data + bytes.size(), 0, region->size - bytes.size());
    region->size = bytes.size();
  }
}

void SimStorage::RestartMachine() {
  ++boot_;
  for (auto& [path, region] : regions_) {
    region->synced.resize(region->size, '\0');
    for (size_t at = 0; at < region->size; at += kPage) {
      if (chance_.Percent(50)) continue;  // this page had reached the disk
      std::memcpy(region->data + at, region->synced.data() + at, std::min(kPage, region->size - at));
    }
    region->synced.assign(region->data, region->size);
  }
}

}  // namespace crossfade::sim
