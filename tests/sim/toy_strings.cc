// Strings and numbers.
#include <cmath>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/command_table.h"
#include "tests/sim/toy_data.h"

namespace crossfade::sim {

namespace {
using Type = ToyValue::Type;

void BulkOrNull(const ToyData::Call& call, const ToyValue* value) {
  if (value == nullptr) return AppendNull(call.out, call.protocol);
  AppendBulk(call.out, value->text);
}
}  // namespace

void ToyData::DoGet(const Call& call) {
  ToyValue* value = nullptr;
  if (Typed(call, call.args[1], Type::kString, &value)) BulkOrNull(call, value);
}

void ToyData::DoSet(const Call& call) {
  bool nx = false, xx = false, keep = false, get = false;
  int64_t expire_ms = -1;
  for (size_t i = 3; i < call.args.size(); ++i) {
    const std::string_view word = call.args[i];
    const auto number = [&] { return ParseInt64(call.args[++i]).value_or(0); };
    if (EqualsIgnoreCase(word, "NX")) {
      nx = true;
    } else if (EqualsIgnoreCase(word, "XX")) {
      xx = true;
    } else if (EqualsIgnoreCase(word, "KEEPTTL")) {
      keep = true;
    } else if (EqualsIgnoreCase(word, "GET")) {
      get = true;
    } else if (EqualsIgnoreCase(word, "EX")) {
      expire_ms = call.now_ms + 1000 * number();
    } else if (EqualsIgnoreCase(word, "PX")) {
      expire_ms = call.now_ms + number();
    } else if (EqualsIgnoreCase(word, "PXAT")) {
      expire_ms = number();
    } else {
      return AppendError(call.out, "ERR syntax error");
    }
  }
  const std::string_view key = call.args[1];
  ToyValue* old = Get(call, key);
  if (get && old != nullptr && old->type != Type::kString) {
    return AppendError(call.out, "WRONGTYPE Operation against a key holding the wrong kind of value");
  }
  std::string answer;
  if (get && old != nullptr) AppendBulk(&answer, old->text);
  if (get && old == nullptr) AppendNull(&answer, call.protocol);
  if ((nx && old != nullptr) || (xx && old == nullptr)) {
    if (answer.empty()) AppendNull(&answer, call.protocol);
    call.out->append(answer);
    return;
  }
  const int64_t kept_ms = keep && old != nullptr ? old->expire_ms : -1;
  ToyValue* value = Make(call, key, Type::kString);
  value->text = call.args[2];
  value->expire_ms = keep ? kept_ms : expire_ms;
  Changed(call, key);
  if (answer.empty()) AppendSimple(&answer, "OK");
  call.out->append(answer);
}

void ToyData::DoSetNx(const Call& call) {
  if (Get(call, call.args[1]) != nullptr) return AppendInteger(call.out, 0);
  Make(call, call.args[1], Type::kString)->text = call.args[2];
  Changed(call, call.args[1]);
  AppendInteger(call.out, 1);
}

void ToyData::DoGetSet(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kString, &value)) return;
  BulkOrNull(call, value);
  Make(call, call.args[1], Type::kString)->text = call.args[2];
  Changed(call, call.args[1]);
}

void ToyData::DoGetDel(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kString, &value)) return;
  BulkOrNull(call, value);
  Remove(call, call.args[1]);
}

void ToyData::DoAppend(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kString, &value)) return;
  if (value == nullptr) value = Make(call, call.args[1], Type::kString);
  value->text.append(call.args[2]);
  Changed(call, call.args[1]);
  AppendInteger(call.out, static_cast<int64_t>(value->text.size()));
}

void ToyData::DoStrlen(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kString, &value)) return;
  AppendInteger(call.out, value == nullptr ? 0 : static_cast<int64_t>(value->text.size()));
}

void ToyData::Add(const Call& call, int64_t by) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kString, &value)) return;
  const auto number = value == nullptr ? std::optional<int64_t>(0) : ParseInt64(value->text);
  if (!number) return AppendError(call.out, "ERR value is not an integer or out of range");
  if (value == nullptr) value = Make(call, call.args[1], Type::kString);
  value->text = std::to_string(*number + by);
  Changed(call, call.args[1]);
  AppendInteger(call.out, *number + by);
}

void ToyData::DoIncr(const Call& call) {
  Add(call, 1);
}

void ToyData::DoIncrBy(const Call& call) {
  Add(call, ParseInt64(call.args[2]).value_or(0));
}

void ToyData::DoIncrByFloat(const Call& call) {
  ToyValue* value = nullptr;
  if (!Typed(call, call.args[1], Type::kString, &value)) return;
  const auto number = value == nullptr ? std::optional<double>(0) : ParseDouble(value->text);
  if (!number) return AppendError(call.out, "ERR value is not a valid float");
  if (value == nullptr) value = Make(call, call.args[1], Type::kString);
  value->text = fmt::format("{}", *number + ParseDouble(call.args[2]).value_or(0));
  Changed(call, call.args[1]);
  AppendBulk(call.out, value->text);
}

void ToyData::DoMset(const Call& call) {
  for (size_t i = 1; i + 1 < call.args.size(); i += 2) {
    Make(call, call.args[i], Type::kString)->text = call.args[i + 1];
    Changed(call, call.args[i]);
  }
  AppendSimple(call.out, "OK");
}

void ToyData::DoMget(const Call& call) {
  AppendArrayHeader(call.out, call.args.size() - 1);
  for (size_t i = 1; i < call.args.size(); ++i) {
    const ToyValue* value = Get(call, call.args[i]);
    BulkOrNull(call, value != nullptr && value->type == Type::kString ? value : nullptr);
  }
}

}  // namespace crossfade::sim
