// Canary keys: one of every type, made on one store so that it can be seen whether another takes it over as it is. The
// commands that make and read them, and whether two readings say the same. Pure.
//
// Their names begin with kCanaryPrefix, which sweeps and verifications pass over; each is given a minute to live in the
// same breath in which it is made, so that nothing stays, whatever happens to who made it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "routing/rebuild_commands.h"

namespace crossfade {

inline constexpr int64_t kCanaryMs = 60'000;

struct Canary {
  std::string kind;  // for people
  ValueType type;
  std::string_view type_name;
  std::string key;
  std::vector<std::vector<std::string>> make;  // PEXPIRE is the last
  std::vector<std::vector<std::string>> read;  // the last is PTTL
};

// `random` makes the names unique.
std::vector<Canary> MakeCanaries(uint64_t random);

void AddAll(const std::vector<std::vector<std::string>>& commands, CommandBatch* batch);

// Do the answers to `read` say the same, times to live within what may pass between them? `what`: the first command
// whose answers differ.
bool ReadingsAgree(const Canary& canary, std::span<const std::string> a, std::span<const std::string> b,
                   int64_t tolerance_ms, std::string* what);

// The version in the footer of DUMP's answer; 0 when there is none.
int RdbVersion(std::string_view dump_reply);

}  // namespace crossfade
