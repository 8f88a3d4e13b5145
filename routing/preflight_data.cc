#include "routing/preflight_data.h"

#include <algorithm>

#include "fmt/format.h"
#include "protocol/reply.h"

namespace crossfade {

namespace {

constexpr int64_t kBigBytes = 64 << 20;  // a copy of more holds up who writes the key for a second and more

const std::string* ConfigValue(const StoreFacts& store, const char* name) {
  const auto found = store.config.find(name);
  return found == store.config.end() || !found->second.known() ? nullptr : &found->second.value;
}

// Why a setting is not known.
std::string ConfigRefusal(const StoreFacts& store, const char* name) {
  const auto found = store.config.find(name);
  return found == store.config.end() ? "CONFIG GET was not asked" : "CONFIG GET: " + found->second.refused;
}

int64_t ConfigNumber(const StoreFacts& store, const char* name) {
  const std::string* value = ConfigValue(store, name);
  return value == nullptr ? 0 : ParseInt64(*value).value_or(0);
}

// INFO has it mostly, CONFIG GET always; 0 for none, -1 when neither says.
int64_t MaxMemory(const StoreFacts& store) {
  if (store.info.value.maxmemory > 0) return store.info.value.maxmemory;
  if (ConfigValue(store, "maxmemory") != nullptr) return ConfigNumber(store, "maxmemory");
  return store.info.known() && !store.info.value.policy.empty() ? 0 : -1;
}

std::string Policy(const StoreFacts& store) {
  const std::string* value = ConfigValue(store, "maxmemory-policy");
  return value != nullptr ? *value : store.info.value.policy;
}

void Raise(Finding* finding, CheckStatus status) {
  finding->status = std::max(finding->status, status);
}

}  // namespace

std::string JoinNames(const std::vector<std::string>& names) {
  constexpr size_t kMost = 8;
  std::string text;
  for (size_t i = 0; i < names.size() && i < kMost; ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kMost) text += fmt::format(", and {} more", names.size() - kMost);
  return text;
}

std::string HumanBytes(int64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  double size = static_cast<double>(bytes);
  for (; size >= 1024 && unit + 1 < std::size(units); ++unit) size /= 1024;
  return fmt::format("{:.{}f} {}", size, unit == 0 ? 0 : 1, units[unit]);
}

void JudgeCanaries(const PreflightFacts& facts, std::vector<Finding>* findings) {
  const std::string rdb =
      facts.rdb_version[0] == 0 || facts.rdb_version[1] == 0
          ? ""
          : fmt::format("; DUMP's version is {} on old, {} on new", facts.rdb_version[0], facts.rdb_version[1]);
  Finding finding{"copies of every type", CheckStatus::kPass, "", ""};
  if (!facts.canaries_refused.empty()) {
    findings->push_back({finding.name, CheckStatus::kWarn, "not tried: " + facts.canaries_refused,
                         "Allow DEL, PEXPIRE and the commands above to Crossfade's users, and check again."});
    return;
  }
  std::vector<std::string> equal, rebuilt, bad, unmade;
  std::string restore_error;
  bool passing = false;
  for (const CanaryResult& canary : facts.canaries) {
    const bool unused = facts.sample_refused.empty() && !facts.types.contains(canary.type);
    switch (canary.is) {
      case CanaryResult::Is::kEqual:
        equal.push_back(canary.kind);
        break;
      case CanaryResult::Is::kRebuilt:
        rebuilt.push_back(canary.kind);
        restore_error = canary.error;
        break;
      case CanaryResult::Is::kDiffers:
        bad.push_back(fmt::format("{}: it reads otherwise on new ({})", canary.kind, canary.error));
        Raise(&finding, unused ? CheckStatus::kWarn : CheckStatus::kFail);
        break;
      case CanaryResult::Is::kNotCopied:
        bad.push_back(
            fmt::format("{}: RESTORE: {}; by its commands: {}", canary.kind, canary.error, canary.rebuild_error));
        passing |= canary.error.starts_with("OOM") || canary.error.starts_with("READONLY");
        Raise(&finding, unused ? CheckStatus::kWarn : CheckStatus::kFail);
        break;
      case CanaryResult::Is::kNotMade:
        unmade.push_back(fmt::format("{} ({})", canary.kind, canary.error));
        break;
    }
  }
  if (!equal.empty()) finding.found = "equal after DUMP and RESTORE: " + JoinNames(equal) + rdb;
  const auto also = [&finding](const std::string& text) {
    finding.found += (finding.found.empty() ? "" : "; ") + text;
  };
  if (!bad.empty()) {
    also("can't be copied: " + JoinNames(bad));
    finding.remedy = passing ? "Mend what new's answer names, and check again."
                             : "Allow Crossfade's user on new RESTORE, or the commands that write this type.";
  }
  if (!rebuilt.empty()) {
    Raise(&finding, CheckStatus::kWarn);
    also(fmt::format("RESTORE is refused ({}), so these are copied by the commands of their types, equal as well: {}{}",
                     restore_error, JoinNames(rebuilt), equal.empty() ? rdb : ""));
    if (finding.remedy.empty()) {
      finding.remedy =
          restore_error.starts_with("NOPERM")
              ? "Copying so is slower; it is faster with ACL SETUSER … +restore on new."
              : "Copying so is slower, and values of modules can't be copied; nothing else needs to be done.";
    }
  }
  if (!unmade.empty()) {
    Raise(&finding, CheckStatus::kWarn);
    also("not tried, for old refused the test key: " + JoinNames(unmade));
    if (finding.remedy.empty()) finding.remedy = "Allow Crossfade's user on old to write, and check again.";
  }
  if (!facts.left_behind.empty()) {
    Raise(&finding, CheckStatus::kWarn);
    also("test keys may be left for a minute: " + facts.left_behind);
  }
  findings->push_back(finding);
}

void JudgeDatabases(const PreflightFacts& facts, std::vector<Finding>* findings) {
  const StoreFacts& old = facts.store(Side::kOld);
  const StoreFacts& now = facts.store(Side::kNew);
  if (!old.info.known()) return;
  const auto& keys = old.info.value.keys;
  const int highest = keys.empty() ? 0 : keys.rbegin()->first;
  const int64_t on_old = ConfigNumber(old, "databases"), on_new = ConfigNumber(now, "databases");
  Finding finding{"databases", CheckStatus::kPass, "", ""};
  finding.found = fmt::format("old uses {}, up to number {}", std::max<size_t>(keys.size(), 1), highest);
  if (on_old > 0 && on_new > 0) finding.found += fmt::format("; old has {}, new {}", on_old, on_new);
  if (!facts.highest_db_refused.empty()) {
    finding.status = CheckStatus::kFail;
    finding.found += fmt::format("; new refuses SELECT {}: {}", highest, facts.highest_db_refused);
    finding.remedy = fmt::format("Start new with databases = {} at least (the same as old).", highest + 1);
  } else if (on_old > on_new && on_new > 0) {
    finding.status = CheckStatus::kWarn;
    finding.remedy = "Give new as many as old: writes to one that it lacks would not follow.";
  }
  findings->push_back(finding);
}

void JudgeMemory(const PreflightFacts& facts, std::vector<Finding>* findings) {
  const StoreFacts& old = facts.store(Side::kOld);
  const StoreFacts& now = facts.store(Side::kNew);
  Finding finding{"memory", CheckStatus::kPass, "", ""};
  const int64_t used = old.info.value.used_memory, most = MaxMemory(now);
  const int64_t machine = now.info.value.system_memory;
  if (used == 0 || most < 0) {
    finding.status = CheckStatus::kWarn;
    finding.found = used == 0 ? "what old uses could not be looked at: " +
                                    (old.info.known() ? "INFO has no used_memory" : old.info.refused)
                              : "new's maxmemory could not be looked at: " + ConfigRefusal(now, "maxmemory");
    finding.remedy = "Make sure yourself that old's data fits into new.";
    findings->push_back(finding);
    return;
  }
  finding.found = fmt::format("old uses {}, new may use {}", HumanBytes(used),
                              most > 0 ? HumanBytes(most) + " (maxmemory)" : "what its machine has");
  if (most == 0 && machine > 0) finding.found += fmt::format(" ({})", HumanBytes(machine));
  const int64_t room = most > 0 ? most : machine;
  if (room > 0 && room < used) {
    finding.status = CheckStatus::kFail;
    finding.remedy =
        fmt::format("Give new a maxmemory of {} at least, and the machine for it.", HumanBytes(used + used / 4));
    if (most == 0) finding.remedy = "Give new a larger machine.";
  } else if (room > 0 && room - used < used / 4) {
    finding.status = CheckStatus::kWarn;
    finding.remedy = "There is little room: a backfill and the growth of old meanwhile may fill new. Give it more.";
  }
  findings->push_back(finding);
}

void JudgeEviction(const PreflightFacts& facts, std::vector<Finding>* findings) {
  const std::string old = Policy(facts.store(Side::kOld)), now = Policy(facts.store(Side::kNew));
  if (old.empty() || now.empty()) {
    const StoreFacts& silent = facts.store(old.empty() ? Side::kOld : Side::kNew);
    findings->push_back({"eviction", CheckStatus::kWarn,
                         fmt::format("the policy of {} could not be looked at: {}", old.empty() ? "old" : "new",
                                     ConfigRefusal(silent, "maxmemory-policy")),
                         "Make sure that new has maxmemory-policy noeviction, or that its keys may go."});
    return;
  }
  Finding finding{"eviction", CheckStatus::kPass, fmt::format("{} on old, {} on new", old, now), ""};
  if (now != "noeviction" && now != old) {
    finding.status = CheckStatus::kWarn;
    finding.remedy =
        "New throws keys away when it is full, which shows as mismatches: set maxmemory-policy noeviction "
        "there, unless it is a cache.";
  } else if (now != "noeviction") {
    finding.status = CheckStatus::kWarn;
    finding.remedy =
        "Each throws other keys away when it is full, which shows as mismatches. For a cache that is as "
        "it must be: give new more memory while you compare.";
  } else if (old != now) {
    finding.status = CheckStatus::kWarn;
    finding.remedy =
        "Old throws keys away when it is full, new will refuse writes instead: make sure that there is "
        "room, or set the same policy once new is the primary.";
  }
  findings->push_back(finding);
}

void JudgeConnections(const PreflightFacts& facts, std::vector<Finding>* findings) {
  const ServerFigures& old = facts.store(Side::kOld).info.value;
  int64_t most[2];
  for (Side side : {Side::kOld, Side::kNew}) {
    const StoreFacts& store = facts.store(side);
    most[static_cast<int>(side)] =
        store.info.value.maxclients > 0 ? store.info.value.maxclients : ConfigNumber(store, "maxclients");
  }
  if (most[1] == 0) {
    findings->push_back(
        {"connections", CheckStatus::kWarn,
         "new's maxclients could not be looked at: " + ConfigRefusal(facts.store(Side::kNew), "maxclients"),
         "Make sure that new takes as many connections as applications hold after the migration."});
    return;
  }
  Finding finding{"connections", CheckStatus::kPass, "", ""};
  finding.found = fmt::format("old has {} of {}; new takes {}", old.connected_clients, most[0], most[1]);
  if (most[1] < old.connected_clients) {
    finding.status = CheckStatus::kWarn;
    finding.remedy =
        "The proxy needs few, but applications connect to new directly in the end: raise maxclients there.";
  }
  findings->push_back(finding);
}

void JudgeNotifications(const PreflightFacts& facts, std::vector<Finding>* findings) {
  const std::string* old = ConfigValue(facts.store(Side::kOld), "notify-keyspace-events");
  const std::string* now = ConfigValue(facts.store(Side::kNew), "notify-keyspace-events");
  if (old == nullptr) {
    findings->push_back(
        {"keyspace notifications", CheckStatus::kWarn,
         "old's could not be looked at: " + ConfigRefusal(facts.store(Side::kOld), "notify-keyspace-events"),
         "If applications use them, set notify-keyspace-events alike on both."});
    return;
  }
  const std::string on_new = now == nullptr ? "unknown" : now->empty() ? "off" : *now;
  if (old->empty() || (now != nullptr && *old == *now)) {
    findings->push_back({"keyspace notifications", CheckStatus::kPass,
                         fmt::format("{} on old, {} on new", old->empty() ? "off" : *old, on_new), ""});
    return;
  }
  findings->push_back({"keyspace notifications", CheckStatus::kWarn, fmt::format("{} on old, {} on new", *old, on_new),
                       fmt::format("On new: CONFIG SET notify-keyspace-events {}", *old)});
}

void JudgeEmptiness(const PreflightFacts& facts, std::vector<Finding>* findings) {
  const StoreFacts& now = facts.store(Side::kNew);
  if (!now.info.known()) return;
  const int64_t keys = now.info.value.all_keys();
  if (keys == 0) {
    findings->push_back({"new is empty", CheckStatus::kPass, "it holds no key", ""});
    return;
  }
  std::string found = fmt::format("it holds {} keys", keys);
  if (facts.looked_up > 0) {
    found += facts.only_on_new == 0 ? fmt::format("; old has all of {} that were looked up", facts.looked_up)
                                    : fmt::format(
                                          "; old lacks {} of {} that were looked up, and a backfill REMOVES "
                                          "those from new",
                                          facts.only_on_new, facts.looked_up);
  }
  findings->push_back({"new is empty", CheckStatus::kWarn, found,
                       facts.only_on_new > 0
                           ? "Is it the right server? Save what is needed of it, or take an empty one."
                           : "If this is not what an earlier backfill left: is it the right server? A backfill removes "
                             "every key from new that old lacks."});
}

void JudgeBigKeys(const PreflightFacts& facts, std::vector<Finding>* findings) {
  const StoreFacts& old = facts.store(Side::kOld);
  if (!facts.sample_refused.empty() || !facts.usage_refused.empty()) {
    findings->push_back(
        {"big keys", CheckStatus::kWarn,
         "could not be looked at: " +
             (facts.sample_refused.empty() ? "MEMORY USAGE: " + facts.usage_refused : "SCAN: " + facts.sample_refused),
         "Allow SCAN and MEMORY USAGE to Crossfade's user on old."});
    return;
  }
  if (facts.biggest.empty()) {
    findings->push_back(
        {"big keys", CheckStatus::kPass, old.info.known() ? "old holds no key" : "no key was seen", ""});
    return;
  }
  const BigKey& first = facts.biggest.front();
  Finding finding{"big keys", CheckStatus::kPass, "", ""};
  finding.found =
      fmt::format("the largest of {} that were looked at: {} ({}{}, {})", facts.sampled, first.name, first.type,
                  first.db > 0 ? fmt::format(" in database {}", first.db) : "", HumanBytes(first.bytes));
  if (first.bytes >= kBigBytes) {
    finding.status = CheckStatus::kWarn;
    finding.remedy =
        "It is copied in pieces, and who writes it waits meanwhile: a second for some 50 MiB. Begin the "
        "backfill at a quiet hour, or split the key.";
  }
  findings->push_back(finding);
}

}  // namespace crossfade
