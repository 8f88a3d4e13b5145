// The audit trail: who has changed what, when, from what to what, and what happened by itself. Kept in the state
// directory as `audit.jsonl`, one JSON object a line, so that it reaches over restarts and crashes of the proxy.
//
// What always holds: an operator's change is on the disk, synced, before its answer goes out; what happens by itself is
// written at once and not synced, since that must delay no client. A disk that takes nothing keeps no operator from
// acting: entries then wait in memory, trouble() says so (and the status with it), and they are written as soon as
// there is room. A line that a crash has torn is passed over. Bounded: past kMaxFileBytes the older half of the file
// goes; kMaxKept entries are in memory for the API. Never a key's value or a credential: who records has seen to that.
// Owned by Proxy; runs on the loop thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "nlohmann/json_fwd.hpp"
#include "proxy/io.h"
#include "proxy/storage.h"

namespace crossfade {

struct AuditEntry {
  int64_t at_ms = 0;               // wall clock; Record fills it in
  std::string who = {};            // "token ci@127.0.0.1", "127.0.0.1", "ramp", "SIGHUP", "proxy": by itself
  std::string what = {};           // "reads_new", "flip", "breaker"
  std::string from = {}, to = {};  // may be empty
  std::string outcome = "done";    // "done", "refused", "failed"
  std::string reason = {};         // why, or what else is to be said; may be empty
};

nlohmann::json AuditEntryJson(const AuditEntry& entry);

class Audit {
 public:
  static constexpr size_t kMaxFileBytes = 4 << 20;
  static constexpr size_t kMaxKept = 1000;
  static constexpr size_t kMaxUnsaved = 1000;   // that wait for room on the disk; beyond: the oldest are lost, counted
  static constexpr size_t kMaxTextBytes = 512;  // of each text of an entry; what is longer is cut

  // Both must outlive this object; `directory` is held. `max_file_bytes`: for tests.
  Audit(Storage* storage, const Clock* clock, const std::string& directory, size_t max_file_bytes = kMaxFileBytes);

  // Is told of each entry, once it is on the disk or waits for it.
  void set_listener(std::function<void(const AuditEntry&)> listener) { listener_ = std::move(listener); }

  // What earlier runs have left. An unreadable trail is logged, and gone on with.
  void Load();

  // Somebody's change.
  void Record(AuditEntry entry) { Add(std::move(entry), true); }
  // What happened by itself.
  void Note(AuditEntry entry) { Add(std::move(entry), false); }
  // From time to time: writes what could not be written.
  void Retry();

  // Oldest first: the latest kMaxKept.
  const std::deque<AuditEntry>& entries() const { return entries_; }
  // Ever grows in a run: whoever shows entries as they come sees by it that there are more.
  uint64_t recorded() const { return recorded_; }
  // The run before this one has said that it stopped, or there was none.
  bool last_run_ended() const { return last_run_ended_; }
  // Why the latest entries are not on the disk; empty when they are.
  const std::string& trouble() const { return trouble_; }
  size_t unsaved() const { return unsaved_.size(); }
  uint64_t lost() const { return lost_; }

 private:
  void Add(AuditEntry entry, bool sync);
  void Save(bool sync);
  absl::Status DropOlderHalf();

  Storage* storage_;
  const Clock* clock_;
  const std::string path_;
  const size_t max_file_bytes_;
  std::function<void(const AuditEntry&)> listener_;
  std::deque<AuditEntry> entries_;
  std::deque<std::string> unsaved_;  // lines
  std::string trouble_;
  size_t size_ = 0;    // of the file
  bool torn_ = false;  // the file may end in the middle of a line
  bool last_run_ended_ = true;
  uint64_t recorded_ = 0, lost_ = 0;
};

}  // namespace crossfade
