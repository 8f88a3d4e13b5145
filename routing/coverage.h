// How much of the traffic was compared, by command and by prefix of the keys: what a report says of its samples.
//
// A prefix is a key's part up to and with its first ':', within kMaxPrefixBytes. Keys without one are counted under
// "(none)", commands without a key under "(no key)", and what there is no more room for under "(other)": a client that
// makes up names costs no memory. Only the first key of a command counts. Not thread-safe; owned by Proxy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "protocol/request.h"
#include "routing/command_table.h"

namespace crossfade {

struct Tally {
  uint64_t reads = 0;       // answered to clients
  uint64_t comparable = 0;  // … of commands whose answers two stores have in common: not SCAN, not DUMP
  uint64_t writes = 0;      // accepted by the primary
  uint64_t compared = 0;    // reads whose two answers were held against each other
  uint64_t mismatched = 0;  // … and differed, confirmed by a second look

  Tally& operator+=(const Tally& other);
};

class Coverage {
 public:
  using Table = absl::flat_hash_map<std::string, Tally>;

  static constexpr size_t kMaxCommands = 1024;
  static constexpr size_t kMaxPrefixes = 256;
  static constexpr size_t kMaxPrefixBytes = 64;

  // Adds `what` to the command's row and to its first key's: {.writes = 1}.
  void Count(const Tally& what, std::string_view command, RequestView request, const KeyIndices& keys);
  // The same for a command whose first key is known, "" and `keyless` when it has none.
  void Count(const Tally& what, std::string_view command, std::string_view key, bool keyless);

  const Table& by_command() const { return by_command_; }
  const Table& by_prefix() const { return by_prefix_; }

  // As described above.
  static std::string_view PrefixOf(std::string_view key);

 private:
  static Tally& Row(Table* table, std::string_view name, size_t most);

  Table by_command_, by_prefix_;
};

}  // namespace crossfade
