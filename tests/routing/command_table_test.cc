#include "routing/command_table.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "protocol/request.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Words = std::initializer_list<std::string_view>;

std::string NameOf(Words words) {
  Request request = MakeRequest(words);
  const CommandRow* row = FindCommand(request.view());
  return row == nullptr ? "" : std::string(row->name);
}

// The keys of a request by the row of its command; every index is checked against argc.
std::vector<uint32_t> KeysOf(Words words) {
  Request request = MakeRequest(words);
  const CommandRow* row = FindCommand(request.view());
  if (row == nullptr) {
    ADD_FAILURE() << "no row";
    return {};
  }
  KeyIndices keys = FindKeys(*row, request.view());
  for (uint32_t key : keys) {
    EXPECT_LT(key, request.view().argc()) << row->name;
  }
  return {keys.begin(), keys.end()};
}

TEST(CommandTable, FindsInAnyCase) {
  EXPECT_EQ(NameOf({"get", "k"}), "get");
  EXPECT_EQ(NameOf({"GET", "k"}), "get");
  EXPECT_EQ(NameOf({"gEt", "k"}), "get");
  EXPECT_EQ(NameOf({"SORT_RO", "k"}), "sort_ro");
  EXPECT_EQ(NameOf({"GeoRadiusByMember_RO"}), "georadiusbymember_ro");
}

TEST(CommandTable, FindsSubcommands) {
  EXPECT_EQ(NameOf({"XGROUP", "Create", "k", "g", "$"}), "xgroup|create");
  EXPECT_EQ(NameOf({"client", "SETINFO", "lib-name", "x"}), "client|setinfo");
  EXPECT_EQ(NameOf({"memory", "malloc-stats"}), "memory|malloc-stats");
}

TEST(CommandTable, GivesTheContainerWhereTheSubcommandIsUnknown) {
  EXPECT_EQ(NameOf({"XGROUP"}), "xgroup");
  EXPECT_EQ(NameOf({"XGROUP", "nonsense"}), "xgroup");
  EXPECT_EQ(NameOf({"XGROUP", ""}), "xgroup");
  EXPECT_EQ(NameOf({"CLIENT", std::string(1000, 'x')}), "client");
  EXPECT_EQ(NameOf({"CLIENT", "no-sense", "on"}), "client");
  EXPECT_EQ(NameOf({"COMMAND"}), "command");
}

TEST(CommandTable, KnowsNothingElse) {
  EXPECT_EQ(NameOf({""}), "");
  EXPECT_EQ(NameOf({"ge"}), "");
  EXPECT_EQ(NameOf({"gett"}), "");
  EXPECT_EQ(NameOf({std::string_view("get\0", 4)}), "");
  EXPECT_EQ(NameOf({"json.nonsense", "k", "$", "1"}), "");
  EXPECT_EQ(NameOf({std::string(100000, 'g')}), "");
  // A server doesn't know a subcommand by its joined name either.
  EXPECT_EQ(NameOf({"client|id"}), "");
  EXPECT_EQ(NameOf({"client|id", "id"}), "");
  EXPECT_EQ(NameOf({"client|", "id"}), "");
  // Not a container: the second word is no subcommand.
  EXPECT_EQ(NameOf({"get", "create"}), "get");
}

// Folding must not take one punctuation mark for another: '@' and '`', '[' and '{', '\\' and '|', '_' and DEL.
TEST(CommandTable, FoldsLettersOnly) {
  EXPECT_EQ(NameOf({"sort\x7fro"}), "");
  EXPECT_FALSE(EqualsIgnoreCase("@", "`"));
  EXPECT_FALSE(EqualsIgnoreCase("[", "{"));
  EXPECT_FALSE(EqualsIgnoreCase("\\", "|"));
  EXPECT_FALSE(EqualsIgnoreCase("\xc4", "\xe4"));
  EXPECT_TRUE(EqualsIgnoreCase("az-09AZ", "AZ-09az"));
  EXPECT_TRUE(EqualsIgnoreCase("", ""));
  EXPECT_FALSE(EqualsIgnoreCase("a", "ab"));
}

TEST(CommandTable, FindsByName) {
  ASSERT_NE(FindCommandByName("xgroup|create"), nullptr);
  EXPECT_EQ(FindCommandByName("xgroup|create")->name, "xgroup|create");
  EXPECT_EQ(FindCommandByName("xgroup|nonsense"), nullptr);
  EXPECT_EQ(FindCommandByName(""), nullptr);
  for (const CommandRow& row : AllCommands()) {
    EXPECT_EQ(FindCommandByName(row.name), &row) << row.name;
  }
}

TEST(CommandTable, EveryRowIsFoundByItsWordsInUpperCase) {
  for (const CommandRow& row : AllCommands()) {
    std::string upper(row.name);
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
    size_t bar = upper.find('|');
    std::vector<std::string_view> words = {std::string_view(upper).substr(0, bar)};
    if (bar != std::string::npos) words.push_back(std::string_view(upper).substr(bar + 1));
    Request request = MakeRequest(words);
    EXPECT_EQ(FindCommand(request.view()), &row) << row.name;
  }
}

TEST(CommandTable, NamesAreSortedAndUnique) {
  auto rows = AllCommands();
  // Redis 7.0's 366, and CLIENT SETINFO.
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](const CommandRow& row) { return !IsNewer(row); }), 367);
  for (size_t i = 1; i < rows.size(); ++i) {
    EXPECT_LT(rows[i - 1].name, rows[i].name);
  }
  for (const CommandRow& row : rows) {
    EXPECT_EQ(std::count_if(row.name.begin(), row.name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }), 0);
  }
}

TEST(CommandTable, ContainersAreThoseWithSubcommands) {
  std::vector<std::string_view> containers;
  for (const CommandRow& row : AllCommands()) {
    if (IsContainer(row)) containers.push_back(row.name);
  }
  EXPECT_THAT(containers, ElementsAre("acl", "backup", "client", "cluster", "command", "commandlog", "config",
                                      "ft.config", "function", "himport", "hotkeys", "latency", "memory", "module",
                                      "object", "pubsub", "script", "slowlog", "xgroup", "xinfo"));
  for (const CommandRow& row : AllCommands()) {
    size_t bar = row.name.find('|');
    if (bar == std::string_view::npos) continue;
    const CommandRow* container = FindCommandByName(row.name.substr(0, bar));
    ASSERT_NE(container, nullptr) << row.name;
    EXPECT_TRUE(IsContainer(*container)) << row.name;
  }
}

TEST(CommandTable, NewerIsWhatRedis7Lacks) {
  for (std::string_view name : {"hexpire", "delifeq", "cluster|myshardid", "json.set", "vadd", "waitaof", "arset"}) {
    ASSERT_NE(FindCommandByName(name), nullptr) << name;
    EXPECT_TRUE(IsNewer(*FindCommandByName(name))) << name;
  }
  for (std::string_view name : {"get", "xgroup|create", "lmpop", "cluster|links"}) {
    EXPECT_FALSE(IsNewer(*FindCommandByName(name))) << name;
  }
}

TEST(CommandTable, RefusedRowsSayWhy) {
  for (const CommandRow& row : AllCommands()) {
    const bool may_be_refused = row.route == Route::kRefused || row.route == Route::kAdmin || row.name == "migrate";
    EXPECT_EQ(may_be_refused, !row.refusal.empty()) << row.name;
    EXPECT_EQ(row.refusal.find_first_of("\r\n"), std::string_view::npos) << row.name;
    EXPECT_FALSE(row.refusal.starts_with("ERR")) << row.name;
    EXPECT_LE(row.refusal.size(), 200u) << row.name;
  }
  EXPECT_EQ(FindCommandByName("cluster|slots")->refusal, "This instance has cluster support disabled");
  EXPECT_EQ(FindCommandByName("object")->refusal, "unknown subcommand. Try OBJECT HELP.");
}

TEST(CommandTable, EffectsBelongToWrites) {
  for (const CommandRow& row : AllCommands()) {
    EXPECT_EQ(row.route == Route::kWrite, row.effect != Effect::kNone) << row.name;
    bool asks_one_store = row.route == Route::kRead || row.route == Route::kWrite || row.route == Route::kPrimaryRead;
    if (!asks_one_store) {
      EXPECT_EQ(row.compare, CompareRule::kNever) << row.name;
    }
    // What a script reads beyond its keys can't be told.
    const bool script = row.name == "eval_ro" || row.name == "evalsha_ro" || row.name == "fcall_ro";
    if (row.route == Route::kRead) {
      EXPECT_EQ(row.compare == CompareRule::kNever, script) << row.name;
    }
  }
}

// What the server calls a write is carried as one or refused, and the other way round. PFCOUNT is called a read, but
// writes its cache.
TEST(CommandTable, RoutesAgreeWithFlags) {
  for (const CommandRow& row : AllCommands()) {
    if ((row.flags & kFlagWrite) != 0) {
      // An index of the search module holds no data: each store makes it of its keys.
      bool index = row.route == Route::kBoth && row.name.starts_with("ft.");
      // Functions are no data either, and go to both stores.
      const bool both = index || (row.route == Route::kBoth && row.name.starts_with("function|"));
      EXPECT_TRUE(row.route == Route::kWrite || row.route == Route::kRefused || both) << row.name;
    } else {
      const bool script = row.effect == Effect::kScript;  // which may write, or not
      EXPECT_TRUE(row.route != Route::kWrite || row.name == "pfcount" || script) << row.name;
    }
    if (row.route == Route::kRead && row.keys == KeyRule::kRange) {
      EXPECT_NE(row.flags & kFlagReadonly, 0u) << row.name;
    }
    // Whoever may block is tried as a write, or reads from the primary.
    if ((row.flags & kFlagBlocking) != 0 && row.name != "xread") {
      const bool waits = row.route == Route::kWrite || row.route == Route::kPrivate;
      EXPECT_TRUE(waits || (row.route == Route::kRefused && IsNewer(row))) << row.name;
    }
    if (row.name.ends_with("|help")) {
      EXPECT_EQ(row.route, Route::kPrimaryRead) << row.name;
      EXPECT_EQ(row.compare, CompareRule::kNever) << row.name;
    }
  }
}

// A write that is carried names its keys, but for the three that take whole databases. So does a read that may be
// shifted or compared by key.
TEST(CommandTable, WritesAndReadsHaveKeys) {
  for (const CommandRow& row : AllCommands()) {
    if (row.route != Route::kWrite && row.route != Route::kRead) continue;
    bool whole_database = row.name == "flushall" || row.name == "flushdb" || row.name == "swapdb";
    EXPECT_EQ(row.keys == KeyRule::kNone, whole_database) << row.name;
    if (row.keys == KeyRule::kRange) {
      EXPECT_GT(row.first_key, 0) << row.name;
      EXPECT_GT(row.step, 0) << row.name;
    }
  }
}

// With as many arguments as its arity asks for, a row with fixed places has a key. No number of arguments, words of
// any kind among them, makes an index leave argv.
TEST(CommandTable, KeysStayInsideTheRequest) {
  constexpr std::string_view kFillers[] = {"1", "x", "streams", "store", "keys", "99999999999999999999", "-1", "group"};
  for (const CommandRow& row : AllCommands()) {
    size_t least = static_cast<size_t>(row.arity < 0 ? -row.arity : row.arity);
    for (std::string_view filler : kFillers) {
      for (size_t argc = 1; argc <= least + 4; ++argc) {
        std::vector<std::string_view> words(argc, filler);
        words[0] = row.name;
        Request request = MakeRequest(words);
        KeyIndices keys = FindKeys(row, request.view());
        for (uint32_t key : keys) {
          EXPECT_LT(key, argc) << row.name;
          EXPECT_GT(key, 0u) << row.name;
        }
        if (row.keys == KeyRule::kRange && argc == least) {
          EXPECT_FALSE(keys.empty()) << row.name;
        }
      }
    }
  }
}

TEST(FindKeys, Range) {
  EXPECT_THAT(KeysOf({"PING"}), IsEmpty());
  EXPECT_THAT(KeysOf({"GET", "k"}), ElementsAre(1));
  EXPECT_THAT(KeysOf({"GET"}), IsEmpty());
  EXPECT_THAT(KeysOf({"SET", "k", "v", "EX", "1"}), ElementsAre(1));
  EXPECT_THAT(KeysOf({"RENAME", "a", "b"}), ElementsAre(1, 2));
  EXPECT_THAT(KeysOf({"RENAME", "a"}), ElementsAre(1));
  EXPECT_THAT(KeysOf({"DEL", "a", "b", "c"}), ElementsAre(1, 2, 3));
  EXPECT_THAT(KeysOf({"MSET", "a", "1", "b", "2"}), ElementsAre(1, 3));
  EXPECT_THAT(KeysOf({"MSET", "a", "1", "b"}), ElementsAre(1, 3));
  EXPECT_THAT(KeysOf({"BLPOP", "a", "b", "0"}), ElementsAre(1, 2));
  EXPECT_THAT(KeysOf({"BLPOP", "0"}), IsEmpty());
  EXPECT_THAT(KeysOf({"BLPOP"}), IsEmpty());
  EXPECT_THAT(KeysOf({"BITOP", "AND", "d", "a", "b"}), ElementsAre(2, 3, 4));
  EXPECT_THAT(KeysOf({"OBJECT", "ENCODING", "k"}), ElementsAre(2));
  EXPECT_THAT(KeysOf({"XGROUP", "CREATE", "k", "g", "$"}), ElementsAre(2));
  EXPECT_THAT(KeysOf({"XGROUP", "nonsense", "k"}), IsEmpty());
  EXPECT_THAT(KeysOf({"SORT_RO", "k", "STORE", "d"}), ElementsAre(1));
  EXPECT_THAT(KeysOf({"SUNSUBSCRIBE"}), IsEmpty());
  EXPECT_THAT(KeysOf({"SPUBLISH", "channel", "m"}), IsEmpty());
}

TEST(FindKeys, NumKeys) {
  EXPECT_THAT(KeysOf({"LMPOP", "2", "a", "b", "LEFT"}), ElementsAre(2, 3));
  EXPECT_THAT(KeysOf({"ZUNION", "1", "a", "WEIGHTS", "2"}), ElementsAre(2));
  EXPECT_THAT(KeysOf({"EVAL", "script", "2", "a", "b", "arg"}), ElementsAre(3, 4));
  EXPECT_THAT(KeysOf({"EVAL", "script", "0", "arg"}), IsEmpty());
  EXPECT_THAT(KeysOf({"BZMPOP", "0", "1", "a", "MIN"}), ElementsAre(3));
  EXPECT_THAT(KeysOf({"ZUNIONSTORE", "d", "2", "a", "b"}), ElementsAre(1, 3, 4));
}

TEST(FindKeys, PairsAndTriples) {
  EXPECT_THAT(KeysOf({"MSETEX", "2", "a", "1", "b", "2", "EX", "9"}), ElementsAre(2, 4));
  EXPECT_THAT(KeysOf({"MSETEX", "1", "a", "1"}), ElementsAre(2));
  for (std::string_view count : {"3", "-1", "0", "x", "9223372036854775808", "18446744073709551615"}) {
    EXPECT_THAT(KeysOf({"MSETEX", count, "a", "1", "b", "2", "NX"}), IsEmpty()) << count;
  }
  EXPECT_THAT(KeysOf({"JSON.MSET", "a", "$", "1", "b", "$", "2"}), ElementsAre(1, 4));
  EXPECT_THAT(KeysOf({"TS.MADD", "a", "*", "1", "b", "*", "2"}), ElementsAre(1, 4));
  EXPECT_THAT(KeysOf({"JSON.MGET", "a", "b", "$"}), ElementsAre(1, 2));
  EXPECT_THAT(KeysOf({"CMS.MERGE", "d", "2", "a", "b", "WEIGHTS", "1", "2"}), ElementsAre(1, 3, 4));
}

TEST(FindKeys, NumKeysMalformed) {
  for (std::string_view count : {"-1", "0", "x", "", " ", "+", "2x", "1.5", "-9223372036854775808", "3", "4294967297",
                                 "9223372036854775807", "18446744073709551615", "99999999999999999999999", "1\n2"}) {
    EXPECT_THAT(KeysOf({"LMPOP", count, "a", "b"}), IsEmpty()) << count;
    EXPECT_THAT(KeysOf({"EVAL", "s", count, "a", "b"}), IsEmpty()) << count;
    EXPECT_THAT(KeysOf({"ZDIFFSTORE", "d", count, "a", "b"}), ElementsAre(1)) << count;
  }
  EXPECT_THAT(KeysOf({"LMPOP"}), IsEmpty());
  EXPECT_THAT(KeysOf({"LMPOP", "1"}), IsEmpty());
  EXPECT_THAT(KeysOf({"EVAL", "s"}), IsEmpty());
  EXPECT_THAT(KeysOf({"EVAL", "s", "1"}), IsEmpty());
  EXPECT_THAT(KeysOf({"ZDIFFSTORE"}), IsEmpty());
}

// Dragonfly takes these counts, Redis doesn't.
TEST(FindKeys, NumKeysAsDragonflyReadsThem) {
  EXPECT_THAT(KeysOf({"LMPOP", "+2", "a", "b", "LEFT"}), ElementsAre(2, 3));
  EXPECT_THAT(KeysOf({"LMPOP", " 02 ", "a", "b", "LEFT"}), ElementsAre(2, 3));
}

TEST(FindKeys, Streams) {
  EXPECT_THAT(KeysOf({"XREAD", "COUNT", "1", "STREAMS", "a", "b", "0", "0"}), ElementsAre(4, 5));
  EXPECT_THAT(KeysOf({"XREAD", "BLOCK", "streams", "streams", "a", "0"}), ElementsAre(4));
  EXPECT_THAT(KeysOf({"XREADGROUP", "GROUP", "streams", "c", "NOACK", "STREAMS", "streams", ">"}), ElementsAre(6));
  EXPECT_THAT(KeysOf({"XREADGROUP", "GROUP", "g", "c", "CLAIM", "5", "STREAMS", "k", ">"}), ElementsAre(7));
  EXPECT_THAT(KeysOf({"XREAD", "MAXCOUNT", "5", "MAXSIZE", "9", "STREAMS", "k", "0"}), ElementsAre(6));
}

TEST(FindKeys, StreamsMalformed) {
  EXPECT_THAT(KeysOf({"XREAD"}), IsEmpty());
  EXPECT_THAT(KeysOf({"XREAD", "STREAMS"}), IsEmpty());
  EXPECT_THAT(KeysOf({"XREAD", "STREAMS", "a"}), IsEmpty());
  EXPECT_THAT(KeysOf({"XREAD", "STREAMS", "a", "b", "0"}), ElementsAre(2));
  EXPECT_THAT(KeysOf({"XREAD", "COUNT"}), IsEmpty());
  EXPECT_THAT(KeysOf({"XREAD", "nonsense", "STREAMS", "a", "0"}), IsEmpty());
  EXPECT_THAT(KeysOf({"XREADGROUP", "GROUP", "g"}), IsEmpty());
}

TEST(FindKeys, Sort) {
  EXPECT_THAT(KeysOf({"SORT", "a"}), ElementsAre(1));
  EXPECT_THAT(KeysOf({"SORT", "a", "BY", "w_*", "LIMIT", "0", "5", "GET", "#", "ASC", "STORE", "d"}),
              ElementsAre(1, 11));
  EXPECT_THAT(KeysOf({"SORT", "a", "STORE", "d", "STORE", "e"}), ElementsAre(1, 5));
  EXPECT_THAT(KeysOf({"SORT", "a", "BY", "store", "GET", "store", "DESC"}), ElementsAre(1));
  EXPECT_THAT(KeysOf({"SORT", "a", "STORE", "limit", "STORE", "d"}), ElementsAre(1, 5));
  EXPECT_THAT(KeysOf({"SORT", "a", "STORE"}), ElementsAre(1));
  EXPECT_THAT(KeysOf({"SORT", "a", "LIMIT"}), ElementsAre(1));
  EXPECT_THAT(KeysOf({"SORT"}), IsEmpty());
}

TEST(FindKeys, GeoStore) {
  EXPECT_THAT(KeysOf({"GEORADIUS", "k", "0", "0", "1", "m"}), ElementsAre(1));
  EXPECT_THAT(KeysOf({"GEORADIUS", "k", "0", "0", "1", "m", "ASC", "STORE", "d"}), ElementsAre(1, 8));
  EXPECT_THAT(KeysOf({"GEORADIUSBYMEMBER", "k", "store", "1", "m", "STOREDIST", "d"}), ElementsAre(1, 6));
  EXPECT_THAT(KeysOf({"GEORADIUS", "k", "0", "0", "1", "m", "STORE", "d", "STOREDIST", "e"}), ElementsAre(1, 9));
  EXPECT_THAT(KeysOf({"GEORADIUS", "k", "0", "0", "1", "m", "STORE"}), ElementsAre(1));
  EXPECT_THAT(KeysOf({"GEORADIUS"}), IsEmpty());
}

TEST(FindKeys, Migrate) {
  EXPECT_THAT(KeysOf({"MIGRATE", "h", "1", "k", "0", "9"}), ElementsAre(3));
  EXPECT_THAT(KeysOf({"MIGRATE", "h", "1", "", "0", "9", "COPY", "AUTH", "keys", "KEYS", "a", "b"}),
              ElementsAre(10, 11));
  EXPECT_THAT(KeysOf({"MIGRATE", "h", "1", "", "0", "9", "AUTH2", "keys", "keys", "KEYS", "a"}), ElementsAre(10));
  EXPECT_THAT(KeysOf({"MIGRATE", "h", "1", "k", "0", "9", "KEYS", "a"}), IsEmpty());
  EXPECT_THAT(KeysOf({"MIGRATE", "h", "1", "", "0", "9", "KEYS"}), IsEmpty());
  EXPECT_THAT(KeysOf({"MIGRATE", "h", "1"}), IsEmpty());
}

TEST(ArityMatches, ExactlyOrAtLeast) {
  const CommandRow& get = *FindCommandByName("get");
  EXPECT_FALSE(ArityMatches(get, 1));
  EXPECT_TRUE(ArityMatches(get, 2));
  EXPECT_FALSE(ArityMatches(get, 3));
  const CommandRow& del = *FindCommandByName("del");
  EXPECT_FALSE(ArityMatches(del, 1));
  EXPECT_TRUE(ArityMatches(del, 2));
  EXPECT_TRUE(ArityMatches(del, 1000000));
  EXPECT_FALSE(ArityMatches(std::numeric_limits<int>::min(), 1000000)) << "what a server may say of a module's command";
}

}  // namespace
}  // namespace crossfade
