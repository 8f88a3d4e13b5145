#include "routing/rewrite.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/companion.h"
#include "routing/rewrite_collection.h"
#include "routing/rewrite_hash_expiry.h"
#include "routing/rewrite_stream.h"
#include "routing/rewrite_time_series.h"
#include "routing/write_options.h"

namespace crossfade {

namespace {

using Kind = Expectation::Kind;
using Args = std::vector<std::string_view>;

std::string Text(int64_t value) {
  return std::to_string(value);
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

  void NoteExpiry(std::string_view name, GivenExpiry expiry);
  void NoteInherit(std::string_view from, std::string_view to, int to_db = -1);

  void Repeat();
  void RenameNx();
  void MsetNx();
  void Set();
  void SetExpiring(std::string_view name, std::string_view value, std::optional<GivenExpiry> expiry);
  void MsetEx();
  void SetEx();
  void GetEx();
  void Expire();
  void ExpireAt(std::optional<GivenExpiry> expiry);  // the key; without one: it can't be told
  void Copy();
  void Restore();
  void IncrByFloat();
  void CopyKeys();
  void SetIfItDid();
  void DeleteIfItDid();
  void Script();
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
  switch (row_.effect) {
    case Effect::kNone:
      return;
    case Effect::kVerbatim:
    case Effect::kModule:
    case Effect::kPfCount:
    case Effect::kVerbatimIfPositive:
    case Effect::kVerbatimIfNotNull:
      return Repeat();
    case Effect::kSet:
      return Set();
    case Effect::kSetEx:
      return SetEx();
    case Effect::kSetNx:
    case Effect::kGetSet:
      return SetIfItDid();
    case Effect::kGetDel:
    case Effect::kDeleteIf:
      return DeleteIfItDid();
    case Effect::kGetEx:
      return GetEx();
    case Effect::kMsetNx:
      return MsetNx();
    case Effect::kMsetEx:
      return MsetEx();
    case Effect::kIncrByFloat:
      return IncrByFloat();
    case Effect::kBitfield:
      return Bitfield();
    case Effect::kExpire:
      return Expire();
    case Effect::kRenameNx:
      return RenameNx();
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
    case Effect::kHashExpire:
    case Effect::kHashPersist:
    case Effect::kHashSetEx:
    case Effect::kHashGetEx:
    case Effect::kHashGetDel:
      return RewriteHashExpiry(accepted_, follow_);
    case Effect::kTimeSeriesAdd:
    case Effect::kTimeSeriesMultiAdd:
    case Effect::kTimeSeriesIncrement:
      return RewriteTimeSeries(accepted_, follow_);
    case Effect::kStreamAdd:
    case Effect::kStreamTrim:
    case Effect::kStreamReadGroup:
    case Effect::kStreamClaim:
    case Effect::kStreamAutoClaim:
      return RewriteStream(accepted_, follow_);
    case Effect::kCopyKeys:
      return CopyKeys();
    case Effect::kScript:
      return Script();
    case Effect::kMigrate:
      return Migrate();
  }
}

void Rewriter::SetIfItDid() {
  const bool did = row_.effect == Effect::kGetSet || IntegerReply(reply_).value_or(0) == 1;
  if (did) Emit({"SET", key(), arg(2)}, Kind::kOk);
}

void Rewriter::DeleteIfItDid() {
  const bool did = row_.effect == Effect::kGetDel ? !IsNullReply(reply_) : IntegerReply(reply_).value_or(0) == 1;
  if (did) Emit({"DEL", key()}, Kind::kInteger, 1);
}

// With companions ScriptBook has decided that its keys are copied.
void Rewriter::Script() {
  if (!accepted_.load_script.empty()) Emit({"SCRIPT", "LOAD", accepted_.load_script}, Kind::kNoError);
  if (!accepted_.companions.empty()) return CopyKeys();
  Verbatim();
  if (accepted_.reply_varies) follow_->expectations.back().kind = Kind::kNoError;
}

// The keys have left for another server; NOKEY is an answer too, of keys that weren't there.
void Rewriter::Migrate() {
  for (size_t i = 6; i < argc(); ++i) {
    if (EqualsIgnoreCase(arg(i), "COPY")) return;
    if (EqualsIgnoreCase(arg(i), "KEYS")) break;
  }
  for (uint32_t at : FindKeys(row_, request_)) Emit({"DEL", arg(at)}, Kind::kNoError);
}

// The same bytes again, if they did something.
void Rewriter::Repeat() {
  if (row_.effect == Effect::kVerbatimIfPositive && IntegerReply(reply_).value_or(0) <= 0) return;
  if (row_.effect == Effect::kVerbatimIfNotNull && IsNullReply(reply_)) return;
  Verbatim();
  if (row_.name == "rename") NoteInherit(arg(1), arg(2));
  if (row_.name == "move") NoteInherit(key(), key(), static_cast<int>(ParseInt64(arg(2)).value_or(-1)));
}

void Rewriter::RenameNx() {
  if (IntegerReply(reply_) != 1) return;
  Emit({"RENAME", arg(1), arg(2)}, Kind::kOk);
  NoteInherit(arg(1), arg(2));
}

void Rewriter::MsetNx() {
  if (IntegerReply(reply_) != 1) return;
  Args args{"MSET"};
  for (size_t i = 1; i < argc(); ++i) args.push_back(arg(i));
  Emit(args, Kind::kOk);
}

// SET key value with whatever conditions fired, reduced to what came of it.
void Rewriter::Set() {
  const SetOptions options = ReadSetOptions(request_, 3);
  if (options.unknown) {
    follow_->unknown = true;
    return;
  }
  // What the digest of the old value is, only the server knows: what the key holds now was asked for.
  if (options.by_digest && options.get) return CopyKeys();
  const bool null = IsNullReply(reply_);
  bool applied = true;
  if (!options.get || options.xx) {
    applied = !null;
  } else if (options.nx) {
    applied = null;
  } else if (options.if_equal || options.if_other) {
    const bool equal = !null && ParseReply(reply_).text == options.compared;
    applied = equal == options.if_equal;
  }
  if (!applied) return;
  if (options.misread) {
    follow_->unknown = true;  // the primary understood a number that we don't
    return;
  }
  if (options.keep_ttl) return Emit({"SET", key(), arg(2), "KEEPTTL"}, Kind::kOk);
  SetExpiring(key(), arg(2), options.expiry);
}

void Rewriter::SetExpiring(std::string_view name, std::string_view value, std::optional<GivenExpiry> expiry) {
  if (!expiry) return Emit({"SET", name, value}, Kind::kOk);
  NoteExpiry(name, *expiry);  // also when it is past: by the primary's clock it may not be
  if (IsPast(accepted_.times, *expiry)) return Emit({"DEL", name}, Kind::kNoError);
  Emit({"SET", name, value, "PXAT", Text(SecondaryExpiry(accepted_.times, *expiry))}, Kind::kOk);
}

// MSETEX numkeys key value … options. Each pair for itself: the secondary may not know MSETEX.
void Rewriter::MsetEx() {
  if (IntegerReply(reply_) != 1) return;
  const KeyIndices keys = FindKeys(row_, request_);
  const SetOptions options = keys.empty() ? SetOptions() : ReadSetOptions(request_, keys.back() + 2);
  if (keys.empty() || options.unknown || options.misread) {
    follow_->unknown = true;
    return;
  }
  if (!options.keep_ttl && !options.expiry) {
    Args args{"MSET"};
    for (size_t i = keys.front(); i < keys.back() + 2; ++i) args.push_back(arg(i));
    return Emit(args, Kind::kOk);
  }
  for (const uint32_t i : keys) {
    if (options.keep_ttl) {
      Emit({"SET", arg(i), arg(i + 1), "KEEPTTL"}, Kind::kOk);
    } else {
      SetExpiring(arg(i), arg(i + 1), options.expiry);
    }
  }
}

void Rewriter::SetEx() {
  const auto expiry = ReadExpiry(arg(2), false, row_.name == "setex");
  if (expiry) return SetExpiring(key(), arg(3), expiry);
  follow_->unknown = true;
}

void Rewriter::GetEx() {
  if (IsNullReply(reply_) || argc() < 3) return;
  if (EqualsIgnoreCase(arg(2), "PERSIST")) return Emit({"PERSIST", key()}, Kind::kNoError);
  ExpireAt(argc() > 3 ? ReadExpiryOption(arg(2), arg(3)) : std::nullopt);
}

void Rewriter::Expire() {
  if (IntegerReply(reply_) != 1) return;
  const bool absolute = row_.name == "expireat" || row_.name == "pexpireat";
  const bool seconds = row_.name == "expire" || row_.name == "expireat";
  ExpireAt(ReadExpiry(arg(2), absolute, seconds));
}

void Rewriter::ExpireAt(std::optional<GivenExpiry> expiry) {
  if (!expiry) {
    follow_->unknown = true;
    return;
  }
  NoteExpiry(key(), *expiry);
  if (IsPast(accepted_.times, *expiry)) return Emit({"DEL", key()}, Kind::kInteger, 1);
  Emit({"PEXPIREAT", key(), Text(SecondaryExpiry(accepted_.times, *expiry))}, Kind::kInteger, 1);
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
  if (expiry->ms != 0 && IsPast(accepted_.times, *expiry)) return Emit({"DEL", key()}, Kind::kNoError);
  const std::string when = expiry->ms == 0 ? "0" : Text(SecondaryExpiry(accepted_.times, *expiry));
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
