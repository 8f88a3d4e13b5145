// The rows of the command table, split by meaning, and the words in which they are written.
//
// Only command_table.cc reads this; everybody else asks command_table.h. Arity, flags and key places are Redis 7.0's,
// as COMMAND gives them (tests/integration/command_table_server_test.cc holds each row against a real server), and for
// newer commands those of the server that has them. Where a later version takes more arguments, the arity is that
// one's. What is done with a command follows COMMANDS.md. A row is written with the function that names its route.
//
// A row with PrimaryRead whose rule isn't kNever (none is just now) may be compared, but is never shifted.
// A container's own row ("client") answers for the subcommands that the table doesn't know.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "routing/command_table.h"

namespace crossfade {

std::span<const CommandRow> KeyspaceRows();    // strings, bitmaps, HyperLogLogs, any type
std::span<const CommandRow> CollectionRows();  // lists, sets, hashes
std::span<const CommandRow> SortedRows();      // sorted sets, geo, streams
std::span<const CommandRow> ConnectionRows();  // handshake, transactions, publishing, scripts
std::span<const CommandRow> ServerRows();      // introspection, administration, replication, cluster
std::span<const CommandRow> NewerRows();       // what Redis 7.0 lacks: of later versions, of Valkey, of Dragonfly
std::span<const CommandRow> ModuleRows();      // what modules add: JSON, filters, time series, vector sets, search

// Sets of flags that many rows share.
inline constexpr uint32_t kNoFlags = 0;
inline constexpr uint32_t kFlagsReadFast = kFlagReadonly | kFlagFast;
inline constexpr uint32_t kFlagsWriteFast = kFlagWrite | kFlagFast;
inline constexpr uint32_t kFlagsWriteOom = kFlagWrite | kFlagDenyOom;
inline constexpr uint32_t kFlagsWriteOomFast = kFlagsWriteOom | kFlagFast;
inline constexpr uint32_t kFlagsMovableRead = kFlagReadonly | kFlagMovableKeys;
inline constexpr uint32_t kFlagsMovableWrite = kFlagsWriteOom | kFlagMovableKeys;
inline constexpr uint32_t kFlagsAnytime = kFlagLoading | kFlagStale;
inline constexpr uint32_t kFlagsConnection = kFlagsAnytime | kFlagNoscript;
inline constexpr uint32_t kFlagsTransaction = kFlagsConnection | kFlagFast | kFlagAllowBusy;
inline constexpr uint32_t kFlagsHandshake = kFlagsTransaction | kFlagNoAuth;
inline constexpr uint32_t kFlagsPubsub = kFlagsAnytime | kFlagPubsub;
inline constexpr uint32_t kFlagsSubscribe = kFlagsPubsub | kFlagNoscript;
inline constexpr uint32_t kFlagsScript =
    kFlagNoscript | kFlagStale | kFlagSkipMonitor | kFlagNoMandatoryKeys | kFlagMovableKeys;
inline constexpr uint32_t kFlagsAdmin = kFlagsConnection | kFlagAdmin;
inline constexpr uint32_t kFlagsSaving = kFlagAdmin | kFlagNoscript | kFlagNoAsyncLoading;
inline constexpr uint32_t kFlagsClusterAdmin = kFlagAdmin | kFlagStale | kFlagNoAsyncLoading;

// As a server without a cluster says it.
inline constexpr std::string_view kNoCluster = "This instance has cluster support disabled";

// Where the keys are: how Crossfade finds them, and the three numbers of COMMAND.
struct KeyPlaces {
  KeyRule rule;
  int first, last, step;
};

inline constexpr KeyPlaces kNoKeys = {KeyRule::kNone, 0, 0, 0};
inline constexpr KeyPlaces kFirstKey = {KeyRule::kRange, 1, 1, 1};
inline constexpr KeyPlaces kSecondKey = {KeyRule::kRange, 2, 2, 1};
inline constexpr KeyPlaces kFirstTwoKeys = {KeyRule::kRange, 1, 2, 1};
inline constexpr KeyPlaces kAllKeys = {KeyRule::kRange, 1, -1, 1};
inline constexpr KeyPlaces kAllKeysButLast = {KeyRule::kRange, 1, -2, 1};
inline constexpr KeyPlaces kPairKeys = {KeyRule::kRange, 1, -1, 2};
inline constexpr KeyPlaces kKeysFromSecond = {KeyRule::kRange, 2, -1, 1};
inline constexpr KeyPlaces kCountedKeys = {KeyRule::kNumKeysAt1, 0, 0, 0};
inline constexpr KeyPlaces kCountedPairs = {KeyRule::kNumPairsAt1, 0, 0, 0};
inline constexpr KeyPlaces kTripleKeys = {KeyRule::kRange, 1, -1, 3};
inline constexpr KeyPlaces kCountedKeysAt2 = {KeyRule::kNumKeysAt2, 0, 0, 0};
inline constexpr KeyPlaces kStoreAndCountedKeys = {KeyRule::kDestNumKeysAt2, 1, 1, 1};
inline constexpr KeyPlaces kStreamKeys = {KeyRule::kStreams, 0, 0, 0};
inline constexpr KeyPlaces kSortKeys = {KeyRule::kSort, 1, 1, 1};
inline constexpr KeyPlaces kGeoKeys = {KeyRule::kGeoStore, 1, 1, 1};
inline constexpr KeyPlaces kMigrateKeys = {KeyRule::kMigrate, 3, 3, 1};
// COMMAND gives shard channels the place of keys; they hold no data, so Crossfade doesn't.
inline constexpr KeyPlaces kOneShardChannel = {KeyRule::kNone, 1, 1, 1};
inline constexpr KeyPlaces kShardChannels = {KeyRule::kNone, 1, -1, 1};

constexpr CommandRow MakeRow(std::string_view name, int arity, uint32_t flags, KeyPlaces keys, Route route,
                             Effect effect, CompareRule compare, std::string_view refusal) {
  return {name, arity, flags, keys.first, keys.last, keys.step, keys.rule, route, effect, compare, refusal};
}

constexpr CommandRow ReadRow(std::string_view name, int arity, uint32_t flags, KeyPlaces keys, CompareRule compare) {
  return MakeRow(name, arity, flags, keys, Route::kRead, Effect::kNone, compare, "");
}

constexpr CommandRow PrimaryReadRow(std::string_view name, int arity, uint32_t flags, KeyPlaces keys,
                                    CompareRule compare = CompareRule::kNever) {
  return MakeRow(name, arity, flags, keys, Route::kPrimaryRead, Effect::kNone, compare, "");
}

constexpr CommandRow WriteRow(std::string_view name, int arity, uint32_t flags, KeyPlaces keys, Effect effect,
                              CompareRule compare) {
  return MakeRow(name, arity, flags, keys, Route::kWrite, effect, compare, "");
}

constexpr CommandRow BothRow(std::string_view name, int arity, uint32_t flags, KeyPlaces keys) {
  return MakeRow(name, arity, flags, keys, Route::kBoth, Effect::kNone, CompareRule::kNever, "");
}

constexpr CommandRow LocalRow(std::string_view name, int arity, uint32_t flags, KeyPlaces keys) {
  return MakeRow(name, arity, flags, keys, Route::kLocal, Effect::kNone, CompareRule::kNever, "");
}

constexpr CommandRow ServiceRow(std::string_view name, int arity, uint32_t flags, KeyPlaces keys) {
  return MakeRow(name, arity, flags, keys, Route::kService, Effect::kNone, CompareRule::kNever, "");
}

constexpr CommandRow PrivateRow(std::string_view name, int arity, uint32_t flags, KeyPlaces keys) {
  return MakeRow(name, arity, flags, keys, Route::kPrivate, Effect::kNone, CompareRule::kNever, "");
}

// `refusal` is what the client reads behind "ERR ", unless admin commands are allowed.
constexpr CommandRow AdminRow(std::string_view name, int arity, uint32_t flags, KeyPlaces keys,
                              std::string_view refusal) {
  return MakeRow(name, arity, flags, keys, Route::kAdmin, Effect::kNone, CompareRule::kNever, refusal);
}

// `refusal` is what the client reads behind "ERR ".
constexpr CommandRow RefusedRow(std::string_view name, int arity, uint32_t flags, KeyPlaces keys,
                                std::string_view refusal) {
  return MakeRow(name, arity, flags, keys, Route::kRefused, Effect::kNone, CompareRule::kNever, refusal);
}

}  // namespace crossfade
