#include "routing/rewrite_collection.h"

#include <algorithm>

#include "protocol/reply.h"

namespace crossfade {

namespace {

using Kind = Expectation::Kind;
using Args = std::vector<std::string_view>;

constexpr size_t kChunk = 1024;  // arguments per derived command, as Redis does for SPOP (t_set.c)

void RemoveMembers(Follow* follow, std::string_view command, std::string_view name, const Args& members) {
  for (size_t from = 0; from < members.size(); from += kChunk) {
    const size_t count = std::min(kChunk, members.size() - from);
    Args args{command, name};
    args.insert(args.end(), members.begin() + from, members.begin() + from + count);
    EmitFollow(follow, args, Kind::kInteger, static_cast<int64_t>(count));
  }
}

void Pop(const Accepted& accepted, Follow* follow) {
  const Reply reply = ParseReply(accepted.reply);
  if (reply.is_null()) return;
  if (!reply.is_aggregate()) return EmitFollow(follow, {accepted.request.arg(0), accepted.request.arg(1)}, Kind::kSame);
  if (!reply.items.empty())
    EmitFollow(
        follow,
        {accepted.request.arg(0), accepted.request.arg(1), std::to_string(static_cast<int64_t>(reply.items.size()))},
        Kind::kSame);
}

// LMPOP, ZMPOP: [key, elements].
void MultiPop(const Accepted& accepted, Follow* follow, bool sorted_set) {
  const Reply reply = ParseReply(accepted.reply);
  if (reply.is_null()) return;
  if (reply.items.size() != 2 || reply.items[1].items.empty()) {
    follow->unknown = true;
    return;
  }
  const Reply& elements = reply.items[1];
  if (sorted_set) {
    Args members;
    for (const Reply& pair : elements.items) {
      if (!pair.items.empty()) members.push_back(pair.items[0].text);
    }
    return RemoveMembers(follow, "ZREM", reply.items[0].text, members);
  }
  const KeyIndices keys = FindKeys(accepted.row, accepted.request);
  const size_t direction = keys.empty() ? 0 : keys.back() + 1;  // the word after the keys
  const bool right = direction < accepted.request.argc() && EqualsIgnoreCase(accepted.request.arg(direction), "RIGHT");
  EmitFollow(
      follow,
      {right ? "RPOP" : "LPOP", reply.items[0].text, std::to_string(static_cast<int64_t>(elements.items.size()))},
      Kind::kReply);
  AppendReply(&follow->expectations.back().text, elements);
}

// BLPOP and BRPOP where they don't wait: [key, element].
void BlockingPop(const Accepted& accepted, Follow* follow) {
  const Reply reply = ParseReply(accepted.reply);
  if (reply.is_null()) return;
  if (reply.items.size() != 2) {
    follow->unknown = true;
    return;
  }
  const bool right = accepted.row.name == "brpop";
  EmitFollow(follow, {right ? "RPOP" : "LPOP", reply.items[0].text}, Kind::kText, 0, std::string(reply.items[1].text));
}

// BLMOVE and BRPOPLPUSH where they don't wait: on the secondary they must not wait either.
void BlockingMove(const Accepted& accepted, Follow* follow) {
  if (IsNullReply(accepted.reply)) return;
  const RequestView request = accepted.request;
  Args args{accepted.row.name == "blmove" ? "LMOVE" : "RPOPLPUSH"};
  for (size_t i = 1; i + 1 < request.argc(); ++i) args.push_back(request.arg(i));
  EmitFollow(follow, args, Kind::kSame);
}

// BZPOPMIN and BZPOPMAX where they don't wait: [key, member, score].
void BlockingSortedPop(const Accepted& accepted, Follow* follow) {
  const Reply reply = ParseReply(accepted.reply);
  if (reply.is_null()) return;
  if (reply.items.size() != 3) {
    follow->unknown = true;
    return;
  }
  RemoveMembers(follow, "ZREM", reply.items[0].text, {reply.items[1].text});
}

void SetMove(const Accepted& accepted, Follow* follow) {
  if (IntegerReply(accepted.reply) != 1 || accepted.request.arg(1) == accepted.request.arg(2)) return;
  EmitFollow(follow, {"SREM", accepted.request.arg(1), accepted.request.arg(3)}, Kind::kInteger, 1);
  EmitFollow(follow, {"SADD", accepted.request.arg(2), accepted.request.arg(3)}, Kind::kNoError);
}

void SetPop(const Accepted& accepted, Follow* follow) {
  const Reply reply = ParseReply(accepted.reply);
  Args members;
  if (reply.is_text()) members.push_back(reply.text);
  for (const Reply& item : reply.items) members.push_back(item.text);
  RemoveMembers(follow, "SREM", accepted.request.arg(1), members);
}

void SortedSetAdd(const Accepted& accepted, Follow* follow) {
  bool incr = false;
  for (size_t i = 2; i < accepted.request.argc();
       ++i) {  // a member may be called as an option is, but a score comes before it
    const std::string_view word = accepted.request.arg(i);
    if (EqualsIgnoreCase(word, "INCR"))
      incr = true;
    else if (!EqualsIgnoreCase(word, "NX") && !EqualsIgnoreCase(word, "XX") && !EqualsIgnoreCase(word, "GT") &&
             !EqualsIgnoreCase(word, "LT") && !EqualsIgnoreCase(word, "CH"))
      break;
  }
  if (!incr) return EmitVerbatim(accepted, follow);
  const Reply reply = ParseReply(accepted.reply);
  if (!reply.is_null())
    EmitFollow(follow, {"ZADD", accepted.request.arg(1), reply.text, accepted.request.arg(accepted.request.argc() - 1)},
               Kind::kNoError);
}

// ZPOPMIN, ZPOPMAX: member and score, or pairs of them, flat in RESP2 and nested in RESP3.
void SortedSetPop(const Accepted& accepted, Follow* follow) {
  const Reply reply = ParseReply(accepted.reply);
  Args members;
  for (size_t i = 0; i < reply.items.size(); ++i) {
    if (reply.items[i].is_aggregate()) {
      if (!reply.items[i].items.empty()) members.push_back(reply.items[i].items[0].text);
    } else if (i % 2 == 0) {
      members.push_back(reply.items[i].text);
    }
  }
  RemoveMembers(follow, "ZREM", accepted.request.arg(1), members);
}

}  // namespace

void RewriteCollection(const Accepted& accepted, Follow* follow) {
  const RequestView request = accepted.request;
  switch (accepted.row.effect) {
    case Effect::kPop:
      return Pop(accepted, follow);
    case Effect::kMultiPop:
      return MultiPop(accepted, follow, false);
    case Effect::kSortedSetMultiPop:
      return MultiPop(accepted, follow, true);
    case Effect::kBlockingPop:
      return BlockingPop(accepted, follow);
    case Effect::kBlockingMove:
      return BlockingMove(accepted, follow);
    case Effect::kBlockingSortedPop:
      return BlockingSortedPop(accepted, follow);
    case Effect::kSetMove:
      return SetMove(accepted, follow);
    case Effect::kSetPop:
      return SetPop(accepted, follow);
    case Effect::kHashSetNx:
      if (IntegerReply(accepted.reply) != 1) return;
      return EmitFollow(follow, {"HSET", request.arg(1), request.arg(2), request.arg(3)}, Kind::kInteger, 1);
    case Effect::kHashIncrByFloat: {
      if (accepted.field_expiry) return EmitVerbatim(accepted, follow);
      const Reply sum = ParseReply(accepted.reply);
      return EmitFollow(follow, {"HSET", request.arg(1), request.arg(2), sum.text}, Kind::kNoError);
    }
    case Effect::kSortedSetAdd:
      return SortedSetAdd(accepted, follow);
    case Effect::kSortedSetPop:
      return SortedSetPop(accepted, follow);
    default:
      return;
  }
}

}  // namespace crossfade
