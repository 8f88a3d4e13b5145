// What one client may make the proxy hold, and how it ends when the proxy does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/client_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(ClientTest, I9PushesThatNobodyReadsEndTheConnection) {
  limits_.subscriber_output_bytes = 4 << 20;
  Accept();
  peer_->stalled = true;
  const std::string frame = Bulk(std::string((1 << 20) - 20, 'x'));
  for (int i = 0; i < 4; ++i) client_->Push(frame);
  EXPECT_FALSE(gone_);
  client_->Push(frame);
  EXPECT_TRUE(gone_);
  EXPECT_THAT(reached_, ElementsAre(ClientLimit::kOutput, ClientLimit::kSubscriberOutput));
}

TEST_F(ClientTest, I9AnUnfinishedRequestIsBounded) {
  limits_.client_input_bytes = 100'000;
  Accept();
  peer_->Deliver("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n" + std::string(50'000, 'x'));
  EXPECT_FALSE(gone_);
  EXPECT_GT(account_.held(MemoryAccount::Holder::kInput), 50'000u);
  peer_->Deliver(std::string(50'000, 'x'));
  EXPECT_TRUE(gone_);
  EXPECT_THAT(reached_, ElementsAre(ClientLimit::kInput));
  client_.reset();
  EXPECT_EQ(account_.sum().used(), 0u);
}

TEST_F(ClientTest, I9WhatItHoldsIsInTheAccount) {
  Accept();
  peer_->stalled = true;
  Get("a");
  Get("b");
  client_->Answer(to_[1].sequence, Bulk(std::string(1000, 'x')));  // kept: the first is missing
  EXPECT_GE(account_.held(MemoryAccount::Holder::kOutput), 1000u);
  client_->Answer(to_[0].sequence, Bulk(std::string(500, 'x')));
  EXPECT_GE(account_.held(MemoryAccount::Holder::kOutput), 1500u);
  peer_->Drain();
  EXPECT_EQ(account_.held(MemoryAccount::Holder::kOutput), 0u);
  peer_->Deliver(Command({"MULTI"}) + Command({"SET", "k", std::string(3000, 'x')}));
  EXPECT_GE(account_.held(MemoryAccount::Holder::kInput), 3000u);
  peer_->Deliver(Command({"DISCARD"}) + Command({"BLPOP", std::string(200, 'k'), "0"}));
  EXPECT_GE(account_.held(MemoryAccount::Holder::kInput), 200u);  // wherever it waits
  EXPECT_LT(account_.held(MemoryAccount::Holder::kInput), 3000u);
  client_->Answer(to_.back().sequence, "*-1\r\n");
  EXPECT_EQ(account_.held(MemoryAccount::Holder::kInput), 0u);
}

TEST_F(ClientTest, I9WithNoMemoryLeftWhoDoesNotReadIsDropped) {
  limits_.client_output_bytes = 1000;
  Accept();
  account_.set_limit(10'000);
  peer_->stalled = true;
  for (const char* key : {"a", "b", "c"}) Get(key);
  client_->Answer(to_[0].sequence, Bulk(std::string(5000, 'x')));
  EXPECT_FALSE(gone_);  // there is memory: it may take its time
  client_->Answer(to_[1].sequence, Bulk(std::string(6000, 'x')));
  EXPECT_TRUE(gone_);
  EXPECT_THAT(reached_, ElementsAre(ClientLimit::kOutput, ClientLimit::kMemory));
}

TEST_F(ClientTest, ATransactionThatIsTooLargeIsCounted) {
  facts_.transaction_bytes = 1000;
  Accept();
  const std::string set = Command({"SET", "k", std::string(2000, 'x')});
  peer_->Deliver(Command({"MULTI"}) + set + set + Command({"EXEC"}));
  EXPECT_THAT(peer_->TakeWritten(), HasSubstr("-EXECABORT"));
  EXPECT_THAT(reached_, ElementsAre(ClientLimit::kTransaction));
}

// --- The end of the proxy
// ----------------------------------------------------------------------------------------------

TEST_F(ClientTest, AnIdleClientIsClosedAtTheEnd) {
  Accept();
  client_->Finish();
  EXPECT_TRUE(peer_->close_after_flush);
}

TEST_F(ClientTest, WhatWasReadIsAnsweredAtTheEnd) {
  limits_.client_pipeline = 2;
  Accept();
  std::string bytes;
  for (int i = 0; i < 5; ++i) bytes += Command({"GET", std::to_string(i)});
  peer_->Deliver(bytes + "*2\r\n$3\r\nGET");
  client_->Finish();
  EXPECT_FALSE(peer_->reading);
  for (size_t i = 0; i < 5; ++i) {
    ASSERT_GT(to_.size(), i);
    EXPECT_FALSE(client_->closing());
    client_->Answer(to_[i].sequence, kNil);
    ResumeIfPaused();
    EXPECT_FALSE(peer_->reading);
  }
  EXPECT_EQ(requests_.size(), 5u);
  EXPECT_EQ(peer_->TakeWritten(), kNil + kNil + kNil + kNil + kNil);
  EXPECT_TRUE(peer_->close_after_flush);
}

TEST_F(ClientTest, WhatIsAnsweredAtOnceIsAllAnsweredAtTheEnd) {
  Accept();
  holding_ = true;
  peer_->Deliver(Command({"PING"}) + Command({"PING"}) + Command({"PING"}));
  client_->Finish();
  EXPECT_FALSE(client_->closing());
  holding_ = false;
  ResumeIfPaused();
  EXPECT_EQ(peer_->TakeWritten(), "+PONG\r\n+PONG\r\n+PONG\r\n");
  EXPECT_TRUE(peer_->close_after_flush);
}

TEST_F(ClientTest, ABlockedClientIsNotWaitedForAtTheEnd) {
  Accept();
  peer_->Deliver(Command({"BLPOP", "k", "0"}));
  client_->Finish();
  EXPECT_TRUE(peer_->close_after_flush);
}

TEST_F(ClientTest, I9StoppedWhileThereIsNoMemoryAndReadAgain) {
  Accept();
  Get("a");
  holding_ = true;
  client_->StopReading();
  client_->StopReading();
  EXPECT_FALSE(peer_->reading);
  EXPECT_TRUE(paused_);
  client_->Answer(to_[0].sequence, kNil);
  holding_ = false;
  ResumeIfPaused();
  EXPECT_TRUE(peer_->reading);
  Get("b");
  EXPECT_THAT(requests_, ElementsAre("GET a", "GET b"));
}

TEST_F(ClientTest, ABlockedClientIsStoppedTooAndNoticedAgain) {
  Accept();
  peer_->Deliver(Command({"BLPOP", "k", "0"}));
  holding_ = true;
  client_->StopReading();
  EXPECT_FALSE(peer_->reading);
  holding_ = false;
  ResumeIfPaused();
  EXPECT_TRUE(peer_->reading);
}

}  // namespace
}  // namespace crossfade
