#include "proxy/client_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/waiting_world.h"

namespace crossfade {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class ClientCommandsTest : public WaitingWorld, public Client::Owner {
 protected:
  void SetUp() override {
    WaitingWorld::SetUp();
    listening_ = *w.io.Listen({"127.0.0.1", 6400}, [this](std::unique_ptr<Stream> stream) {
      const uint64_t id = ++last_id_;
      clients_.emplace(
          id, std::make_unique<Client>(id, std::move(stream), &limits_, &facts_, static_cast<Client::Owner*>(this)));
    });
    commands_ = std::make_unique<ClientCommands>(
        &w.io, &clients_, room_.get(), "127.0.0.1:6400",
        [this](Client* client) {
          killed_.push_back(client->id());
          client->CloseAfterReplies();
        },
        [this] { ++unpaused_; });
    for (int i = 0; i < 3; ++i) peers_.push_back(w.io.Dial(6400));
  }
  Client& client(uint64_t id) { return *clients_.at(id); }
  std::string Say(std::string_view text, uint64_t asker = 1) {
    std::vector<std::string_view> words;
    for (size_t from = 0, space = 0; space != std::string_view::npos; from = space + 1) {
      space = text.find(' ', from);
      words.push_back(text.substr(from, space == std::string_view::npos ? space : space - from));
    }
    const Request request = MakeRequest(words);
    const CommandRow* row = FindCommand(request.view());
    EXPECT_EQ(row->route, Route::kService) << text;
    std::string reply;
    stays_ = commands_->Answer(&client(asker), *row, request.view(), &reply);
    return reply;
  }
  bool Pauses(std::initializer_list<std::string_view> args) {
    const Request request = MakeRequest(args);
    return commands_->Pauses(client(2), FindCommand(request.view()), request.view());
  }
  void Queue(std::initializer_list<std::string_view> args) {
    const Request request = MakeRequest(args);
    std::string reply;
    MakePlan(request.view(), &client(2).session(), &reply);
  }

  void OnRequest(Client*, const Plan&, RequestView, ReplyTo) override {}
  bool Holding() const override { return false; }
  void OnQueued(Client* client, const Plan&, RequestView, ReplyTo to, const std::string& reply) override {
    client->Answer(to.sequence, reply);
  }
  bool MustWait(Client*, const CommandRow*, RequestView) override { return false; }
  void OnUnwatched(Client*) override {}
  void OnUnsubscribed(Client*) override {}
  std::string InfoSection() const override { return ""; }
  void OnPaused(Client*) override {}
  void OnGone(Client*) override {}

  LimitsConfig limits_;
  ServiceFacts facts_;
  uint64_t last_id_ = 0;
  ClientCommands::Clients clients_;
  std::unique_ptr<Listening> listening_;
  std::vector<FakePeerPtr> peers_;
  std::vector<uint64_t> killed_;
  int unpaused_ = 0;
  bool stays_ = true;
  std::unique_ptr<ClientCommands> commands_;
};

TEST_F(ClientCommandsTest, ListOfAll) {
  const std::string list = Say("CLIENT LIST");
  EXPECT_THAT(list, AllOf(StartsWith("$"), HasSubstr("\r\nid=1 addr=192.0.2.1:"), HasSubstr("\nid=2 "),
                          HasSubstr("\nid=3 "), HasSubstr(" laddr=127.0.0.1:6400 ")));
  EXPECT_LT(list.find("id=1 "), list.find("id=2 "));
  client(2).CloseAfterReplies();
  EXPECT_THAT(Say("CLIENT LIST"), Not(HasSubstr("\nid=2 ")));
}

TEST_F(ClientCommandsTest, ListOfSome) {
  client(2).session().set_subscriptions({.channels = 1});
  EXPECT_THAT(Say("CLIENT LIST TYPE pubsub"), AllOf(HasSubstr("id=2 "), Not(HasSubstr("id=1 "))));
  EXPECT_THAT(Say("CLIENT LIST TYPE normal"), AllOf(HasSubstr("id=1 "), Not(HasSubstr("id=2 "))));
  EXPECT_EQ(Say("CLIENT LIST TYPE replica"), "$0\r\n\r\n");
  EXPECT_EQ(Say("CLIENT LIST TYPE x"), "-ERR Unknown client type 'x'\r\n");
  EXPECT_THAT(Say("CLIENT LIST ID 3 99 1"), AllOf(HasSubstr("id=1 "), HasSubstr("id=3 "), Not(HasSubstr("id=2 "))));
  EXPECT_EQ(Say("CLIENT LIST ID x"), "-ERR Invalid client ID\r\n");
  EXPECT_EQ(Say("CLIENT LIST NONSENSE"), "-ERR syntax error\r\n");
}

TEST_F(ClientCommandsTest, InfoInBothProtocols) {
  EXPECT_THAT(Say("CLIENT INFO", 3), AllOf(StartsWith("$"), HasSubstr("id=3 "), Not(HasSubstr("id=1 "))));
  const Request hello = MakeRequest({"HELLO", "3"});
  std::string reply;
  MakePlan(hello.view(), &client(3).session(), &reply);
  EXPECT_THAT(Say("CLIENT INFO", 3), AllOf(StartsWith("="), HasSubstr("txt:id=3 "), HasSubstr(" resp=3 ")));
}

TEST_F(ClientCommandsTest, WhoBlocks) {
  Park(2, {"BLPOP", "k", "0"});
  EXPECT_THAT(Say("CLIENT LIST ID 2"), HasSubstr(" flags=b "));
  EXPECT_EQ(Say("CLIENT UNBLOCK 2"), ":1\r\n");
  EXPECT_EQ(answers_[2], kNilAnswer);
  EXPECT_EQ(Say("CLIENT UNBLOCK 2"), ":0\r\n");
  Park(3, {"BLPOP", "k", "0"});
  EXPECT_EQ(Say("CLIENT UNBLOCK 3 error"), ":1\r\n");
  EXPECT_THAT(answers_[3], StartsWith("-UNBLOCKED "));
  EXPECT_EQ(Say("CLIENT UNBLOCK 3 x"), "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n");
  EXPECT_EQ(Say("CLIENT UNBLOCK x"), "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(Say("CLIENT UNBLOCK -1"), ":0\r\n");
}

TEST_F(ClientCommandsTest, KillByAddress) {
  EXPECT_EQ(Say("CLIENT KILL " + client(2).session().address()), kOk);
  EXPECT_THAT(killed_, ElementsAre(2));
  EXPECT_EQ(Say("CLIENT KILL " + client(2).session().address()), "-ERR No such client\r\n");
  EXPECT_EQ(Say("CLIENT KILL 1.2.3.4:5"), "-ERR No such client\r\n");
  EXPECT_TRUE(stays_);
  EXPECT_EQ(Say("CLIENT KILL " + client(1).session().address()), kOk);
  EXPECT_FALSE(stays_);  // after its reply
  EXPECT_THAT(killed_, ElementsAre(2));
}

TEST_F(ClientCommandsTest, KillByFilters) {
  EXPECT_EQ(Say("CLIENT KILL ID 99"), ":0\r\n");
  EXPECT_EQ(Say("CLIENT KILL ID 1"), ":0\r\n");  // the asker is spared
  EXPECT_EQ(Say("CLIENT KILL USER bob"), ":0\r\n");
  EXPECT_EQ(Say("CLIENT KILL TYPE pubsub"), ":0\r\n");
  EXPECT_EQ(Say("CLIENT KILL LADDR 9.9.9.9:9"), ":0\r\n");
  EXPECT_EQ(Say("CLIENT KILL ID 2 ADDR 9.9.9.9:9"), ":0\r\n");
  EXPECT_THAT(killed_, IsEmpty());
  EXPECT_EQ(Say("CLIENT KILL ID 2 TYPE normal"), ":1\r\n");
  EXPECT_THAT(killed_, ElementsAre(2));
  EXPECT_EQ(Say("CLIENT KILL LADDR 127.0.0.1:6400 skipme no"), ":2\r\n");
  EXPECT_THAT(killed_, ElementsAre(2, 3));
  EXPECT_FALSE(stays_);
}

TEST_F(ClientCommandsTest, KillThatMakesNoSense) {
  EXPECT_EQ(Say("CLIENT KILL ID 0"), "-ERR client-id should be greater than 0\r\n");
  EXPECT_EQ(Say("CLIENT KILL ID x"), "-ERR client-id should be greater than 0\r\n");
  EXPECT_EQ(Say("CLIENT KILL TYPE x"), "-ERR Unknown client type 'x'\r\n");
  EXPECT_EQ(Say("CLIENT KILL SKIPME maybe"), "-ERR syntax error\r\n");
  EXPECT_EQ(Say("CLIENT KILL ID 2 USER"), "-ERR syntax error\r\n");
  EXPECT_EQ(Say("CLIENT KILL NONSENSE 1"), "-ERR syntax error\r\n");
  EXPECT_THAT(killed_, IsEmpty());
}

TEST_F(ClientCommandsTest, PauseOfEverything) {
  EXPECT_FALSE(Pauses({"GET", "k"}));
  EXPECT_EQ(Say("CLIENT PAUSE 100"), kOk);
  EXPECT_TRUE(commands_->paused());
  EXPECT_TRUE(Pauses({"GET", "k"}));
  w.Advance(99);
  EXPECT_TRUE(commands_->paused());
  EXPECT_EQ(unpaused_, 0);
  w.Advance(1);
  EXPECT_FALSE(commands_->paused());
  EXPECT_EQ(unpaused_, 1);
  EXPECT_FALSE(Pauses({"GET", "k"}));
}

TEST_F(ClientCommandsTest, PauseOfWrites) {
  EXPECT_EQ(Say("CLIENT PAUSE 1000 write"), kOk);
  EXPECT_FALSE(Pauses({"GET", "k"}));
  EXPECT_FALSE(Pauses({"PING"}));
  EXPECT_TRUE(Pauses({"SET", "k", "v"}));
  EXPECT_TRUE(Pauses({"BLPOP", "k", "0"}));
  EXPECT_TRUE(Pauses({"PUBLISH", "c", "m"}));
  EXPECT_TRUE(Pauses({"EVAL", "s", "0"}));
  Queue({"MULTI"});
  EXPECT_TRUE(Pauses({"SET", "k", "v"}));  // also where it would only be queued
  Queue({"GET", "k"});
  EXPECT_FALSE(Pauses({"EXEC"}));
  Queue({"SET", "k", "v"});
  EXPECT_TRUE(Pauses({"EXEC"}));
  EXPECT_EQ(Say("CLIENT UNPAUSE"), kOk);
  EXPECT_EQ(unpaused_, 1);
  EXPECT_FALSE(Pauses({"EXEC"}));
  EXPECT_EQ(Say("CLIENT UNPAUSE"), kOk);
  EXPECT_EQ(unpaused_, 1);
}

TEST_F(ClientCommandsTest, OfTwoPausesTheStricterAndTheLonger) {
  Say("CLIENT PAUSE 1000 ALL");
  Say("CLIENT PAUSE 10 WRITE");
  EXPECT_TRUE(Pauses({"GET", "k"}));
  w.Advance(999);
  EXPECT_TRUE(commands_->paused());
  w.Advance(1);
  EXPECT_FALSE(commands_->paused());
  Say("CLIENT PAUSE 10 WRITE");
  EXPECT_FALSE(Pauses({"GET", "k"}));
  Say("CLIENT PAUSE 20 ALL");
  EXPECT_TRUE(Pauses({"GET", "k"}));
}

TEST_F(ClientCommandsTest, PauseThatMakesNoSense) {
  EXPECT_EQ(Say("CLIENT PAUSE x"), "-ERR timeout is not an integer or out of range\r\n");
  EXPECT_EQ(Say("CLIENT PAUSE -1"), "-ERR timeout is negative\r\n");
  EXPECT_EQ(Say("CLIENT PAUSE 1 SOME"), "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n");
  EXPECT_EQ(Say("CLIENT PAUSE 1 ALL x"), "-ERR syntax error\r\n");
  EXPECT_FALSE(commands_->paused());
  EXPECT_EQ(Say("CLIENT PAUSE 9223372036854775807"), kOk);
  w.Advance(1000);
  EXPECT_TRUE(commands_->paused());
}

}  // namespace
}  // namespace crossfade
