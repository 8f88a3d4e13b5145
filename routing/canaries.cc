#include "routing/canaries.h"

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/request.h"
#include "routing/command_table.h"
#include "routing/comparer.h"

namespace crossfade {

namespace {

using Commands = std::vector<std::vector<std::string>>;

RequestView ViewOf(const std::vector<std::string>& words, Request* request) {
  const std::vector<std::string_view> views(words.begin(), words.end());
  *request = MakeRequest(views);
  return request->view();
}

}  // namespace

std::vector<Canary> MakeCanaries(uint64_t random) {
  std::vector<Canary> canaries;
  const std::string prefix = fmt::format("{}{:016x}:", kCanaryPrefix, random);
  const auto add = [&](const char* kind, const char* name, ValueType type, std::string_view type_name,
                       int64_t alive_ms) -> Canary& {
    Canary& canary = canaries.emplace_back(Canary{kind, type, type_name, prefix + name, {}, {}});
    canary.make = {{"PEXPIRE", canary.key, std::to_string(alive_ms)}};
    canary.read = {{"PTTL", canary.key}};
    return canary;
  };
  const auto fill = [](Canary* canary, Commands make, Commands read) {
    canary->make.insert(canary->make.begin(), make.begin(), make.end());
    canary->read.insert(canary->read.begin(), read.begin(), read.end());
  };
  const auto plain = [&](const char* kind, ValueType type, std::string_view type_name, std::vector<std::string> make,
                         std::vector<std::string> read, int64_t alive_ms = kCanaryMs) {
    Canary& canary = add(kind, kind, type, type_name, alive_ms);
    make.insert(make.begin() + 1, canary.key);
    read.insert(read.begin() + 1, canary.key);
    fill(&canary, {std::move(make)}, {std::move(read)});
  };
  plain("string", ValueType::kString, "string", {"SET", std::string("bytes \0\r\n\xff", 10)}, {"GET"});
  plain("list", ValueType::kList, "list", {"RPUSH", "b", "a", "", "7"}, {"LRANGE", "0", "-1"});
  plain("set", ValueType::kSet, "set", {"SADD", "a", "b", "7"}, {"SMEMBERS"});
  plain("hash", ValueType::kHash, "hash", {"HSET", "f", "1", "g", ""}, {"HGETALL"});
  plain("zset", ValueType::kZset, "zset", {"ZADD", "0.1", "a", "-inf", "b", "3", "c"},
        {"ZRANGE", "0", "-1", "WITHSCORES"});
  plain("hyperloglog", ValueType::kString, "string", {"PFADD", "a", "b", "c"}, {"PFCOUNT"});
  plain("ttl", ValueType::kString, "string", {"SET", "expires"}, {"GET"}, kCanaryMs - 1234);
  Canary& stream = add("stream with groups", "stream", ValueType::kStream, "stream", kCanaryMs);
  const std::string& key = stream.key;
  fill(&stream,
       {{"XADD", key, "1-1", "f", "a"},
        {"XADD", key, "1-2", "f", "b"},
        {"XGROUP", "CREATE", key, "readers", "0"},
        {"XREADGROUP", "GROUP", "readers", "ann", "COUNT", "1", "STREAMS", key, ">"},
        {"XGROUP", "CREATE", key, "late", "$"}},
       {{"XRANGE", key, "-", "+"}, {"XINFO", "GROUPS", key}, {"XPENDING", key, "readers", "-", "+", "10"}});
  return canaries;
}

void AddAll(const Commands& commands, CommandBatch* batch) {
  for (const std::vector<std::string>& words : commands) {
    batch->Add(std::vector<std::string_view>(words.begin(), words.end()));
  }
}

bool ReadingsAgree(const Canary& canary, std::span<const std::string> a, std::span<const std::string> b,
                   int64_t tolerance_ms, std::string* what) {
  for (size_t i = 0; i < canary.read.size(); ++i) {
    Request request;
    const RequestView view = ViewOf(canary.read[i], &request);
    const CommandRow* row = FindCommand(view);
    const bool read = i < a.size() && i < b.size() && !IsErrorReply(a[i]) && !IsErrorReply(b[i]);
    if (read && RepliesAgree(row->compare, view, a[i], b[i], tolerance_ms)) continue;
    *what = canary.read[i][0];
    return false;
  }
  return true;
}

int RdbVersion(std::string_view dump_reply) {
  constexpr size_t kFooter = 10;  // two bytes of version, little endian, and eight of checksum
  const Reply reply = ParseReply(dump_reply);
  if (reply.type != ReplyType::kBulk || reply.text.size() <= kFooter) return 0;
  const std::string_view footer = reply.text.substr(reply.text.size() - kFooter);
  return static_cast<unsigned char>(footer[0]) | static_cast<unsigned char>(footer[1]) << 8;
}

}  // namespace crossfade
