// What a toy store holds, and the data commands that it obeys as Redis does: replies and error texts are Redis 7.0's. A
// pure function of the data, the arguments, the time and the chance given. The applications of the simulator use it as
// well, as the model of what their own keys must hold. Servers' other commands (connections, transactions) are
// toy_session's.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/chance.h"

namespace crossfade::sim {

struct ToyValue {
  enum class Type : uint8_t { kString, kList, kSet, kHash, kSortedSet };
  Type type = Type::kString;
  int64_t expire_ms = -1;  // by the store's clock; -1: never
  std::string text;
  std::deque<std::string> list;
  std::set<std::string, std::less<>> members;
  std::map<std::string, std::string, std::less<>> fields;
  std::map<std::string, double, std::less<>> scores;

  bool SameContent(const ToyValue& other) const {
    return type == other.type && text == other.text && list == other.list && members == other.members &&
           fields == other.fields && scores == other.scores;
  }
  bool empty() const {
    return type != Type::kString && list.empty() && members.empty() && fields.empty() && scores.empty();
  }
  // For DUMP, and for people.
  std::string Serialize() const;
  static std::optional<ToyValue> Parse(std::string_view bytes);
};

inline constexpr int kToyDatabases = 2;

class ToyData {
 public:
  using Args = std::span<const std::string_view>;
  using Keys = std::map<std::string, ToyValue, std::less<>>;

  struct Call {
    Args args;
    int db = 0;
    int protocol = 2;
    int64_t now_ms = 0;
    Chance* chance = nullptr;
    std::string* out = nullptr;
  };

  struct Command {
    const char* name;
    int arity;  // negative: at least so many
    bool write;
    bool grows;  // refused when there is no memory left
    void (ToyData::*run)(const Call&);
  };
  // Null: no data command. Any case.
  static const Command* Find(std::string_view name);

  // Answers on call.out. REQUIRES: the arity is met.
  void Run(const Command& command, const Call& call) { (this->*command.run)(call); }

  const Keys& keys(int db) const { return dbs_[db]; }
  Keys& mutable_keys(int db) { return dbs_[db]; }
  // Raised by every change of this key: what WATCH looks at.
  uint64_t version(int db, std::string_view key) const;
  void Clear();
  // The key unless it has expired; then it is removed.
  const ToyValue* Peek(int db, std::string_view key, int64_t now_ms);
  // The same keys and values, whenever they expire.
  bool SameContent(const ToyData& other) const;

 private:
  ToyValue* Get(const Call& call, std::string_view key);
  // Of this type, or an error was answered. *found may become null: it isn't there.
  bool Typed(const Call& call, std::string_view key, ToyValue::Type type, ToyValue** found);
  ToyValue* Make(const Call& call, std::string_view key, ToyValue::Type type);
  void Changed(const Call& call, std::string_view key);
  bool Remove(const Call& call, std::string_view key);
  void RemoveIfEmpty(const Call& call, std::string_view key);
  void Add(const Call& call, int64_t by);
  void ExpireAt(const Call& call, int64_t at_ms);
  void Pop(const Call& call, bool left);
  void Push(const Call& call, bool left);
  void Move(const Call& call, bool from_left, bool to_left);

  void DoGet(const Call&);
  void DoSet(const Call&);
  void DoSetNx(const Call&);
  void DoGetSet(const Call&);
  void DoGetDel(const Call&);
  void DoAppend(const Call&);
  void DoStrlen(const Call&);
  void DoIncr(const Call&);
  void DoIncrBy(const Call&);
  void DoIncrByFloat(const Call&);
  void DoMset(const Call&);
  void DoMget(const Call&);
  void DoDel(const Call&);
  void DoExists(const Call&);
  void DoType(const Call&);
  void DoPttl(const Call&);
  void DoPexpire(const Call&);
  void DoPexpireAt(const Call&);
  void DoPersist(const Call&);
  void DoRename(const Call&);
  void DoCopy(const Call&);
  void DoDump(const Call&);
  void DoRestore(const Call&);
  void DoScan(const Call&);
  void DoFlushDb(const Call&);
  void DoMemory(const Call&);
  void DoRpush(const Call&);
  void DoLpush(const Call&);
  void DoLpop(const Call&);
  void DoRpop(const Call&);
  void DoLlen(const Call&);
  void DoLrange(const Call&);
  void DoRpoplpush(const Call&);
  void DoLmove(const Call&);
  void DoSadd(const Call&);
  void DoSrem(const Call&);
  void DoSpop(const Call&);
  void DoSmembers(const Call&);
  void DoScard(const Call&);
  void DoHset(const Call&);
  void DoHsetNx(const Call&);
  void DoHdel(const Call&);
  void DoHget(const Call&);
  void DoHgetall(const Call&);
  void DoHlen(const Call&);
  void DoHincrby(const Call&);
  void DoZadd(const Call&);
  void DoZincrby(const Call&);
  void DoZrem(const Call&);
  void DoZpopmin(const Call&);
  void DoZscore(const Call&);
  void DoZcard(const Call&);
  void DoZrange(const Call&);

  Keys dbs_[kToyDatabases];
  std::map<std::string, uint64_t, std::less<>> versions_[kToyDatabases];
  uint64_t last_version_ = 0;
};

}  // namespace crossfade::sim
