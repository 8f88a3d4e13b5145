// Any text as one of the files of the state directory that are JSON (state.json, backfill.json, verify.json,
// ramp.json, ledger.json): it is refused, or it says what can be acted on, and says the same after it was saved and
// read again. Nothing throws.
#include <cstdint>
#include <string>

#include "proxy/backfill_record.h"
#include "proxy/ledger_json.h"
#include "proxy/ramp_record.h"
#include "proxy/state_file.h"
#include "proxy/verify_result.h"
#include "tests/fuzz/memory_storage.h"
#include "tests/fuzz/require.h"

namespace crossfade {
namespace {

void ReadBackfill(const std::string& text) {
  const auto record = ReadBackfillText(text);
  if (!record) return;
  Require(record->state != Sweep::State::kIdle, "it has begun");
  Require(record->place.db >= 0 && !record->place.cursor.empty(), "it can be gone on with");
  Require(record->options.keys_per_second >= 0 && record->options.bytes_per_second >= 0, "a rate is a rate");
  const std::string saved = BackfillText(*record);
  const auto again = ReadBackfillText(saved);
  Require(again && BackfillText(*again) == saved, "a backfill says the same");
}

void ReadVerify(const std::string& text) {
  VerifyResult result;
  if (!ReadVerifyJson(text, &result)) {
    Require(result.state == VerifyState::kIdle, "what is refused leaves nothing");
    return;
  }
  Require(result.options.sample > 0 && result.options.sample <= 100, "a sample is a part");
  Require(result.differences.size() <= VerifyResult::kMaxListed, "at most so many are listed");
  const std::string saved = VerifyJson(result, VerifyResult::kMaxListed).dump();
  VerifyResult again;
  Require(ReadVerifyJson(saved, &again), "what was saved can be read");
  Require(VerifyJson(again, VerifyResult::kMaxListed).dump() == saved, "a verification says the same");
  VerifyJson(result, 0);
}

void ReadRamp(const std::string& text) {
  const auto record = ReadRampText(text);
  if (!record) return;
  Require(record->step < record->options.steps.size() && WhyNotSteps(record->options.steps).empty(), "it has steps");
  Require(record->entries.size() <= RampRecord::kMostEntries, "at most so many are listed");
  JudgeRamp(record->options.limits.Over({}), record->counted, record->options.every_ms);
  const std::string saved = RampText(*record);
  const auto again = ReadRampText(saved);
  Require(again && RampText(*again) == saved, "a ramp says the same");
}

void ReadLedger(const std::string& text) {
  const auto figures = ReadLedgerText(text);
  if (!figures) return;
  Require(figures->running_ms >= 0 && figures->observed_ms >= 0, "a span is a span");
  Require(figures->commands.size() <= LedgerFigures::kMostTallies, "at most so many commands");
  for (const LedgerFigures::Gap& gap : figures->gaps.items) Require(gap.to_ms >= gap.from_ms, "a gap ends later");
  for (const LatencyHistogram& histogram : figures->latency[0]) {
    Require(histogram.count() <= LedgerFigures::kMostFigure, "replies can be counted");
  }
  const std::string saved = LedgerText(*figures);
  const auto again = ReadLedgerText(saved);
  Require(again && LedgerText(*again) == saved, "a ledger says the same");
}

}  // namespace
}  // namespace crossfade

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace crossfade;
  ReadBackfill(std::string(InputText(data, size)));
  ReadVerify(std::string(InputText(data, size)));
  ReadRamp(std::string(InputText(data, size)));
  ReadLedger(std::string(InputText(data, size)));
  MemoryStorage storage;
  std::string& file = storage.files["d/state.json"];
  file = InputText(data, size);
  const auto state_file = *StateFile::Open(&storage, "d");
  const auto state = state_file->Load();
  if (!state.ok()) {
    Require(state.status().code() == absl::StatusCode::kDataLoss, "what can't be understood is refused");
    Require(file == InputText(data, size), "and left as it was");
    return 0;
  }
  Require(state->has_value(), "there is a file");
  const Migration& migration = (*state)->migration;
  const auto percent = [](double value) { return value >= 0 && value <= 100; };
  Require(percent(migration.routing.reads_new) && percent(migration.routing.compare), "percentages are percentages");
  for (const FlipRecord& flip : migration.flips) {
    Require(flip.pause_ms == flip.pause_ms, "a pause is a number");
  }
  Require(state_file->Save(**state).ok(), "it can be saved");
  const std::string saved = file;
  const auto again = state_file->Load();
  Require(again.ok() && again->has_value(), "what was saved can be read");
  Require(state_file->Save(**again).ok() && file == saved, "and says the same");
  return 0;
}
