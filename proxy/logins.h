// The users that clients have logged in as, other than the one that the lane itself uses: their credentials, so that
// the lane's connections can be put under their rights, and which stores know them. The server enforces its own ACL:
// nothing here decides what a user may do. Passwords are kept in memory only, and never shown. Owned by Proxy.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "routing/session.h"

namespace crossfade {

class Logins {
 public:
  struct Login {
    std::string user, password;
    bool known[2] = {false, false};  // by Side: did this store let it in?
  };

  // Remembers a login that at least one store has accepted. One that is here already keeps its id. 0 when there are too
  // many (each stands for a password that a store has accepted).
  LoginId Add(std::string_view user, std::string_view password, bool old_knows, bool new_knows) {
    for (size_t i = 0; i < logins_.size(); ++i) {
      Login& login = logins_[i];
      if (login.user != user || login.password != password) continue;
      login.known[0] = old_knows;
      login.known[1] = new_knows;
      return static_cast<LoginId>(i + 1);
    }
    if (logins_.size() >= kMaxLogins) return 0;
    logins_.push_back({std::string(user), std::string(password), {old_knows, new_knows}});
    return static_cast<LoginId>(logins_.size());
  }

  // REQUIRES: an id that Add gave, or 0 (nullptr).
  const Login* Find(LoginId id) const { return id == 0 ? nullptr : &logins_[id - 1]; }
  bool Known(LoginId id, Side side) const { return id == 0 || logins_[id - 1].known[static_cast<int>(side)]; }
  // The store has refused what it accepted before: the user is gone, or has another password.
  void Refused(LoginId id, Side side) { logins_[id - 1].known[static_cast<int>(side)] = false; }

 private:
  static constexpr size_t kMaxLogins = 10'000;
  std::vector<Login> logins_;
};

}  // namespace crossfade
