#include "routing/plan.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Act = Plan::Act;

class PlanTest : public ::testing::Test {
 protected:
  Plan Decide(const std::vector<std::string_view>& words) { return Decide(&session_, words); }
  Plan Decide(std::string_view command) { return Decide(SplitWords(command)); }
  Plan Decide(Session* session, const std::vector<std::string_view>& words) {
    const Request request = MakeRequest(words);
    reply_.clear();
    return MakePlan(request.view(), session, &reply_);
  }
  // The reply, where there is nothing else.
  std::string Answered(std::string_view command) {
    EXPECT_EQ(Decide(command).act, Act::kAnswer) << command;
    return reply_;
  }

  ServiceFacts facts_;
  Session session_{1, "a", &facts_};
  std::string reply_;
};

TEST_F(PlanTest, ReadsAndWrites) {
  EXPECT_EQ(Decide("GET k").act, Act::kRead);
  EXPECT_FALSE(Decide("GET k").primary_only);
  EXPECT_TRUE(Decide("SCAN 0").primary_only);
  EXPECT_EQ(Decide("PUBLISH c m").act, Act::kBoth);
  const Plan plan = Decide("MSET a 1 b 2");
  EXPECT_EQ(plan.act, Act::kWrite);
  EXPECT_EQ(plan.row->name, "mset");
  EXPECT_THAT(plan.keys, ElementsAre(1, 3));
  EXPECT_EQ(reply_, "");
}

TEST_F(PlanTest, SortAndGeoradiusWriteOnlyWithStore) {
  EXPECT_EQ(Decide("SORT a BY nosort").act, Act::kRead);
  EXPECT_EQ(Decide("SORT a STORE d").act, Act::kWrite);
  EXPECT_EQ(Decide("GEORADIUS k 0 0 1 m").act, Act::kRead);
  EXPECT_EQ(Decide("GEORADIUS k 0 0 1 m STOREDIST d").act, Act::kWrite);
}

TEST_F(PlanTest, SortThatReadsUnnamedKeysStaysOnThePrimary) {
  EXPECT_TRUE(Decide("SORT a LIMIT 0 5").comparable);
  EXPECT_FALSE(Decide("SORT a LIMIT 0 5").primary_only);
  for (const char* command : {"SORT a BY w_*", "SORT_RO a GET v_*", "SORT a LIMIT 0 5 by w_*"}) {
    EXPECT_FALSE(Decide(command).comparable) << command;
    EXPECT_TRUE(Decide(command).primary_only) << command;
  }
}

TEST_F(PlanTest, RefusalsSayWhich) {
  EXPECT_THAT(Answered("config set a b"),
              AllOf(StartsWith("-ERR 'config|set' is refused: "), HasSubstr("admin_commands")));
  EXPECT_THAT(Answered("SHUTDOWN"), StartsWith("-ERR 'shutdown' is refused: "));
  EXPECT_EQ(Answered("CLUSTER SLOTS"), "-ERR This instance has cluster support disabled\r\n");
}

TEST_F(PlanTest, UnknownCommandsAsTheServerSaysIt) {
  EXPECT_EQ(Answered("NoSuch a b"), "-ERR unknown command 'NoSuch', with args beginning with: 'a' 'b' \r\n");
  EXPECT_EQ(Answered("nosuch"), "-ERR unknown command 'nosuch', with args beginning with: \r\n");
  EXPECT_EQ(Answered("xgroup no"), "-ERR unknown subcommand 'no'. Try XGROUP HELP.\r\n");
  Decide({"nosuch", std::string(500, 'x'), "y"});
  EXPECT_EQ(reply_, "-ERR unknown command 'nosuch', with args beginning with: '" + std::string(128, 'x') + "' \r\n");
  Decide("no\r\nsuch");
  EXPECT_EQ(reply_.find("\r\n"), reply_.size() - 2);
}

TEST_F(PlanTest, Arity) {
  EXPECT_EQ(Answered("GET"), "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(Answered("GET a b"), "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(Answered("CLIENT"), "-ERR wrong number of arguments for 'client' command\r\n");
  EXPECT_EQ(Answered("CLIENT SETNAME"), "-ERR wrong number of arguments for 'client|setname' command\r\n");
}

TEST_F(PlanTest, WithoutAuthOnlyTheHandshake) {
  ServiceFacts facts;
  facts.credentials = {{"", "secret"}};
  facts.auth_required = true;
  Session session(1, "a", &facts);
  for (const char* command :
       {"GET k", "SET k v", "PING", "SELECT 0", "BLPOP k 0", "WATCH k", "SUBSCRIBE c", "EVAL x 0"}) {
    Decide(&session, SplitWords(command));
    EXPECT_EQ(reply_, "-NOAUTH Authentication required.\r\n") << command;
  }
  Decide(&session, {"NOSUCH"});
  EXPECT_THAT(reply_, StartsWith("-ERR unknown command"));
  EXPECT_EQ(Decide(&session, {"QUIT"}).act, Act::kAnswerClose);
  Decide(&session, {"AUTH", "secret"});
  EXPECT_EQ(reply_, kOk);
  EXPECT_EQ(Decide(&session, {"GET", "k"}).act, Act::kRead);
}

TEST_F(PlanTest, BlockIsNotTakenForAName) {
  EXPECT_EQ(Decide("XREADGROUP GROUP streams c BLOCK 0 STREAMS k >").act, Act::kBlock);
  EXPECT_EQ(Decide("XREADGROUP GROUP block c STREAMS k >").act, Act::kWrite);
  EXPECT_EQ(Decide("XREAD STREAMS block 0").act, Act::kRead);
}

TEST_F(PlanTest, Transactions) {
  EXPECT_EQ(Answered("EXEC"), "-ERR EXEC without MULTI\r\n");
  EXPECT_EQ(Answered("MULTI"), kOk);
  EXPECT_EQ(Answered("SET k v"), "+QUEUED\r\n");
  EXPECT_EQ(Answered("PING"), "+QUEUED\r\n");
  EXPECT_EQ(Decide("EXEC").act, Act::kTransaction);
  EXPECT_EQ(session_.TakeTransaction().size(), 2u);
}

TEST_F(PlanTest, ExecAbort) {
  for (const char* mistake : {"NOSUCH", "GET", "SUBSCRIBE c", "HELLO 3", "CLIENT LIST", "CONFIG SET a b"}) {
    Answered("MULTI");
    EXPECT_THAT(Answered(mistake), StartsWith("-ERR ")) << mistake;
    EXPECT_EQ(Answered("SET k v"), "+QUEUED\r\n");
    EXPECT_EQ(Answered("EXEC"), "-EXECABORT Transaction discarded because of previous errors.\r\n") << mistake;
    EXPECT_FALSE(session_.in_transaction());
  }
  EXPECT_EQ(session_.db(), 0);
}

TEST_F(PlanTest, WhatEndsATransaction) {
  Answered("MULTI");
  Answered("NOSUCH");
  EXPECT_EQ(Answered("DISCARD"), kOk);
  EXPECT_EQ(Decide("SET k v").act, Act::kWrite);
  Answered("MULTI");
  EXPECT_EQ(Answered("RESET"), "+RESET\r\n");
  EXPECT_EQ(Decide("SET k v").act, Act::kWrite);
  Answered("MULTI");
  EXPECT_EQ(Decide("QUIT").act, Act::kAnswerClose);
}

}  // namespace
}  // namespace crossfade
