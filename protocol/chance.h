// Where chance begins: random bits for what need not be guessed, only differ. The one place that the simulator
// replaces, so that its runs can be repeated.
#pragma once

#include <cstdint>

namespace crossfade {

uint64_t RandomBits();

}  // namespace crossfade
