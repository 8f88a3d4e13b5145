#include "routing/rewrite_hash_expiry.h"

#include "protocol/reply.h"
#include "routing/write_options.h"

namespace crossfade {

namespace {

using Kind = Expectation::Kind;
using Args = std::vector<std::string_view>;

// What stands in a request behind the key (and, with HEXPIRE, behind the time): options, and FIELDS with a count.
struct FieldRequest {
  std::optional<GivenExpiry> expiry;
  bool keep_ttl = false;
  bool persist = false;
  size_t first = 0, count = 0;  // argv[first] is the first of `count` fields
  bool understood = false;
};

// `width`: arguments per field, 2 where a value stands behind each. Servers take the options in any order.
FieldRequest ReadFields(RequestView request, size_t from, size_t width) {
  FieldRequest fields;
  size_t i = from;
  while (i < request.argc()) {
    const std::string_view word = request.arg(i);
    const bool has_argument = i + 1 < request.argc();
    if (EqualsIgnoreCase(word, "FIELDS") && has_argument) {
      const auto count = ParseInt64(request.arg(i + 1));
      const size_t available = (request.argc() - i - 2) / width;
      if (!count || *count < 1 || static_cast<uint64_t>(*count) > available) return fields;
      fields.first = i + 2;
      fields.count = static_cast<size_t>(*count);
      i = fields.first + fields.count * width;
    } else if (IsExpiryOption(word) && has_argument) {
      fields.expiry = ReadExpiryOption(word, request.arg(i + 1));
      if (!fields.expiry) return fields;
      i += 2;
    } else if (EqualsIgnoreCase(word, "KEEPTTL")) {
      fields.keep_ttl = true;
      ++i;
    } else if (EqualsIgnoreCase(word, "PERSIST")) {
      fields.persist = true;
      ++i;
    } else if (EqualsIgnoreCase(word, "NX") || EqualsIgnoreCase(word, "XX") || EqualsIgnoreCase(word, "GT") ||
               EqualsIgnoreCase(word, "LT") || EqualsIgnoreCase(word, "FNX") || EqualsIgnoreCase(word, "FXX")) {
      ++i;
    } else {
      return fields;  // of another server, as Dragonfly's HSETEX key seconds field value
    }
  }
  fields.understood = fields.count > 0;
  return fields;
}

// COMMAND key [option …] FIELDS n field …, which must do something to each of the fields.
void EmitForFields(Follow* follow, const Args& front, const Args& fields, Kind kind) {
  Args args = front;
  const std::string count = std::to_string(fields.size());
  args.insert(args.end(), {"FIELDS", count});
  args.insert(args.end(), fields.begin(), fields.end());
  std::string expected;
  if (kind == Kind::kReply) {
    expected = "*" + count + "\r\n";
    for (size_t i = 0; i < fields.size(); ++i) expected += ":1\r\n";
  }
  EmitFollow(follow, args, kind, 0, std::move(expected));
}

void EmitDelete(Follow* follow, std::string_view key, const Args& fields) {
  Args args{"HDEL", key};
  args.insert(args.end(), fields.begin(), fields.end());
  EmitFollow(follow, args, Kind::kInteger, static_cast<int64_t>(fields.size()));
}

// The fields get an expiry, or are gone when it is past.
void EmitExpire(const Accepted& accepted, Follow* follow, GivenExpiry expiry, const Args& fields) {
  const std::string_view key = accepted.request.arg(1);
  if (IsPast(accepted.times, expiry)) return EmitDelete(follow, key, fields);
  const std::string when = std::to_string(SecondaryExpiry(accepted.times, expiry));
  EmitForFields(follow, {"HPEXPIREAT", key, when}, fields, Kind::kReply);
}

// HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT. A code for each field: 1 set, 2 deleted because the time is past, 0 the
// condition didn't hold, -2 no such field.
void Expire(const Accepted& accepted, Follow* follow) {
  const RequestView request = accepted.request;
  const std::string_view name = accepted.row.name;
  const Reply reply = ParseReply(accepted.reply);
  if (reply.is_null() || (reply.is_aggregate() && reply.items.empty())) return;  // no key: how the first 7.4 said it
  const FieldRequest fields = ReadFields(request, 3, 1);
  const auto expiry = ReadExpiry(request.arg(2), name.ends_with("at"), name.starts_with("hexpire"));
  if (!fields.understood || !expiry || reply.items.size() != fields.count) {
    follow->unknown = true;
    return;
  }
  Args set, deleted;
  for (size_t i = 0; i < fields.count; ++i) {
    if (reply.items[i].integer == 1) set.push_back(request.arg(fields.first + i));
    if (reply.items[i].integer == 2) deleted.push_back(request.arg(fields.first + i));
  }
  if (!set.empty()) EmitExpire(accepted, follow, *expiry, set);
  if (!deleted.empty()) EmitDelete(follow, request.arg(1), deleted);
}

void Persist(const Accepted& accepted, Follow* follow) {
  const Reply reply = ParseReply(accepted.reply);
  if (reply.is_null() || (reply.is_aggregate() && reply.items.empty())) return;
  const FieldRequest fields = ReadFields(accepted.request, 2, 1);
  if (!fields.understood || reply.items.size() != fields.count) {
    follow->unknown = true;
    return;
  }
  Args persisted;
  for (size_t i = 0; i < fields.count; ++i) {
    if (reply.items[i].integer == 1) persisted.push_back(accepted.request.arg(fields.first + i));
  }
  if (!persisted.empty()) EmitForFields(follow, {"HPERSIST", accepted.request.arg(1)}, persisted, Kind::kReply);
}

// HSETEX. Without an expiry it is HSET, which every server knows. All fields were set, or none.
void SetEx(const Accepted& accepted, Follow* follow) {
  const RequestView request = accepted.request;
  const FieldRequest fields = ReadFields(request, 2, 2);
  if (!fields.understood) {
    follow->unknown = true;
    return;
  }
  if (IntegerReply(accepted.reply) != 1) return;
  const std::string_view key = request.arg(1);
  Args names, pairs;
  for (size_t i = 0; i < 2 * fields.count; ++i) {
    pairs.push_back(request.arg(fields.first + i));
    if (i % 2 == 0) names.push_back(pairs.back());
  }
  Args args;
  Kind kind = Kind::kInteger;
  std::string when;
  const std::string count = std::to_string(fields.count);
  if (fields.keep_ttl) {
    args = {"HSETEX", key, "KEEPTTL", "FIELDS", count};
  } else if (!fields.expiry) {
    args = {"HSET", key};
    kind = Kind::kNoError;  // how many of them are new, the reply didn't say
  } else if (IsPast(accepted.times, *fields.expiry)) {
    args = {"HDEL", key};
    args.insert(args.end(), names.begin(), names.end());
    return EmitFollow(follow, args, Kind::kNoError);
  } else {
    when = std::to_string(SecondaryExpiry(accepted.times, *fields.expiry));
    args = {"HSETEX", key, "PXAT", when, "FIELDS", count};
  }
  args.insert(args.end(), pairs.begin(), pairs.end());
  EmitFollow(follow, args, kind, 1);
}

// HGETEX, HGETDEL: what came back is what there was.
void GetAndChange(const Accepted& accepted, Follow* follow) {
  const Reply reply = ParseReply(accepted.reply);
  if (reply.is_null()) return;
  const FieldRequest fields = ReadFields(accepted.request, 2, 1);
  if (!fields.understood || reply.items.size() != fields.count) {
    follow->unknown = true;
    return;
  }
  Args found;
  for (size_t i = 0; i < fields.count; ++i) {
    if (!reply.items[i].is_null()) found.push_back(accepted.request.arg(fields.first + i));
  }
  if (found.empty()) return;
  if (accepted.row.effect == Effect::kHashGetDel) return EmitDelete(follow, accepted.request.arg(1), found);
  if (fields.expiry) return EmitExpire(accepted, follow, *fields.expiry, found);
  // A field that had no expiry is answered with another code.
  if (fields.persist) EmitForFields(follow, {"HPERSIST", accepted.request.arg(1)}, found, Kind::kNoError);
}

}  // namespace

void RewriteHashExpiry(const Accepted& accepted, Follow* follow) {
  switch (accepted.row.effect) {
    case Effect::kHashExpire:
      return Expire(accepted, follow);
    case Effect::kHashPersist:
      return Persist(accepted, follow);
    case Effect::kHashSetEx:
      return SetEx(accepted, follow);
    case Effect::kHashGetEx:
    case Effect::kHashGetDel:
      return GetAndChange(accepted, follow);
    default:
      return;
  }
}

}  // namespace crossfade
