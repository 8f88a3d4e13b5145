// One connection to one store for one purpose of one client: a WATCH, a subscription, MONITOR, WAIT. It connects, logs
// in as that client's user, and speaks that client's protocol; it never reconnects, since the state that it was made
// for died with it. What the lane could carry never goes here: its order is not the lane's.
//
// Replies belong to calls, in order; pushes, and whatever comes while no call is waiting, go to the owner's `on_frame`.
// Callbacks may destroy the connection. PrivatePool makes them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "conf/config.h"
#include "protocol/input_buffer.h"
#include "protocol/resp_parser.h"
#include "proxy/io.h"
#include "proxy/memory_account.h"
#include "routing/session.h"

namespace crossfade {

class PrivateConnection : private Stream::Listener {
 public:
  using Replies = absl::StatusOr<std::vector<std::string>>;
  using Done = std::function<void(const Replies&)>;

  // What a connection is, as far as its next user must know.
  struct State {
    Side side = Side::kOld;
    LoginId login = 0;
    int protocol = 2;
    int db = 0;
  };

  // `live` counts the connections there are, `account` (if any) what they hold. All must outlive this object.
  PrivateConnection(Io* io, const Address& address, int64_t connect_ms, State state, size_t* live,
                    MemoryAccount* account = nullptr);
  ~PrivateConnection() override;

  const State& state() const { return state_; }
  bool broken() const { return broken_; }
  // What the server calls it (CLIENT ID); 0 while that isn't known.
  int64_t server_id() const { return server_id_; }
  void set_server_id(int64_t id) { server_id_ = id; }

  // Sends commands which have so many replies; `done` gets them all, or why they won't come. A timeout of 0 is none.
  // What is sent before the connection is up waits for it.
  void Call(std::string_view commands, int replies, int64_t timeout_ms, Done done);
  // Sends commands whose answers come as frames.
  void Send(std::string_view commands);
  // Puts it into this database and protocol if it isn't there.
  void Switch(int db, int protocol);

  // Ends it, as if the store had.
  void Cut(const absl::Status& why) { Break(why); }

  // One reply or push, valid during the call.
  void set_on_frame(std::function<void(std::string_view frame)> on_frame) { on_frame_ = std::move(on_frame); }
  // The connection is over, after every call has been told. Not called by the destructor.
  void set_on_broken(std::function<void(const absl::Status& why)> on_broken) { on_broken_ = std::move(on_broken); }
  // Bytes that wait to be sent.
  size_t unsent_bytes() const { return waiting_.size() + (stream_ == nullptr ? 0 : stream_->unsent_bytes()); }

 private:
  struct Pending {
    int left = 0;
    int64_t deadline_us = 0;  // 0: none
    std::vector<std::string> replies;
    Done done;
  };

  void OnRead(std::string_view bytes) override;
  void OnClosed(const absl::Status& why) override;
  void OnDrained() override { NoteHeld(); }
  void NoteHeld() { share_.Set(unsent_bytes() + input_.size() + reply_bytes_); }
  void OnFrame(std::string_view frame);
  void Break(const absl::Status& why);
  void CheckDeadlines();

  static constexpr int64_t kDeadlineStepMs = 100;

  Io* io_;
  State state_;
  size_t* live_;
  std::unique_ptr<Io::Connecting> connecting_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Timer> timer_;
  bool timer_on_ = false;
  ReplyParser parser_;
  InputBuffer input_;
  std::string waiting_;  // until it is connected
  std::deque<Pending> calls_;
  std::function<void(std::string_view)> on_frame_;
  std::function<void(const absl::Status&)> on_broken_;
  int64_t server_id_ = 0;
  bool broken_ = false;
  bool* destroyed_ = nullptr;  // told when a callback destroys us
  size_t reply_bytes_ = 0;     // of the call whose replies are coming
  MemoryShare share_;
};

}  // namespace crossfade
