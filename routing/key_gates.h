// Keys that somebody works on outside of the lane: a transaction under WATCH runs on its own connection, so nothing may
// be in flight on its keys meanwhile, and what wants them waits (DESIGN.md, section 4, exclusive slots); and a value
// that is copied in pieces must not change meanwhile: only who writes it waits. Pure; owned by the Lane. A gate covers
// its keys in every database: MOVE and COPY reach across, and gates are few.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/request.h"
#include "routing/command_table.h"

namespace crossfade {

class KeyGates {
 public:
  using Id = uint64_t;

  // `everything`: it may touch keys that nobody can name.
  Id Close(std::vector<std::string> keys, bool everything) {
    gates_.push_back({++last_id_, std::move(keys), everything, false});
    return last_id_;
  }
  // Reads of the key go on.
  Id CloseForWrites(std::string key) {
    gates_.push_back({++last_id_, {std::move(key)}, false, true});
    return last_id_;
  }
  void Open(Id id) {
    std::erase_if(gates_, [id](const Gate& gate) { return gate.id == id; });
  }

  bool empty() const { return gates_.empty(); }
  size_t size() const { return gates_.size(); }
  // Must who wants to write the key (or only to read it) wait?
  bool Blocks(std::string_view key, bool writes = true) const {
    for (const Gate& gate : gates_) {
      if (!writes && gate.reads_pass) continue;
      if (gate.everything) return true;
      for (const std::string& name : gate.keys) {
        if (name == key) return true;
      }
    }
    return false;
  }
  // A command that writes keys which it doesn't name (FLUSHALL) waits for every gate.
  bool Blocks(const CommandRow& row, RequestView request) const {
    if (gates_.empty()) return false;
    const KeyIndices keys = FindKeys(row, request);
    const bool writes = row.route == Route::kWrite;
    for (uint32_t key : keys) {
      if (Blocks(request.arg(key), writes)) return true;
    }
    // SCRIPT FLUSH would take away what a transaction runs.
    const bool scripts = row.route == Route::kBoth && !row.name.ends_with("publish");
    return keys.empty() && (writes || (scripts && AnyForReads()));
  }

 private:
  struct Gate {
    Id id;
    std::vector<std::string> keys;
    bool everything;
    bool reads_pass;
  };
  bool AnyForReads() const {
    for (const Gate& gate : gates_) {
      if (!gate.reads_pass) return true;
    }
    return false;
  }

  std::vector<Gate> gates_;
  Id last_id_ = 0;
};

}  // namespace crossfade
