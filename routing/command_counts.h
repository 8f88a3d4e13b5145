// How many commands of each kind clients have sent: counted by the table's row, told by family (the data type or the
// purpose, as the server's COMMAND DOCS groups them) and route. So the figures are bounded by the table, whatever names
// clients send. Counting costs one addition. Owned by Proxy.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "routing/command_table.h"

namespace crossfade {

// "string", "sorted_set", "connection" …; "module" for what modules add, and for what the table doesn't know.
std::string_view FamilyOf(const CommandRow& row);

const char* Name(Route route);

// The name under which a command's comparisons are told: its own if it is one of Redis 7.0's whose answers can be
// compared, "other" otherwise. At most kMaxComparedNames in all.
std::string_view ComparedName(std::string_view command);
inline constexpr size_t kMaxComparedNames = 100;

class CommandCounts {
 public:
  CommandCounts() : by_row_(AllCommands().size()) {}

  // `row`: what FindRow has found. nullptr: nobody knows the command.
  void Count(const CommandRow* row) {
    if (row == nullptr) {
      ++unknown_;
      return;
    }
    const size_t index = static_cast<size_t>(row - first_row_);
    ++(index < by_row_.size() ? by_row_[index] : learnt_[static_cast<size_t>(row->route)]);
  }

  struct Entry {
    std::string_view family;
    const char* route;
    uint64_t count;
  };
  // Every pair of a family and a route that the table has, also those of which none came; then what isn't in the table.
  std::vector<Entry> ByFamilyAndRoute() const;

 private:
  static constexpr size_t kRoutes = 9;

  const CommandRow* first_row_ = AllCommands().data();
  std::vector<uint64_t> by_row_;
  uint64_t learnt_[kRoutes] = {};  // of modules that the primary has and the table doesn't know
  uint64_t unknown_ = 0;
};

}  // namespace crossfade
