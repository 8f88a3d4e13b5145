// The keyspace: finding, expiring, naming. toy_strings.cc and toy_collections.cc have the values' own commands.
#include "tests/sim/toy_data.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/command_table.h"

namespace crossfade::sim {

namespace {

void AppendPart(std::string* out, std::string_view part) {
  const uint32_t size = static_cast<uint32_t>(part.size());
  out->append(reinterpret_cast<const char*>(&size), sizeof(size));
  out->append(part);
}

bool TakePart(std::string_view* bytes, std::string* part) {
  uint32_t size = 0;
  if (bytes->size() < sizeof(size)) return false;
  std::memcpy(&size, bytes->data(), sizeof(size));
  bytes->remove_prefix(sizeof(size));
  if (bytes->size() < size) return false;
  part->assign(bytes->substr(0, size));
  bytes->remove_prefix(size);
  return true;
}

void Integer(const ToyData::Call& call, int64_t value) {
  AppendInteger(call.out, value);
}

}  // namespace

std::string ToyValue::Serialize() const {
  std::string out(1, static_cast<char>('0' + static_cast<int>(type)));
  if (type == Type::kString) AppendPart(&out, text);
  for (const auto& item : list) AppendPart(&out, item);
  for (const auto& item : members) AppendPart(&out, item);
  for (const auto& [name, value] : fields) {
    AppendPart(&out, name);
    AppendPart(&out, value);
  }
  for (const auto& [name, score] : scores) {
    AppendPart(&out, name);
    AppendPart(&out, std::to_string(score));
  }
  return out;
}

std::optional<ToyValue> ToyValue::Parse(std::string_view bytes) {
  if (bytes.empty() || bytes[0] < '0' || bytes[0] > '4') return std::nullopt;
  ToyValue value;
  value.type = static_cast<Type>(bytes[0] - '0');
  bytes.remove_prefix(1);
  std::string part, second;
  while (!bytes.empty()) {
    if (!TakePart(&bytes, &part)) return std::nullopt;
    switch (value.type) {
      case Type::kString:
        value.text = part;
        break;
      case Type::kList:
        value.list.push_back(part);
        break;
      case Type::kSet:
        value.members.insert(part);
        break;
      case Type::kHash:
        if (!TakePart(&bytes, &second)) return std::nullopt;
        value.fields[part] = second;
        break;
      case Type::kSortedSet:
        if (!TakePart(&bytes, &second)) return std::nullopt;
        value.scores[part] = ParseDouble(second).value_or(0);
        break;
    }
  }
  return value;
}

const ToyData::Command* ToyData::Find(std::string_view name) {
  static constexpr Command kCommands[] = {
      {"get", 2, false, false, &ToyData::DoGet},
      {"set", -3, true, true, &ToyData::DoSet},
      {"setnx", 3, true, true, &ToyData::DoSetNx},
      {"getset", 3, true, true, &ToyData::DoGetSet},
      {"getdel", 2, true, false, &ToyData::DoGetDel},
      {"append", 3, true, true, &ToyData::DoAppend},
      {"strlen", 2, false, false, &ToyData::DoStrlen},
      {"incr", 2, true, true, &ToyData::DoIncr},
      {"incrby", 3, true, true, &ToyData::DoIncrBy},
      {"incrbyfloat", 3, true, true, &ToyData::DoIncrByFloat},
      {"mset", -3, true, true, &ToyData::DoMset},
      {"mget", -2, false, false, &ToyData::DoMget},
      {"del", -2, true, false, &ToyData::DoDel},
      {"unlink", -2, true, false, &ToyData::DoDel},
      {"exists", -2, false, false, &ToyData::DoExists},
      {"type", 2, false, false, &ToyData::DoType},
      {"pttl", 2, false, false, &ToyData::DoPttl},
      {"pexpire", 3, true, false, &ToyData::DoPexpire},
      {"pexpireat", 3, true, false, &ToyData::DoPexpireAt},
      {"persist", 2, true, false, &ToyData::DoPersist},
      {"rename", 3, true, false, &ToyData::DoRename},
      {"copy", -3, true, true, &ToyData::DoCopy},
      {"dump", 2, false, false, &ToyData::DoDump},
      {"restore", -4, true, true, &ToyData::DoRestore},
      {"scan", -2, false, false, &ToyData::DoScan},
      {"flushdb", -1, true, false, &ToyData::DoFlushDb},
      {"memory", -2, false, false, &ToyData::DoMemory},
      {"rpush", -3, true, true, &ToyData::DoRpush},
      {"lpush", -3, true, true, &ToyData::DoLpush},
      {"lpop", -2, true, false, &ToyData::DoLpop},
      {"rpop", -2, true, false, &ToyData::DoRpop},
      {"llen", 2, false, false, &ToyData::DoLlen},
      {"lrange", 4, false, false, &ToyData::DoLrange},
      {"rpoplpush", 3, true, true, &ToyData::DoRpoplpush},
      {"lmove", 5, true, true, &ToyData::DoLmove},
      {"sadd", -3, true, true, &ToyData::DoSadd},
      {"srem", -3, true, false, &ToyData::DoSrem},
      {"spop", -2, true, false, &ToyData::DoSpop},
      {"smembers", 2, false, false, &ToyData::DoSmembers},
      {"scard", 2, false, false, &ToyData::DoScard},
      {"hset", -4, true, true, &ToyData::DoHset},
      {"hsetnx", 4, true, true, &ToyData::DoHsetNx},
      {"hdel", -3, true, false, &ToyData::DoHdel},
      {"hget", 3, false, false, &ToyData::DoHget},
      {"hgetall", 2, false, false, &ToyData::DoHgetall},
      {"hlen", 2, false, false, &ToyData::DoHlen},
      {"hincrby", 4, true, true, &ToyData::DoHincrby},
      {"zadd", -4, true, true, &ToyData::DoZadd},
      {"zincrby", 4, true, true, &ToyData::DoZincrby},
      {"zrem", -3, true, false, &ToyData::DoZrem},
      {"zpopmin", -2, true, false, &ToyData::DoZpopmin},
      {"zscore", 3, false, false, &ToyData::DoZscore},
      {"zcard", 2, false, false, &ToyData::DoZcard},
      {"zrange", -4, false, false, &ToyData::DoZrange},
  };
  static const auto* const kByName = [] {
    auto* map = new absl::flat_hash_map<std::string, const Command*>();
    for (const Command& command : kCommands) map->emplace(command.name, &command);
    return map;
  }();
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  const auto found = kByName->find(lower);
  return found == kByName->end() ? nullptr : found->second;
}

uint64_t ToyData::version(int db, std::string_view key) const {
  const auto found = versions_[db].find(key);
  return found == versions_[db].end() ? 0 : found->second;
}

bool ToyData::SameContent(const ToyData& other) const {
  for (int db = 0; db < kToyDatabases; ++db) {
    const bool same =
        std::equal(dbs_[db].begin(), dbs_[db].end(), other.dbs_[db].begin(), other.dbs_[db].end(),
                   [](const auto& a, const auto& b) { return a.first == b.first && a.second.SameContent(b.second); });
    if (!same) return false;
  }
  return true;
}

void ToyData::Clear() {
  for (Keys& keys : dbs_) keys.clear();
}

const ToyValue* ToyData::Peek(int db, std::string_view key, int64_t now_ms) {
  const auto found = dbs_[db].find(key);
  if (found == dbs_[db].end()) return nullptr;
  if (found->second.expire_ms >= 0 && found->second.expire_ms <= now_ms) {
    dbs_[db].erase(found);
    versions_[db][std::string(key)] = ++last_version_;
    return nullptr;
  }
  return &found->second;
}

ToyValue* ToyData::Get(const Call& call, std::string_view key) {
  return const_cast<ToyValue*>(Peek(call.db, key, call.now_ms));
}

bool ToyData::Typed(const Call& call, std::string_view key, ToyValue::Type type, ToyValue** found) {
  *found = Get(call, key);
  if (*found == nullptr || (*found)->type == type) return true;
  AppendError(call.out, "WRONGTYPE Operation against a key holding the wrong kind of value");
  return false;
}

ToyValue* ToyData::Make(const Call& call, std::string_view key, ToyValue::Type type) {
  ToyValue& value = dbs_[call.db][std::string(key)];
  value = ToyValue();
  value.type = type;
  return &value;
}

void ToyData::Changed(const Call& call, std::string_view key) {
  versions_[call.db][std::string(key)] = ++last_version_;
}

bool ToyData::Remove(const Call& call, std::string_view key) {
  if (Get(call, key) == nullptr) return false;
  dbs_[call.db].erase(dbs_[call.db].find(key));
  Changed(call, key);
  return true;
}

void ToyData::RemoveIfEmpty(const Call& call, std::string_view key) {
  const ToyValue* value = Get(call, key);
  if (value != nullptr && value->empty()) Remove(call, key);
}

void ToyData::DoDel(const Call& call) {
  int64_t removed = 0;
  for (size_t i = 1; i < call.args.size(); ++i) removed += Remove(call, call.args[i]) ? 1 : 0;
  Integer(call, removed);
}

void ToyData::DoExists(const Call& call) {
  int64_t there = 0;
  for (size_t i = 1; i < call.args.size(); ++i) there += Get(call, call.args[i]) != nullptr ? 1 : 0;
  Integer(call, there);
}

void ToyData::DoType(const Call& call) {
  static constexpr const char* kNames[] = {"string", "list", "set", "hash", "zset"};
  const ToyValue* value = Get(call, call.args[1]);
  AppendSimple(call.out, value == nullptr ? "none" : kNames[static_cast<int>(value->type)]);
}

void ToyData::DoPttl(const Call& call) {
  const ToyValue* value = Get(call, call.args[1]);
  Integer(call, value == nullptr ? -2 : value->expire_ms < 0 ? -1 : value->expire_ms - call.now_ms);
}

void ToyData::ExpireAt(const Call& call, int64_t at_ms) {
  ToyValue* value = Get(call, call.args[1]);
  if (value == nullptr) return Integer(call, 0);
  value->expire_ms = at_ms;
  Changed(call, call.args[1]);
  if (at_ms <= call.now_ms) Remove(call, call.args[1]);
  Integer(call, 1);
}

void ToyData::DoPexpire(const Call& call) {
  ExpireAt(call, call.now_ms + ParseInt64(call.args[2]).value_or(0));
}

void ToyData::DoPexpireAt(const Call& call) {
  ExpireAt(call, ParseInt64(call.args[2]).value_or(0));
}

void ToyData::DoPersist(const Call& call) {
  ToyValue* value = Get(call, call.args[1]);
  const bool had = value != nullptr && std::exchange(value->expire_ms, -1) >= 0;
  if (had) Changed(call, call.args[1]);
  Integer(call, had ? 1 : 0);
}

void ToyData::DoRename(const Call& call) {
  const ToyValue* value = Get(call, call.args[1]);
  if (value == nullptr) return AppendError(call.out, "ERR no such key");
  ToyValue moved = *value;
  Remove(call, call.args[1]);
  dbs_[call.db][std::string(call.args[2])] = std::move(moved);
  Changed(call, call.args[2]);
  AppendSimple(call.out, "OK");
}

void ToyData::DoCopy(const Call& call) {
  const ToyValue* value = Get(call, call.args[1]);
  const bool replace = call.args.size() > 3;
  if (value == nullptr || (!replace && Get(call, call.args[2]) != nullptr)) return Integer(call, 0);
  ToyValue copy = *value;
  dbs_[call.db][std::string(call.args[2])] = std::move(copy);
  Changed(call, call.args[2]);
  Integer(call, 1);
}

void ToyData::DoDump(const Call& call) {
  const ToyValue* value = Get(call, call.args[1]);
  if (value == nullptr) return AppendNull(call.out, call.protocol);
  AppendBulk(call.out, value->Serialize());
}

// RESTORE key when payload [REPLACE] [ABSTTL]
void ToyData::DoRestore(const Call& call) {
  bool replace = false, absolute = false;
  for (size_t i = 4; i < call.args.size(); ++i) {
    replace = replace || EqualsIgnoreCase(call.args[i], "REPLACE");
    absolute = absolute || EqualsIgnoreCase(call.args[i], "ABSTTL");
  }
  const std::string_view key = call.args[1];
  if (!replace && Get(call, key) != nullptr) return AppendError(call.out, "BUSYKEY Target key name already exists.");
  std::optional<ToyValue> value = ToyValue::Parse(call.args[3]);
  if (!value) return AppendError(call.out, "ERR Bad data format");
  Remove(call, key);
  const int64_t when = ParseInt64(call.args[2]).value_or(0);
  if (when != 0) value->expire_ms = absolute ? when : call.now_ms + when;
  if (when == 0 || value->expire_ms > call.now_ms) dbs_[call.db][std::string(key)] = std::move(*value);
  Changed(call, key);
  AppendSimple(call.out, "OK");
}

// SCAN cursor COUNT n: a bucket of names at a time, so that a key which is there all the while is seen.
void ToyData::DoScan(const Call& call) {
  constexpr size_t kBuckets = 8;
  const size_t bucket = static_cast<size_t>(ParseInt64(call.args[1]).value_or(0));
  std::vector<std::string> found;
  std::vector<std::string> all;
  for (const auto& [name, value] : dbs_[call.db]) all.push_back(name);
  for (const std::string& name : all) {
    size_t hash = 7;
    for (char c : name) hash = hash * 31 + static_cast<unsigned char>(c);
    if (hash % kBuckets == bucket && Peek(call.db, name, call.now_ms) != nullptr) found.push_back(name);
  }
  AppendArrayHeader(call.out, 2);
  AppendBulk(call.out, std::to_string(bucket + 1 >= kBuckets ? 0 : bucket + 1));
  AppendArrayHeader(call.out, found.size());
  for (const std::string& name : found) AppendBulk(call.out, name);
}

void ToyData::DoFlushDb(const Call& call) {
  for (const auto& [name, value] : dbs_[call.db]) Changed(call, name);
  dbs_[call.db].clear();
  AppendSimple(call.out, "OK");
}

void ToyData::DoMemory(const Call& call) {
  const ToyValue* value = call.args.size() > 2 ? Get(call, call.args[2]) : nullptr;
  if (value == nullptr) return AppendNull(call.out, call.protocol);
  Integer(call, static_cast<int64_t>(value->Serialize().size()));
}

}  // namespace crossfade::sim
