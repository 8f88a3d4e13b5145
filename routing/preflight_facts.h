// What a preflight has found out about two stores, as plain data: what proxy/preflight fills in by asking, and
// routing/preflight_findings judges. Nothing here is a key's value, a password or a hash of one.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "conf/config.h"

namespace crossfade {

// What a store was asked, or why it wouldn't say.
template <typename T>
struct Told {
  T value{};
  std::string refused = "it was not asked";
  bool known() const { return refused.empty(); }
  void Set(T what) {
    value = std::move(what);
    refused.clear();
  }
};

// What a store says to a command that is only queued, never run.
struct Probe {
  enum class Is : uint8_t { kThere, kUnknown, kDenied, kNotAsked };
  Is is = Is::kNotAsked;
  std::string error;  // of kUnknown and kDenied
};

// What a store says may be anything. Figures are cut here, so that sums of a few don't overflow.
inline constexpr int64_t kMostFigure = int64_t{1} << 60;

// What INFO says. A figure that isn't there is 0.
struct ServerFigures {
  std::string product, version, run_id, mode, policy;
  bool is_replica = false, is_cluster = false, loading = false, tls_port = false;
  int64_t used_memory = 0, maxmemory = 0, system_memory = 0;
  int64_t connected_clients = 0, maxclients = 0;
  bool stream_counters = false;
  std::map<int, int64_t> keys;  // by database

  // At most kMostFigure.
  int64_t all_keys() const;
};

struct BigKey {
  int db = 0;
  std::string name, type;
  int64_t bytes = 0;
};

struct StoreFacts {
  std::string address, user;
  bool reached = false;
  std::string unreachable;    // why not
  std::string login_refused;  // empty: it lets us in
  std::string lost;           // not empty: it stopped answering on the way, and why
  bool resp3 = false;
  std::string hello_error;
  bool clock_known = false;
  int64_t clock_offset_ms = 0, clock_uncertainty_ms = 0;  // ahead of ours
  Told<ServerFigures> info;
  Told<std::map<std::string, int64_t>> calls;  // by command, as the command table names them
  std::map<std::string, Told<std::string>> config;
  Told<std::vector<std::string>> modules, functions;
  Told<std::map<std::string, std::string>> users;  // each with a digest of its rules
  std::string whoami;
  Told<std::map<std::string, Probe>> probes;  // by command
  std::string script_error;                   // why it runs no script
  bool script_asked = false;

  bool open() const { return reached && login_refused.empty() && lost.empty(); }
};

// A key that was made on old, to be copied to new.
struct CanaryResult {
  enum class Is : uint8_t {
    kEqual,      // by DUMP and RESTORE
    kRebuilt,    // RESTORE was refused; by the commands of its type it is equal
    kDiffers,    // it could be copied, and reads otherwise there
    kNotCopied,  // neither way
    kNotMade,    // old didn't take it, or didn't hand it out
  };
  Is is = Is::kNotMade;
  std::string kind;   // "stream with groups"
  std::string type;   // as TYPE names it
  std::string error;  // of the step that failed; for kRebuilt of RESTORE
  std::string rebuild_error;
};

struct PreflightFacts {
  bool admin_commands = false;  // listen.admin_commands
  std::array<StoreFacts, 2> stores;
  // Of a sample of old's keys.
  int sampled = 0;
  std::string sample_refused, usage_refused;
  std::map<std::string, int> types;
  std::vector<BigKey> biggest;  // the largest first
  // Of a sample of new's keys: how many old hasn't got.
  int looked_up = 0, only_on_new = 0;
  std::string highest_db_refused;  // by new; empty: it has it
  std::string canaries_refused;    // why none was made
  std::vector<CanaryResult> canaries;
  int rdb_version[2] = {0, 0};  // of DUMP's footer; 0: not known
  std::string left_behind;      // why canaries may have been left for their minute

  const StoreFacts& store(Side side) const { return stores[static_cast<int>(side)]; }
  StoreFacts& store(Side side) { return stores[static_cast<int>(side)]; }
};

enum class CheckStatus : uint8_t { kPass, kWarn, kFail };

struct Finding {
  std::string name;
  CheckStatus status = CheckStatus::kPass;
  std::string found;
  std::string remedy;  // empty for kPass
};

inline int64_t ServerFigures::all_keys() const {
  int64_t sum = 0;
  for (const auto& [db, count] : keys) sum = std::min(kMostFigure, sum + count);
  return sum;
}

}  // namespace crossfade
