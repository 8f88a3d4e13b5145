// What the secondary gets for a write that the primary has accepted: the effect, not the intent. Pure: request, replies
// and clocks in, commands out. The rules are COMMANDS.md, section A, with the servers' own replication as their model.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "protocol/request.h"
#include "routing/command_table.h"
#include "routing/expiry_watch.h"

namespace crossfade {

// What the secondary must answer to one command; anything else makes the keys dirty.
struct Expectation {
  enum class Kind : uint8_t {
    kSame,  // what the primary answered, by the row's comparison rule
    kOk,
    kInteger,  // exactly `integer`
    kText,     // a string equal to `text`
    kReply,    // what agrees exactly with the reply in `text`, RESP
    kNumber,   // a number no further than `tolerance` from `number`; null is 0 (the old value that SET … GET reveals)
    kNoError,
  };
  Kind kind = Kind::kSame;
  int64_t integer = 0;
  double number = 0;
  double tolerance = 0;
  std::string text;
};

// A change to when a key expires, for ExpiryWatch. Applied when the secondary has answered.
struct ExpiryNote {
  enum class Kind : uint8_t { kSet, kInherit };
  Kind kind = Kind::kSet;
  std::string key;
  int db = -1;            // -1: the slot's
  ExpiryWindow window;    // kSet
  std::string inheritor;  // kInherit: this key now expires when `key` does …
  int inheritor_db = -1;  // … in this database; -1: the same one
};

struct Follow {
  std::string bytes;                                 // the commands for the secondary, ready to send
  absl::InlinedVector<Expectation, 1> expectations;  // one per command
  std::vector<ExpiryNote> expiries;
  bool unknown = false;  // the effect can't be told from the reply: the keys are dirty

  bool empty() const { return expectations.empty(); }
  void Clear();
};

// The moments and clocks around one write. All in milliseconds; a server's clock is the proxy's plus its offset.
struct WriteTimes {
  int64_t sent_ms = 0;  // when the request left for the primary, by the proxy's wall clock
  int64_t read_ms = 0;  // when its reply was read
  int64_t primary_offset_ms = 0;
  int64_t secondary_offset_ms = 0;
  int64_t uncertainty_ms = 5;  // of the offsets, and of a server's own cached clock
};

struct Accepted {
  const CommandRow& row;
  RequestView request;
  std::string_view reply;                   // the primary's; not an error
  std::span<const std::string> companions;  // replies to the companion commands
  WriteTimes times;
  // Does the primary create a consumer that reads or claims, also when there was nothing for it? Redis does since 7.2.
  bool eager_consumers = true;
  // May single fields of a hash expire there (Redis since 7.4, Valkey since 9)? A plain HSET would end that.
  bool field_expiry = false;
  // A script whose reply is each store's own.
  bool reply_varies = false;
  // Of EVALSHA: the body, when the secondary must be given it first. Also when its keys are only copied, for the day on
  // which it is the primary.
  std::string_view load_script = {};
};

// For the parts of Rewrite: appends one command for the secondary, and what it must answer.
void EmitFollow(Follow* follow, const std::vector<std::string_view>& args, Expectation::Kind kind, int64_t integer = 0,
                std::string text = {});
// … the client's own bytes, to be answered as the primary did.
void EmitVerbatim(const Accepted& accepted, Follow* follow);

// Appends to *follow. REQUIRES: row.route is kWrite and the reply is no error.
void Rewrite(const Accepted& accepted, Follow* follow);

}  // namespace crossfade
