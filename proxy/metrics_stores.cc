// The stores and what stands between them: reachability, latency, the breaker, roles, settings, flips.
#include "proxy/metric_groups.h"
#include "proxy/proxy.h"

namespace crossfade {

namespace {

constexpr Side kSides[] = {Side::kOld, Side::kNew};

void AppendBackends(const Proxy& proxy, MetricList* list) {
  auto up = list->Gauge("crossfade_backend_up", "1 while the store can be reached and answers.");
  for (Side side : kSides) up.Add(proxy.lane().link(side).up(), {{"backend", SideName(side)}});
  auto primary = list->Gauge("crossfade_backend_primary", "1 for the store that is primary, 0 for the secondary.");
  for (Side side : kSides) primary.Add(side == proxy.migration().primary(), {{"backend", SideName(side)}});
  auto info = list->Gauge("crossfade_backend_info", "Who the store is, as it said when it was last reached. Always 1.");
  for (Side side : kSides) {
    const ServerInfo& server = proxy.lane().link(side).info();
    info.Add(1, {{"backend", SideName(side)}, {"product", server.product}, {"version", server.version}});
  }
  auto owed = list->Gauge("crossfade_backend_replies_owed", "Replies that the store has yet to send.");
  for (Side side : kSides) {
    owed.Add(static_cast<double>(proxy.lane().link(side).owed()), {{"backend", SideName(side)}});
  }
  auto offset = list->Gauge("crossfade_backend_clock_offset_seconds",
                            "How far the store's clock is ahead of the proxy's; 0 while that can't be told from none.");
  for (Side side : kSides) {
    offset.Add(static_cast<double>(proxy.lane().link(side).clock().offset_ms) / 1e3, {{"backend", SideName(side)}});
  }
  auto latency = list->Histogram("crossfade_backend_latency_seconds",
                                 "Time from sending a command of a client to the store's reply, by store and class "
                                 "(read, write).");
  for (Side side : kSides) {
    const Link& link = proxy.lane().link(side);
    latency.Add(link.latency_of(LatencyClass::kRead), {{"backend", SideName(side)}, {"class", "read"}});
    latency.Add(link.latency_of(LatencyClass::kWrite), {{"backend", SideName(side)}, {"class", "write"}});
  }
}

void AppendBreaker(const Proxy& proxy, MetricList* list) {
  const Breaker& breaker = proxy.lane().breaker();
  list->Gauge("crossfade_breaker_state", "1 for the state of the breaker that leaves a troubled secondary alone.")
      .AddStates("state", {"closed", "half_open", "open"}, Breaker::Name(breaker.state()));
  list->Counter("crossfade_breaker_opened_total", "Times the breaker has opened.",
                static_cast<double>(breaker.opened()));
  list->Gauge("crossfade_breaker_reads_open", "1 while the breaker keeps reads, but not writes, from the secondary.",
              breaker.reads_open());
  list->Counter("crossfade_breaker_reads_opened_total", "Times the breaker has begun to keep reads away.",
                static_cast<double>(breaker.reads_opened()));
  list->Counter("crossfade_breaker_probes_total", "Probes of a secondary that is left alone, by result.")
      .Add(static_cast<double>(breaker.probes_good()), {{"result", "good"}})
      .Add(static_cast<double>(breaker.probes_bad()), {{"result", "bad"}});
}

void AppendRouting(const Proxy& proxy, MetricList* list) {
  const Migration& migration = proxy.migration();
  const RoutingConfig& routing = migration.routing;
  list->Gauge("crossfade_reads_new_ratio", "Share of the reads that the store named new answers (reads_new), 0 to 1.",
              routing.reads_new / 100);
  list->Gauge("crossfade_compare_ratio", "Share of the reads that are asked of both stores (compare), 0 to 1.",
              routing.compare / 100);
  list->Gauge("crossfade_routing_rules", "Rules by key prefix that override the settings.",
              static_cast<double>(proxy.config().rules.size()));
  list->Gauge("crossfade_secondary_mode", "1 for what becomes of writes on the secondary (secondary).")
      .AddStates("mode", {"follow", "journal", "replica", "off"}, Name(routing.secondary));
  list->Gauge("crossfade_ack_mode", "1 for whom a client's write waits (ack).")
      .AddStates("mode", {"primary", "both"}, Name(routing.ack));
  list->Gauge("crossfade_split_mode", "1 for how reads are divided (split).")
      .AddStates("mode", {"key", "random"}, Name(routing.split));
  list->Gauge("crossfade_on_miss_mode", "1 for what follows when new lacks a key that is read there (on_miss).")
      .AddStates("mode", {"nil", "primary"}, Name(routing.on_miss));
  list->Gauge("crossfade_synced_state", "1 for whether the secondary has all that the primary has, but for dirty keys.")
      .AddStates("state", {"no", "copying", "yes"}, Name(migration.synced));
  list->Gauge("crossfade_cold", "1 if the operator has said that new may lack what was there before.", migration.cold);
  list->Gauge("crossfade_primary_distrusted",
              "1 if the primary came back without its memory: nothing is copied until an operator decides.",
              !migration.distrust.empty());
  list->Gauge("crossfade_secondary_kept",
              "1 if the secondary holds what the primary lacks, after a cold flip: nothing is copied over it.",
              !migration.keep_secondary.empty());
}

void AppendFlips(const Proxy& proxy, MetricList* list) {
  const std::vector<FlipRecord>& flips = proxy.migration().flips;
  double count[2][2] = {};
  std::vector<double> pauses;
  pauses.reserve(flips.size());
  for (const FlipRecord& flip : flips) {
    ++count[static_cast<size_t>(flip.to)][flip.forced];
    pauses.push_back(flip.pause_ms / 1e3);
  }
  list->Gauge("crossfade_epoch", "Raised by every flip.", static_cast<double>(proxy.migration().epoch));
  auto total = list->Counter("crossfade_flips_total", "Flips of this migration, over all runs of the proxy.");
  for (Side side : kSides) {
    for (bool forced : {false, true}) {
      total.Add(count[static_cast<size_t>(side)][forced],
                {{"to", SideName(side)}, {"forced", forced ? "true" : "false"}});
    }
  }
  list->Gauge("crossfade_flip_state", "1 for what a flip is doing; following: there is none.")
      .AddStates("state", {"following", "arming", "draining"}, proxy.flip_runner().StateWord());
  list->Histogram("crossfade_flip_pause_seconds", "For how long flips have held clients' requests.")
      .Add(pauses, {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5});
  list->Gauge("crossfade_flip_last_pause_seconds", "For how long the last flip held clients' requests; 0 before any.",
              pauses.empty() ? 0 : pauses.back());
  list->Gauge("crossfade_flip_last_timestamp_seconds", "When the last flip was, in seconds since 1970; 0 before any.",
              flips.empty() ? 0 : static_cast<double>(flips.back().at_ms) / 1e3);
}

void AppendReplication(const Proxy& proxy, MetricList* list) {
  const Replication& replication = proxy.replication();
  list->Gauge("crossfade_replication_state", "1 for how the secondary's replication stands (secondary = replica).")
      .AddStates("state", {"none", "connecting", "syncing", "streaming", "promoting", "no replica", "elsewhere"},
                 replication.StateWord());
  list->Gauge("crossfade_replication_lag_bytes", "Bytes of the primary's stream that its replica has not applied.",
              proxy.migration().replicating() ? static_cast<double>(replication.lag_bytes()) : 0);
}

}  // namespace

void AppendStoreMetrics(const Proxy& proxy, MetricList* list) {
  AppendBackends(proxy, list);
  AppendBreaker(proxy, list);
  AppendRouting(proxy, list);
  AppendFlips(proxy, list);
  AppendReplication(proxy, list);
}

}  // namespace crossfade
