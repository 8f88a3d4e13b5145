// Which clients have read which keys, so that they can be told when one changes: what a server keeps in its tracking
// table. Keys have no database here, as there. Bounded, in all and for each client; whoever can't remember more must
// let a client forget everything. Pure; owned by Tracking.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/container/node_hash_map.h"

namespace crossfade {

class ReadKeys {
 public:
  ReadKeys(size_t limit, size_t limit_of_one) : limit_(limit), limit_of_one_(limit_of_one) {}
  // What is remembered stays so.
  void set_limit(size_t limit) { limit_ = limit; }

  // False when a limit is reached: then nothing is remembered.
  bool Remember(uint64_t client, std::string_view key);
  // Who has read it; it is forgotten for all of them.
  std::vector<uint64_t> Take(std::string_view key);
  // All that one client, or anybody, has read.
  void Forget(uint64_t client);
  void Clear();

  // Whom to let forget, so that `client` can remember one key more: itself, or whoever remembers most.
  // REQUIRES: Remember has just answered false to `client`.
  uint64_t Victim(uint64_t client) const;

  // A key counts once for each client.
  size_t size() const { return size_; }
  size_t size(uint64_t client) const;

 private:
  using Readers = absl::InlinedVector<uint64_t, 2>;
  struct Hash {  // a key is found by a view of it
    using is_transparent = void;
    size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
  };

  size_t limit_, limit_of_one_;
  size_t size_ = 0;
  absl::node_hash_map<std::string, Readers, Hash, std::equal_to<>> readers_;  // by key, which stays where it is
  absl::flat_hash_map<uint64_t, absl::flat_hash_set<std::string_view, Hash>>
      keys_;  // by client; views of readers_' keys
};

}  // namespace crossfade
