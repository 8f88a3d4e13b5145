// The lane under the rights of several users: the user is switched in the stream, and what a store doesn't let in is
// never carried out by somebody else's rights.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/private_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class LinkLoginsTest : public PrivateWorld {
 protected:
  void SetUp() override {
    PrivateWorld::SetUp();
    bob_ = logins_.Add("bob", "b", true, true);
    eve_ = logins_.Add("eve", "e", true, false);
  }
  ReplyTo Send(std::initializer_list<std::string_view> args, LoginId login, int db = 0, ReadChoice choice = {}) {
    const ReplyTo to{1, ++sequence_};
    const Request request = MakeRequest(args);
    Plan plan;
    plan.row = FindCommand(request.view());
    plan.act = plan.row->route == Route::kRead ? Plan::Act::kRead : Plan::Act::kWrite;
    plan.keys = FindKeys(*plan.row, request.view());
    w.lane->Submit(plan, request.view(), to, db, 2, choice, login);
    return to;
  }
  std::vector<std::string> Sent() { return w.old_store.Sent(); }

  LoginId bob_ = 0, eve_ = 0;
  uint64_t sequence_ = 0;
};

const char kHelloBob[] = "HELLO 2 AUTH bob b SETNAME crossfade";

TEST_F(LinkLoginsTest, SwitchedOnlyWhenItDiffers) {
  Send({"SET", "a", "1"}, 0);
  EXPECT_THAT(Sent(), ElementsAre("HELLO 2", "SET a 1"));
  w.old_store.Replies({"*0\r\n", kOk});
  Send({"SET", "a", "1"}, bob_, 3);
  Send({"SET", "b", "1"}, bob_, 3);
  EXPECT_THAT(Sent(), ElementsAre("RESET", kHelloBob, "SELECT 3", "SET a 1", "SET b 1"));
  w.old_store.Replies({"+RESET\r\n", "*0\r\n", kOk, kOk, kOk});
  Send({"SET", "c", "1"}, 0, 3);
  EXPECT_THAT(Sent(), ElementsAre("RESET", "HELLO 2 SETNAME crossfade", "SELECT 3", "SET c 1"));
  w.old_store.Replies({"+RESET\r\n", "*0\r\n", kOk, kOk});
  w.new_store.Sent();
  w.new_store.ReplyToAll(kOk);
  w.ExpectQuiet();
}

TEST_F(LinkLoginsTest, TheProxysOwnCredentials) {
  w.config.backends[0].user = "proxy";
  w.config.backends[0].password = "secret";
  Send({"GET", "a"}, bob_);
  w.old_store.Replies({"+RESET\r\n", "*0\r\n", kNil});
  Sent();
  Send({"GET", "a"}, 0);
  EXPECT_THAT(Sent(), ElementsAre("RESET", "HELLO 2 AUTH proxy secret SETNAME crossfade", "GET a"));
  w.old_store.Replies({"+RESET\r\n", "*0\r\n", kNil});
}

// The effects are the proxy's; a client sees on the secondary what it may see there.
TEST_F(LinkLoginsTest, OnTheSecondary) {
  Send({"SET", "a", "1"}, bob_);
  w.old_store.Replies({"+RESET\r\n", "*0\r\n", kOk});
  EXPECT_THAT(w.new_store.Sent(), ElementsAre("SET a 1"));
  w.new_store.Reply(kOk);
  Send({"GET", "a"}, bob_, 0, kFromNew);
  EXPECT_THAT(w.new_store.Sent(), ElementsAre("RESET", kHelloBob, "GET a"));
  w.new_store.Replies({"+RESET\r\n", "*0\r\n", kNil});
}

TEST_F(LinkLoginsTest, WhomTheSecondaryDoesNotKnowReadsFromThePrimary) {
  Sent();
  const ReplyTo to = Send({"GET", "a"}, eve_, 0, kFromNew);
  EXPECT_THAT(w.new_store.Sent(), IsEmpty());
  w.old_store.Replies({"+RESET\r\n", "*0\r\n", Bulk("v")});
  EXPECT_EQ(w.Got(to), Bulk("v"));
}

TEST_F(LinkLoginsTest, WhomThePrimaryDoesNotKnowIsRefused) {
  logins_.Refused(bob_, Side::kOld);
  const ReplyTo to = Send({"GET", "a"}, bob_);
  EXPECT_THAT(w.Got(to), HasSubstr("-NOPERM crossfade: the primary (old) does not let user 'bob' in"));
  EXPECT_THAT(Sent(), IsEmpty());
  w.ExpectQuiet();
}

// What stood behind a refused login may not have been carried out by anybody's rights.
TEST_F(LinkLoginsTest, ARefusedLoginCutsTheConnection) {
  const ReplyTo to = Send({"SET", "a", "1"}, bob_);
  w.old_store.Reply("+RESET\r\n");
  w.old_store.Reply("-WRONGPASS invalid username-password pair\r\n");
  EXPECT_THAT(w.logins_refused, ElementsAre(Pair(Side::kOld, bob_)));
  EXPECT_TRUE(w.old_store.hung_up());
  EXPECT_EQ(w.Got(to), "");
  EXPECT_THAT(w.broken, ElementsAre(1));
  EXPECT_TRUE(w.IsDirty("a"));
}

TEST_F(LinkLoginsTest, ARefusedResetCutsTheConnection) {
  Send({"GET", "a"}, bob_);
  w.old_store.Reply("-ERR unknown command 'RESET'\r\n");
  EXPECT_TRUE(w.old_store.hung_up());
  EXPECT_THAT(w.logins_refused, ElementsAre(Pair(Side::kOld, bob_)));
}

// Where the user may not go (a database), nothing behind it may be carried out somewhere else.
TEST_F(LinkLoginsTest, ARefusedSelectCutsTheConnection) {
  Send({"GET", "a"}, bob_, 3);
  w.old_store.Replies({"+RESET\r\n", "*0\r\n"});
  EXPECT_THAT(w.logins_refused, IsEmpty());
  w.old_store.Reply("-NOPERM no\r\n");
  EXPECT_TRUE(w.old_store.hung_up());
  EXPECT_THAT(w.logins_refused, ElementsAre(Pair(Side::kOld, bob_)));
}

// The way back to the proxy's own rights is no user's fault.
TEST_F(LinkLoginsTest, ARefusedWayBackIsNobodysLogin) {
  Send({"GET", "a"}, bob_);
  w.old_store.Replies({"+RESET\r\n", "*0\r\n", kNil});
  Send({"GET", "a"}, 0);
  w.old_store.Reply("-ERR unknown command 'RESET'\r\n");
  EXPECT_TRUE(w.old_store.hung_up());
  EXPECT_THAT(w.logins_refused, IsEmpty());
}

// A connection that is made again is the proxy's own.
TEST_F(LinkLoginsTest, AfterAReconnect) {
  Send({"GET", "a"}, bob_);
  w.old_store.Replies({"+RESET\r\n", "*0\r\n", kNil});
  w.old_store.Close();
  w.old_store.Connect();
  Sent();
  Send({"GET", "a"}, 0);
  EXPECT_THAT(Sent(), ElementsAre("HELLO 2", "GET a"));
  w.old_store.Replies({"*0\r\n", kNil});
  Send({"GET", "a"}, bob_);
  EXPECT_THAT(Sent(), ElementsAre("RESET", kHelloBob, "GET a"));
  w.old_store.Replies({"+RESET\r\n", "*0\r\n", kNil});
}

}  // namespace
}  // namespace crossfade
