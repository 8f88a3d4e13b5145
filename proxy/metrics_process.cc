// The process itself, and its bounds: build, memory, limits, what needs a person.
#include <time.h>
#include <unistd.h>

#include <fstream>

#include "proxy/limits_json.h"
#include "proxy/metric_groups.h"
#include "proxy/proxy.h"
#include "proxy/status_json.h"

namespace crossfade {

namespace {

// 0 where the kernel doesn't say.
double ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  double all_pages = 0, resident_pages = 0;
  file >> all_pages >> resident_pages;
  return resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double CpuSeconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

// Named as every exporter names them.
void AppendProcess(const Proxy& proxy, MetricList* list) {
  list->Gauge("process_start_time_seconds", "When the process began, in seconds since 1970.",
              static_cast<double>(proxy.started_ms()) / 1e3);
  list->Gauge("process_resident_memory_bytes", "Memory of the process in RAM.", ResidentBytes());
  list->Counter("process_cpu_seconds_total", "CPU time of the process.", CpuSeconds());
}

void AppendBuild(const Proxy& proxy, MetricList* list) {
  list->Gauge("crossfade_build_info", "Which Crossfade this is. Always 1.").Add(1, {{"version", CROSSFADE_VERSION}});
  list->Gauge("crossfade_config_info", "The hash of the configuration in use. Always 1.")
      .Add(1, {{"hash", proxy.config_hash()}});
  list->Gauge("crossfade_config_loaded_timestamp_seconds", "When the configuration was loaded, in seconds since 1970.",
              static_cast<double>(proxy.config_loaded_ms()) / 1e3);
  list->Gauge("crossfade_stopping", "1 while the proxy is ending.", proxy.stopping());
  list->Gauge("crossfade_attention_items", "Things that a person must know or do now: `attention` in the status.",
              static_cast<double>(AttentionJson(proxy).size()));
}

void AppendMemory(const Proxy& proxy, MetricList* list) {
  using Holder = MemoryAccount::Holder;
  const MemoryAccount& memory = proxy.memory();
  const std::pair<const char*, Holder> holders[] = {
      {"client_input", Holder::kInput},  {"client_output", Holder::kOutput}, {"primary", Holder::kPrimary},
      {"secondary", Holder::kSecondary}, {"stores", Holder::kStores},        {"private", Holder::kPrivate}};
  static_assert(std::size(holders) == MemoryAccount::kHolders);
  auto held = list->Gauge("crossfade_memory_held_bytes",
                          "Bytes of messages held for clients and stores, by holder; their sum has the limit memory.");
  for (const auto& [name, holder] : holders) held.Add(static_cast<double>(memory.held(holder)), {{"holder", name}});
  list->Gauge("crossfade_memory_full", "1 while no client is read from, and new ones are refused, to let it shrink.",
              memory.full());
  list->Gauge("crossfade_memory_peak_bytes", "The most that was held for clients and stores at once.",
              static_cast<double>(memory.sum().peak()));
}

void AppendLimits(const Proxy& proxy, MetricList* list) {
  const nlohmann::json limits = LimitsJson(proxy);
  auto most = list->Gauge("crossfade_limit", "What may be used, by limit, in its own unit (bytes, keys, commands).");
  for (const auto& [name, figures] : limits.items()) most.Add(figures.value("limit", 0.0), {{"limit", name}});
  auto used = list->Gauge("crossfade_limit_used", "What is used, by limit; of limits per client, by the largest.");
  for (const auto& [name, figures] : limits.items()) used.Add(figures.value("used", 0.0), {{"limit", name}});
  auto reached = list->Counter("crossfade_limit_reached_total", "Times a limit was reached and acted upon.");
  for (const auto& [name, figures] : limits.items()) {
    // The journal's is no count of times: keys that have no room now, which may be none again.
    if (name != "journal") reached.Add(figures.value("reached", 0.0), {{"limit", name}});
  }
}

}  // namespace

void AppendProcessMetrics(const Proxy& proxy, MetricList* list) {
  AppendBuild(proxy, list);
  AppendProcess(proxy, list);
  AppendMemory(proxy, list);
  AppendLimits(proxy, list);
}

}  // namespace crossfade
