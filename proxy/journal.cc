#include "proxy/journal.h"

#include <algorithm>
#include <utility>

#include "protocol/fault.h"
#include "spdlog/spdlog.h"

namespace crossfade {

Journal::Journal(std::unique_ptr<DurableMemory> in_flight, std::unique_ptr<DurableMemory> dirty)
    : in_flight_memory_(std::move(in_flight)),
      dirty_memory_(std::move(dirty)),
      in_flight_(in_flight_memory_.get()),
      dirty_(dirty_memory_.get()) {}

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(Storage* storage, const std::string& directory,
                                                       size_t max_bytes) {
  auto in_flight = storage->Map(directory + "/journal", max_bytes);
  if (!in_flight.ok()) return in_flight.status();
  auto dirty = storage->Map(directory + "/dirty", max_bytes);
  if (!dirty.ok()) return dirty.status();
  auto journal = std::unique_ptr<Journal>(new Journal(std::move(*in_flight), std::move(*dirty)));
  const std::string boot_id = storage->BootId();
  if (absl::Status opened = journal->dirty_.Open(boot_id, &journal->found_dirty_); !opened.ok()) return opened;
  if (absl::Status opened = journal->in_flight_.Open(boot_id, &journal->found_in_flight_); !opened.ok()) return opened;
  return journal;
}

Journal::Left Journal::Recover(DirtySet* dirty) {
  Left left;
  left.fresh = found_in_flight_.fresh || found_dirty_.fresh;
  left.useless = found_in_flight_.useless.empty() ? found_dirty_.useless : found_in_flight_.useless;
  dirty->set_log(&dirty_);
  dirty_.Visit([&](KeyLog::Place place, uint8_t tag, std::span<const KeyLog::Key> keys) {
    const auto cause = static_cast<DirtyCause>(std::min<int>(tag, kDirtyCauses - 1));
    for (const KeyLog::Key& key : keys) dirty->Adopt(key.db, key.name, cause, place);
    ++left.dirty;
  });
  if (in_flight_.everything() || dirty_.everything()) {
    dirty->MarkEverything(0);
    in_flight_.SetEverything(false);
  }
  // Each is dirty on disk before it leaves the journal.
  in_flight_.Visit([&](KeyLog::Place place, uint8_t, std::span<const KeyLog::Key> keys) {
    for (const KeyLog::Key& key : keys) {
      if (!FAULT(kForgetOnRestart)) dirty->Mark(key.db, key.name, DirtyCause::kUnknownOutcome, 0);
    }
    in_flight_.Erase(place);
    ++left.in_flight;
  });
  return left;
}

void Journal::Tick() {
  in_flight_.Retry();
  dirty_.Retry();
  const std::string& trouble = in_flight_.trouble().empty() ? dirty_.trouble() : in_flight_.trouble();
  if (trouble == told_trouble_) return;
  told_trouble_ = trouble;
  if (trouble.empty()) {
    spdlog::info("event=journal_has_room");
  } else {
    spdlog::error("event=journal_without_room reason=\"{}\"", trouble);
  }
}

absl::Status Journal::Close() {
  if (absl::Status closed = dirty_.Close(); !closed.ok()) return closed;
  return in_flight_.Close();
}

}  // namespace crossfade
