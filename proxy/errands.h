// Single commands that must not hold up the lane, or that the lane's connection would answer wrongly: WAIT, SCRIPT KILL
// while a script holds up everything else, administrators' commands, and the question whether a store lets a user in.
// Each gets a connection of its own to one store, and is never repeated. Owned by Proxy.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "proxy/private_pool.h"
#include "proxy/watches.h"

namespace crossfade {

class Errands {
 public:
  using Asker = Watches::Asker;
  // A store's answer to a login: its error, or empty when it lets the user in. `reached`: it did answer.
  struct Verdict {
    bool reached = false;
    std::string refusal;
    bool accepted() const { return reached && refusal.empty(); }
  };

  // All must outlive this object.
  Errands(const Config* config, Lane* lane, PrivatePool* pool) : config_(config), lane_(lane), pool_(pool) {}

  // Runs one command on the primary. `done` gets the reply, an error reply, or nothing when the connection broke before
  // the answer came: whether it was carried out is unknown then. Not called once End has been.
  // A command that is about the writes before it (WAIT) is right here too: a server takes the offset that it waits for
  // from the connection's last command, and the one before it is a PING of ours (replication.c, waitCommand).
  void Run(const Asker& asker, std::string_view request, std::function<void(std::string_view reply)> done);
  // The client is gone.
  void End(uint64_t client) { running_.erase(client); }

  // Asks both stores whether they let this user in.
  void CheckLogin(std::string_view user, std::string_view password,
                  std::function<void(const Verdict (&verdicts)[2])> done);

 private:
  const Config* config_;
  Lane* lane_;
  PrivatePool* pool_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<PrivateConnection>> running_;  // by client
  absl::flat_hash_map<uint64_t, std::unique_ptr<PrivateConnection>> checks_;   // logins under way
  uint64_t last_check_ = 0;
};

}  // namespace crossfade
