// Keys, kept in memory that outlives the process: the journal of the writes in flight and the dirty set on disk are
// both this. Keys are appended, and erased again in any order; after a crash the ones that were not erased are found
// again.
//
// What always holds: once Append has returned, a crash of the process at any instruction leaves a log in which those
// keys are found, until Erase. Keys for which there is no room, or which are too long, are counted instead: a log with
// such a count says after a crash that any key may have been in it. So it never forgets. No call waits: appending is a
// copy into memory; once for every segment the file is made longer.
//
// The memory is a header and segments of equal size. Each is filled with records from its beginning, and used again
// once all of its records are erased. An erased record has one byte changed. A sparse segment is emptied by its owner,
// who appends again what is still wanted (VisitSparse). Not thread-safe; `memory` must outlive the log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace crossfade {

// A file as memory: what is stored there is read back after a crash of the process, and, once Sync has returned, after
// one of the machine.
class DurableMemory {
 public:
  virtual ~DurableMemory() = default;
  virtual char* data() = 0;  // always the same
  virtual size_t size() const = 0;
  // Makes it longer, by zeros; the new part is certain to have a place on the disk. ResourceExhausted when there is
  // none (a full disk, or the longest size that was allowed).
  virtual absl::Status Grow(size_t size) = 0;
  // Waits until the disk has it.
  virtual absl::Status Sync() = 0;
};

class KeyLog {
 public:
  struct Key {
    int db = 0;
    std::string_view name;
  };
  // Where some keys were appended. kNowhere: nothing was.
  using Place = uint32_t;
  static constexpr Place kNowhere = 0;

  // What was found when the log was opened.
  struct Found {
    bool fresh = false;   // there was no log
    std::string useless;  // not empty: why what was there can't be relied on. Any key may have been in it
  };

  explicit KeyLog(DurableMemory* memory) : memory_(memory) {}

  // Takes over what is there. REQUIRES: called first. A log that is useless, or fresh, is empty afterwards; its
  // `everything` flag is set if it was useless, so that nobody can forget it before acting on it.
  // Not OK: there is no room for an empty log, or the disk does not take what is written.
  absl::Status Open(std::string_view boot_id, Found* found);
  // Every record that was not erased; `tag` is as it was given. The visitor may Append, and then Erase what it is
  // shown.
  using Visitor = std::function<void(Place place, uint8_t tag, std::span<const Key> keys)>;
  void Visit(const Visitor& visitor);

  // Remembers these keys together. Never fails: see above.
  Place Append(std::span<const Key> keys, uint8_t tag);
  // The same for keys that nobody can name.
  Place AppendUnknown();
  void Erase(Place place);
  // Forgets all keys and all counts; not `everything`.
  void Clear();

  // Any key may be meant, until this is taken back.
  void SetEverything(bool everything);
  bool everything() const;

  // Is much of the memory taken by few keys? Then VisitSparse shows those of the emptiest segment: who appends each
  // again and erases it makes room.
  bool sparse() const;
  void VisitSparse(const Visitor& visitor);

  // The owner is about to end, and will not write any more: after that even a log from before a start of the machine
  // can be relied on.
  absl::Status Close();

  uint32_t unlogged() const;  // appended, not erased, and only counted
  // Why keys are only counted for want of room; empty when there is room.
  const std::string& trouble() const { return trouble_; }
  size_t live_bytes() const { return live_bytes_; }
  size_t size_bytes() const { return memory_->size(); }
  // Try to make the file longer again, after it has failed. Call now and then.
  void Retry() { stuck_ = false; }

 private:
  struct Header;
  struct Segment;
  struct Record;

  static constexpr size_t kHeaderBytes = 4096;
  static constexpr size_t kSegmentBytes = 256 << 10;
  static constexpr size_t kMaxRecordBytes = 64 << 10;
  static constexpr Place kUnlogged = UINT32_MAX;

  Header* header() const;
  Segment* segment(size_t index) const;
  Record* record(size_t segment, size_t offset) const;
  std::string WhyUseless(std::string_view boot_id) const;
  absl::Status Create(std::string_view boot_id, bool everything);
  absl::Status TakeOver(std::string_view boot_id);
  void SetBootId(std::string_view boot_id);
  bool Sound(size_t index) const;
  bool TakeSegment();
  void Empty(size_t index);
  void VisitSegment(size_t index, const Visitor& visitor);

  DurableMemory* memory_;
  std::vector<uint32_t> live_;  // bytes of records that are not erased, by segment
  std::vector<uint32_t> free_;  // segments that can be filled
  size_t current_ = SIZE_MAX;   // the segment that is being filled
  size_t live_bytes_ = 0;
  bool stuck_ = false;  // making the file longer has failed
  std::string trouble_;
};

}  // namespace crossfade
