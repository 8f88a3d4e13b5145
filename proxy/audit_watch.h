// What happens by itself, for the audit trail: looks once a second at what nobody commands (a store is gone, the
// breaker opens, the primary is not believed, everything is dirty, the stores agree, a job ends) and notes what has
// changed since the last look.
//
// Bounded: what moves to and fro all the time is noted kBurst times, and then at most every kCalmMs, with the number of
// changes in between, so that it can't push people's changes out of the trail. Owned by Proxy.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "proxy/audit.h"

namespace crossfade {

class Proxy;

// One thing that is so now.
struct WatchedFact {
  const char* what = "";
  std::string state = {};
  std::string reason = {};
};

std::vector<WatchedFact> FactsOf(const Proxy& proxy);

class AuditWatch {
 public:
  static constexpr int kBurst = 10;
  static constexpr int64_t kCalmMs = 60'000;

  // Must outlive this object.
  explicit AuditWatch(Audit* audit) : audit_(audit) {}

  // The first look at a thing notes nothing. `now_ms` is monotonic.
  void Look(const std::vector<WatchedFact>& facts, int64_t now_ms);

 private:
  struct Known {
    std::string seen, noted;  // the state at the last look, and the last one that was noted
    int left = kBurst;
    int64_t refilled_ms = 0;
    int unnoted = 0;
  };

  Audit* audit_;
  std::map<std::string, Known> known_;  // by what; as many as FactsOf names
};

}  // namespace crossfade
