// Rows of module types, which Redis 8 brings along and others load: JSON, Bloom and Cuckoo filters, sketches,
// t-digests, time series, vector sets, search. COMMANDS.md: A9. Arity and flags are those of the modules of Redis 8.10.
// What two servers of the same modules do alike is repeated as it is. What picks at random is copied. Reads whose
// answer is an estimate, or which depends on how a structure grew, are the primary's.
#include "routing/command_rows.h"

namespace crossfade {

namespace {

constexpr CommandRow kModuleRows[] = {
    // JSON. Numbers are printed in the server's own way: the key is copied where one was computed, and texts of
    // documents
    // are compared as errors only.
    ReadRow("json.get", -2, kFlagReadonly, kFirstKey, CompareRule::kErrorsOnly),
    ReadRow("json.mget", -3, kFlagReadonly, kAllKeysButLast, CompareRule::kErrorsOnly),
    ReadRow("json.resp", -2, kFlagReadonly, kFirstKey, CompareRule::kErrorsOnly),
    ReadRow("json.objkeys", -2, kFlagReadonly, kFirstKey, CompareRule::kErrorsOnly),
    ReadRow("json.arrindex", -4, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("json.arrlen", -2, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("json.objlen", -2, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("json.strlen", -2, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("json.type", -2, kFlagReadonly, kFirstKey, CompareRule::kExact),
    PrimaryReadRow("json.debug", -2, kFlagReadonly, kNoKeys),
    WriteRow("json.set", -4, kFlagsWriteOom, kFirstKey, Effect::kVerbatimIfNotNull, CompareRule::kExact),
    WriteRow("json.mset", -4, kFlagsWriteOom, kTripleKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("json.merge", -4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("json.del", -2, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("json.forget", -2, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("json.clear", -2, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("json.toggle", 3, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("json.strappend", -3, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("json.arrappend", -3, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("json.arrinsert", -5, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("json.arrpop", -2, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kErrorsOnly),
    WriteRow("json.arrtrim", 5, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("json.numincrby", 4, kFlagWrite, kFirstKey, Effect::kCopyKeys, CompareRule::kErrorsOnly),
    WriteRow("json.nummultby", 4, kFlagWrite, kFirstKey, Effect::kCopyKeys, CompareRule::kErrorsOnly),
    WriteRow("json.numpowby", 4, kFlagWrite, kFirstKey, Effect::kCopyKeys, CompareRule::kErrorsOnly),

    // Bloom filters.
    PrimaryReadRow("bf.card", 2, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("bf.debug", 2, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("bf.exists", 3, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("bf.info", -2, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("bf.mexists", -3, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("bf.scandump", 3, kFlagsReadFast, kFirstKey),
    WriteRow("bf.add", 3, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("bf.insert", -4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("bf.loadchunk", 4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("bf.madd", -3, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("bf.reserve", -4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),

    // Cuckoo filters: which entry is moved when a bucket is full, is chosen at random.
    PrimaryReadRow("cf.compact", -2, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("cf.count", 3, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("cf.debug", 2, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("cf.exists", 3, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("cf.info", 2, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("cf.mexists", -3, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("cf.scandump", 3, kFlagsReadFast, kFirstKey),
    WriteRow("cf.add", 3, kFlagsWriteOom, kFirstKey, Effect::kCopyKeys, CompareRule::kExact),
    WriteRow("cf.addnx", 3, kFlagsWriteOom, kFirstKey, Effect::kCopyKeys, CompareRule::kExact),
    WriteRow("cf.del", 3, kFlagsWriteFast, kFirstKey, Effect::kCopyKeys, CompareRule::kExact),
    WriteRow("cf.insert", -4, kFlagsWriteOom, kFirstKey, Effect::kCopyKeys, CompareRule::kExact),
    WriteRow("cf.insertnx", -4, kFlagsWriteOom, kFirstKey, Effect::kCopyKeys, CompareRule::kExact),
    WriteRow("cf.loadchunk", 4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("cf.reserve", -3, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),

    // Count-min sketches.
    PrimaryReadRow("cms.info", 2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("cms.query", -3, kFlagReadonly, kFirstKey),
    WriteRow("cms.incrby", -4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("cms.initbydim", 4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("cms.initbyprob", 4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("cms.merge", -4, kFlagsWriteOom, kStoreAndCountedKeys, Effect::kVerbatim, CompareRule::kExact),

    // Top-k: counters decay at random.
    PrimaryReadRow("topk.count", -3, kFlagReadonly, kFirstKey),
    PrimaryReadRow("topk.info", 2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("topk.list", -2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("topk.query", -3, kFlagReadonly, kFirstKey),
    WriteRow("topk.add", -3, kFlagsWriteOom, kFirstKey, Effect::kCopyKeys, CompareRule::kExact),
    WriteRow("topk.incrby", -4, kFlagsWriteOom, kFirstKey, Effect::kCopyKeys, CompareRule::kExact),
    WriteRow("topk.reserve", -3, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),

    // T-digests.
    PrimaryReadRow("tdigest.byrank", -3, kFlagReadonly, kFirstKey),
    PrimaryReadRow("tdigest.byrevrank", -3, kFlagReadonly, kFirstKey),
    PrimaryReadRow("tdigest.cdf", -3, kFlagReadonly, kFirstKey),
    PrimaryReadRow("tdigest.info", 2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("tdigest.max", 2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("tdigest.min", 2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("tdigest.quantile", -3, kFlagReadonly, kFirstKey),
    PrimaryReadRow("tdigest.rank", -3, kFlagReadonly, kFirstKey),
    PrimaryReadRow("tdigest.revrank", -3, kFlagReadonly, kFirstKey),
    PrimaryReadRow("tdigest.trimmed_mean", 4, kFlagReadonly, kFirstKey),
    WriteRow("tdigest.add", -3, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("tdigest.create", -2, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("tdigest.merge", -4, kFlagsMovableWrite, kStoreAndCountedKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("tdigest.reset", 2, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),

    // Time series. What has been kept of a range depends on when each server drops its old chunks.
    ReadRow("ts.get", -2, kFlagReadonly, kFirstKey, CompareRule::kFloat),
    ReadRow("ts.range", -4, kFlagReadonly, kFirstKey, CompareRule::kErrorsOnly),
    ReadRow("ts.revrange", -4, kFlagReadonly, kFirstKey, CompareRule::kErrorsOnly),
    ReadRow("ts.nrange", -5, kFlagsMovableRead, kCountedKeys, CompareRule::kErrorsOnly),
    ReadRow("ts.nrevrange", -5, kFlagsMovableRead, kCountedKeys, CompareRule::kErrorsOnly),
    PrimaryReadRow("ts.info", -2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("ts.mget", -3, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ts.mrange", -4, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ts.mrevrange", -4, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ts.queryindex", -2, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ts.querylabels", -2, kFlagReadonly, kNoKeys),
    RefusedRow("ts.read", -3, kFlagReadonly, kFirstKey,
               "It may block, and Crossfade's clients share its connections. Call TS.RANGE in a loop instead."),
    WriteRow("ts.add", -4, kFlagsWriteOom, kFirstKey, Effect::kTimeSeriesAdd, CompareRule::kExact),
    WriteRow("ts.madd", -4, kFlagsWriteOom, kTripleKeys, Effect::kTimeSeriesMultiAdd, CompareRule::kExact),
    WriteRow("ts.incrby", -3, kFlagsWriteOom, kFirstKey, Effect::kTimeSeriesIncrement, CompareRule::kExact),
    WriteRow("ts.decrby", -3, kFlagsWriteOom, kFirstKey, Effect::kTimeSeriesIncrement, CompareRule::kExact),
    WriteRow("ts.alter", -2, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("ts.create", -2, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("ts.createrule", -5, kFlagsWriteFast, kFirstTwoKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("ts.deleterule", 3, kFlagWrite, kFirstTwoKeys, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("ts.del", 4, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kErrorsOnly),

    // Vector sets. The levels of their graphs are drawn at random, so that what is near may differ.
    ReadRow("vcard", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("vdim", 2, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("vemb", -3, kFlagsReadFast, kFirstKey, CompareRule::kFloat),
    ReadRow("vgetattr", 3, kFlagsReadFast, kFirstKey, CompareRule::kExact),
    ReadRow("vismember", 3, kFlagReadonly, kFirstKey, CompareRule::kExact),
    ReadRow("vrange", -4, kFlagReadonly, kFirstKey, CompareRule::kExact),
    PrimaryReadRow("vinfo", 2, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("vlinks", -3, kFlagsReadFast, kFirstKey),
    PrimaryReadRow("vrandmember", -2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("vsim", -4, kFlagReadonly, kFirstKey),
    WriteRow("vadd", -5, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("vrem", 3, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("vsetattr", 4, kFlagsWriteFast, kFirstKey, Effect::kVerbatim, CompareRule::kExact),

    // Search. An index is made of the keys, by each store for itself; only suggestions are a key of their own.
    BothRow("ft.create", -5, kFlagsWriteOom, kNoKeys),
    BothRow("ft.alter", -6, kFlagsWriteOom, kNoKeys),
    BothRow("ft.aliasadd", 3, kFlagsWriteOom, kNoKeys),
    BothRow("ft.aliasdel", 2, kFlagWrite, kNoKeys),
    BothRow("ft.aliasupdate", 3, kFlagsWriteOom, kNoKeys),
    BothRow("ft.dictadd", -3, kFlagsWriteOom, kNoKeys),
    BothRow("ft.dictdel", -3, kFlagWrite, kNoKeys),
    BothRow("ft.dropindex", -2, kFlagWrite, kNoKeys),
    BothRow("ft.synupdate", -4, kFlagsWriteOom, kNoKeys),
    WriteRow("ft.sugadd", -4, kFlagsWriteOom, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    WriteRow("ft.sugdel", 3, kFlagWrite, kFirstKey, Effect::kVerbatim, CompareRule::kExact),
    PrimaryReadRow("ft.sugget", -3, kFlagReadonly, kFirstKey),
    PrimaryReadRow("ft.suglen", 2, kFlagReadonly, kFirstKey),
    PrimaryReadRow("ft._list", -1, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.aggregate", -3, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.aliaslist", 2, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.cursor", -2, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.dictdump", 2, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.explain", -3, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.explaincli", -3, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.hybrid", -7, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.info", 2, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.profile", -5, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.search", -3, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.spellcheck", -3, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.syndump", 2, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.tagvals", 3, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.config|get", -3, kFlagReadonly, kNoKeys),
    PrimaryReadRow("ft.config|help", -3, kFlagReadonly, kNoKeys),
    RefusedRow("ft.config|set", -3, kFlagWrite, kNoKeys,
               "Crossfade stands before two stores, and this would act on one of them. Run it on each store directly."),
    RefusedRow("ft.config", -2, kFlagReadonly, kNoKeys, "unknown subcommand. Try FT.CONFIG HELP *."),
};

}  // namespace

std::span<const CommandRow> ModuleRows() {
  return kModuleRows;
}

}  // namespace crossfade
