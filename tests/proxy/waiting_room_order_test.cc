// Who waits must not be forgotten, held back by others who want something else,
// or served out of order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/waiting_world.h"

namespace crossfade {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

class WaitingOrderTest : public WaitingWorld {};

// Whether the pop was carried out nobody knows: its client is disconnected, and
// nothing of it stays here.
TEST_F(WaitingOrderTest, AnAttemptThatIsLostLeavesNothing) {
  Enter(1, {"BLPOP", "k", "0"});
  w.old_store.Close();
  EXPECT_THAT(w.broken, ElementsAre(1));
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_TRUE(room_->empty());
  EXPECT_EQ(answers_.count(1), 0u);
  room_->Leave(1);  // as Proxy does with a client that is gone
  EXPECT_EQ(room_->given_back(), 0u);
}

// Another group's consumer has its own pending entries: it is not to wait
// behind the first's.
TEST_F(WaitingOrderTest, AnotherGroupTriesByItself) {
  ParkAtStreams(1, {"XREADGROUP", "GROUP", "g1", "c", "BLOCK", "0", "STREAMS", "a", ">"},
                {"XINFO STREAM a", "XREADGROUP GROUP g1 c STREAMS a >"});
  ParkAtStreams(2, {"XREADGROUP", "GROUP", "g2", "c", "BLOCK", "0", "STREAMS", "a", ">"},
                {"XREADGROUP GROUP g2 c STREAMS a >"});
  Write({"XADD", "a", "*", "f", "v"}, Bulk("7-1"));  // one entry is for one of each group
  EXPECT_THAT(Asked(), ElementsAre("XREADGROUP GROUP g1 c STREAMS a >", "XREADGROUP GROUP g2 c STREAMS a >"));
  w.old_store.Replies({kNilAnswer, kNilAnswer});
  EXPECT_THAT(Asked(), IsEmpty());
}

// Who waits for a list doesn't stand before who waits for a sorted set of the
// same name.
TEST_F(WaitingOrderTest, AnotherTypeTriesByItself) {
  Park(1, {"BLPOP", "k", "0"});
  Park(2, {"BLPOP", "other", "0"});
  Enter(3, {"BZPOPMIN", "k", "0"});
  Asked();
  w.old_store.ReplyToAll(kNil);
  Write({"ZADD", "k", "1", "m"}, Int(1));
  EXPECT_THAT(Asked(), Contains("ZMPOP 1 k MIN"));
  w.old_store.ReplyToAll(kNilAnswer);
}

// A key that a transaction outside of the lane has may not be popped from
// before that has its place in the order.
TEST_F(WaitingOrderTest, GatesHoldAttempts) {
  Park(1, {"BLPOP", "k", "0"});
  auto transaction = std::make_unique<Lane::Elsewhere>();
  QueuedCommand& push = transaction->commands.emplace_back();
  push.request = MakeRequest({"RPUSH", "k", "x"});
  push.row = FindCommandByName("rpush");
  transaction->to = {9, 1};
  w.lane->BeginElsewhere(transaction.get(), [](bool) {});
  w.Advance(50);
  EXPECT_THAT(Asked(), ElementsAre("PING", "EXISTS k"));
  w.old_store.Replies({"+PONG\r\n", Int(1)});
  if (w.old_store.unanswered() > 0) w.old_store.Reply("+list\r\n");  // it was pushed already, elsewhere
  const std::vector<std::string> asked = Asked();
  EXPECT_THAT(asked, Not(Contains("LPOP k")));
  w.lane->EndElsewhere(transaction.get(), std::vector<std::string>{kOk, kQueued, Array({Int(1)})});
  w.old_store.ReplyToAll(kNil);
}

}  // namespace
}  // namespace crossfade
