// What a verification was asked to do, how far it has come, and what it found: plain data, its JSON, and how it is read
// again from the state directory. Proxy/verify fills it; the admin API, the status and the command line show it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "nlohmann/json.hpp"
#include "proxy/key_check.h"

namespace crossfade {

struct VerifyOptions {
  bool repair = false;          // what differs is copied, and compared again
  double sample = 100;          // percent of the keys, always the same ones
  std::string match;            // a glob as SCAN takes it; empty: every key
  int db = -1;                  // of all databases when negative
  int64_t keys_per_second = 0;  // 0: verify.keys_per_second

  // Does it look at every key?
  bool full() const { return sample >= 100 && match.empty() && db < 0; }
};

enum class VerifyState : uint8_t { kIdle, kRunning, kDone, kFailed, kCancelled };
const char* Name(VerifyState state);

// How a key may differ, said of new, whoever is the primary.
enum class VerifyKind : uint8_t { kValue, kTtl, kType, kMissingOnNew, kOnlyOnNew };
inline constexpr int kVerifyKinds = 5;
const char* Name(VerifyKind kind);
// REQUIRES: difference isn't kNone.
VerifyKind KindOf(KeyDifference difference, Side secondary);

// Why a key was given up undecided.
enum class Undecided : uint8_t {
  kBusy,      // it changed, or was out of reach, each time that we looked
  kExpiring,  // it differed each time, with next to nothing left to live
  kDirty,     // it waits for its repair
};
inline constexpr int kUndecidedKinds = 3;
const char* Name(Undecided why);

struct VerifyDifference {
  int db = 0;
  std::string key;  // as EscapedName gives it
  VerifyKind kind = VerifyKind::kValue;
  bool repaired = false;
};

struct VerifyResult {
  static constexpr size_t kMaxListed = 2000;

  VerifyState state = VerifyState::kIdle;
  std::string why;  // it has not finished
  VerifyOptions options;
  std::string phase;                     // what it is doing
  std::string waiting_for;               // not empty: nothing can be compared now
  int64_t started_ms = 0, ended_ms = 0;  // wall clock

  uint64_t keys_checked = 0, keys_total = 0;
  uint64_t scanned = 0, to_scan = 0;  // names gone through on both sides: the progress
  double per_second = 0;              // names, lately
  uint64_t windows = 0;               // of large values

  uint64_t equal = 0;
  uint64_t differ[kVerifyKinds] = {};
  uint64_t not_comparable = 0;
  uint64_t undecided[kUndecidedKinds] = {};
  uint64_t repaired = 0;                      // of those that differed
  uint64_t unconfirmed = 0;                   // differed at the first look, and not at the second: counted as equal
  uint64_t left_out = 0;                      // renamed or copied meanwhile, and too many to look at again
  std::vector<VerifyDifference> differences;  // in the order of finding, at most kMaxListed

  uint64_t differing() const;
  uint64_t all_undecided() const;
  // Every key was compared, and is equal now.
  bool proves_equality() const;
};

// At most `max_listed` of the differences.
nlohmann::json VerifyJson(const VerifyResult& result, size_t max_listed);
// What VerifyJson gave. False when it makes no sense.
bool ReadVerifyJson(const std::string& text, VerifyResult* result);

// A key's name for people and machines, without loss: printable ASCII as it is, a backslash doubled, any other byte as
// \xNN. Names of more than kMaxNameBytes are cut, and end in "…".
inline constexpr size_t kMaxNameBytes = 1024;
std::string EscapedName(std::string_view key);

}  // namespace crossfade
