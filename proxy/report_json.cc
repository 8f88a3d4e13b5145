#include "proxy/report_json.h"

#include <cmath>
#include <utility>

#include "conf/config_keys.h"
#include "nlohmann/json.hpp"
#include "proxy/ledger_json.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

Json OrNull(const std::optional<double>& figure) {
  return figure && std::isfinite(*figure) ? Json(*figure) : Json();
}

template <typename T>
Json Listed(const T& list, auto to_json) {
  Json json = Json::array();
  for (const auto& one : list) json.push_back(to_json(one));
  return json;
}

Json CriterionJson(const Criterion& one) {
  return {{"name", one.name},
          {"title", one.title},
          {"verdict", Name(one.verdict)},
          {"demands", one.demands},
          {"found", one.found},
          {"figure", OrNull(one.figure)},
          {"threshold", OrNull(one.threshold)},
          {"unit", one.unit},
          {"samples", one.samples},
          {"samples_of", one.samples_of},
          {"bound", OrNull(one.bound)},
          {"bound_method", one.bound_method},
          {"remedy", one.remedy}};
}

Json LatencyJson(const LatencyHistogram& histogram) {
  Json json = {{"count", histogram.count()}, {"buckets", HistogramJson(histogram)}};
  const bool any = histogram.count() > 0;
  const auto told = [&](int64_t us) { return any ? Json(us) : Json(); };
  json["mean"] = any ? Json(static_cast<double>(histogram.sum_us()) / static_cast<double>(histogram.count())) : Json();
  json["p50"] = told(histogram.Percentile(0.5));
  json["p90"] = told(histogram.Percentile(0.9));
  json["p99"] = told(histogram.Percentile(0.99));
  json["p99_9"] = told(histogram.Percentile(0.999));
  return json;
}

Json StoreJson(const ReportFigures& figures, const ReportFigures::Store& store) {
  Json json = {{"role", store.role},
               {"address", store.address},
               {"state", store.state},
               {"product", store.product},
               {"version", store.version}};
  json["latency_us"] = {{"reads", LatencyJson(figures.ledger.latency_of(store.side, LatencyClass::kRead))},
                        {"writes", LatencyJson(figures.ledger.latency_of(store.side, LatencyClass::kWrite))}};
  const StoreTold& told = store.told;
  if (!told.refused.empty()) {
    json["info"] = {{"error", told.refused}};
    return json;
  }
  const uint64_t asked = told.hits + told.misses;
  json["info"] = {{"used_memory", told.used_memory},
                  {"maxmemory", told.maxmemory},
                  {"keys", told.keys},
                  {"hits", told.hits},
                  {"misses", told.misses},
                  {"hit_rate", asked == 0 ? Json() : Json(static_cast<double>(told.hits) / static_cast<double>(asked))},
                  {"uptime_ms", told.uptime_ms}};
  return json;
}

Json TallyJson(const Tally& tally) {
  return {{"reads", tally.reads},
          {"comparable", tally.comparable},
          {"writes", tally.writes},
          {"compared", tally.compared},
          {"mismatched", tally.compared == 0 && tally.mismatched == 0 ? Json() : Json(tally.mismatched)}};
}

Json CoverageJson(const std::vector<ReportFigures::CoverageRow>& rows, const CoverageFacts& facts) {
  Json list = Json::array();
  for (const ReportFigures::CoverageRow& row : rows) {
    Json one = TallyJson(row.ever);
    one.update({{"name", row.name},
                {"agreed", TallyJson(row.agreed)},
                {"counts", row.counts},
                {"covered", row.covered},
                {"why", row.why}});
    list.push_back(std::move(one));
  }
  return {{"seen", facts.seen}, {"covered", facts.covered}, {"rows", std::move(list)}};
}

Json MismatchesOf(const ReportFigures& figures) {
  Json list = Listed(figures.mismatches, [](const ReportFigures::Mismatch& one) {
    Json json = {{"at_ms", one.what.at_ms},
                 {"db", one.what.db},
                 {"command", one.what.command},
                 {"key", one.what.key},
                 {"digests", {{"old", one.what.old_digest}, {"new", one.what.new_digest}}}};
    if (one.old_value && one.new_value) json["values"] = {{"old", *one.old_value}, {"new", *one.new_value}};
    return json;
  });
  return {{"more", figures.mismatches_more}, {"values_kept", figures.values_kept}, {"list", std::move(list)}};
}

Json PeriodJson(const ReportFigures& figures) {
  const LedgerFigures& ledger = figures.ledger;
  return {{"began_ms", ledger.began_ms},
          {"running_ms", ledger.running_ms},
          {"observed_ms", ledger.observed_ms},
          {"agree", ledger.agree},
          {"doubted_ms", ledger.doubted_ms},
          {"crashes", ledger.crashes},
          {"lost_ledgers", ledger.lost_ledgers},
          {"gaps_ms", ledger.gaps_ms},
          {"runs_before", ledger.runs.forgotten},
          {"runs", Listed(ledger.runs.items,
                          [](const LedgerFigures::Run& run) {
                            return Json{{"started_ms", run.started_ms},
                                        {"seen_ms", run.seen_ms},
                                        {"in_order", run.in_order},
                                        {"version", run.version},
                                        {"config_hash", run.config_hash}};
                          })},
          {"gaps_before", ledger.gaps.forgotten},
          {"gaps", Listed(ledger.gaps.items,
                          [](const LedgerFigures::Gap& gap) {
                            return Json{{"from_ms", gap.from_ms}, {"to_ms", gap.to_ms}, {"in_order", gap.in_order}};
                          })},
          {"spells_before", ledger.spells.forgotten},
          {"spells", Listed(ledger.spells.items, [](const LedgerFigures::Spell& spell) {
             return Json{{"what", spell.what},
                         {"from_ms", spell.from_ms},
                         {"to_ms", spell.to_ms == 0 ? Json() : Json(spell.to_ms)},
                         {"why", spell.why}};
           })}};
}

Json BackfillJson(const ReportFigures& figures) {
  if (!figures.backfill) return Json();
  const ReportFigures::Backfill& one = *figures.backfill;
  return {{"state", one.state},
          {"why", one.why},
          {"match", one.match},
          {"type", one.type},
          {"db", one.db < 0 ? Json() : Json(one.db)},
          {"started_ms", one.started_ms},
          {"ended_ms", one.ended_ms == 0 ? Json() : Json(one.ended_ms)},
          {"keys_done", one.keys_done},
          {"keys_total", one.keys_total},
          {"keys_rechecked", one.keys_rechecked},
          {"keys_failed", one.keys_failed},
          {"bytes", one.bytes}};
}

Json CheckJson(const ReportFigures& figures) {
  if (!figures.ledger.preflight) return Json();
  const SignoffFacts::Preflight& counts = figures.facts.preflight;
  return {{"at_ms", figures.ledger.preflight->at_ms},
          {"passed", counts.passed},
          {"warnings", counts.warnings},
          {"failed", counts.failed},
          {"checks", Listed(figures.ledger.preflight->findings, [](const Finding& one) {
             return Json{{"name", one.name},
                         {"status", one.status == CheckStatus::kPass   ? "pass"
                                    : one.status == CheckStatus::kWarn ? "warn"
                                                                       : "fail"},
                         {"found", one.found},
                         {"remedy", one.remedy}};
           })}};
}

Json FlipsOf(const ReportFigures& figures) {
  return Listed(figures.flips, [](const ReportFigures::Flip& one) {
    return Json{{"at_ms", one.what.at_ms},
                {"to", SideName(one.what.to)},
                {"pause_ms", one.what.pause_ms},
                {"forced", one.what.forced},
                {"who", one.who.empty() ? Json() : Json(one.who)}};
  });
}

Json ThresholdsJson(const SignoffConfig& demands) {
  Config config;
  config.signoff = demands;
  Json json = Json::object();
  constexpr std::string_view kPrefix = "signoff.";
  for (const ConfigKey& key : ListKeys(config)) {
    if (key.name.starts_with(kPrefix)) json[key.name.substr(kPrefix.size())] = key.value;
  }
  return json;
}

Json RoutingOf(const ReportFigures& figures) {
  return {{"primary", SideName(figures.routing.primary)},
          {"secondary", Name(figures.routing.secondary)},
          {"ack", Name(figures.routing.ack)},
          {"reads_new", figures.routing.reads_new},
          {"compare", figures.routing.compare},
          {"split", Name(figures.routing.split)},
          {"on_miss", Name(figures.routing.on_miss)},
          {"synced", Name(figures.synced)},
          {"synced_why", figures.unsynced_why},
          {"cold", figures.cold},
          {"dirty_keys", figures.dirty_keys},
          {"everything_dirty", figures.everything_dirty}};
}

}  // namespace

Json ReportJson(const ReportFigures& figures) {
  Json json = {
      {"verdict", Name(figures.verdict)},
      {"made_ms", figures.made_ms},
      {"version", figures.version},
      {"config",
       {{"file", figures.config_file}, {"hash", figures.config_hash}, {"loaded_at_ms", figures.config_loaded_ms}}},
      {"routing", RoutingOf(figures)},
      {"attention", figures.attention},
      {"criteria", Listed(figures.criteria, CriterionJson)},
      {"thresholds", ThresholdsJson(figures.demands)},
      {"counters", {{"all", CountersJson(figures.ledger.all)}, {"agreed", CountersJson(figures.ledger.agreed)}}},
      {"stores", {{"old", StoreJson(figures, figures.stores[0])}, {"new", StoreJson(figures, figures.stores[1])}}},
      {"coverage",
       {{"commands", CoverageJson(figures.commands, figures.facts.commands)},
        {"prefixes", CoverageJson(figures.prefixes, figures.facts.prefixes)}}},
      {"mismatches", MismatchesOf(figures)},
      {"flips", FlipsOf(figures)},
      {"period", PeriodJson(figures)},
      {"backfill", BackfillJson(figures)},
      {"preflight", CheckJson(figures)}};
  json["not_migrated"] = Listed(figures.not_migrated, [](const ReportFigures::NotMigrated& one) {
    return Json{{"what", one.what}, {"why", one.why}, {"remedy", one.remedy}};
  });
  json["verifications"] = Listed(figures.ledger.verifications.items, VerificationJson);
  json["differences"] = {
      {"more", figures.differences_more},
      {"list", Listed(figures.differences, [](const ReportFigures::Difference& one) {
         return Json{{"db", one.db}, {"key", one.key}, {"kind", one.kind}, {"repaired", one.repaired}};
       })}};
  json["errors"] = Listed(figures.errors, [](const ReportFigures::ErrorKind& one) {
    return Json{{"name", one.name}, {"meaning", one.meaning}, {"count", one.count}, {"counts", one.counts}};
  });
  json["audit"] = Listed(figures.audit, [](const ReportFigures::AuditEntry& one) {
    return Json{{"at_ms", one.at_ms}, {"who", one.who},         {"what", one.what},    {"from", one.from},
                {"to", one.to},       {"outcome", one.outcome}, {"reason", one.reason}};
  });
  return json;
}

}  // namespace crossfade
