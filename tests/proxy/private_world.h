// A lane between two scripted stores, and beside it a pool of private connections whose other ends are the test's: what
// the tests of watches, feeds and errands stand on.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/logins.h"
#include "proxy/private_pool.h"
#include "proxy/watches.h"
#include "tests/proxy/lane_world.h"

namespace crossfade {

// The test's end of one private connection.
struct PrivatePeer {
  FakePeerPtr peer;
  std::string bytes;

  // Commands since the last look.
  std::vector<std::string> Sent() {
    bytes += peer->TakeWritten();
    return TakeCommands(&bytes);
  }
  void Deliver(std::string_view reply) { peer->Deliver(reply); }
  void Close() { peer->CloseByPeer(); }
  bool gone() const { return peer->destroyed; }
};

class PrivateWorld : public testing::Test {
 protected:
  void SetUp() override {
    w.old_store.resp3 = w.new_store.resp3 = true;
    w.old_store.databases = w.new_store.databases = 16;
    w.Start();
    w.lane->set_logins(&logins_);
    pool_ = std::make_unique<PrivatePool>(&w.io, &w.config, w.lane.get(), &logins_);
  }

  // The next connection that the pool makes to a store; the lane's own are up.
  PrivatePeer Accept(uint16_t port = kOldPort) {
    const FakeConnectPtr connect = w.io.NextConnect(port);
    if (connect == nullptr) {
      ADD_FAILURE() << "nobody connects to " << port;
      return {};
    }
    return {connect->Succeed(), {}};
  }
  static Watches::Asker AskerOf(uint64_t client, uint64_t sequence = 1, int db = 0, int protocol = 2,
                                LoginId login = 0) {
    return {{client, sequence}, db, protocol, login};
  }
  size_t live(Side side = Side::kOld) const { return pool_->live(side); }

  LaneWorld w;
  Logins logins_;
  std::unique_ptr<PrivatePool> pool_;
};

}  // namespace crossfade
