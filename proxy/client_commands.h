// CLIENT LIST, INFO, KILL, PAUSE, UNPAUSE, UNBLOCK: what a server answers from all of its clients, here from the
// proxy's, since those are the ones that applications know. Owned by Proxy, whose clients it reads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "proxy/client.h"
#include "proxy/io.h"
#include "proxy/waiting_room.h"

namespace crossfade {

class ClientCommands {
 public:
  using Clients = absl::flat_hash_map<uint64_t, std::unique_ptr<Client>>;

  // All must outlive this object. `kill` ends a client, `unpaused` is called when a pause is over.
  ClientCommands(Io* io, const Clients* clients, WaitingRoom* room, std::string listen_address,
                 std::function<void(Client*)> kill, std::function<void()> unpaused);

  // Appends the reply. False when the asker itself is to be disconnected after it. REQUIRES: a row with
  // Route::kService.
  bool Answer(Client* asker, const CommandRow& row, RequestView request, std::string* reply);

  // CLIENT PAUSE: must this wait until it is over?
  bool Pauses(const Client& client, const CommandRow* row, RequestView request) const;
  bool paused() const { return pause_ != Pause::kNone; }

 private:
  enum class Pause : uint8_t { kNone, kWrites, kAll };

  std::string Line(const Client& client) const;
  void List(RequestView request, std::string* reply) const;
  bool Kill(Client* asker, RequestView request, std::string* reply);
  bool KillByFilters(Client* asker, RequestView request, std::string* reply);
  void StartPause(RequestView request, std::string* reply);
  void Unblock(RequestView request, std::string* reply);
  void EndPause();
  static std::string_view TypeOf(const Client& client);

  Io* io_;
  const Clients* clients_;
  WaitingRoom* room_;
  std::string listen_address_;
  std::function<void(Client*)> kill_;
  std::function<void()> unpaused_;
  std::unique_ptr<Timer> pause_timer_;
  Pause pause_ = Pause::kNone;
  int64_t pause_until_us_ = 0;
};

}  // namespace crossfade
