#include "proxy/key_check.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/comparer.h"

namespace crossfade {

namespace {

constexpr int64_t kElementBytes =
    64;  // what an element of a collection is taken to need, where only their number is known
constexpr size_t kMaxArgs = 6;
constexpr size_t kMaxReads = 3;
constexpr std::string_view kMagic = "HYLL";

// One command of the last question; the key is its argument at `key_at`, the other arguments are as written here.
struct ValueRead {
  CompareRule rule = CompareRule::kExact;
  size_t argc = 0;
  std::string_view args[kMaxArgs];
  size_t key_at = 1;
};

struct TypeRow {
  std::string_view type, length;
  ValueRead reads[kMaxReads];
};

constexpr TypeRow kTypes[] = {
    {"string", "STRLEN", {{CompareRule::kExact, 2, {"GET"}}}},
    {"list", "LLEN", {{CompareRule::kExact, 4, {"LRANGE", "", "0", "-1"}}}},
    {"set", "SCARD", {{CompareRule::kMultiset, 2, {"SMEMBERS"}}}},
    {"hash", "HLEN", {{CompareRule::kMapPairs, 2, {"HGETALL"}}}},
    {"zset", "ZCARD", {{CompareRule::kFloat, 5, {"ZRANGE", "", "0", "-1", "WITHSCORES"}}}},
    {"stream", "XLEN", {{CompareRule::kStreamInfo, 6, {"XINFO", "STREAM", "", "FULL", "COUNT", "0"}, 2}}},
};
// … where a server doesn't know FULL (Redis before 6.0): without what is pending.
constexpr TypeRow kPlainStream = {"stream",
                                  "XLEN",
                                  {{CompareRule::kExact, 4, {"XRANGE", "", "-", "+"}},
                                   {CompareRule::kStreamInfo, 3, {"XINFO", "STREAM"}, 2},
                                   {CompareRule::kStreamInfo, 3, {"XINFO", "GROUPS"}, 2}}};
// A module's: no length, and bytes whose equality proves something while their difference doesn't.
constexpr TypeRow kOtherType = {"", "", {{CompareRule::kExact, 2, {"DUMP"}}}};

const TypeRow& RowOf(std::string_view type) {
  const auto* row =
      std::find_if(std::begin(kTypes), std::end(kTypes), [type](const TypeRow& r) { return r.type == type; });
  return row == std::end(kTypes) ? kOtherType : *row;
}

std::vector<std::string_view> ArgsOf(const ValueRead& read, std::string_view key) {
  std::vector<std::string_view> args(read.args, read.args + read.argc);
  args[read.key_at] = key;
  return args;
}

// What the first two replies of a question say.
struct Meta {
  std::string_view type;
  int64_t ttl_ms = -1;
  bool is_there = false;
  bool is_known = false;  // neither was an error
};

Meta MetaOf(const std::vector<std::string>& replies) {
  const std::optional<int64_t> ttl_ms = IntegerReply(replies[1]);
  if (IsErrorReply(replies[0]) || !ttl_ms) return {};
  const std::string_view type = ParseReply(replies[0]).text;
  // A key that expires between the two commands is gone.
  return {type, *ttl_ms, type != "none" && *ttl_ms != -2, true};
}

// The server did look, and found something else than what was asked for.
bool IsWrongKind(std::string_view reply) {
  return ErrorCode(reply) == "WRONGTYPE" || ErrorCode(reply) == "INVALIDOBJ";
}

}  // namespace

const char* Name(KeyDifference difference) {
  switch (difference) {
    case KeyDifference::kNone:
      return "none";
    case KeyDifference::kValue:
      return "value";
    case KeyDifference::kTtl:
      return "ttl";
    case KeyDifference::kType:
      return "type";
    case KeyDifference::kMissingOnSecondary:
      return "missing_on_secondary";
    case KeyDifference::kOnlyOnSecondary:
      return "only_on_secondary";
  }
  return "";
}

struct KeyCheck::Case {
  int db = 0;
  std::string key;
  Callback done;
  std::string type;  // as it was looked at
  bool plain_stream = false;
  bool with_count = false;   // its bytes differ, and both sides may be HyperLogLogs
  int64_t memory_bytes = 0;  // the larger one of both sides, as far as they said
  int64_t asked_us = 0;
  uint64_t order = 0;
};

KeyCheck::KeyCheck(Io* io, const LimitsConfig* limits, Lane* lane) : io_(io), limits_(limits), lane_(lane) {}

void KeyCheck::Check(int db, std::string_view key, Callback done) {
  auto check = std::make_shared<Case>();  // owned as CasePtr says
  check->db = db;
  check->key = key;
  check->done = std::move(done);
  ++in_flight_;
  std::string commands;
  AppendCommand(&commands, {"TYPE", key});
  AppendCommand(&commands, {"PTTL", key});
  AppendCommand(&commands, {"MEMORY", "USAGE", key, "SAMPLES", "5"});
  Ask(check, std::move(commands), 3, &KeyCheck::OnLook);
}

void KeyCheck::Ask(const CasePtr& check, std::string commands, int count, Next next) {
  if (lane_->Gated(check->key)) return Finish(check, KeyOutcome::kBusy);  // somebody is at work on it elsewhere
  check->asked_us = io_->clock()->NowUs();
  check->order = lane_->next_order();
  Question question;
  question.commands = std::move(commands);
  question.count = count;
  question.db = check->db;
  question.protocol = kAnyProtocol;
  question.ask_primary = question.ask_secondary = true;
  const size_t replies = static_cast<size_t>(count);
  question.done = [this, check, replies, next](const Answers& answers) {
    if (!answers.status.ok() || answers.primary.size() != replies || answers.secondary.size() != replies) {
      return Finish(check, KeyOutcome::kBusy);
    }
    (this->*next)(check, answers);
  };
  lane_->Ask(std::move(question));
}

void KeyCheck::OnLook(const CasePtr& check, const Answers& answers) {
  if (FinishByMeta(check, answers)) return;
  check->type = MetaOf(answers.primary).type;
  bool is_known = true;
  for (const std::string& reply : {answers.primary[2], answers.secondary[2]}) {
    const std::optional<int64_t> bytes = IntegerReply(reply);
    // Null: it is gone by now, so it isn't large.
    is_known = is_known && (bytes || IsNullReply(reply));
    check->memory_bytes = std::max(check->memory_bytes, bytes.value_or(0));
  }
  if (check->memory_bytes > limits_->settle_value_bytes) return FinishTooBig(check, answers);
  if (is_known) return AskValue(check);
  const std::string_view length = RowOf(check->type).length;
  if (length.empty()) return Finish(check, KeyOutcome::kNotComparable);
  std::string commands;
  AppendCommand(&commands, {"TYPE", check->key});
  AppendCommand(&commands, {"PTTL", check->key});
  AppendCommand(&commands, {length, check->key});
  Ask(check, std::move(commands), 3, &KeyCheck::OnLength);
}

void KeyCheck::OnLength(const CasePtr& check, const Answers& answers) {
  if (FinishByMeta(check, answers)) return;
  const std::optional<int64_t> primary = IntegerReply(answers.primary[2]);
  const std::optional<int64_t> secondary = IntegerReply(answers.secondary[2]);
  if (!primary || !secondary) {
    const bool changed = IsWrongKind(answers.primary[2]) || IsWrongKind(answers.secondary[2]);
    return Finish(check, changed ? KeyOutcome::kBusy : KeyOutcome::kNotComparable);
  }
  const int64_t element_bytes = check->type == "string" ? 1 : kElementBytes;
  if (std::max(*primary, *secondary) > limits_->settle_value_bytes / element_bytes) return FinishTooBig(check, answers);
  AskValue(check);
}

void KeyCheck::AskValue(const CasePtr& check) {
  std::string commands;
  int count = 2;
  AppendCommand(&commands, {"TYPE", check->key});
  AppendCommand(&commands, {"PTTL", check->key});
  for (const ValueRead& read : (check->plain_stream ? kPlainStream : RowOf(check->type)).reads) {
    if (read.argc == 0) break;
    AppendCommand(&commands, ArgsOf(read, check->key));
    ++count;
  }
  if (check->with_count) {
    AppendCommand(&commands, {"PFCOUNT", check->key});
    ++count;
  }
  Ask(check, std::move(commands), count, &KeyCheck::OnValue);
}

void KeyCheck::OnValue(const CasePtr& check, const Answers& answers) {
  if (FinishByMeta(check, answers)) return;
  if (MetaOf(answers.primary).type != check->type) return Finish(check, KeyOutcome::kBusy);
  if (check->type == "string") return JudgeString(check, answers);
  const TypeRow& row = check->plain_stream ? kPlainStream : RowOf(check->type);
  for (size_t i = 0; i < kMaxReads && row.reads[i].argc > 0; ++i) {
    const ValueRead& read = row.reads[i];
    const std::string& primary = answers.primary[2 + i];
    const std::string& secondary = answers.secondary[2 + i];
    if (IsErrorReply(primary) || IsErrorReply(secondary)) {
      if (check->type != "stream" || check->plain_stream) return Finish(check, KeyOutcome::kNotComparable);
      check->plain_stream = true;
      return AskValue(check);
    }
    const Request request = MakeRequest(ArgsOf(read, check->key));
    if (RepliesAgree(read.rule, request.view(), primary, secondary, 0)) continue;
    if (!row.type.empty()) return FinishDiffers(check, answers, KeyDifference::kValue);
    return Finish(check, Expiring(*check, answers) ? KeyOutcome::kExpiring : KeyOutcome::kNotComparable);
  }
  if (check->type == "hash" && AskFieldExpiries(check, answers)) return;
  FinishDiffers(check, answers, KeyDifference::kNone);
}

// Both have the same fields. False when their times to live can't be asked for.
bool KeyCheck::AskFieldExpiries(const CasePtr& check, const Answers& answers) {
  if (!lane_->primary().info().field_expiry || !lane_->secondary().info().field_expiry) return false;
  const Reply hash = ParseReply(answers.primary[2]);
  std::vector<std::string> fields;
  for (size_t i = 0; i < hash.items.size(); i += 2) fields.emplace_back(hash.items[i].text);
  if (fields.empty()) return false;
  CommandBatch commands;
  commands.Add({"TYPE", check->key});
  commands.Add({"PTTL", check->key});
  AddFieldExpiries(check->key, fields, &commands);
  Ask(check, std::move(commands.bytes), commands.count, &KeyCheck::OnFieldExpiries);
  return true;
}

void KeyCheck::OnFieldExpiries(const CasePtr& check, const Answers& answers) {
  if (FinishByMeta(check, answers)) return;
  const bool agree = FieldExpiriesAgree(answers.primary[2], answers.secondary[2], Tolerance(*check));
  FinishDiffers(check, answers, agree ? KeyDifference::kNone : KeyDifference::kTtl);
}

void KeyCheck::JudgeString(const CasePtr& check, const Answers& answers) {
  const Reply primary = ParseReply(answers.primary[2]);
  const Reply secondary = ParseReply(answers.secondary[2]);
  if (primary.is_error() || secondary.is_error()) return Finish(check, KeyOutcome::kNotComparable);
  const bool same = primary.is_null() == secondary.is_null() && primary.text == secondary.text;
  if (same) return FinishDiffers(check, answers, KeyDifference::kNone);
  if (!primary.text.starts_with(kMagic) || !secondary.text.starts_with(kMagic)) {
    return FinishDiffers(check, answers, KeyDifference::kValue);
  }
  if (!check->with_count) {
    check->with_count = true;
    return AskValue(check);
  }
  const std::string& primary_count = answers.primary[3];
  const std::string& secondary_count = answers.secondary[3];
  const bool counted = !IsErrorReply(primary_count) && !IsErrorReply(secondary_count);
  if (counted && primary_count == secondary_count) return FinishDiffers(check, answers, KeyDifference::kNone);
  // A string that only begins like one is a string: its bytes count.
  if (counted || IsWrongKind(primary_count) || IsWrongKind(secondary_count)) {
    return FinishDiffers(check, answers, KeyDifference::kValue);
  }
  Finish(check, KeyOutcome::kNotComparable);
}

void KeyCheck::Finish(const CasePtr& check, KeyOutcome outcome, KeyDifference difference) {
  --in_flight_;
  check->done(KeyVerdict{outcome, difference, check->order});
}

// Its value isn't looked at, but its time to live is.
void KeyCheck::FinishTooBig(const CasePtr& check, const Answers& answers) {
  if (!TtlsAgree(*check, MetaOf(answers.primary).ttl_ms, MetaOf(answers.secondary).ttl_ms)) {
    return FinishDiffers(check, answers, KeyDifference::kTtl);
  }
  Finish(check, KeyOutcome::kTooBig);
}

// Is it decided by what the key is on each side? Otherwise it is there on both, and of one type.
bool KeyCheck::FinishByMeta(const CasePtr& check, const Answers& answers) {
  const Meta primary = MetaOf(answers.primary);
  const Meta secondary = MetaOf(answers.secondary);
  if (!primary.is_known || !secondary.is_known) {
    Finish(check, KeyOutcome::kNotComparable);
  } else if (!primary.is_there && !secondary.is_there) {
    Finish(check, KeyOutcome::kEqual);
  } else if (primary.is_there && !secondary.is_there) {
    FinishDiffers(check, answers, KeyDifference::kMissingOnSecondary);
  } else if (!primary.is_there) {
    FinishDiffers(check, answers, KeyDifference::kOnlyOnSecondary);
  } else if (primary.type != secondary.type) {
    FinishDiffers(check, answers, KeyDifference::kType);
  } else {
    return false;
  }
  return true;
}

// With no other difference, the times to live decide.
void KeyCheck::FinishDiffers(const CasePtr& check, const Answers& answers, KeyDifference difference) {
  if (difference == KeyDifference::kNone) {
    if (TtlsAgree(*check, MetaOf(answers.primary).ttl_ms, MetaOf(answers.secondary).ttl_ms)) {
      return Finish(check, KeyOutcome::kEqual);
    }
    difference = KeyDifference::kTtl;
  }
  if (Expiring(*check, answers)) return Finish(check, KeyOutcome::kExpiring);
  Finish(check, KeyOutcome::kDiffers, difference);
}

// An expiry is relative to what each store was told, or a moment that a client chose, which each takes by its own
// clock.
bool KeyCheck::TtlsAgree(const Case& check, int64_t primary_ms, int64_t secondary_ms) const {
  if (primary_ms < 0 || secondary_ms < 0) return primary_ms == secondary_ms;
  const ExpiryTolerance tolerance = Tolerance(check);
  const int64_t apart_ms = primary_ms - secondary_ms;
  return std::abs(apart_ms) <= tolerance.tolerance_ms ||
         std::abs(apart_ms + tolerance.clock_difference_ms) <= tolerance.tolerance_ms;
}

bool KeyCheck::Expiring(const Case& check, const Answers& answers) const {
  const ExpiryTolerance tolerance = Tolerance(check);
  const int64_t limit_ms = tolerance.tolerance_ms + std::abs(tolerance.clock_difference_ms);
  const auto nearly = [limit_ms](int64_t ttl_ms) { return ttl_ms >= 0 && ttl_ms <= limit_ms; };
  return nearly(MetaOf(answers.primary).ttl_ms) || nearly(MetaOf(answers.secondary).ttl_ms);
}

ExpiryTolerance KeyCheck::Tolerance(const Case& check) const {
  return ExpiryToleranceOf(*lane_, io_->clock()->NowUs() - check.asked_us);
}

// The stores ran the question at most as far apart as it took altogether: that covers the lag.
ExpiryTolerance ExpiryToleranceOf(const Lane& lane, int64_t took_us) {
  const ClockReading& primary = lane.primary().clock();
  const ClockReading& secondary = lane.secondary().clock();
  return {ExpiryTolerance::kLeastMs + took_us / 1000 + primary.uncertainty_ms + secondary.uncertainty_ms,
          primary.offset_ms - secondary.offset_ms};
}

}  // namespace crossfade
