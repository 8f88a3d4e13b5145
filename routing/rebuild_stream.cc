#include "routing/rebuild_stream.h"

#include <charconv>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"

namespace crossfade {

namespace {

struct Id {
  uint64_t ms = 0, sequence = 0;
  auto operator<=>(const Id&) const = default;
};

bool ParseId(std::string_view text, Id* id) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return false;
  const auto number = [](std::string_view digits, uint64_t* out) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *out);
    return error == std::errc() && end == digits.data() + digits.size() && !digits.empty();
  };
  return number(text.substr(0, dash), &id->ms) && number(text.substr(dash + 1), &id->sequence);
}

std::string ToText(const Id& id) {
  return fmt::format("{}-{}", id.ms, id.sequence);
}

// The value of a name in a map, or in RESP2's list of names and values. Null when there is none.
const Reply* Find(const Reply& map, std::string_view name) {
  for (size_t i = 0; i + 1 < map.items.size(); i += 2) {
    if (map.items[i].text == name) return &map.items[i + 1];
  }
  return nullptr;
}

std::string_view TextOf(const Reply& map, std::string_view name) {
  const Reply* value = Find(map, name);
  return value == nullptr ? std::string_view() : value->text;
}

// Of servers that count (Redis since 7.0).
std::string_view CounterOf(const Reply& map, std::string_view name) {
  const Reply* value = Find(map, name);
  return value == nullptr || value->is_null() ? std::string_view() : value->text;
}

// One entry that was delivered and not acknowledged.
struct Pending {
  std::string_view id, consumer;
  int64_t delivered_ms = 0;  // by the secondary's clock
  int64_t times = 0;
};

// An empty stream with nothing in it: only a group's creation makes one.
void AddEmptyStream(std::string_view key, CommandBatch* out) {
  out->Add({"XGROUP", "CREATE", key, "crossfade", "0", "MKSTREAM"});
  out->Add({"XGROUP", "DESTROY", key, "crossfade"});
}

bool AddGroup(std::string_view key, const Reply& group, bool counters, CommandBatch* out) {
  const std::string_view name = TextOf(group, "name"), last = TextOf(group, "last-delivered-id");
  const std::string_view read = CounterOf(group, "entries-read");
  if (Find(group, "name") == nullptr || last.empty()) return false;
  if (counters && !read.empty()) {
    out->Add({"XGROUP", "CREATE", key, name, last, "ENTRIESREAD", read});
  } else {
    out->Add({"XGROUP", "CREATE", key, name, last});
  }
  return true;
}

// Claims what is pending, by placeholders in a stream whose last id is smaller than theirs, and takes these away again.
bool AddPending(std::string_view key, std::string_view group, const std::vector<Pending>& pending, CommandBatch* out) {
  if (pending.empty()) return true;
  std::set<Id> ids;
  for (const Pending& entry : pending) {
    Id id;
    if (!ParseId(entry.id, &id)) return false;
    ids.insert(id);
  }
  for (const Id& id : ids) out->Add({"XADD", key, ToText(id), "", ""});
  for (const Pending& entry : pending) {
    out->Add({"XCLAIM", key, group, entry.consumer, "0", entry.id, "TIME", std::to_string(entry.delivered_ms),
              "RETRYCOUNT", std::to_string(entry.times), "FORCE", "JUSTID"});
  }
  out->Add({"XTRIM", key, "MAXLEN", "0"});
  return true;
}

bool AddEntry(std::string_view key, const Reply& entry, CommandBatch* out) {
  if (entry.items.size() != 2 || entry.items[1].items.empty()) return false;
  std::vector<std::string_view> args{"XADD", key, entry.items[0].text};
  for (const Reply& word : entry.items[1].items) args.push_back(word.text);
  out->Add(args);
  return true;
}

// The last id, and what was ever added and deleted. Also before the entries, to begin with nothing.
void AddLastId(std::string_view key, const Reply& stream, bool counters, CommandBatch* out) {
  const std::string_view last = TextOf(stream, "last-generated-id");
  const std::string_view added = CounterOf(stream, "entries-added");
  const std::string_view deleted = CounterOf(stream, "max-deleted-entry-id");
  Id last_id, deleted_id;
  if (counters && !added.empty() && ParseId(last, &last_id) && ParseId(deleted, &deleted_id) && deleted_id > last_id) {
    // XSETID has taken the last id back behind a deleted entry, and would not say so again: one is deleted here.
    out->Add({"XADD", key, deleted, "", ""});
    out->Add({"XDEL", key, deleted});
    out->Add({"XSETID", key, last, "ENTRIESADDED", added});
  } else if (counters && !added.empty() && !deleted.empty()) {
    out->Add({"XSETID", key, last, "ENTRIESADDED", added, "MAXDELETEDID", deleted});
  } else {
    out->Add({"XSETID", key, last});
  }
}

class StreamReader : public PieceReader {
 public:
  StreamReader(std::string_view key, std::string_view temporary, const PieceLimits& limits, bool counters)
      : key_(key), temporary_(temporary), limits_(limits), size_(limits), counters_(counters) {}

  CommandBatch Next() override {
    CommandBatch batch;
    switch (stage_) {
      case Stage::kStream:
        batch.Add({"XINFO", "STREAM", key_});
        batch.Add({"XINFO", "GROUPS", key_});
        break;
      case Stage::kConsumers:
        batch.Add({"XINFO", "CONSUMERS", key_, groups_[group_].name});
        break;
      case Stage::kPending:
        asked_ = std::min(limits_.items, kPendingAtOnce);
        batch.Add({"XPENDING", key_, groups_[group_].name, from_, "+", std::to_string(asked_)});
        break;
      case Stage::kEntries:
        asked_ = size_.items();
        batch.Add({"XRANGE", key_, from_, "+", "COUNT", std::to_string(asked_)});
        break;
      case Stage::kDone:
        break;
    }
    return batch;
  }

  absl::Status Take(std::span<const std::string> replies, const WriteTimes& times, CommandBatch* out) override {
    for (const std::string& reply : replies) {
      if (IsErrorReply(reply)) return absl::FailedPreconditionError(std::string(ParseReply(reply).text));
    }
    bool understood = false;
    switch (stage_) {
      case Stage::kStream:
        understood = TakeStream(replies, out);
        break;
      case Stage::kConsumers:
        understood = TakeConsumers(ParseReply(replies[0]), out);
        break;
      case Stage::kPending:
        understood = TakePending(ParseReply(replies[0]), times, out);
        break;
      case Stage::kEntries:
        understood = TakeEntries(ParseReply(replies[0]), replies[0].size(), out);
        break;
      case Stage::kDone:
        break;
    }
    return understood ? absl::OkStatus() : absl::InternalError("a stream's description was not understood");
  }

 private:
  enum class Stage : uint8_t { kStream, kConsumers, kPending, kEntries, kDone };
  static constexpr size_t kPendingAtOnce = 1000;
  struct Group {
    std::string name;
    bool consumers = false, pending = false;
  };

  bool TakeStream(std::span<const std::string> replies, CommandBatch* out) {
    const Reply stream = ParseReply(replies[0]), groups = ParseReply(replies[1]);
    if (TextOf(stream, "last-generated-id").empty() || !groups.is_aggregate()) return false;
    AddLastId(temporary_, stream, counters_, &end_);
    AddEmptyStream(temporary_, out);
    for (const Reply& group : groups.items) {
      if (!AddGroup(temporary_, group, counters_, out)) return false;
      const Reply* consumers = Find(group, "consumers");
      const Reply* pending = Find(group, "pending");
      if (consumers == nullptr || pending == nullptr) return false;
      groups_.push_back({std::string(TextOf(group, "name")), consumers->integer > 0, pending->integer > 0});
    }
    EnterGroup();
    return true;
  }

  // The next group that has something more to ask about; behind the last, the entries.
  void EnterGroup() {
    while (group_ < groups_.size() && !groups_[group_].consumers) ++group_;
    stage_ = group_ < groups_.size() ? Stage::kConsumers : Stage::kEntries;
    from_ = "-";
  }

  bool TakeConsumers(const Reply& consumers, CommandBatch* out) {
    if (!consumers.is_aggregate()) return false;
    for (const Reply& consumer : consumers.items) {
      if (Find(consumer, "name") == nullptr) return false;
      out->Add({"XGROUP", "CREATECONSUMER", temporary_, groups_[group_].name, TextOf(consumer, "name")});
    }
    if (groups_[group_].pending) {
      stage_ = Stage::kPending;
    } else {
      ++group_;
      EnterGroup();
    }
    return true;
  }

  bool TakePending(const Reply& reply, const WriteTimes& times, CommandBatch* out) {
    if (!reply.is_aggregate()) return false;
    std::vector<Pending> pending;
    for (const Reply& entry : reply.items) {
      if (entry.items.size() != 4) return false;
      const int64_t at_ms = times.read_ms + times.secondary_offset_ms - entry.items[2].integer;
      pending.push_back({entry.items[0].text, entry.items[1].text, at_ms, entry.items[3].integer});
    }
    if (!AddPending(temporary_, groups_[group_].name, pending, out)) return false;
    if (!pending.empty()) from_ = NextStreamId(pending.back().id);
    if (pending.size() >= asked_ && !from_.empty()) return true;
    out->Add({"XSETID", temporary_, "0-0"});
    ++group_;
    EnterGroup();
    return true;
  }

  bool TakeEntries(const Reply& reply, size_t bytes, CommandBatch* out) {
    if (!reply.is_aggregate()) return false;
    for (const Reply& entry : reply.items) {
      if (!AddEntry(temporary_, entry, out)) return false;
    }
    size_.Came(reply.items.size(), bytes);
    if (!reply.items.empty()) from_ = NextStreamId(reply.items.back().items[0].text);
    if (reply.items.size() >= asked_ && !from_.empty()) return true;
    out->bytes += end_.bytes;
    out->count += end_.count;
    stage_ = Stage::kDone;
    return true;
  }

  const std::string key_, temporary_;
  const PieceLimits limits_;
  PieceSize size_;
  const bool counters_;
  Stage stage_ = Stage::kStream;
  std::vector<Group> groups_;
  size_t group_ = 0;
  std::string from_;  // the id with which the next window begins
  size_t asked_ = 0;
  CommandBatch end_;  // what comes after the entries
};

}  // namespace

std::string NextStreamId(std::string_view text) {
  Id id;
  if (!ParseId(text, &id)) return {};
  constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();
  if (id.sequence < kLast) return ToText({id.ms, id.sequence + 1});
  return id.ms < kLast ? ToText({id.ms + 1, 0}) : std::string();
}

bool StreamIdLess(std::string_view a, std::string_view b) {
  Id first, second;
  return ParseId(b, &second) && (!ParseId(a, &first) || first < second);
}

std::unique_ptr<PieceReader> MakeStreamReader(std::string_view key, std::string_view temporary,
                                              const PieceLimits& limits, bool stream_counters) {
  return std::make_unique<StreamReader>(key, temporary, limits, stream_counters);
}

bool RebuildStream(std::string_view key, const Reply& full, bool counters, const WriteTimes& times, CommandBatch* out) {
  const Reply* groups = Find(full, "groups");
  const Reply* entries = Find(full, "entries");
  if (groups == nullptr || entries == nullptr || TextOf(full, "last-generated-id").empty()) return false;
  AddEmptyStream(key, out);
  const int64_t apart_ms = times.secondary_offset_ms - times.primary_offset_ms;
  for (const Reply& group : groups->items) {
    const Reply* consumers = Find(group, "consumers");
    const Reply* pending = Find(group, "pending");  // of (id, consumer, when it was delivered, how often)
    if (consumers == nullptr || pending == nullptr || !AddGroup(key, group, counters, out)) return false;
    const std::string_view name = TextOf(group, "name");
    for (const Reply& consumer : consumers->items) {
      out->Add({"XGROUP", "CREATECONSUMER", key, name, TextOf(consumer, "name")});
    }
    std::vector<Pending> all;
    for (const Reply& entry : pending->items) {
      if (entry.items.size() != 4) return false;
      all.push_back(
          {entry.items[0].text, entry.items[1].text, entry.items[2].integer + apart_ms, entry.items[3].integer});
    }
    if (!AddPending(key, name, all, out)) return false;
    if (!all.empty()) out->Add({"XSETID", key, "0-0"});
  }
  for (const Reply& entry : entries->items) {
    if (!AddEntry(key, entry, out)) return false;
  }
  AddLastId(key, full, counters, out);
  return true;
}

}  // namespace crossfade
