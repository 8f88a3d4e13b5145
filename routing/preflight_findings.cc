#include "routing/preflight_findings.h"

#include <algorithm>
#include <cstdlib>

#include "fmt/format.h"
#include "routing/preflight_commands.h"
#include "routing/preflight_data.h"

namespace crossfade {

namespace {

class Findings {
 public:
  void Pass(const char* name, std::string found) { Add(name, CheckStatus::kPass, std::move(found), ""); }
  void Warn(const char* name, std::string found, std::string remedy) {
    Add(name, CheckStatus::kWarn, std::move(found), std::move(remedy));
  }
  void Fail(const char* name, std::string found, std::string remedy) {
    Add(name, CheckStatus::kFail, std::move(found), std::move(remedy));
  }
  std::vector<Finding> list;

 private:
  void Add(const char* name, CheckStatus status, std::string found, std::string remedy) {
    list.push_back({name, status, std::move(found), std::move(remedy)});
  }
};

std::string Who(const StoreFacts& store) {
  const ServerFigures& info = store.info.value;
  std::string who = store.info.known() ? fmt::format("{} {}", info.product, info.version) : "a server";
  who += " at " + store.address;
  const std::string& user = store.whoami.empty() ? store.user : store.whoami;
  if (!user.empty()) who += ", as user " + user;
  return who;
}

void JudgeReach(const StoreFacts& store, Side side, Findings* out) {
  const char* name = side == Side::kOld ? "old is reached" : "new is reached";
  const char* section = SideName(side);
  if (!store.reached) {
    return out->Fail(
        name, fmt::format("{} can't be reached: {}", store.address, store.unreachable),
        fmt::format("Is backends.{}.url right, is the server up, does a firewall stand between?", section));
  }
  if (!store.login_refused.empty()) {
    return out->Fail(name, fmt::format("{} refuses the login: {}", store.address, store.login_refused),
                     fmt::format("Put the right user:password@ into backends.{}.url.", section));
  }
  if (!store.lost.empty()) {
    return out->Fail(name, fmt::format("{} stopped answering: {}", Who(store), store.lost),
                     "Is the server overloaded, is the network slow, does something between cut connections?");
  }
  if (store.info.known()) return out->Pass(name, Who(store));
  out->Fail(name, fmt::format("{}; who it is could not be looked at: INFO: {}", Who(store), store.info.refused),
            "Allow INFO to Crossfade's user: it can't work without.");
}

void JudgeRole(const StoreFacts& store, Side side, Findings* out) {
  const char* name = side == Side::kOld ? "role of old" : "role of new";
  const ServerFigures& info = store.info.value;
  if (info.mode == "sentinel") {
    return out->Fail(name, "it is a Sentinel", "Name the store itself in the URL: Sentinel is not supported yet.");
  }
  if (info.is_cluster) {
    return out->Fail(name, "it is a node of a Redis Cluster", "Crossfade does not support Redis Cluster yet.");
  }
  if (info.is_replica) {
    return out->Fail(name, "it is a replica, which refuses writes",
                     "Name its master in the URL; or say REPLICAOF NO ONE there, if it is to be a store of its own.");
  }
  if (info.loading) return out->Fail(name, "it is loading its data set", "Check again when it has loaded.");
  out->Pass(name, "a master that stands alone");
}

void JudgeDifferent(const StoreFacts& old, const StoreFacts& now, Findings* out) {
  const std::string& id = old.info.value.run_id;
  if (id.empty() || id != now.info.value.run_id) return;
  out->Fail("two stores", "both URLs lead to the same server",
            "A backfill would remove nothing and prove nothing. Correct one of the URLs.");
}

void JudgeResp3(const StoreFacts& old, const StoreFacts& now, Findings* out) {
  if (old.resp3 && now.resp3) return out->Pass("RESP3", "both speak it");
  const bool only_old = old.resp3;
  const char* who = !old.resp3 && !now.resp3 ? "neither store speaks"
                    : only_old               ? "new does not speak"
                                             : "old does not speak";
  const std::string found = fmt::format("{} it: {}", who, only_old ? now.hello_error : old.hello_error);
  if (!old.resp3) return out->Pass("RESP3", found + "; applications speak RESP2 then");
  out->Warn("RESP3", found,
            "Applications that say HELLO 3 will be refused once new is the primary: let them use RESP2.");
}

void JudgeClock(const StoreFacts& old, const StoreFacts& now, Findings* out) {
  constexpr int64_t kMostMs = 1000;
  if (!old.clock_known || !now.clock_known) {
    return out->Warn("clocks", fmt::format("{} does not say what time it is", old.clock_known ? "new" : "old"),
                     "Allow TIME to Crossfade's user; or make sure that both machines' clocks are synchronised.");
  }
  const int64_t apart_ms = now.clock_offset_ms - old.clock_offset_ms;
  const int64_t unsure_ms = old.clock_uncertainty_ms + now.clock_uncertainty_ms;
  const std::string found = fmt::format("new is {} ms {} old (±{} ms)", std::llabs(apart_ms),
                                        apart_ms < 0 ? "behind" : "ahead of", unsure_ms);
  if (std::llabs(apart_ms) <= kMostMs + unsure_ms) return out->Pass("clocks", found);
  out->Warn("clocks", found,
            "Crossfade reckons with it for times to live, but applications that set absolute times, and stream ids, do "
            "not: synchronise the clocks (NTP).");
}

void JudgeScripts(const PreflightFacts& facts, Findings* out) {
  const StoreFacts& now = facts.store(Side::kNew);
  if (!now.script_asked) return;
  int64_t calls = 0;
  for (const char* command : {"eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro"}) {
    const auto found = facts.store(Side::kOld).calls.value.find(command);
    if (found != facts.store(Side::kOld).calls.value.end()) calls += found->second;
  }
  if (now.script_error.empty()) return out->Pass("scripts", fmt::format("new runs them; {} calls on old", calls));
  const std::string found = fmt::format("new runs none: {}", now.script_error);
  if (calls == 0) return out->Pass("scripts", found + "; old was asked for none");
  out->Fail("scripts", fmt::format("{}; {} calls on old", found, calls),
            "Allow +@scripting to Crossfade's user on new; or applications must do without scripts.");
}

void JudgeFunctions(const StoreFacts& old, const StoreFacts& now, Findings* out) {
  if (!old.functions.known() && old.functions.refused.find("nknown") != std::string::npos) {
    return out->Pass("functions", "old has no functions: it does not know them");
  }
  if (!old.functions.known()) {
    return out->Warn("functions", "old's could not be looked at: " + old.functions.refused,
                     "Allow FUNCTION LIST (and FUNCTION DUMP, to copy them) to Crossfade's user on old.");
  }
  const auto& libraries = old.functions.value;
  if (libraries.empty()) return out->Pass("functions", "old has none");
  if (!now.functions.known()) {
    return out->Warn(
        "functions",
        fmt::format("old has {} libraries; new's could not be looked at: {}", libraries.size(), now.functions.refused),
        "Allow FUNCTION LIST and FUNCTION RESTORE to Crossfade's user on new; without functions there, "
        "FCALL's keys are copied.");
  }
  std::vector<std::string> missing;
  for (const std::string& library : libraries) {
    if (std::find(now.functions.value.begin(), now.functions.value.end(), library) == now.functions.value.end()) {
      missing.push_back(library);
    }
  }
  if (missing.empty()) {
    return out->Pass("functions", fmt::format("new has all {} libraries of old, by name", libraries.size()));
  }
  out->Warn("functions", fmt::format("new lacks {}", JoinNames(missing)), "crossfade copy functions");
}

void JudgeModules(const StoreFacts& old, const StoreFacts& now, Findings* out) {
  if (!old.modules.known()) {
    return out->Warn("modules", "old's could not be looked at: " + old.modules.refused,
                     "Allow MODULE LIST to Crossfade's user, or make sure yourself that new has the modules of old.");
  }
  if (old.modules.value.empty()) return out->Pass("modules", "old has none");
  if (!now.modules.known()) {
    return out->Warn(
        "modules",
        fmt::format("old has {}; new's could not be looked at: {}", JoinNames(old.modules.value), now.modules.refused),
        "Make sure that new has them.");
  }
  std::vector<std::string> missing;
  for (const std::string& module : old.modules.value) {
    const auto& has = now.modules.value;
    if (std::find(has.begin(), has.end(), module) == has.end()) missing.push_back(module);
  }
  if (missing.empty()) return out->Pass("modules", "new has those of old: " + JoinNames(old.modules.value));
  out->Warn("modules", "new lacks " + JoinNames(missing),
            "Values of a module's own type can't be copied without it. Load it on new, unless new knows its commands "
            "by itself (then see 'commands in use').");
}

void JudgeUsers(const StoreFacts& old, const StoreFacts& now, Findings* out) {
  for (const StoreFacts* store : {&old, &now}) {
    if (store->users.known()) continue;
    return out->Warn(
        "users",
        fmt::format("those of {} could not be looked at: {}", store == &old ? "old" : "new", store->users.refused),
        "If applications log in as several users, create them on new yourself; or allow ACL LIST to "
        "Crossfade's user, and check again.");
  }
  std::vector<std::string> missing, differing;
  for (const auto& [user, rules] : old.users.value) {
    const auto found = now.users.value.find(user);
    if (user == old.whoami || user == now.whoami || user == "default") continue;
    if (found == now.users.value.end()) {
      missing.push_back(user);
    } else if (found->second != rules) {
      differing.push_back(user);
    }
  }
  if (missing.empty() && differing.empty()) {
    return out->Pass("users", fmt::format("new has those of old ({})", old.users.value.size()));
  }
  std::string found = missing.empty() ? "" : "new lacks " + JoinNames(missing);
  if (!differing.empty()) {
    found += (found.empty() ? "" : "; ") + std::string("with other rules or passwords there: ") + JoinNames(differing);
  }
  out->Warn("users", found, "crossfade copy users");
}

void JudgeEncryption(const PreflightFacts& facts, Findings* out) {
  bool password = false;
  for (const StoreFacts& store : facts.stores) {
    password |= !store.user.empty() || (store.whoami != "default" && !store.whoami.empty());
  }
  out->Pass("encryption", fmt::format("plain TCP to both (rediss:// is not supported yet){}",
                                      password ? "; keep the way to the stores private" : ""));
}

}  // namespace

const char* Name(CheckStatus status) {
  return status == CheckStatus::kPass ? "pass" : status == CheckStatus::kWarn ? "warn" : "fail";
}

std::vector<Finding> JudgePreflight(const PreflightFacts& facts) {
  Findings out;
  const StoreFacts& old = facts.store(Side::kOld);
  const StoreFacts& now = facts.store(Side::kNew);
  JudgeReach(old, Side::kOld, &out);
  JudgeReach(now, Side::kNew, &out);
  for (Side side : {Side::kOld, Side::kNew}) {
    const StoreFacts& store = facts.store(side);
    if (store.open() && store.info.known()) JudgeRole(store, side, &out);
  }
  if (old.open() && now.open()) JudgeDifferent(old, now, &out);
  for (Side side : {Side::kOld, Side::kNew}) {
    if (facts.store(side).open()) JudgePermissions(facts, side, &out.list);
  }
  if (old.open()) JudgeRefusedCommands(facts, &out.list);
  if (old.open()) JudgeBigKeys(facts, &out.list);
  if (!old.open() || !now.open()) return out.list;
  JudgeCommandsInUse(facts, &out.list);
  JudgeCanaries(facts, &out.list);
  JudgeScripts(facts, &out);
  JudgeFunctions(old, now, &out);
  JudgeModules(old, now, &out);
  JudgeUsers(old, now, &out);
  JudgeResp3(old, now, &out);
  JudgeDatabases(facts, &out.list);
  JudgeMemory(facts, &out.list);
  JudgeEviction(facts, &out.list);
  JudgeConnections(facts, &out.list);
  JudgeNotifications(facts, &out.list);
  JudgeEmptiness(facts, &out.list);
  JudgeClock(old, now, &out);
  JudgeEncryption(facts, &out);
  return out.list;
}

}  // namespace crossfade
