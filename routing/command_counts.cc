#include "routing/command_counts.h"

#include <map>
#include <string>
#include <utility>

namespace crossfade {

namespace {

// The first words of commands, each between spaces. By COMMAND DOCS of Redis 7.0; newer ones by their own servers'.
struct Family {
  std::string_view name;
  std::string_view commands;
};
constexpr Family kFamilies[] = {
    {"array",
     " arcount ardel ardelrange arget argetrange argrep arinfo arinsert arlastitems arlen armget armset arnext arop "
     " arring arscan arseek arset "},
    {"bitmap", " bitcount bitfield bitfield_ro bitop bitpos getbit setbit "},
    {"cluster", " asking cluster clusterscan readonly readwrite trimslots "},
    {"connection", " auth client echo hello ping quit reset select "},
    {"generic",
     " copy del dump exists expire expireat expiretime keys migrate move object persist pexpire pexpireat "
     " pexpiretime pttl randomkey rename renamenx restore scan sort sort_ro stick touch ttl type unlink wait "
     " waitaof "},
    {"geo",
     " geoadd geodist geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch "
     " geosearchstore "},
    {"hash",
     " fieldexpire fieldttl hdel hexists hexpire hexpireat hexpiretime hget hgetall hgetdel hgetex himport hincrby "
     " hincrbyfloat hkeys hlen hmget hmset hpersist hpexpire hpexpireat hpexpiretime hpttl hrandfield hscan hset "
     " hsetex hsetnx hstrlen httl hvals "},
    {"hyperloglog", " pfadd pfcount pfdebug pfmerge pfselftest "},
    {"list",
     " blmove blmovem blmpop blpop brpop brpoplpush lindex linsert llen lmove lmovem lmpop lpop lpos lpush lpushx "
     " lrange lrem lset ltrim rpop rpoplpush rpush rpushx "},
    {"pubsub", " psubscribe publish pubsub punsubscribe spublish ssubscribe subscribe sunsubscribe unsubscribe "},
    {"scripting", " eval eval_ro evalsha evalsha_ro fcall fcall_ro function script "},
    {"server",
     " acl backup bgrewriteaof bgsave command commandlog config dbsize debug failover flushall flushdb hotkeys info "
     " lastsave latency lolwut memory module monitor psync replconf replicaof restore-asking role save sflush "
     " shutdown slaveof slowlog swapdb sync time "},
    {"set",
     " sadd saddex scard sdiff sdiffcard sdiffstore sinter sintercard sinterstore sismember smembers smismember "
     " smove spop srandmember srem sscan sunion sunioncard sunionstore "},
    {"sorted_set",
     " bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount "
     " zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem "
     " zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan "
     " zscore zunion zunionstore "},
    {"stream",
     " xack xackdel xadd xautoclaim xcfgset xclaim xdel xdelex xgroup xidmprecord xinfo xlen xnack xpending xrange "
     " xread xreadgroup xrevrange xsetid xtrim "},
    {"string",
     " append decr decrby delex delifeq digest get getdel getex getrange getset incr incrby incrbyfloat increx lcs "
     " mget mset msetex msetnx psetex set setex setnx setrange strlen substr "},
    {"transactions", " discard exec multi unwatch watch "},
    {"vector_set", " vadd vcard vdim vemb vgetattr vinfo vismember vlinks vrandmember vrange vrem vsetattr vsim "},
};

constexpr std::string_view kModule = "module";
constexpr std::string_view kUnknown = "unknown";

std::string_view FamilyOfName(std::string_view name) {
  if (name.find('.') != std::string_view::npos) return kModule;
  const std::string word = " " + std::string(name.substr(0, name.find('|'))) + " ";
  for (const Family& family : kFamilies) {
    if (family.commands.find(word) != std::string_view::npos) return family.name;
  }
  return kModule;
}

}  // namespace

std::string_view FamilyOf(const CommandRow& row) {
  static const std::vector<std::string_view> families = [] {  // by the table's row
    std::vector<std::string_view> found;
    found.reserve(AllCommands().size());
    for (const CommandRow& each : AllCommands()) found.push_back(FamilyOfName(each.name));
    return found;
  }();
  const size_t index = static_cast<size_t>(&row - AllCommands().data());
  return index < families.size() ? families[index] : kModule;
}

const char* Name(Route route) {
  switch (route) {
    case Route::kRead:
      return "read";
    case Route::kPrimaryRead:
      return "primary_read";
    case Route::kWrite:
      return "write";
    case Route::kBoth:
      return "both";
    case Route::kLocal:
      return "local";
    case Route::kService:
      return "service";
    case Route::kPrivate:
      return "private";
    case Route::kAdmin:
      return "admin";
    case Route::kRefused:
      return "refused";
  }
  return "";
}

std::string_view ComparedName(std::string_view command) {
  const CommandRow* row = FindCommandByName(command);
  const bool named = row != nullptr && row->route == Route::kRead && row->compare != CompareRule::kNever &&
                     row->refusal.empty() && !IsNewer(*row);
  return named ? row->name : "other";
}

std::vector<CommandCounts::Entry> CommandCounts::ByFamilyAndRoute() const {
  std::map<std::pair<std::string_view, Route>, uint64_t> sums;
  for (size_t i = 0; i < by_row_.size(); ++i) sums[{FamilyOf(first_row_[i]), first_row_[i].route}] += by_row_[i];
  for (Route route : {Route::kPrimaryRead, Route::kWrite, Route::kRefused}) {
    sums[{kModule, route}] += learnt_[static_cast<size_t>(route)];
  }
  std::vector<Entry> entries;
  entries.reserve(sums.size() + 1);
  for (const auto& [key, count] : sums) entries.push_back({key.first, Name(key.second), count});
  entries.push_back({kUnknown, kUnknown.data(), unknown_});
  return entries;
}

}  // namespace crossfade
