#include "proxy/errands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/private_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ErrandsTest : public PrivateWorld {
 protected:
  void SetUp() override {
    PrivateWorld::SetUp();
    errands_ = std::make_unique<Errands>(&w.config, w.lane.get(), pool_.get());
  }
  void Run(const Errands::Asker& asker, std::initializer_list<std::string_view> args = {"WAIT", "1", "0"}) {
    const Request request = MakeRequest(args);
    errands_->Run(asker, request.view().bytes(), [this](std::string_view reply) { replies_.emplace_back(reply); });
  }
  // Verdicts as text: "ok", "away: …", or the refusal.
  void CheckLogin() {
    errands_->CheckLogin("bob", "b", [this](const Errands::Verdict(&verdicts)[2]) {
      for (const Errands::Verdict& verdict : verdicts) {
        verdicts_.push_back(verdict.accepted() ? "ok" : (verdict.reached ? "" : "away: ") + verdict.refusal);
      }
    });
  }

  std::unique_ptr<Errands> errands_;
  std::vector<std::string> replies_, verdicts_;
};

TEST_F(ErrandsTest, OneCommandOnAConnectionOfItsOwn) {
  Run(AskerOf(1, 1, 2, 3));
  PrivatePeer peer = Accept();
  EXPECT_THAT(peer.Sent(), ElementsAre("HELLO 3", "SELECT 2", "PING", "WAIT 1 0"));
  EXPECT_THAT(w.old_store.Sent(), IsEmpty());  // the lane isn't held up
  peer.Deliver("%0\r\n" + kOk + "+PONG\r\n");
  EXPECT_THAT(replies_, IsEmpty());
  peer.Deliver(":1\r\n");
  EXPECT_THAT(replies_, ElementsAre(":1\r\n"));
  Run(AskerOf(2, 1, 2, 3));
  EXPECT_THAT(peer.Sent(), ElementsAre("PING", "WAIT 1 0"));  // used again
}

TEST_F(ErrandsTest, ItMayTakeAnyTime) {
  Run(AskerOf(1));
  PrivatePeer peer = Accept();
  w.Advance(1'000'000);
  peer.Deliver("+PONG\r\n:0\r\n");
  EXPECT_THAT(replies_, ElementsAre(":0\r\n"));
}

// SHUTDOWN, or a store that goes: whether it was carried out is unknown.
TEST_F(ErrandsTest, NoAnswer) {
  Run(AskerOf(1));
  PrivatePeer peer = Accept();
  peer.Deliver("+PONG\r\n");
  peer.Close();
  EXPECT_THAT(replies_, ElementsAre(""));
  EXPECT_EQ(live(), 0u);
}

TEST_F(ErrandsTest, TheClientIsGone) {
  Run(AskerOf(1));
  PrivatePeer peer = Accept();
  errands_->End(1);
  EXPECT_TRUE(peer.gone());
  EXPECT_THAT(replies_, IsEmpty());
}

TEST_F(ErrandsTest, TooManyPrivateConnections) {
  w.config.limits.private_connections = 0;
  Run(AskerOf(1));
  EXPECT_THAT(replies_, ElementsAre(HasSubstr("-ERR crossfade: limits.private_connections")));
}

TEST_F(ErrandsTest, BothStoresJudgeALogin) {
  w.config.backends[0].password = "secret";
  CheckLogin();
  PrivatePeer from_old = Accept(kOldPort), from_new = Accept(kNewPort);
  EXPECT_THAT(from_old.Sent(), ElementsAre("AUTH bob b"));  // and nothing before it
  EXPECT_THAT(from_new.Sent(), ElementsAre("AUTH bob b"));
  from_new.Deliver("-WRONGPASS no\r\n");
  EXPECT_THAT(verdicts_, IsEmpty());
  from_old.Deliver(kOk);
  EXPECT_THAT(verdicts_, ElementsAre("ok", "WRONGPASS no"));
  EXPECT_TRUE(from_old.gone() && from_new.gone());  // they are somebody else's now
  EXPECT_EQ(live(Side::kOld) + live(Side::kNew), 0u);
}

TEST_F(ErrandsTest, AStoreThatIsAwayIsNotAsked) {
  w.new_store.Close();
  CheckLogin();
  Accept(kOldPort).Deliver(kOk);
  EXPECT_THAT(verdicts_, ElementsAre("ok", HasSubstr("away: ")));
}

TEST_F(ErrandsTest, AStoreThatDoesNotAnswer) {
  CheckLogin();
  Accept(kOldPort).Deliver(kOk);
  PrivatePeer silent = Accept(kNewPort);
  w.Advance(w.config.timeouts.connect_ms + 200);
  EXPECT_THAT(verdicts_, ElementsAre("ok", HasSubstr("away: ")));
  EXPECT_EQ(live(Side::kNew), 0u);
}

}  // namespace
}  // namespace crossfade
