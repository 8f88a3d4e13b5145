// A store behind FakeIo that keeps no data: it takes connections, reads commands (each must be well formed), and
// answers what is due when the target says so: as a server would by the command's name, or with any bytes. MULTI and
// EXEC count, and a subscription's frames come as they do from a server, so that its answers stay in step with what was
// asked.
//
// The target owns it, and chooses; nothing happens by itself. The FakeIo must outlive it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/proxy/fake_io.h"

namespace crossfade {

class ToyStore {
 public:
  ToyStore(FakeIo* io, uint16_t port) : io_(io), port_(port) {}

  // What it says of itself, from its next handshake on.
  bool resp3 = true;
  int version = 0;          // which of a few versions and products
  uint64_t generation = 1;  // its run_id
  bool loading = false, replica = false, empty = true;

  // Is shown every command as it comes, if set.
  std::function<void(const std::vector<std::string>& command)> on_command;

  // Takes every connection that waits, or refuses them.
  void TakeConnections(bool accept);
  // Ends one of the connections (modulo their number), or all.
  void Close(size_t index);
  void CloseAll();

  // Takes in what was sent, on all connections; how many commands wait for an answer.
  size_t Receive();
  // The next answer on the connection `index` (modulo those that wait), chosen by `choice` among what a server might
  // say; choice 0 is the usual one. False when no answer is due.
  bool Answer(size_t index, uint8_t choice);
  // … with any bytes, which may be no answer at all, half of one, or many.
  bool AnswerWith(size_t index, std::string_view bytes);
  // Bytes that nobody has asked for.
  void Say(size_t index, std::string_view bytes);
  // Everything that is due, in the usual way.
  void AnswerAll();

  // What Answer(index) would answer; empty when nothing is due.
  std::vector<std::string> NextCommand(size_t index);

  size_t connections() const { return connections_.size(); }
  size_t commands() const { return commands_; }

 private:
  struct Connection {
    FakePeerPtr peer;
    std::string bytes;  // not yet a whole command
    std::deque<std::vector<std::string>> due;
    bool in_multi = false;
    size_t subscriptions = 0;
    std::vector<std::vector<std::string>> queued;
    bool protocol3 = false;
  };

  void Forget();
  Connection* Due(size_t index);
  std::string Reply(Connection* connection, const std::vector<std::string>& command, uint8_t choice);
  std::string Handshake(const std::vector<std::string>& command, Connection* connection);
  std::string Subscribed(Connection* connection, const std::vector<std::string>& command);
  std::string Info() const;

  FakeIo* const io_;
  const uint16_t port_;
  std::vector<std::unique_ptr<Connection>> connections_;
  size_t commands_ = 0;
  int64_t last_id_ = 0;
};

}  // namespace crossfade
