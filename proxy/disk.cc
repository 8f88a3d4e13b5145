#include "proxy/disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <utility>

#include "fmt/format.h"

namespace crossfade {

namespace {

absl::Status IoError(const std::string& what, int error = errno) {
  const std::string text = fmt::format("{}: {}", what, strerror(error));
  const bool no_room = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return no_room ? absl::ResourceExhaustedError(text) : absl::UnavailableError(text);
}

// A file descriptor that closes itself.
class File {
 public:
  File(const std::string& path, int flags) : file_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  File(File&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (file_ >= 0) close(file_);
  }
  int get() const { return file_; }
  bool ok() const { return file_ >= 0; }

 private:
  int file_;
};

class DirectoryLock : public Storage::Lock {
 public:
  explicit DirectoryLock(File file) : file_(std::move(file)) {}

 private:
  File file_;
};

absl::Status WriteBytes(const File& file, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = write(file.get(), bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return IoError("write " + path);
    bytes.remove_prefix(static_cast<size_t>(size));
  }
  return absl::OkStatus();
}

// Writes all of it and, if asked to, waits for the disk.
absl::Status WriteAll(const std::string& path, std::string_view bytes, bool synced) {
  const File file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file.ok()) return IoError("open " + path);
  if (absl::Status written = WriteBytes(file, path, bytes); !written.ok()) return written;
  return !synced || fdatasync(file.get()) == 0 ? absl::OkStatus() : IoError("sync " + path);
}

absl::Status SyncDirectoryOf(const std::string& path) {
  const std::string name = std::filesystem::path(path).parent_path();
  const File directory(name, O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) return IoError("open " + name);
  return fsync(directory.get()) == 0 ? absl::OkStatus() : IoError("sync " + name);
}

// The mapping is as long as the file may ever become; what lies beyond the file's end is not touched.
class MappedFile : public DurableMemory {
 public:
  MappedFile(File file, std::string path, char* data, size_t size, size_t max_bytes)
      : file_(std::move(file)), path_(std::move(path)), data_(data), size_(size), max_bytes_(max_bytes) {}
  ~MappedFile() override { munmap(data_, max_bytes_); }

  char* data() override { return data_; }
  size_t size() const override { return size_; }

  absl::Status Grow(size_t size) override {
    if (size > max_bytes_) {
      return absl::ResourceExhaustedError(fmt::format("{} may not be longer than {} bytes", path_, max_bytes_));
    }
    // Without this the kernel would look for a place on the disk when the memory is first used, and a full disk would
    // be a SIGBUS.
    const int error = posix_fallocate(file_.get(), static_cast<off_t>(size_), static_cast<off_t>(size - size_));
    if (error != 0) return IoError("make room for " + path_, error);
    size_ = size;
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    if (msync(data_, size_, MS_SYNC) != 0 || fsync(file_.get()) != 0) return IoError("sync " + path_);
    return SyncDirectoryOf(path_);
  }

 private:
  File file_;
  std::string path_;
  char* data_;
  size_t size_;
  size_t max_bytes_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Storage::Lock>> Disk::Hold(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::FailedPreconditionError(
        fmt::format("can't make the state directory {}: {}; name one that you may write to with --state DIR", directory,
                    error.message()));
  }
  File file(directory + "/lock", O_RDWR | O_CREAT);
  if (!file.ok()) {
    return absl::FailedPreconditionError(
        fmt::format("can't write to the state directory {}: {}; name one that you may write to with --state DIR",
                    directory, strerror(errno)));
  }
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(fmt::format(
        "another crossfade is using the state directory {}; stop it, or name another with --state DIR", directory));
  }
  return std::unique_ptr<Lock>(std::make_unique<DirectoryLock>(std::move(file)));
}

absl::StatusOr<std::optional<std::string>> Disk::Read(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    std::error_code error;
    if (!std::filesystem::exists(std::filesystem::symlink_status(path, error))) return std::optional<std::string>();
    return absl::FailedPreconditionError("can't read " + path);
  }
  std::stringstream text;
  text << file.rdbuf();
  return std::optional<std::string>(text.str());
}

absl::Status Disk::Replace(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".new";
  if (absl::Status written = WriteAll(temporary, bytes, true); !written.ok()) return written;
  if (rename(temporary.c_str(), path.c_str()) != 0) return IoError("rename " + temporary);
  return SyncDirectoryOf(path);
}

absl::Status Disk::Append(const std::string& path, std::string_view bytes, bool sync) {
  const File file(path, O_WRONLY | O_CREAT | O_APPEND);
  if (!file.ok()) return IoError("open " + path);
  const off_t before = lseek(file.get(), 0, SEEK_END);
  absl::Status written = WriteBytes(file, path, bytes);
  if (!written.ok()) {
    const bool undone = before >= 0 && ftruncate(file.get(), before) == 0;
    return undone ? written
                  : absl::Status(written.code(), std::string(written.message()) + ", and a part of it is there");
  }
  if (!sync) return absl::OkStatus();
  if (fdatasync(file.get()) != 0) return IoError("sync " + path);
  return before == 0 ? SyncDirectoryOf(path) : absl::OkStatus();
}

absl::Status Disk::ReplaceSoon(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".new";
  if (absl::Status written = WriteAll(temporary, bytes, false); !written.ok()) return written;
  return rename(temporary.c_str(), path.c_str()) == 0 ? absl::OkStatus() : IoError("rename " + temporary);
}

absl::StatusOr<std::unique_ptr<DurableMemory>> Disk::Map(const std::string& path, size_t max_bytes) {
  File file(path, O_RDWR | O_CREAT);
  if (!file.ok()) return IoError("open " + path);
  struct stat about {};
  if (fstat(file.get(), &about) != 0) return IoError("look at " + path);
  const size_t size = static_cast<size_t>(about.st_size);
  max_bytes = std::max(max_bytes, size);
  void* data = mmap(nullptr, max_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) return IoError("map " + path);
  return std::unique_ptr<DurableMemory>(
      std::make_unique<MappedFile>(std::move(file), path, static_cast<char*>(data), size, max_bytes));
}

std::string Disk::BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  if (std::getline(file, id) && !id.empty() && id.size() < 60) return id;
  // Not to be told from another start of the machine: then each start of the process counts as one.
  return fmt::format("unknown-{:08x}", std::random_device()());
}

}  // namespace crossfade
