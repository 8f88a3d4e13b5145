// The backfill that an operator asked for: which keys and how fast, held and gone on with, and remembered over restarts
// of the proxy in the state directory (`backfill.json`). The work is the Sweep's; sweeps that begin by themselves,
// because everything is dirty, are not its business.
//
// What always holds: a backfill goes on where it stopped only if the keys that were in flight then are known (the
// journal could be relied on), not everything is dirty, and the primary is the same process: a cursor of SCAN means
// nothing to another. Otherwise it begins anew. Only a backfill of all keys makes the stores synced. Where it stands is
// saved every kSaveMs, so a crash costs copying a few keys once more. Owned by Proxy; runs on the loop thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proxy/backfill_record.h"
#include "proxy/io.h"
#include "proxy/keeper.h"
#include "proxy/lane.h"
#include "proxy/storage.h"
#include "proxy/sweep.h"
#include "routing/migration.h"

namespace crossfade {

class Backfill {
 public:
  // All must outlive this object; `directory` is held.
  Backfill(Io* io, Storage* storage, const std::string& directory, DirtySet* dirty, Lane* lane, Keeper* keeper,
           Sweep* sweep);

  // What the last run was at. `journal_relied_upon`: the keys in flight at its end are known.
  void Load(bool journal_relied_upon);

  // It runs, rests, or will go on once both stores can be reached.
  bool active() const { return active_ || pending_; }
  // REQUIRES: !active(), and the sweep isn't running.
  void Start(const BackfillOptions& options);
  // REQUIRES: active().
  void SetPaused(bool paused);
  void SetRates(int64_t keys_per_second, int64_t bytes_per_second);
  void Cancel(std::string why);
  // Nothing more happens in this run of the proxy, and the next one goes on.
  void Suspend();

  // The sweep has ended, whoever began it.
  void OnSweepEnded(bool finished);
  // Several times a second. Goes on with what the last run was at as soon as that is possible; saves.
  void Tick();

  // The newest one; nullopt: there was none.
  const std::optional<BackfillRecord>& record() const { return record_; }
  // Waits for the stores.
  bool pending() const { return pending_; }

 private:
  static constexpr int64_t kSaveMs = 5000;

  void Begin(const SweepPlace* from);
  void Save();

  Io* io_;
  Storage* storage_;
  const std::string path_;
  DirtySet* dirty_;
  Lane* lane_;
  Keeper* keeper_;
  Sweep* sweep_;
  std::optional<BackfillRecord> record_;
  bool journal_relied_upon_ = false;
  bool active_ = false;     // the sweep is this backfill's
  bool pending_ = false;    // to be gone on with
  bool unsaved_ = false;    // the file says something else
  bool suspended_ = false;  // the proxy is ending
  int64_t saved_us_ = 0;
};

}  // namespace crossfade
