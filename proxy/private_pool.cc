#include "proxy/private_pool.h"

#include <string>
#include <utility>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

PrivatePool::PrivatePool(Io* io, const Config* config, const Lane* lane, const Logins* logins)
    : io_(io), config_(config), lane_(lane), logins_(logins) {}

absl::StatusOr<std::unique_ptr<PrivateConnection>> PrivatePool::Make(const PrivateConnection::State& state) {
  size_t& live = live_[static_cast<int>(state.side)];
  if (live >= static_cast<size_t>(config_->limits.private_connections)) {
    ++refused_;
    return absl::ResourceExhaustedError("limits.private_connections is reached");
  }
  return std::make_unique<PrivateConnection>(io_, config_->backend(state.side).address, config_->timeouts.connect_ms,
                                             state, &live, account_);
}

absl::StatusOr<std::unique_ptr<PrivateConnection>> PrivatePool::TakeBare(Side side) {
  return Make({.side = side});
}

absl::StatusOr<std::unique_ptr<PrivateConnection>> PrivatePool::Take(const PrivateConnection::State& state) {
  for (auto idle = idle_.begin(); idle != idle_.end();) {
    if ((*idle)->broken()) {
      idle = idle_.erase(idle);
      continue;
    }
    if ((*idle)->state().side == state.side && (*idle)->state().login == state.login) {
      std::unique_ptr<PrivateConnection> connection = std::move(*idle);
      idle_.erase(idle);
      connection->Switch(state.db, state.protocol);
      return connection;
    }
    ++idle;
  }
  auto made = Make({.side = state.side, .login = state.login});
  if (!made.ok()) return made;
  const Logins::Login* login = logins_->Find(state.login);
  const BackendConfig& backend = config_->backend(state.side);
  const std::string_view user = login != nullptr ? std::string_view(login->user) : backend.user;
  const std::string_view password = login != nullptr ? std::string_view(login->password) : backend.password;
  if (!password.empty()) {
    std::string auth;
    if (user.empty()) {
      AppendCommand(&auth, {"AUTH", password});
    } else {
      AppendCommand(&auth, {"AUTH", user, password});
    }
    PrivateConnection* connection = made->get();
    connection->Call(auth, 1, 0, [connection](const PrivateConnection::Replies& replies) {
      // Nothing may run by the rights of whoever one is without logging in.
      if (replies.ok() && IsErrorReply(replies->front())) connection->Cut(absl::UnauthenticatedError("login refused"));
    });
  }
  if (!name_.empty()) {
    std::string named;
    AppendCommand(&named, {"CLIENT", "SETNAME", name_});
    AppendCommand(&named, {"CLIENT", "ID"});
    PrivateConnection* connection = made->get();
    connection->Call(named, 2, 0, [connection](const PrivateConnection::Replies& replies) {
      // Some services, and some users, may not.
      if (replies.ok()) connection->set_server_id(IntegerReply((*replies)[1]).value_or(0));
    });
  }
  (*made)->Switch(state.db, lane_->link(state.side).info().resp3 ? state.protocol : 2);
  return made;
}

void PrivatePool::GiveBack(std::unique_ptr<PrivateConnection> connection) {
  if (connection->broken() || idle_.size() >= kMaxIdle) return;
  connection->set_on_frame(nullptr);
  connection->set_on_broken(nullptr);
  idle_.push_back(std::move(connection));
}

}  // namespace crossfade
