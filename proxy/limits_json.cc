#include "proxy/limits_json.h"

#include <algorithm>

#include "proxy/proxy.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

Json Of(int64_t limit, uint64_t used, uint64_t reached) {
  return {{"limit", limit}, {"used", used}, {"reached", reached}};
}

Json Of(int64_t limit, const BoundedSum& sum) {
  return {{"limit", limit}, {"used", sum.used()}, {"peak", sum.peak()}, {"reached", sum.reached()}};
}

void AppendClientLimits(const Proxy& proxy, Json* json) {
  const LimitsConfig& limits = proxy.config().limits;
  size_t input = 0, output = 0, pipeline = 0, transaction = 0, subscriber = 0;
  for (const auto& [id, client] : proxy.all_clients()) {
    const Subscriptions& subscriptions = client->session().subscriptions();
    size_t& bytes = subscriptions.any() || subscriptions.monitor ? subscriber : output;
    input = std::max(input, client->input_bytes());
    bytes = std::max(bytes, client->output_bytes());
    pipeline = std::max(pipeline, client->in_flight());
    transaction = std::max(transaction, client->session().queued_bytes());
  }
  (*json)["client_input"] = Of(limits.client_input_bytes, input, proxy.reached(ClientLimit::kInput));
  (*json)["client_output"] = Of(limits.client_output_bytes, output, proxy.reached(ClientLimit::kOutput));
  (*json)["client_pipeline"] = Of(limits.client_pipeline, pipeline, proxy.reached(ClientLimit::kPipeline));
  (*json)["transaction"] = Of(limits.transaction_bytes, transaction, proxy.reached(ClientLimit::kTransaction));
  (*json)["subscriber_output"] =
      Of(limits.subscriber_output_bytes, subscriber, proxy.reached(ClientLimit::kSubscriberOutput));
}

Json MemoryJson(const Proxy& proxy) {
  const MemoryAccount& memory = proxy.memory();
  Json json = Of(proxy.config().limits.memory_bytes, memory.sum());
  using Holder = MemoryAccount::Holder;
  json["held"] = {{"client_input", memory.held(Holder::kInput)}, {"client_output", memory.held(Holder::kOutput)},
                  {"primary", memory.held(Holder::kPrimary)},    {"secondary", memory.held(Holder::kSecondary)},
                  {"stores", memory.held(Holder::kStores)},      {"private", memory.held(Holder::kPrivate)}};
  json["clients_dropped"] = proxy.reached(ClientLimit::kMemory);
  return json;
}

}  // namespace

Json LimitsJson(const Proxy& proxy) {
  const LimitsConfig& limits = proxy.config().limits;
  const Counters& counters = proxy.counters();
  const Lane& lane = proxy.lane();
  const KeyLog& in_flight = proxy.journal().in_flight();
  const KeyLog& dirty = proxy.journal().dirty();
  Json json = {
      {"memory", MemoryJson(proxy)},
      {"clients", Of(limits.clients, proxy.clients(), counters.clients_refused)},
      {"primary_queue", Of(limits.primary_queue_bytes, lane.primary_bytes())},
      {"primary_commands", Of(limits.primary_commands, lane.primary_commands())},
      {"secondary_queue", Of(limits.secondary_queue_bytes, lane.lag_bytes(), counters.queue_overflows)},
      {"dirty_keys", Of(limits.dirty_keys, proxy.dirty().size(), proxy.dirty().overflows())},
      {"journal", Of(limits.journal_bytes, std::max(in_flight.size_bytes(), dirty.size_bytes()),
                     in_flight.unlogged() + dirty.unlogged())},
      {"expiring_keys", Of(limits.expiring_keys, proxy.expiry().size(), proxy.expiry().unwatched())},
      {"settle_keys", Of(limits.settle_keys, proxy.settle().waiting(), counters.settle_left_out)},
      {"settle_value", Of(limits.settle_value_bytes, 0, counters.settle_too_big)},
      {"copy_whole", Of(limits.copy_whole_bytes, 0, proxy.copier().in_pieces())},
      {"scripts", Of(limits.script_bytes, proxy.scripts().bytes(), proxy.scripts().forgotten())},
      {"private_connections", Of(limits.private_connections,
                                 std::max(proxy.private_pool().live(Side::kOld), proxy.private_pool().live(Side::kNew)),
                                 proxy.private_pool().refused())},
      {"tracking_keys", Of(limits.tracking_keys, proxy.tracking().keys(), proxy.tracking().forced())},
      {"mismatches", Of(limits.mismatches, proxy.second_look().mismatches().size(), proxy.second_look().dropped())},
      {"admin_connections", Of(limits.admin_connections, proxy.http().connections(), proxy.http().refused())}};
  json["secondary_queue"]["peak"] = lane.lag_bytes_peak();
  json["admin_connections"].update({{"streams", proxy.http().streams()}, {"events_lost", proxy.http().pieces_lost()}});
  AppendClientLimits(proxy, &json);
  return json;
}

}  // namespace crossfade
