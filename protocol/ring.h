// A first-in, first-out queue in one block of memory that grows by doubling and never shrinks by itself. Elements are
// numbered for ever: `begin()` is the number of the oldest one, `end()` that of the next; a number names the same
// element for as long as it is in the queue. Popped elements are not destroyed but kept for their capacity: Push hands
// an old one out again, and the caller resets what it holds. No locks, no iterators.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "protocol/check.h"

namespace crossfade {

template <typename T>
class Ring {
 public:
  explicit Ring(size_t initial_capacity = 16) {
    size_t capacity = 1;
    while (capacity < initial_capacity) capacity *= 2;
    items_.resize(capacity);
  }

  uint64_t begin() const { return begin_; }
  uint64_t end() const { return end_; }
  size_t size() const { return static_cast<size_t>(end_ - begin_); }
  bool empty() const { return begin_ == end_; }
  size_t capacity() const { return items_.size(); }
  bool Contains(uint64_t number) const { return number >= begin_ && number < end_; }

  // REQUIRES: Contains(number). The reference is valid until the next Push.
  T& operator[](uint64_t number) {
    CHECK(Contains(number));
    return items_[number & (items_.size() - 1)];
  }
  const T& operator[](uint64_t number) const {
    CHECK(Contains(number));
    return items_[number & (items_.size() - 1)];
  }
  T& front() { return (*this)[begin_]; }

  // Appends a recycled element, in whatever state it was popped.
  T& Push() {
    if (size() == items_.size()) Grow();
    return items_[end_++ & (items_.size() - 1)];
  }
  void Pop() {
    CHECK(!empty());
    ++begin_;
  }

 private:
  void Grow() {
    std::vector<T> grown(items_.size() * 2);
    for (uint64_t i = begin_; i != end_; ++i) {
      grown[i & (grown.size() - 1)] = std::move(items_[i & (items_.size() - 1)]);
    }
    items_ = std::move(grown);
  }

  std::vector<T> items_;
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
};

}  // namespace crossfade
