#include "proxy/feeds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/proxy/private_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string Frame(std::string_view kind, std::string_view name, const std::string& last) {
  return Array({Bulk(kind), Bulk(name), last});
}
std::string Message(std::string_view text) {
  return Frame("message", "c", Bulk(text));
}
const std::string kPong2 = "*2\r\n$4\r\npong\r\n$0\r\n\r\n";

class FeedsTest : public PrivateWorld, public Feeds::Owner {
 protected:
  void SetUp() override {
    PrivateWorld::SetUp();
    feeds_ = std::make_unique<Feeds>(w.lane.get(), pool_.get(), static_cast<Feeds::Owner*>(this));
  }
  void Say(uint64_t client, uint64_t sequence, std::initializer_list<std::string_view> args, int protocol = 2) {
    const Request request = MakeRequest(args);
    feeds_->Subscribe(AskerOf(client, sequence, 0, protocol), *FindCommand(request.view()), request.view());
  }
  // Client 1, subscribed to c.
  PrivatePeer Subscribed(uint64_t client = 1) {
    Say(client, 1, {"SUBSCRIBE", "c"});
    PrivatePeer peer = Accept();
    EXPECT_THAT(peer.Sent(), ElementsAre("SUBSCRIBE c"));
    peer.Deliver(Frame("subscribe", "c", Int(1)));
    pushed_.clear();
    return peer;
  }

  void OnAnswer(ReplyTo to, std::string_view reply) override { answers_[to.sequence] = reply; }
  void OnPush(uint64_t client, std::string_view frame) override { pushed_[client].emplace_back(frame); }
  void OnSubscriptions(uint64_t client, const Subscriptions& subscriptions) override {
    subscriptions_[client] = subscriptions;
  }
  void OnFeedLost(uint64_t client) override { lost_.push_back(client); }

  std::unique_ptr<Feeds> feeds_;
  std::map<uint64_t, std::string> answers_;
  std::map<uint64_t, std::vector<std::string>> pushed_;
  std::map<uint64_t, Subscriptions> subscriptions_;
  std::vector<uint64_t> lost_;
};

TEST_F(FeedsTest, ConfirmationsThenTheAnswer) {
  Say(1, 5, {"SUBSCRIBE", "a", "b"});
  PrivatePeer peer = Accept();
  EXPECT_THAT(peer.Sent(), ElementsAre("SUBSCRIBE a b"));
  peer.Deliver(Frame("subscribe", "a", Int(1)));
  EXPECT_FALSE(answers_.contains(5));
  peer.Deliver(Frame("message", "a", Bulk("early")) + Frame("subscribe", "b", Int(2)));
  EXPECT_TRUE(answers_.contains(5));
  EXPECT_EQ(answers_[5], "");
  EXPECT_THAT(pushed_[1], ElementsAre(Frame("subscribe", "a", Int(1)), Frame("message", "a", Bulk("early")),
                                      Frame("subscribe", "b", Int(2))));
  EXPECT_EQ(subscriptions_[1].channels, 2u);
}

TEST_F(FeedsTest, InResp3AndUnderItsUser) {
  const LoginId bob = logins_.Add("bob", "b", true, true);
  const Request request = MakeRequest({"PSUBSCRIBE", "p*"});
  feeds_->Subscribe(AskerOf(1, 1, 0, 3, bob), *FindCommand(request.view()), request.view());
  PrivatePeer peer = Accept();
  EXPECT_THAT(peer.Sent(), ElementsAre("AUTH bob b", "HELLO 3", "PSUBSCRIBE p*"));
  peer.Deliver(kOk + "%0\r\n>3\r\n+psubscribe\r\n+p*\r\n:1\r\n>4\r\n+pmessage\r\n+p*\r\n+pa\r\n+m\r\n");
  EXPECT_THAT(pushed_[1], ElementsAre(">3\r\n+psubscribe\r\n+p*\r\n:1\r\n", ">4\r\n+pmessage\r\n+p*\r\n+pa\r\n+m\r\n"));
  EXPECT_EQ(subscriptions_[1].patterns, 1u);
}

TEST_F(FeedsTest, UnsubscribeOfNothing) {
  Say(1, 1, {"UNSUBSCRIBE"});
  EXPECT_EQ(answers_[1], "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
  Say(1, 2, {"PUNSUBSCRIBE", "a", "b"}, 3);
  EXPECT_EQ(answers_[2],
            ">3\r\n$12\r\npunsubscribe\r\n$1\r\na\r\n:0\r\n>3\r\n$12\r\npunsubscribe\r\n$1\r\nb\r\n:0\r\n");
  EXPECT_EQ(live(), 0u);
}

TEST_F(FeedsTest, UnsubscribeOfAll) {
  Say(1, 1, {"SUBSCRIBE", "a", "b"});
  PrivatePeer peer = Accept();
  peer.Deliver(Frame("subscribe", "a", Int(1)) + Frame("subscribe", "b", Int(2)));
  Say(1, 2, {"SSUBSCRIBE", "s"});
  peer.Deliver(Frame("ssubscribe", "s", Int(1)));
  EXPECT_EQ(subscriptions_[1].shard_channels, 1u);
  Say(1, 3, {"UNSUBSCRIBE"});
  peer.Deliver(Frame("unsubscribe", "a", Int(2)));
  EXPECT_FALSE(answers_.contains(3));
  peer.Deliver(Frame("unsubscribe", "b", Int(1)));
  EXPECT_TRUE(answers_.contains(3));
  EXPECT_FALSE(peer.gone());
  Say(1, 4, {"SUNSUBSCRIBE"});
  peer.Deliver(Frame("sunsubscribe", "s", Int(0)));
  EXPECT_TRUE(answers_.contains(4));
  EXPECT_TRUE(peer.gone());  // a connection with nothing on it is let go
  EXPECT_FALSE(subscriptions_[1].any());
  EXPECT_EQ(feeds_->size(), 0u);
}

TEST_F(FeedsTest, ARefusedSubscription) {
  Say(1, 1, {"SUBSCRIBE", "a", "b"});
  PrivatePeer peer = Accept();
  peer.Deliver("-NOPERM no\r\n");
  EXPECT_THAT(pushed_[1], ElementsAre("-NOPERM no\r\n"));
  EXPECT_TRUE(answers_.contains(1));
  EXPECT_EQ(feeds_->size(), 0u);
}

TEST_F(FeedsTest, Monitor) {
  feeds_->Monitor(AskerOf(1, 1));
  PrivatePeer peer = Accept();
  EXPECT_THAT(peer.Sent(), ElementsAre("MONITOR"));
  peer.Deliver(kOk);
  EXPECT_TRUE(answers_.contains(1));
  EXPECT_TRUE(subscriptions_[1].monitor);
  peer.Deliver("+1.0 [0 a] \"GET\" \"k\"\r\n");
  EXPECT_THAT(pushed_[1], ElementsAre(kOk, "+1.0 [0 a] \"GET\" \"k\"\r\n"));
}

TEST_F(FeedsTest, TheStoreIsLost) {
  Subscribed().Close();
  EXPECT_THAT(lost_, ElementsAre(1));
  EXPECT_EQ(feeds_->size(), 0u);
}

TEST_F(FeedsTest, TheClientIsGone) {
  PrivatePeer peer = Subscribed();
  feeds_->End(1);
  feeds_->End(1);
  EXPECT_TRUE(peer.gone());
  EXPECT_THAT(lost_, IsEmpty());
}

TEST_F(FeedsTest, TooManyPrivateConnections) {
  w.config.limits.private_connections = 0;
  Say(1, 1, {"SUBSCRIBE", "a"});
  EXPECT_THAT(answers_[1], HasSubstr("-ERR crossfade: limits.private_connections"));
  EXPECT_EQ(feeds_->size(), 0u);
}

// --- The flip --------------------------------------------------------------------------------------------------------

class FeedsFlipTest : public FeedsTest {
 protected:
  // Client 1 subscribed on both sides.
  void Prepare() {
    now_ = Subscribed();
    feeds_->Prepare(Side::kNew);
    next_ = Accept(kNewPort);
    EXPECT_THAT(next_.Sent(), ElementsAre("SUBSCRIBE c"));
    EXPECT_THAT(feeds_->WhyNotPrepared(), HasSubstr("1 subscribers are not subscribed on new yet"));
    next_.Deliver(Frame("subscribe", "c", Int(1)));
    EXPECT_EQ(feeds_->WhyNotPrepared(), "");
  }

  PrivatePeer now_, next_;
};

TEST_F(FeedsFlipTest, NoMessageIsLostOrRepeated) {
  Prepare();
  now_.Deliver(Message("1"));
  next_.Deliver(Message("1"));
  feeds_->Fence();
  EXPECT_THAT(now_.Sent(), ElementsAre("PING"));
  EXPECT_THAT(next_.Sent(), ElementsAre("PING"));
  next_.Deliver(Message("2") + kPong2);  // the new side is first
  EXPECT_FALSE(feeds_->fenced());
  now_.Deliver(Message("2"));
  feeds_->Fence();
  EXPECT_THAT(now_.Sent(), IsEmpty());  // once
  now_.Deliver(kPong2);
  EXPECT_TRUE(feeds_->fenced());
  feeds_->Switch();
  EXPECT_TRUE(now_.gone());
  next_.Deliver(Message("3"));
  EXPECT_THAT(pushed_[1], ElementsAre(Message("1"), Message("2"), Message("3")));
  EXPECT_THAT(lost_, IsEmpty());
  EXPECT_EQ(live(Side::kOld), 0u);
  next_.Close();  // it is the client's now
  EXPECT_THAT(lost_, ElementsAre(1));
}

TEST_F(FeedsFlipTest, TheOldSideIsFirst) {
  Prepare();
  feeds_->Fence();
  now_.Deliver(Message("1") + kPong2);
  EXPECT_FALSE(feeds_->fenced());
  next_.Deliver(Message("1") + kPong2);
  EXPECT_TRUE(feeds_->fenced());
  feeds_->Switch();
  EXPECT_THAT(pushed_[1], ElementsAre(Message("1")));
}

TEST_F(FeedsFlipTest, GivenUpWithAPongOnItsWay) {
  Prepare();
  feeds_->Fence();
  next_.Deliver(kPong2);
  feeds_->Cancel();
  EXPECT_TRUE(next_.gone());
  now_.Deliver(Message("1") + kPong2 + Message("2"));
  EXPECT_THAT(pushed_[1], ElementsAre(Message("1"), Message("2")));  // the answer was nobody's
  EXPECT_EQ(live(Side::kNew), 0u);
}

// The late answer of the flip that was given up is not this one's.
TEST_F(FeedsFlipTest, ASecondFlipWaitsForItsOwnPong) {
  Prepare();
  feeds_->Fence();
  feeds_->Cancel();
  now_.Sent();
  feeds_->Prepare(Side::kNew);
  next_ = Accept(kNewPort);
  next_.Deliver(Frame("subscribe", "c", Int(1)));
  feeds_->Fence();
  EXPECT_THAT(now_.Sent(), ElementsAre("PING"));
  next_.Deliver(kPong2);
  now_.Deliver(kPong2);
  EXPECT_FALSE(feeds_->fenced());
  now_.Deliver(Message("1") + kPong2);
  EXPECT_TRUE(feeds_->fenced());
  feeds_->Switch();
  EXPECT_THAT(pushed_[1], ElementsAre(Message("1")));
}

TEST_F(FeedsFlipTest, AndBackAgain) {
  Prepare();
  feeds_->Fence();
  now_.Deliver(kPong2);
  next_.Deliver(kPong2);
  feeds_->Switch();
  PrivatePeer there = next_;
  feeds_->Prepare(Side::kOld);
  PrivatePeer back = Accept(kOldPort);
  EXPECT_THAT(back.Sent(), ElementsAre("SUBSCRIBE c"));
  back.Deliver(Frame("subscribe", "c", Int(1)));
  feeds_->Fence();
  EXPECT_FALSE(feeds_->fenced());
  there.Deliver(kPong2);
  back.Deliver(kPong2 + Message("unseen"));  // before the switch the other side still counts
  EXPECT_TRUE(feeds_->fenced());
  feeds_->Switch();
  back.Deliver(Message("1"));
  EXPECT_THAT(pushed_[1], ElementsAre(Message("1")));
}

// What a client asks meanwhile is asked of both sides.
TEST_F(FeedsFlipTest, ASubscriptionMeanwhile) {
  Prepare();
  Say(1, 2, {"PSUBSCRIBE", "p*"});
  EXPECT_THAT(now_.Sent(), ElementsAre("PSUBSCRIBE p*"));
  EXPECT_THAT(next_.Sent(), ElementsAre("PSUBSCRIBE p*"));
  EXPECT_NE(feeds_->WhyNotPrepared(), "");
  now_.Deliver(Frame("psubscribe", "p*", Int(2)));
  EXPECT_NE(feeds_->WhyNotPrepared(), "");
  next_.Deliver(Frame("psubscribe", "p*", Int(2)));
  EXPECT_EQ(feeds_->WhyNotPrepared(), "");
  EXPECT_THAT(pushed_[1], ElementsAre(Frame("psubscribe", "p*", Int(2))));
}

TEST_F(FeedsFlipTest, ANewSubscriberMeanwhile) {
  Prepare();
  Say(2, 7, {"SUBSCRIBE", "d"});
  PrivatePeer peer = Accept();
  feeds_->Prepare(Side::kNew);
  EXPECT_EQ(w.io.NextConnect(kNewPort), nullptr);  // not before it is confirmed here
  EXPECT_NE(feeds_->WhyNotPrepared(), "");
  peer.Deliver(Frame("subscribe", "d", Int(1)));
  feeds_->Prepare(Side::kNew);
  PrivatePeer other = Accept(kNewPort);
  EXPECT_THAT(other.Sent(), ElementsAre("SUBSCRIBE d"));
  other.Deliver(Frame("subscribe", "d", Int(1)));
  EXPECT_EQ(feeds_->WhyNotPrepared(), "");
}

TEST_F(FeedsFlipTest, EveryKindIsMoved) {
  Say(1, 1, {"SUBSCRIBE", "b", "a"});
  PrivatePeer peer = Accept();
  peer.Deliver(Frame("subscribe", "b", Int(1)) + Frame("subscribe", "a", Int(2)));
  Say(1, 2, {"PSUBSCRIBE", "p*"});
  peer.Deliver(Frame("psubscribe", "p*", Int(3)));
  Say(1, 3, {"SSUBSCRIBE", "s"});
  peer.Deliver(Frame("ssubscribe", "s", Int(1)));
  feeds_->Monitor(AskerOf(2, 4));
  Accept().Deliver(kOk);
  feeds_->Prepare(Side::kNew);
  std::vector<std::string> sent;
  for (int i = 0; i < 2; ++i) {
    for (const std::string& command : Accept(kNewPort).Sent()) sent.push_back(command);
  }
  EXPECT_THAT(sent, testing::UnorderedElementsAre("SUBSCRIBE a b", "PSUBSCRIBE p*", "SSUBSCRIBE s", "MONITOR"));
}

TEST_F(FeedsFlipTest, TheOtherSideRefuses) {
  Subscribed();
  feeds_->Prepare(Side::kNew);
  Accept(kNewPort).Deliver("-NOPERM this user has no permissions\r\n");
  EXPECT_THAT(feeds_->WhyNotPrepared(), HasSubstr("NOPERM"));
  feeds_->Cancel();
  EXPECT_EQ(live(Side::kNew), 0u);
  feeds_->Prepare(Side::kNew);  // the next flip asks again
  EXPECT_NE(w.io.NextConnect(kNewPort), nullptr);
}

TEST_F(FeedsFlipTest, TheOtherSideIsLost) {
  Prepare();
  next_.Close();
  EXPECT_NE(feeds_->WhyNotPrepared(), "");
  EXPECT_FALSE(feeds_->fenced());
  now_.Deliver(Message("1"));
  EXPECT_THAT(pushed_[1], ElementsAre(Message("1")));
  EXPECT_THAT(lost_, IsEmpty());
}

// Forced: whoever could not be moved is disconnected, as by a server that goes.
TEST_F(FeedsFlipTest, AForcedSwitch) {
  Prepare();
  Say(2, 7, {"SUBSCRIBE", "d"});
  PrivatePeer peer = Accept();
  peer.Deliver(Frame("subscribe", "d", Int(1)));
  feeds_->Switch();
  EXPECT_THAT(lost_, ElementsAre(2));
  EXPECT_TRUE(peer.gone());
  next_.Deliver(Message("1"));
  EXPECT_THAT(pushed_[1], ElementsAre(Message("1")));
}

TEST_F(FeedsFlipTest, NobodyIsReadyAtOnce) {
  feeds_->Prepare(Side::kNew);
  EXPECT_EQ(feeds_->WhyNotPrepared(), "");
  feeds_->Fence();
  EXPECT_TRUE(feeds_->fenced());
  feeds_->Switch();
  feeds_->Cancel();
}

}  // namespace
}  // namespace crossfade
