#include "conf/config_keys.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "conf/config_values.h"

namespace crossfade {

namespace {

constexpr std::string_view kAddress = "addresses are bound and stores are chosen at the start: restart the proxy";
constexpr std::string_view kRouting =
    "it says where to begin; what runs is changed with crossfade reads, compare, secondary, ack or flip, and "
    "remembered "
    "in the state directory";

class Lister {
 public:
  void Text(std::string name, std::string value, std::string_view fixed = {}) {
    keys_.push_back({std::move(name), std::move(value), fixed});
  }
  void Count(std::string name, int64_t value) { Text(std::move(name), absl::StrCat(value)); }
  void Bytes(std::string name, int64_t value) { Text(std::move(name), FormatBytes(value)); }
  void Ms(std::string name, int64_t value) { Text(std::move(name), FormatDuration(value)); }
  void Flag(std::string name, bool value) { Text(std::move(name), value ? "true" : "false"); }

  void Listen(const Config& config);
  void Routing(const RoutingConfig& routing);
  void Rules(const std::vector<RuleConfig>& rules);
  void Ramp(const RampConfig& ramp);
  void Limits(const LimitsConfig& limits);
  void Rest(const Config& config);
  void Signoff(const SignoffConfig& signoff);

  std::vector<ConfigKey> keys_;
};

void Lister::Listen(const Config& config) {
  Text("listen.address", config.listen.ToString(), kAddress);
  Flag("listen.admin_commands", config.admin_commands);
  for (Side side : {Side::kOld, Side::kNew}) {
    const BackendConfig& backend = config.backend(side);
    const std::string login = backend.password.empty() ? "" : absl::StrCat(backend.user, ":***@");
    Text(absl::StrCat("backends.", SideName(side), ".url"), absl::StrCat("redis://", login, backend.address.ToString()),
         kAddress);
  }
}

void Lister::Routing(const RoutingConfig& routing) {
  Text("routing.primary", SideName(routing.primary), kRouting);
  Text("routing.secondary", Name(routing.secondary), kRouting);
  Text("routing.ack", Name(routing.ack), kRouting);
  Text("routing.reads_new", absl::StrCat(routing.reads_new), kRouting);
  Text("routing.compare", absl::StrCat(routing.compare), kRouting);
  Text("routing.split", Name(routing.split), kRouting);
  Text("routing.on_miss", Name(routing.on_miss), kRouting);
}

void Lister::Rules(const std::vector<RuleConfig>& rules) {
  for (const RuleConfig& rule : rules) {
    std::string value;
    if (rule.reads_new >= 0) absl::StrAppend(&value, " reads_new=", rule.reads_new);
    if (rule.compare >= 0) absl::StrAppend(&value, " compare=", rule.compare);
    if (rule.has_on_miss) absl::StrAppend(&value, " on_miss=", Name(rule.on_miss));
    Text(absl::StrCat("rule.", rule.prefix), value.empty() ? "nothing" : value.substr(1));
  }
}

void Lister::Limits(const LimitsConfig& limits) {
  Bytes("limits.secondary_queue", limits.secondary_queue_bytes);
  Count("limits.dirty_keys", limits.dirty_keys);
  Text("limits.journal", FormatBytes(limits.journal_bytes), "its files are open since the start: restart the proxy");
  Count("limits.clients", limits.clients);
  Bytes("limits.client_input", limits.client_input_bytes);
  Bytes("limits.client_output", limits.client_output_bytes);
  Count("limits.client_pipeline", limits.client_pipeline);
  Bytes("limits.transaction", limits.transaction_bytes);
  Bytes("limits.subscriber_output", limits.subscriber_output_bytes);
  Bytes("limits.primary_queue", limits.primary_queue_bytes);
  Count("limits.primary_commands", limits.primary_commands);
  Bytes("limits.memory", limits.memory_bytes);
  Count("limits.expiring_keys", limits.expiring_keys);
  Count("limits.settle_keys", limits.settle_keys);
  Bytes("limits.settle_value", limits.settle_value_bytes);
  Bytes("limits.copy_whole", limits.copy_whole_bytes);
  Bytes("limits.scripts", limits.script_bytes);
  Count("limits.private_connections", limits.private_connections);
  Count("limits.tracking_keys", limits.tracking_keys);
  Count("limits.mismatches", limits.mismatches);
  Count("limits.admin_connections", limits.admin_connections);
}

void Lister::Ramp(const RampConfig& ramp) {
  Text("ramp.max_mismatch_rate", absl::StrCat(ramp.max_mismatch_rate));
  Text("ramp.max_error_rate", absl::StrCat(ramp.max_error_rate));
  Text("ramp.max_p99_ratio", absl::StrCat(ramp.max_p99_ratio));
  Ms("ramp.latency_floor", ramp.latency_floor_ms);
  Ms("ramp.max_lag", ramp.max_lag_ms);
  Count("ramp.max_dirty_keys", ramp.max_dirty_keys);
  Ms("ramp.max_down", ramp.max_down_ms);
  Count("ramp.min_samples", ramp.min_samples);
}

void Lister::Rest(const Config& config) {
  Text("scripts.mode", Name(config.scripts.mode));
  for (const ScriptRule& rule : config.scripts.rules) Text(absl::StrCat("script.", rule.name), Name(rule.mode));
  Text("settle.share", absl::StrCat(config.settle.share));
  Count("settle.quiet_ms", config.settle.quiet_ms);
  Count("settle.keys_per_second", config.settle.keys_per_second);
  Flag("repair.enabled", config.repair.enabled);
  Count("repair.keys_per_second", config.repair.keys_per_second);
  Flag("breaker.enabled", config.breaker.enabled);
  Count("breaker.failures", config.breaker.failures);
  Ms("breaker.slow", config.breaker.slow_ms);
  Count("breaker.late_reads", config.breaker.late_reads);
  Ms("breaker.open", config.breaker.open_ms);
  Ms("breaker.probe", config.breaker.probe_ms);
  Count("breaker.probes", config.breaker.probes);
  Count("backfill.keys_per_second", config.backfill.keys_per_second);
  Bytes("backfill.bytes_per_second", config.backfill.bytes_per_second);
  Ms("backfill.added_latency", config.backfill.added_latency_ms);
  Count("verify.keys_per_second", config.verify.keys_per_second);
  Ramp(config.ramp);
  Limits(config.limits);
  Ms("timeouts.connect", config.timeouts.connect_ms);
  Ms("timeouts.response", config.timeouts.response_ms);
  Ms("timeouts.read", config.timeouts.read_ms);
  Ms("timeouts.ack", config.timeouts.ack_ms);
  Ms("timeouts.reconnect_max", config.timeouts.reconnect_max_ms);
  Ms("timeouts.shutdown", config.timeouts.shutdown_ms);
  Flag("mismatches.keep_values", config.mismatches.keep_values);
  Signoff(config.signoff);
  Text("admin.address", config.admin.address.ToString(), kAddress);
  Text("admin.token_file", config.admin.token_file);
  Text("state.dir", config.state_dir, "it is held since the start: restart the proxy");
}

void Lister::Signoff(const SignoffConfig& signoff) {
  Count("signoff.min_compared", signoff.min_compared);
  Count("signoff.max_mismatches", signoff.max_mismatches);
  Text("signoff.mismatch_rate", absl::StrCat(signoff.mismatch_rate));
  Count("signoff.min_writes", signoff.min_writes);
  Count("signoff.max_diverged", signoff.max_diverged);
  Count("signoff.covered_after", signoff.covered_after);
  Text("signoff.commands_covered", absl::StrCat(signoff.commands_covered));
  Text("signoff.prefixes_covered", absl::StrCat(signoff.prefixes_covered));
  Ms("signoff.verify_age", signoff.verify_age_ms);
  Ms("signoff.preflight_age", signoff.preflight_age_ms);
  Ms("signoff.min_observed", signoff.min_observed_ms);
  Count("signoff.min_timed", signoff.min_timed);
  Count("signoff.p99_percent", signoff.p99_percent);
  Ms("signoff.p99_fine", signoff.p99_fine_ms);
  Flag("signoff.rollback", signoff.rollback);
  Text("signoff.error_rate", absl::StrCat(signoff.error_rate));
  Count("signoff.max_crashes", signoff.max_crashes);
  Ms("signoff.max_gap", signoff.max_gap_ms);
}

}  // namespace

std::vector<ConfigKey> ListKeys(const Config& config) {
  Lister lister;
  lister.Listen(config);
  lister.Routing(config.routing);
  lister.Rules(config.rules);
  lister.Rest(config);
  return std::move(lister.keys_);
}

std::vector<ConfigChange> CompareConfigs(const Config& running, const Config& fresh) {
  std::map<std::string, std::string> left;  // of the running ones, not met yet
  for (const ConfigKey& key : ListKeys(running)) left[key.name] = key.value;
  std::vector<ConfigChange> changes;
  for (const ConfigKey& key : ListKeys(fresh)) {
    const auto found = left.find(key.name);
    const std::string from = found == left.end() ? "" : found->second;
    if (found == left.end() || from != key.value) changes.push_back({key.name, from, key.value, key.fixed});
    if (found != left.end()) left.erase(found);
  }
  for (const auto& [name, value] : left) changes.push_back({name, value, "", {}});
  for (Side side : {Side::kOld, Side::kNew}) {
    if (running.backend(side).password == fresh.backend(side).password) continue;
    changes.push_back({absl::StrCat("backends.", SideName(side), ".url"), "a password", "another password", kAddress});
  }
  return changes;
}

void TakeOver(const Config& fresh, Config* running) {
  running->admin_commands = fresh.admin_commands;
  running->rules = fresh.rules;
  running->repair = fresh.repair;
  running->breaker = fresh.breaker;
  running->backfill = fresh.backfill;
  running->verify = fresh.verify;
  running->ramp = fresh.ramp;
  running->scripts = fresh.scripts;
  running->settle = fresh.settle;
  const int64_t journal_bytes = running->limits.journal_bytes;
  running->limits = fresh.limits;
  running->limits.journal_bytes = journal_bytes;
  running->timeouts = fresh.timeouts;
  running->mismatches = fresh.mismatches;
  running->signoff = fresh.signoff;
  running->admin.token_file = fresh.admin.token_file;
}

}  // namespace crossfade
