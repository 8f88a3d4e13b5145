// What MakePlan decides for sessions that are not ordinary: waiting, watching, subscribed, in a transaction, another
// user's; and what runs alone.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "routing/plan.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Act = Plan::Act;

class PlanModesTest : public ::testing::Test {
 protected:
  Plan Decide(std::string_view command) {
    const Request request = MakeRequest(SplitWords(command));
    reply_.clear();
    return MakePlan(request.view(), &session_, &reply_);
  }
  std::string Answered(std::string_view command) {
    EXPECT_EQ(Decide(command).act, Act::kAnswer) << command;
    return reply_;
  }
  bool Alone(std::string_view command) {
    const Request request = MakeRequest(SplitWords(command));
    return RunsAlone(FindRow(request.view(), session_), request.view(), session_);
  }

  ServiceFacts facts_;
  Session session_{1, "a", &facts_};
  std::string reply_;
};

TEST_F(PlanModesTest, WhatLeavesTheLane) {
  for (const char* command : {"BLPOP k 0", "BZMPOP 0 1 z MIN", "BLMOVE a b LEFT LEFT 0", "XREAD BLOCK 0 STREAMS k $",
                              "XREADGROUP GROUP g c BLOCK 0 STREAMS k >"}) {
    EXPECT_EQ(Decide(command).act, Act::kBlock) << command;
    EXPECT_TRUE(Alone(command)) << command;
  }
  EXPECT_EQ(Decide("WATCH k").act, Act::kWatch);
  EXPECT_EQ(Decide("MONITOR").act, Act::kMonitor);
  EXPECT_EQ(Decide("WAIT 0 0").act, Act::kErrand);
  for (const char* command :
       {"SUBSCRIBE c", "PSUBSCRIBE c*", "SSUBSCRIBE c", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE c"}) {
    EXPECT_EQ(Decide(command).act, Act::kSubscribe) << command;
    EXPECT_TRUE(Alone(command)) << command;
  }
  for (const char* command : {"CLIENT LIST", "CLIENT KILL ID 3", "CLIENT UNBLOCK 3", "CLIENT PAUSE 1"}) {
    EXPECT_EQ(Decide(command).act, Act::kService) << command;
    EXPECT_TRUE(Alone(command)) << command;
  }
  EXPECT_EQ(reply_, "");
}

TEST_F(PlanModesTest, WhatStaysInTheLane) {
  for (const char* command : {"GET k", "SET k v", "LPOP k", "XREAD STREAMS k 0", "EVAL s 0", "PUBLISH c m", "PING",
                              "SELECT 1", "CLIENT ID", "MULTI", "NOSUCH"}) {
    EXPECT_FALSE(Alone(command)) << command;
  }
  EXPECT_TRUE(Alone("HELLO 3"));
  EXPECT_TRUE(Alone("AUTH x"));
  EXPECT_TRUE(Alone("RESET"));
}

TEST_F(PlanModesTest, ScriptsAndSwapsAreWrites) {
  EXPECT_EQ(Decide("EVAL s 1 k").act, Act::kWrite);
  EXPECT_EQ(Decide("EVALSHA s 0").act, Act::kWrite);
  EXPECT_EQ(Decide("EVAL_RO s 1 k").act, Act::kRead);
  EXPECT_EQ(Decide("SCRIPT LOAD s").act, Act::kBoth);
  EXPECT_EQ(Decide("FUNCTION LOAD s").act, Act::kBoth);
  EXPECT_EQ(Decide("SWAPDB 0 1").act, Act::kWrite);
}

TEST_F(PlanModesTest, AdministratorsOnlyWhenAllowed) {
  EXPECT_THAT(Answered("CONFIG SET maxmemory 1"), HasSubstr("is refused"));
  facts_.admin_commands = true;
  EXPECT_EQ(Decide("CONFIG SET maxmemory 1").act, Act::kErrand);
  EXPECT_EQ(Decide("DEBUG SLEEP 0").act, Act::kErrand);
  EXPECT_TRUE(Alone("SHUTDOWN"));
}

TEST_F(PlanModesTest, UnderWatchThePrimaryAnswers) {
  EXPECT_FALSE(Decide("GET k").primary_only);
  session_.set_watching(true);
  EXPECT_TRUE(Decide("GET k").primary_only);
  Answered("MULTI");
  EXPECT_TRUE(Alone("EXEC"));
  EXPECT_EQ(Answered("WATCH k"), "-ERR WATCH inside MULTI is not allowed\r\n");
  EXPECT_EQ(Answered("SET k v"), "+QUEUED\r\n");  // the error has spoilt nothing
  EXPECT_EQ(Decide("EXEC").act, Act::kTransaction);
  EXPECT_TRUE(session_.watching());  // until the owner has carried it out
}

TEST_F(PlanModesTest, WhatEndsAWatch) {
  for (const char* command : {"UNWATCH", "RESET"}) {
    session_.set_watching(true);
    Decide(command);
    EXPECT_FALSE(session_.watching()) << command;
  }
  session_.set_watching(true);
  Decide("MULTI");
  Decide("DISCARD");
  EXPECT_FALSE(session_.watching());
  session_.set_watching(true);
  Decide("MULTI");
  Decide("NOSUCH");
  EXPECT_THAT(Answered("EXEC"), StartsWith("-EXECABORT"));
  EXPECT_FALSE(session_.watching());
}

TEST_F(PlanModesTest, SubscribedInResp2) {
  session_.set_subscriptions({.channels = 1});
  EXPECT_EQ(
      Answered("GET k"),
      "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
      "context\r\n");
  EXPECT_THAT(Answered("MULTI"), StartsWith("-ERR Can't execute 'multi'"));
  EXPECT_EQ(Answered("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  EXPECT_EQ(Answered("PING hi"), "*2\r\n$4\r\npong\r\n$2\r\nhi\r\n");
  EXPECT_EQ(Decide("PSUBSCRIBE x").act, Act::kSubscribe);
  EXPECT_EQ(Decide("QUIT").act, Act::kAnswerClose);
  EXPECT_EQ(Answered("RESET"), "+RESET\r\n");
  EXPECT_EQ(Decide("GET k").act, Act::kRead);
}

TEST_F(PlanModesTest, SubscribedInResp3) {
  Answered("HELLO 3");
  session_.set_subscriptions({.patterns = 1});
  EXPECT_EQ(Decide("GET k").act, Act::kRead);
  EXPECT_EQ(Answered("PING"), "+PONG\r\n");
}

TEST_F(PlanModesTest, AMonitorMayDoAnything) {
  session_.set_subscriptions({.monitor = true});
  EXPECT_EQ(Decide("GET k").act, Act::kRead);
}

// Each is refused when it is queued, so EXEC can't be carried out.
TEST_F(PlanModesTest, WhatDoesNotFitATransaction) {
  for (const char* command :
       {"SUBSCRIBE c", "MONITOR", "CLIENT LIST", "CLIENT KILL ID 1", "HELLO 3", "AUTH x", "CLIENT REPLY OFF"}) {
    Answered("MULTI");
    EXPECT_THAT(Answered(command), HasSubstr("is refused inside MULTI")) << command;
    EXPECT_EQ(Answered("EXEC"), "-EXECABORT Transaction discarded because of previous errors.\r\n") << command;
  }
}

TEST_F(PlanModesTest, WhatFitsATransaction) {
  for (const char* command : {"SELECT 1", "SWAPDB 0 1", "EVAL s 0", "BLPOP k 0", "XREAD BLOCK 0 STREAMS k $",
                              "WAIT 0 0", "CLIENT SETNAME x", "CLIENT ID", "UNWATCH", "PUBLISH c m", "CLUSTER INFO"}) {
    Answered("MULTI");
    EXPECT_EQ(Answered(command), "+QUEUED\r\n") << command;
    EXPECT_EQ(Decide("EXEC").act, Act::kTransaction) << command;
    session_.TakeTransaction();
  }
}

TEST_F(PlanModesTest, ARefusedExecEndsTheTransaction) {
  Answered("MULTI");
  session_.set_watching(true);
  EXPECT_EQ(Answered("EXEC now"),
            "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n");
  EXPECT_FALSE(session_.in_transaction());
  EXPECT_FALSE(session_.watching());
  ServiceFacts guarded;
  guarded.credentials = {{"", "secret"}};
  guarded.auth_required = true;
  Session session(2, "b", &guarded);
  std::string reply;
  MakePlan(MakeRequest({"EXEC"}).view(), &session, &reply);
  EXPECT_EQ(reply, "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n");
}

TEST_F(PlanModesTest, LoginsAreJudgedByTheStores) {
  EXPECT_EQ(Decide("AUTH bob x").act, Act::kLogin);
  EXPECT_EQ(Decide("HELLO 3 AUTH bob x").act, Act::kLogin);
  EXPECT_EQ(session_.protocol(), 2);
  EXPECT_EQ(Answered("AUTH default x"), kOk);
  EXPECT_THAT(Answered("HELLO 9 AUTH bob x"), StartsWith("-NOPROTO"));
}

// Whether another user may run what the session answers, the primary is asked first: nothing is answered, and nothing
// of the session changes, before that.
TEST_F(PlanModesTest, AnotherUsersPing) {
  std::string reply;
  const Request auth = MakeRequest({"AUTH", "bob", "x"});
  session_.LoginDecided(*FindCommand(auth.view()), auth.view(), 4, "", &reply);
  for (const char* command : {"PING", "ECHO x", "ACL WHOAMI"}) {
    const Plan plan = Decide(command);
    EXPECT_EQ(plan.act, Act::kLocal) << command;
    ASSERT_NE(plan.row, nullptr) << command;
    EXPECT_EQ(reply_, "") << command;
  }
  EXPECT_EQ(Decide("SELECT 3").act, Act::kLocal);
  EXPECT_EQ(session_.db(), 0);
  session_.set_subscriptions({.channels = 1});
  const Plan plan = Decide("PING");
  EXPECT_EQ(plan.act, Act::kLocal);
  std::string pong;
  EXPECT_TRUE(session_.Answer(*plan.row, MakeRequest({"PING"}).view(), &pong));
  EXPECT_THAT(pong, StartsWith("*2\r\n$4\r\npong"));
  session_.set_subscriptions({});
  // Everybody may go.
  EXPECT_THAT(Answered("RESET"), "+RESET\r\n");
  EXPECT_THAT(Answered("PING"), "+PONG\r\n");
}

}  // namespace
}  // namespace crossfade
