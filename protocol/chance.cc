#include "protocol/chance.h"

#include <random>

namespace crossfade {

uint64_t RandomBits() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace crossfade
