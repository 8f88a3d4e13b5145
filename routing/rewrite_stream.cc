#include "routing/rewrite_stream.h"

#include <algorithm>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"

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
  size_t id = 0;  // XADD: where the id stands
};

StreamOptions ReadOptions(RequestView request) {
  StreamOptions options;
  size_t i = 2;
  while (i < request.argc()) {
    const std::string_view word = request.arg(i);
    if (EqualsIgnoreCase(word, "NOMKSTREAM")) {
      ++i;
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

void EmitTrim(const Accepted& accepted, Follow* follow) {
  const auto length = accepted.companions.empty() ? std::nullopt : IntegerReply(accepted.companions[0]);
  if (!length) {
    follow->unknown = true;
    return;
  }
  EmitFollow(follow, {"XTRIM", accepted.request.arg(1), "MAXLEN", "=", std::to_string(*length)}, Kind::kNoError);
}

void Add(const Accepted& accepted, Follow* follow) {
  if (IsNullReply(accepted.reply)) return;  // NOMKSTREAM, and there was none
  const RequestView request = accepted.request;
  const Reply id = ParseReply(accepted.reply);
  const StreamOptions options = ReadOptions(request);
  const std::string_view given = options.id < request.argc() ? request.arg(options.id) : std::string_view();
  if (given != "*" && !StartsWithDigit(given)) {
    follow->unknown = true;  // an option of a newer server (KEEPREF, IDMP): what stands where can't be told
    return;
  }
  Args args{"XADD", request.arg(1)};
  // An exact trim leaves the same entries on both; an approximate one is followed by its result.
  for (size_t i = options.first; i < options.last && !options.approximate; ++i) args.push_back(request.arg(i));
  args.push_back(id.text);
  for (size_t i = options.id + 1; i < request.argc(); ++i) args.push_back(request.arg(i));
  EmitFollow(follow, args, Kind::kText, 0, std::string(id.text));
  if (options.approximate) EmitTrim(accepted, follow);
}

void Trim(const Accepted& accepted, Follow* follow) {
  if (IntegerReply(accepted.reply) == 0) return;
  if (ReadOptions(accepted.request).approximate) return EmitTrim(accepted, follow);
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

// What was delivered becomes a claim by the same consumer, entry by entry as the primary assigned them, and the group's
// position follows. The reading itself is not repeated: it would deliver whatever the secondary has.
void ReadGroup(const Accepted& accepted, Follow* follow) {
  const RequestView request = accepted.request;
  const StreamReadOptions options = ReadStreamReadOptions(request);
  if (options.group == 0 || options.claim) {
    follow->unknown = true;  // with CLAIM, what was pending and what is new come mixed
    return;
  }
  const std::string_view group = request.arg(options.group + 1);
  const std::string_view consumer = request.arg(options.group + 2);
  const Reply reply = ParseReply(accepted.reply);
  const auto streams = StreamsOf(reply);
  const KeyIndices keys = FindKeys(accepted.row, request);
  for (uint32_t key : keys) {
    const bool fresh = request.arg(key + keys.size()) == ">";
    const auto found = std::find_if(streams.begin(), streams.end(),
                                    [&](const auto& stream) { return stream.first == request.arg(key); });
    const bool delivered = found != streams.end() && !found->second->items.empty();
    if (!delivered || !fresh) {
      // History raises only delivery counts, which servers don't replicate either; the consumer may be new.
      if (fresh && !accepted.eager_consumers) continue;
      EmitFollow(follow, {"XGROUP", "CREATECONSUMER", request.arg(key), group, consumer}, Kind::kNoError);
      continue;
    }
    Args args{"XREADGROUP", "GROUP", group, consumer, "COUNT"};
    const std::string count = std::to_string(found->second->items.size());
    args.push_back(count);
    if (options.no_ack) args.push_back("NOACK");
    args.insert(args.end(), {"STREAMS", request.arg(key), ">"});
    std::string expected = "*1\r\n*2\r\n";
    AppendBulk(&expected, found->first);
    AppendReply(&expected, *found->second);
    EmitFollow(follow, args, Kind::kReply, 0, std::move(expected));
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
    for (size_t i = options; i < request.argc(); ++i) args.push_back(request.arg(i));
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
    if (EqualsIgnoreCase(word, "COUNT")) {
      i += 1;
    } else if (EqualsIgnoreCase(word, "BLOCK")) {
      options.block = true;
      i += 1;
    } else if (EqualsIgnoreCase(word, "CLAIM")) {
      options.claim = true;
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

bool TrimsApproximately(const CommandRow& row, RequestView request) {
  const bool can_trim = row.effect == Effect::kStreamAdd || row.effect == Effect::kStreamTrim;
  return can_trim && ReadOptions(request).approximate;
}

void RewriteStream(const Accepted& accepted, Follow* follow) {
  switch (accepted.row.effect) {
    case Effect::kStreamAdd:
      return Add(accepted, follow);
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
