// Any text as the configuration's file: it is refused with errors that name lines, or gives a Config that keeps its own
// limits. Neither throws, and a second reading says the same. The first input byte chooses the flags beside it.
#include <cstdint>
#include <string>

#include "conf/config_loader.h"
#include "tests/fuzz/require.h"

namespace crossfade {
namespace {

ConfigOverrides ChooseOverrides(uint8_t choice, const std::string& text) {
  ConfigOverrides overrides;
  const std::string line = text.substr(0, text.find('\n'));
  if (choice & 1) overrides.old_url = (choice & 2) ? line : "redis://127.0.0.1:6379";
  if (choice & 1) overrides.new_url = (choice & 4) ? line : "redis://127.0.0.1:6380";
  if (choice & 8) overrides.listen = line;
  if (choice & 16) overrides.admin = line;
  if (choice & 32) overrides.state_dir = line;
  return overrides;
}

bool IsPercent(double value) {
  return value >= 0 && value <= 100;
}

void RequireLimits(const Config& config) {
  Require(IsPercent(config.routing.reads_new) && IsPercent(config.routing.compare), "percentages are percentages");
  Require(IsPercent(config.settle.share), "settle.share is a percentage");
  for (const RuleConfig& rule : config.rules) {
    Require(rule.reads_new < 0 || IsPercent(rule.reads_new), "a rule's reads_new is a percentage");
    Require(rule.compare < 0 || IsPercent(rule.compare), "a rule's compare is a percentage");
    Require(!rule.prefix.empty(), "a rule has a prefix");
  }
  const LimitsConfig& limits = config.limits;
  for (int64_t limit : {limits.secondary_queue_bytes, limits.dirty_keys, limits.clients, limits.client_output_bytes,
                        limits.client_pipeline, limits.expiring_keys, limits.settle_keys, limits.settle_value_bytes,
                        limits.script_bytes, limits.private_connections, limits.tracking_keys, limits.mismatches}) {
    Require(limit >= 0, "no limit is negative");
  }
  const TimeoutsConfig& timeouts = config.timeouts;
  // Added to a clock's microseconds, and counted in them.
  constexpr int64_t kLongestMs = INT64_MAX / 1000 / 16;
  for (int64_t ms : {timeouts.connect_ms, timeouts.response_ms, timeouts.read_ms, timeouts.ack_ms,
                     timeouts.reconnect_max_ms, timeouts.shutdown_ms, config.settle.quiet_ms}) {
    Require(ms >= 0 && ms <= kLongestMs, "a duration can be added to a clock");
  }
  for (const BackendConfig& backend : config.backends) {
    Require(!backend.address.host.empty() && backend.address.port != 0, "a backend has an address");
  }
  Require(!config.listen.host.empty() && !config.admin.address.host.empty(), "what listens has an address");
}

}  // namespace
}  // namespace crossfade

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace crossfade;
  if (size == 0) return 0;
  const std::string text(InputText(data + 1, size - 1));
  const ConfigOverrides overrides = ChooseOverrides(data[0], text);
  const absl::StatusOr<Config> config = ParseConfig(text, "c.toml", overrides);
  if (config.ok()) {
    RequireLimits(*config);
  } else {
    Require(config.status().code() == absl::StatusCode::kInvalidArgument, "a mistake is an InvalidArgument");
    Require(!config.status().message().empty(), "a mistake is explained");
  }
  Require(ParseConfig(text, "c.toml", overrides).status() == config.status(), "it says the same twice");
  return 0;
}
