// The SHA1 of some bytes, as servers name scripts by it. Not for secrets. Pure.
#pragma once

#include <string>
#include <string_view>

namespace crossfade {

// 40 lower-case hexadecimal digits.
std::string Sha1Hex(std::string_view bytes);

}  // namespace crossfade
