// What is to be done with one request: decided from the table and the session, before anything is sent. Pure.
#pragma once

#include <string>

#include "protocol/request.h"
#include "routing/command_table.h"
#include "routing/session.h"

namespace crossfade {

struct Plan {
  enum class Act : uint8_t {
    kAnswer,       // `reply` is all there is
    kAnswerClose,  // … and the client is disconnected after it
    kRead,         // asked of one store, or of both to compare
    kWrite,        // run on the primary, followed by the secondary
    kBoth,         // sent to both, the primary's reply counts
    kTransaction,  // EXEC: what the session has queued, as one block
  };
  Act act = Act::kAnswer;
  const CommandRow* row = nullptr;
  KeyIndices keys;
  bool primary_only = false;  // kRead: never shifted
  bool comparable = true;     // kRead: false when it reads keys that its arguments don't name
};

// Decides; updates the session for commands that concern only it. For kAnswer and kAnswerClose the reply is appended to
// *reply, otherwise *reply is untouched. REQUIRES: request.argc() > 0.
Plan MakePlan(RequestView request, Session* session, std::string* reply);

}  // namespace crossfade
