#include "routing/module_commands.h"

#include <initializer_list>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "protocol/resp_writer.h"
#include "routing/plan.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Entry {
  std::string name;
  int arity = -2;
  std::vector<std::string> flags;
  int first = 0, last = 0, step = 0;
  std::vector<Entry> subcommands = {};
};

// As Redis 7 gives it, in RESP2, or with RESP3's sets.
std::string Rendered(const Entry& entry, bool resp3) {
  std::string out;
  AppendArrayHeader(&out, 10);
  AppendBulk(&out, entry.name);
  AppendInteger(&out, entry.arity);
  const auto words = [&](const std::vector<std::string>& list) {
    out += (resp3 ? "~" : "*") + std::to_string(list.size()) + "\r\n";
    for (const std::string& word : list) AppendSimple(&out, word);
  };
  words(entry.flags);
  AppendInteger(&out, entry.first);
  AppendInteger(&out, entry.last);
  AppendInteger(&out, entry.step);
  words({"@slow"});
  words({});
  words({});
  AppendArrayHeader(&out, entry.subcommands.size());
  for (const Entry& subcommand : entry.subcommands) out += Rendered(subcommand, resp3);
  return out;
}

std::string CommandReply(const std::vector<Entry>& entries, bool resp3 = false) {
  std::string out;
  AppendArrayHeader(&out, entries.size());
  for (const Entry& entry : entries) out += Rendered(entry, resp3);
  return out;
}

class ModuleCommandsTest : public ::testing::Test {
 protected:
  const CommandRow* Find(std::string_view text) {
    request_ = MakeRequest(SplitWords(text));
    return modules_.Find(request_.view());
  }

  ModuleCommands modules_;
  Request request_;
};

TEST_F(ModuleCommandsTest, PlacedByFlags) {
  for (bool resp3 : {false, true}) {
    ModuleCommands modules;
    modules.Learn(CommandReply({{"my.get", 2, {"readonly", "fast"}, 1, 1, 1},
                                {"my.set", -3, {"write", "denyoom"}, 1, -1, 2},
                                {"my.admin", 1, {"admin", "write"}, 1, 1, 1},
                                {"my.wait", 3, {"write", "blocking"}, 1, 1, 1},
                                {"my.shout", 3, {"pubsub"}, 0, 0, 0},
                                {"my.unnamed", -2, {"write"}, 0, 0, 0},
                                {"my.movable", -2, {"write", "movablekeys"}, 1, 1, 1},
                                {"my.neither", -2, {}, 1, 1, 1}},
                               resp3));
    const auto find = [&](std::string_view name) {
      const Request request = MakeRequest({name});
      return modules.Find(request.view());
    };
    EXPECT_EQ(modules.size(), 8u);
    EXPECT_EQ(find("my.get")->route, Route::kPrimaryRead);
    const CommandRow* set = find("my.set");
    EXPECT_EQ(set->route, Route::kWrite);
    EXPECT_EQ(set->effect, Effect::kModule);
    EXPECT_EQ(set->arity, -3);
    const Request request = MakeRequest({"my.set", "a", "1", "b", "2"});
    EXPECT_THAT(FindKeys(*set, request.view()), ElementsAre(1, 3));
    for (const char* refused : {"my.admin", "my.wait", "my.shout", "my.unnamed", "my.movable", "my.neither"}) {
      EXPECT_EQ(find(refused)->route, Route::kRefused) << refused;
      EXPECT_FALSE(find(refused)->refusal.empty()) << refused;
    }
    EXPECT_THAT(find("my.admin")->refusal, HasSubstr("administrator"));
    EXPECT_THAT(find("my.unnamed")->refusal, HasSubstr("which keys"));
  }
}

TEST_F(ModuleCommandsTest, TheTableWins) {
  modules_.Learn(CommandReply({{"get", 2, {"write"}, 1, 1, 1}, {"SET", -3, {"readonly"}, 1, 1, 1}}));
  EXPECT_EQ(modules_.size(), 0u);
  EXPECT_EQ(Find("GET k"), nullptr);
}

TEST_F(ModuleCommandsTest, SubcommandsAndCase) {
  modules_.Learn(CommandReply({{"My.Box",
                                -2,
                                {},
                                0,
                                0,
                                0,
                                {{"my.box|Get", 3, {"readonly"}, 2, 2, 1}, {"my.box|put", 4, {"write"}, 2, 2, 1}}}}));
  EXPECT_EQ(Find("MY.BOX gEt k")->name, "my.box|get");
  EXPECT_EQ(Find("my.box PUT k v")->route, Route::kWrite);
  const CommandRow* put = Find("my.box put k v");
  EXPECT_THAT(FindKeys(*put, request_.view()), ElementsAre(2));
  EXPECT_EQ(Find("my.box other")->name, "my.box");
  EXPECT_EQ(Find("my.box")->route, Route::kRefused);
  EXPECT_EQ(Find("my.bo"), nullptr);
}

TEST_F(ModuleCommandsTest, WhatIsHereStays) {
  modules_.Learn(CommandReply({{"my.x", 2, {"readonly"}, 1, 1, 1}}));
  const CommandRow* row = Find("my.x k");
  std::vector<Entry> many;
  for (int i = 0; i < 300; ++i) many.push_back({"m" + std::to_string(i), 2, {"readonly"}, 1, 1, 1});
  many.push_back({"my.x", 9, {"write"}, 1, 1, 1});
  modules_.Learn(CommandReply(many));
  EXPECT_EQ(Find("my.x k"), row);  // commands in flight point at it
  EXPECT_EQ(row->name, "my.x");
  EXPECT_EQ(row->arity, 2);
  EXPECT_EQ(modules_.size(), 301u);
}

TEST_F(ModuleCommandsTest, OlderServersEndSooner) {
  modules_.Learn("*1\r\n*6\r\n$4\r\nmy.x\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n");
  ASSERT_NE(Find("my.x k"), nullptr);
  EXPECT_EQ(Find("my.x k")->route, Route::kPrimaryRead);
}

TEST_F(ModuleCommandsTest, RepliesThatMakeNoSense) {
  for (const char* reply :
       {"-ERR unknown command\r\n", "*0\r\n", "*1\r\n*-1\r\n", "*1\r\n$-1\r\n", "+OK\r\n",
        "*1\r\n*5\r\n$1\r\na\r\n:1\r\n*0\r\n:1\r\n:1\r\n", "*1\r\n*6\r\n$0\r\n\r\n:1\r\n*0\r\n:1\r\n:1\r\n:1\r\n"}) {
    modules_.Learn(reply);
  }
  EXPECT_EQ(modules_.size(), 0u);
}

TEST_F(ModuleCommandsTest, IsBounded) {
  std::vector<Entry> many;
  for (int i = 0; i < 5000; ++i) many.push_back({"m" + std::to_string(i), 2, {"readonly"}, 1, 1, 1});
  many.insert(many.begin(), {std::string(200, 'x'), 2, {"readonly"}, 1, 1, 1});
  modules_.Learn(CommandReply(many));
  EXPECT_EQ(modules_.size(), 4096u);
  EXPECT_EQ(Find(std::string(200, 'x')), nullptr);
  EXPECT_EQ(Find("m1 " + std::string(1000, 'y'))->name, "m1");
}

// No keys of theirs leave the request, whatever places the server claims.
TEST_F(ModuleCommandsTest, PlacesOutsideOfTheRequest) {
  modules_.Learn(
      CommandReply({{"a", -1, {"write"}, 5, 1, 1}, {"b", -1, {"write"}, 1, 900, 0}, {"c", -1, {"write"}, 1, -9, -3}}));
  for (const char* text : {"a", "a x", "b", "b x y", "c x y", "c"}) {
    const CommandRow* row = Find(text);
    for (uint32_t key : FindKeys(*row, request_.view())) EXPECT_LT(key, request_.view().argc()) << text;
  }
}

TEST_F(ModuleCommandsTest, SessionsFindThem) {
  modules_.Learn(CommandReply({{"my.get", 2, {"readonly"}, 1, 1, 1}, {"my.un", -2, {"write"}, 0, 0, 0}}));
  ServiceFacts facts;
  facts.modules = &modules_;
  Session session(1, "a", &facts);
  std::string reply;
  const Request get = MakeRequest({"MY.GET", "k"});
  const Plan plan = MakePlan(get.view(), &session, &reply);
  EXPECT_EQ(plan.act, Plan::Act::kRead);
  EXPECT_TRUE(plan.primary_only);
  EXPECT_THAT(plan.keys, ElementsAre(1));
  EXPECT_EQ(reply, "");
  const Request arity = MakeRequest({"my.get"});
  MakePlan(arity.view(), &session, &reply);
  EXPECT_EQ(reply, "-ERR wrong number of arguments for 'my.get' command\r\n");
  reply.clear();
  const Request refused = MakeRequest({"my.un", "x"});
  MakePlan(refused.view(), &session, &reply);
  EXPECT_THAT(reply, HasSubstr("-ERR 'my.un' is refused: Crossfade does not know this command"));
}

}  // namespace
}  // namespace crossfade
