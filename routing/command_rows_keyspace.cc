// Rows of strings, bitmaps, HyperLogLogs, and of the commands that work on a key of any type.
// COMMANDS.md: A1, A2. The order here is by meaning; the table sorts.
#include "routing/command_rows.h"

namespace crossfade {

namespace {

constexpr std::string_view kTestAid =
    "Crossfade does not carry commands that test Redis itself. Run it on a store directly.";

constexpr CommandRow kKeyspaceRows[] = {
    // Strings. An INCR is repeated as it is: its reply, the new value, shows a drift at once.
    ReadRow("get", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("getrange", 4, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("substr", 4, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("strlen", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("mget", -2, kFlagsReadFast, kAllKeys, CompareRule::kExact),
    ReadRow("lcs", -3, kFlagReadonly, kFirstTwoKeys, CompareRule::kExact),
    WriteRow("set", -3, kFlagsWriteOom, kFirstKey, Effect::kSet, CompareRule::kExact),
    WriteRow("setex", 4, kFlagsWriteOom, kFirstKey, Effect::kSetEx, CompareRule::kExact),
    WriteRow("psetex", 4, kFlagsWriteOom, kFirstKey, Effect::kSetEx, CompareRule::kExact),
    WriteRow("setnx", 3, kFlagsWriteOomFast, kFirstKey, Effect::kSetNx, CompareRule::kExact),
    WriteRow("getset", 3, kFlagsWriteOomFast, kFirstKey, Effect::kGetSet, CompareRule::kExact),
    WriteRow("getdel", 2, kFlagsWriteFast, kFirstKey, Effect::kGetDel, CompareRule::kExact),
    WriteRow("getex", -2, kFlagsWriteFast, kFirstKey, Effect::kGetEx, CompareRule::kExact),
    WriteRow("mset", -3, kFlagsWriteOom, kPairKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("msetnx", -3, kFlagsWriteOom, kPairKeys, Effect::kMsetNx, CompareRule::kExact),
    WriteRow("incr", 2, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("decr", 2, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("incrby", 3, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("decrby", 3, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("incrbyfloat", 3, kFlagsWriteOomFast, kFirstKey, Effect::kIncrByFloat, CompareRule::kFloat),
    WriteRow("append", 3, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("setrange", 4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),

    // Bitmaps.
    ReadRow("getbit", 3, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("bitcount", -2, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("bitpos", -3, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("bitfield_ro", -2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    WriteRow("setbit", 4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("bitop", -4, kFlagsWriteOom, kKeysFromSecond, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("bitfield", -2, kFlagsWriteOom, kFirstKey, Effect::kBitfield, CompareRule::kExact),

    // HyperLogLogs. COMMAND calls PFCOUNT a read, but it writes the cardinality that it cached into the string.
    WriteRow("pfadd", -2, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("pfmerge", -2, kFlagsWriteOom, kAllKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("pfcount", -2, kFlagReadonly, kAllKeys, Effect::kPfCount, CompareRule::kExact),
    RefusedRow("pfdebug", 3, kFlagWrite | kFlagDenyOom | kFlagAdmin, kSecondKey, kTestAid),
    RefusedRow("pfselftest", 1, kFlagAdmin, kNoKeys, kTestAid),

    // Any type. A DEL is repeated even when it deleted nothing, and the counts may differ: both stores end up without
    // the key.
    ReadRow("exists", -2, kFlagsReadFast, kAllKeys, CompareRule::kExact),
    ReadRow("touch", -2, kFlagsReadFast, kAllKeys, CompareRule::kExact),
    ReadRow("type", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    WriteRow("del", -2, kFlagWrite, kAllKeys, Effect::kVerbatim, CompareRule::kErrorsOnly),
    WriteRow("unlink", -2, kFlagsWriteFast, kAllKeys, Effect::kVerbatim, CompareRule::kErrorsOnly),
    WriteRow("expire", -3, kFlagsWriteFast, kFirstKey, Effect::kExpire, CompareRule::kExact),
    WriteRow("pexpire", -3, kFlagsWriteFast, kFirstKey, Effect::kExpire, CompareRule::kExact),
    WriteRow("expireat", -3, kFlagsWriteFast, kFirstKey, Effect::kExpire, CompareRule::kExact),
    WriteRow("pexpireat", -3, kFlagsWriteFast, kFirstKey, Effect::kExpire, CompareRule::kExact),
    WriteRow("persist", 2, kFlagsWriteFast, kFirstKey, Effect::kVerbatimIfPositive, CompareRule::kExact),
    ReadRow("ttl", 2, kFlagsReadFast, kFirstKey, CompareRule::kTtlSeconds),
    ReadRow("expiretime", 2, kFlagsReadFast, kFirstKey, CompareRule::kTtlSeconds),
    ReadRow("pttl", 2, kFlagsReadFast, kFirstKey, CompareRule::kTtlMillis),
    ReadRow("pexpiretime", 2, kFlagsReadFast, kFirstKey, CompareRule::kTtlMillis),
    WriteRow("rename", 3, kFlagWrite, kFirstTwoKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("renamenx", 3, kFlagsWriteFast, kFirstTwoKeys, Effect::kRenameNx, CompareRule::kExact),
    WriteRow("copy", -3, kFlagsWriteOom, kFirstTwoKeys, Effect::kCopy, CompareRule::kExact),
    WriteRow("move", -3, kFlagsWriteFast, kFirstKey, Effect::kVerbatimIfPositive, CompareRule::kExact),
    PrimaryReadRow("dump", 2, kFlagReadonly, kFirstKey),
    WriteRow("restore", -4, kFlagsWriteOom, kFirstKey, Effect::kRestore, CompareRule::kExact),
    WriteRow("sort", -2, kFlagsMovableWrite, kSortKeys, Effect::kCopyKeys, CompareRule::kSort),
    ReadRow("sort_ro", -2, kFlagsMovableRead, kFirstKey, CompareRule::kSort),
    PrimaryReadRow("object|encoding", 3, kFlagReadonly, kSecondKey),
    PrimaryReadRow("object|freq", 3, kFlagReadonly, kSecondKey),
    PrimaryReadRow("object|idletime", 3, kFlagReadonly, kSecondKey),
    PrimaryReadRow("object|refcount", 3, kFlagReadonly, kSecondKey),
    PrimaryReadRow("object|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("object", -2, kNoFlags, kNoKeys, "unknown subcommand. Try OBJECT HELP."),

    // The whole database. KEYS isn't compared: which of its keys is just expiring on one side, nobody could tell.
    PrimaryReadRow("keys", 2, kFlagReadonly, kNoKeys),
    PrimaryReadRow("scan", -2, kFlagReadonly, kNoKeys),
    PrimaryReadRow("randomkey", 1, kFlagReadonly, kNoKeys),
    PrimaryReadRow("dbsize", 1, kFlagsReadFast, kNoKeys),
    WriteRow("flushdb", -1, kFlagWrite, kNoKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("flushall", -1, kFlagWrite, kNoKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("swapdb", 3, kFlagsWriteFast, kNoKeys, Effect::kVerbatim, CompareRule::kExact),

    // What moves keys between servers.
    RefusedRow("restore-asking", -4, kFlagWrite | kFlagDenyOom | kFlagAsking, kFirstKey,
               "Crossfade does not carry commands internal to Redis Cluster. Use RESTORE instead."),
    // MIGRATE holds up the lane until the other server has answered: only with admin commands allowed.
    MakeRow("migrate", -6, kFlagWrite | kFlagMovableKeys, kMigrateKeys, Route::kWrite, Effect::kMigrate,
            CompareRule::kErrorsOnly,
            "It would hold up every client until the other server has answered. Allow it with admin_commands = true, "
            "or use DUMP here and RESTORE on the other server."),
};

}  // namespace

std::span<const CommandRow> KeyspaceRows() {
  return kKeyspaceRows;
}

}  // namespace crossfade
