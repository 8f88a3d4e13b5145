// What is held in memory for clients and stores, as one sum (limits.memory): requests that are not whole yet, commands
// that a store has not answered, replies that nobody has taken. Each holder has a MemoryShare, and says what it holds
// whenever that changes; so the sum is always right, and costs two additions a change. Bytes are those of the messages,
// not of the allocator. Owned by Proxy; what is bounded by a count of keys (limits.dirty_keys and its kin) is not in
// it.
//
// The acts, when the sum reaches the limit (Proxy::OnMemoryFull, Client::Answer):
// 1. the secondary's queue is dropped and its keys made dirty, if that alone brings the sum below the mark: a secondary
//    in trouble must not hurt clients;
// 2. nothing more is read from clients, and new ones are refused, until the sum is below the mark, 7/8 of the limit;
// 3. a client that is due another reply, with more than limits.client_output unread, is disconnected;
// 4. when clients alone hold more than the mark, so that waiting for the stores can't help, the one that holds most is
//    disconnected, one a second.
// So the sum exceeds the limit by at most one read of each client and limits.client_output of each, and what was on its
// way already.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "protocol/check.h"

namespace crossfade {

// A sum with a limit. It is full from when the limit is reached until the sum is below 7/8 of it: so that who waits for
// room isn't woken for each message.
class BoundedSum {
 public:
  explicit BoundedSum(int64_t limit) { set_limit(limit); }

  void set_limit(int64_t limit) {
    limit_ = static_cast<size_t>(limit);
    mark_ = limit_ - limit_ / 8;
    Look();
  }
  void Add(size_t amount) {
    used_ += amount;
    if (used_ >= limit_ || used_ > peak_) Look();
  }
  // True when there is room again, that there wasn't.
  bool Subtract(size_t amount) {
    CHECK(amount <= used_);
    used_ -= amount;
    if (!full_ || used_ >= mark_) return false;
    full_ = false;
    return true;
  }

  size_t used() const { return used_; }
  size_t peak() const { return peak_; }
  size_t limit() const { return limit_; }
  size_t mark() const { return mark_; }
  bool full() const { return full_; }
  uint64_t reached() const { return reached_; }  // how often

 private:
  void Look() {
    peak_ = std::max(peak_, used_);
    if (full_) full_ = used_ >= mark_;
    if (full_ || used_ < limit_) return;
    full_ = true;
    ++reached_;
  }

  size_t used_ = 0, peak_ = 0, limit_ = 0, mark_ = 0;
  bool full_ = false;
  uint64_t reached_ = 0;
};

class MemoryAccount {
 public:
  enum class Holder : uint8_t {
    kInput,      // what clients have sent: requests that are not whole, or wait their turn; transactions being queued
    kOutput,     // replies and messages for clients
    kPrimary,    // commands in flight to the primary
    kSecondary,  // what the secondary has not answered
    kStores,     // on connections to stores: replies that are not whole yet, and what the kernel has not taken
    kPrivate,    // on connections to stores that belong to one client
  };
  static constexpr size_t kHolders = 6;

  // `on_full` and `on_room` are told when the sum reaches its limit, and when there is room again: inside the call that
  // brought it about, so they only take note.
  MemoryAccount(int64_t limit, std::function<void()> on_full, std::function<void()> on_room)
      : sum_(limit), on_full_(std::move(on_full)), on_room_(std::move(on_room)) {}

  void Change(Holder holder, size_t before, size_t after) {
    size_t& held = held_[static_cast<size_t>(holder)];
    held = held - before + after;
    if (after > before) {
      const bool was_full = sum_.full();
      sum_.Add(after - before);
      if (sum_.full() && !was_full) on_full_();
    } else if (sum_.Subtract(before - after)) {
      on_room_();
    }
  }
  void set_limit(int64_t limit) {
    const bool was_full = sum_.full();
    sum_.set_limit(limit);
    if (was_full != sum_.full()) was_full ? on_room_() : on_full_();
  }

  const BoundedSum& sum() const { return sum_; }
  bool full() const { return sum_.full(); }
  size_t held(Holder holder) const { return held_[static_cast<size_t>(holder)]; }
  size_t of_clients() const { return held(Holder::kInput) + held(Holder::kOutput); }

 private:
  BoundedSum sum_;
  std::array<size_t, kHolders> held_{};
  std::function<void()> on_full_, on_room_;
};

// What one holder holds now. Gives it back when it dies. Without an account it only remembers.
class MemoryShare {
 public:
  MemoryShare() = default;
  MemoryShare(MemoryAccount* account, MemoryAccount::Holder holder) : account_(account), holder_(holder) {}
  ~MemoryShare() { Set(0); }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  // REQUIRES: it holds nothing. `account` outlives this object.
  void Join(MemoryAccount* account, MemoryAccount::Holder holder) {
    CHECK(bytes_ == 0);
    account_ = account;
    holder_ = holder;
  }
  void Set(size_t bytes) {
    if (bytes == bytes_) return;
    const size_t before = std::exchange(bytes_, bytes);
    if (account_ != nullptr) account_->Change(holder_, before, bytes);
  }
  void Add(size_t bytes) { Set(bytes_ + bytes); }
  void Subtract(size_t bytes) {
    CHECK(bytes <= bytes_);
    Set(bytes_ - bytes);
  }
  size_t bytes() const { return bytes_; }
  bool account_full() const { return account_ != nullptr && account_->full(); }

 private:
  MemoryAccount* account_ = nullptr;
  MemoryAccount::Holder holder_ = MemoryAccount::Holder::kInput;
  size_t bytes_ = 0;
};

}  // namespace crossfade
