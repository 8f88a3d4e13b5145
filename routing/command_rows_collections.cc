// Rows of lists, sets and hashes. COMMANDS.md: A3, A4, A5.
#include "routing/command_rows.h"

namespace crossfade {

namespace {

constexpr CommandRow kCollectionRows[] = {
    // Lists.
    ReadRow("llen", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("lindex", 3, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("lrange", 4, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("lpos", -3, kFlagReadonly, kFirstKey, CompareRule::kExact),
    WriteRow("lpush", -3, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("rpush", -3, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("lset", 4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("lrem", 4, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("ltrim", 4, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("lpushx", -3, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatimIfPositive, CompareRule::kExact),
    WriteRow("rpushx", -3, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatimIfPositive, CompareRule::kExact),
    WriteRow("linsert", 5, kFlagsWriteOom, kFirstKey, Effect::kVerbatimIfPositive, CompareRule::kExact),
    WriteRow("lpop", -2, kFlagsWriteFast, kFirstKey, Effect::kPop, CompareRule::kExact),
    WriteRow("rpop", -2, kFlagsWriteFast, kFirstKey, Effect::kPop, CompareRule::kExact),
    WriteRow("lmpop", -4, kFlagWrite | kFlagMovableKeys, kCountedKeys, Effect::kMultiPop, CompareRule::kExact),
    WriteRow("lmove", 5, kFlagsWriteOom, kFirstTwoKeys, Effect::kVerbatimIfNotNull, CompareRule::kExact),
    WriteRow("rpoplpush", 3, kFlagsWriteOom, kFirstTwoKeys, Effect::kVerbatimIfNotNull, CompareRule::kExact),

    // Blocking forms: outside of EXEC the proxy waits (routing/blocking).
    WriteRow("blpop", -3, kFlagWrite | kFlagNoscript | kFlagBlocking, kAllKeysButLast, Effect::kBlockingPop,
             CompareRule::kExact),
    WriteRow("brpop", -3, kFlagWrite | kFlagNoscript | kFlagBlocking, kAllKeysButLast, Effect::kBlockingPop,
             CompareRule::kExact),
    WriteRow("blmpop", -5, kFlagWrite | kFlagBlocking | kFlagMovableKeys, kCountedKeysAt2, Effect::kMultiPop,
             CompareRule::kExact),
    WriteRow("blmove", 6, kFlagWrite | kFlagDenyOom | kFlagNoscript | kFlagBlocking, kFirstTwoKeys,
             Effect::kBlockingMove, CompareRule::kExact),
    WriteRow("brpoplpush", 4, kFlagWrite | kFlagDenyOom | kFlagNoscript | kFlagBlocking, kFirstTwoKeys,
             Effect::kBlockingMove, CompareRule::kExact),

    // Sets.
    ReadRow("scard", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("sismember", 3, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("smismember", -3, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("sintercard", -3, kFlagsMovableRead, kCountedKeys, CompareRule::kExact),
    ReadRow("smembers", 2, kFlagReadonly, kFirstKey, CompareRule::kMultiset),
    ReadRow("sinter", -2, kFlagReadonly, kAllKeys, CompareRule::kMultiset),
    ReadRow("sunion", -2, kFlagReadonly, kAllKeys, CompareRule::kMultiset),
    ReadRow("sdiff", -2, kFlagReadonly, kAllKeys, CompareRule::kMultiset),
    PrimaryReadRow("srandmember", -2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("sscan", -3, kFlagReadonly, kFirstKey),
    WriteRow("sadd", -3, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("srem", -3, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("smove", 4, kFlagsWriteFast, kFirstTwoKeys, Effect::kSetMove, CompareRule::kExact),
    WriteRow("spop", -2, kFlagsWriteFast, kFirstKey, Effect::kSetPop, CompareRule::kExact),
    WriteRow("sinterstore", -3, kFlagsWriteOom, kAllKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("sunionstore", -3, kFlagsWriteOom, kAllKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("sdiffstore", -3, kFlagsWriteOom, kAllKeys, Effect::kVerbatim, CompareRule::kExact),

    // Hashes.
    ReadRow("hget", 3, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("hmget", -3, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("hexists", 3, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("hstrlen", 3, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("hlen", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("hgetall", 2, kFlagReadonly, kFirstKey, CompareRule::kMapPairs),
    ReadRow("hkeys", 2, kFlagReadonly, kFirstKey, CompareRule::kMultiset),
    ReadRow("hvals", 2, kFlagReadonly, kFirstKey, CompareRule::kMultiset),
    PrimaryReadRow("hrandfield", -2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("hscan", -3, kFlagReadonly, kFirstKey),
    WriteRow("hset", -4, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("hmset", -4, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("hdel", -3, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("hincrby", 4, kFlagsWriteOomFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("hsetnx", 4, kFlagsWriteOomFast, kFirstKey, Effect::kHashSetNx, CompareRule::kExact),
    WriteRow("hincrbyfloat", 4, kFlagsWriteOomFast, kFirstKey, Effect::kHashIncrByFloat, CompareRule::kFloat),
};

}  // namespace

std::span<const CommandRow> CollectionRows() {
  return kCollectionRows;
}

}  // namespace crossfade
