#include "proxy/private_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/private_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PrivatePoolTest : public PrivateWorld {
 protected:
  std::unique_ptr<PrivateConnection> Take(PrivateConnection::State state) {
    auto taken = pool_->Take(state);
    EXPECT_TRUE(taken.ok()) << taken.status();
    return taken.ok() ? std::move(*taken) : nullptr;
  }
};

TEST_F(PrivatePoolTest, ANewOneLogsInAndSwitches) {
  w.config.backends[0].user = "proxy";
  w.config.backends[0].password = "secret";
  const auto connection = Take({.side = Side::kOld, .protocol = 3, .db = 4});
  EXPECT_THAT(Accept().Sent(), ElementsAre("AUTH proxy secret", "HELLO 3", "SELECT 4"));
  const auto other = Take({.side = Side::kNew});
  EXPECT_THAT(Accept(kNewPort).Sent(), IsEmpty());
  EXPECT_EQ(live(Side::kOld), 1u);
  EXPECT_EQ(live(Side::kNew), 1u);
}

TEST_F(PrivatePoolTest, UnderTheClientsUser) {
  w.config.backends[0].password = "secret";
  const LoginId bob = logins_.Add("bob", "b", true, true);
  const auto connection = Take({.side = Side::kOld, .login = bob});
  EXPECT_THAT(Accept().Sent(), ElementsAre("AUTH bob b"));
  const auto own = Take({.side = Side::kOld});
  EXPECT_THAT(Accept().Sent(), ElementsAre("AUTH secret"));
}

// Nothing may run by the rights of whoever one is without logging in.
TEST_F(PrivatePoolTest, ARefusedLoginEndsIt) {
  const LoginId bob = logins_.Add("bob", "b", true, true);
  const auto connection = Take({.side = Side::kOld, .login = bob});
  PrivatePeer peer = Accept();
  bool failed = false;
  connection->Call("*1\r\n$4\r\nPING\r\n", 1, 0, [&](const PrivateConnection::Replies& r) { failed = !r.ok(); });
  peer.Deliver("-WRONGPASS no\r\n+PONG\r\n");
  EXPECT_TRUE(failed);
  EXPECT_TRUE(connection->broken());
}

TEST_F(PrivatePoolTest, ABareOneSaysNothing) {
  w.config.backends[0].password = "secret";
  auto bare = pool_->TakeBare(Side::kOld);
  ASSERT_TRUE(bare.ok());
  EXPECT_THAT(Accept().Sent(), IsEmpty());
}

TEST_F(PrivatePoolTest, GivenBackAndTakenAgain) {
  auto connection = Take({.side = Side::kOld, .protocol = 2, .db = 4});
  PrivatePeer peer = Accept();
  peer.Sent();
  int frames = 0;
  connection->set_on_frame([&](std::string_view) { ++frames; });
  pool_->GiveBack(std::move(connection));
  peer.Deliver("+OK\r\n+unasked\r\n");
  EXPECT_EQ(frames, 0);
  connection = Take({.side = Side::kOld, .protocol = 3, .db = 0});
  EXPECT_THAT(peer.Sent(), ElementsAre("HELLO 3", "SELECT 0"));
  EXPECT_EQ(live(), 1u);
}

TEST_F(PrivatePoolTest, AnotherSideOrUserIsAnother) {
  const LoginId bob = logins_.Add("bob", "b", true, true);
  pool_->GiveBack(Take({.side = Side::kOld, .login = bob}));
  Accept();
  const auto own = Take({.side = Side::kOld});
  const auto other_side = Take({.side = Side::kNew, .login = bob});
  EXPECT_EQ(live(Side::kOld), 2u);
  EXPECT_EQ(live(Side::kNew), 1u);
}

TEST_F(PrivatePoolTest, BrokenOnesAreNotHandedOut) {
  pool_->GiveBack(Take({.side = Side::kOld}));
  Accept().Close();
  const auto connection = Take({.side = Side::kOld});
  EXPECT_FALSE(connection->broken());
  EXPECT_EQ(live(), 1u);
  auto broken = Take({.side = Side::kOld});
  broken->Cut(absl::AbortedError("x"));
  pool_->GiveBack(std::move(broken));
  EXPECT_EQ(live(), 1u);
}

TEST_F(PrivatePoolTest, IsBoundedPerStore) {
  w.config.limits.private_connections = 2;
  std::vector<std::unique_ptr<PrivateConnection>> taken;
  for (int i = 0; i < 2; ++i) taken.push_back(Take({.side = Side::kOld}));
  const auto refused = pool_->Take({.side = Side::kOld});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("limits.private_connections"));
  EXPECT_FALSE(pool_->TakeBare(Side::kOld).ok());
  EXPECT_EQ(pool_->refused(), 2u);
  taken.push_back(Take({.side = Side::kNew}));
  taken.erase(taken.begin());
  taken.push_back(Take({.side = Side::kOld}));
}

TEST_F(PrivatePoolTest, DropIdle) {
  pool_->GiveBack(Take({.side = Side::kOld}));
  PrivatePeer peer = Accept();
  pool_->DropIdle();
  EXPECT_TRUE(peer.gone());
  EXPECT_EQ(live(), 0u);
}

TEST_F(PrivatePoolTest, KeepsOnlyAFew) {
  std::vector<std::unique_ptr<PrivateConnection>> taken;
  for (int i = 0; i < 80; ++i) taken.push_back(Take({.side = Side::kOld}));
  for (auto& connection : taken) pool_->GiveBack(std::move(connection));
  EXPECT_EQ(live(), 64u);
}

TEST(Logins, RemembersEachOnce) {
  Logins logins;
  EXPECT_EQ(logins.Find(0), nullptr);
  EXPECT_TRUE(logins.Known(0, Side::kNew));
  const LoginId bob = logins.Add("bob", "b", true, false);
  EXPECT_NE(bob, 0u);
  EXPECT_NE(logins.Add("bob", "other", true, true), bob);  // another password: another login
  EXPECT_TRUE(logins.Known(bob, Side::kOld));
  EXPECT_FALSE(logins.Known(bob, Side::kNew));
  EXPECT_EQ(logins.Add("bob", "b", true, true), bob);
  EXPECT_TRUE(logins.Known(bob, Side::kNew));
  EXPECT_EQ(logins.Find(bob)->user, "bob");
  logins.Refused(bob, Side::kOld);
  EXPECT_FALSE(logins.Known(bob, Side::kOld));
  EXPECT_TRUE(logins.Known(bob, Side::kNew));
}

TEST(Logins, AreBounded) {
  Logins logins;
  for (int i = 0; i < 10'000; ++i) ASSERT_NE(logins.Add("u" + std::to_string(i), "p", true, true), 0u);
  EXPECT_EQ(logins.Add("one more", "p", true, true), 0u);
  EXPECT_EQ(logins.Add("u7", "p", true, true), 8u);
}

}  // namespace
}  // namespace crossfade
