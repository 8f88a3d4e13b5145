#include "routing/rewrite_stream.h"

#include <algorithm>
#include <optional>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/write_options.h"

namespace crossfade {

namespace {

using Kind = Expectation::Kind;
using Args = std::vector<std::string_view>;

bool StartsWithDigit(std::string_view text) {
  return !text.empty() && text[0] >= '0' && text[0] <= '9';
}

// The options of XADD (before the id) and XTRIM, as far as they matter here.
struct StreamOptions {
  size_t first = 0, last = 0;  // the trim clause's arguments, [first, last); equal when there is none
  bool approximate = false;
  std::string_view references;  // DELREF or ACKED: what a trim does to pending entries. Of Redis 8.2
  bool once = false;            // IDMP, IDMPAUTO: an entry that was added before is not added again. Of Redis 8.6
  size_t id = 0;                // XADD: where the id stands
};

StreamOptions ReadOptions(RequestView request) {
  StreamOptions options;
  size_t i = 2;
  while (i < request.argc()) {
    const std::string_view word = request.arg(i);
    if (EqualsIgnoreCase(word, "NOMKSTREAM") || EqualsIgnoreCase(word, "KEEPREF")) {
      ++i;  // KEEPREF is how every server trims unasked
    } else if (EqualsIgnoreCase(word, "DELREF") || EqualsIgnoreCase(word, "ACKED")) {
      options.references = word;
      ++i;
    } else if (EqualsIgnoreCase(word, "IDMPAUTO") || EqualsIgnoreCase(word, "IDMP")) {
      options.once = true;
      i += EqualsIgnoreCase(word, "IDMP") ? 3 : 2;
    } else if (EqualsIgnoreCase(word, "MAXLEN") || EqualsIgnoreCase(word, "MINID")) {
      options.first = i++;
      if (i < request.argc() && (request.arg(i) == "~" || request.arg(i) == "=")) {
        options.approximate = request.arg(i++) == "~";
      }
      options.last = ++i;
    } else if (EqualsIgnoreCase(word, "LIMIT")) {
      i += 2;
      options.last = i;
    } else {
      break;
    }
  }
  options.id = i;
  options.last = std::min(options.last, request.argc());
  return options;
}

std::optional<int64_t> StreamLength(const Accepted& accepted) {
  return accepted.companions.empty() ? std::nullopt : IntegerReply(accepted.companions[0]);
}

void EmitTrim(const Accepted& accepted, std::string_view references, Follow* follow) {
  const auto length = StreamLength(accepted);
  if (!length) {
    follow->unknown = true;
    return;
  }
  const std::string text = std::to_string(*length);
  Args args{"XTRIM", accepted.request.arg(1), "MAXLEN", "=", text};
  if (!references.empty()) args.push_back(references);
  EmitFollow(follow, args, Kind::kNoError);
}

// Is this the id of an entry that was there before the command? An id that a server makes now is not before its clock.
bool IsOlderThanCommand(std::string_view id, const WriteTimes& times) {
  const auto made_ms = ParseInt64(id.substr(0, id.find('-')));
  return made_ms && *made_ms < times.sent_ms + times.primary_offset_ms - times.uncertainty_ms;
}

void StreamAdd(const Accepted& accepted, Follow* follow) {
  if (IsNullReply(accepted.reply)) return;  // NOMKSTREAM, and there was none
  const RequestView request = accepted.request;
  const Reply id = ParseReply(accepted.reply);
  const StreamOptions options = ReadOptions(request);
  const std::string_view given = options.id < request.argc() ? request.arg(options.id) : std::string_view();
  if (given != "*" && !StartsWithDigit(given)) {
    follow->unknown = true;  // an option of a newer server: what stands where can't be told
    return;
  }
  // A duplicate adds nothing, which both lengths must show. One of an entry just added looks new: the secondary refuses
  // its id, and the stream is copied.
  if (options.once && IsOlderThanCommand(id.text, accepted.times)) {
    const auto length = StreamLength(accepted);
    if (length) return EmitFollow(follow, {"XLEN", request.arg(1)}, Kind::kInteger, *length);
    follow->unknown = true;
    return;
  }
  Args args{"XADD", request.arg(1)};
  // An exact trim leaves the same entries on both; an approximate one is followed by its result.
  const bool trims = options.first < options.last && !options.approximate;
  if (trims && !options.references.empty()) args.push_back(options.references);
  for (size_t i = options.first; i < options.last && trims; ++i) args.push_back(request.arg(i));
  args.push_back(id.text);
  for (size_t i = options.id + 1; i < request.argc(); ++i) args.push_back(request.arg(i));
  EmitFollow(follow, args, Kind::kText, 0, std::string(id.text));
  if (options.approximate) EmitTrim(accepted, options.references, follow);
}

void Trim(const Accepted& accepted, Follow* follow) {
  if (IntegerReply(accepted.reply) == 0) return;
  const StreamOptions options = ReadOptions(accepted.request);
  if (options.approximate) return EmitTrim(accepted, options.references, follow);
  follow->bytes.append(accepted.request.bytes());
  follow->expectations.emplace_back();
}

// The streams of an XREADGROUP reply: an array of [key, entries] in RESP2, a map in RESP3.
std::vector<std::pair<std::string_view, const Reply*>> StreamsOf(const Reply& reply) {
  std::vector<std::pair<std::string_view, const Reply*>> streams;
  if (reply.type == ReplyType::kMap) {
    for (size_t i = 0; i + 1 < reply.items.size(); i += 2)
      streams.emplace_back(reply.items[i].text, &reply.items[i + 1]);
    return streams;
  }
  for (const Reply& pair : reply.items) {
    if (pair.items.size() == 2) streams.emplace_back(pair.items[0].text, &pair.items[1]);
  }
  return streams;
}

// The moment of the write on the secondary's own clock, for the times of last delivery.
std::string WriteMoment(const Accepted& accepted) {
  return std::to_string(accepted.times.read_ms + accepted.times.secondary_offset_ms);
}

// Entries without what CLAIM adds to them, how long they were idle and how often they were delivered.
std::string PlainEntries(const std::vector<const Reply*>& entries) {
  std::string text = "*" + std::to_string(entries.size()) + "\r\n";
  for (const Reply* entry : entries) {
    text += "*2\r\n";
    for (size_t i = 0; i < 2; ++i) AppendReply(&text, i < entry->items.size() ? entry->items[i] : Reply());
  }
  return text;
}

struct Delivery {
  std::string_view key;
  std::vector<const Reply*> fresh;    // never delivered before
  std::vector<const Reply*> claimed;  // pending before, with CLAIM: they carry how long, and how often
};

// Redis 8.4 answers these numbers as strings, which clients took for a mistake.
bool IsZero(const Reply& number) {
  return number.is_text() ? number.text == "0" : number.integer == 0;
}

Delivery DeliveryOf(std::string_view key, const Reply& entries) {
  Delivery delivery{key, {}, {}};
  for (const Reply& entry : entries.items) {
    const bool pending = entry.items.size() > 3 && !(IsZero(entry.items[2]) && IsZero(entry.items[3]));
    (pending ? delivery.claimed : delivery.fresh).push_back(&entry);
  }
  return delivery;
}

void EmitDelivery(const Accepted& accepted, const StreamReadOptions& options, const Delivery& delivery,
                  Follow* follow) {
  const std::string_view group = accepted.request.arg(options.group + 1);
  const std::string_view consumer = accepted.request.arg(options.group + 2);
  if (!delivery.claimed.empty()) {
    const std::string moment = WriteMoment(accepted);
    Args args{"XCLAIM", delivery.key, group, consumer, "0"};
    for (const Reply* entry : delivery.claimed) args.push_back(entry->items[0].text);
    args.insert(args.end(), {"TIME", moment});
    EmitFollow(follow, args, Kind::kReply, 0, PlainEntries(delivery.claimed));
  }
  if (delivery.fresh.empty()) return;  // COUNT 0 would mean all
  const std::string count = std::to_string(delivery.fresh.size());
  Args args{"XREADGROUP", "GROUP", group, consumer, "COUNT", count};
  if (options.no_ack) args.push_back("NOACK");
  args.insert(args.end(), {"STREAMS", delivery.key, ">"});
  std::string expected = "*1\r\n*2\r\n";
  AppendBulk(&expected, delivery.key);
  expected += PlainEntries(delivery.fresh);
  EmitFollow(follow, args, Kind::kReply, 0, std::move(expected));
}

// What was delivered is delivered on the secondary too: as many entries as came, which must be the same. With CLAIM,
// what came first was pending with another consumer, and is claimed.
void ReadGroup(const Accepted& accepted, Follow* follow) {
  const RequestView request = accepted.request;
  const StreamReadOptions options = ReadStreamReadOptions(request);
  const KeyIndices keys = FindKeys(accepted.row, request);
  if (options.group == 0 || keys.empty()) {
    follow->unknown = true;  // an option of a newer server
    return;
  }
  const Reply reply = ParseReply(accepted.reply);
  const auto streams = StreamsOf(reply);
  for (uint32_t key : keys) {
    const bool fresh = request.arg(key + keys.size()) == ">";
    const auto found = std::find_if(streams.begin(), streams.end(),
                                    [&](const auto& stream) { return stream.first == request.arg(key); });
    const bool delivered = found != streams.end() && !found->second->items.empty();
    if (delivered && fresh) {
      EmitDelivery(accepted, options, DeliveryOf(request.arg(key), *found->second), follow);
    } else if (delivered) {
      // History raises how often its entries were delivered. Servers don't replicate that; but who looks for entries
      // that nobody can handle goes by it, also after a flip.
      const std::string count = std::to_string(found->second->items.size());
      EmitFollow(follow,
                 {"XREADGROUP", "GROUP", request.arg(options.group + 1), request.arg(options.group + 2), "COUNT", count,
                  "STREAMS", request.arg(key), request.arg(key + keys.size())},
                 Kind::kNoError);
    } else if (!fresh || accepted.eager_consumers) {  // the consumer may be new
      EmitFollow(follow,
                 {"XGROUP", "CREATECONSUMER", request.arg(key), request.arg(options.group + 1),
                  request.arg(options.group + 2)},
                 Kind::kNoError);
    }
  }
}

std::string IdOf(const Reply& item) {
  return std::string(item.is_aggregate() && !item.items.empty() ? item.items[0].text : item.text);
}

// The consumer of an XCLAIM or XAUTOCLAIM.
void CreateConsumer(const Accepted& accepted, Follow* follow) {
  const RequestView request = accepted.request;
  EmitFollow(follow, {"XGROUP", "CREATECONSUMER", request.arg(1), request.arg(2), request.arg(3)}, Kind::kNoError);
}

// "5" and "5-0" are the same id.
std::string FullId(std::string_view id) {
  return id.find('-') == std::string_view::npos ? std::string(id) + "-0" : std::string(id);
}

// The options of an XCLAIM, from argv[from], with the moment of last delivery as one on the secondary's clock: IDLE, or
// none of these, counts from when the primary ran it. TIME stays as given.
Args ClaimOptions(const Accepted& accepted, size_t from, std::string* moment) {
  Args options;
  int64_t time = accepted.times.read_ms + accepted.times.secondary_offset_ms;
  for (size_t i = from; i < accepted.request.argc(); ++i) {
    const std::string_view word = accepted.request.arg(i);
    const bool has_argument = i + 1 < accepted.request.argc();
    if (EqualsIgnoreCase(word, "IDLE") && has_argument) {
      time = accepted.times.read_ms + accepted.times.secondary_offset_ms;
      time = std::max<int64_t>(
          0, SaturatingAdd(time, -std::max<int64_t>(0, ParseInt64(accepted.request.arg(++i)).value_or(0))));
    } else if (EqualsIgnoreCase(word, "TIME") && has_argument) {
      time = ParseInt64(accepted.request.arg(++i)).value_or(time);
    } else {
      options.push_back(word);
      const bool takes = EqualsIgnoreCase(word, "RETRYCOUNT") || EqualsIgnoreCase(word, "LASTID");
      if (takes && has_argument) options.push_back(accepted.request.arg(++i));
    }
  }
  *moment = std::to_string(time);
  options.insert(options.end(), {"TIME", *moment});
  return options;
}

// XCLAIM key group consumer min-idle id … options. What came back is claimed. What was asked for and didn't come is
// claimed with an idle time that nothing has: that claims nothing, but drops entries whose message is gone, as the
// primary did, and moves the group on where LASTID says so.
void Claim(const Accepted& accepted, Follow* follow) {
  constexpr std::string_view kNeverIdleSoLong = "9223372036854775807";
  const RequestView request = accepted.request;
  size_t options = 5;
  while (options < request.argc() && StartsWithDigit(request.arg(options))) ++options;
  std::vector<std::string> claimed, others;
  const Reply reply = ParseReply(accepted.reply);
  for (const Reply& item : reply.items) {
    if (std::string id = IdOf(item); !id.empty()) claimed.push_back(std::move(id));
  }
  for (size_t i = 5; i < options; ++i) {
    std::string id = FullId(request.arg(i));
    if (std::find(claimed.begin(), claimed.end(), id) == claimed.end()) others.push_back(std::move(id));
  }
  if (!claimed.empty()) {
    Args args{"XCLAIM", request.arg(1), request.arg(2), request.arg(3), "0"};
    args.insert(args.end(), claimed.begin(), claimed.end());
    std::string moment;
    const Args kept = ClaimOptions(accepted, options, &moment);
    args.insert(args.end(), kept.begin(), kept.end());
    EmitFollow(follow, args, Kind::kSame);
  }
  if (!others.empty()) {
    Args args{"XCLAIM", request.arg(1), request.arg(2), request.arg(3), kNeverIdleSoLong};
    args.insert(args.end(), others.begin(), others.end());
    for (size_t i = options; i + 1 < request.argc(); ++i) {
      if (EqualsIgnoreCase(request.arg(i), "LASTID")) args.insert(args.end(), {"LASTID", request.arg(i + 1)});
    }
    args.push_back("JUSTID");
    EmitFollow(follow, args, Kind::kReply, 0, "*0\r\n");
  }
  if (claimed.empty() && accepted.eager_consumers) CreateConsumer(accepted, follow);
}

// XAUTOCLAIM: [cursor, claimed, deleted].
void AutoClaim(const Accepted& accepted, Follow* follow) {
  const RequestView request = accepted.request;
  const Reply reply = ParseReply(accepted.reply);
  if (reply.items.size() < 2) {
    follow->unknown = true;
    return;
  }
  std::vector<std::string> claimed, deleted;
  for (const Reply& item : reply.items[1].items) {
    if (!item.is_null()) claimed.push_back(IdOf(item));
  }
  if (reply.items.size() > 2) {
    for (const Reply& item : reply.items[2].items) deleted.push_back(IdOf(item));
  }
  if (!claimed.empty()) {
    Args args{"XCLAIM", request.arg(1), request.arg(2), request.arg(3), "0"};
    for (const std::string& id : claimed) args.push_back(id);
    const std::string moment = WriteMoment(accepted);
    args.insert(args.end(), {"TIME", moment});
    for (size_t i = 6; i < request.argc(); ++i) {
      if (EqualsIgnoreCase(request.arg(i), "JUSTID")) args.push_back("JUSTID");
    }
    std::string expected;
    AppendReply(&expected, reply.items[1]);
    EmitFollow(follow, args, Kind::kReply, 0, std::move(expected));
  }
  if (!deleted.empty()) {
    Args args{"XACK", request.arg(1), request.arg(2)};
    for (const std::string& id : deleted) args.push_back(id);
    EmitFollow(follow, args, Kind::kNoError);
  }
  if (claimed.empty() && deleted.empty() && accepted.eager_consumers) CreateConsumer(accepted, follow);
}

}  // namespace

StreamReadOptions ReadStreamReadOptions(RequestView request) {
  StreamReadOptions options;
  for (size_t i = 1; i < request.argc(); ++i) {
    const std::string_view word = request.arg(i);
    if (EqualsIgnoreCase(word, "COUNT") || EqualsIgnoreCase(word, "CLAIM") || EqualsIgnoreCase(word, "MAXCOUNT") ||
        EqualsIgnoreCase(word, "MAXSIZE")) {
      i += 1;
    } else if (EqualsIgnoreCase(word, "BLOCK")) {
      options.block = true;
      i += 1;
    } else if (EqualsIgnoreCase(word, "GROUP") && i + 2 < request.argc()) {
      options.group = i;
      i += 2;
    } else if (EqualsIgnoreCase(word, "NOACK")) {
      options.no_ack = true;
    } else {
      break;  // STREAMS, or what a server refuses
    }
  }
  return options;
}

bool NeedsStreamLength(const CommandRow& row, RequestView request) {
  if (row.effect != Effect::kStreamAdd && row.effect != Effect::kStreamTrim) return false;
  const StreamOptions options = ReadOptions(request);
  return options.approximate || options.once;
}

void RewriteStream(const Accepted& accepted, Follow* follow) {
  switch (accepted.row.effect) {
    case Effect::kStreamAdd:
      return StreamAdd(accepted, follow);
    case Effect::kStreamTrim:
      return Trim(accepted, follow);
    case Effect::kStreamReadGroup:
      return ReadGroup(accepted, follow);
    case Effect::kStreamClaim:
      return Claim(accepted, follow);
    case Effect::kStreamAutoClaim:
      return AutoClaim(accepted, follow);
    default:
      return;
  }
}

}  // namespace crossfade
