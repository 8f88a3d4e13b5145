// Makes private connections, counts them (limits.private_connections), and keeps a few that have become clean again for
// the next WATCH. Owned by Proxy.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "conf/config.h"
#include "proxy/lane.h"
#include "proxy/logins.h"
#include "proxy/private_connection.h"

namespace crossfade {

class PrivatePool {
 public:
  // All must outlive this object, and this object what it hands out.
  PrivatePool(Io* io, const Config* config, const Lane* lane, const Logins* logins);

  // What its connections are called at the stores.
  void set_name(std::string name) { name_ = std::move(name); }

  // A connection in this state: an idle one, or a new one that logs in by itself. ResourceExhausted beyond the limit.
  absl::StatusOr<std::unique_ptr<PrivateConnection>> Take(const PrivateConnection::State& state);
  // A new one that has not logged in.
  absl::StatusOr<std::unique_ptr<PrivateConnection>> TakeBare(Side side);
  // Nothing is left on it: no watch, no subscription.
  void GiveBack(std::unique_ptr<PrivateConnection> connection);
  // A side is lost, or no longer the primary.
  void DropIdle() { idle_.clear(); }

  // Of one store.
  size_t live(Side side) const { return live_[static_cast<int>(side)]; }
  uint64_t refused() const { return refused_; }

 private:
  absl::StatusOr<std::unique_ptr<PrivateConnection>> Make(const PrivateConnection::State& state);

  static constexpr size_t kMaxIdle = 64;

  Io* io_;
  const Config* config_;
  const Lane* lane_;
  const Logins* logins_;
  size_t live_[2] = {0, 0};
  uint64_t refused_ = 0;
  std::string name_;
  std::deque<std::unique_ptr<PrivateConnection>> idle_;
};

}  // namespace crossfade
