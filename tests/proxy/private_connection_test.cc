#include "proxy/private_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/private_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kPingCommand = "*1\r\n$4\r\nPING\r\n";

class PrivateConnectionTest : public testing::Test {
 protected:
  void Make() {
    connection_ = std::make_unique<PrivateConnection>(&io_, Address{"s", 1}, 100, PrivateConnection::State(), &live_);
    connection_->set_on_frame([this](std::string_view frame) { frames_.emplace_back(frame); });
    connection_->set_on_broken([this](const absl::Status& why) { broken_.emplace_back(why.message()); });
  }
  void Connect() {
    Make();
    peer_ = {io_.NextConnect()->Succeed(), {}};
  }
  PrivateConnection::Done Note() {
    return [this](const PrivateConnection::Replies& replies) {
      std::string text = replies.ok() ? "" : "failed: " + std::string(replies.status().message());
      for (size_t i = 0; replies.ok() && i < replies->size(); ++i) text += (*replies)[i];
      done_.push_back(text);
    };
  }

  FakeIo io_;
  size_t live_ = 0;
  PrivatePeer peer_;
  std::vector<std::string> frames_, broken_, done_;
  std::unique_ptr<PrivateConnection> connection_;
};

TEST_F(PrivateConnectionTest, WhatIsSentBeforeItIsUpWaits) {
  Make();
  EXPECT_EQ(live_, 1u);
  connection_->Call(kPingCommand, 1, 0, Note());
  connection_->Send(kPingCommand);
  EXPECT_EQ(connection_->unsent_bytes(), 2 * kPingCommand.size());
  peer_ = {io_.NextConnect()->Succeed(), {}};
  EXPECT_THAT(peer_.Sent(), ElementsAre("PING", "PING"));
  EXPECT_EQ(connection_->unsent_bytes(), 0u);
  connection_.reset();
  EXPECT_EQ(live_, 0u);
  EXPECT_THAT(done_, IsEmpty());
}

TEST_F(PrivateConnectionTest, RepliesBelongToCallsInOrder) {
  Connect();
  connection_->Call(kPingCommand + kPingCommand, 2, 0, Note());
  connection_->Call(kPingCommand, 1, 0, Note());
  peer_.peer->DeliverByteByByte("+1\r\n:2\r\n$1\r\n3\r\n");
  EXPECT_THAT(done_, ElementsAre("+1\r\n:2\r\n", "$1\r\n3\r\n"));
  EXPECT_THAT(frames_, IsEmpty());
}

TEST_F(PrivateConnectionTest, PushesAndTheUnaskedAreFrames) {
  Connect();
  connection_->Call(kPingCommand, 1, 0, Note());
  peer_.Deliver(">1\r\n+a\r\n+PONG\r\n+unasked\r\n");
  EXPECT_THAT(frames_, ElementsAre(">1\r\n+a\r\n", "+unasked\r\n"));
  EXPECT_THAT(done_, ElementsAre("+PONG\r\n"));
}

TEST_F(PrivateConnectionTest, EveryCallHearsOfTheEnd) {
  Connect();
  connection_->Call(kPingCommand, 1, 0, Note());
  connection_->Call(kPingCommand, 1, 0, Note());
  peer_.Close();
  EXPECT_THAT(done_, ElementsAre(HasSubstr("failed: "), HasSubstr("failed: ")));
  EXPECT_EQ(broken_.size(), 1u);
  EXPECT_TRUE(connection_->broken());
  connection_->Call(kPingCommand, 1, 0, Note());
  EXPECT_EQ(done_.size(), 3u);
  connection_->Send(kPingCommand);
  connection_->Cut(absl::AbortedError("again"));
  EXPECT_EQ(broken_.size(), 1u);
}

TEST_F(PrivateConnectionTest, ConnectsThatFail) {
  Make();
  connection_->Call(kPingCommand, 1, 0, Note());
  io_.NextConnect()->Fail(absl::UnavailableError("refused"));
  EXPECT_THAT(done_, ElementsAre("failed: refused"));
  Make();
  connection_->Call(kPingCommand, 1, 0, Note());
  io_.clock()->Advance(100);
  EXPECT_THAT(done_.back(), HasSubstr("timed out"));
}

TEST_F(PrivateConnectionTest, Deadlines) {
  Connect();
  connection_->Call(kPingCommand, 1, 300, Note());
  connection_->Call(kPingCommand, 1, 0, Note());
  io_.clock()->Advance(299);
  EXPECT_THAT(done_, IsEmpty());
  io_.clock()->Advance(100);
  EXPECT_EQ(done_.size(), 2u);  // what stands behind a lost reply is lost too
  EXPECT_THAT(broken_, ElementsAre("no reply in time"));
  EXPECT_TRUE(peer_.gone());
}

TEST_F(PrivateConnectionTest, AnAnswerInTimeEndsTheDeadline) {
  Connect();
  connection_->Call(kPingCommand, 1, 300, Note());
  peer_.Deliver("+PONG\r\n");
  io_.clock()->Advance(10'000);
  EXPECT_FALSE(connection_->broken());
}

TEST_F(PrivateConnectionTest, GarbageEndsIt) {
  Connect();
  connection_->Call(kPingCommand, 1, 0, Note());
  peer_.Deliver("+PONG\r\n?what\r\n");
  EXPECT_TRUE(connection_->broken());
  EXPECT_THAT(done_, ElementsAre("+PONG\r\n"));
}

TEST_F(PrivateConnectionTest, SwitchesOnlyWhatDiffers) {
  Connect();
  connection_->Switch(0, 2);
  EXPECT_THAT(peer_.Sent(), IsEmpty());
  connection_->Switch(3, 3);
  EXPECT_THAT(peer_.Sent(), ElementsAre("HELLO 3", "SELECT 3"));
  connection_->Switch(3, 3);
  EXPECT_THAT(peer_.Sent(), IsEmpty());
  connection_->Call(kPingCommand, 1, 0, Note());
  peer_.Deliver("%0\r\n+OK\r\n+PONG\r\n");
  EXPECT_THAT(done_, ElementsAre("+PONG\r\n"));
  EXPECT_EQ(connection_->state().db, 3);
}

// In another database, what stands behind would do harm.
TEST_F(PrivateConnectionTest, ARefusedSwitchEndsIt) {
  Connect();
  connection_->Switch(3, 2);
  connection_->Call(kPingCommand, 1, 0, Note());
  peer_.Deliver("-ERR DB index is out of range\r\n+PONG\r\n");
  EXPECT_TRUE(connection_->broken());
  EXPECT_THAT(done_, ElementsAre(HasSubstr("refused")));
}

TEST_F(PrivateConnectionTest, CallbacksMayDestroyIt) {
  Connect();
  connection_->Call(kPingCommand, 1, 0, [this](const PrivateConnection::Replies&) { connection_.reset(); });
  peer_.Deliver("+PONG\r\n+more\r\n");
  EXPECT_EQ(live_, 0u);
  Connect();
  connection_->set_on_frame([this](std::string_view) { connection_.reset(); });
  peer_.Deliver("+a\r\n+b\r\n");
  EXPECT_EQ(live_, 0u);
  Connect();
  connection_->set_on_broken([this](const absl::Status&) { connection_.reset(); });
  peer_.Close();
  EXPECT_EQ(live_, 0u);
}

// A reply's callback cuts the connection, and the cut's callback destroys it.
TEST_F(PrivateConnectionTest, DestroyedWhileItIsCutInsideARead) {
  Connect();
  connection_->Call(kPingCommand, 1, 0,
                    [this](const PrivateConnection::Replies&) { connection_->Cut(absl::AbortedError("cut")); });
  connection_->Call(kPingCommand, 1, 0, [this](const PrivateConnection::Replies& replies) {
    EXPECT_FALSE(replies.ok());
    connection_.reset();
  });
  peer_.Deliver("+1\r\n+2\r\n");
  EXPECT_EQ(live_, 0u);
  EXPECT_THAT(broken_, IsEmpty());  // nobody is told by something that is gone
}

}  // namespace
}  // namespace crossfade
