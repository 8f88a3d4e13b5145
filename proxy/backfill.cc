#include "proxy/backfill.h"

#include <utility>

#include "protocol/check.h"
#include "spdlog/spdlog.h"

namespace crossfade {

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
  if (text.ok()) record_ = ReadBackfillText(**text);
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
  const absl::Status saved = storage_->Replace(path_, BackfillText(*record_));
  unsaved_ = !saved.ok();
  if (unsaved_) {
    spdlog::warn("event=backfill_not_saved error=\"{}\"", std::string(saved.message()));
  }
}

}  // namespace crossfade
