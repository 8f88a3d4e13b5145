// EXEC as one block: which of its keys are copied after it because a command's effect on them can't be told from its
// reply (an approximate trim, a script, SORT … STORE), and the block that the secondary gets. Pure.
//
// A copied key is taken from the primary directly after EXEC, so it holds what every command of the block did to it.
// Whatever else of the block touches a copied key is left out, and what such a command writes is copied as well.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "routing/rewrite.h"
#include "routing/session.h"

namespace crossfade {

struct BlockCopies {
  struct Key {
    int db = 0;
    std::string name;
    friend bool operator==(const Key&, const Key&) = default;
  };
  std::vector<Key> keys;      // by database, each once
  std::vector<bool> covered;  // by command: its effect comes with the copies
};

// `copies_its_keys(command)`: must this command's keys be copied?
BlockCopies PlanCopies(const std::vector<QueuedCommand>& commands,
                       const std::function<bool(const QueuedCommand&)>& copies_its_keys);

// The key in another database that MOVE or COPY … DB writes; false for everything else.
bool OtherDatabaseKey(const CommandRow& row, RequestView request, BlockCopies::Key* key);

// The primary's answers to EXEC and what was asked beside it.
struct BlockResult {
  std::span<const std::string> elements;    // EXEC's, one per command, RESP
  std::span<const std::string> companions;  // PTTL and DUMP of each copied key
  // Does a script that fails on the primary fail alike on the secondary? Not if another user's rights made it fail.
  bool fails_alike = true;
};

// One of the expectations' place: the command that it belongs to, or -1 (SELECT, a copy).
struct BlockFollow {
  std::vector<int> element_of;
};

// Appends the block for the secondary, in MULTI and EXEC unless it is a single command. `accepted` gives the Accepted
// of command i. Sets follow->unknown when the copies make no sense.
void RewriteBlock(const std::vector<QueuedCommand>& commands, int db, const BlockCopies& copies,
                  const BlockResult& result, const WriteTimes& times, const std::function<Accepted(size_t i)>& accepted,
                  Follow* follow, BlockFollow* block);

}  // namespace crossfade
