#include "routing/module_commands.h"

#include <algorithm>
#include <utility>

#include "protocol/reply.h"

namespace crossfade {

namespace {

constexpr size_t kMaxRows = 4096;  // a server that claims more is not believed further
constexpr size_t kMaxNameBytes = 128;

constexpr std::string_view kUnplaced =
    "Crossfade does not know this command, and the primary's COMMAND does not say which keys it writes.";
constexpr std::string_view kAdminOnly =
    "Crossfade does not know this command, and the primary's COMMAND says that it is an administrator's. Run it on a "
    "store directly.";

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

uint32_t FlagsOf(const Reply& names) {
  constexpr std::pair<std::string_view, uint32_t> kNames[] = {
      {"write", kFlagWrite},       {"readonly", kFlagReadonly},
      {"admin", kFlagAdmin},       {"pubsub", kFlagPubsub},
      {"blocking", kFlagBlocking}, {"no_auth", kFlagNoAuth},
      {"no_multi", kFlagNoMulti},  {"fast", kFlagFast},
      {"denyoom", kFlagDenyOom},   {"movablekeys", kFlagMovableKeys}};
  uint32_t flags = 0;
  for (const Reply& name : names.items) {
    for (const auto& [text, flag] : kNames) {
      if (EqualsIgnoreCase(name.text, text)) flags |= flag;
    }
  }
  return flags;
}

}  // namespace

void ModuleCommands::Learn(std::string_view command_reply) {
  const Reply reply = ParseReply(command_reply);
  if (!reply.is_aggregate()) return;

  arities_.clear();
  known_.assign(AllCommands().size(), false);
  for (const CommandRow& row : AllCommands()) arities_.push_back(row.arity);
  for (const Reply& entry : reply.items) Add(entry);
}

// One entry of COMMAND: name, arity, flags, first key, last key, step, categories, tips, key specifications,
// subcommands. Servers before 7.0 end after the categories or the step.
void ModuleCommands::Add(const Reply& entry) {
  if (entry.items.size() < 6 || rows_.size() >= kMaxRows) return;
  const std::string name = LowerCase(entry.items[0].text);
  if (name.empty() || name.size() > kMaxNameBytes) return;
  if (entry.items.size() >= 10) {
    for (const Reply& subcommand : entry.items[9].items) Add(subcommand);
  }
  if (const CommandRow* known = FindCommandByName(name); known != nullptr) {
    known_[static_cast<size_t>(known - first_row_)] = true;
    arities_[static_cast<size_t>(known - first_row_)] = static_cast<int>(entry.items[1].integer);
    return;
  }
  if (by_name_.contains(name)) return;
  const uint32_t flags = FlagsOf(entry.items[2]);
  const int first = static_cast<int>(entry.items[3].integer);
  const bool named_keys = first > 0 && (flags & kFlagMovableKeys) == 0;
  Row& row = rows_.emplace_back();
  row.name = name;
  row.row = {row.name,
             static_cast<int>(entry.items[1].integer),
             flags,
             first,
             static_cast<int>(entry.items[4].integer),
             std::max(1, static_cast<int>(entry.items[5].integer)),
             first > 0 ? KeyRule::kRange : KeyRule::kNone,
             Route::kRefused,
             Effect::kNone,
             CompareRule::kNever,
             ""};
  if ((flags & (kFlagAdmin | kFlagBlocking | kFlagPubsub)) != 0) {
    row.refusal = kAdminOnly;
  } else if ((flags & kFlagReadonly) != 0) {
    row.row.route = Route::kPrimaryRead;
  } else if ((flags & kFlagWrite) != 0 && named_keys) {
    row.row.route = Route::kWrite;
    row.row.effect = Effect::kModule;
    row.row.compare = CompareRule::kMultiset;
  } else {
    row.refusal = kUnplaced;
  }
  row.row.refusal = row.refusal;
  by_name_.emplace(row.name, &row.row);
}

const CommandRow* ModuleCommands::Find(RequestView request) const {
  if (rows_.empty() || request.arg(0).size() > kMaxNameBytes) return nullptr;
  std::string name = LowerCase(request.arg(0));
  if (request.argc() > 1 && request.arg(1).size() <= kMaxNameBytes) {
    const auto subcommand = by_name_.find(name + "|" + LowerCase(request.arg(1)));
    if (subcommand != by_name_.end()) return subcommand->second;
  }
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

}  // namespace crossfade
