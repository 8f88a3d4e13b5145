#include "routing/rewrite.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/companion.h"
#include "routing/rewrite_collection.h"
#include "routing/rewrite_stream.h"

namespace crossfade {

namespace {

using Kind = Expectation::Kind;
using Args = std::vector<std::string_view>;

std::string Text(int64_t value) {
  return std::to_string(value);
}

// An expiry as the client gave it: a number and what it counts. nullopt when the server would refuse it.
struct GivenExpiry {
  bool absolute = false;
  int64_t ms = 0;
};

std::optional<GivenExpiry> ReadExpiry(std::string_view number, bool absolute, bool seconds) {
  const std::optional<int64_t> value = ParseInt64(number);
  if (!value) return std::nullopt;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 1000;
  if (seconds && (*value > kMax || *value < -kMax)) return std::nullopt;
  return GivenExpiry{absolute, seconds ? *value * 1000 : *value};
}

// The sum, or the last moment there is: servers take an expiry in 292 million years.
int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
}

// The option word of SET, GETEX: EX, PX, EXAT, PXAT followed by its number.
std::optional<GivenExpiry> ReadExpiryOption(std::string_view word, std::string_view number) {
  if (EqualsIgnoreCase(word, "EX")) return ReadExpiry(number, false, true);
  if (EqualsIgnoreCase(word, "PX")) return ReadExpiry(number, false, false);
  if (EqualsIgnoreCase(word, "EXAT")) return ReadExpiry(number, true, true);
  if (EqualsIgnoreCase(word, "PXAT")) return ReadExpiry(number, true, false);
  return std::nullopt;
}

bool IsExpiryOption(std::string_view word) {
  return EqualsIgnoreCase(word, "EX") || EqualsIgnoreCase(word, "PX") || EqualsIgnoreCase(word, "EXAT") ||
         EqualsIgnoreCase(word, "PXAT");
}

// Builds one Follow from one accepted write.
class Rewriter {
 public:
  Rewriter(const Accepted& accepted, Follow* follow)
      : row_(accepted.row), request_(accepted.request), reply_(accepted.reply), accepted_(accepted), follow_(follow) {}

  void Run();

 private:
  std::string_view arg(size_t i) const { return request_.arg(i); }
  size_t argc() const { return request_.argc(); }
  std::string_view key() const { return request_.arg(1); }

  void Emit(const Args& args, Kind kind, int64_t integer = 0) { EmitFollow(follow_, args, kind, integer); }
  void Verbatim() { EmitVerbatim(accepted_, follow_); }

  int64_t SecondaryExpiry(GivenExpiry expiry) const {
    const WriteTimes& times = accepted_.times;
    return expiry.absolute ? expiry.ms : SaturatingAdd(times.read_ms + times.secondary_offset_ms, expiry.ms);
  }
  bool IsPast(GivenExpiry expiry) const {
    return expiry.absolute ? expiry.ms <= accepted_.times.read_ms + accepted_.times.secondary_offset_ms
                           : expiry.ms <= 0;
  }
  void NoteExpiry(std::string_view name, GivenExpiry expiry);
  void NoteInherit(std::string_view from, std::string_view to, int to_db = -1);

  void Set();
  void SetExpiring(std::string_view value, std::optional<GivenExpiry> expiry);
  void SetEx();
  void GetEx();
  void Expire();
  void Copy();
  void Restore();
  void IncrByFloat();
  void CopyKeys();
  void Migrate();
  void Bitfield();

  const CommandRow& row_;
  RequestView request_;
  std::string_view reply_;
  const Accepted& accepted_;
  Follow* follow_;
};

void Rewriter::NoteExpiry(std::string_view name, GivenExpiry expiry) {
  const WriteTimes& times = accepted_.times;
  ExpiryNote& note = follow_->expiries.emplace_back();
  note.key = name;
  if (expiry.absolute) {
    note.window.from_ms = SaturatingAdd(expiry.ms, -std::max(times.primary_offset_ms, times.secondary_offset_ms));
    note.window.to_ms = SaturatingAdd(expiry.ms, -std::min(times.primary_offset_ms, times.secondary_offset_ms));
  } else {
    note.window.from_ms = SaturatingAdd(times.sent_ms, expiry.ms);
    note.window.to_ms = SaturatingAdd(times.read_ms, expiry.ms);
  }
  note.window.from_ms = SaturatingAdd(note.window.from_ms, -times.uncertainty_ms);
  note.window.to_ms = SaturatingAdd(note.window.to_ms, times.uncertainty_ms);
}

void Rewriter::NoteInherit(std::string_view from, std::string_view to, int to_db) {
  ExpiryNote& note = follow_->expiries.emplace_back();
  note.kind = ExpiryNote::Kind::kInherit;
  note.key = from;
  note.inheritor = to;
  note.inheritor_db = to_db;
}

void Rewriter::Run() {
  const int64_t integer = IntegerReply(reply_).value_or(0);
  switch (row_.effect) {
    case Effect::kNone:
      return;
    case Effect::kVerbatim:
      Verbatim();
      if (row_.name == "rename") NoteInherit(arg(1), arg(2));
      return;
    case Effect::kModule:
    case Effect::kPfCount:
      return Verbatim();
    case Effect::kVerbatimIfPositive:
      if (integer <= 0) return;
      Verbatim();
      if (row_.name == "move") NoteInherit(key(), key(), static_cast<int>(ParseInt64(arg(2)).value_or(-1)));
      return;
    case Effect::kVerbatimIfNotNull:
      if (!IsNullReply(reply_)) Verbatim();
      return;
    case Effect::kSet:
      return Set();
    case Effect::kSetEx:
      return SetEx();
    case Effect::kSetNx:
      if (integer == 1) Emit({"SET", key(), arg(2)}, Kind::kOk);
      return;
    case Effect::kGetSet:
      return Emit({"SET", key(), arg(2)}, Kind::kOk);
    case Effect::kGetDel:
      if (!IsNullReply(reply_)) Emit({"DEL", key()}, Kind::kInteger, 1);
      return;
    case Effect::kGetEx:
      return GetEx();
    case Effect::kMsetNx: {
      if (integer != 1) return;
      Args args{"MSET"};
      for (size_t i = 1; i < argc(); ++i) args.push_back(arg(i));
      return Emit(args, Kind::kOk);
    }
    case Effect::kIncrByFloat:
      return IncrByFloat();
    case Effect::kBitfield:
      return Bitfield();
    case Effect::kExpire:
      return Expire();
    case Effect::kRenameNx:
      if (integer != 1) return;
      Emit({"RENAME", arg(1), arg(2)}, Kind::kOk);
      return NoteInherit(arg(1), arg(2));
    case Effect::kCopy:
      return Copy();
    case Effect::kRestore:
      return Restore();
    case Effect::kPop:
    case Effect::kMultiPop:
    case Effect::kSortedSetMultiPop:
    case Effect::kSetMove:
    case Effect::kSetPop:
    case Effect::kHashSetNx:
    case Effect::kHashIncrByFloat:
    case Effect::kSortedSetAdd:
    case Effect::kSortedSetPop:
    case Effect::kBlockingPop:
    case Effect::kBlockingMove:
    case Effect::kBlockingSortedPop:
      return RewriteCollection(accepted_, follow_);
    case Effect::kStreamAdd:
    case Effect::kStreamTrim:
    case Effect::kStreamReadGroup:
    case Effect::kStreamClaim:
    case Effect::kStreamAutoClaim:
      return RewriteStream(accepted_, follow_);
    case Effect::kCopyKeys:
      return CopyKeys();
    case Effect::kScript:
      // With companions ScriptBook has decided that its keys are copied.
      return accepted_.companions.empty() ? Verbatim() : CopyKeys();
    case Effect::kMigrate:
      return Migrate();
  }
}

// The keys have left for another server; NOKEY is an answer too, of keys that weren't there.
void Rewriter::Migrate() {
  for (size_t i = 6; i < argc(); ++i) {
    if (EqualsIgnoreCase(arg(i), "COPY")) return;
    if (EqualsIgnoreCase(arg(i), "KEYS")) break;
  }
  for (uint32_t at : FindKeys(row_, request_)) Emit({"DEL", arg(at)}, Kind::kNoError);
}

// SET key value with whatever conditions fired, reduced to what came of it.
void Rewriter::Set() {
  bool nx = false, xx = false, get = false, keep_ttl = false, misread = false;
  std::optional<GivenExpiry> expiry;
  for (size_t i = 3; i < argc(); ++i) {
    if (EqualsIgnoreCase(arg(i), "NX"))
      nx = true;
    else if (EqualsIgnoreCase(arg(i), "XX"))
      xx = true;
    else if (EqualsIgnoreCase(arg(i), "GET"))
      get = true;
    else if (EqualsIgnoreCase(arg(i), "KEEPTTL"))
      keep_ttl = true;
    else if (IsExpiryOption(arg(i)) && i + 1 < argc()) {
      expiry = ReadExpiryOption(arg(i), arg(i + 1));
      misread = !expiry;  // the primary understood a number that we don't
      ++i;
    } else {
      follow_->unknown = true;  // an option of a newer server: the primary took it, we can't tell what it did
      return;
    }
  }
  const bool null = IsNullReply(reply_);
  const bool applied = !get ? !null : nx ? null : xx ? !null : true;
  if (!applied) return;
  if (misread) {
    follow_->unknown = true;
    return;
  }
  if (keep_ttl) return Emit({"SET", key(), arg(2), "KEEPTTL"}, Kind::kOk);
  SetExpiring(arg(2), expiry);
}

void Rewriter::SetExpiring(std::string_view value, std::optional<GivenExpiry> expiry) {
  if (!expiry) return Emit({"SET", key(), value}, Kind::kOk);
  NoteExpiry(key(), *expiry);  // also when it is past: by the primary's clock it may not be
  if (IsPast(*expiry)) return Emit({"DEL", key()}, Kind::kNoError);
  Emit({"SET", key(), value, "PXAT", Text(SecondaryExpiry(*expiry))}, Kind::kOk);
}

void Rewriter::SetEx() {
  const auto expiry = ReadExpiry(arg(2), false, row_.name == "setex");
  if (expiry) return SetExpiring(arg(3), expiry);
  follow_->unknown = true;
}

void Rewriter::GetEx() {
  if (IsNullReply(reply_) || argc() < 3) return;
  if (EqualsIgnoreCase(arg(2), "PERSIST")) return Emit({"PERSIST", key()}, Kind::kNoError);
  const auto expiry = argc() > 3 ? ReadExpiryOption(arg(2), arg(3)) : std::nullopt;
  if (!expiry) {
    follow_->unknown = true;
    return;
  }
  NoteExpiry(key(), *expiry);
  if (IsPast(*expiry)) return Emit({"DEL", key()}, Kind::kInteger, 1);
  Emit({"PEXPIREAT", key(), Text(SecondaryExpiry(*expiry))}, Kind::kInteger, 1);
}

void Rewriter::Expire() {
  if (IntegerReply(reply_) != 1) return;
  const bool absolute = row_.name == "expireat" || row_.name == "pexpireat";
  const bool seconds = row_.name == "expire" || row_.name == "expireat";
  const auto expiry = ReadExpiry(arg(2), absolute, seconds);
  if (!expiry) {
    follow_->unknown = true;
    return;
  }
  NoteExpiry(key(), *expiry);
  if (IsPast(*expiry)) return Emit({"DEL", key()}, Kind::kInteger, 1);
  Emit({"PEXPIREAT", key(), Text(SecondaryExpiry(*expiry))}, Kind::kInteger, 1);
}

void Rewriter::Copy() {
  if (IntegerReply(reply_) != 1) return;
  Args args{"COPY", arg(1), arg(2)};
  int db = -1;
  for (size_t i = 3; i + 1 < argc(); ++i) {
    if (!EqualsIgnoreCase(arg(i), "DB")) continue;
    args.insert(args.end(), {"DB", arg(i + 1)});
    db = static_cast<int>(ParseInt64(arg(i + 1)).value_or(-1));
  }
  args.push_back("REPLACE");
  Emit(args, Kind::kInteger, 1);
  NoteInherit(arg(1), arg(2), db);
}

void Rewriter::Restore() {
  bool absolute = false;
  Args rest;
  for (size_t i = 4; i < argc(); ++i) {
    if (EqualsIgnoreCase(arg(i), "ABSTTL"))
      absolute = true;
    else if (!EqualsIgnoreCase(arg(i), "REPLACE"))
      rest.push_back(arg(i));
  }
  const auto expiry = ReadExpiry(arg(2), absolute, false);
  if (!expiry) {
    follow_->unknown = true;
    return;
  }
  if (expiry->ms != 0) NoteExpiry(key(), *expiry);
  if (expiry->ms != 0 && IsPast(*expiry)) return Emit({"DEL", key()}, Kind::kNoError);
  const std::string when = expiry->ms == 0 ? "0" : Text(SecondaryExpiry(*expiry));
  Args args{"RESTORE", key(), when, arg(3), "REPLACE", "ABSTTL"};
  args.insert(args.end(), rest.begin(), rest.end());
  Emit(args, Kind::kOk);
}

// The old value that the secondary reveals must be the new one less the increment, or the two had drifted apart.
void Rewriter::IncrByFloat() {
  const Reply reply = ParseReply(reply_);
  const auto sum = ParseDouble(reply.text);
  const auto increment = ParseDouble(arg(2));
  Emit({"SET", key(), reply.text, "KEEPTTL", "GET"}, Kind::kNumber);
  Expectation& expectation = follow_->expectations.back();
  expectation.number = sum && increment ? *sum - *increment : 0;
  // Servers add in long double and print 17 digits; beside a large number a small old value is not seen any more.
  const double largest = sum && increment ? std::max(std::abs(*sum), std::abs(*increment)) : 0;
  expectation.tolerance = 1e-9 * std::max(1.0, std::abs(expectation.number)) + 1e-14 * largest;
  if (!sum || !increment) expectation.kind = Kind::kNoError;
}

void Rewriter::Bitfield() {
  for (size_t i = 2; i < argc(); ++i) {
    if (EqualsIgnoreCase(arg(i), "SET") || EqualsIgnoreCase(arg(i), "INCRBY")) return Verbatim();
  }
}

void Rewriter::CopyKeys() {
  const KeyIndices keys = WrittenKeys(row_, request_);
  if (accepted_.companions.size() != 2 * keys.size()) {
    follow_->unknown = !keys.empty();
    return;
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    RewriteCopy(arg(keys[i]), accepted_.companions[2 * i], accepted_.companions[2 * i + 1], accepted_.times, follow_);
  }
}

}  // namespace

void Follow::Clear() {
  if (bytes.capacity() > 4096) {
    std::string().swap(bytes);
  } else {
    bytes.clear();
  }
  expectations.clear();
  expiries.clear();
  unknown = false;
}

void EmitFollow(Follow* follow, const std::vector<std::string_view>& args, Kind kind, int64_t integer,
                std::string text) {
  AppendCommand(&follow->bytes, std::span<const std::string_view>(args));
  Expectation& expectation = follow->expectations.emplace_back();
  expectation.kind = kind;
  expectation.integer = integer;
  expectation.text = std::move(text);
}

void EmitVerbatim(const Accepted& accepted, Follow* follow) {
  follow->bytes.append(accepted.request.bytes());
  follow->expectations.emplace_back();
}

void Rewrite(const Accepted& accepted, Follow* follow) {
  Rewriter(accepted, follow).Run();
}

}  // namespace crossfade
