// What the state directory knows of keys: those of the writes in flight (the file `journal`), and the dirty ones (the
// file `dirty`). After a crash of the proxy, exactly the keys whose outcome on the secondary is unknown are found in
// the two, and the dirty set begins with them. After one of the machine, or when a file is not what it was, any key may
// differ: then everything is dirty.
//
// Owned by Proxy; the lane appends to `in_flight`, the dirty set to `dirty`.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proxy/storage.h"
#include "routing/dirty_set.h"
#include "routing/key_log.h"

namespace crossfade {

class Journal {
 public:
  // What the last run left.
  struct Left {
    bool fresh = false;     // there was no journal
    std::string useless{};  // not empty: why the journal can't be relied on
    size_t in_flight = 0;   // writes whose outcome is unknown
    size_t dirty = 0;       // keys that were dirty
  };

  // Opens both files in `directory`, which is held; each may become `max_bytes` long. `storage` must outlive this.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(Storage* storage, const std::string& directory,
                                                       size_t max_bytes);

  // Hands what the last run left to the dirty set, which keeps its keys here from then on, as long as this lives. A
  // crash in the midst of it loses nothing. REQUIRES: called once, before anything is appended.
  Left Recover(DirtySet* dirty);

  KeyLog* in_flight() { return &in_flight_; }
  const KeyLog& in_flight() const { return in_flight_; }
  const KeyLog& dirty() const { return dirty_; }

  // Every second: room that was missing may be there again. Logs when it is missed, and when it is there.
  void Tick();
  // An orderly end: from here on even a start of the machine takes nothing away. Nothing may be appended any more.
  absl::Status Close();

 private:
  Journal(std::unique_ptr<DurableMemory> in_flight, std::unique_ptr<DurableMemory> dirty);

  std::unique_ptr<DurableMemory> in_flight_memory_, dirty_memory_;
  KeyLog in_flight_, dirty_;
  KeyLog::Found found_in_flight_, found_dirty_;
  std::string told_trouble_;
};

}  // namespace crossfade
