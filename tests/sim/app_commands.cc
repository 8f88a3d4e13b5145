// What applications ask for.
#include "fmt/format.h"
#include "tests/sim/app.h"

namespace crossfade::sim {

std::string App::Own(std::string_view suffix) const {
  return fmt::format("a{}:{}", number_, suffix);
}

std::string App::Token() {
  return fmt::format("t:{}:{}", number_, ++tokens_);
}

App::Command App::OnString(const std::string& key) {
  switch (chance_.Below(13)) {
    case 0:
      return {"SET", key, Token(), "NX"};
    case 1:
      return {"SET", key, Token(), "XX", "GET"};
    case 2:
      return {"SET", key, Token(), "EX", "5000"};
    case 3:
      return {"SET", key, Token(), "KEEPTTL"};
    case 4:
      return {"APPEND", key, Token()};
    case 5:
      return {"DEL", key};
    case 6:
      return {"GETSET", key, Token()};
    case 7:
      return {"GETDEL", key};
    case 8:
      return {"SETNX", key, Token()};
    case 9:
    case 10:
      return {"GET", key};
    default:
      return {"SET", key, Token()};
  }
}

App::Command App::OnList(const std::string& key) {
  switch (chance_.Below(7)) {
    case 0:
    case 1:
      return {"RPUSH", key, Token()};
    case 2:
      return {"LPUSH", key, Token()};
    case 3:
      return {"LPOP", key};
    case 4:
      return {"RPOP", key};
    case 5:
      return {"LMOVE", key, key, "LEFT", "RIGHT"};
    default:
      return {"LRANGE", key, "0", "-1"};
  }
}

App::Command App::OnSet(const std::string& key) {
  switch (chance_.Below(5)) {
    case 0:
    case 1:
      return {"SADD", key, Token()};
    case 2:
      return {"SPOP", key};
    case 3:
      return {"SREM", key, fmt::format("t:{}:{}", number_, tokens_)};
    default:
      return {"SMEMBERS", key};
  }
}

App::Command App::OnHash(const std::string& key) {
  const std::string field = fmt::format("f{}", chance_.Below(3));
  switch (chance_.Below(6)) {
    case 0:
    case 1:
      return {"HSET", key, field, Token()};
    case 2:
      return {"HSETNX", key, field, Token()};
    case 3:
      return {"HDEL", key, field};
    case 4:
      return {"HINCRBY", key, "n", "3"};
    default:
      return {"HGETALL", key};
  }
}

App::Command App::OnSorted(const std::string& key) {
  switch (chance_.Below(5)) {
    case 0:
    case 1:
      return {"ZADD", key, std::to_string(chance_.Below(9)), Token()};
    case 2:
      return {"ZINCRBY", key, "2", "m"};
    case 3:
      return {"ZPOPMIN", key};
    default:
      return {"ZRANGE", key, "0", "-1", "WITHSCORES"};
  }
}

App::Command App::OnShortLived(const std::string& key) {
  switch (chance_.Below(8)) {
    case 0:
    case 1:
      return {"SET", key, Token(), "PX", std::to_string(chance_.Range(1, 700))};
    case 2:
      return {"PEXPIRE", key, std::to_string(chance_.Range(1, 700))};
    case 3:
      return {"PERSIST", key};
    case 4:
      return {"SET", key, Token(), "KEEPTTL"};
    case 5:
      return {"SETNX", key, Token()};
    case 6:
      return {"APPEND", key, "+"};
    default:
      return {"GET", key};
  }
}

App::Command App::OnKey(const std::string& key, char kind, bool own) {
  switch (kind) {
    case 's':
      return OnString(key);
    case 'n':
      if (chance_.Percent(25)) return {"GET", key};
      if (chance_.Percent(20)) return {"INCRBYFLOAT", key, "0.5"};
      return chance_.Percent(50) ? Command{"INCR", key} : Command{"INCRBY", key, "7"};
    case 'l':
      return OnList(key);
    case 'm':
      return OnSet(key);
    case 'h':
      return OnHash(key);
    case 'z':
      return OnSorted(key);
    default:
      break;
  }
  const std::string source = own ? Own("s") : "g:s";
  switch (chance_.Below(4)) {
    case 0:
      return {"RENAME", source, key};
    case 1:
      return {"COPY", source, key, "REPLACE"};
    case 2:
      return {"MGET", source, key};
    default:
      return {"GET", key};
  }
}

App::Command App::OwnCommand() {
  static constexpr std::string_view kKinds = "ssnlmhzx";
  const char kind = kKinds[chance_.Below(kKinds.size())];
  return OnKey(Own(std::string_view(&kind, 1)), kind, true);
}

App::Command App::SharedCommand() {
  static constexpr std::string_view kKinds = "ssnlmhzxtttr";
  const char kind = kKinds[chance_.Below(kKinds.size())];
  if (kind == 't' && scenario_->short_lived) return OnShortLived(fmt::format("g:t{}", chance_.Below(3)));
  if (kind == 't') return OnString("g:s2");
  if (kind == 'r') return {"RPOPLPUSH", "g:l", "g:l2"};
  return OnKey(fmt::format("g:{}", kind), kind, false);
}

std::vector<App::Command> App::ReadAll() const {
  return {{"GET", Own("s")},      {"GET", Own("n")},     {"LRANGE", Own("l"), "0", "-1"},
          {"SMEMBERS", Own("m")}, {"HGETALL", Own("h")}, {"ZRANGE", Own("z"), "0", "-1", "WITHSCORES"},
          {"GET", Own("x")}};
}

}  // namespace crossfade::sim
