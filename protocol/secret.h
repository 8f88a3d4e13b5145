// Are two secrets the same? In a time that depends on the length of the first only, not on where they differ, so that
// nobody can find one out by measuring. For passwords and tokens.
#pragma once

#include <cstddef>
#include <string_view>

namespace crossfade {

inline bool SecretsEqual(std::string_view given, std::string_view secret) {
  unsigned char difference = given.size() == secret.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const char expected = secret.empty() ? static_cast<char>(~given[i]) : secret[i % secret.size()];
    difference |= static_cast<unsigned char>(given[i] ^ expected);
  }
  return difference == 0;
}

}  // namespace crossfade
