#include "routing/key_log.h"

#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "fmt/format.h"
#include "protocol/check.h"

namespace crossfade {

namespace {

constexpr uint64_t kMagic = 0x474f4c59454b4658;  // "XFKEYLOG" on the machines that this runs on
constexpr uint32_t kFormat = 1;
constexpr size_t kAlignment = 8;
constexpr size_t kBootIdBytes = 64;
constexpr size_t kSegmentsToSpare = 4;  // segments that may be nearly empty before anybody tidies up

// A crash must not find a later store without the earlier ones: no store of ours moves across this one.
template <typename T>
void Publish(T* to, T value) {
  std::atomic_ref<T>(*to).store(value, std::memory_order_release);
}

struct KeyHead {
  uint32_t db;
  uint32_t size;
};

}  // namespace

struct KeyLog::Header {
  uint64_t magic;
  uint32_t format;
  uint32_t segment_bytes;
  char boot_id[kBootIdBytes];  // ends in a zero
  uint32_t closed;             // its owner ended in an orderly way, and the disk had it all
  uint32_t everything;
  uint32_t unlogged;
};

struct KeyLog::Segment {
  uint32_t used;  // bytes of records behind this
  uint32_t zero;
};

// `check` is over everything from `bytes` on.
struct KeyLog::Record {
  uint32_t check;
  uint32_t live;
  uint32_t bytes;  // of the whole record, a multiple of kAlignment
  uint16_t keys;
  uint8_t tag;
  uint8_t zero;

  uint32_t Sum() const {
    constexpr size_t kUnchecked = offsetof(Record, bytes);
    return static_cast<uint32_t>(XXH3_64bits(reinterpret_cast<const char*>(this) + kUnchecked, bytes - kUnchecked));
  }
  // False when the keys don't fit into the record.
  bool Decode(std::vector<Key>* out) const {
    const char* at = reinterpret_cast<const char*>(this + 1);
    size_t left = bytes - sizeof(Record);
    out->clear();
    for (int i = 0; i < keys; ++i) {
      KeyHead head;
      if (left < sizeof(head)) return false;
      memcpy(&head, at, sizeof(head));
      if (left - sizeof(head) < head.size) return false;
      out->push_back({static_cast<int>(head.db), std::string_view(at + sizeof(head), head.size)});
      at += sizeof(head) + head.size;
      left -= sizeof(head) + head.size;
    }
    return true;
  }
};

KeyLog::Header* KeyLog::header() const {
  return reinterpret_cast<Header*>(memory_->data());
}

KeyLog::Segment* KeyLog::segment(size_t index) const {
  return reinterpret_cast<Segment*>(memory_->data() + kHeaderBytes + index * kSegmentBytes);
}

KeyLog::Record* KeyLog::record(size_t index, size_t offset) const {
  return reinterpret_cast<Record*>(reinterpret_cast<char*>(segment(index) + 1) + offset);
}

// --- Opening ---------------------------------------------------------------------------------------------------------

absl::Status KeyLog::Open(std::string_view boot_id, Found* found) {
  found->fresh = memory_->size() == 0;
  if (found->fresh) return Create(boot_id, false);
  found->useless = WhyUseless(boot_id);
  if (!found->useless.empty()) return Create(boot_id, true);
  return TakeOver(boot_id);
}

std::string KeyLog::WhyUseless(std::string_view boot_id) const {
  static_assert(sizeof(Header) <= kHeaderBytes);
  if (memory_->size() < kHeaderBytes || (memory_->size() - kHeaderBytes) % kSegmentBytes != 0) {
    return fmt::format("it is cut off ({} bytes)", memory_->size());
  }
  const Header& head = *header();
  if (head.magic != kMagic) return "it is no key log";
  if (head.format != kFormat || head.segment_bytes != kSegmentBytes) return "it is of another version of crossfade";
  const std::string_view written_at(head.boot_id, strnlen(head.boot_id, kBootIdBytes));
  if (written_at != boot_id && head.closed == 0) return "the machine has been started anew since it was written";
  if (head.unlogged != 0)
    return fmt::format("{} writes in it name no keys, for want of room or by their nature", head.unlogged);
  const size_t segments = (memory_->size() - kHeaderBytes) / kSegmentBytes;
  for (size_t i = 0; i < segments; ++i) {
    if (!Sound(i)) return "a part of it is damaged";
  }
  return {};
}

bool KeyLog::Sound(size_t index) const {
  const size_t used = segment(index)->used;
  if (used > kSegmentBytes - sizeof(Segment) || used % kAlignment != 0) return false;
  std::vector<Key> keys;
  for (size_t offset = 0; offset < used;) {
    const Record& one = *record(index, offset);
    if (used - offset < sizeof(Record) || one.bytes < sizeof(Record) || one.bytes % kAlignment != 0 ||
        one.bytes > used - offset || one.live > 1 || one.check != one.Sum() || !one.Decode(&keys)) {
      return false;
    }
    offset += one.bytes;
  }
  return true;
}

void KeyLog::SetBootId(std::string_view boot_id) {
  CHECK(boot_id.size() < kBootIdBytes);
  memset(header()->boot_id, 0, kBootIdBytes);
  memcpy(header()->boot_id, boot_id.data(), boot_id.size());
}

// Until the magic number is there again, whoever opens it finds it useless.
absl::Status KeyLog::Create(std::string_view boot_id, bool everything) {
  size_t segments = memory_->size() <= kHeaderBytes ? 0 : (memory_->size() - kHeaderBytes - 1) / kSegmentBytes + 1;
  segments = std::max<size_t>(segments, 1);
  if (const size_t size = kHeaderBytes + segments * kSegmentBytes; memory_->size() < size) {
    if (absl::Status grown = memory_->Grow(size); !grown.ok()) return grown;
  }
  Publish(&header()->magic, uint64_t{0});
  Header& head = *header();
  head.format = kFormat;
  head.segment_bytes = kSegmentBytes;
  head.closed = 0;
  head.unlogged = 0;
  head.everything = everything ? 1 : 0;
  SetBootId(boot_id);
  live_.assign(segments, 0);
  free_.clear();
  for (size_t i = 0; i < segments; ++i) Empty(i);
  Publish(&header()->magic, kMagic);
  return absl::OkStatus();
}

absl::Status KeyLog::TakeOver(std::string_view boot_id) {
  const size_t segments = (memory_->size() - kHeaderBytes) / kSegmentBytes;
  if (header()->closed != 0) {
    Publish(&header()->closed, uint32_t{0});
    // Or a crash of the machine would leave the log of the last orderly end, and nobody could tell.
    if (absl::Status synced = memory_->Sync(); !synced.ok()) return synced;
  }
  SetBootId(boot_id);
  live_.assign(segments, 0);
  for (size_t i = 0; i < segments; ++i) {
    for (size_t offset = 0; offset < segment(i)->used; offset += record(i, offset)->bytes) {
      if (record(i, offset)->live != 0) live_[i] += record(i, offset)->bytes;
    }
    live_bytes_ += live_[i];
    if (live_[i] == 0) Empty(i);
  }
  return absl::OkStatus();
}

void KeyLog::Visit(const Visitor& visitor) {
  const size_t segments = live_.size();
  for (size_t i = 0; i < segments; ++i) VisitSegment(i, visitor);
}

// What the visitor appends to this very segment is not shown.
void KeyLog::VisitSegment(size_t index, const Visitor& visitor) {
  std::vector<Key> keys;
  const size_t used = segment(index)->used;
  for (size_t offset = 0; offset < used && live_[index] > 0;) {
    const Record& one = *record(index, offset);
    offset += one.bytes;
    if (one.live == 0) continue;
    CHECK(one.Decode(&keys));
    visitor(static_cast<Place>((reinterpret_cast<const char*>(&one) - memory_->data()) / kAlignment), one.tag, keys);
  }
}

// --- Appending and erasing -------------------------------------------------------------------------------------------

KeyLog::Place KeyLog::Append(std::span<const Key> keys, uint8_t tag) {
  size_t bytes = sizeof(Record);
  for (const Key& key : keys) bytes += sizeof(KeyHead) + key.name.size();
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const bool fits = bytes <= kMaxRecordBytes && keys.size() <= UINT16_MAX;
  const bool full = current_ == SIZE_MAX || segment(current_)->used + bytes > kSegmentBytes - sizeof(Segment);
  if (!fits || (full && !TakeSegment())) return AppendUnknown();
  if (header()->closed != 0) Publish(&header()->closed, uint32_t{0});
  Segment* const into = segment(current_);
  Record* const added = record(current_, into->used);
  added->live = 1;
  added->bytes = static_cast<uint32_t>(bytes);
  added->keys = static_cast<uint16_t>(keys.size());
  added->tag = tag;
  added->zero = 0;
  char* at = reinterpret_cast<char*>(added + 1);
  for (const Key& key : keys) {
    const KeyHead head{static_cast<uint32_t>(key.db), static_cast<uint32_t>(key.name.size())};
    memcpy(at, &head, sizeof(head));
    memcpy(at + sizeof(head), key.name.data(), key.name.size());
    at += sizeof(head) + key.name.size();
  }
  memset(at, 0, reinterpret_cast<char*>(added) + bytes - at);
  added->check = added->Sum();
  Publish(&into->used, static_cast<uint32_t>(into->used + bytes));
  live_[current_] += static_cast<uint32_t>(bytes);
  live_bytes_ += bytes;
  return static_cast<Place>((reinterpret_cast<char*>(added) - memory_->data()) / kAlignment);
}

KeyLog::Place KeyLog::AppendUnknown() {
  Publish(&header()->unlogged, header()->unlogged + 1);
  return kUnlogged;
}

void KeyLog::Erase(Place place) {
  if (place == kNowhere) return;
  if (place == kUnlogged) {
    CHECK(header()->unlogged > 0);
    return Publish(&header()->unlogged, header()->unlogged - 1);
  }
  const size_t offset = static_cast<size_t>(place) * kAlignment;
  Record* const erased = reinterpret_cast<Record*>(memory_->data() + offset);
  CHECK(erased->live == 1);
  Publish(&erased->live, uint32_t{0});
  const size_t index = (offset - kHeaderBytes) / kSegmentBytes;
  live_[index] -= erased->bytes;
  live_bytes_ -= erased->bytes;
  if (live_[index] > 0) return;
  if (index == current_) return Publish(&segment(index)->used, uint32_t{0});  // filled again from its beginning
  Empty(index);
}

// REQUIRES: nothing in it is alive, and it is not being filled.
void KeyLog::Empty(size_t index) {
  Publish(&segment(index)->used, uint32_t{0});
  free_.push_back(static_cast<uint32_t>(index));
}

bool KeyLog::TakeSegment() {
  if (free_.empty()) {
    if (stuck_) return false;
    if (const absl::Status grown = memory_->Grow(memory_->size() + kSegmentBytes); !grown.ok()) {
      stuck_ = true;
      trouble_ = std::string(grown.message());
      return false;
    }
    live_.push_back(0);
    Empty(live_.size() - 1);
  }
  trouble_.clear();
  if (current_ != SIZE_MAX && live_[current_] == 0) Empty(current_);
  current_ = free_.back();
  free_.pop_back();
  return true;
}

void KeyLog::Clear() {
  for (size_t i = 0; i < live_.size(); ++i) {
    if (live_[i] > 0 && i != current_) Empty(i);
    Publish(&segment(i)->used, uint32_t{0});
    live_[i] = 0;
  }
  live_bytes_ = 0;
  Publish(&header()->unlogged, uint32_t{0});
}

void KeyLog::SetEverything(bool everything) {
  Publish(&header()->everything, uint32_t{everything});
}

bool KeyLog::everything() const {
  return header()->everything != 0;
}

uint32_t KeyLog::unlogged() const {
  return header()->unlogged;
}

// --- Tidying up ------------------------------------------------------------------------------------------------------

bool KeyLog::sparse() const {
  const size_t filled = live_.size() - free_.size();
  return filled > kSegmentsToSpare && (filled - kSegmentsToSpare) * kSegmentBytes > 2 * live_bytes_;
}

void KeyLog::VisitSparse(const Visitor& visitor) {
  size_t emptiest = SIZE_MAX;
  for (size_t i = 0; i < live_.size(); ++i) {
    if (i == current_ || live_[i] == 0) continue;
    if (emptiest == SIZE_MAX || live_[i] < live_[emptiest]) emptiest = i;
  }
  if (emptiest != SIZE_MAX) VisitSegment(emptiest, visitor);
}

absl::Status KeyLog::Close() {
  if (absl::Status synced = memory_->Sync(); !synced.ok()) return synced;
  Publish(&header()->closed, uint32_t{1});
  return memory_->Sync();
}

}  // namespace crossfade
