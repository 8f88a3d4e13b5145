#include "tests/fuzz/toy_store.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "protocol/request.h"
#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"
#include "tests/fuzz/require.h"

namespace crossfade {
namespace {

std::string Bulk(std::string_view text) {
  std::string out;
  AppendBulk(&out, text);
  return out;
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

// What a server usually says; who is not here is answered ":1".
struct Usual {
  std::string_view names, reply;
};
constexpr Usual kUsual[] = {
    {" set setex psetex mset hmset ltrim lset rename restore flushdb flushall swapdb xgroup xsetid pfmerge ",
     "+OK\r\n"},
    {" function script acl client config watch unwatch select auth migrate json.set ts.create ", "+OK\r\n"},
    {" get getset getdel getex substr getrange hget lindex lpop rpop spop srandmember lmove rpoplpush ", "$1\r\na\r\n"},
    {" hrandfield zrandmember randomkey echo object ", "$1\r\na\r\n"},
    {" dump ", "$10\r\nabcdefghij\r\n"},
    {" type ", "+string\r\n"},
    {" zscore zincrby geodist incrbyfloat hincrbyfloat ", "$3\r\n1.5\r\n"},
    {" mget hmget smembers lrange keys sinter sunion sdiff hkeys hvals zrange sort ", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
    {" hgetall zpopmin zpopmax hgetex hgetdel ", "*2\r\n$1\r\na\r\n$1\r\n1\r\n"},
    {" xadd ", "$3\r\n1-1\r\n"},
    {" xrange xrevrange xclaim ", "*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"},
    {" xread xreadgroup ", "*1\r\n*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"},
    {" xautoclaim ", "*3\r\n$3\r\n0-0\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*0\r\n"},
    {" lmpop ", "*2\r\n$1\r\nk\r\n*1\r\n$1\r\na\r\n"},
    {" zmpop ", "*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"},
    {" hexpire hpexpire hexpireat hpexpireat hpersist httl hpttl ", "*1\r\n:1\r\n"},
    {" bitfield ", "*1\r\n:1\r\n"},
    {" ping ", "+PONG\r\n"},
    {" pttl ttl ", ":-1\r\n"},
    {" sscan hscan zscan ", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"},
    {" scan ", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
    {" command ",
     "*3\r\n*6\r\n$7\r\nmod.set\r\n:-2\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n"
     "*6\r\n$7\r\nmod.get\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n"
     "*6\r\n$8\r\nmod.many\r\n:-3\r\n*1\r\n+write\r\n:1\r\n:-1\r\n:2\r\n"},
};

// What a server may say to nearly anything.
constexpr std::string_view kUnusual[] = {
    ":0\r\n",
    ":1\r\n",
    ":-2\r\n",
    ":3\r\n",
    "+OK\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "_\r\n",
    "$0\r\n\r\n",
    "$2\r\n12\r\n",
    "$3\r\n1-1\r\n",
    ",1.5\r\n",
    "#t\r\n",
    "*1\r\n$1\r\na\r\n",
    "*2\r\n$1\r\na\r\n:1\r\n",
    "*2\r\n$1\r\nk\r\n*1\r\n$1\r\na\r\n",
    "*1\r\n*2\r\n$1\r\na\r\n,1\r\n",
    "%1\r\n$1\r\na\r\n$1\r\n1\r\n",
    "~2\r\n$1\r\na\r\n$1\r\nb\r\n",
    "-ERR no\r\n",
    "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "-LOADING Redis is loading the dataset in memory\r\n",
    "-READONLY You can't write against a read only replica.\r\n",
    "-NOSCRIPT No matching script.\r\n",
    "-NOAUTH Authentication required.\r\n",
    "-NOPERM this user has no permissions to run the 'x' command\r\n",
    "-MISCONF no\r\n",
    "-EXECABORT Transaction discarded because of previous errors.\r\n",
    "-UNKILLABLE no\r\n",
    "-ERR unknown command 'x', with args beginning with: \r\n",
};

std::string_view UsualReply(const std::string& name) {
  const std::string word = ' ' + name + ' ';
  for (const Usual& usual : kUsual) {
    if (usual.names.find(word) != std::string_view::npos) return usual.reply;
  }
  return ":1\r\n";
}

}  // namespace

void ToyStore::TakeConnections(bool accept) {
  while (FakeConnectPtr connect = io_->NextConnect(port_)) {
    if (!accept) {
      connect->Fail(absl::UnavailableError("refused"));
      continue;
    }
    auto connection = std::make_unique<Connection>();
    connections_.push_back(std::move(connection));
    connections_.back()->peer = connect->Succeed();
  }
}

void ToyStore::Close(size_t index) {
  Forget();
  if (!connections_.empty()) connections_[index % connections_.size()]->peer->CloseByPeer();
  Forget();
}

void ToyStore::CloseAll() {
  for (size_t i = 0; i < connections_.size(); ++i) connections_[i]->peer->CloseByPeer();
  Forget();
}

void ToyStore::Forget() {
  std::erase_if(connections_, [](const auto& connection) { return !connection->peer->open; });
}

size_t ToyStore::Receive() {
  Forget();
  size_t due = 0;
  for (const auto& connection : connections_) {
    connection->bytes += connection->peer->TakeWritten();
    size_t read = 0;
    while (read < connection->bytes.size()) {
      RequestParser parser;
      RequestView request;
      size_t consumed = 0;
      const auto result = parser.Parse(std::string_view(connection->bytes).substr(read), &request, &consumed);
      Require(result == ParseResult::kDone && request.argc() > 0, "a store is sent whole, well-formed commands");
      std::vector<std::string>& command = connection->due.emplace_back();
      for (size_t i = 0; i < request.argc(); ++i) command.emplace_back(request.arg(i));
      read += consumed;
      ++commands_;
      if (on_command) on_command(command);
    }
    connection->bytes.clear();
    due += connection->due.size();
  }
  return due;
}

ToyStore::Connection* ToyStore::Due(size_t index) {
  if (Receive() == 0) return nullptr;
  for (size_t i = 0; i < connections_.size(); ++i) {
    Connection* connection = connections_[(index + i) % connections_.size()].get();
    if (!connection->due.empty()) return connection;
  }
  return nullptr;
}

std::vector<std::string> ToyStore::NextCommand(size_t index) {
  const Connection* connection = Due(index);
  return connection == nullptr ? std::vector<std::string>() : connection->due.front();
}

bool ToyStore::Answer(size_t index, uint8_t choice) {
  Connection* connection = Due(index);
  if (connection == nullptr) return false;
  const std::vector<std::string> command = std::move(connection->due.front());
  connection->due.pop_front();
  const FakePeerPtr peer = connection->peer;  // the connection may be forgotten meanwhile
  peer->Deliver(Reply(connection, command, choice));
  return true;
}

bool ToyStore::AnswerWith(size_t index, std::string_view bytes) {
  Connection* connection = Due(index);
  if (connection == nullptr) return false;
  connection->due.pop_front();
  const FakePeerPtr peer = connection->peer;
  peer->Deliver(bytes);
  return true;
}

void ToyStore::Say(size_t index, std::string_view bytes) {
  Forget();
  if (connections_.empty()) return;
  const FakePeerPtr peer = connections_[index % connections_.size()]->peer;
  peer->Deliver(bytes);
}

void ToyStore::AnswerAll() {
  while (Answer(0, 0)) {
  }
}

std::string ToyStore::Info() const {
  constexpr std::array<std::string_view, 5> kVersions = {
      "redis_version:7.0.15\r\n", "redis_version:7.4.1\r\n", "redis_version:6.2.6\r\n",
      "redis_version:7.2.4\r\nvalkey_version:9.0.0\r\n", "redis_version:7.4.0\r\ndragonfly_version:df-v1.25.0\r\n"};
  std::string text = "# Server\r\n" + std::string(kVersions[static_cast<size_t>(version) % kVersions.size()]);
  text += "run_id:run" + std::to_string(generation) + "\r\nuptime_in_seconds:100\r\n";
  text += loading ? "loading:1\r\n" : "loading:0\r\n";
  text += replica ? "role:slave\r\n" : "role:master\r\n";
  if (!empty) text += "# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0\r\n";
  return Bulk(text);
}

std::string ToyStore::Handshake(const std::vector<std::string>& command, Connection* connection) {
  const std::string name = LowerCase(command[0]);
  const std::string second = command.size() > 1 ? LowerCase(command[1]) : "";
  if (name == "info") return Info();
  if (name == "hello") {
    if (!resp3) return "-ERR unknown command 'HELLO'\r\n";
    connection->protocol3 = second == "3";
    return connection->protocol3 ? "%1\r\n$5\r\nproto\r\n:3\r\n" : "*2\r\n$5\r\nproto\r\n:2\r\n";
  }
  if (name == "time") {
    const int64_t ms = io_->clock()->WallMs();
    return "*2\r\n" + Bulk(std::to_string(ms / 1000)) + Bulk(std::to_string(ms % 1000 * 1000));
  }
  if (name == "config" && second == "get") return "*2\r\n$9\r\ndatabases\r\n$2\r\n16\r\n";
  if (name == "client" && second == "id") return ":" + std::to_string(++last_id_) + "\r\n";
  if (name == "client" && second == "kill") return ":1\r\n";
  return {};
}

std::string ToyStore::Subscribed(Connection* connection, const std::vector<std::string>& command) {
  const std::string name = LowerCase(command[0]);
  const bool off = name.find("unsub") != std::string::npos;
  if (name.find("subscribe") == std::string::npos) return {};
  std::string out;
  for (size_t i = 1; i < std::max<size_t>(2, command.size()); ++i) {
    if (off && connection->subscriptions > 0) --connection->subscriptions;
    if (!off) ++connection->subscriptions;
    out += connection->protocol3 ? ">3\r\n" : "*3\r\n";
    out += Bulk(name) + (i < command.size() ? Bulk(command[i]) : "$-1\r\n");
    AppendInteger(&out, static_cast<int64_t>(connection->subscriptions));
  }
  return out;
}

std::string ToyStore::Reply(Connection* connection, const std::vector<std::string>& command, uint8_t choice) {
  const std::string name = LowerCase(command[0]);
  if (choice == 0) {
    if (std::string reply = Handshake(command, connection); !reply.empty()) return reply;
    if (std::string reply = Subscribed(connection, command); !reply.empty()) return reply;
    if (name == "multi") {
      connection->in_multi = true;
      return "+OK\r\n";
    }
  }
  if (connection->in_multi && name == "discard") {
    connection->in_multi = false;
    connection->queued.clear();
    return "+OK\r\n";
  }
  if (connection->in_multi && name == "exec") {
    connection->in_multi = false;
    const auto queued = std::exchange(connection->queued, {});
    std::string out = "*" + std::to_string(queued.size()) + "\r\n";
    // With another choice one of the commands fails, or finds nothing.
    for (size_t i = 0; i < queued.size(); ++i) {
      out += choice % (queued.size() + 1) == i + 1 ? std::string(kUnusual[choice % std::size(kUnusual)])
                                                   : Reply(connection, queued[i], 0);
    }
    return out;
  }
  if (connection->in_multi && name != "multi") {
    connection->queued.push_back(command);
    return "+QUEUED\r\n";
  }
  if (choice == 0) return std::string(UsualReply(name));
  return std::string(kUnusual[choice % std::size(kUnusual)]);
}

}  // namespace crossfade
