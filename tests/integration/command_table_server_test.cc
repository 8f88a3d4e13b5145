// Holds the command table against a real redis-server 7.0 (the one on the PATH, or CROSSFADE_REDIS_SERVER): every row's
// arity, flags and key places are what COMMAND says, no command is missing on either side, and FindKeys finds what
// COMMAND GETKEYS finds. Another version is skipped: the rows are Redis 7.0's. Those of later versions, of other
// servers and of modules (IsNewer) may be unknown to it.
//
// The server listens on a socket of its own in a new directory, so that no other test can be in its way.
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "protocol/request.h"
#include "routing/command_table.h"

namespace crossfade {
namespace {

using Words = std::vector<std::string_view>;

// Rows of ours that Redis 7.0 lacks.
constexpr std::string_view kNewerThanServer[] = {"client|setinfo"};

// Commands of Redis 7.0 that take more arguments in later versions (Redis 7.2, Valkey 9): ours is "at least".
constexpr std::string_view kWiderThanServer[] = {"move", "zrank", "zrevrank"};

constexpr std::pair<std::string_view, uint32_t> kFlagNames[] = {
    {"write", kFlagWrite},
    {"readonly", kFlagReadonly},
    {"denyoom", kFlagDenyOom},
    {"admin", kFlagAdmin},
    {"pubsub", kFlagPubsub},
    {"noscript", kFlagNoscript},
    {"blocking", kFlagBlocking},
    {"loading", kFlagLoading},
    {"stale", kFlagStale},
    {"fast", kFlagFast},
    {"no_auth", kFlagNoAuth},
    {"movablekeys", kFlagMovableKeys},
    {"no_multi", kFlagNoMulti},
    {"may_replicate", kFlagMayReplicate},
    {"skip_monitor", kFlagSkipMonitor},
    {"skip_slowlog", kFlagSkipSlowlog},
    {"asking", kFlagAsking},
    {"allow_busy", kFlagAllowBusy},
    {"no_async_loading", kFlagNoAsyncLoading},
    {"no_mandatory_keys", kFlagNoMandatoryKeys},
    {"protected", kFlagProtected},
};

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using ReplyPtr = std::unique_ptr<redisReply, FreeReply>;

std::string_view Text(const redisReply& reply) {
  return reply.str == nullptr ? std::string_view() : std::string_view(reply.str, reply.len);
}

// A redis-server of this test's own; it ends with this object, or with the test's process.
class Server {
 public:
  // Starts it and waits until it answers. connected() says whether that succeeded.
  Server() {
    std::string name = (std::filesystem::temp_directory_path() / "crossfade-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) return;
    directory_ = name;
    std::string socket = directory_ + "/socket";
    Start(socket);
    for (int attempt = 0; pid_ > 0 && context_ == nullptr && attempt < 500; ++attempt) {
      usleep(20'000);
      if (waitpid(pid_, nullptr, WNOHANG) != 0) {
        pid_ = -1;  // it ended: there is nothing to wait for, nor to kill
        return;
      }
      context_ = redisConnectUnix(socket.c_str());
      if (context_ != nullptr && context_->err != 0) {
        redisFree(context_);
        context_ = nullptr;
      }
    }
  }

  ~Server() {
    if (context_ != nullptr) redisFree(context_);
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  bool connected() const { return context_ != nullptr; }

  // The reply to a command, an error among them. nullptr when the connection broke.
  ReplyPtr Ask(const Words& words) {
    std::vector<const char*> args;
    std::vector<size_t> sizes;
    for (std::string_view word : words) {
      args.push_back(word.data());
      sizes.push_back(word.size());
    }
    void* reply = redisCommandArgv(context_, static_cast<int>(args.size()), args.data(), sizes.data());
    return ReplyPtr(static_cast<redisReply*>(reply));
  }

 private:
  void Start(const std::string& socket) {
    const char* chosen = getenv("CROSSFADE_REDIS_SERVER");
    const char* program = chosen == nullptr ? "redis-server" : chosen;
    pid_t parent = getpid();
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    execlp(program, program, "--port", "0", "--unixsocket", socket.c_str(), "--save", "", "--dir", directory_.c_str(),
           "--logfile", (directory_ + "/log").c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }

  std::string directory_;
  pid_t pid_ = -1;
  redisContext* context_ = nullptr;
};

// What COMMAND says of one command.
struct ServerRow {
  long long arity;
  std::vector<std::string> flags;
  long long first_key, last_key, step;
  bool is_container;
};
using ServerRows = std::map<std::string, ServerRow>;

// `reply` is an element of COMMAND's reply: name, arity, flags, first, last, step, ACL categories, tips, key
// specifications, subcommands.
void Collect(const redisReply& reply, ServerRows* rows) {
  ASSERT_EQ(reply.type, REDIS_REPLY_ARRAY);
  ASSERT_EQ(reply.elements, 10u);
  redisReply** field = reply.element;
  ServerRow row = {field[1]->integer, {}, field[3]->integer, field[4]->integer, field[5]->integer, false};
  for (size_t i = 0; i < field[2]->elements; ++i) {
    row.flags.emplace_back(Text(*field[2]->element[i]));
  }
  row.is_container = field[9]->elements > 0;
  EXPECT_TRUE(rows->emplace(std::string(Text(*field[0])), row).second) << Text(*field[0]);
  for (size_t i = 0; i < field[9]->elements; ++i) {
    Collect(*field[9]->element[i], rows);
  }
}

class CommandTableServerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new Server; }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }

  void SetUp() override {
    ASSERT_TRUE(server_->connected()) << "redis-server did not start";
    ReplyPtr info = Ask({"INFO", "server"});
    ASSERT_NE(info, nullptr);
    if (Text(*info).find("redis_version:7.0.") == std::string_view::npos) {
      GTEST_SKIP() << "not a Redis 7.0: " << Text(*info).substr(0, 80);
    }
  }

  ReplyPtr Ask(const Words& words) { return server_->Ask(words); }

  ServerRows AskRows() {
    ServerRows rows;
    ReplyPtr reply = Ask({"COMMAND"});
    if (reply == nullptr) {
      ADD_FAILURE() << "no reply to COMMAND";
      return rows;
    }
    for (size_t i = 0; i < reply->elements; ++i) {
      Collect(*reply->element[i], &rows);
    }
    return rows;
  }

  static Server* server_;
};

Server* CommandTableServerTest::server_ = nullptr;

TEST_F(CommandTableServerTest, EveryCommandOfTheServerHasItsRow) {
  ServerRows server_rows = AskRows();
  EXPECT_GE(server_rows.size(), 366u);
  for (const auto& [name, expected] : server_rows) {
    const CommandRow* row = FindCommandByName(name);
    ASSERT_NE(row, nullptr) << name;
    bool wider =
        std::find(std::begin(kWiderThanServer), std::end(kWiderThanServer), name) != std::end(kWiderThanServer);
    EXPECT_EQ(row->arity, wider ? -expected.arity : expected.arity) << name;
    EXPECT_EQ(row->first_key, expected.first_key) << name;
    EXPECT_EQ(row->last_key, expected.last_key) << name;
    EXPECT_EQ(row->step, expected.step) << name;
    EXPECT_EQ(IsContainer(*row), expected.is_container) << name;

    std::vector<std::string> ours;
    for (const auto& [flag_name, bit] : kFlagNames) {
      if ((row->flags & bit) != 0) ours.emplace_back(flag_name);
    }
    EXPECT_THAT(expected.flags, ::testing::UnorderedElementsAreArray(ours)) << name;
  }
}

TEST_F(CommandTableServerTest, EveryRowIsACommandOfTheServer) {
  ServerRows server_rows = AskRows();
  for (const CommandRow& row : AllCommands()) {
    bool newer =
        std::find(std::begin(kNewerThanServer), std::end(kNewerThanServer), row.name) != std::end(kNewerThanServer);
    if (IsNewer(row)) continue;
    EXPECT_EQ(server_rows.contains(std::string(row.name)), !newer) << row.name;
  }
}

// Requests on which FindKeys and COMMAND GETKEYS must agree. Each argument occurs once where it matters, so that equal
// words mean equal places.
const std::vector<Words>& SampleRequests() {
  static const auto& samples = *new std::vector<Words>{
      {"GET", "k"},
      {"SET", "k", "v", "EX", "10", "NX", "GET"},
      {"GETEX", "k", "PERSIST"},
      {"MGET", "a", "b", "c"},
      {"MSET", "a", "1", "b", "2"},
      {"MSETNX", "a", "1", "b", "2"},
      {"LCS", "a", "b", "IDX"},
      {"BITOP", "AND", "d", "a", "b"},
      {"BITFIELD", "k", "GET", "u8", "0"},
      {"PFCOUNT", "a", "b"},
      {"PFMERGE", "d", "a", "b"},
      {"PFDEBUG", "ENCODING", "k"},
      {"DEL", "a", "b", "c"},
      {"RENAME", "a", "b"},
      {"COPY", "a", "b", "DB", "1"},
      {"MOVE", "k", "1"},
      {"OBJECT", "ENCODING", "k"},
      {"MEMORY", "USAGE", "k", "SAMPLES", "5"},
      {"SORT", "k", "BY", "w_*", "LIMIT", "0", "5", "GET", "o_*", "ALPHA"},
      {"SORT", "k", "BY", "store", "STORE", "a", "DESC", "STORE", "d"},
      {"SORT_RO", "k", "BY", "w_*"},
      {"MIGRATE", "host", "1", "k", "0", "10", "COPY"},
      {"MIGRATE", "host", "1", "", "0", "10", "COPY", "AUTH", "keys", "KEYS", "a", "b"},
      {"RESTORE", "k", "0", "payload"},
      {"LMOVE", "a", "b", "LEFT", "RIGHT"},
      {"LMPOP", "2", "a", "b", "LEFT", "COUNT", "2"},
      {"BLPOP", "a", "b", "0"},
      {"BLMPOP", "0", "2", "a", "b", "LEFT"},
      {"BLMOVE", "a", "b", "LEFT", "RIGHT", "0"},
      {"SMOVE", "a", "b", "m"},
      {"SINTERCARD", "2", "a", "b", "LIMIT", "1"},
      {"SDIFFSTORE", "d", "a", "b"},
      {"HSET", "k", "f", "v"},
      {"ZADD", "k", "1", "m"},
      {"ZMPOP", "1", "a", "MIN"},
      {"BZPOPMIN", "a", "b", "0"},
      {"BZMPOP", "0", "2", "a", "b", "MIN"},
      {"ZUNION", "2", "a", "b", "WEIGHTS", "1", "2"},
      {"ZUNIONSTORE", "d", "2", "a", "b", "WEIGHTS", "1", "2"},
      {"ZRANGESTORE", "d", "a", "0", "1"},
      {"ZDIFF", "1", "a", "WITHSCORES"},
      {"GEORADIUS", "k", "0", "0", "1", "m", "ASC"},
      {"GEORADIUS", "k", "0", "0", "1", "m", "ASC", "STORE", "d"},
      {"GEORADIUSBYMEMBER", "k", "member", "1", "m", "STOREDIST", "d"},
      {"GEOSEARCHSTORE", "d", "k", "FROMLONLAT", "0", "0", "BYRADIUS", "1", "m"},
      {"XADD", "k", "*", "f", "v"},
      {"XREAD", "COUNT", "1", "STREAMS", "a", "b", "0", "0"},
      {"XREAD", "STREAMS", "a", "b", "0"},
      {"XREADGROUP", "GROUP", "streams", "c", "NOACK", "STREAMS", "a", ">"},
      {"XGROUP", "CREATE", "k", "g", "$"},
      {"XINFO", "STREAM", "k", "FULL"},
      {"EVAL", "script", "2", "a", "b", "arg"},
      {"EVAL_RO", "script", "0", "arg"},
      {"FCALL", "f", "1", "a"},
      {"WATCH", "a", "b"},
      // No keys at all.
      {"PING"},
      {"SCAN", "0"},
      {"FLUSHALL"},
      {"SPUBLISH", "channel", "m"},
      {"SSUBSCRIBE", "channel"},
      {"OBJECT", "HELP"},
      // Malformed.
      {"LMPOP", "-1", "a", "LEFT"},
      {"LMPOP", "5", "a", "LEFT"},
      {"EVAL", "script", "x", "a"},
      {"MIGRATE", "host", "1", "k", "0", "10", "KEYS", "a"},
  };
  return samples;
}

TEST_F(CommandTableServerTest, FindsTheKeysThatTheServerFinds) {
  for (const Words& words : SampleRequests()) {
    std::string shown;
    Words question = {"COMMAND", "GETKEYS"};
    for (std::string_view word : words) {
      question.push_back(word);
      shown.append(word).append(" ");
    }
    ReplyPtr reply = Ask(question);
    ASSERT_NE(reply, nullptr) << shown;
    std::vector<std::string_view> expected;  // stays empty for an error: no keys, or malformed
    for (size_t i = 0; i < reply->elements; ++i) {
      expected.push_back(Text(*reply->element[i]));
    }

    Request request = MakeRequest(words);
    const CommandRow* row = FindCommand(request.view());
    ASSERT_NE(row, nullptr) << shown;
    std::vector<std::string_view> found;
    for (uint32_t index : FindKeys(*row, request.view())) {
      found.push_back(request.view().arg(index));
    }
    EXPECT_EQ(found, expected) << shown;
  }
}

// COMMAND GETKEYS answers otherwise here, and is wrong: this is where the server writes.
TEST_F(CommandTableServerTest, FindsWhereTheServerWrites) {
  for (const Words& words : std::vector<Words>{
           {"SORT", "list", "STORE", "limit", "STORE", "target"},
           {"SORT", "list", "STORE", "other", "STORE", "target"},
           {"GEORADIUS", "geo", "0", "0", "1", "km", "STORE", "other", "STOREDIST", "target"},
           {"GEORADIUS", "geo", "0", "0", "1", "km", "STOREDIST", "other", "STORE", "target"},
       }) {
    Ask({"FLUSHALL"});
    Ask({"RPUSH", "list", "1"});
    Ask({"GEOADD", "geo", "0", "0", "m"});
    ReplyPtr reply = Ask(words);
    ASSERT_NE(reply, nullptr);
    EXPECT_EQ(reply->integer, 1) << Text(*reply);
    EXPECT_EQ(Ask({"EXISTS", "target"})->integer, 1);
    EXPECT_EQ(Ask({"EXISTS", "other", "limit"})->integer, 0);

    Request request = MakeRequest(words);
    KeyIndices keys = FindKeys(*FindCommand(request.view()), request.view());
    ASSERT_EQ(keys.size(), 2u);
    EXPECT_EQ(request.view().arg(keys[1]), "target");
  }
}

// The texts that stand in for the server's own.
TEST_F(CommandTableServerTest, RefusesInTheServersWords) {
  for (const Words& words : std::vector<Words>{
           {"CLUSTER", "INFO"}, {"CLUSTER", "MEET", "h", "1"}, {"READONLY"}, {"READWRITE"}, {"ASKING"}}) {
    ReplyPtr reply = Ask(words);
    ASSERT_NE(reply, nullptr);
    Request request = MakeRequest(words);
    EXPECT_EQ(Text(*reply), "ERR " + std::string(FindCommand(request.view())->refusal)) << words[0];
  }
}

}  // namespace
}  // namespace crossfade
