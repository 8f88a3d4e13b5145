// Which store answers a read, and whether both are asked. Pure: settings, key and chance in, choice out.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "conf/config.h"

namespace crossfade {

struct ReadChoice {
  bool from_new = false;  // asked of the backend named new, whichever role it has
  bool compare = false;   // asked of both at one logical instant
  OnMiss on_miss = OnMiss::kNil;
};

// Is this key among `percent` of all keys? Always the same ones, and with more percent those and others.
bool InShare(std::string_view key, double percent);

class ReadSplitter {
 public:
  explicit ReadSplitter(std::vector<RuleConfig> rules);

  // `key` is the first one of the read; empty for reads without keys, which are never shifted by hash.
  // `dice` are 64 random bits: for split = random, and for which reads are compared.
  // By key, the choice is by a fixed hash: raising reads_new only adds keys, also over restarts.
  ReadChoice Choose(const RoutingConfig& routing, std::string_view key, uint64_t dice) const;

  // Could any read be shifted or compared? False lets the caller skip Choose.
  bool Idle(const RoutingConfig& routing) const {
    return routing.reads_new <= 0 && routing.compare <= 0 && !rules_active_;
  }

 private:
  std::vector<RuleConfig> rules_;  // longest prefix first
  bool rules_active_ = false;
};

}  // namespace crossfade
