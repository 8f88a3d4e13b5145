#include "routing/rebuild_commands.h"

#include <algorithm>
#include <map>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/companion.h"
#include "routing/rebuild_stream.h"

namespace crossfade {

namespace {

constexpr size_t kArgsOfOneCommand = 4096;  // of what is written at once, so that no command holds a server up

constexpr std::string_view kKey = "<key>";

// How each type but streams is read and written.
struct Form {
  ValueType type;
  std::string_view name, length;
  std::string_view whole[6];  // the reading of all, kKey where the key stands
  std::string_view scan;      // the reading of a part
  std::string_view write;
  size_t group;  // items of a reply that belong together
};

constexpr Form kForms[] = {
    {ValueType::kString, "string", "STRLEN", {"GET", kKey}, "GETRANGE", "SET", 1},
    {ValueType::kList, "list", "LLEN", {"LRANGE", kKey, "0", "-1"}, "LRANGE", "RPUSH", 1},
    {ValueType::kSet, "set", "SCARD", {"SMEMBERS", kKey}, "SSCAN", "SADD", 1},
    {ValueType::kHash, "hash", "HLEN", {"HGETALL", kKey}, "HSCAN", "HSET", 2},
    {ValueType::kZset, "zset", "ZCARD", {"ZRANGE", kKey, "0", "-1", "WITHSCORES"}, "ZSCAN", "ZADD", 2},
    {ValueType::kStream, "stream", "XLEN", {"XINFO", "STREAM", kKey, "FULL", "COUNT", "0"}, "", "", 0},
};

const Form* FormOf(ValueType type) {
  for (const Form& form : kForms) {
    if (form.type == type) return &form;
  }
  return nullptr;
}

// The strings of a list, set, map or of RESP3's list of pairs, in order.
bool Flatten(const Reply& reply, std::vector<std::string_view>* out) {
  if (!reply.is_aggregate()) return false;
  for (const Reply& item : reply.items) {
    if (item.is_aggregate()) {
      if (!Flatten(item, out)) return false;
    } else if (item.is_error() || item.is_null()) {
      return false;
    } else {
      out->push_back(item.text);
    }
  }
  return true;
}

// RPUSH, SADD, HSET or ZADD of these items, in as many commands as it takes. False when they don't come in groups.
bool AddItems(const Form& form, std::string_view key, std::vector<std::string_view> items, CommandBatch* out) {
  if (items.size() % form.group != 0) return false;
  if (form.type == ValueType::kZset) {
    for (size_t i = 0; i < items.size(); i += 2) std::swap(items[i], items[i + 1]);  // ZADD has the score first
  }
  std::vector<std::string_view> args;
  for (size_t from = 0; from < items.size(); from += kArgsOfOneCommand) {
    const size_t to = std::min(items.size(), from + kArgsOfOneCommand);
    args.assign({form.write, key});
    args.insert(args.end(), items.begin() + static_cast<ptrdiff_t>(from), items.begin() + static_cast<ptrdiff_t>(to));
    out->Add(args);
  }
  return true;
}

absl::Status Refused(std::string_view what, std::string_view reply) {
  const Reply parsed = ParseReply(reply);
  return absl::FailedPreconditionError(
      fmt::format("{} answered {}", what, parsed.is_error() ? parsed.text : "something unexpected"));
}

// Strings by GETRANGE, lists by LRANGE: windows from one end to the other.
class WindowReader : public PieceReader {
 public:
  WindowReader(const Form& form, std::string_view key, std::string_view temporary, const PieceLimits& limits)
      : form_(form), key_(key), temporary_(temporary), limits_(limits), size_(limits) {}

  CommandBatch Next() override {
    CommandBatch batch;
    if (done_) return batch;
    asked_ = form_.type == ValueType::kString ? limits_.bytes : size_.items();
    batch.Add({form_.scan, key_, std::to_string(at_), std::to_string(at_ + asked_ - 1)});
    return batch;
  }

  absl::Status Take(std::span<const std::string> replies, const WriteTimes&, CommandBatch* out) override {
    const Reply reply = ParseReply(replies[0]);
    return form_.type == ValueType::kString ? TakeText(reply, replies[0], out) : TakeItems(reply, replies[0], out);
  }

 private:
  absl::Status TakeText(const Reply& reply, std::string_view bytes, CommandBatch* out) {
    if (!reply.is_text()) return Refused(form_.scan, bytes);
    done_ = reply.text.size() < asked_;
    if (at_ == 0) {
      out->Add({"SET", temporary_, reply.text});
    } else if (!reply.text.empty()) {
      out->Add({"APPEND", temporary_, reply.text});
    }
    at_ += reply.text.size();
    return absl::OkStatus();
  }
  absl::Status TakeItems(const Reply& reply, std::string_view bytes, CommandBatch* out) {
    std::vector<std::string_view> items;
    if (!Flatten(reply, &items)) return Refused(form_.scan, bytes);
    done_ = items.size() < asked_;
    at_ += items.size();
    size_.Came(items.size(), bytes.size());
    AddItems(form_, temporary_, std::move(items), out);
    return absl::OkStatus();
  }

  const Form& form_;
  const std::string key_, temporary_;
  const PieceLimits limits_;
  PieceSize size_;
  size_t at_ = 0, asked_ = 0;
  bool done_ = false;
};

// Sets, hashes and sorted sets by their SCAN; where fields may expire, each piece's times are asked for after it.
class ScanReader : public PieceReader {
 public:
  ScanReader(const Form& form, std::string_view key, std::string_view temporary, const PieceLimits& limits,
             bool field_expiry)
      : form_(form), key_(key), temporary_(temporary), size_(limits), field_expiry_(field_expiry) {}

  CommandBatch Next() override {
    CommandBatch batch;
    if (!piece_.empty()) {
      const std::string count = std::to_string(piece_.size() / 2);
      std::vector<std::string_view> args{"HPTTL", key_, "FIELDS", count};
      for (size_t i = 0; i < piece_.size(); i += 2) args.push_back(piece_[i]);
      batch.Add(args);
    } else if (!done_) {
      batch.Add({form_.scan, key_, cursor_, "COUNT", std::to_string(size_.items())});
    }
    return batch;
  }

  absl::Status Take(std::span<const std::string> replies, const WriteTimes& times, CommandBatch* out) override {
    const Reply reply = ParseReply(replies[0]);
    if (!piece_.empty()) return TakeTimes(reply, replies[0], times, out);
    std::vector<std::string_view> items;
    if (reply.items.size() != 2 || !Flatten(reply.items[1], &items)) return Refused(form_.scan, replies[0]);
    cursor_ = reply.items[0].text;
    done_ = cursor_ == "0";
    size_.Came(items.size() / form_.group, replies[0].size());
    if (field_expiry_ && form_.type == ValueType::kHash && items.size() % 2 == 0) {
      piece_.assign(items.begin(), items.end());
      return absl::OkStatus();
    }
    return AddItems(form_, temporary_, std::move(items), out) ? absl::OkStatus() : Refused(form_.scan, replies[0]);
  }

 private:
  // Left to live in ms; -1: for ever; -2: gone since the scan.
  absl::Status TakeTimes(const Reply& reply, std::string_view bytes, const WriteTimes& times, CommandBatch* out) {
    const std::vector<std::string> piece = std::exchange(piece_, {});
    if (reply.items.size() * 2 != piece.size()) return Refused("HPTTL", bytes);
    std::vector<std::string_view> items;
    std::map<int64_t, std::vector<std::string_view>> fields_at;
    for (size_t i = 0; i < reply.items.size(); ++i) {
      const int64_t left = reply.items[i].integer;
      if (reply.items[i].type != ReplyType::kInteger) return Refused("HPTTL", bytes);
      if (left == -2) continue;
      items.push_back(piece[2 * i]);
      items.push_back(piece[2 * i + 1]);
      if (left >= 0) fields_at[times.read_ms + times.secondary_offset_ms + left].push_back(piece[2 * i]);
    }
    AddItems(form_, temporary_, std::move(items), out);
    for (const auto& [at, fields] : fields_at) {
      const std::string when = std::to_string(at), count = std::to_string(fields.size());
      std::vector<std::string_view> args{"HPEXPIREAT", temporary_, when, "FIELDS", count};
      args.insert(args.end(), fields.begin(), fields.end());
      out->Add(args);
    }
    return absl::OkStatus();
  }

  const Form& form_;
  const std::string key_, temporary_;
  PieceSize size_;
  const bool field_expiry_;
  std::string cursor_ = "0";
  std::vector<std::string> piece_;  // fields and values whose times are still to be asked for
  bool done_ = false;
};

}  // namespace

ValueType ParseValueType(std::string_view type) {
  if (type == "none") return ValueType::kNone;
  for (const Form& form : kForms) {
    if (form.name == type) return form.type;
  }
  return ValueType::kModule;
}

std::string_view LengthCommand(ValueType type) {
  const Form* form = FormOf(type);
  return form == nullptr ? std::string_view() : form->length;
}

std::string MakeTemporaryName(uint64_t random) {
  return fmt::format("{}{:016x}", kTemporaryPrefix, random);
}

CopyRefusal JudgeRefusal(std::string_view error) {
  const auto says = [error](std::string_view text) { return error.find(text) != std::string_view::npos; };
  if (says("Bad data format")) return CopyRefusal::kThisKey;
  if (ErrorCode(error) == "NOPERM" || says("DUMP payload version or checksum") || says("unknown command")) {
    return CopyRefusal::kEveryKey;
  }
  return CopyRefusal::kPassing;
}

void CommandBatch::Add(std::initializer_list<std::string_view> args) {
  AppendCommand(&bytes, args);
  ++count;
}

void CommandBatch::Add(std::span<const std::string_view> args) {
  AppendCommand(&bytes, args);
  ++count;
}

bool CanCopyWhole(ValueType type, bool field_expiry) {
  return FormOf(type) != nullptr && (type != ValueType::kHash || !field_expiry);
}

void AppendWholeRead(ValueType type, std::string_view key, std::string* out) {
  std::vector<std::string_view> args;
  for (std::string_view word : FormOf(type)->whole) {
    if (!word.empty()) args.push_back(word.data() == kKey.data() ? key : word);
  }
  AppendCommand(out, args);
}

void RewriteWhole(ValueType type, std::string_view key, std::string_view pttl, std::string_view value,
                  bool stream_counters, const WriteTimes& times, Follow* follow) {
  const Form* form = FormOf(type);
  const auto ttl = IntegerReply(pttl);
  const Reply reply = ParseReply(value);
  const bool none = type == ValueType::kStream ? reply.is_error() && reply.text.ends_with("no such key")
                                               : reply.is_null() || (reply.is_aggregate() && reply.items.empty());
  follow->unknown = form == nullptr || !ttl || (reply.is_error() && !none) || (*ttl == -2 && !none);
  if (follow->unknown) return;
  CommandBatch batch;
  batch.Add({"UNLINK", key});
  bool understood = true;
  if (none) {
    // Nothing else.
  } else if (type == ValueType::kString) {
    understood = reply.is_text();
    batch.Add({"SET", key, reply.text});
  } else if (type == ValueType::kStream) {
    understood = RebuildStream(key, reply, stream_counters, times, &batch);
  } else {
    std::vector<std::string_view> items;
    understood = Flatten(reply, &items) && AddItems(*form, key, std::move(items), &batch);
  }
  follow->unknown = !understood;
  if (!understood) return;
  if (!none && *ttl >= 0) {
    const CopyExpiry expiry = ExpiryOfCopy(key, *ttl, times);
    batch.Add({"PEXPIREAT", key, std::to_string(expiry.at_ms)});
    follow->expiries.push_back(expiry.note);
  }
  follow->bytes = std::move(batch.bytes);
  for (int i = 0; i < batch.count; ++i) follow->expectations.emplace_back().kind = Expectation::Kind::kNoError;
}

std::unique_ptr<PieceReader> MakePieceReader(ValueType type, std::string_view key, std::string_view temporary,
                                             const PieceLimits& limits, const CopyServers& servers) {
  switch (type) {
    case ValueType::kString:
    case ValueType::kList:
      return std::make_unique<WindowReader>(*FormOf(type), key, temporary, limits);
    case ValueType::kSet:
    case ValueType::kHash:
    case ValueType::kZset:
      return std::make_unique<ScanReader>(*FormOf(type), key, temporary, limits, servers.field_expiry);
    case ValueType::kStream:
      return MakeStreamReader(key, temporary, limits, servers.stream_counters);
    case ValueType::kNone:
    case ValueType::kModule:
      break;
  }
  return nullptr;
}

void PieceSize::Came(size_t items, size_t bytes) {
  // A scan may pass over empty places; that says nothing about the size of elements.
  if (items == 0) return;
  const size_t wanted = limits_.bytes / std::max<size_t>(1, bytes / items);
  items_ = std::clamp<size_t>(std::min(wanted, items_ * kGrowth), 1, limits_.items);
}

}  // namespace crossfade
