#include "proxy/upstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/fake_backend.h"

namespace crossfade {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class UpstreamTest : public testing::Test, public Upstream::Owner {
 protected:
  void Start() {
    backend_.address = {"store", 6379};
    upstream_ = std::make_unique<Upstream>(&io_, backend_, &timeouts_, static_cast<Upstream::Owner*>(this));
    upstream_->Start();
  }
  void OnUp() override { news_ += "up "; }
  void OnDown(const absl::Status&) override { news_ += "down "; }
  void OnUnreachable(const absl::Status&) override { news_ += "unreachable "; }
  void OnReply(std::string_view reply) override {
    replies_.emplace_back(reply);
    if (cut_at_reply_) upstream_->Cut(absl::AbortedError("enough"));
  }
  void Advance(int64_t ms) { io_.clock()->Advance(ms); }

  FakeIo io_;
  BackendConfig backend_;
  TimeoutsConfig timeouts_;
  FakeBackend store_{&io_, 6379};
  std::unique_ptr<Upstream> upstream_;
  std::string news_;
  std::vector<std::string> replies_;
  bool cut_at_reply_ = false;
};

TEST_F(UpstreamTest, TheHandshakeTellsWhoIsThere) {
  store_.resp3 = true;
  store_.databases = 4;
  store_.keys = 12;
  Start();
  EXPECT_STREQ(upstream_->StateWord(), "connecting");
  store_.Connect();
  EXPECT_THAT(store_.handshake,
              ElementsAre("HELLO 3", "INFO", "CONFIG GET databases", "CLIENT SETNAME crossfade", "CLIENT ID"));
  EXPECT_EQ(news_, "up ");
  EXPECT_STREQ(upstream_->StateWord(), "up");
  EXPECT_EQ(upstream_->info().run_id, store_.run_id);
  EXPECT_EQ(upstream_->info().databases, 4);
  EXPECT_EQ(upstream_->info().keys, 12);
  EXPECT_TRUE(upstream_->info().resp3);
  upstream_->Send("PING\r\n");
  store_.Reply("+PONG\r\n");
  EXPECT_THAT(replies_, ElementsAre("+PONG\r\n"));
}

TEST_F(UpstreamTest, ByteByByteAndPushesAreNotHandedOver) {
  Start();
  store_.Connect();
  store_.peer()->DeliverByteByByte(">2\r\n+a\r\n+b\r\n$3\r\nabc\r\n>1\r\n+x\r\n*1\r\n:1\r\n");
  EXPECT_THAT(replies_, ElementsAre("$3\r\nabc\r\n", "*1\r\n:1\r\n"));
}

TEST_F(UpstreamTest, LogsIn) {
  backend_.password = "secret";
  Start();
  store_.Connect();
  EXPECT_EQ(store_.handshake[0], "AUTH secret");
  backend_.user = "me";
  Start();
  store_.Connect();
  EXPECT_EQ(store_.handshake[0], "AUTH me secret");
}

TEST_F(UpstreamTest, ARefusedLoginSaysSo) {
  backend_.password = "secret";
  store_.auth_reply = "-WRONGPASS invalid\r\n";
  Start();
  store_.Connect();
  EXPECT_EQ(news_, "unreachable ");
  EXPECT_THAT(upstream_->last_error(), HasSubstr("login refused: WRONGPASS"));
  EXPECT_THAT(upstream_->last_error(), Not(HasSubstr("secret")));
  EXPECT_STREQ(upstream_->StateWord(), "down");
}

TEST_F(UpstreamTest, AMissingPasswordSaysWhatToDo) {
  store_.info_reply = "-NOAUTH Authentication required.\r\n";
  Start();
  store_.Connect();
  EXPECT_THAT(upstream_->last_error(), HasSubstr("put user:password@ into its URL"));
}

TEST_F(UpstreamTest, LoadingIsAStateOfItsOwn) {
  store_.info_reply = "-LOADING Redis is loading the dataset in memory\r\n";
  Start();
  store_.Connect();
  EXPECT_STREQ(upstream_->StateWord(), "loading");
  store_.info_reply = Bulk("redis_version:7.0.0\r\nloading:1\r\n");
  store_.Connect();
  EXPECT_STREQ(upstream_->StateWord(), "loading");
  store_.info_reply.clear();
  store_.Connect();
  EXPECT_STREQ(upstream_->StateWord(), "up");
  EXPECT_EQ(news_, "unreachable unreachable up ");
}

TEST_F(UpstreamTest, ThePreviousConnectionIsClosedByTheServer) {
  Start();
  store_.connection_id = 41;
  store_.Connect();
  store_.Close();
  EXPECT_EQ(news_, "up down ");
  store_.connection_id = 42;
  store_.Connect();
  EXPECT_EQ(store_.handshake.back(), "CLIENT KILL ID 41");
  store_.Close();
  store_.Connect();
  EXPECT_EQ(store_.handshake.back(), "CLIENT KILL ID 42");
}

// What a killed process of ours has left in the server's sockets must not be carried out after what we do now.
TEST_F(UpstreamTest, I8ConnectionsOfTheProcessBeforeAreEndedByName) {
  store_.client_list =
      "id=3 addr=1 name=crossfade-1f db=0\nid=5 addr=2 name=other db=0\nid=41 addr=3 name=crossfade-1f db=0\n"
      "id=6 addr=2 name=crossfade-1f0 db=0\nid=9 addr=4 name=crossfade-1f db=3\n";
  store_.connection_id = 41;
  backend_.address = {"store", 6379};
  upstream_ = std::make_unique<Upstream>(&io_, backend_, &timeouts_, static_cast<Upstream::Owner*>(this));
  upstream_->set_name("crossfade-1f", true);
  upstream_->Start();
  store_.Connect();
  EXPECT_THAT(store_.handshake, ElementsAre("HELLO 3", "INFO", "CONFIG GET databases", "CLIENT SETNAME crossfade-1f",
                                            "CLIENT ID", "CLIENT LIST", "CLIENT KILL ID 3", "CLIENT KILL ID 9"));
  EXPECT_EQ(news_, "up ");
  // Once: later ones of that name are this process's own.
  store_.Close();
  Advance(1000);
  store_.Connect();
  EXPECT_EQ(store_.handshake.back(), "CLIENT KILL ID 41");
}

TEST_F(UpstreamTest, WhereTheListIsDeniedItIsSaid) {
  store_.client_list = "";
  backend_.address = {"store", 6379};
  upstream_ = std::make_unique<Upstream>(&io_, backend_, &timeouts_, static_cast<Upstream::Owner*>(this));
  upstream_->set_name("crossfade-1f", true);
  upstream_->Start();
  store_.Connect();
  EXPECT_EQ(news_, "up ");
  EXPECT_NE(upstream_->info().kill_refused, "");
}

TEST_F(UpstreamTest, I9PausesDoubleUpToTheLimit) {
  timeouts_.reconnect_max_ms = 100;
  Start();
  Advance(0);
  for (const int64_t pause_ms : {20, 40, 80, 100, 100}) {
    store_.Refuse();
    Advance(pause_ms - 1);
    EXPECT_EQ(io_.NextConnect(), nullptr) << pause_ms;
    Advance(1);
    ASSERT_NE(io_.NextConnect(), nullptr) << pause_ms;
  }
  store_.Connect();
  store_.Close();
  Advance(20);  // it was well: the first pause again
  EXPECT_NE(io_.NextConnect(), nullptr);
}

TEST_F(UpstreamTest, ASilentServerIsGivenUp) {
  Start();
  ASSERT_TRUE(store_.TakeConnection());
  Advance(timeouts_.connect_ms - 1);
  EXPECT_FALSE(store_.hung_up());
  Advance(1);
  EXPECT_TRUE(store_.hung_up());
  EXPECT_THAT(upstream_->last_error(), HasSubstr("no answer to the handshake within 2000 ms"));
  store_.Connect();
  Advance(10 * timeouts_.connect_ms);  // no timer is left
  EXPECT_TRUE(upstream_->up());
}

TEST_F(UpstreamTest, AConnectThatHangsEndsByItself) {
  Start();
  Advance(timeouts_.connect_ms);
  EXPECT_EQ(news_, "unreachable ");
}

TEST_F(UpstreamTest, GarbageCutsIt) {
  Start();
  store_.TakeConnection();
  store_.peer()->Deliver("HTTP/1.1 400 Bad Request\r\n");
  EXPECT_EQ(news_, "unreachable ");
  store_.Connect();
  store_.peer()->Deliver("+fine\r\n?\r\n");
  EXPECT_THAT(replies_, ElementsAre("+fine\r\n"));
  EXPECT_EQ(news_, "unreachable up down ");
}

TEST_F(UpstreamTest, CutInsideAReplyDropsWhatCameWithIt) {
  Start();
  store_.Connect();
  cut_at_reply_ = true;
  store_.peer()->Deliver("+one\r\n+two\r\n+thr");
  EXPECT_THAT(replies_, ElementsAre("+one\r\n"));
  EXPECT_TRUE(store_.hung_up());
  cut_at_reply_ = false;
  store_.Connect();
  store_.peer()->Deliver("+ee\r\n");
  EXPECT_THAT(replies_, ElementsAre("+one\r\n", "+ee\r\n"));
}

TEST_F(UpstreamTest, DestroyedWhileConnecting) {
  Start();
  Advance(0);
  upstream_.reset();
  EXPECT_TRUE(io_.connects[0]->cancelled());
  EXPECT_EQ(io_.clock()->pending_timers(), 0u);
}

}  // namespace
}  // namespace crossfade
