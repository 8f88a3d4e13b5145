#include "proxy/status_json.h"

#include "fmt/format.h"
#include "proxy/admin_backfill.h"
#include "proxy/admin_ramp.h"
#include "proxy/admin_verify.h"
#include "proxy/limits_json.h"
#include "proxy/proxy.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

// The secondary's.
Json BreakerJson(const Proxy& proxy) {
  const Breaker& breaker = proxy.lane().breaker();
  return {{"state", Breaker::Name(breaker.state())},
          {"reason", breaker.reason()},
          {"since_ms", proxy.lane().breaker_since_ms()},
          {"opened", breaker.opened()},
          {"pause_ms", breaker.pause_ms()},
          {"probes_good", breaker.probes_good()},
          {"probes_bad", breaker.probes_bad()},
          {"reads", breaker.reads_open() ? "open" : "closed"},
          {"reads_reason", breaker.reads_reason()},
          {"reads_opened", breaker.reads_opened()}};
}

Json BackendJson(const Proxy& proxy, Side side) {
  const Link& link = proxy.lane().link(side);
  const Upstream& upstream = link.upstream();
  const ServerInfo& info = upstream.info();
  Json json = {{"state", upstream.StateWord()},
               {"address", upstream.address().ToString()},
               {"role", side == proxy.migration().primary() ? "primary" : "secondary"},
               {"product", info.product},
               {"version", info.version},
               {"latency_us", {{"p50", link.latency().Percentile(0.5)}, {"p99", link.latency().Percentile(0.99)}}},
               {"replies",
                {{"reads", link.latency_of(LatencyClass::kRead).count()},
                 {"writes", link.latency_of(LatencyClass::kWrite).count()}}},
               {"clock_offset_ms", link.clock().offset_ms},
               {"replies_owed", link.owed()}};
  if (!upstream.up()) json["error"] = upstream.last_error();
  if (side == proxy.migration().secondary()) json["breaker"] = BreakerJson(proxy);
  return json;
}

// What keeps repairs and reads from a secondary that is up.
void TroubleOfSecondary(const Proxy& proxy, Json* list) {
  const Lane& lane = proxy.lane();
  const Breaker& breaker = lane.breaker();
  const char* name = SideName(proxy.migration().secondary());
  if (!breaker.closed()) {
    list->push_back(
        fmt::format("the secondary ({}) is left alone by the breaker ({}): {}. Nothing is sent to it, written keys "
                    "become dirty, and are copied once it is well",
                    name, Breaker::Name(breaker.state()), breaker.reason()));
  } else if (breaker.reads_open()) {
    list->push_back(
        fmt::format("reads are kept away from the secondary ({}) by the breaker: {}", name, breaker.reads_reason()));
  }
  std::string refusals;
  for (const auto& [code, count] : lane.copies_refused())
    refusals += fmt::format("{}{} times {}", refusals.empty() ? "" : ", ", count, code);
  if (!refusals.empty() && !proxy.dirty().clean()) {
    list->push_back(fmt::format(
        "the secondary ({}) has refused copies of dirty keys: {}. They stay dirty and are tried again at least every "
        "30 s. With NOPERM, allow the user RESTORE and DEL there",
        name, refusals));
  }
}

// As opposed to the secondary that is meant to be the primary's.
bool IsStrangersReplica(const Proxy& proxy, Side side) {
  const bool meant = proxy.migration().replicating() && side == proxy.migration().secondary();
  return proxy.lane().link(side).info().is_replica && !(meant && proxy.replication().as_intended());
}

// What a person must know or do now. Empty when all is well.
Json Attention(const Proxy& proxy) {
  Json list = Json::array();
  const Migration& migration = proxy.migration();
  if (!migration.distrust.empty()) list.push_back(migration.distrust);
  if (!migration.keep_secondary.empty()) list.push_back(migration.keep_secondary);
  for (Side side : {Side::kOld, Side::kNew}) {
    const Link& link = proxy.lane().link(side);
    const char* role = side == migration.primary() ? "primary" : "secondary";
    if (!link.up()) {
      list.push_back(fmt::format("the {} ({}, {}) is {}: {}", role, SideName(side),
                                 link.upstream().address().ToString(), link.upstream().StateWord(),
                                 link.upstream().last_error()));
    } else if (!link.info().kill_refused.empty()) {
      list.push_back(
          fmt::format("the {} ({}) does not let Crossfade end its own broken connection (CLIENT KILL: {}): what that "
                      "one still carried may be applied late. Allow CLIENT KILL, then run a backfill",
                      role, SideName(side), link.info().kill_refused));
    } else if (IsStrangersReplica(proxy, side)) {
      list.push_back(
          fmt::format("the {} ({}) is a replica of another server: it refuses writes", role, SideName(side)));
    }
  }
  TroubleOfSecondary(proxy, &list);
  const int old_databases = proxy.lane().link(Side::kOld).info().databases;
  const int new_databases = proxy.lane().link(Side::kNew).info().databases;
  if (proxy.lane().link(Side::kOld).up() && proxy.lane().link(Side::kNew).up() && old_databases != new_databases) {
    list.push_back(fmt::format(
        "old has {} databases and new {}: a write to one that only one of them has stays dirty for ever, and no flip "
        "is possible then. Give both as many",
        old_databases, new_databases));
  }
  if (proxy.counters().scripts_unnamed_failed > 0) {
    list.push_back(fmt::format(
        "{} scripts without declared keys did not do the same on the secondary, and nobody can say which keys they "
        "wrote: run a backfill, and declare their keys",
        proxy.counters().scripts_unnamed_failed));
  }
  if (proxy.private_pool().refused() > 0) {
    list.push_back(fmt::format("{} times a client was refused a connection of its own (limits.private_connections)",
                               proxy.private_pool().refused()));
  }
  if (proxy.memory().full()) {
    list.push_back(fmt::format(
        "limits.memory is reached ({} of {} bytes): no client is read from, and new ones are refused, until it has "
        "shrunk to {}",
        proxy.memory().sum().used(), proxy.memory().sum().limit(), proxy.memory().sum().mark()));
  }
  if (proxy.lane().full())
    list.push_back("the primary does not keep up (limits.primary_queue, primary_commands): no client is read from");
  for (const KeyLog* log : {&proxy.journal().in_flight(), &proxy.journal().dirty()}) {
    if (log->unlogged() == 0 || log->trouble().empty()) continue;
    list.push_back(
        fmt::format("the state directory has no room for the keys of {} writes ({}): if the proxy is killed "
                    "now, everything is dirty at the next start. Make room on its disk",
                    log->unlogged(), log->trouble()));
  }
  if (proxy.dirty().everything())
    list.push_back("everything is dirty: no read is answered by the secondary until a sweep is done");
  if (proxy.lane().shedding())
    list.push_back("the secondary does not keep up: its queue overflowed, written keys become dirty");
  if (migration.synced != Synced::kYes) {
    list.push_back(fmt::format("not synced ({}): {}", Name(migration.synced), migration.unsynced_why));
  }
  if (migration.secondary() == Side::kOld && migration.routing.reads_new < 100) {
    list.push_back(fmt::format("new is primary, but reads_new is {:g} %: {} answers the other reads, as the secondary",
                               migration.routing.reads_new, SideName(Side::kOld)));
  }
  if (migration.cold) list.push_back("cold: new may lack what was there before");
  if (proxy.expiry().unwatched() > 0) {
    list.push_back(fmt::format(
        "{} expiries were not watched (limits.expiring_keys): until they are past, written keys are compared again",
        proxy.expiry().unwatched()));
  }
  return list;
}

Json ReplicationJson(const Proxy& proxy) {
  const Replication& replication = proxy.replication();
  Json json = {{"state", replication.StateWord()}};
  if (!proxy.migration().replicating()) return json;
  json.update({{"primary_offset", replication.primary_offset()},
               {"secondary_offset", replication.secondary_offset()},
               {"lag_bytes", replication.lag_bytes()},
               {"error", replication.error()}});
  return json;
}

Json FlipsJson(const Proxy& proxy) {
  Json flips = Json::array();
  for (const FlipRecord& flip : proxy.migration().flips) {
    flips.push_back(
        {{"at_ms", flip.at_ms}, {"to", SideName(flip.to)}, {"pause_ms", flip.pause_ms}, {"forced", flip.forced}});
  }
  return flips;
}

Json DirtyJson(const Proxy& proxy) {
  const DirtySet& dirty = proxy.dirty();
  Json causes = Json::object();
  for (int i = 0; i < kDirtyCauses; ++i)
    causes[Name(static_cast<DirtyCause>(i))] = dirty.marked(static_cast<DirtyCause>(i));
  return {{"keys", dirty.size()},
          {"overflowed", dirty.everything()},
          {"overflows", dirty.overflows()},
          {"limit", proxy.config().limits.dirty_keys},
          {"marked", causes},
          {"repaired", dirty.repaired()},
          {"copies_failed", proxy.repair().failed()},
          {"copies_refused", proxy.lane().copies_refused()}};
}

// How far the copying of dirty keys has come. At best as fast as it may: copies that are refused are tried again later.
Json RepairJson(const Proxy& proxy) {
  const RepairConfig& config = proxy.config().repair;
  const double seconds_left = static_cast<double>(proxy.dirty().size()) / static_cast<double>(config.keys_per_second);
  return {{"enabled", config.enabled},
          {"keys_per_second", config.keys_per_second},
          {"copied", proxy.repair().copied()},
          {"failed", proxy.repair().failed()},
          {"in_flight", proxy.repair().in_flight()},
          {"pausing", proxy.dirty().pausing()},
          {"seconds_left", seconds_left}};
}

Json CopiesJson(const Proxy& proxy) {
  const KeyCopier& copier = proxy.copier();
  return {{"whole", copier.whole()},
          {"by_type", copier.by_type()},
          {"in_pieces", copier.in_pieces()},
          {"in_pieces_now", copier.rebuild().running()},
          {"pieces", copier.rebuild().pieces()},
          {"pieces_bytes", copier.rebuild().bytes()},
          {"waiting", copier.waiting()},
          {"failed", copier.failed()},
          {"last_failure", copier.last_failure()},
          {"restore_refused", copier.restore_refused()}};
}

std::string Hex(uint64_t value) {
  return fmt::format("{:016x}", value);
}

}  // namespace

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json RoutingJson(const Proxy& proxy) {
  const Migration& migration = proxy.migration();
  const RoutingConfig& routing = migration.routing;
  return {{"epoch", migration.epoch},
          {"primary", SideName(migration.primary())},
          {"secondary", Name(routing.secondary)},
          {"ack", Name(routing.ack)},
          {"reads_new", routing.reads_new},
          {"compare", routing.compare},
          {"split", Name(routing.split)},
          {"on_miss", Name(routing.on_miss)},
          {"cold", migration.cold},
          {"synced", Name(migration.synced)},
          {"journal_since_ms", migration.journal_since_ms}};
}

namespace {

Json JournalJson(const Proxy& proxy) {
  const KeyLog& in_flight = proxy.journal().in_flight();
  const KeyLog& dirty = proxy.journal().dirty();
  return {{"in_flight_bytes", in_flight.live_bytes()},
          {"dirty_bytes", dirty.live_bytes()},
          {"file_bytes", in_flight.size_bytes() + dirty.size_bytes()},
          {"limit_bytes", proxy.config().limits.journal_bytes},
          {"unlogged", in_flight.unlogged() + dirty.unlogged()}};
}

Json ReadsJson(const Counters& counters) {
  return {{"old", counters.reads[0]},
          {"new", counters.reads[1]},
          {"compared", counters.reads_compared},
          {"mismatched", counters.reads_mismatched},
          {"unconfirmed", counters.reads_unconfirmed},
          {"expiring", counters.reads_expiring},
          {"not_comparable", counters.reads_not_comparable},
          {"fallback", counters.reads_fallback},
          {"failed", counters.reads_failed},
          {"retried", counters.reads_retried}};
}

Json SettleJson(const Proxy& proxy) {
  const Counters& counters = proxy.counters();
  return {{"waiting", proxy.settle().waiting()},  {"limit", proxy.config().limits.settle_keys},
          {"left_out", counters.settle_left_out}, {"checked", counters.settle_checked},
          {"equal", counters.settle_equal},       {"differed", counters.settle_differed},
          {"too_big", counters.settle_too_big},   {"not_comparable", counters.settle_not_comparable}};
}

}  // namespace

namespace {

// What operators have begun and should look after, and their audit trail.
void JobsAttention(const Proxy& proxy, Json* list) {
  if (proxy.audit().unsaved() > 0) {
    list->push_back(
        fmt::format("the audit trail can't be written ({}): {} entries wait in memory, and {} are lost. Make "
                    "room on the disk of the state directory",
                    proxy.audit().trouble(), proxy.audit().unsaved(), proxy.audit().lost()));
  }
  if (proxy.sweep().state() == Sweep::State::kPaused) {
    list->push_back("the backfill is paused; go on with: crossfade backfill resume");
  }
  VerifyAttention(proxy.verify().result(), list);
  RampAttention(proxy, list);
}

}  // namespace

Json AttentionJson(const Proxy& proxy) {
  Json list = Attention(proxy);
  JobsAttention(proxy, &list);
  return list;
}

Json StatusJson(const Proxy& proxy) {
  const Counters& counters = proxy.counters();
  const Lane& lane = proxy.lane();
  Json json = RoutingJson(proxy);
  json["version"] = CROSSFADE_VERSION;
  json["uptime_ms"] = proxy.now_ms() - proxy.started_ms();
  json["stopping"] = proxy.stopping();
  json["config"] = {
      {"file", proxy.config_file()}, {"loaded_at_ms", proxy.config_loaded_ms()}, {"hash", proxy.config_hash()}};
  json["limits"] = LimitsJson(proxy);
  json["flip"] = proxy.flip_runner().StateWord();
  json["synced_why"] = proxy.migration().unsynced_why;
  json["lag"] = {{"slots", lane.lag_slots()},
                 {"bytes", lane.lag_bytes()},
                 {"ms", static_cast<double>(lane.lag_us()) / 1000.0},
                 {"limit_bytes", proxy.config().limits.secondary_queue_bytes},
                 {"overflows", counters.queue_overflows}};
  json["dirty"] = DirtyJson(proxy);
  json["journal"] = JournalJson(proxy);
  json["repair"] = RepairJson(proxy);
  json["copies"] = CopiesJson(proxy);
  json["writes"] = {{"total", counters.writes_total},
                    {"followed", counters.writes_followed},
                    {"diverged", counters.writes_diverged},
                    {"refused_by_secondary", counters.writes_refused},
                    {"differed_on_dirty_keys", counters.writes_on_dirty},
                    {"not_followed", counters.writes_not_followed},
                    {"expiry_races", counters.expiry_races},
                    {"unknown_outcomes", counters.unknown_outcomes},
                    {"acks_failed", counters.acks_failed},
                    {"both_refused", counters.both_refused}};
  json["reads"] = ReadsJson(counters);
  json["clients"] = {{"connected", proxy.clients()},
                     {"total", counters.clients_total},
                     {"refused", counters.clients_refused},
                     {"limit", proxy.config().limits.clients}};
  json["clients"]["waiting"] = proxy.waiting_room().size();
  json["clients"]["watching"] = proxy.watches().size();
  json["clients"]["subscribed"] = proxy.feeds().size();
  json["clients"]["given_back"] = proxy.waiting_room().given_back();
  json["settle"] = SettleJson(proxy);
  json["scripts"] = {{"known", proxy.scripts().size()},
                     {"bytes", proxy.scripts().bytes()},
                     {"limit_bytes", proxy.config().limits.script_bytes},
                     {"unnamed_keys", counters.scripts_unnamed},
                     {"unnamed_keys_failed", counters.scripts_unnamed_failed}};
  json["private_connections"] = {{"old", proxy.private_pool().live(Side::kOld)},
                                 {"new", proxy.private_pool().live(Side::kNew)},
                                 {"refused", proxy.private_pool().refused()},
                                 {"limit", proxy.config().limits.private_connections}};
  json["tracking"] = {{"clients", proxy.tracking().size()},
                      {"keys", proxy.tracking().keys()},
                      {"hub_up", proxy.tracking().hub_up()},
                      {"limit", proxy.config().limits.tracking_keys}};
  json["expiring_keys"] = {{"watched", proxy.expiry().size()},
                           {"unwatched", proxy.expiry().unwatched()},
                           {"learning", proxy.expiry_scan().running()},
                           {"limit", proxy.config().limits.expiring_keys}};
  json["backends"] = {{"old", BackendJson(proxy, Side::kOld)}, {"new", BackendJson(proxy, Side::kNew)}};
  json["backfill"] = BackfillJson(proxy);
  json["verify"] = VerifyJson(proxy.verify().result(), kVerifyListedInStatus);
  json["ramp"] = RampJson(proxy, false);
  json["replication"] = ReplicationJson(proxy);
  json["flips"] = FlipsJson(proxy);
  json["attention"] = AttentionJson(proxy);
  return json;
}

Json MismatchesJson(const Proxy& proxy, size_t limit) {
  Json list = Json::array();
  const auto& mismatches = proxy.second_look().mismatches();
  for (auto it = mismatches.rbegin(); it != mismatches.rend() && list.size() < limit; ++it) {
    Json entry = {{"at_ms", it->at_ms},
                  {"db", it->db},
                  {"command", it->command},
                  {"key", it->key},
                  {"primary", SideName(it->primary)}};
    const bool old_is_primary = it->primary == Side::kOld;
    entry["digests"] = {{"old", Hex(old_is_primary ? it->primary_digest : it->secondary_digest)},
                        {"new", Hex(old_is_primary ? it->secondary_digest : it->primary_digest)}};
    if (proxy.config().mismatches.keep_values) {
      entry["values"] = {{"old", old_is_primary ? it->primary_value : it->secondary_value},
                         {"new", old_is_primary ? it->secondary_value : it->primary_value}};
    }
    list.push_back(std::move(entry));
  }
  return {{"mismatched", proxy.counters().reads_mismatched},
          {"compared", proxy.counters().reads_compared},
          {"kept", mismatches.size()},
          {"limit", proxy.config().limits.mismatches},
          {"mismatches", list}};
}

}  // namespace crossfade
