#include "conf/config_loader.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "conf/config_mistakes.h"
#include "conf/config_section.h"

namespace crossfade {

namespace {

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr int64_t kHourMs = 3'600'000;

constexpr Range kRates{1, 10'000'000};
constexpr Range kByteRates{0, int64_t{1} << 40};
constexpr Range kAddedLatency{0, 10'000};
constexpr Range kCounts{1, 1'000'000'000};
constexpr Range kSmallCounts{1, 1'000'000};
constexpr Range kBufferBytes{1 << 10, 1LL << 40};
constexpr Range kMemoryBytes{16 << 20, 1LL << 40};  // less could not hold one copy of a larger key
constexpr Range kJournalBytes{1 << 20, 16LL << 30};
constexpr Range kTimeoutsMs{1, 24 * kHourMs};
constexpr double kMostP99Ratio = 1000;
constexpr Range kFromNone{0, 1'000'000'000};
constexpr Range kSpansMs{0, 366 * 24 * kHourMs};
constexpr Range kPercentOfOld{1, 10'000};
constexpr char kScriptModes[] = "\"auto\", \"copy\" or \"verbatim\"";

// One load: reads the file's tables, then the flags over them, then checks what must agree.
class Loader {
 public:
  Loader(const std::string& name, const ConfigOverrides& overrides) : mistakes_(name), overrides_(overrides) {}

  absl::StatusOr<Config> Load(const absl::StatusOr<std::string>& text) {
    bool is_read = text.ok() && ReadText(*text);
    if (!text.ok()) mistakes_.Add(Place{}, std::string(text.status().message()));
    ReadOverrides();
    if (is_read) CheckBackendsGiven();
    CheckAddressesDiffer();
    CheckAdminIsGuarded();
    if (!mistakes_.empty()) return mistakes_.ToStatus();
    return config_;
  }

 private:
  bool ReadText(const std::string& text);
  void ReadTables(const toml::table& root);
  void ReadBackend(Side side, Section section);
  void ReadRouting(Section section);
  void ReadRules(std::vector<Section> sections);
  void ReadScripts(Section scripts, std::vector<Section> rules);
  void ReadSettle(Section section);
  void ReadBreaker(Section section);
  void ReadRamp(Section section);
  void ReadLimits(Section section);
  void ReadTimeouts(Section section);
  void ReadSignoff(Section section);
  void ReadRemaining(Section* root);
  void ReadOverrides();
  void CheckBackendsGiven();
  void CheckAddressesDiffer();
  void CheckAdminIsGuarded();

  void ReadAddress(const std::string& text, Place* place, Address* out) {
    absl::StatusOr<Address> address = ParseAddress(text);
    place->is_valid = address.ok();
    if (address.ok()) *out = *address;
    if (!address.ok()) mistakes_.Add(*place, std::string(address.status().message()));
  }

  void ReadBackendUrl(const std::string& text, Side side) {
    Place* place = &backend_places_[static_cast<int>(side)];
    absl::StatusOr<BackendConfig> backend = ParseBackendUrl(text);
    place->is_valid = backend.ok();
    if (backend.ok()) config_.backends[static_cast<int>(side)] = *backend;
    if (!backend.ok()) mistakes_.Add(*place, std::string(backend.status().message()));
  }

  void Done(Section section) { sections_.push_back(std::move(section)); }

  Mistakes mistakes_;
  const ConfigOverrides& overrides_;
  Config config_;
  std::vector<Section> sections_;  // read, their unknown keys not yet reported
  Place listen_place_{"listen.address", 0, false, true};
  Place admin_place_{"admin.address", 0, false, true};
  Place backend_places_[2];  // by Side
};

bool Loader::ReadText(const std::string& text) {
  if (text.size() > kMaxFileBytes) {
    mistakes_.Add(Place{}, absl::StrCat("expected a file of at most ", FormatBytes(kMaxFileBytes)));
    return false;
  }
  std::optional<toml::table> root = ParseToml(text, &mistakes_);
  if (!root) return false;
  ReadTables(*root);
  return true;
}

void Loader::ReadTables(const toml::table& table) {
  Section root(&table, "", &mistakes_);
  Section listen = root.Table("listen");
  std::optional<std::string> address = listen.String("address", "HOST:PORT in quotes", &listen_place_);
  if (address) ReadAddress(*address, &listen_place_, &config_.listen);
  listen.Bool("admin_commands", &config_.admin_commands);
  Done(std::move(listen));

  Section backends = root.Table("backends");
  for (Side side : {Side::kOld, Side::kNew}) {
    ReadBackend(side, backends.Table(SideName(side), &backend_places_[static_cast<int>(side)]));
  }
  Done(std::move(backends));

  ReadRouting(root.Table("routing"));
  ReadRules(root.Tables("rule"));
  Section scripts = root.Table("scripts");
  ReadScripts(std::move(scripts), root.Tables("script"));
  ReadSettle(root.Table("settle"));
  ReadBreaker(root.Table("breaker"));
  ReadRamp(root.Table("ramp"));
  ReadLimits(root.Table("limits"));
  ReadTimeouts(root.Table("timeouts"));
  ReadSignoff(root.Table("signoff"));
  ReadRemaining(&root);
  Done(std::move(root));

  std::vector<std::string> full_names;
  for (const Section& section : sections_) section.AppendFullNames(&full_names);
  for (const Section& section : sections_) section.ReportUnknownKeys(full_names);
  sections_.clear();  // they borrow the table, which ends with the parse
}

void Loader::ReadBackend(Side side, Section section) {
  Place* place = &backend_places_[static_cast<int>(side)];
  if (section.is_present()) *place = Place{};  // the table alone is no URL
  std::optional<std::string> url = section.String("url", "a string, redis://host:port", place, /*is_secret=*/true);
  if (url) ReadBackendUrl(*url, side);
  Done(std::move(section));
}

void Loader::ReadRouting(Section section) {
  RoutingConfig* routing = &config_.routing;
  section.Choice("primary", "\"old\" or \"new\"", &routing->primary);
  section.Choice("secondary", "\"follow\", \"journal\" or \"off\"", &routing->secondary);
  if (routing->secondary == SecondaryMode::kReplica) {
    // It throws away what the secondary holds, and both stores are asked first: a file can't be answered.
    routing->secondary = SecondaryMode::kFollow;
    mistakes_.Add(section.Whole(),
                  "secondary: expected \"follow\", \"journal\" or \"off\" to begin with, got \"replica\"; begin with "
                  "\"off\", then say: crossfade secondary replica");
  }
  section.Choice("ack", "\"primary\" or \"both\"", &routing->ack);
  section.Percent("reads_new", &routing->reads_new);
  section.Percent("compare", &routing->compare);
  section.Choice("split", "\"key\" or \"random\"", &routing->split);
  section.Choice("on_miss", "\"nil\" or \"primary\"", &routing->on_miss);
  Done(std::move(section));
}

void Loader::ReadRules(std::vector<Section> sections) {
  std::map<std::string, int64_t> line_of_prefix;
  for (Section& section : sections) {
    RuleConfig rule;
    Place place;
    std::optional<std::string> prefix = section.String("prefix", "the beginning of keys, in quotes", &place);
    if (place.key.empty()) {
      mistakes_.Add(section.Whole(), "expected a prefix in each [[rule]]");
    } else if (prefix && prefix->empty()) {
      mistakes_.Add(place, "expected a prefix, got \"\" (what counts for all keys goes under [routing])");
    } else if (prefix) {
      rule.prefix = *prefix;
      auto [earlier, is_first] = line_of_prefix.emplace(*prefix, place.line);
      if (!is_first) {
        mistakes_.Add(place, absl::StrCat("the rule of line ", earlier->second, " has this prefix already"));
      }
    }
    section.Percent("reads_new", &rule.reads_new);
    section.Percent("compare", &rule.compare);
    rule.has_on_miss = section.Choice("on_miss", "\"nil\" or \"primary\"", &rule.on_miss);
    config_.rules.push_back(std::move(rule));
    Done(std::move(section));
  }
}

void Loader::ReadScripts(Section scripts, std::vector<Section> rules) {
  scripts.Choice("mode", kScriptModes, &config_.scripts.mode);
  Done(std::move(scripts));

  std::map<std::string, int64_t> line_of_name;
  for (Section& section : rules) {
    ScriptRule rule;
    Place place;
    std::optional<std::string> name = section.String("name", "a SHA1 or a function's name, in quotes", &place);
    if (place.key.empty()) {
      mistakes_.Add(section.Whole(), "expected a name in each [[script]]");
    } else if (name && name->empty()) {
      mistakes_.Add(place, "expected a SHA1 or a function's name, got \"\" (what counts for all goes under [scripts])");
    } else if (name) {
      rule.name = *name;
      // Servers tell neither SHA1s nor functions apart by case.
      auto [earlier, is_first] = line_of_name.emplace(absl::AsciiStrToLower(*name), place.line);
      if (!is_first) {
        mistakes_.Add(place, absl::StrCat("the script of line ", earlier->second, " has this name already"));
      }
    }
    section.Choice("mode", kScriptModes, &rule.mode);
    config_.scripts.rules.push_back(std::move(rule));
    Done(std::move(section));
  }
}

void Loader::ReadSettle(Section section) {
  section.Percent("share", &config_.settle.share);
  section.Count("quiet_ms", kTimeoutsMs, &config_.settle.quiet_ms);
  section.Count("keys_per_second", kRates, &config_.settle.keys_per_second);
  Done(std::move(section));
}

void Loader::ReadBreaker(Section section) {
  BreakerConfig* breaker = &config_.breaker;
  section.Bool("enabled", &breaker->enabled);
  section.Count("failures", kSmallCounts, &breaker->failures);
  section.Duration("slow", kTimeoutsMs, &breaker->slow_ms);
  section.Count("late_reads", kSmallCounts, &breaker->late_reads);
  section.Duration("open", kTimeoutsMs, &breaker->open_ms);
  section.Duration("probe", kTimeoutsMs, &breaker->probe_ms);
  section.Count("probes", kSmallCounts, &breaker->probes);
  Done(std::move(section));
}

void Loader::ReadRamp(Section section) {
  RampConfig* ramp = &config_.ramp;
  section.Real("max_mismatch_rate", 0, 1, &ramp->max_mismatch_rate);
  section.Real("max_error_rate", 0, 1, &ramp->max_error_rate);
  section.Real("max_p99_ratio", 1, kMostP99Ratio, &ramp->max_p99_ratio);
  section.Duration("latency_floor", {0, kHourMs}, &ramp->latency_floor_ms);
  section.Duration("max_lag", kTimeoutsMs, &ramp->max_lag_ms);
  section.Count("max_dirty_keys", {0, kCounts.highest}, &ramp->max_dirty_keys);
  section.Duration("max_down", kTimeoutsMs, &ramp->max_down_ms);
  section.Count("min_samples", kCounts, &ramp->min_samples);
  Done(std::move(section));
}

void Loader::ReadLimits(Section section) {
  LimitsConfig* limits = &config_.limits;
  section.Bytes("secondary_queue", kBufferBytes, &limits->secondary_queue_bytes);
  section.Count("dirty_keys", kCounts, &limits->dirty_keys);
  section.Bytes("journal", kJournalBytes, &limits->journal_bytes);
  section.Count("clients", kSmallCounts, &limits->clients);
  section.Bytes("client_output", kBufferBytes, &limits->client_output_bytes);
  section.Count("client_pipeline", kSmallCounts, &limits->client_pipeline);
  section.Count("expiring_keys", kCounts, &limits->expiring_keys);
  section.Count("settle_keys", kCounts, &limits->settle_keys);
  section.Bytes("settle_value", kBufferBytes, &limits->settle_value_bytes);
  section.Bytes("copy_whole", kBufferBytes, &limits->copy_whole_bytes);
  section.Bytes("scripts", kBufferBytes, &limits->script_bytes);
  section.Count("private_connections", kSmallCounts, &limits->private_connections);
  section.Count("tracking_keys", kCounts, &limits->tracking_keys);
  section.Count("mismatches", kSmallCounts, &limits->mismatches);
  section.Bytes("client_input", kBufferBytes, &limits->client_input_bytes);
  section.Bytes("transaction", kBufferBytes, &limits->transaction_bytes);
  section.Bytes("subscriber_output", kBufferBytes, &limits->subscriber_output_bytes);
  section.Bytes("primary_queue", kBufferBytes, &limits->primary_queue_bytes);
  section.Count("primary_commands", kSmallCounts, &limits->primary_commands);
  section.Bytes("memory", kMemoryBytes, &limits->memory_bytes);
  section.Count("admin_connections", kSmallCounts, &limits->admin_connections);
  Done(std::move(section));
}

void Loader::ReadTimeouts(Section section) {
  TimeoutsConfig* timeouts = &config_.timeouts;
  section.Duration("connect", kTimeoutsMs, &timeouts->connect_ms);
  section.Duration("response", kTimeoutsMs, &timeouts->response_ms);
  section.Duration("read", kTimeoutsMs, &timeouts->read_ms);
  section.Duration("ack", kTimeoutsMs, &timeouts->ack_ms);
  section.Duration("reconnect_max", kTimeoutsMs, &timeouts->reconnect_max_ms);
  section.Duration("shutdown", kTimeoutsMs, &timeouts->shutdown_ms);
  Done(std::move(section));
}

void Loader::ReadSignoff(Section section) {
  SignoffConfig* signoff = &config_.signoff;
  section.Count("min_compared", kCounts, &signoff->min_compared);
  section.Count("max_mismatches", kFromNone, &signoff->max_mismatches);
  section.Percent("mismatch_rate", &signoff->mismatch_rate);
  section.Count("min_writes", kCounts, &signoff->min_writes);
  section.Count("max_diverged", kFromNone, &signoff->max_diverged);
  section.Count("covered_after", kCounts, &signoff->covered_after);
  section.Percent("commands_covered", &signoff->commands_covered);
  section.Percent("prefixes_covered", &signoff->prefixes_covered);
  section.Duration("verify_age", kSpansMs, &signoff->verify_age_ms);
  section.Duration("preflight_age", kSpansMs, &signoff->preflight_age_ms);
  section.Duration("min_observed", kSpansMs, &signoff->min_observed_ms);
  section.Count("min_timed", kCounts, &signoff->min_timed);
  section.Count("p99_percent", kPercentOfOld, &signoff->p99_percent);
  section.Duration("p99_fine", kSpansMs, &signoff->p99_fine_ms);
  section.Bool("rollback", &signoff->rollback);
  section.Percent("error_rate", &signoff->error_rate);
  section.Count("max_crashes", kFromNone, &signoff->max_crashes);
  section.Duration("max_gap", kSpansMs, &signoff->max_gap_ms);
  Done(std::move(section));
}

// The tables of one or two keys.
void Loader::ReadRemaining(Section* root) {
  Section repair = root->Table("repair");
  repair.Bool("enabled", &config_.repair.enabled);
  repair.Count("keys_per_second", kRates, &config_.repair.keys_per_second);
  Done(std::move(repair));

  Section backfill = root->Table("backfill");
  backfill.Count("keys_per_second", kRates, &config_.backfill.keys_per_second);
  backfill.Bytes("bytes_per_second", kByteRates, &config_.backfill.bytes_per_second);
  backfill.Duration("added_latency", kAddedLatency, &config_.backfill.added_latency_ms);
  Done(std::move(backfill));
  Section verify = root->Table("verify");
  verify.Count("keys_per_second", kRates, &config_.verify.keys_per_second);
  Done(std::move(verify));

  Section mismatches = root->Table("mismatches");
  mismatches.Bool("keep_values", &config_.mismatches.keep_values);
  Done(std::move(mismatches));

  Section admin = root->Table("admin");
  std::optional<std::string> address = admin.String("address", "HOST:PORT in quotes", &admin_place_);
  if (address) ReadAddress(*address, &admin_place_, &config_.admin.address);
  Place token_place;
  std::optional<std::string> token_file = admin.String("token_file", "a path in quotes", &token_place);
  if (token_file) config_.admin.token_file = *token_file;
  Done(std::move(admin));

  Section state = root->Table("state");
  Place dir_place;
  std::optional<std::string> dir = state.String("dir", "a path in quotes", &dir_place);
  if (dir && dir->empty()) mistakes_.Add(dir_place, "expected a directory, got \"\"");
  if (dir) config_.state_dir = *dir;
  Done(std::move(state));
}

void Loader::ReadOverrides() {
  auto flag = [](const char* name) { return Place{name, 0, true}; };
  if (overrides_.old_url) {
    backend_places_[0] = flag("--old");
    ReadBackendUrl(*overrides_.old_url, Side::kOld);
  }
  if (overrides_.new_url) {
    backend_places_[1] = flag("--new");
    ReadBackendUrl(*overrides_.new_url, Side::kNew);
  }
  if (overrides_.listen) {
    listen_place_ = flag("--listen");
    ReadAddress(*overrides_.listen, &listen_place_, &config_.listen);
  }
  if (overrides_.admin) {
    admin_place_ = flag("--admin");
    ReadAddress(*overrides_.admin, &admin_place_, &config_.admin.address);
  }
  if (overrides_.state_dir) {
    if (overrides_.state_dir->empty()) mistakes_.Add(flag("--state"), "expected a directory, got \"\"");
    config_.state_dir = *overrides_.state_dir;
  }
}

void Loader::CheckBackendsGiven() {
  for (Side side : {Side::kOld, Side::kNew}) {
    if (!backend_places_[static_cast<int>(side)].key.empty()) continue;
    std::string name = SideName(side);
    mistakes_.Add(Place{absl::StrCat("backends.", name, ".url")},
                  absl::StrCat("missing: give --", name, " redis://host:port, or url under [backends.", name,
                               "] in the configuration file"));
  }
}

void Loader::CheckAddressesDiffer() {
  struct Used {
    const Place* place;
    const Address* address;
  };
  const Used used[] = {{&backend_places_[0], &config_.backends[0].address},
                       {&backend_places_[1], &config_.backends[1].address},
                       {&listen_place_, &config_.listen},
                       {&admin_place_, &config_.admin.address}};
  for (size_t i = 0; i < std::size(used); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (!used[i].place->is_valid || !used[j].place->is_valid || used[i].address->port == 0) continue;
      if (!SameAddress(*used[i].address, *used[j].address)) continue;
      mistakes_.Add(*used[i].place, absl::StrCat("the same address as ", used[j].place->key, ": they must differ"));
    }
  }
}

void Loader::CheckAdminIsGuarded() {
  if (!admin_place_.is_valid || IsLoopback(config_.admin.address.host) || !config_.admin.token_file.empty()) return;
  mistakes_.Add(admin_place_,
                "an address that is not loopback needs token_file under [admin] in the configuration file: who reaches "
                "it can flip the primary");
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  auto refuse = [] { return absl::InvalidArgumentError(absl::StrCat("can't be read: ", std::strerror(errno))); };
  if (file == nullptr) return refuse();
  std::string text(kMaxFileBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return refuse();
  return text;
}

}  // namespace

absl::StatusOr<Config> LoadConfig(const std::string& path, const ConfigOverrides& overrides) {
  if (path.empty()) return Loader("", overrides).Load(std::string());
  return Loader(path, overrides).Load(ReadFile(path));
}

absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& name, const ConfigOverrides& overrides) {
  return Loader(name, overrides).Load(text);
}

}  // namespace crossfade
