// Commands that the table doesn't know and the primary does: those of its modules, and those of a server newer than
// this build. Each is placed by what the server's own COMMAND says of it (DESIGN.md, section 5): one that only reads is
// asked of the primary; one that writes keys which it names is run again on the secondary, its replies are compared,
// and its keys are compared again once they are quiet; anything else is refused. Rows live as long as this object,
// since commands in flight point at them. Owned by Proxy.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "protocol/request.h"
#include "routing/command_table.h"

namespace crossfade {

class ModuleCommands {
 public:
  // Takes in the primary's reply to COMMAND: adds what the table lacks, and notes what of the table this server lacks
  // or knows with another arity. A command that was added already stays as it is.
  void Learn(std::string_view command_reply);

  // Does the primary know this command of the table? True before Learn.
  bool Known(const CommandRow& row) const {
    const size_t index = static_cast<size_t>(&row - first_row_);
    return index >= known_.size() || known_[index];
  }
  // The primary's arity of a command, where it isn't the table's.
  int ArityOf(const CommandRow& row) const {
    const size_t index = static_cast<size_t>(&row - first_row_);
    return index < arities_.size() ? arities_[index] : row.arity;
  }

  // By the request's first argument, and the second where it names a subcommand. nullptr when there is none.
  const CommandRow* Find(RequestView request) const;

  size_t size() const { return rows_.size(); }

 private:
  void Add(const struct Reply& entry);

  struct Row {
    std::string name, refusal;
    CommandRow row;
  };
  std::deque<Row> rows_;  // never moved
  absl::flat_hash_map<std::string, const CommandRow*> by_name_;

  const CommandRow* first_row_ = AllCommands().data();
  std::vector<int> arities_;  // by the table's row; empty before Learn
  std::vector<bool> known_;   // likewise
};

}  // namespace crossfade
