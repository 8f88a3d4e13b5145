// The configuration as plain data: every field with its default, nothing that acts. conf/config_loader fills it from a
// file and from flags; conf/crossfade.toml is the commented sample. Units are in the names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace crossfade {

enum class Side : uint8_t { kOld = 0, kNew = 1 };
enum class SecondaryMode : uint8_t { kFollow, kJournal, kOff, kReplica };
enum class AckMode : uint8_t { kPrimary, kBoth };
enum class SplitMode : uint8_t { kKey, kRandom };
enum class OnMiss : uint8_t { kNil, kPrimary };
// How a script's or a function's effect reaches the secondary: by running it there too, by copying its keys, or by
// running it there unless its body is known not to be repeatable (COMMANDS.md, C4).
enum class ScriptMode : uint8_t { kAuto, kVerbatim, kCopy };

inline constexpr Side OtherSide(Side side) {
  return side == Side::kOld ? Side::kNew : Side::kOld;
}
inline constexpr const char* SideName(Side side) {
  return side == Side::kOld ? "old" : "new";
}
const char* Name(SecondaryMode mode);
const char* Name(AckMode mode);
const char* Name(SplitMode mode);
const char* Name(OnMiss on_miss);
const char* Name(ScriptMode mode);
// Each returns false, and leaves *out alone, when `text` is none of the names.
bool ParseName(const std::string& text, Side* out);
bool ParseName(const std::string& text, SecondaryMode* out);
bool ParseName(const std::string& text, AckMode* out);
bool ParseName(const std::string& text, SplitMode* out);
bool ParseName(const std::string& text, OnMiss* out);
bool ParseName(const std::string& text, ScriptMode* out);

struct Address {
  std::string host;
  uint16_t port = 0;
  std::string ToString() const;  // host:port, [host]:port for IPv6
};

struct BackendConfig {
  Address address;
  std::string user;      // empty: the default user
  std::string password;  // empty: no AUTH is sent. Never logged.
};

// The knobs that an operator turns while it runs. The state directory remembers them.
struct RoutingConfig {
  Side primary = Side::kOld;
  SecondaryMode secondary = SecondaryMode::kFollow;
  AckMode ack = AckMode::kPrimary;
  double reads_new = 0;  // percent, 0 to 100
  double compare = 0;    // percent, 0 to 100
  SplitMode split = SplitMode::kKey;
  OnMiss on_miss = OnMiss::kNil;
};

// Overrides for keys that begin with `prefix`; the longest matching prefix counts. A negative percentage, or
// has_on_miss = false, leaves the general setting as it is.
struct RuleConfig {
  std::string prefix;
  double reads_new = -1;
  double compare = -1;
  bool has_on_miss = false;
  OnMiss on_miss = OnMiss::kNil;
};

struct RepairConfig {
  bool enabled = true;
  int64_t keys_per_second = 2000;
};

// A script by its SHA1 (40 hex digits) or a function by its name.
struct ScriptRule {
  std::string name;
  ScriptMode mode = ScriptMode::kAuto;
};

struct ScriptsConfig {
  ScriptMode mode = ScriptMode::kAuto;
  std::vector<ScriptRule> rules;
};

// Keys touched by what can't be proved to repeat equally are compared again once they have been quiet.
struct SettleConfig {
  double share = 0.1;              // percent of all other writes whose keys are compared again too
  int64_t quiet_ms = 1000;         // how long a key must not have been written before it is compared
  int64_t keys_per_second = 1000;  // compared
};

struct BackfillConfig {
  int64_t keys_per_second = 20'000;
  int64_t bytes_per_second = 0;  // 0: as many as there are
  int64_t added_latency_ms = 5;  // by which the primary may answer clients later meanwhile; 0: no ceiling
};

// How fast `crossfade verify` compares, unless it is told otherwise.
struct VerifyConfig {
  int64_t keys_per_second = 5000;
};

// The guardrails of a ramp (routing/ramp_rules.h): beyond any of these, reads go back to old. `crossfade ramp start`
// may name others.
struct RampConfig {
  double max_mismatch_rate = 0.001;  // of the compared reads, as a share
  double max_error_rate = 0.01;      // of the reads meant for new, as a share
  double max_p99_ratio = 2;          // p99 of reads on new against old …
  int64_t latency_floor_ms = 5;      // … counted once new's is above this
  int64_t max_lag_ms = 1000;
  int64_t max_dirty_keys = 1000;
  int64_t max_down_ms = 1000;  // for how long new may be away, or left alone by the breaker
  int64_t min_samples = 200;   // fewer reads in a step are no data
};

// When the secondary is left alone for a while (routing/breaker.h).
struct BreakerConfig {
  bool enabled = true;
  int64_t failures = 20;   // writes refused more than taken
  int64_t slow_ms = 5000;  // a command unanswered for so long
  int64_t late_reads = 5;  // reads in a row that timeouts.read is over for: only reads are kept away
  int64_t open_ms = 2000;  // how long at least; doubles each time that it opens again soon
  int64_t probe_ms = 500;  // from one probe to the next
  int64_t probes = 3;      // good ones in a row
};

// Each limit has an act, written beside it, and shows in the status when it is reached.
struct LimitsConfig {
  int64_t secondary_queue_bytes = 64 << 20;  // beyond: queued writes are dropped and their keys made dirty
  int64_t dirty_keys = 1'000'000;            // beyond: everything is dirty, a sweep repairs it
  int64_t journal_bytes = 256 << 20;         // each of its two files; beyond: keys are only counted, and a crash then
                                             // makes everything dirty
  int64_t clients = 10'000;                  // beyond: "ERR max number of clients reached", closed
  int64_t client_output_bytes = 1 << 20;     // beyond: the client's next commands are not read until it has read
  int64_t client_pipeline = 256;             // commands in flight of one client; beyond: not read until answered
  int64_t expiring_keys = 1'000'000;         // keys whose moment of expiry is watched; beyond: not watched, counted
  int64_t settle_keys = 100'000;             // keys that wait to be compared again; beyond: left out, counted
  int64_t settle_value_bytes = 1 << 20;      // larger values are not compared again, counted
  int64_t copy_whole_bytes = 4 << 20;        // larger values are copied in pieces, and their writers wait meanwhile
  int64_t script_bytes = 16 << 20;           // script bodies remembered; beyond: the least recently used go
  int64_t private_connections = 10'000;      // to each store, for WATCH, SUBSCRIBE, MONITOR …; beyond: an error
  int64_t tracking_keys = 1'000'000;         // keys that caching clients have read; beyond: one must forget everything
  int64_t mismatches = 1000;                 // confirmed mismatches kept for inspection; the oldest goes
  int64_t client_input_bytes = 1 << 30;      // one client's unfinished request; beyond: it is disconnected
  int64_t transaction_bytes = 64 << 20;      // queued between MULTI and EXEC; beyond: the transaction is aborted
  int64_t subscriber_output_bytes = 32 << 20;  // of a client that subscribes or monitors; beyond: it is disconnected
  int64_t primary_queue_bytes = 256 << 20;     // sent to the primary, unanswered; beyond: no client is read from
  int64_t primary_commands = 100'000;          // likewise, as a count
  int64_t memory_bytes = 4LL << 30;  // all that is held for clients and stores. proxy/memory_account.h has the acts
  int64_t admin_connections = 256;   // to the admin port; beyond: 503, closed
};

struct TimeoutsConfig {
  int64_t connect_ms = 2000;        // TCP connect and handshake of a backend
  int64_t response_ms = 60'000;     // a backend that owes replies and sends nothing for so long is cut off
  int64_t read_ms = 100;            // a shifted read not answered for so long is asked of the primary as well
  int64_t ack_ms = 1000;            // ack = "both": how long a client's reply waits for the secondary
  int64_t reconnect_max_ms = 1000;  // longest pause between two attempts to reach a backend
  int64_t shutdown_ms = 5000;       // SIGTERM: how long to drain before ending
};

struct AdminConfig {
  Address address{"127.0.0.1", 6401};
  std::string token_file;  // required when the address is not loopback
};

struct MismatchConfig {
  bool keep_values = false;  // keep both replies of a mismatch, not only their digests
};

// What a report must show before its verdict is PASS (routing/signoff.h).
struct SignoffConfig {
  int64_t min_compared = 100'000;  // reads, while the stores were taken to agree
  int64_t max_mismatches = 0;
  double mismatch_rate = 0.01;  // percent: the bound that holds with 95 % confidence
  int64_t min_writes = 10'000;  // followed
  int64_t max_diverged = 0;     // writes, and keys looked at again
  int64_t covered_after = 30;   // comparisons; of what was read less often: as many as it was read
  double commands_covered = 100, prefixes_covered = 95;  // percent
  int64_t verify_age_ms = 24 * 3'600'000;
  int64_t preflight_age_ms = 168 * 3'600'000;
  int64_t min_observed_ms = 24 * 3'600'000;
  int64_t min_timed = 1000;      // reads of each store
  int64_t p99_percent = 150;     // of old's
  int64_t p99_fine_ms = 1;       // whatever old's is
  bool rollback = true;          // it must have been rehearsed
  double error_rate = 0.1;       // percent: the bound that holds with 95 % confidence
  int64_t max_crashes = 0;       // of the proxy
  int64_t max_gap_ms = 600'000;  // without a proxy, unless a verification began afterwards
};

struct Config {
  Address listen{"127.0.0.1", 6400};
  bool admin_commands = false;  // may applications run CONFIG SET, DEBUG, SHUTDOWN … on the primary?
  BackendConfig backends[2];    // by Side
  RoutingConfig routing;
  std::vector<RuleConfig> rules;
  RepairConfig repair;
  BreakerConfig breaker;
  BackfillConfig backfill;
  VerifyConfig verify;
  RampConfig ramp;
  ScriptsConfig scripts;
  SettleConfig settle;
  LimitsConfig limits;
  TimeoutsConfig timeouts;
  MismatchConfig mismatches;
  SignoffConfig signoff;
  AdminConfig admin;
  std::string state_dir = "/var/lib/crossfade";

  const BackendConfig& backend(Side side) const { return backends[static_cast<int>(side)]; }
};

}  // namespace crossfade
