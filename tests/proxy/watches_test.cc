#include "proxy/watches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/proxy/private_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kNilArray = "*-1\r\n";

class WatchesTest : public PrivateWorld, public Watches::Owner {
 protected:
  void SetUp() override {
    PrivateWorld::SetUp();
    watches_ = std::make_unique<Watches>(&w.config, w.lane.get(), pool_.get(), static_cast<Watches::Owner*>(this));
  }
  void TearDown() override { w.ExpectQuiet(); }

  void Watch(const Watches::Asker& asker, std::initializer_list<std::string_view> args = {"WATCH", "k"}) {
    const Request request = MakeRequest(args);
    watches_->Watch(asker, request.view().bytes());
  }
  // WATCH k of client 1, answered.
  PrivatePeer Watching() {
    Watch(AskerOf(1));
    PrivatePeer peer = Accept();
    EXPECT_THAT(peer.Sent(), ElementsAre("WATCH k"));
    peer.Deliver(kOk);
    return peer;
  }
  void Exec(uint64_t sequence, const std::vector<std::vector<std::string_view>>& commands, int db = 0,
            int protocol = 2) {
    std::vector<QueuedCommand> queued;
    for (const auto& words : commands) {
      QueuedCommand& command = queued.emplace_back();
      command.request = MakeRequest(words);
      command.row = FindCommand(command.request.view());
      command.db = db;
    }
    watches_->Exec(AskerOf(1, sequence, db, protocol), std::move(queued));
  }
  // The fence: whatever went before is answered.
  void AnswerFence() {
    EXPECT_THAT(w.old_store.Sent(), ElementsAre("PING"));
    w.old_store.Reply("+PONG\r\n");
  }
  std::string Got(uint64_t sequence) { return answers_[sequence] + w.Got({1, sequence}); }

  void OnAnswer(ReplyTo to, std::string_view reply) override { answers_[to.sequence] += reply; }
  void OnWatching(uint64_t client) override { watching_.push_back(client); }
  void OnGateOpened() override { ++gates_opened_; }

  std::unique_ptr<Watches> watches_;
  std::map<uint64_t, std::string> answers_;
  std::vector<uint64_t> watching_;
  int gates_opened_ = 0;
};

TEST_F(WatchesTest, OneConnectionPerClient) {
  Watch(AskerOf(1, 1, 3, 3), {"WATCH", "a"});
  PrivatePeer peer = Accept();
  EXPECT_THAT(peer.Sent(), ElementsAre("HELLO 3", "SELECT 3", "WATCH a"));
  EXPECT_EQ(Got(1), "");
  peer.Deliver("%0\r\n" + kOk + kOk);
  EXPECT_EQ(Got(1), kOk);
  EXPECT_THAT(watching_, ElementsAre(1));
  Watch(AskerOf(1, 2, 4, 3), {"WATCH", "b"});
  EXPECT_THAT(peer.Sent(), ElementsAre("SELECT 4", "WATCH b"));
  peer.Deliver(kOk + kOk);
  EXPECT_EQ(Got(2), kOk);
  EXPECT_EQ(live(), 1u);
  EXPECT_EQ(watches_->size(), 1u);
}

TEST_F(WatchesTest, AServersErrorIsTheClients) {
  Watch(AskerOf(1));
  Accept().Deliver("-NOPERM no\r\n");
  EXPECT_EQ(Got(1), "-NOPERM no\r\n");
  EXPECT_THAT(watching_, IsEmpty());
}

TEST_F(WatchesTest, UnwatchGivesTheConnectionBack) {
  PrivatePeer peer = Watching();
  watches_->Unwatch(1);
  watches_->Unwatch(1);
  EXPECT_THAT(peer.Sent(), ElementsAre("UNWATCH"));
  EXPECT_EQ(watches_->size(), 0u);
  Watch(AskerOf(2, 2));
  EXPECT_THAT(peer.Sent(), ElementsAre("WATCH k"));  // behind the UNWATCH
  peer.Deliver(kOk);
  EXPECT_EQ(Got(2), "");
  peer.Deliver(kOk);
  EXPECT_EQ(Got(2), kOk);
}

TEST_F(WatchesTest, ExecRunsThereAndIsFollowed) {
  PrivatePeer peer = Watching();
  Exec(2, {{"SET", "k", "v"}, {"SPOP", "s"}, {"GET", "k"}});
  EXPECT_THAT(peer.Sent(), IsEmpty());  // until nothing is in flight on its keys
  EXPECT_TRUE(w.lane->Gated("k") && w.lane->Gated("s"));
  EXPECT_FALSE(w.lane->drained());
  AnswerFence();
  EXPECT_THAT(peer.Sent(), ElementsAre("MULTI", "SET k v", "SPOP s", "GET k", "EXEC"));
  const std::string reply = Array({kOk, Bulk("m"), Bulk("v")});
  peer.Deliver(kOk + kQueued + kQueued + kQueued + reply);
  EXPECT_EQ(Got(2), reply);
  EXPECT_EQ(gates_opened_, 1);
  EXPECT_FALSE(w.lane->Gated("k"));
  EXPECT_THAT(w.new_store.Sent(), ElementsAre("MULTI", "SET k v", "SREM s m", "EXEC"));
  w.new_store.Replies({kOk, kQueued, kQueued, Array({kOk, Int(1)})});
  EXPECT_TRUE(w.dirty.clean());
  EXPECT_EQ(live(), 1u);  // it is clean again, and waits for the next
  Watch(AskerOf(1, 3));
  EXPECT_THAT(peer.Sent(), ElementsAre("WATCH k"));
}

TEST_F(WatchesTest, AChangedKeyAnswersNilAndIsNotFollowed) {
  PrivatePeer peer = Watching();
  Exec(2, {{"SET", "k", "v"}});
  AnswerFence();
  peer.Deliver(kOk + kQueued + kNilArray);
  EXPECT_EQ(Got(2), kNilArray);
  EXPECT_THAT(w.new_store.Sent(), IsEmpty());
  EXPECT_TRUE(w.dirty.clean());
}

// What a server asks for is copied from there; the connection is then elsewhere, and is not used again.
TEST_F(WatchesTest, CopiesAreAskedForBesideIt) {
  PrivatePeer peer = Watching();
  Exec(2, {{"SORT", "l", "STORE", "d"}}, 2);
  EXPECT_THAT(w.old_store.Sent(), ElementsAre("SELECT 2", "PING"));
  w.old_store.Replies({kOk, "+PONG\r\n"});
  EXPECT_THAT(peer.Sent(), ElementsAre("SELECT 2", "MULTI", "SORT l STORE d", "EXEC", "SELECT 2", "PTTL l", "DUMP l",
                                       "SELECT 2", "PTTL d", "DUMP d"));
  peer.Deliver(kOk + kOk + kQueued + Array({Int(1)}) + kOk + Int(-2) + kNil + kOk + Int(-1) + Bulk("dumped"));
  EXPECT_EQ(Got(2), Array({Int(1)}));
  EXPECT_THAT(w.new_store.Sent(),
              ElementsAre("SELECT 2", "MULTI", "DEL l", "RESTORE d 0 dumped REPLACE ABSTTL", "EXEC"));
  w.new_store.Replies({kOk, kOk, kQueued, kQueued, Array({Int(0), kOk})});
  EXPECT_TRUE(peer.gone());
}

TEST_F(WatchesTest, TheConnectionEndsBeforeExec) {
  PrivatePeer peer = Watching();
  peer.Close();
  Watch(AskerOf(1, 2));
  EXPECT_EQ(Got(2), kOk);  // it is broken anyway
  Exec(3, {{"SET", "k", "v"}});
  EXPECT_EQ(Got(3), kNilArray);
  Exec(4, {{"SET", "k", "v"}}, 0, 3);
  EXPECT_EQ(Got(4), "_\r\n");
  EXPECT_EQ(gates_opened_, 0);
  EXPECT_EQ(watches_->size(), 0u);
}

TEST_F(WatchesTest, TheConnectionEndsBeforeTheFence) {
  PrivatePeer peer = Watching();
  Exec(2, {{"SET", "k", "v"}});
  peer.Close();
  AnswerFence();
  EXPECT_EQ(Got(2), kNilArray);  // nothing was sent: "try again" is true
  EXPECT_EQ(gates_opened_, 1);
  EXPECT_TRUE(w.lane->gates().empty());
  EXPECT_TRUE(w.dirty.clean());
  EXPECT_EQ(live(), 0u);
}

TEST_F(WatchesTest, TheConnectionEndsInsideExec) {
  PrivatePeer peer = Watching();
  Exec(2, {{"SET", "k", "v"}, {"GET", "other"}});
  AnswerFence();
  peer.Deliver(kOk);
  peer.Close();
  EXPECT_EQ(Got(2), "");
  EXPECT_THAT(w.broken, ElementsAre(1));  // whether it ran nobody knows
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_FALSE(w.IsDirty("other"));
  EXPECT_EQ(gates_opened_, 1);
  EXPECT_TRUE(w.lane->gates().empty());
}

TEST_F(WatchesTest, ThePrimaryIsLostBeforeTheFence) {
  PrivatePeer peer = Watching();
  Exec(2, {{"SET", "k", "v"}});
  w.old_store.Close();
  EXPECT_EQ(Got(2), kNilArray);
  EXPECT_EQ(gates_opened_, 1);
  EXPECT_TRUE(w.lane->gates().empty());
}

TEST_F(WatchesTest, ASilentStore) {
  Watch(AskerOf(1));
  PrivatePeer peer = Accept();
  w.Advance(w.config.timeouts.response_ms + 200);
  EXPECT_THAT(Got(1), HasSubstr("-ERR crossfade: the primary can't be reached: "));
  EXPECT_EQ(watches_->size(), 0u);
  EXPECT_EQ(live(), 0u);
}

TEST_F(WatchesTest, TooManyPrivateConnections) {
  w.config.limits.private_connections = 0;
  Watch(AskerOf(1));
  EXPECT_THAT(Got(1), HasSubstr("-ERR crossfade: limits.private_connections"));
  EXPECT_EQ(watches_->size(), 0u);
}

// A flip.
TEST_F(WatchesTest, BreakAll) {
  PrivatePeer peer = Watching();
  watches_->Unwatch(1);
  Watch(AskerOf(2, 2));
  peer.Deliver(kOk + kOk);
  watches_->BreakAll();
  EXPECT_TRUE(peer.gone());
  EXPECT_EQ(live(), 0u);
  watches_->Exec(AskerOf(2, 3), {});
  EXPECT_EQ(Got(3), kNilArray);
}

// A WATCH that is on its way when the sides change is answered all the same; its EXEC will say nil.
TEST_F(WatchesTest, BreakAllAnswersWhatIsOnItsWay) {
  Watch(AskerOf(1));
  PrivatePeer peer = Accept();
  watches_->BreakAll();
  EXPECT_EQ(Got(1), kOk);
  EXPECT_THAT(watching_, ElementsAre(1));
  Exec(2, {{"SET", "k", "v"}});
  EXPECT_EQ(Got(2), kNilArray);
  EXPECT_EQ(live(), 0u);
}

}  // namespace
}  // namespace crossfade
