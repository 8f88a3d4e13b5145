#include "routing/command_table.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <vector>

#include "routing/command_rows.h"

namespace crossfade {

namespace {

constexpr char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// FNV-1a over the lower-case text. `hash` continues an earlier one, so that "xgroup", "|" and "CREATE" hash as
// "xgroup|create" without being joined.
constexpr uint32_t kHashSeed = 2166136261u;
constexpr uint32_t Hash(std::string_view text, uint32_t hash) {
  for (char c : text) {
    hash = (hash ^ static_cast<unsigned char>(Lower(c))) * 16777619u;
  }
  return hash;
}

// The rows by name: an open-addressing table, built once at the first lookup and constant from then on.
class CommandTable {
 public:
  struct Slot {
    const CommandRow* row = nullptr;  // nullptr: free
    uint32_t hash = 0;
    bool is_container = false;
    bool is_subcommand = false;
  };

  CommandTable();

  std::span<const CommandRow> rows() const { return rows_; }

  // The slot of `name`, or of "name|subcommand" when there is a subcommand. `hash` is that of the whole.
  const Slot* Find(uint32_t hash, std::string_view name, std::string_view subcommand = {}) const;
  const Slot* FindName(std::string_view name) const {
    return name.size() > longest_name_ ? nullptr : Find(Hash(name, kHashSeed), name);
  }
  // REQUIRES: `container` is a slot that is one.
  const Slot* FindSubcommand(const Slot& container, std::string_view subcommand) const {
    if (subcommand.empty() || subcommand.size() > longest_name_) return nullptr;
    return Find(Hash(subcommand, Hash("|", container.hash)), container.row->name, subcommand);
  }

 private:
  // A power of two, more than twice the number of rows.
  static constexpr size_t kSlots = 2048;

  void Insert(const CommandRow& row);

  std::vector<CommandRow> rows_;
  std::array<Slot, kSlots> slots_;
  size_t longest_name_ = 0;  // a longer argument is nobody's name, and isn't worth hashing
};

CommandTable::CommandTable() {
  for (auto part :
       {KeyspaceRows(), CollectionRows(), SortedRows(), ConnectionRows(), ServerRows(), NewerRows(), ModuleRows()}) {
    rows_.insert(rows_.end(), part.begin(), part.end());
  }
  std::sort(rows_.begin(), rows_.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const CommandRow& row : rows_) {
    Insert(row);
  }
}

// A container's name sorts before those of its subcommands, so its slot is there when they come.
void CommandTable::Insert(const CommandRow& row) {
  longest_name_ = std::max(longest_name_, row.name.size());
  uint32_t hash = Hash(row.name, kHashSeed);
  size_t i = hash % kSlots;
  while (slots_[i].row != nullptr) {
    i = (i + 1) % kSlots;
  }
  size_t bar = row.name.find('|');
  bool is_subcommand = bar != std::string_view::npos;
  slots_[i] = {&row, hash, false, is_subcommand};
  if (is_subcommand) {
    const Slot* container = FindName(row.name.substr(0, bar));
    if (container != nullptr) slots_[container - slots_.data()].is_container = true;
  }
}

const CommandTable::Slot* CommandTable::Find(uint32_t hash, std::string_view name, std::string_view subcommand) const {
  for (size_t i = hash % kSlots; slots_[i].row != nullptr; i = (i + 1) % kSlots) {
    if (slots_[i].hash != hash) continue;
    std::string_view found = slots_[i].row->name;
    if (subcommand.empty()) {
      if (EqualsIgnoreCase(found, name)) return &slots_[i];
    } else if (found.size() == name.size() + 1 + subcommand.size() && found[name.size()] == '|' &&
               EqualsIgnoreCase(found.substr(0, name.size()), name) &&
               EqualsIgnoreCase(found.substr(name.size() + 1), subcommand)) {
      return &slots_[i];
    }
  }
  return nullptr;
}

const CommandTable& Table() {
  static const CommandTable& table = *new CommandTable;  // lives as long as the process
  return table;
}

// A count as a client wrote it. Redis takes only the shortest form; Dragonfly also takes "+2", " 2" and "02". What one
// of them takes must be understood here, or a write's keys would be missed; what the other refuses does no harm.
std::optional<size_t> ParseCount(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return std::nullopt;
  text = text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
  if (text.size() > 1 && text[0] == '+') text.remove_prefix(1);
  size_t count = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return count;
}

void AppendRange(size_t first, size_t last, size_t step, KeyIndices* keys) {
  for (size_t i = first; i <= last; i += step) {
    keys->push_back(static_cast<uint32_t>(i));
  }
}

void AppendTableRange(const CommandRow& row, size_t argc, KeyIndices* keys) {
  auto count = static_cast<int64_t>(argc);
  int64_t last = row.last_key < 0 ? count + row.last_key : row.last_key;
  last = std::min(last, count - 1);
  if (last >= row.first_key) AppendRange(row.first_key, last, row.step, keys);
}

// numkeys at argv[at], the keys behind it, each the first of `step` arguments. No keys if there are fewer arguments
// than it says.
void AppendCounted(RequestView request, size_t at, KeyIndices* keys, size_t step = 1) {
  if (at >= request.argc()) return;
  std::optional<size_t> count = ParseCount(request.arg(at));
  size_t available = request.argc() - at - 1;
  if (!count || *count == 0 || *count > available / step) return;
  AppendRange(at + 1, at + *count * step, step, keys);
}

// The options are walked one by one, because a group, a consumer or a key may itself be called "streams".
// CLAIM is of Redis 8.4, MAXCOUNT and MAXSIZE of 8.10; older servers answer them with an error.
void AppendStreams(RequestView request, KeyIndices* keys) {
  for (size_t i = 1; i < request.argc(); ++i) {
    std::string_view option = request.arg(i);
    if (EqualsIgnoreCase(option, "streams")) {
      size_t half = (request.argc() - i - 1) / 2;
      AppendRange(i + 1, i + half, 1, keys);
      return;
    }
    if (EqualsIgnoreCase(option, "count") || EqualsIgnoreCase(option, "block") || EqualsIgnoreCase(option, "claim") ||
        EqualsIgnoreCase(option, "maxcount") || EqualsIgnoreCase(option, "maxsize")) {
      i += 1;
    } else if (EqualsIgnoreCase(option, "group")) {
      i += 2;
    } else if (!EqualsIgnoreCase(option, "noack")) {
      return;
    }
  }
}

// Options as sortCommand reads them; the last STORE wins. (COMMAND GETKEYS, which also takes STORE's argument for an
// option, is wrong about SORT a STORE limit STORE b.)
void AppendSort(RequestView request, KeyIndices* keys) {
  if (request.argc() < 2) return;
  keys->push_back(1);
  uint32_t store = 0;
  for (size_t i = 2; i < request.argc(); ++i) {
    std::string_view option = request.arg(i);
    if (EqualsIgnoreCase(option, "limit")) {
      i += 2;
    } else if (EqualsIgnoreCase(option, "by") || EqualsIgnoreCase(option, "get")) {
      i += 1;
    } else if (EqualsIgnoreCase(option, "store") && i + 1 < request.argc()) {
      i += 1;
      store = static_cast<uint32_t>(i);
    }
  }
  if (store != 0) keys->push_back(store);
}

// As georadiusGetKeys of Redis: the last STORE or STOREDIST is the one that is written. (COMMAND GETKEYS of 7.0 gives
// both when both are there.)
void AppendGeoStore(RequestView request, KeyIndices* keys) {
  if (request.argc() < 2) return;
  keys->push_back(1);
  uint32_t store = 0;
  for (size_t i = 5; i + 1 < request.argc(); ++i) {
    if (EqualsIgnoreCase(request.arg(i), "store") || EqualsIgnoreCase(request.arg(i), "storedist")) {
      i += 1;
      store = static_cast<uint32_t>(i);
    }
  }
  if (store != 0) keys->push_back(store);
}

// MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password] [AUTH2 user password] [KEYS key …]
void AppendMigrate(RequestView request, KeyIndices* keys) {
  if (request.argc() < 4) return;
  for (size_t i = 6; i < request.argc(); ++i) {
    std::string_view option = request.arg(i);
    if (EqualsIgnoreCase(option, "keys")) {
      if (request.arg(3).empty()) AppendRange(i + 1, request.argc() - 1, 1, keys);
      return;  // KEYS and a key: the server answers an error
    }
    if (EqualsIgnoreCase(option, "auth")) i += 1;
    if (EqualsIgnoreCase(option, "auth2")) i += 2;
  }
  keys->push_back(3);
}

}  // namespace

const CommandRow* FindCommand(RequestView request) {
  const CommandTable& table = Table();
  const CommandTable::Slot* slot = table.FindName(request.arg(0));
  if (slot == nullptr || slot->is_subcommand) return nullptr;  // "client|id" as one word is no command
  if (slot->is_container && request.argc() > 1) {
    const CommandTable::Slot* subcommand = table.FindSubcommand(*slot, request.arg(1));
    if (subcommand != nullptr) return subcommand->row;
  }
  return slot->row;
}

const CommandRow* FindCommandByName(std::string_view name) {
  const CommandTable::Slot* slot = Table().FindName(name);
  return slot == nullptr ? nullptr : slot->row;
}

std::string SpelledCommand(std::string_view name) {
  std::string spelled(name);
  std::transform(spelled.begin(), spelled.end(), spelled.begin(),
                 [](unsigned char c) { return c == '|' ? ' ' : static_cast<char>(std::toupper(c)); });
  return spelled;
}

std::span<const CommandRow> AllCommands() {
  return Table().rows();
}

bool IsNewer(const CommandRow& row) {
  for (auto part : {NewerRows(), ModuleRows()}) {
    if (std::any_of(part.begin(), part.end(), [&](const CommandRow& newer) { return newer.name == row.name; })) {
      return true;
    }
  }
  return false;
}

bool ArityMatches(int arity, size_t argc) {
  // A server says what it likes: the least of all ints has no positive one.
  return arity >= 0 ? argc == static_cast<size_t>(arity) : argc >= static_cast<size_t>(-static_cast<int64_t>(arity));
}

bool IsContainer(const CommandRow& row) {
  const CommandTable::Slot* slot = Table().FindName(row.name);
  return slot != nullptr && slot->is_container;
}

KeyIndices FindKeys(const CommandRow& row, RequestView request) {
  KeyIndices keys;
  switch (row.keys) {
    case KeyRule::kNone:
      break;
    case KeyRule::kRange:
      AppendTableRange(row, request.argc(), &keys);
      break;
    case KeyRule::kNumKeysAt1:
      AppendCounted(request, 1, &keys);
      break;
    case KeyRule::kNumPairsAt1:
      AppendCounted(request, 1, &keys, 2);
      break;
    case KeyRule::kNumKeysAt2:
      AppendCounted(request, 2, &keys);
      break;
    case KeyRule::kDestNumKeysAt2:
      if (request.argc() > 1) keys.push_back(1);
      AppendCounted(request, 2, &keys);
      break;
    case KeyRule::kStreams:
      AppendStreams(request, &keys);
      break;
    case KeyRule::kSort:
      AppendSort(request, &keys);
      break;
    case KeyRule::kGeoStore:
      AppendGeoStore(request, &keys);
      break;
    case KeyRule::kMigrate:
      AppendMigrate(request, &keys);
      break;
  }
  return keys;
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

}  // namespace crossfade
