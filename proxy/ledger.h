// Keeps the figures of a migration over restarts of the proxy (`ledger.json` in the state directory): what has been
// counted, how long, by which runs, and what is missing. The report is made of it.
//
// What always holds: figures only grow, until the state directory is used for other stores. Each figure is counted
// twice: ever, and while the stores were taken to agree. They are, from when the stores are first synced until the
// status says that they are not; copying everything once more doesn't change it. What was counted since the last look
// belongs to the state that was seen then, so that what ended the agreement counts as seen while it lasted.
//
// Saved every kSaveMs, and at once (at most kUrgentMs later) when something was found to differ: the file is replaced
// as a whole, without waiting for the disk. So a killed proxy loses at most the last kSaveMs, and its next start counts
// the crash. A file that can't be understood is put aside, the figures begin anew, and the report says so. That it
// can't be saved harms nothing but the report. Owned by Proxy; runs on the loop thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/io.h"
#include "proxy/ledger_figures.h"
#include "proxy/second_look.h"
#include "proxy/storage.h"
#include "proxy/verify_result.h"

namespace crossfade {

// The proxy, at one instant. Borrowed for the call.
struct LedgerLook {
  const Counters* counters = nullptr;
  const Coverage* coverage = nullptr;
  const LatencyHistogram* latency[2][std::size(kLatencyClasses)] = {};
  const VerifyResult* verify = nullptr;
  const std::deque<Mismatch>* mismatches = nullptr;
  Synced synced = Synced::kNo;
  std::string_view unsynced_why;
  bool following = false, everything_dirty = false;
  bool up[2] = {false, false};
  std::string_view config_hash;
};

class Ledger {
 public:
  static constexpr int64_t kSaveMs = 5000, kUrgentMs = 500;

  // Both must outlive this object; `directory` is held. `look` is called by the functions below.
  Ledger(Io* io, Storage* storage, const std::string& directory, std::function<LedgerLook()> look);

  // What the runs before this one have left. `instance` names the migration that the directory belongs to; `awaited`:
  // there was a run before this one, so figures are missing if there are none. Once, before anything else.
  void Load(const std::string& instance, bool awaited);
  // Several times a second, and right before and after the stores begin to be taken to agree.
  void Tick();
  void NotePreflight(const std::vector<Finding>& findings);
  // As of now.
  const LedgerFigures& Take();
  // The proxy has ended in order.
  void Close();

 private:
  // Something that may not be as it should, and since when it isn't.
  struct Watch {
    const char* what;
    size_t spell;  // one more than its number among all spells ever; 0: all is well
  };

  void Settle(const LedgerLook& look);
  void Count(const LedgerLook& look);
  void CountTables(const LedgerLook& look);
  void NoteMismatches(const LedgerLook& look, uint64_t fresh);
  void NoteVerification(const LedgerLook& look);
  void NoteSpell(Watch* watch, bool wrong, std::string_view why);
  void Begin(bool lost);
  void Resume();
  void Save(bool at_the_end);
  int64_t now_ms() const { return io_->clock()->NowUs() / 1000; }

  Io* io_;
  Storage* storage_;
  const std::string path_;
  std::function<LedgerLook()> look_;
  LedgerFigures figures_;
  LatencyHistogram earlier_latency_[2][std::size(kLatencyClasses)];  // of the runs before this one
  Counters counted_;                                                 // of this run, as far as they are in figures_
  Tallies counted_commands_, counted_prefixes_;
  bool looked_ = false;    // there was a first look: the proxy is whole
  bool watching_ = false;  // at the last look all was as it must be while the stores are observed
  int64_t looked_ms_ = 0, saved_ms_ = 0, saved_verification_ms_ = 0;
  bool urgent_ = false, closed_ = false, save_failed_ = false;
  Watch watches_[5];
};

}  // namespace crossfade
