// The log of keys over memory that holds anything, and then in use: whatever Open accepts is visited alike twice, and
// from then on the log and a plain list of the same keys agree, over erasing, sparse segments, full disks, crashes and
// ends. What Open does not accept says that any key may be meant. Memory beyond the file's size is poisoned.
//
// The input is read by FuzzedDataProvider: keys and bytes for the image from its front, choices from its end.
#include <fuzzer/FuzzedDataProvider.h>
#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "routing/key_log.h"
#include "tests/fuzz/require.h"

namespace crossfade {
namespace {

constexpr size_t kHeadBytes = 4096, kSegmentBytes = 256 << 10;  // as KeyLog's
constexpr size_t kMaxBytes = kHeadBytes + 8 * kSegmentBytes;

// One block for all runs: what a run has used is zeros again afterwards.
class FuzzMemory : public DurableMemory {
 public:
  FuzzMemory() { ASAN_POISON_MEMORY_REGION(block_, kMaxBytes); }
  ~FuzzMemory() override {
    Truncate(0);
    ASAN_UNPOISON_MEMORY_REGION(block_, kMaxBytes);
  }

  char* data() override { return block_; }
  size_t size() const override { return size_; }
  absl::Status Grow(size_t size) override {
    if (full || size > kMaxBytes) return absl::ResourceExhaustedError("the disk is full");
    Require(size >= size_, "it only grows");
    ASAN_UNPOISON_MEMORY_REGION(block_, size);
    size_ = size;
    return absl::OkStatus();
  }
  absl::Status Sync() override { return full ? absl::UnavailableError("no sync") : absl::OkStatus(); }

  // As a torn file would be.
  void Truncate(size_t size) {
    if (size >= size_) return;
    memset(block_ + size, 0, size_ - size);
    ASAN_POISON_MEMORY_REGION(block_ + size, size_ - size);
    size_ = size;
  }

  bool full = false;

 private:
  alignas(64) static inline char block_[kMaxBytes];
  size_t size_ = 0;
};

// What one Append was given, flat and short.
std::string Flat(uint8_t tag, std::span<const KeyLog::Key> keys) {
  std::string flat(1, static_cast<char>(tag));
  for (const KeyLog::Key& key : keys) {
    flat += std::to_string(key.db) + ':' + std::to_string(key.name.size()) + ':' + std::string(key.name.substr(0, 16)) +
            std::to_string(std::hash<std::string_view>()(key.name));
  }
  return flat;
}

class World {
 public:
  explicit World(FuzzedDataProvider* input) : input_(input) {}

  void Run() {
    const bool raw = input_->ConsumeBool();
    if (raw) {
      Scribble();
      Open("boot");
      TakeOver();
    } else {
      Open("boot");
      Require(found_.fresh, "an empty file is a fresh log");
    }
    for (int steps = 0; steps < 100 && input_->remaining_bytes() > 0; ++steps) Step();
    memory_.full = false;
    Reopen(false);
  }

 private:
  using Place = KeyLog::Place;

  void Step() {
    switch (input_->ConsumeIntegralInRange(0, 15)) {
      default:
        return Append();
      case 6:
      case 7:
      case 8:
        return EraseOne();
      case 9:
        return Compact();
      case 10:
        memory_.full = !memory_.full;
        return log_->Retry();
      case 11:
        log_->Clear();
        model_.clear();
        unlogged_ = 0;
        return CheckAgrees();
      case 12:
        everything_ = input_->ConsumeBool();
        return log_->SetEverything(everything_);
      case 13:
        return Reopen(input_->ConsumeBool());
      case 14:
        return EraseWhileVisiting();
      case 15:
        // A crash in the middle of anything, or a bad disk.
        Scribble();
        if (input_->ConsumeBool()) memory_.Truncate(input_->ConsumeIntegralInRange<size_t>(0, memory_.size()));
        Open(input_->ConsumeBool() ? "boot" : "later");
        return TakeOver();
    }
  }

  // Changes single bytes and ranges of the file; makes it longer first when it is empty.
  void Scribble() {
    if (memory_.size() == 0) {
      const size_t size = input_->ConsumeIntegralInRange<size_t>(0, kMaxBytes);
      if (!memory_.Grow(size).ok()) return;
    }
    for (int i = input_->ConsumeIntegralInRange(0, 8); i > 0 && memory_.size() > 0; --i) {
      // Most of what is there is near the beginning of the header, or of a segment.
      const size_t segment = input_->ConsumeIntegralInRange<size_t>(0, 3);
      const size_t from = segment == 0 ? 0 : kHeadBytes + (segment - 1) * kSegmentBytes;
      const size_t offset = std::min(memory_.size(), from + input_->ConsumeIntegralInRange<size_t>(0, 300));
      const std::string bytes = input_->ConsumeRandomLengthString(64);
      const size_t size = std::min(bytes.size(), memory_.size() - offset);
      memcpy(memory_.data() + offset, bytes.data(), size);
    }
  }

  void Open(const char* boot_id) {
    log_ = std::make_unique<KeyLog>(&memory_);
    found_ = {};
    const bool was_full = std::exchange(memory_.full, false);
    const size_t size_before = memory_.size();
    opened_ = log_->Open(boot_id, &found_).ok();
    Require(opened_ || size_before + kSegmentBytes > kMaxBytes, "there is room for an empty log");
    memory_.full = was_full;
    boot_id_ = boot_id;
    if (!opened_) {  // begins again with a new file
      memory_.Truncate(0);
      log_ = std::make_unique<KeyLog>(&memory_);
      memory_.full = false;
      Require(log_->Open(boot_id, &found_).ok(), "there is room for an empty log in an empty file");
    }
    if (!found_.useless.empty()) Require(log_->everything(), "a useless log means everything");
    if (found_.fresh) Require(found_.useless.empty() && !log_->everything(), "a fresh log means nothing");
    if (found_.fresh || !found_.useless.empty()) Require(Visited().empty(), "it is empty then");
  }

  std::map<Place, std::string> Visited() {
    std::map<Place, std::string> visited;
    log_->Visit([&](Place place, uint8_t tag, std::span<const KeyLog::Key> keys) {
      Require(place != KeyLog::kNowhere, "what is visited has a place");
      Require(visited.emplace(place, Flat(tag, keys)).second, "each place is visited once");
    });
    Require(visited.empty() == (log_->live_bytes() == 0), "live bytes are those of records");
    Require(log_->live_bytes() <= log_->size_bytes(), "live bytes are within the file");
    return visited;
  }

  // From here on, what the log says counts.
  void TakeOver() {
    model_ = Visited();
    Require(Visited() == model_, "a second visit is like the first");
    everything_ = log_->everything();
    unlogged_ = log_->unlogged();
  }

  void CheckAgrees() {
    const auto visited = Visited();
    Require(visited == model_, "the log holds what was appended and not erased, at its places");
    Require(log_->unlogged() == unlogged_, "what is only counted is counted");
    Require(log_->everything() == everything_, "everything is as it was set");
  }

  // After a crash (the process's alone), or after a Close and a start of the machine.
  void Reopen(bool closed) {
    CheckAgrees();
    const auto before = model_;
    const bool was_full = memory_.full;
    const bool sure = !closed || log_->Close().ok();
    const char* boot_id = closed ? (boot_id_ == "boot" ? "later" : "boot") : boot_id_.c_str();
    const bool everything = everything_;
    const bool counted = unlogged_ > 0;
    Open(boot_id);
    if (!found_.useless.empty()) {
      Require(counted || !sure, "what was closed, or only crashed, can be relied on");
    } else {
      Require(!counted, "who has counted keys does not know which they were");
      Require(Visited() == before, "a crash forgets nothing and invents nothing");
      Require(log_->everything() == everything, "everything outlives a crash");
    }
    memory_.full = was_full;
    TakeOver();
  }

  void Append() {
    std::vector<std::string> names;
    std::vector<KeyLog::Key> keys;
    const int count = input_->ConsumeIntegralInRange(0, 4);
    for (int i = 0; i < count; ++i) {
      names.push_back(input_->ConsumeRandomLengthString(64));
      const int longer = input_->ConsumeIntegralInRange(0, 40);
      if (longer > 30) names.back().append(static_cast<size_t>(longer - 30) * 7000, 'x');
    }
    for (const std::string& name : names) keys.push_back({input_->ConsumeIntegralInRange(0, 65535), name});
    const uint8_t tag = input_->ConsumeIntegral<uint8_t>();
    size_t bytes = 1;
    for (const std::string& name : names) bytes += name.size();
    const size_t many = std::min<size_t>(200, 1 + kSegmentBytes / bytes);
    for (size_t times = input_->ConsumeIntegralInRange(0, 3) == 0 ? many : 1; times > 0; --times) {
      Remember(log_->Append(keys, tag), tag, keys);
    }
  }

  void Remember(Place place, uint8_t tag, std::span<const KeyLog::Key> keys) {
    if (keys.empty() && place == KeyLog::kNowhere) return;
    Require(place != KeyLog::kNowhere, "what was appended has a place");
    if (log_->unlogged() > unlogged_) {
      Require(log_->unlogged() == unlogged_ + 1, "one Append is counted once");
      counted_place_ = place;
      ++unlogged_;
      return;
    }
    Require(log_->size_bytes() <= kMaxBytes, "the file is within its size");
    Require(model_.emplace(place, Flat(tag, keys)).second, "no place is given twice");
  }

  void EraseOne() {
    if (unlogged_ > 0 && input_->ConsumeBool() && counted_place_ != KeyLog::kNowhere) {
      log_->Erase(counted_place_);
      --unlogged_;
      return;
    }
    if (model_.empty()) return;
    size_t from = input_->ConsumeIntegralInRange<size_t>(0, model_.size() - 1);
    for (int times = input_->ConsumeIntegralInRange(0, 3) == 0 ? 150 : 1; times > 0 && !model_.empty(); --times) {
      from = std::min(from, model_.size() - 1);
      const auto erased = std::next(model_.begin(), static_cast<ptrdiff_t>(from));
      log_->Erase(erased->first);
      model_.erase(erased);
    }
  }

  // What the owner of a sparse log does.
  void Compact() {
    for (int times = 0; times < 8 && log_->sparse(); ++times) {
      log_->VisitSparse([&](Place place, uint8_t tag, std::span<const KeyLog::Key> keys) {
        std::vector<std::string> names;  // the log may move or reuse what it shows
        std::vector<KeyLog::Key> own;
        for (const KeyLog::Key& key : keys) names.emplace_back(key.name);
        for (size_t i = 0; i < keys.size(); ++i) own.push_back({keys[i].db, names[i]});
        Remember(log_->Append(own, tag), tag, own);
        EraseAt(place, Flat(tag, own));
      });
    }
    CheckAgrees();
  }

  void EraseAt(Place place, const std::string& flat) {
    const auto found = model_.find(place);
    Require(found != model_.end() && found->second == flat, "what is visited was appended");
    model_.erase(found);
    log_->Erase(place);
  }

  void EraseWhileVisiting() {
    int left = 50;
    log_->Visit([&](Place place, uint8_t tag, std::span<const KeyLog::Key> keys) {
      if (left-- <= 0) return;
      EraseAt(place, Flat(tag, keys));
    });
    CheckAgrees();
  }

  FuzzedDataProvider* input_;
  FuzzMemory memory_;
  std::unique_ptr<KeyLog> log_;
  KeyLog::Found found_;
  bool opened_ = false;
  std::string boot_id_;
  std::map<Place, std::string> model_;  // what the log must hold: what was appended, and where
  uint32_t unlogged_ = 0;
  Place counted_place_ = KeyLog::kNowhere;
  bool everything_ = false;
};

}  // namespace
}  // namespace crossfade

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  crossfade::World(&input).Run();
  return 0;
}
