#include "routing/block.h"

#include <algorithm>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/companion.h"

namespace crossfade {

namespace {

using Key = BlockCopies::Key;

// What a command touches: its keys in its own database, and the one that it may write in another.
std::vector<Key> KeysOf(const QueuedCommand& command) {
  const RequestView request = command.request.view();
  std::vector<Key> keys;
  for (uint32_t at : FindKeys(*command.row, request)) keys.push_back({command.db, std::string(request.arg(at))});
  Key other;
  if (OtherDatabaseKey(*command.row, request, &other)) keys.push_back(other);
  return keys;
}

bool Contains(const std::vector<Key>& keys, const Key& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

// A script that names no keys and has failed may have written: the secondary does the same, up to the same error.
bool FailsAlike(const QueuedCommand& command, std::string_view error) {
  return command.row->effect == Effect::kScript && MayWriteInSpiteOfError(*command.row, error) &&
         FindKeys(*command.row, command.request.view()).empty();
}

void Select(int db, Follow* follow, BlockFollow* block) {
  AppendCommand(&follow->bytes, {"SELECT", std::to_string(db)});
  follow->expectations.emplace_back().kind = Expectation::Kind::kOk;
  block->element_of.push_back(-1);
}

}  // namespace

bool OtherDatabaseKey(const CommandRow& row, RequestView request, Key* key) {
  if (row.name == "move" && request.argc() > 2) {
    *key = {static_cast<int>(ParseInt64(request.arg(2)).value_or(-1)), std::string(request.arg(1))};
    return key->db >= 0;
  }
  if (row.name != "copy") return false;
  for (size_t i = 3; i + 1 < request.argc(); ++i) {
    if (!EqualsIgnoreCase(request.arg(i), "DB")) continue;
    *key = {static_cast<int>(ParseInt64(request.arg(i + 1)).value_or(-1)), std::string(request.arg(2))};
    return key->db >= 0;
  }
  return false;
}

BlockCopies PlanCopies(const std::vector<QueuedCommand>& commands,
                       const std::function<bool(const QueuedCommand&)>& copies_its_keys) {
  BlockCopies copies;
  copies.covered.assign(commands.size(), false);
  const auto cover = [&](size_t i) {
    copies.covered[i] = true;
    for (Key& key : KeysOf(commands[i])) {
      if (!Contains(copies.keys, key)) copies.keys.push_back(std::move(key));
    }
  };
  for (size_t i = 0; i < commands.size(); ++i) {
    if (copies_its_keys(commands[i])) cover(i);
  }
  // What touches a copied key is covered too, and then so are its other keys: until nothing changes any more.
  for (bool changed = !copies.keys.empty(); changed;) {
    changed = false;
    for (size_t i = 0; i < commands.size(); ++i) {
      if (copies.covered[i] || commands[i].row->route != Route::kWrite) continue;
      const std::vector<Key> keys = KeysOf(commands[i]);
      if (std::none_of(keys.begin(), keys.end(), [&](const Key& key) { return Contains(copies.keys, key); })) continue;
      cover(i);
      changed = true;
    }
  }
  std::stable_sort(copies.keys.begin(), copies.keys.end(), [](const Key& a, const Key& b) { return a.db < b.db; });
  return copies;
}

void RewriteBlock(const std::vector<QueuedCommand>& commands, int db, const BlockCopies& copies,
                  const BlockResult& result, const WriteTimes& times, const std::function<Accepted(size_t i)>& accepted,
                  Follow* follow, BlockFollow* block) {
  int at = db;
  const auto go_to = [&](int wanted) {
    if (at != wanted) Select(wanted, follow, block);
    at = wanted;
  };
  for (size_t i = 0; i < commands.size(); ++i) {
    const QueuedCommand& command = commands[i];
    const bool followed = command.row->route == Route::kWrite || command.row->route == Route::kBoth;
    // A swap moves what a covered command wrote to where nobody copies it.
    if (command.row->name == "swapdb" && !copies.keys.empty() && !IsErrorReply(result.elements[i])) {
      follow->unknown = true;
    }
    if (!followed || copies.covered[i]) continue;
    const bool fails_alike = result.fails_alike && FailsAlike(command, result.elements[i]);
    if (IsErrorReply(result.elements[i]) && !fails_alike) continue;
    Follow one;
    if (command.row->route == Route::kBoth) {
      one.bytes = command.request.view().bytes();
      one.expectations.emplace_back().kind = Expectation::Kind::kNoError;
    } else {
      Rewrite(accepted(i), &one);
    }
    follow->unknown = follow->unknown || one.unknown;
    if (one.empty()) continue;
    go_to(command.db);
    follow->bytes += one.bytes;
    for (Expectation& expectation : one.expectations) follow->expectations.push_back(std::move(expectation));
    for (ExpiryNote& note : one.expiries) {
      note.db = command.db;
      follow->expiries.push_back(std::move(note));
    }
    block->element_of.resize(follow->expectations.size(), static_cast<int>(i));
  }
  if (result.companions.size() != 2 * copies.keys.size()) follow->unknown = true;
  for (size_t i = 0; i < copies.keys.size() && !follow->unknown; ++i) {
    go_to(copies.keys[i].db);
    const size_t notes = follow->expiries.size();
    RewriteCopy(copies.keys[i].name, result.companions[2 * i], result.companions[2 * i + 1], times, follow);
    for (size_t n = notes; n < follow->expiries.size(); ++n) follow->expiries[n].db = copies.keys[i].db;
    block->element_of.resize(follow->expectations.size(), -1);
  }
  if (follow->expectations.empty()) return;
  go_to(db);  // the connection must be where the lane believes it to be
  if (follow->expectations.size() < 2) return;
  std::string wrapped;
  AppendCommand(&wrapped, {"MULTI"});
  wrapped += follow->bytes;
  AppendCommand(&wrapped, {"EXEC"});
  follow->bytes = std::move(wrapped);
}

}  // namespace crossfade
