#include "routing/blocking.h"

#include <cmath>
#include <limits>
#include <utility>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/rewrite_stream.h"

namespace crossfade {

namespace {

using Args = std::vector<std::string_view>;
using FormKind = BlockingForm::Kind;
using Shape = BlockingForm::Shape;

// The texts and bounds of timeout.c, getTimeoutFromObjectOrReply: seconds may have a fraction, and are rounded up.
bool ReadSeconds(std::string_view text, BlockingForm* form) {
  const auto seconds = ParseDouble(text);
  if (!seconds || std::isnan(*seconds)) {
    form->error = "ERR timeout is not a float or out of range";
  } else if (*seconds * 1000 > static_cast<double>(std::numeric_limits<int64_t>::max() / 2)) {
    form->error = "ERR timeout is out of range";
  } else if (*seconds < 0) {
    form->error = "ERR timeout is negative";
  } else {
    form->timeout_ms = static_cast<int64_t>(std::ceil(*seconds * 1000));
  }
  return form->error.empty();
}

void ReadMilliseconds(std::string_view text, BlockingForm* form) {
  const auto ms = ParseInt64(text);
  if (!ms) {
    form->error = "ERR timeout is not an integer or out of range";
  } else if (*ms < 0) {
    form->error = "ERR timeout is negative";
  } else if (*ms > std::numeric_limits<int64_t>::max() / 2) {
    form->error = "ERR timeout is out of range";
  } else {
    form->timeout_ms = *ms;
  }
}

// BLPOP key … timeout: LPOP of one key, LMPOP of several. `single` may be empty: ZPOPMIN answers no nil.
void ReadSimplePop(RequestView request, std::string_view single, std::string_view multi, std::string_view where,
                   BlockingForm* form) {
  const size_t keys = request.argc() - 2;
  if (!ReadSeconds(request.arg(request.argc() - 1), form)) return;
  if (keys == 1 && !single.empty()) {
    form->shape = Shape::kKeyFirst;
    form->attempt = MakeRequest({single, request.arg(1)});
    return;
  }
  form->shape = Shape::kMultiFlat;
  const std::string count = std::to_string(keys);
  Args args{multi, count};
  for (size_t i = 1; i <= keys; ++i) args.push_back(request.arg(i));
  args.push_back(where);
  form->attempt = MakeRequest(args);
}

// BLMPOP timeout numkeys …: LMPOP numkeys …
void ReadMultiPop(RequestView request, std::string_view multi, BlockingForm* form) {
  if (!ReadSeconds(request.arg(1), form)) return;
  Args args{multi};
  for (size_t i = 2; i < request.argc(); ++i) args.push_back(request.arg(i));
  form->attempt = MakeRequest(args);
}

// BLMOVE and BRPOPLPUSH: the last argument is the timeout.
void ReadMove(RequestView request, std::string_view name, BlockingForm* form) {
  for (size_t i = 3; i + 1 < request.argc(); ++i) {
    if (EqualsIgnoreCase(request.arg(i), "LEFT") || EqualsIgnoreCase(request.arg(i), "RIGHT")) continue;
    form->error = "ERR syntax error";
    return;
  }
  if (!ReadSeconds(request.arg(request.argc() - 1), form)) return;
  Args args{name};
  for (size_t i = 1; i + 1 < request.argc(); ++i) args.push_back(request.arg(i));
  form->attempt = MakeRequest(args);
}

// XREAD and XREADGROUP: the same without BLOCK. Options are walked as the server does, since a group, a consumer or a
// key may be called "block".
void ReadStreams(const CommandRow& row, RequestView request, BlockingForm* form) {
  const bool group = row.name == "xreadgroup";
  Args args{request.arg(0)};
  size_t streams = 0;
  for (size_t i = 1; i < request.argc(); ++i) {
    const std::string_view word = request.arg(i);
    if (streams == 0 && EqualsIgnoreCase(word, "BLOCK") && i + 1 < request.argc()) {
      ReadMilliseconds(request.arg(++i), form);
      if (!form->error.empty()) return;
      continue;
    }
    args.push_back(word);
    if (streams != 0) continue;
    if (EqualsIgnoreCase(word, "STREAMS")) streams = args.size();
    const size_t values = EqualsIgnoreCase(word, "GROUP") ? 2 : EqualsIgnoreCase(word, "COUNT") ? 1 : 0;
    for (size_t n = 0; n < values && i + 1 < request.argc(); ++n) args.push_back(request.arg(++i));
  }
  form->kind = group ? FormKind::kStreamGroup : FormKind::kStream;
  for (size_t i = streams + (args.size() - streams) / 2; !group && streams != 0 && i < args.size(); ++i) {
    if (args[i] == "$") form->ends.push_back(i);
  }
  form->attempt = MakeRequest(args);
}

}  // namespace

bool MayBlock(const CommandRow& row, RequestView request) {
  if ((row.flags & kFlagBlocking) == 0) return false;
  if (row.name == "xread" || row.name == "xreadgroup") return ReadStreamReadOptions(request).block;
  return true;
}

BlockingForm MakeBlockingForm(const CommandRow& row, RequestView request) {
  BlockingForm form;
  const std::string_view name = row.name;
  form.kind = name.starts_with("bz") ? FormKind::kSortedSet : FormKind::kList;
  if (name == "blpop") {
    ReadSimplePop(request, "LPOP", "LMPOP", "LEFT", &form);
  } else if (name == "brpop") {
    ReadSimplePop(request, "RPOP", "LMPOP", "RIGHT", &form);
  } else if (name == "bzpopmin") {
    ReadSimplePop(request, "", "ZMPOP", "MIN", &form);
  } else if (name == "bzpopmax") {
    ReadSimplePop(request, "", "ZMPOP", "MAX", &form);
  } else if (name == "blmpop") {
    ReadMultiPop(request, "LMPOP", &form);
  } else if (name == "bzmpop") {
    ReadMultiPop(request, "ZMPOP", &form);
  } else if (name == "blmove") {
    ReadMove(request, "LMOVE", &form);
  } else if (name == "brpoplpush") {
    ReadMove(request, "RPOPLPUSH", &form);
  } else {
    ReadStreams(row, request, &form);
  }
  if (!form.error.empty()) return form;
  const RequestView attempt = form.attempt.view();
  for (uint32_t key : FindKeys(*FindCommand(attempt), attempt)) {
    form.keys.emplace_back(attempt.arg(key));
    // Of a move only the source is waited for.
    if (name == "blmove" || name == "brpoplpush") break;
  }
  return form;
}

void AppendBlockingReply(const BlockingForm& form, std::string_view reply, std::string* out) {
  if (form.shape == Shape::kAsIs) {
    out->append(reply);
    return;
  }
  const Reply value = ParseReply(reply);
  std::string_view key = form.keys[0];
  std::vector<const Reply*> rest;
  if (form.shape == Shape::kMultiFlat && value.items.size() == 2 && !value.items[1].items.empty()) {
    key = value.items[0].text;
    const Reply& first = value.items[1].items[0];
    if (!first.is_aggregate()) rest.push_back(&first);
    for (const Reply& part : first.items) rest.push_back(&part);
  } else if (value.is_aggregate()) {
    for (const Reply& part : value.items) rest.push_back(&part);
  } else {
    rest.push_back(&value);
  }
  AppendArrayHeader(out, 1 + rest.size());
  AppendBulk(out, key);
  for (const Reply* part : rest) AppendReply(out, *part);
}

std::vector<Request> GiveBack(const BlockingForm& form, std::string_view reply) {
  const RequestView attempt = form.attempt.view();
  const std::string_view name = attempt.arg(0);
  const Reply value = ParseReply(reply);
  std::vector<Request> commands;
  if (name == "LPOP" || name == "RPOP") {
    commands.push_back(MakeRequest({name == "LPOP" ? "LPUSH" : "RPUSH", attempt.arg(1), value.text}));
  } else if (name == "LMPOP" && value.items.size() == 2) {
    const auto parsed = ParseInt64(attempt.arg(1));
    const size_t where = 2 + static_cast<size_t>(parsed.value_or(0));
    const bool left = where < attempt.argc() && EqualsIgnoreCase(attempt.arg(where), "LEFT");
    Args args{left ? "LPUSH" : "RPUSH", value.items[0].text};
    const auto& elements = value.items[1].items;
    for (auto element = elements.rbegin(); element != elements.rend(); ++element) args.push_back(element->text);
    commands.push_back(MakeRequest(args));
  } else if (name == "ZMPOP" && value.items.size() == 2) {
    Args args{"ZADD", value.items[0].text};
    for (const Reply& pair : value.items[1].items) {
      if (pair.items.size() == 2) args.insert(args.end(), {pair.items[1].text, pair.items[0].text});
    }
    commands.push_back(MakeRequest(args));
  }
  return commands;
}

Request WithStreamEnds(const BlockingForm& form, const std::vector<std::string>& ids) {
  const RequestView attempt = form.attempt.view();
  Args args;
  for (size_t i = 0; i < attempt.argc(); ++i) args.push_back(attempt.arg(i));
  for (size_t n = 0; n < form.ends.size() && n < ids.size(); ++n) args[form.ends[n]] = ids[n];
  return MakeRequest(args);
}

Request ForOneKey(const BlockingForm& form, const Request& attempt, std::string_view key) {
  const RequestView view = attempt.view();
  const KeyIndices keys = FindKeys(*FindCommand(view), view);
  if (form.keys.size() < 2 || keys.size() < 2) return attempt;
  const bool streams = form.kind == FormKind::kStream || form.kind == FormKind::kStreamGroup;
  Args args;
  for (size_t i = 0; i < view.argc(); ++i) {
    const bool is_key = i >= keys.front() && i <= keys.back();
    const bool is_id = streams && i > keys.back();
    const bool is_count = !streams && i + 1 == keys.front();
    if (is_count) {
      args.push_back("1");
    } else if (!is_key && !is_id) {
      args.push_back(view.arg(i));
    } else if (is_key && view.arg(i) == key) {
      args.push_back(key);
      // Of one that is named twice the first counts, as it would for the whole command.
      if (!streams) key = {};
    }
    if (is_key && i == keys.back() && streams) {
      for (uint32_t at : keys) {
        if (view.arg(at) == key) args.push_back(view.arg(at + keys.size()));
      }
    }
  }
  return MakeRequest(args);
}

std::string StreamEnd(std::string_view xinfo_reply) {
  const Reply info = ParseReply(xinfo_reply);
  for (size_t i = 0; i + 1 < info.items.size(); i += 2) {
    if (info.items[i].text == "last-generated-id") return std::string(info.items[i + 1].text);
  }
  return "0-0";
}

}  // namespace crossfade
