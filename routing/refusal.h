// What an error reply says of the store, by its code: that it takes nothing of anybody now, or that it gives no answer
// to this question. Such an error tells nothing about the data. Pure.
#pragma once

#include <string_view>

#include "protocol/reply.h"

namespace crossfade {

// The code of an error reply. Dragonfly says OOM in its own way.
inline std::string_view RefusalCode(std::string_view error) {
  return error.starts_with("-ERR Out of memory") ? std::string_view("OOM") : ErrorCode(error);
}

// The store as a whole is in no state to take writes. Not here: WRONGTYPE and ERR, which are about one key or command,
// and NOPERM, which is about one user's rights to some commands.
inline bool RefusesAll(std::string_view code) {
  for (std::string_view known :
       {"READONLY", "OOM", "MISCONF", "LOADING", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "NOAUTH", "BUSY"}) {
    if (code == known) return true;
  }
  return false;
}

// Is this reply not to be held against another store's?
inline bool GivesNoAnswer(std::string_view reply) {
  if (!IsErrorReply(reply)) return false;
  const std::string_view code = RefusalCode(reply);
  return RefusesAll(code) || code == "NOPERM" || code == "TRYAGAIN";
}

}  // namespace crossfade
