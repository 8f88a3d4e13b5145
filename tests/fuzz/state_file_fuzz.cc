// Any text as state.json: it is refused, or it is a state that can be acted on, and that says the same after it was
// saved and read again. Nothing throws.
#include <cstdint>
#include <string>

#include "proxy/state_file.h"
#include "tests/fuzz/memory_storage.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace crossfade;
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
