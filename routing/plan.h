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
    kBlock,        // waits in the proxy until its non-blocking form finds something
    kWatch,        // WATCH, on a connection of its own
    kSubscribe,    // SUBSCRIBE and its kin, on a connection of its own
    kMonitor,
    kErrand,   // one command on a connection of its own (WAIT, admin commands)
    kService,  // answered from what the proxy knows of all clients
    kLogin,    // AUTH, HELLO AUTH with credentials that the stores must judge
    kLocal,    // what the session answers (Session::Answer), if the primary lets this other user run it
    kQueued,   // in a transaction of another user: `reply` is the answer if the primary lets that user run it
  };
  Act act = Act::kAnswer;
  const CommandRow* row = nullptr;
  KeyIndices keys;
  bool primary_only = false;  // kRead: never shifted
  bool comparable = true;     // kRead: false when it reads keys that its arguments don't name
};

// The row of a request: the table's, or one that the primary has told of (a module's). nullptr when nobody knows it.
// REQUIRES: request.argc() > 0.
const CommandRow* FindRow(RequestView request, const Session& session);

// Must everything that the client asked before be answered first, and this before what it asks next? So it is with
// whatever leaves the lane: another connection's order is not the lane's. `row` may be nullptr.
bool RunsAlone(const CommandRow* row, RequestView request, const Session& session);

// Decides; updates the session for commands that concern only it. For kAnswer and kAnswerClose the reply is appended to
// *reply, otherwise *reply is untouched. `row` is what FindRow has found. REQUIRES: request.argc() > 0.
Plan MakePlan(const CommandRow* row, RequestView request, Session* session, std::string* reply);
inline Plan MakePlan(RequestView request, Session* session, std::string* reply) {
  return MakePlan(FindRow(request, *session), request, session, reply);
}

}  // namespace crossfade
