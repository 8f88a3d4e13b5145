// What an error reply says of the store, by its code: that it takes nothing of anybody now, or that it gives no answer
// to this question. Such an error tells nothing about the data. Pure.
#pragma once

#include <string_view>

namespace crossfade {

// The store as a whole is in no state to take writes. Not here: WRONGTYPE and ERR, which are about one key or command,
// and NOPERM, which is about one user's rights to some commands.
inline bool RefusesAll(std::string_view code) {
  for (std::string_view known : {"READONLY", "OOM", "MISCONF", "LOADING", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN",
                                 "NOAUTH", "BUSY", "UNKILLABLE"}) {
    if (code == known) return true;
  }
  return false;
}

// Not to be held against another store's answer.
inline bool IsNoAnswer(std::string_view code) {
  return RefusesAll(code) || code == "NOPERM";
}

}  // namespace crossfade
