// One command's place in the lane: what was asked, by whom, and how far each side has come with it. Plain data; the
// lane owns all slots, in a pool that never moves them, and is the only one that changes them.
//
// A slot goes back to the pool when both halves are over. It is in the secondary's queue exactly while its secondary
// half is kPending, kReady or kSkipped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "protocol/request.h"
#include "routing/block.h"
#include "routing/command_table.h"
#include "routing/dirty_set.h"
#include "routing/key_log.h"
#include "routing/rebuild_commands.h"
#include "routing/rewrite.h"
#include "routing/script_book.h"
#include "routing/session.h"

namespace crossfade {

// Whom an answer is for: a client's id, and the number of its request. client 0: nobody.
struct ReplyTo {
  uint64_t client = 0;
  uint64_t sequence = 0;
};

enum class Half : uint8_t {
  kNone,     // this side is not asked
  kPending,  // secondary: its turn is reserved, the primary hasn't answered. Primary: waits to be asked again
  kReady,    // secondary: its bytes are known
  kSkipped,  // secondary: nothing to send, but the turn has yet to pass
  kSent,     // asked, not answered
  kDone,
};

// What a question of the proxy's own got. `status` is not OK when a side broke before it had answered all.
struct Answers {
  absl::Status status;
  std::vector<std::string> primary, secondary;
};

// How the copy of one key ended.
struct CopyResult {
  bool copied = false;
  size_t bytes = 0;  // that the secondary was sent
  std::string_view
      refusal;  // the error with which a store refused it, RESP; empty when none did. Valid during the call
  operator bool() const { return copied; }
};

struct Slot {
  enum class Kind : uint8_t { kRead, kWrite, kTransaction, kCopy, kQuestion };

  // Clears everything for a new use; keeps the capacity of what small commands need.
  void Reset();

  Kind kind = Kind::kRead;
  Half primary = Half::kNone;
  Half secondary = Half::kNone;
  uint8_t protocol = 2;
  bool shifted = false;                            // the secondary's answer goes to the client
  bool compare = false;                            // both answers are held against each other
  bool warm = false;                               // the secondary missed: if the primary has it, the key is copied
  bool retried = false;                            // the primary was asked once already
  bool after_error = false;                        // the secondary answered an error, so the primary is asked
  bool wait_for_both = false;                      // ack = both: the client waits for the secondary
  bool diverged = false;                           // an expectation was not met
  bool refused = false;                            // … because the secondary answered an error
  bool no_follow = false;                          // changes no data: the secondary's answer doesn't matter
  bool multi_refused = false;                      // of a block: its commands may have run one by one
  bool unfollowed = false;                         // it has no turn on the secondary, and the primary has yet to answer
  DirtyCause missed = DirtyCause::kSecondaryAway;  // why there is no secondary half
  OnMiss on_miss = OnMiss::kNil;
  int db = 0;
  LoginId login = 0;   // by whose rights the primary runs it
  uint64_t order = 0;  // place in the lane; unique for ever
  ReplyTo to;
  const CommandRow* row = nullptr;
  const CommandRow* differed = nullptr;  // of EXEC: the first command on which the secondary did not agree
  KeyIndices keys;
  Request request;
  int64_t sent_us = 0;
  int64_t answered_us = 0;  // when the primary's reply came, if that was not on the lane's own connection; else 0
  int primary_left = 0;     // replies still to come
  int secondary_left = 0;
  size_t in_flight_bytes = 0;                   // what it counts for in what the primary has yet to answer
  KeyLog::Place journalled = KeyLog::kNowhere;  // its keys, from before the primary is asked until both sides are over
  size_t charged_bytes = 0;                     // … and in the secondary's backlog
  std::string primary_reply;
  std::string secondary_reply;
  std::vector<std::string> companions;
  Follow follow;

  // Only for a few kinds.
  std::vector<QueuedCommand> transaction;
  std::vector<std::string> element_replies;  // of EXEC, rendered again
  BlockFollow block;                         // which element each expectation belongs to
  BlockCopies copies;                        // of EXEC: what is copied after it
  ScriptPlan script;                         // of EVAL, EVALSHA, FCALL
  DirtySet::Key copy_key;
  ValueType copy_as = ValueType::kNone;  // by which type's commands; kNone: DUMP and RESTORE
  size_t copy_bytes = 0;                 // of the copy, once they are known
  std::function<void(const CopyResult&)> copy_done;
  std::function<void(const Answers&)> question_done;
  Answers answers;
};

// All slots, used and free. Pointers stay valid until Free, and a freed slot is handed out again.
class SlotPool {
 public:
  Slot* Take();
  void Free(Slot* slot);
  size_t in_use() const { return slots_.size() * kChunk - free_.size(); }

  static constexpr size_t kWarmSlots = 1024;  // the free slots that are taken next keep what they have grown to

 private:
  static constexpr size_t kChunk = 64;
  std::vector<std::unique_ptr<Slot[]>> slots_;
  std::vector<Slot*> free_;  // the last is taken next
  size_t cold_ = 0;          // the first of free_ that have given their memory back
};

}  // namespace crossfade
