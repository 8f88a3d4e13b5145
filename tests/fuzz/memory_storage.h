// A state directory in memory: files that are replaced as a whole, and maps that outlive who maps them, as a file does
// the process. The target owns it, and it must outlive every proxy, lock and map on it. `full` makes the disk full.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/storage.h"

namespace crossfade {

class MemoryStorage : public Storage {
 public:
  std::map<std::string, std::string> files;
  bool full = false;
  std::string boot_id = "boot";

  absl::StatusOr<std::unique_ptr<Lock>> Hold(const std::string&) override {
    if (held_) return absl::FailedPreconditionError("held already");
    return std::make_unique<HeldLock>(&held_);
  }
  absl::StatusOr<std::optional<std::string>> Read(const std::string& path) override {
    const auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional<std::string>(found->second);
  }
  absl::Status Replace(const std::string& path, std::string_view bytes) override {
    if (full) return absl::ResourceExhaustedError("the disk is full");
    files[path] = bytes;
    return absl::OkStatus();
  }
  absl::Status Append(const std::string& path, std::string_view bytes, bool) override {
    if (full) return absl::ResourceExhaustedError("the disk is full");
    files[path] += bytes;
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<DurableMemory>> Map(const std::string& path, size_t max_bytes) override {
    std::unique_ptr<Block>& block = maps_[path];
    if (block == nullptr) block = std::make_unique<Block>();
    return std::make_unique<Mapped>(this, block.get(), max_bytes);
  }
  std::string BootId() override { return boot_id; }

 private:
  // Reserved once, so that it never moves; only what is used is touched.
  struct Block {
    static constexpr size_t kReserved = 4 << 20;
    std::unique_ptr<char[]> bytes{new char[kReserved]};
    size_t size = 0;
  };
  class HeldLock : public Lock {
   public:
    explicit HeldLock(bool* held) : held_(held) { *held_ = true; }
    ~HeldLock() override { *held_ = false; }

   private:
    bool* held_;
  };
  class Mapped : public DurableMemory {
   public:
    Mapped(MemoryStorage* storage, Block* block, size_t max_bytes)
        : storage_(storage), block_(block), max_bytes_(std::min(max_bytes, Block::kReserved)) {}
    char* data() override { return block_->bytes.get(); }
    size_t size() const override { return block_->size; }
    absl::Status Grow(size_t size) override {
      if (storage_->full || size > max_bytes_) return absl::ResourceExhaustedError("the disk is full");
      memset(block_->bytes.get() + block_->size, 0, size - block_->size);
      block_->size = size;
      return absl::OkStatus();
    }
    absl::Status Sync() override { return absl::OkStatus(); }

   private:
    MemoryStorage* storage_;
    Block* block_;
    size_t max_bytes_;
  };

  bool held_ = false;
  std::map<std::string, std::unique_ptr<Block>> maps_;
};

}  // namespace crossfade
