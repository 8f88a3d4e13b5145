// What a session remembers of its connection beyond the basics: muted replies, logins, what EXEC does to it, how it
// describes itself.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "routing/session.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class SessionConnectionTest : public ::testing::Test {
 protected:
  std::string Say(std::string_view command) {
    const Request request = MakeRequest(SplitWords(command));
    std::string reply;
    session_.Answer(*FindCommand(request.view()), request.view(), &reply);
    return reply;
  }
  std::string Queue(std::string_view command) {
    const Request request = MakeRequest(SplitWords(command));
    std::string reply;
    session_.Queue(*FindCommand(request.view()), request.view(), &reply);
    return reply;
  }
  std::string Decided(std::string_view command, LoginId login, std::string_view refusal) {
    const Request request = MakeRequest(SplitWords(command));
    std::string reply;
    session_.LoginDecided(*FindCommand(request.view()), request.view(), login, refusal, &reply);
    return reply;
  }
  // What EXEC sends, as text with the database before it.
  std::vector<std::string> Taken() {
    std::vector<std::string> texts;
    for (const QueuedCommand& command : session_.TakeTransaction()) {
      std::string text = std::to_string(command.db) + ":";
      for (size_t i = 0; i < command.request.view().argc(); ++i) {
        text += " " + std::string(command.request.view().arg(i));
      }
      texts.push_back(text);
    }
    return texts;
  }

  ServiceFacts facts_;
  Session session_{7, "1.2.3.4:5", &facts_};
};

TEST_F(SessionConnectionTest, ReplyOffAndOn) {
  EXPECT_FALSE(session_.TakeMute());
  EXPECT_EQ(Say("CLIENT REPLY OFF"), "");
  EXPECT_TRUE(session_.TakeMute());  // of the command itself
  EXPECT_TRUE(session_.TakeMute());
  EXPECT_EQ(Say("CLIENT REPLY SKIP"), "");
  EXPECT_TRUE(session_.TakeMute());
  EXPECT_EQ(Say("CLIENT REPLY ON"), kOk);
  EXPECT_FALSE(session_.TakeMute());
}

TEST_F(SessionConnectionTest, ReplySkip) {
  Say("CLIENT REPLY SKIP");
  EXPECT_TRUE(session_.TakeMute());
  EXPECT_TRUE(session_.TakeMute());  // the next one's reply
  EXPECT_FALSE(session_.TakeMute());
  EXPECT_EQ(Say("CLIENT REPLY MAYBE"), "-ERR syntax error\r\n");
  EXPECT_FALSE(session_.TakeMute());
}

TEST_F(SessionConnectionTest, SelectInsideATransaction) {
  Say("SELECT 2");
  Say("MULTI");
  Queue("SET a 1");
  EXPECT_FALSE(session_.exec_concerns_session());
  EXPECT_EQ(Queue("SELECT 5"), "+QUEUED\r\n");
  Queue("SET b 1");
  Queue("SELECT 99");  // the server will refuse it, and stay
  Queue("SET c 1");
  EXPECT_TRUE(session_.exec_concerns_session());
  EXPECT_EQ(session_.db(), 2);
  EXPECT_THAT(Taken(), ElementsAre("2: SET a 1", "2: SELECT 5", "5: SET b 1", "5: SELECT 99", "5: SET c 1"));
  EXPECT_EQ(session_.db(), 2);
  session_.FinishExec(List('*', {kOk, kOk, kOk, "-ERR DB index is out of range\r\n", kOk}));
  EXPECT_EQ(session_.db(), 5);
}

TEST_F(SessionConnectionTest, AnExecThatDidNotHappenChangesNothing) {
  for (const std::string& reply : {std::string("-EXECABORT no\r\n"), std::string(kNilArray), std::string(kNil3)}) {
    Say("MULTI");
    Queue("SELECT 5");
    Queue("CLIENT SETNAME x");
    Taken();
    EXPECT_EQ(session_.FinishExec(reply), reply);
    EXPECT_EQ(session_.db(), 0);
    EXPECT_EQ(session_.name(), "");
  }
}

TEST_F(SessionConnectionTest, DiscardForgetsTheSelect) {
  Say("MULTI");
  Queue("SELECT 5");
  EXPECT_EQ(Say("DISCARD"), kOk);
  EXPECT_EQ(session_.db(), 0);
  Say("MULTI");
  Queue("SET a 1");
  EXPECT_THAT(Taken(), ElementsAre("0: SET a 1"));
  EXPECT_FALSE(session_.exec_concerns_session());
}

// They stand in the block as PING, and see each other in order.
TEST_F(SessionConnectionTest, LocalElements) {
  Say("MULTI");
  Queue("CLIENT GETNAME");
  Queue("SET k v");
  Queue("CLIENT SETNAME me");
  Queue("PING");
  Queue("CLIENT GETNAME");
  Queue("CLIENT ID");
  EXPECT_TRUE(session_.exec_concerns_session());
  EXPECT_EQ(session_.name(), "");
  EXPECT_THAT(Taken(), ElementsAre("0: PING", "0: SET k v", "0: PING", "0: PING", "0: PING", "0: PING"));
  const std::string pong = "+PONG\r\n";
  EXPECT_EQ(session_.FinishExec(List('*', {pong, kOk, pong, pong, pong, pong})),
            List('*', {kNil, kOk, kOk, pong, Bulk("me"), ":7\r\n"}));
  EXPECT_EQ(session_.name(), "me");
  Say("MULTI");
  Queue("SET k v");
  EXPECT_FALSE(session_.exec_concerns_session());
}

TEST_F(SessionConnectionTest, WhatTheServerAnswersIsQueuedAsItIs) {
  Say("MULTI");
  for (const char* command : {"PING x", "ECHO x", "UNWATCH"}) Queue(command);
  EXPECT_THAT(Taken(), ElementsAre("0: PING x", "0: ECHO x", "0: UNWATCH"));
}

TEST_F(SessionConnectionTest, AStoreLetsAUserIn) {
  facts_.credentials = {{"", "secret"}};
  EXPECT_EQ(Decided("AUTH bob x", 3, ""), kOk);
  EXPECT_EQ(session_.user(), "bob");
  EXPECT_EQ(session_.login(), 3u);
  EXPECT_THAT(Decided("HELLO 3 AUTH eve y SETNAME n", 4, ""), StartsWith("%7"));
  EXPECT_EQ(session_.user(), "eve");
  EXPECT_EQ(session_.login(), 4u);
  EXPECT_EQ(session_.protocol(), 3);
  EXPECT_EQ(session_.name(), "n");
  EXPECT_EQ(Say("AUTH secret"), kOk);  // the lane's own user again
  EXPECT_EQ(session_.login(), 0u);
  EXPECT_EQ(session_.user(), "default");
}

TEST_F(SessionConnectionTest, ARefusedLoginChangesNothing) {
  facts_.auth_required = true;
  Session session(1, "a", &facts_);
  const Request request = MakeRequest({"HELLO", "3", "AUTH", "bob", "x", "SETNAME", "n"});
  std::string reply;
  session.LoginDecided(*FindCommand(request.view()), request.view(), 0, "WRONGPASS no", &reply);
  EXPECT_EQ(reply, "-WRONGPASS no\r\n");
  EXPECT_FALSE(session.authenticated());
  EXPECT_EQ(session.protocol(), 2);
  EXPECT_EQ(session.name(), "");
  EXPECT_EQ(session.login(), 0u);
}

TEST_F(SessionConnectionTest, ResetEndsALoginAndAMute) {
  Decided("AUTH bob x", 3, "");
  Say("CLIENT REPLY OFF");
  session_.set_subscriptions({.channels = 2});
  session_.set_watching(true);
  EXPECT_EQ(Say("RESET"), "+RESET\r\n");
  EXPECT_EQ(session_.login(), 0u);
  EXPECT_EQ(session_.user(), "default");
  EXPECT_FALSE(session_.TakeMute());
  EXPECT_FALSE(session_.subscriptions().any());
  EXPECT_FALSE(session_.watching());
}

TEST_F(SessionConnectionTest, DescribesItself) {
  Say("CLIENT NO-EVICT ON");
  session_.set_subscriptions({.channels = 1, .patterns = 2, .shard_channels = 3, .monitor = true});
  Say("MULTI");
  Queue("SET k v");
  session_.set_last_command("set");
  const std::string line = session_.Describe({.blocked = true, .listen_address = "h:1"});
  EXPECT_THAT(line, HasSubstr(" flags=OPxbe "));
  EXPECT_THAT(line, HasSubstr(" sub=1 psub=2 ssub=3 multi=1 "));
  EXPECT_THAT(line, HasSubstr(" cmd=set "));
  EXPECT_EQ(Say("CLIENT NO-EVICT MAYBE"), "-ERR syntax error\r\n");
}

TEST_F(SessionConnectionTest, Tracking) {
  EXPECT_EQ(Say("CLIENT GETREDIR"), ":-1\r\n");
  EXPECT_THAT(Say("CLIENT TRACKINGINFO"), StartsWith("*6\r\n$5\r\nflags\r\n*1\r\n"));
  Say("HELLO 3");
  EXPECT_THAT(Say("CLIENT TRACKINGINFO"), StartsWith("%3\r\n$5\r\nflags\r\n~1\r\n"));
}

}  // namespace
}  // namespace crossfade
