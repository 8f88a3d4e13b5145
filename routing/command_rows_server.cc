// Rows of the server as a whole: what it says of itself, its administration, replication, the cluster.
// COMMANDS.md: A13.
// What would change one store behind the other's back is refused; what only tells is asked of the primary.
#include "routing/command_rows.h"

namespace crossfade {

namespace {

constexpr std::string_view kOneStoreOnly =
    "Crossfade stands before two stores, and this would act on one of them. Run it on each store directly, or allow it "
    "for the primary with admin_commands = true.";
constexpr std::string_view kUsersToChange =
    "Crossfade does not change the users of a store. Change them on each store directly, or allow it for the primary "
    "with admin_commands = true.";
constexpr std::string_view kRoles =
    "Crossfade does not change the replication of a store. Run it on the store directly; to change which store is the "
    "primary, use 'crossfade flip'. (admin_commands = true allows it for the primary.)";
constexpr std::string_view kReplica = "Crossfade can't be replicated from. Point the replica at one of the stores.";

constexpr CommandRow kServerRows[] = {
    // What the server says of itself.
    PrimaryReadRow("info", -1, kFlagsAnytime, kNoKeys),
    PrimaryReadRow("time", 1, kFlagLoading | kFlagStale | kFlagFast, kNoKeys),
    PrimaryReadRow("lastsave", 1, kFlagLoading | kFlagStale | kFlagFast, kNoKeys),
    PrimaryReadRow("role", 1, kFlagsConnection | kFlagFast, kNoKeys),
    PrimaryReadRow("lolwut", -1, kFlagsReadFast, kNoKeys),
    PrimaryReadRow("command", -1, kFlagsAnytime, kNoKeys),
    PrimaryReadRow("command|count", 2, kFlagsAnytime, kNoKeys),
    PrimaryReadRow("command|docs", -2, kFlagsAnytime, kNoKeys),
    PrimaryReadRow("command|getkeys", -4, kFlagsAnytime, kNoKeys),
    PrimaryReadRow("command|getkeysandflags", -4, kFlagsAnytime, kNoKeys),
    PrimaryReadRow("command|help", 2, kFlagsAnytime, kNoKeys),
    PrimaryReadRow("command|info", -2, kFlagsAnytime, kNoKeys),
    PrimaryReadRow("command|list", -2, kFlagsAnytime, kNoKeys),
    PrimaryReadRow("memory|usage", -3, kFlagReadonly, kSecondKey),
    PrimaryReadRow("memory|stats", 2, kNoFlags, kNoKeys),
    PrimaryReadRow("memory|doctor", 2, kNoFlags, kNoKeys),
    PrimaryReadRow("memory|malloc-stats", 2, kNoFlags, kNoKeys),
    PrimaryReadRow("memory|purge", 2, kNoFlags, kNoKeys),
    PrimaryReadRow("memory|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("memory", -2, kNoFlags, kNoKeys, "unknown subcommand. Try MEMORY HELP."),
    PrimaryReadRow("latency|doctor", 2, kFlagsAdmin, kNoKeys),
    PrimaryReadRow("latency|graph", 3, kFlagsAdmin, kNoKeys),
    PrimaryReadRow("latency|histogram", -2, kFlagsAdmin, kNoKeys),
    PrimaryReadRow("latency|history", 3, kFlagsAdmin, kNoKeys),
    PrimaryReadRow("latency|latest", 2, kFlagsAdmin, kNoKeys),
    PrimaryReadRow("latency|reset", -2, kFlagsAdmin, kNoKeys),
    PrimaryReadRow("latency|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("latency", -2, kNoFlags, kNoKeys, "unknown subcommand. Try LATENCY HELP."),
    PrimaryReadRow("slowlog|get", -2, kFlagAdmin | kFlagLoading | kFlagStale, kNoKeys),
    PrimaryReadRow("slowlog|len", 2, kFlagAdmin | kFlagLoading | kFlagStale, kNoKeys),
    PrimaryReadRow("slowlog|reset", 2, kFlagAdmin | kFlagLoading | kFlagStale, kNoKeys),
    PrimaryReadRow("slowlog|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("slowlog", -2, kNoFlags, kNoKeys, "unknown subcommand. Try SLOWLOG HELP."),
    PrivateRow("monitor", 1, kFlagsAdmin, kNoKeys),

    // Settings and modules.
    PrimaryReadRow("config|get", -3, kFlagsAdmin, kNoKeys),
    PrimaryReadRow("config|help", 2, kFlagsAnytime, kNoKeys),
    AdminRow("config|set", -4, kFlagsAdmin, kNoKeys, kOneStoreOnly),
    AdminRow("config|rewrite", 2, kFlagsAdmin, kNoKeys, kOneStoreOnly),
    AdminRow("config|resetstat", 2, kFlagsAdmin, kNoKeys, kOneStoreOnly),
    RefusedRow("config", -2, kNoFlags, kNoKeys, "unknown subcommand. Try CONFIG HELP."),
    PrimaryReadRow("module|list", 2, kFlagAdmin | kFlagNoscript, kNoKeys),
    PrimaryReadRow("module|help", 2, kFlagsAnytime, kNoKeys),
    AdminRow("module|load", -3, kFlagsSaving, kNoKeys, kOneStoreOnly),
    AdminRow("module|loadex", -3, kFlagsSaving, kNoKeys, kOneStoreOnly),
    AdminRow("module|unload", 3, kFlagsSaving, kNoKeys, kOneStoreOnly),
    RefusedRow("module", -2, kNoFlags, kNoKeys, "unknown subcommand. Try MODULE HELP."),
    AdminRow("debug", -2, kFlagsAdmin, kNoKeys, kOneStoreOnly),

    // Users.
    PrimaryReadRow("acl|cat", -2, kFlagsConnection, kNoKeys),
    PrimaryReadRow("acl|genpass", -2, kFlagsConnection, kNoKeys),
    LocalRow("acl|whoami", 2, kFlagsConnection, kNoKeys),
    PrimaryReadRow("acl|help", 2, kFlagsAnytime, kNoKeys),
    PrimaryReadRow("acl|list", 2, kFlagsAdmin, kNoKeys),
    PrimaryReadRow("acl|users", 2, kFlagsAdmin, kNoKeys),
    PrimaryReadRow("acl|getuser", 3, kFlagsAdmin, kNoKeys),
    PrimaryReadRow("acl|log", -2, kFlagsAdmin, kNoKeys),
    PrimaryReadRow("acl|dryrun", -4, kFlagsAdmin, kNoKeys),
    AdminRow("acl|setuser", -3, kFlagsAdmin, kNoKeys, kUsersToChange),
    AdminRow("acl|deluser", -3, kFlagsAdmin, kNoKeys, kUsersToChange),
    AdminRow("acl|load", 2, kFlagsAdmin, kNoKeys, kUsersToChange),
    AdminRow("acl|save", 2, kFlagsAdmin, kNoKeys, kUsersToChange),
    RefusedRow("acl", -2, kNoFlags, kNoKeys, "unknown subcommand. Try ACL HELP."),

    // Saving and stopping.
    AdminRow("save", 1, kFlagsSaving | kFlagNoMulti, kNoKeys, kOneStoreOnly),
    AdminRow("bgsave", -1, kFlagsSaving, kNoKeys, kOneStoreOnly),
    AdminRow("bgrewriteaof", 1, kFlagsSaving, kNoKeys, kOneStoreOnly),
    AdminRow("shutdown", -1, kFlagsAdmin | kFlagNoMulti | kFlagAllowBusy, kNoKeys, kOneStoreOnly),

    // Replication.
    AdminRow("replicaof", 3, kFlagsClusterAdmin | kFlagNoscript, kNoKeys, kRoles),
    AdminRow("slaveof", 3, kFlagsClusterAdmin | kFlagNoscript, kNoKeys, kRoles),
    AdminRow("failover", -1, kFlagAdmin | kFlagNoscript | kFlagStale, kNoKeys, kRoles),
    RefusedRow("sync", 1, kFlagsSaving | kFlagNoMulti, kNoKeys, kReplica),
    RefusedRow("psync", -3, kFlagsSaving | kFlagNoMulti, kNoKeys, kReplica),
    RefusedRow("replconf", -1, kFlagsAdmin | kFlagAllowBusy, kNoKeys, kReplica),
    PrivateRow("wait", 3, kFlagNoscript, kNoKeys),

    // Redis Cluster. The refusal is what a server without it answers.
    PrimaryReadRow("cluster|help", 2, kFlagsAnytime, kNoKeys),
    RefusedRow("cluster|addslots", -3, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|addslotsrange", -4, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|bumpepoch", 2, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|count-failure-reports", 3, kFlagAdmin | kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|countkeysinslot", 3, kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|delslots", -3, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|delslotsrange", -4, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|failover", -2, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|flushslots", 2, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|forget", 3, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|getkeysinslot", 4, kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|info", 2, kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|keyslot", 3, kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|links", 2, kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|meet", -4, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|myid", 2, kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|nodes", 2, kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|replicas", 3, kFlagAdmin | kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|replicate", 3, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|reset", -2, kFlagAdmin | kFlagNoscript | kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|saveconfig", 2, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|set-config-epoch", 3, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|setslot", -4, kFlagsClusterAdmin, kNoKeys, kNoCluster),
    RefusedRow("cluster|shards", 2, kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|slaves", 3, kFlagAdmin | kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster|slots", 2, kFlagStale, kNoKeys, kNoCluster),
    RefusedRow("cluster", -2, kNoFlags, kNoKeys, "unknown subcommand. Try CLUSTER HELP."),
    RefusedRow("asking", 1, kFlagFast, kNoKeys, kNoCluster),
    RefusedRow("readonly", 1, kFlagLoading | kFlagStale | kFlagFast, kNoKeys, kNoCluster),
    RefusedRow("readwrite", 1, kFlagLoading | kFlagStale | kFlagFast, kNoKeys, kNoCluster),
};

}  // namespace

std::span<const CommandRow> ServerRows() {
  return kServerRows;
}

}  // namespace crossfade
