#include "proxy/verify_result.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include "fmt/format.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

constexpr uint64_t kMostCount = uint64_t{1} << 60;  // so that sums of a few don't overflow

// Of another type than wanted, out of bounds, or missing: as it was.
template <typename T>
void Read(const Json& json, const char* name, T* out) {
  const auto found = json.find(name);
  if (found == json.end()) return;
  if constexpr (std::is_same_v<T, std::string>) {
    if (found->is_string()) *out = found->get<std::string>();
  } else if constexpr (std::is_same_v<T, bool>) {
    if (found->is_boolean()) *out = found->get<bool>();
  } else if constexpr (std::is_same_v<T, double>) {
    if (found->is_number()) *out = found->get<double>();
  } else if (found->is_number_unsigned()) {
    const uint64_t number = found->get<uint64_t>();
    if (number <= kMostCount && std::in_range<T>(number)) *out = static_cast<T>(number);
  } else if (found->is_number_integer()) {
    const int64_t number = found->get<int64_t>();
    if (number >= -static_cast<int64_t>(kMostCount) && std::in_range<T>(number)) *out = static_cast<T>(number);
  }
}

// The name of which EscapedName made this.
std::string Unescaped(std::string_view text) {
  std::string name;
  while (!text.empty()) {
    unsigned char byte = 0;
    const bool hex = text.size() >= 4 && text.starts_with("\\x") &&
                     std::from_chars(text.data() + 2, text.data() + 4, byte, 16).ptr == text.data() + 4;
    const bool doubled = text.starts_with("\\\\");
    name += hex ? static_cast<char>(byte) : text[0];
    text.remove_prefix(hex ? 4 : doubled ? 2 : 1);
  }
  return name;
}

template <typename E>
bool ReadName(const std::string& name, int count, E* out) {
  for (int i = 0; i < count; ++i) {
    if (name != Name(static_cast<E>(i))) continue;
    *out = static_cast<E>(i);
    return true;
  }
  return false;
}

}  // namespace

const char* Name(VerifyState state) {
  switch (state) {
    case VerifyState::kIdle:
      return "idle";
    case VerifyState::kRunning:
      return "running";
    case VerifyState::kDone:
      return "done";
    case VerifyState::kFailed:
      return "failed";
    case VerifyState::kCancelled:
      return "cancelled";
  }
  return "";
}

const char* Name(VerifyKind kind) {
  switch (kind) {
    case VerifyKind::kValue:
      return "value";
    case VerifyKind::kTtl:
      return "ttl";
    case VerifyKind::kType:
      return "type";
    case VerifyKind::kMissingOnNew:
      return "missing_on_new";
    case VerifyKind::kOnlyOnNew:
      return "only_on_new";
  }
  return "";
}

const char* Name(Undecided why) {
  switch (why) {
    case Undecided::kBusy:
      return "busy";
    case Undecided::kExpiring:
      return "expiring";
    case Undecided::kDirty:
      return "dirty";
  }
  return "";
}

VerifyKind KindOf(KeyDifference difference, Side secondary) {
  switch (difference) {
    case KeyDifference::kTtl:
      return VerifyKind::kTtl;
    case KeyDifference::kType:
      return VerifyKind::kType;
    case KeyDifference::kMissingOnSecondary:
      return secondary == Side::kNew ? VerifyKind::kMissingOnNew : VerifyKind::kOnlyOnNew;
    case KeyDifference::kOnlyOnSecondary:
      return secondary == Side::kNew ? VerifyKind::kOnlyOnNew : VerifyKind::kMissingOnNew;
    case KeyDifference::kValue:
    case KeyDifference::kNone:
      break;
  }
  return VerifyKind::kValue;
}

uint64_t VerifyResult::differing() const {
  return std::accumulate(std::begin(differ), std::end(differ), uint64_t{0});
}

uint64_t VerifyResult::all_undecided() const {
  return std::accumulate(std::begin(undecided), std::end(undecided), uint64_t{0});
}

bool VerifyResult::proves_equality() const {
  return state == VerifyState::kDone && options.full() && differing() == repaired && not_comparable == 0 &&
         all_undecided() == 0 && left_out == 0;
}

Json VerifyJson(const VerifyResult& result, size_t max_listed) {
  Json json = {{"state", Name(result.state)}};
  if (result.state == VerifyState::kIdle) return json;
  Json counts = {{"equal", result.equal}};
  for (int i = 0; i < kVerifyKinds; ++i) counts[Name(static_cast<VerifyKind>(i))] = result.differ[i];
  counts.update({{"not_comparable", result.not_comparable},
                 {"undecided", result.all_undecided()},
                 {"repaired", result.repaired},
                 {"unconfirmed", result.unconfirmed},
                 {"left_out", result.left_out}});
  Json undecided = Json::object();
  for (int i = 0; i < kUndecidedKinds; ++i) undecided[Name(static_cast<Undecided>(i))] = result.undecided[i];
  const size_t listed = std::min(max_listed, result.differences.size());
  Json list = Json::array();
  for (size_t i = 0; i < listed; ++i) {
    const VerifyDifference& one = result.differences[i];
    list.push_back({{"db", one.db}, {"key", one.key}, {"kind", Name(one.kind)}, {"repaired", one.repaired}});
  }
  const VerifyOptions& options = result.options;
  const double left = static_cast<double>(result.to_scan - std::min(result.to_scan, result.scanned));
  json.update({{"why", result.why},
               {"phase", result.phase},
               {"waiting_for", result.waiting_for},
               {"options",
                {{"repair", options.repair},
                 {"sample", options.sample},
                 {"match", EscapedName(options.match)},
                 {"db", options.db},
                 {"keys_per_second", options.keys_per_second}}},
               {"started_ms", result.started_ms},
               {"ended_ms", result.ended_ms},
               {"keys_checked", result.keys_checked},
               {"keys_total", result.keys_total},
               {"progress",
                {{"done", result.scanned},
                 {"total", result.to_scan},
                 {"per_second", result.per_second},
                 {"seconds_left", result.per_second >= 1 ? left / result.per_second : -1}}},
               {"windows", result.windows},
               {"counts", counts},
               {"undecided", undecided},
               {"differing", result.differing()},
               {"full", options.full()},
               {"proves_equality", result.proves_equality()},
               {"differences", list},
               {"differences_more", result.differing() - std::min<uint64_t>(result.differing(), listed)}});
  return json;
}

bool ReadVerifyJson(const std::string& text, VerifyResult* result) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return false;
  std::string state;
  Read(json, "state", &state);
  VerifyResult read;
  if (!ReadName(state, 5, &read.state)) return false;
  Read(json, "why", &read.why);
  Read(json, "phase", &read.phase);
  Read(json, "started_ms", &read.started_ms);
  Read(json, "ended_ms", &read.ended_ms);
  Read(json, "keys_checked", &read.keys_checked);
  Read(json, "keys_total", &read.keys_total);
  Read(json, "windows", &read.windows);
  const Json none = Json::object();
  const auto object = [&](const char* name) -> const Json& {
    const auto found = json.find(name);
    return found != json.end() && found->is_object() ? *found : none;
  };
  Read(object("options"), "repair", &read.options.repair);
  Read(object("options"), "sample", &read.options.sample);
  std::string match;
  Read(object("options"), "match", &match);
  read.options.match = Unescaped(match);
  Read(object("options"), "db", &read.options.db);
  Read(object("options"), "keys_per_second", &read.options.keys_per_second);
  Read(object("progress"), "done", &read.scanned);
  Read(object("progress"), "total", &read.to_scan);
  Read(object("counts"), "equal", &read.equal);
  for (int i = 0; i < kVerifyKinds; ++i) Read(object("counts"), Name(static_cast<VerifyKind>(i)), &read.differ[i]);
  Read(object("counts"), "not_comparable", &read.not_comparable);
  Read(object("counts"), "repaired", &read.repaired);
  Read(object("counts"), "unconfirmed", &read.unconfirmed);
  Read(object("counts"), "left_out", &read.left_out);
  for (int i = 0; i < kUndecidedKinds; ++i) {
    Read(object("undecided"), Name(static_cast<Undecided>(i)), &read.undecided[i]);
  }
  if (!(read.options.sample > 0 && read.options.sample <= 100)) return false;
  const auto list = json.find("differences");
  if (list != json.end() && list->is_array()) {
    for (const Json& entry : *list) {
      VerifyDifference one;
      std::string kind;
      if (!entry.is_object() || read.differences.size() >= VerifyResult::kMaxListed) continue;
      Read(entry, "db", &one.db);
      Read(entry, "key", &one.key);
      Read(entry, "kind", &kind);
      Read(entry, "repaired", &one.repaired);
      if (ReadName(kind, kVerifyKinds, &one.kind)) read.differences.push_back(std::move(one));
    }
  }
  *result = std::move(read);
  return true;
}

std::string EscapedName(std::string_view key) {
  std::string out;
  for (char c : key.substr(0, kMaxNameBytes)) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c >= 0x20 && c < 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return key.size() > kMaxNameBytes ? out + "…" : out;
}

}  // namespace crossfade
