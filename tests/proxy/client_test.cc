#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/client_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

TEST_F(ClientTest, RepliesLeaveInTheOrderOfTheRequests) {
  Accept();
  Get("a");
  peer_->Deliver(Command({"PING"}));
  Get("b");
  Get("c");
  EXPECT_THAT(requests_, ElementsAre("GET a", "GET b", "GET c"));
  client_->Answer(to_[2].sequence, "+c\r\n");
  client_->Answer(to_[1].sequence, "+b\r\n");
  EXPECT_EQ(peer_->TakeWritten(), "");
  client_->Answer(to_[0].sequence, "+a\r\n");
  EXPECT_EQ(peer_->TakeWritten(), "+a\r\n+PONG\r\n+b\r\n+c\r\n");
}

TEST_F(ClientTest, ASecondAnswerIsIgnored) {
  Accept();
  Get("a");
  Get("b");
  client_->Answer(to_[1].sequence, "+first\r\n");
  client_->Answer(to_[1].sequence, "+second\r\n");
  client_->Answer(to_[0].sequence, "+a\r\n");
  client_->Answer(to_[0].sequence, "+late\r\n");
  client_->Answer(to_[1].sequence, "+late\r\n");
  client_->Answer(to_[1].sequence + 7, "+early\r\n");
  EXPECT_EQ(peer_->TakeWritten(), "+a\r\n+first\r\n");
}

TEST_F(ClientTest, I9ThePipelineLimitStopsReading) {
  limits_.client_pipeline = 3;
  Accept();
  std::string bytes;
  for (int i = 0; i < 5; ++i) bytes += Command({"GET", std::to_string(i)});
  peer_->Deliver(bytes);
  EXPECT_EQ(requests_.size(), 3u);
  EXPECT_FALSE(peer_->reading);
  peer_->Deliver(Command({"GET", "5"}));
  EXPECT_EQ(peer_->undelivered_bytes(), Command({"GET", "5"}).size());
  client_->Answer(to_[1].sequence, kOk);  // not the first: nothing is freed yet
  EXPECT_FALSE(paused_);
  client_->Answer(to_[0].sequence, kOk);
  EXPECT_TRUE(paused_);
  ResumeIfPaused();
  EXPECT_EQ(requests_.size(), 5u);
  for (int i = 2; i < 5; ++i) client_->Answer(to_[i].sequence, kOk);
  ResumeIfPaused();
  EXPECT_EQ(requests_.back(), "GET 5");
  EXPECT_TRUE(peer_->reading);
}

TEST_F(ClientTest, I9TheOutputLimitStopsReading) {
  limits_.client_output_bytes = 1000;
  Accept();
  peer_->stalled = true;
  Get("a");
  client_->Answer(to_[0].sequence, Bulk(std::string(2000, 'x')));
  Get("b");
  EXPECT_THAT(requests_, ElementsAre("GET a"));
  EXPECT_FALSE(peer_->reading);
  peer_->Drain(500);
  EXPECT_FALSE(paused_);
  peer_->Drain();
  ASSERT_TRUE(paused_);
  ResumeIfPaused();
  EXPECT_THAT(requests_, ElementsAre("GET a", "GET b"));
  EXPECT_TRUE(peer_->reading);
}

TEST_F(ClientTest, I9LargeRepliesShrinkTheWindow) {
  Accept();
  Get("a");
  client_->Answer(to_[0].sequence, Bulk(std::string(3 << 20, 'x')));
  Get("b");
  Get("c");
  EXPECT_THAT(requests_, ElementsAre("GET a", "GET b"));  // c waits: b may be as large
  client_->Answer(to_[1].sequence, kNil);
  ResumeIfPaused();
  EXPECT_EQ(requests_.back(), "GET c");
}

TEST_F(ClientTest, AProtocolErrorIsAnsweredAfterEarlierReplies) {
  Accept();
  peer_->Deliver(Command({"GET", "a"}) + "*1\r\n:3\r\n" + Command({"GET", "b"}));
  EXPECT_THAT(requests_, ElementsAre("GET a"));
  EXPECT_EQ(peer_->TakeWritten(), "");
  EXPECT_FALSE(peer_->close_after_flush);
  client_->Answer(to_[0].sequence, "+a\r\n");
  EXPECT_EQ(peer_->TakeWritten(), "+a\r\n-ERR Protocol error: expected '$', got ':'\r\n");
  EXPECT_TRUE(peer_->close_after_flush);
  peer_->Pump();
  EXPECT_TRUE(gone_);
}

TEST_F(ClientTest, QuitIsAnsweredAfterEarlierRepliesAndEndsIt) {
  Accept();
  peer_->Deliver(Command({"GET", "a"}) + Command({"QUIT"}) + Command({"GET", "b"}));
  EXPECT_THAT(requests_, ElementsAre("GET a"));
  EXPECT_FALSE(client_->closing());
  client_->Answer(to_[0].sequence, "+a\r\n");
  EXPECT_EQ(peer_->TakeWritten(), "+a\r\n+OK\r\n");
  EXPECT_TRUE(client_->closing());
  client_->CloseAfterReplies();  // again: no harm
  peer_->Pump();
  EXPECT_TRUE(gone_);
}

TEST_F(ClientTest, ABrokenClientGetsWhatItIsOwedInOrderAndNoMore) {
  Accept();
  Get("a");
  Get("b");
  Get("c");
  client_->Answer(to_[0].sequence, "+a\r\n");
  client_->Answer(to_[2].sequence, "+c\r\n");
  client_->CloseAfterReplies();
  client_->Answer(to_[1].sequence, "+b\r\n");
  EXPECT_EQ(peer_->TakeWritten(), "+a\r\n");
  EXPECT_TRUE(peer_->close_after_flush);
}

TEST_F(ClientTest, I5HeldDuringAFlipAndResumed) {
  Accept();
  Get("a");
  holding_ = true;
  peer_->Deliver(Command({"GET", "b"}) + Command({"PING"}) + "*2\r\n$3\r\nGE");
  EXPECT_THAT(requests_, ElementsAre("GET a"));
  EXPECT_TRUE(paused_);
  client_->Answer(to_[0].sequence, "+a\r\n");  // what was under way ends
  EXPECT_EQ(peer_->TakeWritten(), "+a\r\n");
  client_->Resume();  // too early: nothing happens
  EXPECT_EQ(requests_.size(), 1u);
  holding_ = false;
  peer_->Deliver("T\r\n$1\r\nc\r\n");
  ResumeIfPaused();
  EXPECT_THAT(requests_, ElementsAre("GET a", "GET b", "GET c"));
  EXPECT_TRUE(peer_->reading);
}

TEST_F(ClientTest, HeldAgainWhileItResumes) {
  Accept();
  holding_ = true;
  Get("a");
  holding_ = false;
  ResumeIfPaused();
  EXPECT_THAT(requests_, ElementsAre("GET a"));
  holding_ = true;
  Get("b");
  EXPECT_TRUE(paused_);
  holding_ = false;
  ResumeIfPaused();
  EXPECT_THAT(requests_, ElementsAre("GET a", "GET b"));
}

TEST_F(ClientTest, AByteAtATime) {
  answer_at_once_ = true;
  Accept();
  peer_->DeliverByteByByte(Command({"SET", "key", "some value"}) + "GET inline\r\n" + Command({"PING"}) + "\r\n");
  EXPECT_THAT(requests_, ElementsAre("SET key some value", "GET inline"));
  EXPECT_EQ(peer_->TakeWritten(), kOk + kOk + "+PONG\r\n");
}

TEST_F(ClientTest, AnsweredInsideTheRequest) {
  limits_.client_pipeline = 1;
  answer_at_once_ = true;
  Accept();
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += Command({"GET", std::to_string(i)});
  peer_->Deliver(bytes);
  EXPECT_EQ(requests_.size(), 100u);
  EXPECT_FALSE(paused_);
}

TEST_F(ClientTest, ATransactionIsQueuedAndHandedOverAtExec) {
  Accept();
  peer_->Deliver(Command({"MULTI"}) + Command({"SET", "k", "v"}) + Command({"EXEC"}));
  EXPECT_THAT(requests_, ElementsAre("EXEC"));
  EXPECT_EQ(peer_->TakeWritten(), kOk + kQueued);
  EXPECT_EQ(client_->session().TakeTransaction().size(), 1u);
}

TEST_F(ClientTest, AnErrorEndsARefusedClient) {
  Accept();
  client_->Refuse("ERR max number of clients reached");
  EXPECT_EQ(peer_->TakeWritten(), "-ERR max number of clients reached\r\n");
  EXPECT_TRUE(peer_->close_after_flush);
}

TEST_F(ClientTest, AScannerIsHungUpOn) {
  Accept();
  peer_->Deliver("POST / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(peer_->TakeWritten(), "");
  EXPECT_TRUE(peer_->close_after_flush);
}

TEST_F(ClientTest, GoneWhileItsAnswersAreOnTheirWay) {
  Accept();
  Get("a");
  peer_->CloseByPeer();
  EXPECT_TRUE(gone_);
  client_->Answer(to_[0].sequence, kOk);
  EXPECT_EQ(peer_->TakeWritten(), "");
}

// --- What runs alone, waits, or is kept back -------------------------------------------------------------------------

TEST_F(ClientTest, WhatLeavesTheLaneRunsAlone) {
  Accept();
  Get("a");
  peer_->Deliver(Command({"BLPOP", "k", "0"}) + Command({"GET", "b"}));
  EXPECT_THAT(requests_, ElementsAre("GET a"));
  client_->Answer(to_[0].sequence, kNil);
  ResumeIfPaused();
  EXPECT_THAT(requests_, ElementsAre("GET a", "BLPOP k 0"));
  EXPECT_TRUE(peer_->reading);  // whether it has gone shows in no other way
  client_->Answer(to_[1].sequence, "*-1\r\n");
  ResumeIfPaused();
  EXPECT_THAT(requests_, ElementsAre("GET a", "BLPOP k 0", "GET b"));
  client_->Answer(to_[2].sequence, kNil);
  EXPECT_EQ(peer_->TakeWritten(), kNil + "*-1\r\n" + kNil);
}

TEST_F(ClientTest, WhatItSendsAheadWhileItBlocksIsBounded) {
  Accept();
  peer_->Deliver(Command({"BLPOP", "k", "0"}));
  for (int i = 0; i < 40; ++i) peer_->Deliver(Command({"SET", "k", std::string(64 << 10, 'x')}));
  EXPECT_FALSE(peer_->reading);
  EXPECT_EQ(requests_.size(), 1u);
}

TEST_F(ClientTest, WhatMustWaitIsLookedAtAgain) {
  Accept();
  must_wait_ = true;
  Get("a");
  EXPECT_THAT(requests_, IsEmpty());
  must_wait_ = false;
  client_->Resume();
  EXPECT_THAT(requests_, ElementsAre("GET a"));
}

TEST_F(ClientTest, MutedReplies) {
  Accept();
  peer_->Deliver(Command({"CLIENT", "REPLY", "SKIP"}) + Command({"GET", "a"}) + Command({"GET", "b"}));
  client_->Answer(to_[1].sequence, Bulk("b"));
  client_->Answer(to_[0].sequence, Bulk("a"));
  EXPECT_EQ(peer_->TakeWritten(), Bulk("b"));
  peer_->Deliver(Command({"CLIENT", "REPLY", "OFF"}) + Command({"PING"}) + Command({"CLIENT", "REPLY", "ON"}));
  EXPECT_EQ(peer_->TakeWritten(), kOk);
}

TEST_F(ClientTest, PushesComeBetweenReplies) {
  Accept();
  Get("a");
  client_->Push("+pushed\r\n");
  client_->Answer(to_[0].sequence, kNil);
  EXPECT_EQ(peer_->TakeWritten(), "+pushed\r\n" + kNil);
}

TEST_F(ClientTest, InfoHasASectionOfOurs) {
  Accept();
  peer_->Deliver(Command({"INFO"}) + Command({"INFO", "server"}) + Command({"INFO", "crossfade"}));
  client_->Answer(to_[0].sequence, Bulk("# Server\r\nx:1\r\n"));
  client_->Answer(to_[1].sequence, Bulk("# Server\r\nx:1\r\n"));
  client_->Answer(to_[2].sequence, Bulk(""));
  const std::string ours = "# Crossfade\r\nepoch:1\r\n";
  EXPECT_EQ(peer_->TakeWritten(), Bulk("# Server\r\nx:1\r\n\r\n" + ours) + Bulk("# Server\r\nx:1\r\n") + Bulk(ours));
}

TEST_F(ClientTest, ResetEndsWhatIsOutsideOfTheLane) {
  Accept();
  client_->session().set_watching(true);
  client_->session().set_subscriptions({.channels = 1});
  peer_->Deliver(Command({"RESET"}));
  EXPECT_EQ(unwatched_, 1);
  EXPECT_EQ(unsubscribed_, 1);
  peer_->Deliver(Command({"RESET"}));
  EXPECT_EQ(unwatched_, 1);
}

TEST_F(ClientTest, ExecsReplyGoesThroughTheSession) {
  Accept();
  for (const auto& args : {Command({"MULTI"}), Command({"SELECT", "4"}), Command({"CLIENT", "GETNAME"})}) {
    peer_->Deliver(args);
  }
  peer_->TakeWritten();
  peer_->Deliver(Command({"EXEC"}) + Command({"GET", "a"}));
  ASSERT_THAT(requests_, ElementsAre("EXEC"));  // its database is known only then
  client_->session().TakeTransaction();
  client_->Answer(to_[0].sequence, Array({kOk, "+PONG\r\n"}));
  EXPECT_EQ(peer_->TakeWritten(), Array({kOk, kNil}));
  EXPECT_EQ(client_->session().db(), 4);
  ResumeIfPaused();
  EXPECT_THAT(requests_, ElementsAre("EXEC", "GET a"));
}

}  // namespace
}  // namespace crossfade
