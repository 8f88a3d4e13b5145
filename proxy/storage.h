// The state directory, as the rest of the proxy sees it: files that are replaced as a whole, and memory that outlives
// the process. The real one stands on POSIX (proxy/disk), the simulator has its own, with full disks and crashes.
//
// Calls block for as long as the disk takes, so only few are made: at the start, at a change of settings, at the end.
// What is written into DurableMemory costs no call. Everything runs on the loop thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "routing/key_log.h"

namespace crossfade {

class Storage {
 public:
  // The directory belongs to whoever holds this; the lock ends with the object, and with the process.
  class Lock {
   public:
    virtual ~Lock() = default;
  };
  virtual ~Storage() = default;

  // Makes the directory if it is missing. FailedPrecondition, with what to do, when it can't be written to, or when
  // another process holds it. REQUIRES, for everything below: `path` is in a directory that is held.
  virtual absl::StatusOr<std::unique_ptr<Lock>> Hold(const std::string& directory) = 0;

  // The whole file; nullopt when there is none.
  virtual absl::StatusOr<std::optional<std::string>> Read(const std::string& path) = 0;
  // Puts `bytes` there, as a whole or not at all, and returns once that would survive a loss of power.
  virtual absl::Status Replace(const std::string& path, std::string_view bytes) = 0;
  // Adds to the end of the file, which is made if it is missing. On an error nothing was added, or a part of `bytes`.
  // What was added survives the process; `sync`: and a loss of power, once this returns.
  virtual absl::Status Append(const std::string& path, std::string_view bytes, bool sync) = 0;
  // The same without waiting for the disk: it survives the process, however that ends, and a loss of power only later.
  // For what is written often and can be lost.
  virtual absl::Status ReplaceSoon(const std::string& path, std::string_view bytes) { return Replace(path, bytes); }

  // The file as memory, made empty if it is missing, never longer than `max_bytes`.
  virtual absl::StatusOr<std::unique_ptr<DurableMemory>> Map(const std::string& path, size_t max_bytes) = 0;

  // Another one after each start of the machine: what was written to memory before it, and not synced, may be lost.
  virtual std::string BootId() = 0;
};

}  // namespace crossfade
