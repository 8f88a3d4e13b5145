// Rows of what belongs to a client's connection: handshake, transactions, publishing and subscribing, scripts.
// COMMANDS.md: A10, A11, A12.
#include "routing/command_rows.h"

namespace crossfade {

namespace {

constexpr std::string_view kSharedConnections =
    "Crossfade's clients share its connections to the stores, so this would reach the wrong ones. Run it on a store "
    "directly.";
constexpr std::string_view kTracking = "Crossfade does not carry client-side caching yet. Turn it off in the client.";
constexpr std::string_view kWatch =
    "Crossfade does not carry transactions under WATCH yet. Use MULTI and EXEC without it, or one command that decides "
    "for itself, such as SET with NX.";
constexpr std::string_view kSubscribe =
    "Crossfade does not carry subscriptions yet. Subscribe on a store directly: what is published here reaches both.";
constexpr std::string_view kScript =
    "Crossfade does not carry scripts and functions yet. Send the commands themselves, between MULTI and EXEC if they "
    "belong together.";
constexpr std::string_view kReadScript =
    "Crossfade does not carry scripts and functions yet. Send the read commands themselves.";
constexpr std::string_view kScriptAdmin =
    "Crossfade does not carry scripts and functions yet. Send the commands themselves instead of a script.";
constexpr std::string_view kFunctionAdmin =
    "Crossfade does not carry scripts and functions yet. Change functions on each store directly.";

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
    LocalRow("client|info", 2, kFlagsConnection, kNoKeys),
    LocalRow("client|setinfo", 4, kFlagsConnection, kNoKeys),
    PrimaryReadRow("client|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("client", -2, kNoFlags, kNoKeys, "unknown subcommand. Try CLIENT HELP."),

    // CLIENT, what the proxy can't answer.
    RefusedRow("client|list", -2, kFlagsAdmin, kNoKeys, kSharedConnections),
    RefusedRow("client|kill", -3, kFlagsAdmin, kNoKeys, kSharedConnections),
    RefusedRow("client|pause", -3, kFlagsAdmin, kNoKeys, kSharedConnections),
    RefusedRow("client|unpause", 2, kFlagsAdmin, kNoKeys, kSharedConnections),
    RefusedRow("client|no-evict", 3, kFlagsAdmin, kNoKeys, kSharedConnections),
    RefusedRow("client|unblock", -3, kFlagsAdmin, kNoKeys,
               "Crossfade does not carry blocking commands yet, so no client is blocked. There is nothing to unblock."),
    RefusedRow("client|reply", 3, kFlagsConnection, kNoKeys,
               "Crossfade does not suppress replies yet. Leave replies on, and read them."),
    RefusedRow("client|tracking", -3, kFlagsConnection, kNoKeys, kTracking),
    RefusedRow("client|caching", 3, kFlagsConnection, kNoKeys, kTracking),
    RefusedRow("client|getredir", 2, kFlagsConnection, kNoKeys, kTracking),
    RefusedRow("client|trackinginfo", 2, kFlagsConnection, kNoKeys, kTracking),

    // Transactions.
    LocalRow("multi", 1, kFlagsTransaction, kNoKeys),
    LocalRow("exec", 1, kFlagsConnection | kFlagSkipSlowlog, kNoKeys),
    LocalRow("discard", 1, kFlagsTransaction, kNoKeys),
    RefusedRow("watch", -2, kFlagsTransaction, kAllKeys, kWatch),
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
    RefusedRow("subscribe", -2, kFlagsSubscribe, kNoKeys, kSubscribe),
    RefusedRow("psubscribe", -2, kFlagsSubscribe, kNoKeys, kSubscribe),
    RefusedRow("ssubscribe", -2, kFlagsSubscribe, kShardChannels, kSubscribe),
    RefusedRow("unsubscribe", -1, kFlagsSubscribe, kNoKeys, kSubscribe),
    RefusedRow("punsubscribe", -1, kFlagsSubscribe, kNoKeys, kSubscribe),
    RefusedRow("sunsubscribe", -1, kFlagsSubscribe, kShardChannels, kSubscribe),

    // Scripts and functions.
    RefusedRow("eval", -3, kFlagsScript, kCountedKeysAt2, kScript),
    RefusedRow("evalsha", -3, kFlagsScript, kCountedKeysAt2, kScript),
    RefusedRow("fcall", -3, kFlagsScript, kCountedKeysAt2, kScript),
    RefusedRow("eval_ro", -3, kFlagsScript | kFlagReadonly, kCountedKeysAt2, kReadScript),
    RefusedRow("evalsha_ro", -3, kFlagsScript | kFlagReadonly, kCountedKeysAt2, kReadScript),
    RefusedRow("fcall_ro", -3, kFlagsScript | kFlagReadonly, kCountedKeysAt2, kReadScript),
    RefusedRow("script|load", 3, kFlagNoscript | kFlagStale, kNoKeys, kScriptAdmin),
    RefusedRow("script|exists", -3, kFlagNoscript, kNoKeys, kScriptAdmin),
    RefusedRow("script|flush", -2, kFlagNoscript, kNoKeys, kScriptAdmin),
    RefusedRow("script|kill", 2, kFlagNoscript | kFlagAllowBusy, kNoKeys, kScriptAdmin),
    RefusedRow("script|debug", 3, kFlagNoscript, kNoKeys, kScriptAdmin),
    PrimaryReadRow("script|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("script", -2, kNoFlags, kNoKeys, "unknown subcommand. Try SCRIPT HELP."),
    PrimaryReadRow("function|list", -2, kFlagNoscript, kNoKeys),
    PrimaryReadRow("function|stats", 2, kFlagNoscript | kFlagAllowBusy, kNoKeys),
    PrimaryReadRow("function|dump", 2, kFlagNoscript, kNoKeys),
    PrimaryReadRow("function|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("function|load", -3, kFlagWrite | kFlagDenyOom | kFlagNoscript, kNoKeys, kFunctionAdmin),
    RefusedRow("function|delete", 3, kFlagWrite | kFlagNoscript, kNoKeys, kFunctionAdmin),
    RefusedRow("function|flush", -2, kFlagWrite | kFlagNoscript, kNoKeys, kFunctionAdmin),
    RefusedRow("function|restore", -3, kFlagWrite | kFlagDenyOom | kFlagNoscript, kNoKeys, kFunctionAdmin),
    RefusedRow("function|kill", 2, kFlagNoscript | kFlagAllowBusy, kNoKeys, kFunctionAdmin),
    RefusedRow("function", -2, kNoFlags, kNoKeys, "unknown subcommand. Try FUNCTION HELP."),
};

}  // namespace

std::span<const CommandRow> ConnectionRows() {
  return kConnectionRows;
}

}  // namespace crossfade
