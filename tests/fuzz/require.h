// What every fuzz target needs: a claim that stops the target when it does not hold, a number read from the input, and
// bytes in a block of exactly their size. Nothing here knows Crossfade.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace crossfade {

// Also in builds without assert. `claim` is what should have held.
inline void Require(bool holds, const char* claim) {
  if (holds) return;
  fprintf(stderr, "does not hold: %s\n", claim);
  abort();
}

// A copy that AddressSanitizer guards at both ends.
class ExactBlock {
 public:
  explicit ExactBlock(std::string_view bytes) : size_(bytes.size()), block_(new char[size_]) {
    if (size_ > 0) memcpy(block_.get(), bytes.data(), size_);
  }
  std::string_view view() const { return std::string_view(block_.get(), size_); }

 private:
  size_t size_;
  std::unique_ptr<char[]> block_;
};

inline std::string_view InputText(const uint8_t* data, size_t size) {
  return std::string_view(reinterpret_cast<const char*>(data), size);
}

}  // namespace crossfade
