// What clients do, and what becomes of it: commands, writes, reads, comparisons, connections.
#include <map>

#include "proxy/metric_groups.h"
#include "proxy/proxy.h"
#include "routing/command_counts.h"

namespace crossfade {

namespace {

void AppendCommands(const Proxy& proxy, MetricList* list) {
  auto commands = list->Counter("crossfade_commands_total",
                                "Commands that clients have sent, by family and by what is done with them.");
  for (const CommandCounts::Entry& entry : proxy.command_counts().ByFamilyAndRoute()) {
    commands.Add(static_cast<double>(entry.count), {{"family", entry.family}, {"route", entry.route}});
  }
}

struct Figure {
  const char* name;
  const char* help;
  uint64_t value;
};

void AppendWrites(const Proxy& proxy, MetricList* list) {
  const Counters& counters = proxy.counters();
  const Figure figures[] = {
      {"crossfade_writes_total", "Writes that the primary has accepted.", counters.writes_total},
      {"crossfade_writes_followed_total", "Writes that the secondary has answered as the primary did.",
       counters.writes_followed},
      {"crossfade_writes_diverged_total", "Writes that the secondary has answered differently, on clean keys.",
       counters.writes_diverged},
      {"crossfade_writes_refused_total", "Writes that the secondary has answered with an error.",
       counters.writes_refused},
      {"crossfade_writes_differed_on_dirty_keys_total",
       "Writes that the secondary has answered differently, on keys that waited for their copy.",
       counters.writes_on_dirty},
      {"crossfade_writes_not_followed_total",
       "Writes that were not sent to the secondary: it was away, left alone, behind, or not meant to follow.",
       counters.writes_not_followed},
      {"crossfade_writes_unknown_outcomes_total", "Writes whose connection to the primary broke before the answer.",
       counters.unknown_outcomes},
      {"crossfade_writes_expiry_races_total", "Writes so near to an expiry that their keys were copied to be sure.",
       counters.expiry_races},
      {"crossfade_acks_failed_total", "With ack = both: writes that the secondary refused, or was too slow for.",
       counters.acks_failed},
      {"crossfade_both_refused_total",
       "Commands sent to both stores (PUBLISH, FUNCTION LOAD) that the secondary has answered with an error.",
       counters.both_refused},
      {"crossfade_scripts_unnamed_total", "Scripts without declared keys, which are never compared again.",
       counters.scripts_unnamed},
      {"crossfade_scripts_unnamed_failed_total",
       "Scripts without declared keys that did not do the same on the secondary: what they wrote is unknown.",
       counters.scripts_unnamed_failed}};
  for (const Figure& figure : figures) list->Counter(figure.name, figure.help, static_cast<double>(figure.value));
}

void AppendReads(const Proxy& proxy, MetricList* list) {
  const Counters& counters = proxy.counters();
  list->Counter("crossfade_reads_total", "Reads of clients, by the store that answered them.")
      .Add(static_cast<double>(counters.reads[0]), {{"backend", "old"}})
      .Add(static_cast<double>(counters.reads[1]), {{"backend", "new"}});
  const Figure figures[] = {
      {"crossfade_reads_fallback_total", "Reads meant for the secondary that the primary has answered.",
       counters.reads_fallback},
      {"crossfade_reads_failed_total",
       "Reads meant for the secondary that failed there: it was away, too late, or gave an error of its own.",
       counters.reads_failed},
      {"crossfade_reads_retried_total", "Reads asked again after the connection to the primary broke.",
       counters.reads_retried},
      {"crossfade_reads_compared_total", "Reads that were asked of both stores, and their answers compared.",
       counters.reads_compared},
      {"crossfade_reads_mismatched_total", "Compared reads that differed, confirmed by a second look.",
       counters.reads_mismatched},
      {"crossfade_reads_unconfirmed_total", "Compared reads that differed at the first look and not at the second.",
       counters.reads_unconfirmed},
      {"crossfade_reads_expiring_total", "Compared reads that differed because a key was just expiring.",
       counters.reads_expiring},
      {"crossfade_reads_not_comparable_total",
       "Reads that were not compared: a copy of the key was outstanding, or the secondary away.",
       counters.reads_not_comparable}};
  for (const Figure& figure : figures) list->Counter(figure.name, figure.help, static_cast<double>(figure.value));
}

void AppendComparisons(const Proxy& proxy, MetricList* list) {
  std::map<std::string_view, Tally> tallies;
  for (const auto& [command, tally] : proxy.coverage().by_command()) {
    Tally& sum = tallies[ComparedName(command)];
    sum.compared += tally.compared;
    sum.mismatched += tally.mismatched;
  }
  tallies["other"];  // so that the family is never empty
  auto comparisons =
      list->Counter("crossfade_comparisons_total", "Comparisons of the two stores' answers, by command.");
  for (const auto& [command, tally] : tallies) {
    comparisons.Add(static_cast<double>(tally.compared), {{"command", command}});
  }
  auto mismatches = list->Counter("crossfade_mismatches_total", "Confirmed mismatches, by command.");
  for (const auto& [command, tally] : tallies) {
    mismatches.Add(static_cast<double>(tally.mismatched), {{"command", command}});
  }
}

void AppendClients(const Proxy& proxy, MetricList* list) {
  const Counters& counters = proxy.counters();
  list->Gauge("crossfade_clients_connected", "Clients that are connected.", static_cast<double>(proxy.clients()));
  list->Gauge("crossfade_clients_waiting", "Clients that wait in a blocking command.",
              static_cast<double>(proxy.waiting_room().size()));
  list->Gauge("crossfade_clients_watching", "Clients under WATCH.", static_cast<double>(proxy.watches().size()));
  list->Gauge("crossfade_clients_subscribed", "Clients with subscriptions, or MONITOR.",
              static_cast<double>(proxy.feeds().size()));
  list->Gauge("crossfade_clients_tracking", "Clients with CLIENT TRACKING.",
              static_cast<double>(proxy.tracking().size()));
  list->Counter("crossfade_clients_accepted_total", "Clients that have connected.",
                static_cast<double>(counters.clients_total));
  list->Counter("crossfade_clients_refused_total", "Clients that were refused: limits.clients, or limits.memory.",
                static_cast<double>(counters.clients_refused));
  list->Counter("crossfade_clients_dropped_total", "Clients that were disconnected because memory was full.",
                static_cast<double>(proxy.reached(ClientLimit::kMemory)));
  list->Counter("crossfade_elements_given_back_total",
                "Elements popped for a client that was gone by then, and put back.",
                static_cast<double>(proxy.waiting_room().given_back()));
  auto connections =
      list->Gauge("crossfade_private_connections", "Connections to a store that belong to single clients.");
  connections.Add(static_cast<double>(proxy.private_pool().live(Side::kOld)), {{"backend", "old"}})
      .Add(static_cast<double>(proxy.private_pool().live(Side::kNew)), {{"backend", "new"}});
}

}  // namespace

void AppendTrafficMetrics(const Proxy& proxy, MetricList* list) {
  AppendCommands(proxy, list);
  AppendWrites(proxy, list);
  AppendReads(proxy, list);
  AppendComparisons(proxy, list);
  AppendClients(proxy, list);
}

}  // namespace crossfade
