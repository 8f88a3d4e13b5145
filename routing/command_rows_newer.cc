// Rows of what Redis 7.0 lacks: commands of Redis 7.2 to 8.10, of Valkey 8 and 9, and those of Dragonfly's own that can
// be told apart. COMMANDS.md: A1 to A8, A10 to A13. Arity, flags and key places are those of the server that has the
// command. A primary that lacks one answers its own error, and nothing follows.
#include "routing/command_rows.h"

namespace crossfade {

namespace {

constexpr std::string_view kEachStoreDirectly =
    "Crossfade stands before two stores, and this would act on one of them. Run it on each store directly.";
constexpr std::string_view kFieldSets =
    "Its field sets belong to a connection, and Crossfade's clients share connections. Use HSET instead.";
constexpr std::string_view kRelativeSeconds =
    "Its times count from when each store runs it, and Redis and Valkey don't know it. Use HSETEX, HEXPIRE or EXPIRE "
    "instead.";
constexpr std::string_view kDragonflyOnly =
    "Redis and Valkey don't know this command, so that the other store can't follow. Run it on the store directly.";

// CLUSTERSCAN's cursor has the place of a key, but is none.
constexpr KeyPlaces kCursor = {KeyRule::kNone, 1, 1, 1};

constexpr CommandRow kNewerRows[] = {
    // Strings. What INCREX did to the expiry, its reply doesn't say: the key is copied.
    ReadRow("digest", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    WriteRow("msetex", -4, kFlagsMovableWrite, kCountedPairs, Effect::kMsetEx, CompareRule::kExact),
    WriteRow("increx", -2, kFlagsWriteOomFast, kFirstKey, Effect::kCopyKeys, CompareRule::kFloat),
    WriteRow("delex", -2, kFlagsWriteFast, kFirstKey, Effect::kDeleteIf, CompareRule::kExact),
    WriteRow("delifeq", 3, kFlagsWriteFast, kFirstKey, Effect::kDeleteIf, CompareRule::kExact),

    // Lists and sets.
    WriteRow("lmovem", -5, kFlagsWriteOom, kFirstTwoKeys, Effect::kVerbatimIfNotNull, CompareRule::kExact),
    RefusedRow("blmovem", -6, kFlagsWriteOom | kFlagBlocking, kFirstTwoKeys,
               "Crossfade does not carry this blocking command. Call LMOVEM in a loop instead."),
    ReadRow("sunioncard", -3, kFlagsMovableRead, kCountedKeys, CompareRule::kExact),
    ReadRow("sdiffcard", -3, kFlagsMovableRead, kCountedKeys, CompareRule::kExact),

    // Fields of a hash that expire.
    ReadRow("httl", -5, kFlagsReadFast, kFirstKey, CompareRule::kTtlSeconds),
    ReadRow("hexpiretime", -5, kFlagsReadFast, kFirstKey, CompareRule::kTtlSeconds),
    ReadRow("hpttl", -5, kFlagsReadFast, kFirstKey, CompareRule::kTtlMillis),
    ReadRow("hpexpiretime", -5, kFlagsReadFast, kFirstKey, CompareRule::kTtlMillis),
    WriteRow("hexpire", -6, kFlagsWriteFast, kFirstKey, Effect::kHashExpire, CompareRule::kExact),
    WriteRow("hpexpire", -6, kFlagsWriteFast, kFirstKey, Effect::kHashExpire, CompareRule::kExact),
    WriteRow("hexpireat", -6, kFlagsWriteFast, kFirstKey, Effect::kHashExpire, CompareRule::kExact),
    WriteRow("hpexpireat", -6, kFlagsWriteFast, kFirstKey, Effect::kHashExpire, CompareRule::kExact),
    WriteRow("hpersist", -5, kFlagsWriteFast, kFirstKey, Effect::kHashPersist, CompareRule::kExact),
    WriteRow("hsetex", -5, kFlagsWriteOomFast, kFirstKey, Effect::kHashSetEx, CompareRule::kExact),  // Dragonfly's: -5
    WriteRow("hgetex", -5, kFlagsWriteFast, kFirstKey, Effect::kHashGetEx, CompareRule::kExact),
    WriteRow("hgetdel", -5, kFlagsWriteFast, kFirstKey, Effect::kHashGetDel, CompareRule::kExact),
    RefusedRow("himport|prepare", -4, kFlagDenyOom, kNoKeys, kFieldSets),
    RefusedRow("himport|set", -5, kFlagsWriteOom, kSecondKey, kFieldSets),
    RefusedRow("himport|discard", 3, kNoFlags, kNoKeys, kFieldSets),
    RefusedRow("himport|discardall", 2, kNoFlags, kNoKeys, kFieldSets),
    RefusedRow("himport", -2, kNoFlags, kNoKeys, "unknown subcommand. Try HIMPORT HELP."),

    // Streams.
    WriteRow("xdelex", -5, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("xackdel", -6, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("xnack", -7, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("xcfgset", -2, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("xidmprecord", 5, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),

    // Arrays. An index that ARINSERT or ARRING answers shows a drift.
    ReadRow("arcount", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("arget", 3, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("argetrange", 4, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("argrep", -6, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("arlastitems", -3, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("arlen", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("armget", -3, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("arnext", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("arop", -5, kFlagReadonly, kFirstKey, CompareRule::kFloat),
    ReadRow("arscan", -4, kFlagReadonly, kFirstKey, CompareRule::kExact),
    PrimaryReadRow("arinfo", -2, kFlagReadonly, kFirstKey),
    WriteRow("ardel", -3, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("ardelrange", -4, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("arinsert", -3, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("armset", -4, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("arring", -4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("arseek", 3, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("arset", -4, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),

    // The connection, scripts. These settings concern a connection that the client doesn't have: taken and ignored.
    LocalRow("client|no-touch", 3, kFlagsConnection, kNoKeys),
    LocalRow("client|capa", -3, kFlagsConnection, kNoKeys),
    LocalRow("client|import-source", 3, kFlagsConnection, kNoKeys),
    PrimaryReadRow("script|show", 3, kFlagNoscript | kFlagStale, kNoKeys),

    // The server as a whole.
    PrimaryReadRow("commandlog|get", 4, kFlagAdmin | kFlagsAnytime, kNoKeys),
    PrimaryReadRow("commandlog|len", 3, kFlagAdmin | kFlagsAnytime, kNoKeys),
    PrimaryReadRow("commandlog|reset", 3, kFlagAdmin | kFlagsAnytime, kNoKeys),
    PrimaryReadRow("commandlog|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("commandlog", -2, kNoFlags, kNoKeys, "unknown subcommand. Try COMMANDLOG HELP."),
    PrimaryReadRow("hotkeys|get", 2, kFlagAdmin | kFlagNoscript, kNoKeys),
    PrimaryReadRow("hotkeys|start", -2, kFlagAdmin | kFlagNoscript, kNoKeys),
    PrimaryReadRow("hotkeys|stop", 2, kFlagAdmin | kFlagNoscript, kNoKeys),
    PrimaryReadRow("hotkeys|reset", 2, kFlagAdmin | kFlagNoscript, kNoKeys),
    PrimaryReadRow("hotkeys|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("hotkeys", -2, kNoFlags, kNoKeys, "unknown subcommand. Try HOTKEYS HELP."),
    RefusedRow("backup|start", 2, kFlagAdmin | kFlagNoscript, kNoKeys, kEachStoreDirectly),
    RefusedRow("backup|seal", 2, kFlagAdmin | kFlagNoscript, kNoKeys, kEachStoreDirectly),
    RefusedRow("backup|abort", 2, kFlagAdmin | kFlagNoscript, kNoKeys, kEachStoreDirectly),
    RefusedRow("backup|cleanup", 2, kFlagAdmin | kFlagNoscript, kNoKeys, kEachStoreDirectly),
    PrimaryReadRow("backup|list", 2, kFlagAdmin | kFlagStale, kNoKeys),
    PrimaryReadRow("backup|status", 2, kFlagAdmin | kFlagStale, kNoKeys),
    PrimaryReadRow("backup|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("backup", -2, kNoFlags, kNoKeys, "unknown subcommand. Try BACKUP HELP."),
    PrivateRow("waitaof", 4, kFlagBlocking, kNoKeys),

    // Redis Cluster. A scan's cursor means something only on the store that gave it.
    PrimaryReadRow("clusterscan", -2, kFlagReadonly, kCursor),
    RefusedRow("cluster|cancelslotmigrations", 2, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|flushslot", -3, kFlagWrite | kFlagAdmin | kFlagNoAsyncLoading, kNoKeys, kNoCluster),
    RefusedRow("cluster|getslotmigrations", 2, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|migrateslots", -4, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|migration", -4, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|myshardid", 2, kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|slot-stats", -4, kFlagsAnytime, kNoKeys, kNoCluster),
    RefusedRow("cluster|syncslots", -3, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("sflush", -3, kFlagWrite, kNoKeys, kNoCluster),
    RefusedRow("trimslots", -5, kFlagWrite, kNoKeys,
               "Crossfade does not carry commands internal to Redis Cluster. Use DEL or FLUSHDB instead."),

    // Dragonfly's own. CL.THROTTLE is also a module's; what it keeps, only the server knows: the key is copied.
    WriteRow("cl.throttle", -5, kFlagsWriteOom, kFirstKey, Effect::kCopyKeys, CompareRule::kExact),
    RefusedRow("saddex", -4, kFlagsWriteOomFast, kFirstKey, kRelativeSeconds),
    RefusedRow("fieldexpire", -4, kFlagsWriteFast, kFirstKey, kRelativeSeconds),
    PrimaryReadRow("fieldttl", 3, kFlagsReadFast, kFirstKey),
    RefusedRow("stick", -2, kFlagWrite, kAllKeys, kDragonflyOnly),
};

}  // namespace

std::span<const CommandRow> NewerRows() {
  return kNewerRows;
}

}  // namespace crossfade
