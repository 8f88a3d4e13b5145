// The mistakes of one configuration, collected so that they can all be shown at once, and where each was made. Owned by
// the loader for one load. Decides nothing about what is a mistake.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace crossfade {

// Where a value was given: what its errors begin with.
struct Place {
  std::string key;   // the dotted key, or the flag's name; empty: not given
  int64_t line = 0;  // of the file; 0: of no line in particular
  bool is_flag = false;
  bool is_valid = false;  // set by who has read the value without a mistake
};

class Mistakes {
 public:
  // `file_name` may be empty: there is no file.
  explicit Mistakes(std::string file_name);

  // "FILE:LINE: KEY: WHAT", or "KEY: WHAT" for a flag.
  void Add(const Place& place, const std::string& what);

  bool empty() const { return by_rank_.empty(); }

  // One line each: by line of the file, then those of the whole file, then those of the flags.
  // REQUIRES: !empty()
  absl::Status ToStatus() const;

 private:
  std::string file_name_;
  std::multimap<int64_t, std::string> by_rank_;
};

// The name among `known` that is at most two slips away from `name`; else the one of `elsewhere` (full dotted names)
// whose last part is `name`; else "".
std::string NearestName(const std::string& name, const std::vector<std::string>& known,
                        const std::vector<std::string>& elsewhere);

}  // namespace crossfade
