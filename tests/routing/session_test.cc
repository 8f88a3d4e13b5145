#include "routing/session.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class SessionTest : public ::testing::Test {
 protected:
  std::string Say(std::string_view command) { return Say(&session_, command); }
  static std::string Say(Session* session, std::string_view command) {
    const Request request = MakeRequest(SplitWords(command));
    std::string reply;
    stays_ = session->Answer(*FindCommand(request.view()), request.view(), &reply);
    return reply;
  }
  // "user/password" when only a store can judge them; "" when the session answers.
  static std::string StoreIsAsked(Session* session, std::string_view command) {
    const Request request = MakeRequest(SplitWords(command));
    const auto asked = session->AsksStoreForLogin(*FindCommand(request.view()), request.view());
    return asked ? std::string(asked->user) + "/" + std::string(asked->password) : "";
  }
  std::string Queue(std::string_view command) {
    const Request request = MakeRequest(SplitWords(command));
    std::string reply;
    session_.Queue(*FindCommand(request.view()), request.view(), &reply);
    return reply;
  }

  ServiceFacts facts_;
  Session session_{7, "1.2.3.4:5", &facts_};
  static inline bool stays_ = true;
};

ServiceFacts Guarded() {
  ServiceFacts facts;
  facts.credentials = {{"", "secret"}, {"alice", "wonder"}};
  facts.auth_required = true;
  return facts;
}

TEST_F(SessionTest, PingEchoQuit) {
  EXPECT_EQ(Say("PING"), "+PONG\r\n");
  EXPECT_EQ(Say("PING x"), Bulk("x"));
  EXPECT_THAT(Say("PING x y"), StartsWith("-ERR wrong number"));
  EXPECT_EQ(Say("ECHO x"), Bulk("x"));
  EXPECT_TRUE(stays_);
  EXPECT_EQ(Say("QUIT"), kOk);
  EXPECT_FALSE(stays_);
}

TEST_F(SessionTest, Select) {
  EXPECT_EQ(Say("SELECT 15"), kOk);
  EXPECT_EQ(session_.db(), 15);
  for (const char* command : {"SELECT 16", "SELECT -1"}) {
    EXPECT_EQ(Say(command), "-ERR DB index is out of range\r\n");
  }
  EXPECT_EQ(Say("SELECT x"), "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(session_.db(), 15);
}

TEST_F(SessionTest, HelloSwitchesTheProtocol) {
  EXPECT_THAT(Say("HELLO"), StartsWith("*14\r\n"));
  EXPECT_EQ(session_.protocol(), 2);
  EXPECT_THAT(Say("HELLO 3 SETNAME me"), StartsWith("%7\r\n"));
  EXPECT_EQ(session_.protocol(), 3);
  EXPECT_EQ(session_.name(), "me");
  EXPECT_EQ(Say("CLIENT GETNAME"), Bulk("me"));
  EXPECT_THAT(Say("HELLO"), StartsWith("%7\r\n"));
  EXPECT_THAT(Say("HELLO 2"), StartsWith("*14\r\n"));
  size_t consumed = 0;
  const std::string reply = Say("HELLO 3");
  EXPECT_EQ(ReplyParser().Parse(reply, &consumed), ParseResult::kDone);
  EXPECT_EQ(consumed, reply.size());
}

TEST_F(SessionTest, HelloThatFailsChangesNothing) {
  EXPECT_EQ(Say("HELLO x"), "-ERR Protocol version is not an integer or out of range\r\n");
  EXPECT_EQ(Say("HELLO 4"), "-NOPROTO unsupported protocol version\r\n");
  EXPECT_THAT(Say("HELLO 3 NONSENSE"), StartsWith("-ERR Syntax error in HELLO"));
  EXPECT_THAT(Say("HELLO 3 AUTH a"), StartsWith("-ERR Syntax error in HELLO"));
  EXPECT_EQ(session_.protocol(), 2);
  facts_.resp3 = false;
  EXPECT_THAT(Say("HELLO 3"), StartsWith("-NOPROTO"));
}

TEST_F(SessionTest, WithoutCredentialsTheDefaultUserIsFree) {
  EXPECT_TRUE(session_.authenticated());
  EXPECT_THAT(Say("AUTH x"), StartsWith("-ERR AUTH <password> called without any password"));
  EXPECT_EQ(Say("AUTH default x"), kOk);
  EXPECT_EQ(StoreIsAsked(&session_, "AUTH bob x"), "bob/x");
  EXPECT_THAT(Say("HELLO 3 AUTH default x"), StartsWith("%7"));
}

TEST_F(SessionTest, Auth) {
  const ServiceFacts facts = Guarded();
  Session session(1, "a", &facts);
  EXPECT_FALSE(session.authenticated());
  for (const char* wrong : {"AUTH wonder", "AUTH secre", "AUTH secrett", "AUTH alice secret", "AUTH bob wonder",
                            "AUTH default ", "AUTH "}) {
    EXPECT_NE(StoreIsAsked(&session, wrong), "") << wrong;
  }
  EXPECT_THAT(Say(&session, "AUTH a b c"), StartsWith("-ERR syntax error"));
  EXPECT_FALSE(session.authenticated());
  EXPECT_EQ(Say(&session, "AUTH secret"), kOk);
  EXPECT_TRUE(session.authenticated());
  EXPECT_EQ(Say(&session, "AUTH alice wonder"), kOk);
  EXPECT_THAT(session.Describe({}), HasSubstr("user=alice"));
}

TEST_F(SessionTest, HelloWithAuth) {
  const ServiceFacts facts = Guarded();
  Session session(1, "a", &facts);
  EXPECT_THAT(Say(&session, "HELLO 3"), StartsWith("-NOAUTH HELLO must be called"));
  EXPECT_EQ(session.protocol(), 2);
  EXPECT_EQ(StoreIsAsked(&session, "HELLO 3 AUTH default wrong"), "default/wrong");
  EXPECT_THAT(Say(&session, "HELLO 3 AUTH alice wonder SETNAME n"), StartsWith("%7"));
  EXPECT_TRUE(session.authenticated());
  EXPECT_EQ(session.name(), "n");
}

TEST_F(SessionTest, ClientNames) {
  EXPECT_EQ(Say("CLIENT ID"), ":7\r\n");
  EXPECT_EQ(Say("CLIENT GETNAME"), kNil);
  EXPECT_EQ(Say("CLIENT SETNAME me"), kOk);
  EXPECT_EQ(Say("CLIENT GETNAME"), Bulk("me"));
  EXPECT_THAT(Say("CLIENT SETNAME a\nb"), StartsWith("-ERR Client names cannot contain"));
  EXPECT_EQ(Say("CLIENT SETNAME "), kOk);
  EXPECT_EQ(Say("CLIENT GETNAME"), kNil);
  EXPECT_EQ(Say("CLIENT SETINFO LIB-NAME lib"), kOk);
  EXPECT_EQ(Say("CLIENT SETINFO lib-ver 1.2"), kOk);
  EXPECT_THAT(Say("CLIENT SETINFO nonsense 1"), StartsWith("-ERR Unrecognized option 'nonsense'"));
  EXPECT_THAT(Say("CLIENT SETINFO lib-ver a\tb"), StartsWith("-ERR lib-ver cannot contain"));
  const std::string line = session_.Describe({.age_s = 3, .idle_s = 1, .listen_address = "h:1"});
  EXPECT_THAT(line, StartsWith("id=7 addr=1.2.3.4:5 laddr=h:1 fd=0 name= age=3 idle=1 flags=N db=0 sub=0 "));
  EXPECT_THAT(line, HasSubstr(" multi=-1 "));
  EXPECT_THAT(line, HasSubstr(" user=default "));
  EXPECT_THAT(line, HasSubstr(" resp=2 lib-name=lib lib-ver=1.2"));
}

TEST_F(SessionTest, ResetForgetsEverything) {
  const ServiceFacts facts = Guarded();
  Session session(1, "a", &facts);
  Say(&session, "HELLO 3 AUTH alice wonder SETNAME n");
  Say(&session, "SELECT 3");
  Say(&session, "MULTI");
  EXPECT_EQ(Say(&session, "RESET"), "+RESET\r\n");
  EXPECT_EQ(session.db(), 0);
  EXPECT_EQ(session.protocol(), 2);
  EXPECT_EQ(session.name(), "");
  EXPECT_FALSE(session.authenticated());
  EXPECT_FALSE(session.in_transaction());
}

TEST_F(SessionTest, MultiQueuesUntilTaken) {
  EXPECT_EQ(Say("DISCARD"), "-ERR DISCARD without MULTI\r\n");
  EXPECT_EQ(Say("MULTI"), kOk);
  EXPECT_EQ(Say("MULTI"), "-ERR MULTI calls can not be nested\r\n");
  EXPECT_FALSE(session_.transaction_aborted());
  EXPECT_EQ(Queue("SET k v"), "+QUEUED\r\n");
  EXPECT_EQ(Queue("GET k"), "+QUEUED\r\n");
  const auto queued = session_.TakeTransaction();
  ASSERT_EQ(queued.size(), 2u);
  EXPECT_EQ(queued[0].row->name, "set");
  EXPECT_EQ(queued[1].request.view().arg(1), "k");
  EXPECT_FALSE(session_.in_transaction());
  EXPECT_TRUE(session_.TakeTransaction().empty());
}

TEST_F(SessionTest, AbortIsOfATransactionOnly) {
  session_.AbortTransaction();
  EXPECT_FALSE(session_.transaction_aborted());
  Say("MULTI");
  session_.AbortTransaction();
  EXPECT_EQ(Queue("SET k v"), "+QUEUED\r\n");
  EXPECT_TRUE(session_.transaction_aborted());
  EXPECT_EQ(Say("DISCARD"), kOk);
  EXPECT_FALSE(session_.transaction_aborted());
}

TEST_F(SessionTest, ATransactionIsBounded) {
  facts_.transaction_bytes = 1 << 20;
  Say("MULTI");
  const std::string half = "SET k " + std::string(facts_.transaction_bytes / 2, 'x');
  EXPECT_EQ(Queue(half), "+QUEUED\r\n");
  EXPECT_GT(session_.queued_bytes(), half.size());
  EXPECT_FALSE(session_.transaction_aborted());
  EXPECT_THAT(Queue(half), StartsWith("-ERR crossfade: the transaction is larger"));
  EXPECT_TRUE(session_.transaction_aborted());
  EXPECT_EQ(session_.queued_bytes(), 0u);
  EXPECT_THAT(Queue("SET k v"), StartsWith("-ERR crossfade: the transaction is larger"));
  EXPECT_TRUE(session_.TakeTransaction().empty());
  Say("MULTI");
  EXPECT_EQ(Queue("SET k v"), "+QUEUED\r\n");  // the next one begins at nothing
  EXPECT_FALSE(session_.transaction_aborted());
}

}  // namespace
}  // namespace crossfade
