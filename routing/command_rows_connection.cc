// Rows of what belongs to a client's connection: handshake, transactions, publishing and subscribing, scripts.
// COMMANDS.md: A10, A11, A12.
#include "routing/command_rows.h"

namespace crossfade {

namespace {

constexpr std::string_view kScriptDebug =
    "Crossfade's clients share its connections to the stores, which the script debugger would take over. Debug on a "
    "store directly.";

constexpr CommandRow kConnectionRows[] = {
    // The connection itself. CLIENT SETINFO is of Redis 7.2; newer clients send it unasked.
    LocalRow("ping", -1, kFlagFast, kNoKeys),
    LocalRow("echo", 2, kFlagLoading | kFlagStale | kFlagFast, kNoKeys),
    LocalRow("quit", -1, kFlagsHandshake, kNoKeys),
    LocalRow("reset", 1, kFlagsHandshake, kNoKeys),
    LocalRow("select", 2, kFlagLoading | kFlagStale | kFlagFast, kNoKeys),
    LocalRow("auth", -2, kFlagsHandshake, kNoKeys),
    LocalRow("hello", -1, kFlagsHandshake, kNoKeys),
    LocalRow("client|setname", 3, kFlagsConnection, kNoKeys),
    LocalRow("client|getname", 2, kFlagsConnection, kNoKeys),
    LocalRow("client|id", 2, kFlagsConnection, kNoKeys),
    LocalRow("client|setinfo", 4, kFlagsConnection, kNoKeys),
    PrimaryReadRow("client|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("client", -2, kNoFlags, kNoKeys, "unknown subcommand. Try CLIENT HELP."),
    LocalRow("client|reply", 3, kFlagsConnection, kNoKeys),
    LocalRow("client|no-evict", 3, kFlagsAdmin, kNoKeys),

    // All clients of the proxy: they, not the proxy's own connections, are what an application can see.
    ServiceRow("client|info", 2, kFlagsConnection, kNoKeys),
    ServiceRow("client|list", -2, kFlagsAdmin, kNoKeys),
    ServiceRow("client|kill", -3, kFlagsAdmin, kNoKeys),
    ServiceRow("client|pause", -3, kFlagsAdmin, kNoKeys),
    ServiceRow("client|unpause", 2, kFlagsAdmin, kNoKeys),
    ServiceRow("client|unblock", -3, kFlagsAdmin, kNoKeys),

    // Client-side caching. All of it but TRACKING itself says only what a session knows.
    ServiceRow("client|tracking", -3, kFlagsConnection, kNoKeys),
    LocalRow("client|caching", 3, kFlagsConnection, kNoKeys),
    LocalRow("client|getredir", 2, kFlagsConnection, kNoKeys),
    LocalRow("client|trackinginfo", 2, kFlagsConnection, kNoKeys),

    // Transactions.
    LocalRow("multi", 1, kFlagsTransaction, kNoKeys),
    LocalRow("exec", 1, kFlagsConnection | kFlagSkipSlowlog, kNoKeys),
    LocalRow("discard", 1, kFlagsTransaction, kNoKeys),
    PrivateRow("watch", -2, kFlagsTransaction, kAllKeys),
    LocalRow("unwatch", 1, kFlagsTransaction, kNoKeys),

    // Publishing and subscribing. Channels are no keys, although COMMAND gives them a place.
    BothRow("publish", 3, kFlagsPubsub | kFlagFast, kNoKeys),
    BothRow("spublish", 3, kFlagsPubsub | kFlagFast, kOneShardChannel),
    PrimaryReadRow("pubsub|channels", -2, kFlagsPubsub, kNoKeys),
    PrimaryReadRow("pubsub|numpat", 2, kFlagsPubsub, kNoKeys),
    PrimaryReadRow("pubsub|numsub", -2, kFlagsPubsub, kNoKeys),
    PrimaryReadRow("pubsub|shardchannels", -2, kFlagsPubsub, kNoKeys),
    PrimaryReadRow("pubsub|shardnumsub", -2, kFlagsPubsub, kNoKeys),
    PrimaryReadRow("pubsub|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("pubsub", -2, kNoFlags, kNoKeys, "unknown subcommand. Try PUBSUB HELP."),
    PrivateRow("subscribe", -2, kFlagsSubscribe, kNoKeys),
    PrivateRow("psubscribe", -2, kFlagsSubscribe, kNoKeys),
    PrivateRow("ssubscribe", -2, kFlagsSubscribe, kShardChannels),
    PrivateRow("unsubscribe", -1, kFlagsSubscribe, kNoKeys),
    PrivateRow("punsubscribe", -1, kFlagsSubscribe, kNoKeys),
    PrivateRow("sunsubscribe", -1, kFlagsSubscribe, kShardChannels),

    // Scripts and functions.
    WriteRow("eval", -3, kFlagsScript, kCountedKeysAt2, Effect::kScript, CompareRule::kMultiset),
    WriteRow("evalsha", -3, kFlagsScript, kCountedKeysAt2, Effect::kScript, CompareRule::kMultiset),
    WriteRow("fcall", -3, kFlagsScript, kCountedKeysAt2, Effect::kScript, CompareRule::kMultiset),
    ReadRow("eval_ro", -3, kFlagsScript | kFlagReadonly, kCountedKeysAt2, CompareRule::kNever),
    ReadRow("evalsha_ro", -3, kFlagsScript | kFlagReadonly, kCountedKeysAt2, CompareRule::kNever),
    ReadRow("fcall_ro", -3, kFlagsScript | kFlagReadonly, kCountedKeysAt2, CompareRule::kNever),
    BothRow("script|load", 3, kFlagNoscript | kFlagStale, kNoKeys),
    BothRow("script|flush", -2, kFlagNoscript, kNoKeys),
    PrimaryReadRow("script|exists", -3, kFlagNoscript, kNoKeys),
    PrivateRow("script|kill", 2, kFlagNoscript | kFlagAllowBusy, kNoKeys),
    RefusedRow("script|debug", 3, kFlagNoscript, kNoKeys, kScriptDebug),
    PrimaryReadRow("script|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("script", -2, kNoFlags, kNoKeys, "unknown subcommand. Try SCRIPT HELP."),
    PrimaryReadRow("function|list", -2, kFlagNoscript, kNoKeys),
    PrivateRow("function|stats", 2, kFlagNoscript | kFlagAllowBusy, kNoKeys),
    PrimaryReadRow("function|dump", 2, kFlagNoscript, kNoKeys),
    PrimaryReadRow("function|help", 2, kFlagsAnytime, kNoKeys),
    BothRow("function|load", -3, kFlagWrite | kFlagDenyOom | kFlagNoscript, kNoKeys),
    BothRow("function|delete", 3, kFlagWrite | kFlagNoscript, kNoKeys),
    BothRow("function|flush", -2, kFlagWrite | kFlagNoscript, kNoKeys),
    BothRow("function|restore", -3, kFlagWrite | kFlagDenyOom | kFlagNoscript, kNoKeys),
    PrivateRow("function|kill", 2, kFlagNoscript | kFlagAllowBusy, kNoKeys),
    RefusedRow("function", -2, kNoFlags, kNoKeys, "unknown subcommand. Try FUNCTION HELP."),
};

}  // namespace

std::span<const CommandRow> ConnectionRows() {
  return kConnectionRows;
}

}  // namespace crossfade
