// Rows of what keeps an order: sorted sets, geo indexes, streams. COMMANDS.md: A6, A7.
#include "routing/command_rows.h"

namespace crossfade {

namespace {

constexpr CommandRow kSortedRows[] = {
    // Sorted sets.
    ReadRow("zcard", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("zcount", 4, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("zlexcount", 4, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("zintercard", -3, kFlagsMovableRead, kCountedKeys, CompareRule::kExact),
    ReadRow("zrangebylex", -4, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("zrevrangebylex", -4, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("zscore", 3, kFlagsReadFast, kFirstKey, CompareRule::kFloat),
    ReadRow("zmscore", -3, kFlagsReadFast, kFirstKey, CompareRule::kFloat),
    ReadRow("zrank", -3, kFlagsReadFast, kFirstKey, CompareRule::kFloat),
    ReadRow("zrevrank", -3, kFlagsReadFast, kFirstKey, CompareRule::kFloat),
    ReadRow("zrange", -4, kFlagReadonly, kFirstKey, CompareRule::kFloat),
    ReadRow("zrevrange", -4, kFlagReadonly, kFirstKey, CompareRule::kFloat),
    ReadRow("zrangebyscore", -4, kFlagReadonly, kFirstKey, CompareRule::kFloat),
    ReadRow("zrevrangebyscore", -4, kFlagReadonly, kFirstKey, CompareRule::kFloat),
    ReadRow("zunion", -3, kFlagsMovableRead, kCountedKeys, CompareRule::kFloat),
    ReadRow("zinter", -3, kFlagsMovableRead, kCountedKeys, CompareRule::kFloat),
    ReadRow("zdiff", -3, kFlagsMovableRead, kCountedKeys, CompareRule::kFloat),
    PrimaryReadRow("zrandmember", -2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("zscan", -3, kFlagReadonly, kFirstKey),
    WriteRow("zadd", -4, kFlagsWriteOomFast, kFirstKey, Effect::kSortedSetAdd, CompareRule::kFloat),
    WriteRow("zincrby", 4, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kFloat),
    WriteRow("zrem", -3, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("zremrangebyrank", 4, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("zremrangebyscore", 4, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("zremrangebylex", 4, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("zpopmin", -2, kFlagsWriteFast, kFirstKey, Effect::kSortedSetPop, CompareRule::kFloat),
    WriteRow("zpopmax", -2, kFlagsWriteFast, kFirstKey, Effect::kSortedSetPop, CompareRule::kFloat),
    WriteRow("zmpop", -4, kFlagWrite | kFlagMovableKeys, kCountedKeys, Effect::kSortedSetMultiPop, CompareRule::kFloat),
    WriteRow("zrangestore", -5, kFlagsWriteOom, kFirstTwoKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("zunionstore", -4, kFlagsMovableWrite, kStoreAndCountedKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("zinterstore", -4, kFlagsMovableWrite, kStoreAndCountedKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("zdiffstore", -4, kFlagsMovableWrite, kStoreAndCountedKeys, Effect::kVerbatim, CompareRule::kExact),

    // Blocking forms: outside of EXEC the proxy waits (routing/blocking).
    WriteRow("bzpopmin", -3, kFlagWrite | kFlagNoscript | kFlagBlocking | kFlagFast, kAllKeysButLast,
             Effect::kBlockingSortedPop, CompareRule::kExact),
    WriteRow("bzpopmax", -3, kFlagWrite | kFlagNoscript | kFlagBlocking | kFlagFast, kAllKeysButLast,
             Effect::kBlockingSortedPop, CompareRule::kExact),
    WriteRow("bzmpop", -5, kFlagWrite | kFlagBlocking | kFlagMovableKeys, kCountedKeysAt2, Effect::kSortedSetMultiPop,
             CompareRule::kExact),

    // Geo. GEORADIUS and GEORADIUSBYMEMBER are reads unless they store.
    ReadRow("geohash", -2, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("geodist", -4, kFlagReadonly, kFirstKey, CompareRule::kGeo),
    ReadRow("geopos", -2, kFlagReadonly, kFirstKey, CompareRule::kGeo),
    ReadRow("geosearch", -7, kFlagReadonly, kFirstKey, CompareRule::kGeoSearch),
    ReadRow("georadius_ro", -6, kFlagReadonly, kFirstKey, CompareRule::kGeoSearch),
    ReadRow("georadiusbymember_ro", -5, kFlagReadonly, kFirstKey, CompareRule::kGeoSearch),
    WriteRow("geoadd", -5, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("geosearchstore", -8, kFlagsWriteOom, kFirstTwoKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("georadius", -6, kFlagsMovableWrite, kGeoKeys, Effect::kCopyKeys, CompareRule::kGeoSearch),
    WriteRow("georadiusbymember", -5, kFlagsMovableWrite, kGeoKeys, Effect::kCopyKeys, CompareRule::kGeoSearch),

    // Streams. With BLOCK the proxy waits (routing/blocking).
    ReadRow("xlen", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("xrange", -4, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("xrevrange", -4, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("xread", -4, kFlagReadonly | kFlagBlocking | kFlagMovableKeys, kStreamKeys, CompareRule::kExact),
    ReadRow("xpending", -3, kFlagReadonly, kFirstKey, CompareRule::kStreamInfo),
    ReadRow("xinfo|stream", -3, kFlagReadonly, kSecondKey, CompareRule::kStreamInfo),
    ReadRow("xinfo|groups", 3, kFlagReadonly, kSecondKey, CompareRule::kStreamInfo),
    ReadRow("xinfo|consumers", 4, kFlagReadonly, kSecondKey, CompareRule::kStreamInfo),
    PrimaryReadRow("xinfo|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("xinfo", -2, kNoFlags, kNoKeys, "unknown subcommand. Try XINFO HELP."),
    WriteRow("xadd", -5, kFlagsWriteOomFast, kFirstKey, Effect::kStreamAdd, CompareRule::kExact),
    WriteRow("xtrim", -4, kFlagWrite, kFirstKey, Effect::kStreamTrim, CompareRule::kErrorsOnly),
    WriteRow("xdel", -3, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("xsetid", -3, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("xack", -4, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("xgroup|create", -5, kFlagsWriteOom, kSecondKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("xgroup|setid", -5, kFlagWrite, kSecondKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("xgroup|createconsumer", 5, kFlagsWriteOom, kSecondKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("xgroup|delconsumer", 5, kFlagWrite, kSecondKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("xgroup|destroy", 4, kFlagWrite, kSecondKey, Effect::kVerbatim, CompareRule::kExact),
    PrimaryReadRow("xgroup|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("xgroup", -2, kNoFlags, kNoKeys, "unknown subcommand. Try XGROUP HELP."),
    WriteRow("xreadgroup", -7, kFlagWrite | kFlagBlocking | kFlagMovableKeys, kStreamKeys, Effect::kStreamReadGroup,
             CompareRule::kExact),
    WriteRow("xclaim", -6, kFlagsWriteFast, kFirstKey, Effect::kStreamClaim, CompareRule::kExact),
    WriteRow("xautoclaim", -6, kFlagsWriteFast, kFirstKey, Effect::kStreamAutoClaim, CompareRule::kExact),
};

}  // namespace

std::span<const CommandRow> SortedRows() {
  return kSortedRows;
}

}  // namespace crossfade
