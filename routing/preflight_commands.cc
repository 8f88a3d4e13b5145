#include "routing/preflight_commands.h"

#include <algorithm>
#include <cctype>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/request.h"
#include "routing/command_table.h"

namespace crossfade {

namespace {

// A preflight makes a key of each type on old, and those calls are counted there as well. So few calls of what it uses
// itself, with no key of that type to be seen, prove nothing.
constexpr int64_t kFewCalls = 20;
constexpr size_t kMostNamed = 8;

// What Crossfade itself asks of a store. Which of the two copies keys from it, and which to it, changes with a flip.
struct Need {
  std::string_view command;
  enum class Of : uint8_t { kPrimary, kSecondary, kBoth } of;
  std::string_view else_what;  // what happens without it; empty: nothing works
};
constexpr Need kNeeds[] = {
    {"info", Need::Of::kBoth, ""},
    {"select", Need::Of::kBoth, ""},
    {"scan", Need::Of::kBoth, ""},
    {"pttl", Need::Of::kPrimary, ""},
    {"dump", Need::Of::kPrimary, ""},
    {"type", Need::Of::kPrimary, ""},
    {"del", Need::Of::kSecondary, ""},
    {"unlink", Need::Of::kSecondary, ""},
    {"set", Need::Of::kSecondary, ""},
    {"pexpireat", Need::Of::kSecondary, ""},
    {"rename", Need::Of::kSecondary, ""},
    {"restore", Need::Of::kSecondary, "keys are copied by the commands of their types, which is slower"},
    {"memory|usage", Need::Of::kPrimary, "the size of a value is not known before it is copied"},
    {"time", Need::Of::kBoth, "the clocks of the stores are taken to be right"},
    {"config|get", Need::Of::kBoth, "it is taken to have 16 databases"},
    {"client|id", Need::Of::kBoth, "a broken connection can't be ended there"},
    {"client|setname", Need::Of::kBoth, "connections of an earlier run are not found there"},
    {"client|list", Need::Of::kBoth, "connections of an earlier run are not found there"},
    {"client|kill", Need::Of::kBoth, "what a broken connection still carries may be run late"},
};

// What writes the values of each type, when they are copied piece by piece and when applications go on with them.
struct TypeWriters {
  std::string_view type;
  std::string_view commands[5];
};
constexpr TypeWriters kWriters[] = {
    {"string", {"set", "append"}},
    {"list", {"rpush"}},
    {"set", {"sadd"}},
    {"hash", {"hset"}},
    {"zset", {"zadd"}},
    {"stream", {"xadd", "xgroup|create", "xgroup|createconsumer", "xclaim", "xsetid"}},
};

// What a preflight calls on old, and of which type its keys are.
constexpr struct {
  std::string_view command, type;
} kOwnCalls[] = {
    {"set", "string"},
    {"get", "string"},
    {"pfadd", "string"},
    {"pfcount", "string"},
    {"rpush", "list"},
    {"lrange", "list"},
    {"sadd", "set"},
    {"smembers", "set"},
    {"hset", "hash"},
    {"hgetall", "hash"},
    {"zadd", "zset"},
    {"zrange", "zset"},
    {"xadd", "stream"},
    {"xrange", "stream"},
    {"xgroup|create", "stream"},
    {"xreadgroup", "stream"},
    {"xinfo|stream", "stream"},
    {"xinfo|groups", "stream"},
    {"xpending", "stream"},
    {"pexpire", ""},
    {"pttl", ""},
    {"dump", ""},
    {"del", ""},
    {"scan", ""},
    {"type", ""},
    {"memory|usage", ""},
    {"exists", ""},
};

// Run, or taken as the end of the transaction, in spite of MULTI.
bool IsQueued(std::string_view command) {
  command = command.substr(0, command.find('|'));
  for (std::string_view not_queued : {"exec", "discard", "multi", "watch", "unwatch", "quit", "reset", "hello"}) {
    if (command == not_queued) return false;
  }
  return true;
}

enum class Weight : uint8_t { kNone, kWarn, kFail };

// How bad is it if new doesn't run this command of the applications'?
Weight WeightOf(std::string_view command) {
  const CommandRow* row = FindCommandByName(command);
  if (row == nullptr) return Weight::kFail;  // a module's: without it, its data can't be there either
  switch (row->route) {
    case Route::kWrite:
    case Route::kBoth:
      return command == "restore" || command == "migrate" ? Weight::kWarn : Weight::kFail;
    case Route::kRead:
      return row->keys != KeyRule::kNone && row->compare != CompareRule::kNever ? Weight::kFail : Weight::kWarn;
    case Route::kPrimaryRead:
      return (row->flags & kFlagReadonly) != 0 ? Weight::kWarn : Weight::kNone;
    case Route::kPrivate:
      return Weight::kWarn;
    default:
      return Weight::kNone;
  }
}

// May all calls have been a preflight's?
bool MayBeOurs(const PreflightFacts& facts, std::string_view command, int64_t calls) {
  if (calls > kFewCalls) return false;
  for (const auto& own : kOwnCalls) {
    if (own.command == command) return own.type.empty() || !facts.types.contains(std::string(own.type));
  }
  return false;
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < kMostNamed; ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kMostNamed) text += fmt::format(", and {} more", names.size() - kMostNamed);
  return text;
}

const Probe* ProbeOf(const StoreFacts& store, const std::string& command) {
  const auto found = store.probes.value.find(command);
  return found == store.probes.value.end() ? nullptr : &found->second;
}

bool IsMissing(const Probe* probe) {
  return probe != nullptr && (probe->is == Probe::Is::kUnknown || probe->is == Probe::Is::kDenied);
}

// Denied for the key's sake, not for the command's?
bool IsAboutKeys(const Probe& probe) {
  return probe.is == Probe::Is::kDenied && probe.error.find("access") != std::string::npos &&
         probe.error.find("key") != std::string::npos;
}

// "~* +xadd +xgroup|create", for ACL SETUSER.
std::string Grants(const std::vector<std::string>& commands, bool keys) {
  std::string text = keys ? "~*" : "";
  for (const std::string& command : commands) text += (text.empty() ? "+" : " +") + command;
  return text;
}

std::string UserOf(const StoreFacts& store) {
  return !store.whoami.empty() ? store.whoami : !store.user.empty() ? store.user : "default";
}

// How often old's applications have called it, as far as that can be told: 0 for never.
std::map<std::string, int64_t> CommandsInUse(const PreflightFacts& facts) {
  std::map<std::string, int64_t> in_use;
  for (const auto& [command, calls] : facts.store(Side::kOld).calls.value) {
    if (calls > 0 && IsQueued(command) && WeightOf(command) != Weight::kNone) in_use[command] = calls;
  }
  for (const TypeWriters& writers : kWriters) {
    if (!facts.types.contains(std::string(writers.type))) continue;
    for (std::string_view command : writers.commands) {
      if (!command.empty()) in_use.try_emplace(std::string(command), 0);
    }
  }
  return in_use;
}

}  // namespace

std::set<std::string> CommandsToProbe(const PreflightFacts& facts) {
  std::set<std::string> commands;
  for (const Need& need : kNeeds) commands.emplace(need.command);
  for (const auto& [command, calls] : CommandsInUse(facts)) commands.insert(command);
  for (std::string_view ours : {"pexpire", "exists"}) commands.emplace(ours);
  return commands;
}

void AppendProbe(std::string_view command, std::string_view key, CommandBatch* batch) {
  std::vector<std::string_view> args{command};
  if (const size_t bar = command.find('|'); bar != std::string_view::npos) {
    args = {command.substr(0, bar), command.substr(bar + 1)};
  }
  const CommandRow* row = FindCommandByName(command);
  // Its arguments are not known: none are given, and the server complains of that before it looks at rights.
  if (row == nullptr) return batch->Add(args);
  while (!ArityMatches(*row, args.size())) args.push_back("1");
  const Request request = MakeRequest(args);
  for (uint32_t place : FindKeys(*row, request.view())) args[place] = key;
  batch->Add(args);
}

Probe JudgeProbe(std::string_view reply) {
  const Reply error = ParseReply(reply);
  if (!error.is_error()) return {Probe::Is::kThere, ""};
  const std::string text(error.text);
  if (text.starts_with("LOST ")) return {Probe::Is::kNotAsked, ""};
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (lower.find("unknown command") != std::string::npos || lower.find("unknown subcommand") != std::string::npos) {
    return {Probe::Is::kUnknown, text.substr(0, text.find(", with args"))};
  }
  if (text.starts_with("NOPERM")) return {Probe::Is::kDenied, text};
  return {Probe::Is::kThere, ""};
}

void JudgeCommandsInUse(const PreflightFacts& facts, std::vector<Finding>* findings) {
  const StoreFacts& old = facts.store(Side::kOld);
  const StoreFacts& now = facts.store(Side::kNew);
  Finding finding{"commands in use", CheckStatus::kPass, "", ""};
  if (!now.probes.known()) {
    findings->push_back({finding.name, CheckStatus::kWarn, "new could not be asked: " + now.probes.refused,
                         "Allow MULTI and DISCARD to Crossfade's user on new, and check again."});
    return;
  }
  std::vector<std::string> missing, maybe, denied;
  size_t known = 0, unknown = 0;
  bool keys = false;
  for (const auto& [command, calls] : CommandsInUse(facts)) {
    ++known;
    const Probe* probe = ProbeOf(now, command);
    if (!IsMissing(probe)) continue;
    const std::string why = calls > 0 ? fmt::format("{} calls", calls) : "writes a type that old holds";
    const std::string told = fmt::format("{} ({}): {}", SpelledCommand(command), why, probe->error);
    const bool fails = WeightOf(command) == Weight::kFail && (calls == 0 || !MayBeOurs(facts, command, calls));
    (fails ? missing : maybe).push_back(told);
    keys |= IsAboutKeys(*probe);
    if (probe->is != Probe::Is::kDenied) {
      ++unknown;
    } else if (!IsAboutKeys(*probe)) {
      denied.push_back(command);
    }
  }
  if (missing.empty() && maybe.empty()) {
    finding.found = fmt::format("new knows and allows all {} that old's applications use", known);
  } else {
    finding.status = missing.empty() ? CheckStatus::kWarn : CheckStatus::kFail;
    missing.insert(missing.end(), maybe.begin(), maybe.end());
    finding.found = "new refuses " + Joined(missing);
    if (!denied.empty() || keys) {
      finding.remedy = fmt::format("On new: ACL SETUSER {} {}", UserOf(now), Grants(denied, keys));
    }
    if (unknown > 0) {
      finding.remedy += finding.remedy.empty() ? "" : ". ";
      finding.remedy +=
          "What new doesn't know, applications must stop using before they are moved, or new must be "
          "another version (or have the module)";
    }
    finding.remedy += ".";
  }
  if (!old.calls.known()) {
    if (finding.status == CheckStatus::kPass) finding.status = CheckStatus::kWarn;
    finding.found += "; which commands old's applications use could not be looked at: " + old.calls.refused;
    finding.remedy += finding.remedy.empty() ? "" : " ";
    finding.remedy += "Allow INFO to Crossfade's user on old.";
  }
  findings->push_back(finding);
}

void JudgeRefusedCommands(const PreflightFacts& facts, std::vector<Finding>* findings) {
  const StoreFacts& old = facts.store(Side::kOld);
  if (!old.calls.known()) return;
  std::vector<std::string> applications, operators;
  std::string reason;
  for (const auto& [command, calls] : old.calls.value) {
    const CommandRow* row = FindCommandByName(command);
    if (row == nullptr || calls == 0 || row->refusal.empty() || IsContainer(*row)) continue;
    if (row->route == Route::kAdmin && facts.admin_commands) continue;
    // A replica's conversation with old doesn't go through the proxy.
    if (command == "psync" || command == "sync" || command == "replconf") continue;
    const bool application = row->route == Route::kRefused && row->keys != KeyRule::kNone;
    (application ? applications : operators).push_back(fmt::format("{} ({} calls)", SpelledCommand(command), calls));
    if (application && reason.empty()) reason = SpelledCommand(command) + ": " + std::string(row->refusal);
  }
  Finding finding{"commands that Crossfade refuses", CheckStatus::kPass, "none of them was called on old", ""};
  if (!applications.empty()) {
    finding.status = CheckStatus::kFail;
    applications.insert(applications.end(), operators.begin(), operators.end());
    finding.found = "called on old: " + Joined(applications);
    finding.remedy = reason;
  } else if (!operators.empty()) {
    finding.status = CheckStatus::kWarn;
    finding.found = "called on old: " + Joined(operators);
    finding.remedy =
        "If applications call them (rather than operators, straight on the store): crossfade commands --refused says "
        "why, and which of them listen.admin_commands = true allows.";
  }
  findings->push_back(finding);
}

void JudgePermissions(const PreflightFacts& facts, Side side, std::vector<Finding>* findings) {
  const StoreFacts& store = facts.store(side);
  Finding finding{fmt::format("rights on {}", SideName(side)), CheckStatus::kPass, "", ""};
  if (!store.probes.known()) {
    finding.status = CheckStatus::kWarn;
    finding.found = "they could not be looked at: " + store.probes.refused;
    finding.remedy = "Allow MULTI and DISCARD to Crossfade's user, and check again.";
    findings->push_back(finding);
    return;
  }
  std::vector<std::string> told, commands;
  const Need::Of now = side == Side::kOld ? Need::Of::kPrimary : Need::Of::kSecondary;
  bool unknown = false, keys = false;
  for (const Need& need : kNeeds) {
    const Probe* probe = ProbeOf(store, std::string(need.command));
    if (!IsMissing(probe)) continue;
    const bool later = need.of != Need::Of::kBoth && need.of != now;
    const bool fails = need.else_what.empty() && !later;
    finding.status = std::max(finding.status, fails ? CheckStatus::kFail : CheckStatus::kWarn);
    told.push_back(fmt::format("{}{}{}{}", SpelledCommand(need.command),
                               probe->is == Probe::Is::kUnknown ? " is not known there"
                               : IsAboutKeys(*probe)            ? " on every key"
                                                                : "",
                               need.else_what.empty() ? "" : fmt::format(" (without it {})", need.else_what),
                               later ? " (needed after a flip)" : ""));
    unknown |= probe->is == Probe::Is::kUnknown;
    keys |= IsAboutKeys(*probe);
    if (probe->is == Probe::Is::kDenied && !IsAboutKeys(*probe)) commands.emplace_back(need.command);
  }
  finding.found = told.empty() ? fmt::format("user {} may do what Crossfade needs", UserOf(store))
                               : fmt::format("user {} lacks {}", UserOf(store), Joined(told));
  if (!commands.empty() || keys) {
    finding.remedy = fmt::format("On {}: ACL SETUSER {} {}.", SideName(side), UserOf(store), Grants(commands, keys));
  } else if (unknown) {
    finding.remedy = "Find out whether the service has disabled or renamed them.";
  }
  findings->push_back(finding);
}

}  // namespace crossfade
