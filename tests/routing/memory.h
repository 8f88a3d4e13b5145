// Memory for a KeyLog that a test can look into, cut short and damage.
#pragma once

#include <cstring>
#include <memory>
#include <string>

#include "routing/key_log.h"

namespace crossfade {

class TestMemory : public DurableMemory {
 public:
  static constexpr size_t kMax = 16 << 20;

  TestMemory() : bytes_(std::make_unique<char[]>(kMax)) {}
  char* data() override { return bytes_.get(); }
  size_t size() const override { return size_; }
  absl::Status Grow(size_t size) override {
    if (size > limit) return absl::ResourceExhaustedError("no space left");
    memset(bytes_.get() + size_, 0, size - size_);
    size_ = size;
    return absl::OkStatus();
  }
  absl::Status Sync() override {
    ++syncs;
    synced_.assign(bytes_.get(), size_);
    return absl::OkStatus();
  }
  // The machine crashes: what the disk has not been made to take is gone.
  void LoseUnsynced() {
    size_ = synced_.size();
    memcpy(bytes_.get(), synced_.data(), size_);
  }
  void Cut(size_t size) { size_ = size; }

  size_t limit = kMax;
  int syncs = 0;

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_ = 0;
  std::string synced_;
};

// What is in the log, as "db:key db:key" for each record.
inline std::vector<std::string> Contents(KeyLog* log) {
  std::vector<std::string> contents;
  log->Visit([&](KeyLog::Place, uint8_t, std::span<const KeyLog::Key> keys) {
    std::string& line = contents.emplace_back();
    for (const KeyLog::Key& key : keys) {
      line += (line.empty() ? "" : " ") + std::to_string(key.db) + ":" + std::string(key.name);
    }
  });
  return contents;
}

}  // namespace crossfade
