// Storage on POSIX files. What is mapped is memory of the kernel's, so it survives the process, however that ends; what
// is replaced is written beside, synced, renamed, and the directory synced (of ReplaceSoon: written and renamed).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/storage.h"

namespace crossfade {

class Disk : public Storage {
 public:
  absl::StatusOr<std::unique_ptr<Lock>> Hold(const std::string& directory) override;
  absl::StatusOr<std::optional<std::string>> Read(const std::string& path) override;
  absl::Status Replace(const std::string& path, std::string_view bytes) override;
  absl::Status Append(const std::string& path, std::string_view bytes, bool sync) override;
  absl::Status ReplaceSoon(const std::string& path, std::string_view bytes) override;
  absl::StatusOr<std::unique_ptr<DurableMemory>> Map(const std::string& path, size_t max_bytes) override;
  std::string BootId() override;
};

}  // namespace crossfade
