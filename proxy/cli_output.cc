#include "proxy/cli_output.h"

#include <algorithm>
#include <cmath>

#include "nlohmann/json.hpp"
#include "proxy/cli_advice.h"
#include "proxy/cli_backfill.h"
#include "proxy/cli_ramp.h"
#include "proxy/cli_verify.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

using nlohmann::json;

std::string Count(const json& root, std::initializer_list<const char*> path, const char* what) {
  return fmt::format("{} {}", Grouped(NumberAt(root, path)), what);
}

void Line(std::string* out, std::string_view label, const std::string& value) {
  *out += fmt::format("{:<11}{}\n", label, value);
}

std::string SecondaryLine(const json& status) {
  std::string primary = TextAt(status, {"primary"});
  std::string name = primary == "old" ? "new" : primary == "new" ? "old" : "?";
  std::string synced = TextAt(status, {"synced"}, "?");
  std::string how = synced == "yes" ? "synced" : synced == "no" ? "NOT SYNCED" : "synced: " + synced;
  return fmt::format("{}, {}, {}", name, TextAt(status, {"secondary"}, "?"), how);
}

std::string ReplicationLine(const json& replication) {
  std::string line = TextAt(replication, {"state"}, "?");
  line += fmt::format(", lag {} bytes", Grouped(NumberAt(replication, {"lag_bytes"})));
  const std::string error = TextAt(replication, {"error"});
  return error.empty() ? line : line + ", " + error;
}

void AppendTraffic(const json& status, std::string* out) {
  if (Find(status, {"lag"}) != nullptr) {
    Line(out, "lag",
         fmt::format("{}, {}, {:.1f} ms", Count(status, {"lag", "slots"}, "slots"),
                     SizeText(NumberAt(status, {"lag", "bytes"})), NumberAt(status, {"lag", "ms"})));
  }
  if (Find(status, {"dirty"}) != nullptr) {
    bool overflowed = BoolAt(status, {"dirty", "overflowed"});
    std::string line = Count(status, {"dirty", "keys"}, "keys");
    if (overflowed) line += ", and everything else is taken to be dirty";
    if (NumberAt(status, {"dirty", "keys"}) > 0 && Find(status, {"repair"}) != nullptr) {
      line += BoolAt(status, {"repair", "enabled"}) ? fmt::format(" ({} repaired, {:.0f} s left at best)",
                                                                  Grouped(NumberAt(status, {"dirty", "repaired"})),
                                                                  NumberAt(status, {"repair", "seconds_left"}))
                                                    : " (repair is off)";
    }
    Line(out, "dirty", line);
  }
  if (Find(status, {"writes"}) != nullptr) {
    Line(out, "writes",
         fmt::format("{}, {}, {}, {}, {}", Count(status, {"writes", "total"}, "in all"),
                     Count(status, {"writes", "followed"}, "followed"),
                     Count(status, {"writes", "not_followed"}, "left to repair"),
                     Count(status, {"writes", "diverged"}, "diverged"),
                     Count(status, {"writes", "refused_by_secondary"}, "refused by the secondary")));
  }
  if (Find(status, {"reads"}) != nullptr) {
    Line(out, "reads",
         fmt::format("{}, {}, {}, {}, {}", Count(status, {"reads", "old"}, "by old"),
                     Count(status, {"reads", "new"}, "by new"), Count(status, {"reads", "compared"}, "compared"),
                     Count(status, {"reads", "mismatched"}, "mismatched"),
                     Count(status, {"reads", "fallback"}, "fallen back")));
  }
}

void AppendBackends(const json& status, std::string* out) {
  const json* backends = Find(status, {"backends"});
  if (backends == nullptr || !backends->is_object()) return;
  *out += fmt::format("\n{:<11}{:<12}{:<12}{:<12}{:<10}{:<10}{}\n", "backend", "state", "product", "version", "p50",
                      "p99", "");
  out->resize(out->find_last_not_of(" \n") + 1);
  *out += "\n";
  for (const char* side : {"old", "new"}) {
    const json* one = Find(*backends, {side});
    if (one == nullptr) continue;
    std::string line =
        fmt::format("{:<11}{:<12}{:<12}{:<12}{:<10}{:<10}", side, TextAt(*one, {"state"}, "?"),
                    TextAt(*one, {"product"}, "-"), TextAt(*one, {"version"}, "-"),
                    MicrosecondsAt(*one, {"latency_us", "p50"}), MicrosecondsAt(*one, {"latency_us", "p99"}));
    for (const std::string& note : NotesIn(*one, {"address", "reason", "error"})) line += note + "  ";
    line.resize(line.find_last_not_of(' ') + 1);
    *out += line + "\n";
  }
}

std::string FlipsLine(const json& flips) {
  if (flips.empty()) return "none";
  const json& last = flips.back();
  std::string line = Grouped(static_cast<double>(flips.size()));
  if (std::string to = TextAt(last, {"to"}); !to.empty()) line += ", the last to " + to;
  if (std::string at = TextAt(last, {"at"}); !at.empty()) line += " at " + at;
  if (Find(last, {"pause_ms"}) != nullptr) line += fmt::format(" (paused {:.1f} ms)", NumberAt(last, {"pause_ms"}));
  return line;
}

}  // namespace

std::string SizeText(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < std::size(units); ++unit) bytes /= 1024;
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, units[unit]);
}

const json* Find(const json& root, std::initializer_list<const char*> path) {
  const json* at = &root;
  for (const char* name : path) {
    if (!at->is_object()) return nullptr;
    auto found = at->find(name);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

std::string TextAt(const json& root, std::initializer_list<const char*> path, std::string_view otherwise) {
  const json* found = Find(root, path);
  if (found != nullptr && found->is_string()) return Printable(found->get_ref<const std::string&>());
  if (found != nullptr && found->is_number_integer()) return found->dump();
  if (found != nullptr && found->is_number()) return fmt::format("{:g}", found->get<double>());
  return std::string(otherwise);
}

double NumberAt(const json& root, std::initializer_list<const char*> path, double otherwise) {
  const json* found = Find(root, path);
  return found != nullptr && found->is_number() ? found->get<double>() : otherwise;
}

bool BoolAt(const json& root, std::initializer_list<const char*> path, bool otherwise) {
  const json* found = Find(root, path);
  return found != nullptr && found->is_boolean() ? found->get<bool>() : otherwise;
}

std::string Grouped(double number) {
  std::string digits = fmt::format("{:.0f}", std::fabs(number));
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, 1, ',');
  return (number <= -0.5 ? "-" : "") + digits;
}

std::string Printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters as well.
    const bool c1 = byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (byte >= 0x20 && byte != 0x7F && !c1) {
      out.push_back(text[i]);
    } else {
      out += fmt::format("\\x{:02x}", c1 ? static_cast<unsigned char>(text[++i]) : byte);
    }
  }
  return out;
}

std::vector<std::string> NotesIn(const json& answer, std::initializer_list<const char*> fields) {
  std::vector<std::string> notes;
  auto add = [&notes](const json& one) {
    if (one.is_string() && !one.get_ref<const std::string&>().empty()) {
      notes.push_back(Printable(one.get_ref<const std::string&>()));
    } else if (one.is_object() || one.is_number()) {
      notes.push_back(Printable(one.dump(-1, ' ', false, json::error_handler_t::replace)));
    }
  };
  for (const char* field : fields) {
    const json* found = Find(answer, {field});
    if (found == nullptr) continue;
    if (!found->is_array()) {
      add(*found);
    } else {
      for (const json& one : *found) add(one);
    }
  }
  return notes;
}

std::string MicrosecondsAt(const json& root, std::initializer_list<const char*> path) {
  const json* found = Find(root, path);
  if (found == nullptr || !found->is_number()) return "-";
  const double us = found->get<double>();
  return us < 1000 ? fmt::format("{:.0f} µs", us) : fmt::format("{:.1f} ms", us / 1000);
}

std::string Painted(const std::string& text, const char* colour) {
  return colour == nullptr ? text : fmt::format("\x1b[{}m{}\x1b[0m", colour, text);
}

std::string Joined(const std::vector<std::string>& notes) {
  std::string out;
  for (const std::string& note : notes) out += (out.empty() ? "" : "; ") + note;
  return out;
}

std::string RenderStatus(const json& status) {
  std::string out = "crossfade " + TextAt(status, {"version"}, "?");
  if (Find(status, {"epoch"}) != nullptr) out += ", epoch " + TextAt(status, {"epoch"});
  out += "\n\n";
  for (const std::string& note : NotesIn(status, {"attention", "warnings"})) Line(&out, "ATTENTION", note);
  const Advice advice = AdviseFrom(status);
  if (!advice.next.empty()) Line(&out, "next", advice.next);
  if (!advice.back.empty()) Line(&out, "back", advice.back);
  if (!advice.next.empty()) out += "\n";
  Line(&out, "primary", TextAt(status, {"primary"}, "?") + ", acknowledged by " + TextAt(status, {"ack"}, "?"));
  Line(&out, "secondary", SecondaryLine(status));
  if (const json* replication = Find(status, {"replication"});
      TextAt(status, {"secondary"}) == "replica" && replication)
    Line(&out, "replica", ReplicationLine(*replication));
  std::string of = TextAt(status, {"split"}) == "random" ? "requests" : "keys";
  Line(&out, "routing",
       fmt::format("{} % of {} read from new, {} % of reads compared{}", TextAt(status, {"reads_new"}, "?"), of,
                   TextAt(status, {"compare"}, "?"),
                   TextAt(status, {"on_miss"}) == "primary" ? ", a miss asks the primary" : ""));
  AppendTraffic(status, &out);
  if (Find(status, {"clients"}) != nullptr) {
    Line(&out, "clients", Count(status, {"clients", "connected"}, "connected"));
  }
  if (const json* backfill = Find(status, {"backfill"})) Line(&out, "backfill", BackfillLine(*backfill));
  if (const json* verify = Find(status, {"verify"})) Line(&out, "verify", VerifyLine(*verify));
  if (const json* ramp = Find(status, {"ramp"}); ramp != nullptr && TextAt(*ramp, {"state"}) != "idle") {
    Line(&out, "ramp", RampLine(*ramp));
  }
  if (const json* flips = Find(status, {"flips"}); flips != nullptr && flips->is_array()) {
    Line(&out, "flips", FlipsLine(*flips));
  }
  AppendBackends(status, &out);
  return out;
}

// A line for each: the key and the command first, then whatever else the answer has of it.
std::string RenderMismatches(const json& answer) {
  const json* list = answer.is_array() ? &answer : Find(answer, {"mismatches"});
  if (list == nullptr || !list->is_array() || list->empty()) return "no mismatches\n";
  std::string out;
  for (const json& one : *list) {
    std::string line = fmt::format("{:<32} {:<12}", TextAt(one, {"key"}, "?"), TextAt(one, {"command"}, "?"));
    if (one.is_object()) {
      for (const auto& [name, value] : one.items()) {
        if (name == "key" || name == "command") continue;
        std::string text =
            value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, json::error_handler_t::replace);
        line += fmt::format("  {}={}", Printable(name), Printable(text));
      }
    }
    out += line + "\n";
  }
  return out;
}

}  // namespace crossfade
