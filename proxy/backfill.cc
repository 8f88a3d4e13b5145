#include "proxy/backfill.h"

#include <algorithm>
#include <utility>

#include "nlohmann/json.hpp"
#include "protocol/check.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;
using Record = Backfill::Record;
constexpr int64_t kMostRate = 1LL << 40;

Json ToJson(const Record& record) {
  const SweepPlace& place = record.place;
  const SweepScope& scope = record.options.scope;
  return {{"state", Sweep::Name(record.state)},
          {"why", record.why},
          {"match", scope.match},
          {"type", scope.type},
          {"db", scope.db},
          {"keys_per_second", record.options.keys_per_second},
          {"bytes_per_second", record.options.bytes_per_second},
          {"secondary_side", place.secondary_side},
          {"at_db", place.db},
          {"cursor", place.cursor},
          {"keys_done", place.keys_done},
          {"keys_total", place.keys_total},
          {"keys_rechecked", place.keys_rechecked},
          {"keys_failed", place.keys_failed},
          {"bytes", place.bytes},
          {"primary", SideName(record.primary)},
          {"run_id", record.source.run_id},
          {"server_started_ms", record.source.started_ms},
          {"started_ms", record.started_ms},
          {"ended_ms", record.ended_ms},
          {"resumed", record.resumed}};
}

// Whatever is in the file: throws nothing, and takes nothing that could do harm.
class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}
  std::string Text(const char* name) {
    const auto found = json_.find(name);
    if (found != json_.end() && found->is_string()) return found->get<std::string>();
    ok_ = false;
    return {};
  }
  int64_t Number(const char* name, int64_t least, int64_t most) {
    const auto found = json_.find(name);
    if (found != json_.end() && found->is_number_integer()) {
      const bool fits = !found->is_number_unsigned() || found->get<uint64_t>() <= static_cast<uint64_t>(most);
      const int64_t number = fits ? found->get<int64_t>() : least - 1;
      if (number >= least && number <= most) return number;
    }
    ok_ = false;
    return least;
  }
  uint64_t Count(const char* name) { return static_cast<uint64_t>(Number(name, 0, INT64_MAX)); }
  bool Flag(const char* name) {
    const auto found = json_.find(name);
    if (found != json_.end() && found->is_boolean()) return found->get<bool>();
    ok_ = false;
    return false;
  }
  bool ok() const { return ok_; }

 private:
  const Json& json_;
  bool ok_ = true;
};

bool ParseState(const std::string& text, Sweep::State* state) {
  using State = Sweep::State;
  for (const State one : {State::kRunning, State::kPaused, State::kDone, State::kFailed}) {
    if (text != Sweep::Name(one)) continue;
    *state = one;
    return true;
  }
  return false;
}

std::optional<Record> FromJson(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return std::nullopt;
  Record record;
  Reader reader(json);
  const std::string state = reader.Text("state"), primary = reader.Text("primary");
  record.why = reader.Text("why");
  record.options.scope.match = reader.Text("match");
  record.options.scope.type = reader.Text("type");
  record.options.scope.db = static_cast<int>(reader.Number("db", -1, INT16_MAX));
  record.options.keys_per_second = reader.Number("keys_per_second", 0, kMostRate);
  record.options.bytes_per_second = reader.Number("bytes_per_second", 0, kMostRate);
  SweepPlace& place = record.place;
  place.secondary_side = reader.Flag("secondary_side");
  place.db = static_cast<int>(reader.Number("at_db", 0, INT16_MAX));
  place.cursor = reader.Text("cursor");
  place.keys_done = reader.Count("keys_done");
  place.keys_total = reader.Count("keys_total");
  place.keys_rechecked = reader.Count("keys_rechecked");
  place.keys_failed = reader.Count("keys_failed");
  place.bytes = reader.Count("bytes");
  record.source.run_id = reader.Text("run_id");
  record.source.started_ms = reader.Number("server_started_ms", INT64_MIN / 2, INT64_MAX / 2);
  record.started_ms = reader.Number("started_ms", 0, INT64_MAX);
  record.ended_ms = reader.Number("ended_ms", 0, INT64_MAX);
  record.resumed = reader.Number("resumed", 0, INT32_MAX);
  const bool is_cursor = !place.cursor.empty() && place.cursor.find_first_not_of("0123456789") == std::string::npos;
  if (!reader.ok() || !is_cursor || !ParseState(state, &record.state) || !ParseName(primary, &record.primary)) {
    return std::nullopt;
  }
  return record;
}

}  // namespace

Backfill::Backfill(Io* io, Storage* storage, const std::string& directory, DirtySet* dirty, Lane* lane, Keeper* keeper,
                   Sweep* sweep)
    : io_(io),
      storage_(storage),
      path_(directory + "/backfill.json"),
      dirty_(dirty),
      lane_(lane),
      keeper_(keeper),
      sweep_(sweep) {}

void Backfill::Load(bool journal_relied_upon) {
  const auto text = storage_->Read(path_);
  if (text.ok() && !text->has_value()) return;
  if (text.ok()) record_ = FromJson(**text);
  if (!record_) {
    spdlog::warn("event=backfill_forgotten file={} reason=\"{}\"", path_,
                 text.ok() ? "it can't be understood" : std::string(text.status().message()));
    return;
  }
  journal_relied_upon_ = journal_relied_upon;
  pending_ = record_->state == Sweep::State::kRunning || record_->state == Sweep::State::kPaused;
}

void Backfill::Start(const BackfillOptions& options) {
  CHECK(!active() && !sweep_->running());
  record_.emplace();
  record_->state = Sweep::State::kRunning;
  record_->why = "asked for";
  record_->options = options;
  record_->primary = keeper_->migration().primary();
  record_->started_ms = io_->clock()->WallMs();
  Begin(nullptr);
}

void Backfill::Begin(const SweepPlace* from) {
  pending_ = false;
  active_ = true;
  record_->source = lane_->primary().info();
  const SweepScope& scope = record_->options.scope;
  if (scope.whole()) keeper_->SweepStarted();
  spdlog::info("event=backfill_started whole={} type=\"{}\" db={} from_key={} resumed={}", scope.whole(), scope.type,
               scope.db, from == nullptr ? 0 : from->keys_done, record_->resumed);
  sweep_->Start(record_->why, scope, from);
  sweep_->SetRates(record_->options.keys_per_second, record_->options.bytes_per_second);
  if (record_->state == Sweep::State::kPaused) sweep_->SetPaused(true);
  Save();
}

void Backfill::SetPaused(bool paused) {
  CHECK(active());
  record_->state = paused ? Sweep::State::kPaused : Sweep::State::kRunning;
  if (active_) sweep_->SetPaused(paused);
  spdlog::info("event=backfill_{}", paused ? "paused" : "goes_on");
  Save();
}

void Backfill::SetRates(int64_t keys_per_second, int64_t bytes_per_second) {
  CHECK(active());
  record_->options.keys_per_second = keys_per_second;
  record_->options.bytes_per_second = bytes_per_second;
  if (active_) sweep_->SetRates(keys_per_second, bytes_per_second);
  Save();
}

void Backfill::Cancel(std::string why) {
  if (pending_) {
    pending_ = false;
    record_->state = Sweep::State::kFailed;
    record_->why = std::move(why);
    record_->ended_ms = io_->clock()->WallMs();
    Save();
  } else if (active_) {
    sweep_->Cancel(std::move(why));
  }
}

void Backfill::Suspend() {
  if (active_ || unsaved_) Save();
  suspended_ = true;
}

void Backfill::OnSweepEnded(bool finished) {
  if (!std::exchange(active_, false) || suspended_) return;
  record_->state = finished ? Sweep::State::kDone : Sweep::State::kFailed;
  record_->why = sweep_->why();
  record_->place = sweep_->place();
  record_->ended_ms = io_->clock()->WallMs();
  Save();
}

void Backfill::Tick() {
  if (suspended_) return;
  if ((active_ || unsaved_) && io_->clock()->NowUs() - saved_us_ >= kSaveMs * 1000) Save();
  if (!pending_ || sweep_->running() || !lane_->CanCopy()) return;
  const Migration& migration = keeper_->migration();
  if (!migration.distrust.empty()) return Cancel(migration.distrust);
  if (!migration.keep_secondary.empty()) return Cancel(migration.keep_secondary);
  ++record_->resumed;
  const SweepPlace& place = record_->place;
  const Link& side = place.secondary_side ? lane_->secondary() : lane_->primary();
  std::string anew;
  if (!journal_relied_upon_) anew = "which keys were in flight can't be known";
  if (dirty_->everything()) anew = "everything is dirty";
  if (migration.primary() != record_->primary) anew = "another store is primary";
  if (!SameProcess(record_->source, lane_->primary().info())) anew = "the primary is another process";
  if (place.db >= side.info().databases) anew = "the stores have fewer databases";
  if (!anew.empty()) spdlog::warn("event=backfill_anew reason=\"{}\"", anew);
  record_->primary = migration.primary();
  const SweepPlace from = place;
  Begin(anew.empty() ? &from : nullptr);
}

// A disk that is full keeps nobody from copying: a restart begins a little earlier then. It is tried again, or one that
// is over would begin anew after a restart.
void Backfill::Save() {
  saved_us_ = io_->clock()->NowUs();
  if (active_) record_->place = sweep_->place();
  const std::string text = ToJson(*record_).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  const absl::Status saved = storage_->Replace(path_, text);
  unsaved_ = !saved.ok();
  if (unsaved_) {
    spdlog::warn("event=backfill_not_saved error=\"{}\"", std::string(saved.message()));
  }
}

}  // namespace crossfade
