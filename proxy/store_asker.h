// One conversation with one store, outside of the lane: logs in, asks, and has an answer to everything in a bounded
// time. For what needs no order with the clients' writes: the preflight, and the copying of functions and users.
//
// What always holds: `done` is called once for each Ask, with one reply per command. What the store didn't say is an
// error reply whose code is LOST, so that who asks has one kind of failure to think of; after the first such one the
// connection is gone and every later answer is LOST too. Speaks RESP2. Owned by who asks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/private_connection.h"
#include "routing/rebuild_commands.h"

namespace crossfade {

class StoreAsker {
 public:
  using Answers = std::vector<std::string>;
  using Done = std::function<void(const Answers&)>;

  // Connects. `io` and `backend` must outlive this object. `answer_ms`: how long one question may take.
  StoreAsker(Io* io, const BackendConfig& backend, int64_t connect_ms, int64_t answer_ms);

  // Sends AUTH if the URL has a password, and PING. `refusal` is the store's error when it doesn't let us in, empty
  // when it does. `reached` is false when nothing came, and `refusal` why. To be called before anything else.
  void LogIn(std::function<void(bool reached, std::string refusal)> done);
  // May call back inside. Callbacks may destroy this object.
  void Ask(const CommandBatch& batch, Done done);
  // Whatever is unanswered is LOST now, and so is all that follows.
  void Cut() { connection_.Cut(absl::DeadlineExceededError("no answer in time")); }

  bool broken() const { return connection_.broken(); }
  // By the proxy's wall clock, of the last question: when it left, and when its answers had come.
  int64_t sent_ms() const { return sent_ms_; }
  int64_t read_ms() const { return read_ms_; }

 private:
  Io* io_;
  const BackendConfig& backend_;
  int64_t answer_ms_;
  int64_t sent_ms_ = 0, read_ms_ = 0;
  size_t live_ = 0;
  PrivateConnection connection_;
};

// Is this what stands for an answer that never came?
inline bool IsLost(std::string_view reply) {
  return reply.starts_with("-LOST ");
}
// What an error reply says, without its '-' and its end of line; empty for other replies.
std::string ErrorText(std::string_view reply);

}  // namespace crossfade
