#include "routing/value_windows.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/reply.h"
#include "routing/comparer.h"

namespace crossfade {

namespace {

using Replies = std::span<const std::string>;

class StringWindows : public ValueWindows {
 public:
  StringWindows(std::string_view key, const PieceLimits& limits) : key_(key), bytes_(limits.bytes) {}
  bool done() const override { return done_; }
  WindowQuestion Next() override {
    WindowQuestion question;
    question.commands.Add({"STRLEN", key_});
    question.commands.Add({"GETRANGE", key_, std::to_string(from_), std::to_string(from_ + bytes_ - 1)});
    return question;
  }
  WindowVerdict Take(Replies primary, Replies secondary, const ExpiryTolerance&) override {
    if (const WindowVerdict errors = JudgeErrors(primary, secondary); errors != WindowVerdict::kGoOn) return errors;
    if (primary[0] != secondary[0] || primary[1] != secondary[1]) return WindowVerdict::kDiffers;
    const int64_t length = IntegerReply(primary[0]).value_or(0);
    from_ += bytes_;
    done_ = length <= static_cast<int64_t>(from_);
    // Less than there must be: nonsense, or it has changed between the two commands. Otherwise each window is progress.
    return done_ || ParseReply(primary[1]).text.size() == bytes_ ? WindowVerdict::kGoOn : WindowVerdict::kChanged;
  }

 private:
  const std::string key_;
  const size_t bytes_;
  size_t from_ = 0;
  bool done_ = false;
};

// Elements move while windows are read: pushed at the head, they are read twice; removed before the next window, those
// behind them move to where nobody looks any more. How many were removed is known: the list has grown by less than was
// pushed. So that many are read again, as if all had been removed from the part that was read.
class ListWindows : public ValueWindows {
 public:
  ListWindows(std::string_view key, const PieceLimits& limits) : key_(key), size_(limits) {}
  bool done() const override { return done_; }

  WindowQuestion Next() override {
    overlap_ = std::min(overlap_, read_);
    from_ = read_ - overlap_;
    asked_ = static_cast<int64_t>(size_.items()) + overlap_;
    mark_ = pushed_;
    WindowQuestion question;
    question.commands.Add({"LLEN", key_});
    question.commands.Add({"LRANGE", key_, std::to_string(from_), std::to_string(from_ + asked_ - 1)});
    return question;
  }

  WindowVerdict Take(Replies primary, Replies secondary, const ExpiryTolerance&) override {
    if (const WindowVerdict errors = JudgeErrors(primary, secondary); errors != WindowVerdict::kGoOn) return errors;
    if (primary[0] != secondary[0] || primary[1] != secondary[1]) return WindowVerdict::kDiffers;
    if (unknown_) return WindowVerdict::kChanged;
    const int64_t length = std::clamp<int64_t>(IntegerReply(primary[0]).value_or(0), 0, kMostElements);
    const Reply window = ParseReply(primary[1]);
    if (static_cast<int64_t>(window.items.size()) != std::clamp<int64_t>(length - from_, 0, asked_)) {
      return WindowVerdict::kChanged;  // nonsense, or it has changed between the two commands
    }
    // Since the last window was asked for at the earliest: more may be counted than was, never less.
    const int64_t removed = length_ < 0 ? 0 : std::max<int64_t>(0, pushed_ - last_mark_ - (length - length_));
    read_ = std::max<int64_t>(0, read_ - removed);
    if (from_ <= read_) read_ = std::max(read_, from_ + static_cast<int64_t>(window.items.size()));
    length_ = length;
    last_mark_ = mark_;
    size_.Came(window.items.size(), primary[1].size());
    overlap_ = std::min(2 * removed, kMaxOverlap * static_cast<int64_t>(size_.items()));
    done_ = read_ >= length;
    if (read_ > furthest_) {
      furthest_ = read_;
      idle_windows_ = 0;
    } else if (++idle_windows_ > kMaxIdleWindows) {
      return WindowVerdict::kChanged;  // it moves faster than we read
    }
    return WindowVerdict::kGoOn;
  }

  void OnWritten(std::string_view name, RequestView request) override {
    const auto is = [name](std::initializer_list<std::string_view> names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (is({"lpush", "rpush", "lpushx", "rpushx"})) {
      pushed_ += static_cast<int64_t>(request.argc());
    } else if (is({"linsert", "lmove", "rpoplpush", "blmove", "brpoplpush"})) {
      ++pushed_;
    } else if (!is({"lset", "lrem", "ltrim", "lpop", "rpop", "lmpop", "blpop", "brpop", "blmpop", "expire", "pexpire",
                    "expireat", "pexpireat", "persist"})) {
      unknown_ = true;
    }
  }

 private:
  static constexpr int64_t kMostElements = int64_t{1} << 60;
  static constexpr int64_t kMaxOverlap = 3;  // windows
  static constexpr int kMaxIdleWindows = 500;

  const std::string key_;
  PieceSize size_;
  int64_t read_ = 0;     // everything before this place has been compared
  int64_t overlap_ = 0;  // so much is read again, in case that the next window comes after more removals
  int64_t from_ = 0, asked_ = 0;
  int64_t length_ = -1;                            // at the last window; -1: there was none
  int64_t pushed_ = 0, mark_ = 0, last_mark_ = 0;  // elements, at most: so far, when this and the last one were asked
  int64_t furthest_ = 0;
  int idle_windows_ = 0;
  bool unknown_ = false;  // written by something that may push or remove any number
  bool done_ = false;
};

struct ScannedForm {
  ValueType type;
  std::string_view length, scan, ask, ask_one;  // ask_one for servers that lack `ask` (Redis before 6.2)
  CompareRule rule;
  size_t group;  // items of a SCAN's page that belong together, the name first
};
constexpr ScannedForm kScanned[] = {
    {ValueType::kHash, "HLEN", "HSCAN", "HMGET", "HGET", CompareRule::kExact, 2},
    {ValueType::kSet, "SCARD", "SSCAN", "SMISMEMBER", "SISMEMBER", CompareRule::kExact, 1},
    {ValueType::kZset, "ZCARD", "ZSCAN", "ZMSCORE", "ZSCORE", CompareRule::kFloat, 2},
};

// Names come from the primary; then both are asked for what belongs to them, and for their number.
class ScannedWindows : public ValueWindows {
 public:
  ScannedWindows(const ScannedForm& form, std::string_view key, const PieceLimits& limits, bool field_expiry)
      : form_(form), key_(key), size_(limits), field_expiry_(field_expiry) {}
  bool done() const override { return done_; }

  WindowQuestion Next() override {
    WindowQuestion question;
    question.primary_only = names_.empty() && !scanned_;
    if (question.primary_only) {
      question.commands.Add({form_.scan, key_, cursor_, "COUNT", std::to_string(size_.items())});
      return question;
    }
    question.commands.Add({form_.length, key_});
    if (names_.empty()) return question;
    if (one_by_one_) {
      for (const std::string& name : names_) question.commands.Add({form_.ask_one, key_, name});
    } else {
      std::vector<std::string_view> args = {form_.ask, key_};
      args.insert(args.end(), names_.begin(), names_.end());
      question.commands.Add(args);
    }
    if (field_expiry_) AddFieldExpiries(key_, names_, &question.commands);
    return question;
  }

  WindowVerdict Take(Replies primary, Replies secondary, const ExpiryTolerance& tolerance) override {
    if (secondary.empty()) return TakePage(primary[0]);
    if (!one_by_one_ && primary.size() > 1 && (IsUnknown(primary[1]) || IsUnknown(secondary[1]))) {
      one_by_one_ = true;
      return WindowVerdict::kGoOn;
    }
    const size_t values = primary.size() - (field_expiry_ && !names_.empty() ? 1 : 0);
    if (const WindowVerdict errors = JudgeErrors(primary.first(values), secondary.first(values));
        errors != WindowVerdict::kGoOn) {
      return errors;
    }
    if (primary[0] != secondary[0]) return WindowVerdict::kDiffers;
    const Request request = MakeRequest({one_by_one_ ? form_.ask_one : form_.ask, key_, ""});
    for (size_t i = 1; i < values; ++i) {
      if (!RepliesAgree(form_.rule, request.view(), primary[i], secondary[i], 0)) return WindowVerdict::kDiffers;
    }
    if (values < primary.size() && !FieldExpiriesAgree(primary[values], secondary[values], tolerance)) {
      return WindowVerdict::kTtl;
    }
    names_.clear();
    done_ = scanned_;
    return WindowVerdict::kGoOn;
  }

 private:
  static bool IsUnknown(std::string_view reply) {
    return IsErrorReply(reply) && ParseReply(reply).text.find("unknown command") != std::string_view::npos;
  }
  WindowVerdict TakePage(const std::string& bytes) {
    const Reply reply = ParseReply(bytes);
    if (reply.is_error()) return ErrorCode(bytes) == "WRONGTYPE" ? WindowVerdict::kChanged : WindowVerdict::kRefused;
    if (reply.items.size() != 2 || !reply.items[1].is_aggregate()) return WindowVerdict::kRefused;
    cursor_ = reply.items[0].text;
    scanned_ = cursor_ == "0";
    // A scan never comes back to where it was.
    if (cursor_ == passed_) return WindowVerdict::kRefused;
    if (++pages_ >= 2 * passed_at_) {
      passed_ = cursor_;
      passed_at_ = pages_;
    }
    const std::vector<Reply>& items = reply.items[1].items;
    for (size_t i = 0; i < items.size(); i += form_.group) names_.emplace_back(items[i].text);
    size_.Came(names_.size(), bytes.size());
    return WindowVerdict::kGoOn;
  }

  const ScannedForm& form_;
  const std::string key_;
  PieceSize size_;
  const bool field_expiry_;
  std::string cursor_ = "0";
  // One of the cursors that were given, and at which page: further and further on, so that any circle is noticed.
  std::string passed_;
  uint64_t pages_ = 0, passed_at_ = 0;
  bool scanned_ = false;
  bool one_by_one_ = false;
  std::vector<std::string> names_;
  bool done_ = false;
};

// A server may say any number. So far apart they differ, whatever the clocks say.
constexpr int64_t kMostApartMs = int64_t{1} << 60;

bool MomentsAgree(int64_t primary, int64_t secondary, const ExpiryTolerance& tolerance) {
  if (primary < 0 || secondary < 0) return primary == secondary;
  const int64_t apart_ms = std::clamp(primary - secondary, -kMostApartMs, kMostApartMs);
  return std::abs(apart_ms) <= tolerance.tolerance_ms ||
         std::abs(apart_ms - tolerance.clock_difference_ms) <= tolerance.tolerance_ms;
}

}  // namespace

void ValueWindows::OnWritten(std::string_view, RequestView) {}

WindowVerdict JudgeErrors(Replies primary, Replies secondary) {
  bool refused = false;
  for (const Replies& replies : {primary, secondary}) {
    for (const std::string& reply : replies) {
      if (!IsErrorReply(reply)) continue;
      if (ErrorCode(reply) == "WRONGTYPE") return WindowVerdict::kChanged;
      refused = true;
    }
  }
  return refused ? WindowVerdict::kRefused : WindowVerdict::kGoOn;
}

std::unique_ptr<ValueWindows> MakeValueWindows(ValueType type, std::string_view key, const PieceLimits& limits,
                                               bool field_expiry) {
  if (type == ValueType::kString) return std::make_unique<StringWindows>(key, limits);
  if (type == ValueType::kList) return std::make_unique<ListWindows>(key, limits);
  if (type == ValueType::kStream) return MakeStreamWindows(key, limits);
  for (const ScannedForm& form : kScanned) {
    if (form.type != type) continue;
    return std::make_unique<ScannedWindows>(form, key, limits, field_expiry && type == ValueType::kHash);
  }
  return nullptr;
}

bool FieldExpiriesAgree(std::string_view primary, std::string_view secondary, const ExpiryTolerance& tolerance) {
  if (IsErrorReply(primary) || IsErrorReply(secondary)) return IsErrorReply(primary) && IsErrorReply(secondary);
  const Reply a = ParseReply(primary);
  const Reply b = ParseReply(secondary);
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(),
                    [&](const Reply& x, const Reply& y) { return MomentsAgree(x.integer, y.integer, tolerance); });
}

void AddFieldExpiries(std::string_view key, std::span<const std::string> fields, CommandBatch* out) {
  const std::string count = std::to_string(fields.size());
  std::vector<std::string_view> args = {"HPEXPIRETIME", key, "FIELDS", count};
  args.insert(args.end(), fields.begin(), fields.end());
  out->Add(args);
}

}  // namespace crossfade
