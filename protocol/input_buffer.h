// The bytes that came but are not yet a whole message. Most reads hold only whole messages: those are parsed where they
// lie, and this buffer stays empty and costs nothing. Belongs to one connection.
//
//   std::string_view unread = buffer.Join(bytes);
//   while (parser.Parse(unread, …) == kDone) unread.remove_prefix(consumed);
//   buffer.Keep(unread, parser.wanted_bytes());
#pragma once

#include <string>
#include <string_view>

namespace crossfade {

class InputBuffer {
 public:
  // What was kept, followed by `fresh`. Valid until the next call, and no longer than `fresh` itself.
  std::string_view Join(std::string_view fresh) {
    if (start_ == kept_.size()) return fresh;
    kept_.append(fresh);
    return std::string_view(kept_).substr(start_);
  }

  // REQUIRES: `unread` is a suffix of what Join returned. `wanted`: see the parsers; a hint for the buffer's size.
  void Keep(std::string_view unread, size_t wanted) {
    const bool inside = unread.data() >= kept_.data() && unread.data() < kept_.data() + kept_.size();
    if (unread.empty()) {
      Clear();
    } else if (inside) {
      start_ = static_cast<size_t>(unread.data() - kept_.data());
      if (start_ > kept_.size() / 2) {
        kept_.erase(0, start_);
        start_ = 0;
      }
    } else {
      kept_.assign(unread);
      start_ = 0;
    }
    if (wanted > kReserveFrom && wanted < kReserveUpTo) kept_.reserve(start_ + wanted);
  }

  size_t size() const { return kept_.size() - start_; }

 private:
  // A promised size is believed only up to here: beyond, memory grows as the bytes come.
  static constexpr size_t kReserveFrom = 64 << 10;
  static constexpr size_t kReserveUpTo = 1 << 20;

  void Clear() {
    start_ = 0;
    if (kept_.capacity() > 0) std::string().swap(kept_);
  }

  std::string kept_;
  size_t start_ = 0;
};

}  // namespace crossfade
