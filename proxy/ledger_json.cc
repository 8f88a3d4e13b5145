#include "proxy/ledger_json.h"

#include <algorithm>
#include <utility>

#include "nlohmann/json.hpp"
#include "proxy/server_info.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;
constexpr int kLedgerFormat = 2;
constexpr const char* kClassNames[] = {"reads", "writes"};

const Json kNothing;

// --- Writing -------------------------------------------------------------------------------------------------------

Json TalliesJson(const Tallies& tallies) {
  Json json = Json::object();
  for (const auto& [name, tally] : tallies)
    json[name] = {tally.reads, tally.comparable, tally.writes, tally.compared, tally.mismatched};
  return json;
}

template <typename List, typename F>
Json ListJson(const List& list, F to_json) {
  Json items = Json::array();
  for (const auto& item : list.items) items.push_back(to_json(item));
  return {{"forgotten", list.forgotten}, {"items", std::move(items)}};
}

Json RunJson(const LedgerFigures::Run& run) {
  return {{"started_ms", run.started_ms},
          {"seen_ms", run.seen_ms},
          {"in_order", run.in_order},
          {"version", run.version},
          {"config", run.config_hash}};
}

Json GapJson(const LedgerFigures::Gap& gap) {
  return {{"from_ms", gap.from_ms}, {"to_ms", gap.to_ms}, {"in_order", gap.in_order}};
}

Json SpellJson(const LedgerFigures::Spell& spell) {
  return {{"what", spell.what}, {"why", spell.why}, {"from_ms", spell.from_ms}, {"to_ms", spell.to_ms}};
}

Json MismatchJson(const LedgerFigures::Mismatch& one) {
  return {{"at_ms", one.at_ms}, {"db", one.db},          {"command", one.command},
          {"key", one.key},     {"old", one.old_digest}, {"new", one.new_digest}};
}

Json PreflightJson(const LedgerFigures::Preflight& preflight) {
  Json findings = Json::array();
  for (const Finding& one : preflight.findings) {
    findings.push_back(
        {{"name", one.name}, {"status", static_cast<int>(one.status)}, {"found", one.found}, {"remedy", one.remedy}});
  }
  return {{"at_ms", preflight.at_ms}, {"findings", std::move(findings)}};
}

Json LatencyJson(const LedgerFigures& figures) {
  Json json = Json::object();
  for (Side side : {Side::kOld, Side::kNew}) {
    for (LatencyClass what : kLatencyClasses) {
      const LatencyHistogram& histogram = figures.latency_of(side, what);
      json[SideName(side)][kClassNames[static_cast<int>(what)]] = {{"sum_us", histogram.sum_us()},
                                                                   {"buckets", HistogramJson(histogram)}};
    }
  }
  return json;
}

// --- Reading -------------------------------------------------------------------------------------------------------

const Json& At(const Json& json, const char* name) {
  if (!json.is_object()) return kNothing;
  const auto found = json.find(name);
  return found == json.end() ? kNothing : *found;
}

uint64_t Count(const Json& json) {
  if (json.is_number_unsigned()) return std::min(json.get<uint64_t>(), LedgerFigures::kMostFigure);
  return 0;  // negative ones too: nothing here can be
}

int64_t Ms(const Json& json) {
  return static_cast<int64_t>(Count(json));
}

bool Flag(const Json& json) {
  return json.is_boolean() && json.get<bool>();
}

std::string Text(const Json& json, size_t most = LedgerFigures::kMostTextBytes) {
  return json.is_string() ? CutText(json.get_ref<const std::string&>(), most) : std::string();
}

Counters ReadCounters(const Json& json) {
  Counters counters;
  for (const CounterField& field : CounterFields()) field.of(counters) = Count(At(json, field.name));
  return counters;
}

// One that was never written with these is of somebody else: read as none, it would say that nothing ever differed.
bool AreCounters(const Json& json) {
  for (const char* name : {"reads_compared", "reads_mismatched", "writes_followed", "writes_diverged"}) {
    if (!At(json, name).is_number_unsigned()) return false;
  }
  return std::all_of(json.begin(), json.end(), [](const Json& value) { return value.is_number_unsigned(); });
}

Tallies ReadTallies(const Json& json) {
  Tallies tallies;
  if (!json.is_object()) return tallies;
  for (const auto& [name, row] : json.items()) {
    if (tallies.size() >= LedgerFigures::kMostTallies || !row.is_array() || row.size() != 5) continue;
    tallies.emplace(CutText(name, 4 * Coverage::kMaxPrefixBytes),
                    Tally{Count(row[0]), Count(row[1]), Count(row[2]), Count(row[3]), Count(row[4])});
  }
  return tallies;
}

// A bucket is found again by the longest time in it, should another version have other ones.
void ReadLatency(const Json& json, LedgerFigures* figures) {
  for (Side side : {Side::kOld, Side::kNew}) {
    for (LatencyClass what : kLatencyClasses) {
      const Json& one = At(At(json, SideName(side)), kClassNames[static_cast<int>(what)]);
      LatencyHistogram& histogram = figures->latency[static_cast<int>(side)][static_cast<int>(what)];
      histogram.AddSum(Ms(At(one, "sum_us")));
      for (const Json& bucket : At(one, "buckets")) {
        if (!bucket.is_array() || bucket.size() != 2 || !bucket[0].is_number_unsigned()) continue;
        // So that all of them together can be computed with.
        constexpr uint64_t kMost = LedgerFigures::kMostFigure / LatencyHistogram::kBuckets;
        const size_t place = LatencyHistogram::BucketOf(Ms(bucket[0]));
        const uint64_t already = histogram.bucket(place);
        histogram.AddBucket(place, std::min(Count(bucket[1]), kMost - std::min(kMost, already)));
      }
    }
  }
}

template <typename List, typename F>
void ReadList(const Json& json, List* list, F from_json) {
  const Json& items = At(json, "items");
  if (items.is_array()) {
    for (const Json& item : items) {
      if (item.is_object()) list->Add(from_json(item));
    }
  }
  list->forgotten = std::min(list->forgotten + Count(At(json, "forgotten")), LedgerFigures::kMostFigure);
}

LedgerFigures::Run ReadRun(const Json& json) {
  return {Ms(At(json, "started_ms")), Ms(At(json, "seen_ms")), Flag(At(json, "in_order")), Text(At(json, "version")),
          Text(At(json, "config"))};
}

LedgerFigures::Gap ReadGap(const Json& json) {
  LedgerFigures::Gap gap{Ms(At(json, "from_ms")), Ms(At(json, "to_ms")), Flag(At(json, "in_order"))};
  gap.to_ms = std::max(gap.to_ms, gap.from_ms);
  return gap;
}

LedgerFigures::Spell ReadSpell(const Json& json) {
  return {Text(At(json, "what")), Text(At(json, "why")), Ms(At(json, "from_ms")), Ms(At(json, "to_ms"))};
}

LedgerFigures::Verification ReadVerification(const Json& json) {
  LedgerFigures::Verification one;
  one.started_ms = Ms(At(json, "started_ms"));
  one.ended_ms = Ms(At(json, "ended_ms"));
  one.state = Text(At(json, "state"));
  one.full = Flag(At(json, "full"));
  one.repair = Flag(At(json, "repair"));
  one.checked = Count(At(json, "checked"));
  one.equal = Count(At(json, "equal"));
  one.differing = Count(At(json, "differing"));
  one.repaired = Count(At(json, "repaired"));
  one.undecided = Count(At(json, "undecided"));
  one.not_comparable = Count(At(json, "not_comparable"));
  one.left_out = Count(At(json, "left_out"));
  return one;
}

LedgerFigures::Mismatch ReadMismatch(const Json& json) {
  return {Ms(At(json, "at_ms")),
          static_cast<int>(std::min<uint64_t>(Count(At(json, "db")), ServerInfo::kMostDatabases)),
          Text(At(json, "command"), 64),
          Text(At(json, "key"), 2 * LedgerFigures::kMostKeyBytes),
          Text(At(json, "old"), 64),
          Text(At(json, "new"), 64)};
}

std::optional<LedgerFigures::Preflight> ReadPreflight(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  LedgerFigures::Preflight preflight;
  preflight.at_ms = Ms(At(json, "at_ms"));
  for (const Json& one : At(json, "findings")) {
    if (preflight.findings.size() >= LedgerFigures::kMostFindings) break;
    const uint64_t status = Count(At(one, "status"));
    // What is no status is the worst.
    const auto read = status <= 1 ? static_cast<CheckStatus>(status) : CheckStatus::kFail;
    preflight.findings.push_back({Text(At(one, "name")), read, Text(At(one, "found")), Text(At(one, "remedy"))});
  }
  return preflight;
}

}  // namespace

Json VerificationJson(const LedgerFigures::Verification& one) {
  return {{"started_ms", one.started_ms},
          {"ended_ms", one.ended_ms},
          {"state", one.state},
          {"full", one.full},
          {"repair", one.repair},
          {"checked", one.checked},
          {"equal", one.equal},
          {"differing", one.differing},
          {"repaired", one.repaired},
          {"undecided", one.undecided},
          {"not_comparable", one.not_comparable},
          {"left_out", one.left_out}};
}

Json CountersJson(const Counters& counters) {
  Json json = Json::object();
  Counters copy = counters;
  for (const CounterField& field : CounterFields()) json[field.name] = field.of(copy);
  return json;
}

Json HistogramJson(const LatencyHistogram& histogram) {
  Json buckets = Json::array();
  for (size_t i = 0; i < LatencyHistogram::kBuckets; ++i) {
    if (histogram.bucket(i) > 0) buckets.push_back({LatencyHistogram::UpperBound(i), histogram.bucket(i)});
  }
  return buckets;
}

std::string LedgerText(const LedgerFigures& figures) {
  Json json = {{"format", kLedgerFormat},
               {"instance", figures.instance},
               {"began_ms", figures.began_ms},
               {"saved_ms", figures.saved_ms},
               {"counters", {{"all", CountersJson(figures.all)}, {"agreed", CountersJson(figures.agreed)}}},
               {"latency", LatencyJson(figures)},
               {"commands", TalliesJson(figures.commands)},
               {"prefixes", TalliesJson(figures.prefixes)},
               {"agreed_commands", TalliesJson(figures.agreed_commands)},
               {"agreed_prefixes", TalliesJson(figures.agreed_prefixes)},
               {"running_ms", figures.running_ms},
               {"observed_ms", figures.observed_ms},
               {"doubted_ms", figures.doubted_ms},
               {"agree", figures.agree},
               {"crashes", figures.crashes},
               {"lost_ledgers", figures.lost_ledgers},
               {"gaps_ms", figures.gaps_ms},
               {"longest_forgotten_gap_ms", figures.longest_forgotten_gap_ms},
               {"runs", ListJson(figures.runs, RunJson)},
               {"gaps", ListJson(figures.gaps, GapJson)},
               {"spells", ListJson(figures.spells, SpellJson)},
               {"verifications", ListJson(figures.verifications, VerificationJson)},
               {"mismatches", ListJson(figures.mismatches, MismatchJson)}};
  if (figures.preflight) json["preflight"] = PreflightJson(*figures.preflight);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<LedgerFigures> ReadLedgerText(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  const Json& format = At(json, "format");
  if (!format.is_number_integer() || format != kLedgerFormat || !At(json, "instance").is_string() ||
      !AreCounters(At(At(json, "counters"), "all")) || !AreCounters(At(At(json, "counters"), "agreed"))) {
    return std::nullopt;
  }
  LedgerFigures figures;
  figures.instance = Text(At(json, "instance"));
  figures.began_ms = Ms(At(json, "began_ms"));
  figures.saved_ms = Ms(At(json, "saved_ms"));
  figures.all = ReadCounters(At(At(json, "counters"), "all"));
  figures.agreed = ReadCounters(At(At(json, "counters"), "agreed"));
  ReadLatency(At(json, "latency"), &figures);
  figures.commands = ReadTallies(At(json, "commands"));
  figures.prefixes = ReadTallies(At(json, "prefixes"));
  figures.agreed_commands = ReadTallies(At(json, "agreed_commands"));
  figures.agreed_prefixes = ReadTallies(At(json, "agreed_prefixes"));
  figures.running_ms = Ms(At(json, "running_ms"));
  figures.observed_ms = Ms(At(json, "observed_ms"));
  figures.doubted_ms = Ms(At(json, "doubted_ms"));
  figures.agree = Flag(At(json, "agree"));
  figures.crashes = Count(At(json, "crashes"));
  figures.lost_ledgers = Count(At(json, "lost_ledgers"));
  figures.gaps_ms = Count(At(json, "gaps_ms"));
  figures.longest_forgotten_gap_ms = Ms(At(json, "longest_forgotten_gap_ms"));
  ReadList(At(json, "runs"), &figures.runs, ReadRun);
  ReadList(At(json, "gaps"), &figures.gaps, ReadGap);
  ReadList(At(json, "spells"), &figures.spells, ReadSpell);
  ReadList(At(json, "verifications"), &figures.verifications, ReadVerification);
  ReadList(At(json, "mismatches"), &figures.mismatches, ReadMismatch);
  figures.preflight = ReadPreflight(At(json, "preflight"));
  return figures;
}

}  // namespace crossfade
