// What Crossfade knows of each Redis command: a row per command and per subcommand of Redis 7.0
// to 8.10, Valkey 9.1, their module types, and the few of Dragonfly's own.
//
// A row holds what the server's own COMMAND reply says (arity, flags, key positions: tests/integration compares them
// with a real server's) and what Crossfade does with the command (COMMANDS.md in prose): how it is carried out, what
// the secondary gets instead, how replies are compared. Rows are constant data; looking one up allocates nothing.
// A command that is not in the table is refused: nothing is ever passed through in the hope that it works.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "protocol/request.h"

namespace crossfade {

// How a command is carried out.
enum class Route : uint8_t {
  kRead,         // asked of one store; may be shifted and compared (unless `compare` is kNever or it needs one server)
  kPrimaryRead,  // answered by the primary, never shifted: cursors, random picks, server introspection. Still compared
                 // unless `compare` is kNever
  kWrite,        // run on the primary; `effect` says what the secondary gets
  kBoth,         // sent to each, replies not compared (PUBLISH)
  kLocal,        // the proxy answers, from what this client has said
  kService,      // the proxy answers, from what it knows of all clients (CLIENT LIST)
  kPrivate,      // needs a connection of its own to the primary (WATCH, SUBSCRIBE, MONITOR, WAIT)
  kAdmin,        // asked of the primary alone if `admin_commands` allows it; otherwise answered with `refusal`
  kRefused,      // answered with `refusal`
};

// What the secondary gets once the primary has accepted a write. Rules: COMMANDS.md, section A; code: rewrite.cc.
enum class Effect : uint8_t {
  kNone,
  kVerbatim,            // the same bytes
  kVerbatimIfPositive,  // integer reply > 0: the same bytes, otherwise nothing (LPUSHX, LINSERT, MOVE, PERSIST)
  kVerbatimIfNotNull,   // reply not null: the same bytes, otherwise nothing (LMOVE, RPOPLPUSH)
  kSet,
  kSetEx,
  kSetNx,
  kGetSet,
  kGetDel,
  kGetEx,
  kMsetNx,
  kMsetEx,
  kDeleteIf,  // integer reply 1: the key is deleted (DELEX, DELIFEQ)
  kIncrByFloat,
  kBitfield,
  kExpire,
  kRenameNx,
  kCopy,
  kRestore,
  kPop,
  kMultiPop,
  kSetMove,
  kSetPop,
  kHashSetNx,
  kHashIncrByFloat,
  kHashExpire,
  kHashPersist,
  kHashSetEx,
  kHashGetEx,
  kHashGetDel,
  kSortedSetAdd,
  kSortedSetPop,
  kSortedSetMultiPop,
  kStreamAdd,
  kStreamTrim,
  kStreamReadGroup,
  kStreamClaim,
  kStreamAutoClaim,
  kTimeSeriesAdd,
  kTimeSeriesMultiAdd,
  kTimeSeriesIncrement,
  kCopyKeys,           // the touched keys are copied after it (DUMP and PTTL on the primary, RESTORE or DEL)
  kPfCount,            // writes a cache into the string; verbatim
  kBlockingPop,        // BLPOP, BRPOP inside EXEC: [key, element]
  kBlockingMove,       // BLMOVE, BRPOPLPUSH inside EXEC: the same without the timeout
  kBlockingSortedPop,  // BZPOPMIN, BZPOPMAX inside EXEC: [key, member, score]
  kScript,             // run again on the secondary, or its keys are copied: as ScriptBook says
  kModule,             // not in the table: the same bytes, and its keys are compared again
  kMigrate,            // the keys are gone; after an error some may be
};

// How two replies to the same read are compared (COMMANDS.md, column Cmp), and how the secondary's reply to a
// verbatim write is held against the primary's.
enum class CompareRule : uint8_t {
  kExact,       // same value; RESP2 and RESP3 shapes, and null forms, are equal
  kMultiset,    // same elements in any order
  kMapPairs,    // same field-value pairs in any order
  kFloat,       // numbers compare as numbers, everything else exactly
  kGeo,         // as kFloat, with the tolerance of coordinates (1e-6) and distances (1e-4)
  kGeoSearch,   // multiset, unless ASC, DESC or COUNT was given; numbers as kGeo
  kSort,        // SORT: exact, but a multiset with BY nosort
  kTtlSeconds,  // within a second and the lag
  kTtlMillis,   // within the lag and 100 ms
  kStreamInfo,  // XINFO, XPENDING: without idle times, radix tree internals, lag, entries-read
  kErrorsOnly,  // both an error or neither
  kNever,
};

// Where a command's keys are. kRange uses first_key, last_key and step as COMMAND gives them.
enum class KeyRule : uint8_t {
  kNone,
  kRange,           // argv[first_key .. last_key] every step; a negative last_key counts from the end
  kNumKeysAt1,      // LMPOP numkeys key …: count at argv[1]
  kNumPairsAt1,     // MSETEX numkeys key value …: every second behind the count
  kNumKeysAt2,      // EVAL script numkeys key …, BLMPOP, BZMPOP: count at argv[2]
  kDestNumKeysAt2,  // ZUNIONSTORE dest numkeys key …
  kStreams,         // XREAD, XREADGROUP: first half of what follows STREAMS
  kSort,            // SORT: argv[1] and the last STORE's argument
  kGeoStore,        // GEORADIUS…: argv[1] and STORE's or STOREDIST's argument
  kMigrate,         // MIGRATE: argv[3], or what follows KEYS
};

// Flags as COMMAND names them; only those that Crossfade uses or tests.
enum CommandFlag : uint32_t {
  kFlagWrite = 1 << 0,
  kFlagReadonly = 1 << 1,
  kFlagDenyOom = 1 << 2,
  kFlagAdmin = 1 << 3,
  kFlagPubsub = 1 << 4,
  kFlagNoscript = 1 << 5,
  kFlagBlocking = 1 << 6,
  kFlagLoading = 1 << 7,
  kFlagStale = 1 << 8,
  kFlagFast = 1 << 9,
  kFlagNoAuth = 1 << 10,
  kFlagMovableKeys = 1 << 11,
  kFlagNoMulti = 1 << 12,
  kFlagMayReplicate = 1 << 13,
  kFlagSkipMonitor = 1 << 14,
  kFlagSkipSlowlog = 1 << 15,
  kFlagAsking = 1 << 16,
  kFlagAllowBusy = 1 << 17,
  kFlagNoAsyncLoading = 1 << 18,
  kFlagNoMandatoryKeys = 1 << 19,
  kFlagProtected = 1 << 20,
};

struct CommandRow {
  std::string_view name;          // lower case; a subcommand's is "xgroup|create", as COMMAND gives it
  int arity;                      // as COMMAND: n exactly, -n at least, the command's own name(s) included
  uint32_t flags;                 // CommandFlag bits
  int first_key, last_key, step;  // as COMMAND gives them
  KeyRule keys;
  Route route;
  Effect effect;  // kNone unless route is kWrite
  CompareRule compare;
  std::string_view
      refusal;  // for kRefused and kAdmin: why, and what to do instead. Shown to users, and listed in the README
};

// A container command (XGROUP, CLIENT …) has a row of its own and one per subcommand.
// Returns the row of argv[0], or of argv[0]|argv[1] where argv[0] is a container and argv[1] one of its subcommands
// (the container's own row if it is not). nullptr when the table doesn't know the command. Case doesn't matter.
// REQUIRES: request.argc() > 0.
const CommandRow* FindCommand(RequestView request);

// By its lower-case name, "get" or "xgroup|create". nullptr when there is none.
const CommandRow* FindCommandByName(std::string_view name);

// As people write it: XGROUP CREATE.
std::string SpelledCommand(std::string_view name);

// All rows, ordered by name.
std::span<const CommandRow> AllCommands();

// Is this one that Redis 7.0 lacks: of a later version, of another server, of a module?
bool IsNewer(const CommandRow& row);

// Is the number of arguments one that the server accepts?
bool ArityMatches(int arity, size_t argc);
inline bool ArityMatches(const CommandRow& row, size_t argc) {
  return ArityMatches(row.arity, argc);
}

// Does the name of this row stand for subcommands ("xgroup")?
bool IsContainer(const CommandRow& row);

// Indices into argv of the keys, in the order in which the server's COMMAND GETKEYS gives them.
using KeyIndices = absl::InlinedVector<uint32_t, 4>;

// The keys of a request. Malformed requests (which the server will answer with an error) give the keys found so far;
// never an index outside argv.
KeyIndices FindKeys(const CommandRow& row, RequestView request);

// ASCII case-insensitive equality, for keywords.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

}  // namespace crossfade
