// Lists, sets, hashes and sorted sets.
#include <algorithm>
#include <iterator>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/command_table.h"
#include "tests/sim/toy_data.h"

namespace crossfade::sim {

namespace {
using Type = ToyValue::Type;

void AppendScore(const ToyData::Call& call, double score) {
  const std::string text = fmt::format("{}", score);
  if (call.protocol == 3) {
    call.out->append("," + text + "\r\n");
  } else {
    AppendBulk(call.out, text);
  }
}
}  // namespace

// --- Lists -----------------------------------------------------------------------------------------------------------

void ToyData::Push(const Call& call, bool left) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kList, &value)) return;
  if (value == nullptr) value = Make(call, call.args[1], Type::kList);
  for (size_t i = 2; i < call.args.size(); ++i) {
    if (left) {
      value->list.emplace_front(call.args[i]);
    } else {
      value->list.emplace_back(call.args[i]);
    }
  }
  Changed(call, call.args[1]);
  AppendInteger(call.out, static_cast<int64_t>(value->list.size()));
}

void ToyData::DoRpush(const Call& call) {
  Push(call, false);
}
void ToyData::DoLpush(const Call& call) {
  Push(call, true);
}

void ToyData::Pop(const Call& call, bool left) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kList, &value)) return;
  const bool counted = call.args.size() > 2;
  if (value == nullptr) {
    return counted ? AppendNullArray(call.out, call.protocol) : AppendNull(call.out, call.protocol);
  }
  size_t count = counted ? static_cast<size_t>(ParseInt64(call.args[2]).value_or(0)) : 1;
  count = std::min(count, value->list.size());
  if (counted) AppendArrayHeader(call.out, count);
  for (size_t i = 0; i < count; ++i) {
    AppendBulk(call.out, left ? value->list.front() : value->list.back());
    if (left) {
      value->list.pop_front();
    } else {
      value->list.pop_back();
    }
  }
  Changed(call, call.args[1]);
  RemoveIfEmpty(call, call.args[1]);
}

void ToyData::DoLpop(const Call& call) {
  Pop(call, true);
}
void ToyData::DoRpop(const Call& call) {
  Pop(call, false);
}

void ToyData::DoLlen(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kList, &value)) return;
  AppendInteger(call.out, value == nullptr ? 0 : static_cast<int64_t>(value->list.size()));
}

// Only ever 0 -1.
void ToyData::DoLrange(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kList, &value)) return;
  AppendArrayHeader(call.out, value == nullptr ? 0 : value->list.size());
  if (value == nullptr) return;
  for (const std::string& item : value->list) AppendBulk(call.out, item);
}

void ToyData::Move(const Call& call, bool from_left, bool to_left) {
  ToyValue *from = nullptr, *to = nullptr;
  if (!Typed(call, call.args[1], Type::kList, &from)) return;
  if (from == nullptr) return AppendNull(call.out, call.protocol);
  if (!Typed(call, call.args[2], Type::kList, &to)) return;
  std::string item = from_left ? from->list.front() : from->list.back();
  if (from_left) {
    from->list.pop_front();
  } else {
    from->list.pop_back();
  }
  if (to == nullptr) to = Make(call, call.args[2], Type::kList);
  if (to_left) {
    to->list.push_front(item);
  } else {
    to->list.push_back(item);
  }
  Changed(call, call.args[1]);
  Changed(call, call.args[2]);
  RemoveIfEmpty(call, call.args[1]);
  AppendBulk(call.out, item);
}

void ToyData::DoRpoplpush(const Call& call) {
  Move(call, false, true);
}
void ToyData::DoLmove(const Call& call) {
  Move(call, EqualsIgnoreCase(call.args[3], "LEFT"), EqualsIgnoreCase(call.args[4], "LEFT"));
}

// --- Sets ------------------------------------------------------------------------------------------------------------

void ToyData::DoSadd(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSet, &value)) return;
  if (value == nullptr) value = Make(call, call.args[1], Type::kSet);
  int64_t added = 0;
  for (size_t i = 2; i < call.args.size(); ++i) added += value->members.emplace(call.args[i]).second ? 1 : 0;
  if (added > 0) Changed(call, call.args[1]);
  AppendInteger(call.out, added);
}

void ToyData::DoSrem(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSet, &value)) return;
  int64_t removed = 0;
  for (size_t i = 2; value != nullptr && i < call.args.size(); ++i) {
    const auto found = value->members.find(call.args[i]);
    if (found == value->members.end()) continue;
    value->members.erase(found);
    ++removed;
  }
  if (removed > 0) Changed(call, call.args[1]);
  RemoveIfEmpty(call, call.args[1]);
  AppendInteger(call.out, removed);
}

void ToyData::DoSpop(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSet, &value)) return;
  if (value == nullptr) return AppendNull(call.out, call.protocol);
  const auto member =
      std::next(value->members.begin(), static_cast<int64_t>(call.chance->Below(value->members.size())));
  AppendBulk(call.out, *member);
  value->members.erase(member);
  Changed(call, call.args[1]);
  RemoveIfEmpty(call, call.args[1]);
}

void ToyData::DoSmembers(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSet, &value)) return;
  const size_t size = value == nullptr ? 0 : value->members.size();
  if (call.protocol == 3) {
    call.out->append("~" + std::to_string(size) + "\r\n");
  } else {
    AppendArrayHeader(call.out, size);
  }
  if (value == nullptr) return;
  for (const std::string& member : value->members) AppendBulk(call.out, member);
}

void ToyData::DoScard(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSet, &value)) return;
  AppendInteger(call.out, value == nullptr ? 0 : static_cast<int64_t>(value->members.size()));
}

// --- Hashes ----------------------------------------------------------------------------------------------------------

void ToyData::DoHset(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kHash, &value)) return;
  if (value == nullptr) value = Make(call, call.args[1], Type::kHash);
  int64_t added = 0;
  for (size_t i = 2; i + 1 < call.args.size(); i += 2) {
    added += value->fields.insert_or_assign(std::string(call.args[i]), std::string(call.args[i + 1])).second ? 1 : 0;
  }
  Changed(call, call.args[1]);
  AppendInteger(call.out, added);
}

void ToyData::DoHsetNx(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kHash, &value)) return;
  if (value != nullptr && value->fields.contains(call.args[2])) return AppendInteger(call.out, 0);
  if (value == nullptr) value = Make(call, call.args[1], Type::kHash);
  value->fields.emplace(call.args[2], call.args[3]);
  Changed(call, call.args[1]);
  AppendInteger(call.out, 1);
}

void ToyData::DoHdel(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kHash, &value)) return;
  int64_t removed = 0;
  for (size_t i = 2; value != nullptr && i < call.args.size(); ++i) {
    const auto found = value->fields.find(call.args[i]);
    if (found == value->fields.end()) continue;
    value->fields.erase(found);
    ++removed;
  }
  if (removed > 0) Changed(call, call.args[1]);
  RemoveIfEmpty(call, call.args[1]);
  AppendInteger(call.out, removed);
}

void ToyData::DoHget(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kHash, &value)) return;
  const auto found =
      value == nullptr ? std::map<std::string, std::string, std::less<>>::iterator() : value->fields.find(call.args[2]);
  if (value == nullptr || found == value->fields.end()) return AppendNull(call.out, call.protocol);
  AppendBulk(call.out, found->second);
}

void ToyData::DoHgetall(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kHash, &value)) return;
  AppendMapHeader(call.out, value == nullptr ? 0 : value->fields.size(), call.protocol);
  if (value == nullptr) return;
  for (const auto& [name, text] : value->fields) {
    AppendBulk(call.out, name);
    AppendBulk(call.out, text);
  }
}

void ToyData::DoHlen(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kHash, &value)) return;
  AppendInteger(call.out, value == nullptr ? 0 : static_cast<int64_t>(value->fields.size()));
}

void ToyData::DoHincrby(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kHash, &value)) return;
  int64_t number = 0;
  if (value != nullptr) {
    if (const auto found = value->fields.find(call.args[2]); found != value->fields.end()) {
      const auto parsed = ParseInt64(found->second);
      if (!parsed) return AppendError(call.out, "ERR hash value is not an integer");
      number = *parsed;
    }
  } else {
    value = Make(call, call.args[1], Type::kHash);
  }
  number += ParseInt64(call.args[3]).value_or(0);
  value->fields.insert_or_assign(std::string(call.args[2]), std::to_string(number));
  Changed(call, call.args[1]);
  AppendInteger(call.out, number);
}

// --- Sorted sets -----------------------------------------------------------------------------------------------------

// Only ZADD key score member.
void ToyData::DoZadd(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSortedSet, &value)) return;
  if (value == nullptr) value = Make(call, call.args[1], Type::kSortedSet);
  const double score = ParseDouble(call.args[2]).value_or(0);
  const bool added = value->scores.insert_or_assign(std::string(call.args[3]), score).second;
  Changed(call, call.args[1]);
  AppendInteger(call.out, added ? 1 : 0);
}

void ToyData::DoZincrby(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSortedSet, &value)) return;
  if (value == nullptr) value = Make(call, call.args[1], Type::kSortedSet);
  double& score = value->scores[std::string(call.args[3])];
  score += ParseDouble(call.args[2]).value_or(0);
  Changed(call, call.args[1]);
  AppendScore(call, score);
}

void ToyData::DoZrem(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSortedSet, &value)) return;
  int64_t removed = 0;
  for (size_t i = 2; value != nullptr && i < call.args.size(); ++i) {
    const auto found = value->scores.find(call.args[i]);
    if (found == value->scores.end()) continue;
    value->scores.erase(found);
    ++removed;
  }
  if (removed > 0) Changed(call, call.args[1]);
  RemoveIfEmpty(call, call.args[1]);
  AppendInteger(call.out, removed);
}

// Without a count: member and score.
void ToyData::DoZpopmin(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSortedSet, &value)) return;
  if (value == nullptr) return AppendArrayHeader(call.out, 0);
  auto least = value->scores.begin();
  for (auto at = value->scores.begin(); at != value->scores.end(); ++at) {
    if (at->second < least->second) least = at;
  }
  AppendArrayHeader(call.out, 2);
  AppendBulk(call.out, least->first);
  AppendScore(call, least->second);
  value->scores.erase(least);
  Changed(call, call.args[1]);
  RemoveIfEmpty(call, call.args[1]);
}

void ToyData::DoZscore(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSortedSet, &value)) return;
  if (value == nullptr) return AppendNull(call.out, call.protocol);
  const auto found = value->scores.find(call.args[2]);
  if (found == value->scores.end()) return AppendNull(call.out, call.protocol);
  AppendScore(call, found->second);
}

void ToyData::DoZcard(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSortedSet, &value)) return;
  AppendInteger(call.out, value == nullptr ? 0 : static_cast<int64_t>(value->scores.size()));
}

// Only ZRANGE key 0 -1 WITHSCORES, in the members' order of the scores.
void ToyData::DoZrange(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kSortedSet, &value)) return;
  std::vector<std::pair<double, std::string>> sorted;
  if (value != nullptr) {
    for (const auto& [member, score] : value->scores) sorted.emplace_back(score, member);
  }
  std::sort(sorted.begin(), sorted.end());
  AppendArrayHeader(call.out, call.protocol == 3 ? sorted.size() : 2 * sorted.size());
  for (const auto& [score, member] : sorted) {
    if (call.protocol == 3) AppendArrayHeader(call.out, 2);
    AppendBulk(call.out, member);
    AppendScore(call, score);
  }
}

}  // namespace crossfade::sim
