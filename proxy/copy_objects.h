// Copies what is no key from the primary to the secondary: function libraries and ACL users. On connections of its own,
// beside the lane: each is a whole that can be set again, and what changes meanwhile is looked at again.
//
// Functions: FUNCTION DUMP and RESTORE … REPLACE; where that is refused, library by library with FUNCTION LOAD REPLACE.
// FUNCTION LOAD, DELETE and FLUSH of applications go to both stores anyway (Route::kBoth), and may cross with a copy:
// so both lists are compared afterwards, and what differs is copied again, at most kRounds times. Users: ACL SETUSER
// with `reset` first, so that a user is all that it is on the primary and nothing else; passwords go as hashes. Never
// the user that Crossfade itself is on the secondary.
//
// What always holds: nothing is removed; what only the secondary has is named. Every part is told: copied, equal
// already, skipped or refused with the reason. Hashes and code are in no log line and in no answer. Ends by itself:
// each question has a deadline. Owned by Proxy.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/store_asker.h"

namespace crossfade {

struct CopyReport {
  struct Exception {
    std::string name, why;
  };
  // Not OK: nothing could be begun. Unavailable: a store can't be reached; FailedPrecondition: one doesn't allow it, or
  // another copy is running.
  absl::Status status;
  std::vector<std::string> copied, equal, only_on_secondary;
  std::vector<Exception> skipped, refused;
};

class ObjectCopy {
 public:
  using Done = std::function<void(const CopyReport&)>;
  enum class What : uint8_t { kFunctions, kUsers };

  // Both must outlive this object.
  ObjectCopy(Io* io, const Config* config);
  ~ObjectCopy();

  // One at a time. `done` is not called once this object is gone.
  void Run(What what, Side primary, Done done);

 private:
  class Course;

  void Finish();

  Io* io_;
  const Config* config_;
  std::unique_ptr<Timer> ending_;  // nobody dies in its own callback
  std::unique_ptr<Course> course_;
  Done done_;
};

}  // namespace crossfade
