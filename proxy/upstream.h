// One pipelined connection to one backend: connects, logs in, learns who is there, and is connected again, with a
// growing pause, whenever it breaks. Between OnUp and OnDown it carries bytes out and whole replies in; which reply
// belongs to what is its owner's business. Owned by a Link.
//
// Before a connection is declared up, the server has closed the one before it (CLIENT KILL): bytes of ours that still
// lay unread in the server's socket must not be carried out after what we send now. The same goes for the connections
// of an earlier process of this proxy, which are found by their name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "conf/config.h"
#include "protocol/input_buffer.h"
#include "protocol/resp_parser.h"
#include "proxy/io.h"
#include "proxy/memory_account.h"
#include "proxy/server_info.h"

namespace crossfade {

class Upstream : private Stream::Listener {
 public:
  enum class State : uint8_t { kWaiting, kConnecting, kHandshake, kUp };

  class Owner {
   public:
    virtual ~Owner() = default;
    // The connection is in database 0 and speaks RESP3 if info().resp3, RESP2 otherwise.
    virtual void OnUp() = 0;
    // It was up, and is not any more: replies still owed will never come.
    virtual void OnDown(const absl::Status& why) = 0;
    // An attempt to come up has failed; another follows by itself.
    virtual void OnUnreachable(const absl::Status& why) = 0;
    // One reply, valid during the call. Pushes are not handed over.
    virtual void OnReply(std::string_view reply) = 0;
  };

  // `io`, `timeouts` and `owner` must outlive this object.
  Upstream(Io* io, const BackendConfig& backend, const TimeoutsConfig* timeouts, Owner* owner);
  ~Upstream() override;

  // Where to say what is held. Must outlive this object.
  void set_account(MemoryAccount* account) { share_.Join(account, MemoryAccount::Holder::kStores); }
  // What the connection is called at the server. `end_namesakes`: a process before this one has used that name, and
  // what it has left there is ended before anything else is done.
  void set_name(std::string name, bool end_namesakes) {
    name_ = std::move(name);
    end_namesakes_ = end_namesakes;
  }

  void Start();
  State state() const { return state_; }
  bool up() const { return state_ == State::kUp; }
  // Of the last time it was up. `product` is empty before the first.
  const ServerInfo& info() const { return info_; }
  // It has become a replica, or a primary, since it was asked.
  void set_replica(bool replica) { info_.is_replica = replica; }
  const std::string& last_error() const { return last_error_; }
  const Address& address() const { return backend_.address; }
  // It answered, but is not ready: unreachable, with its own word.
  bool loading() const { return !up() && loading_; }
  const char* StateWord() const;

  // REQUIRES: up().
  void Send(std::string_view bytes);
  size_t unsent_bytes() const { return stream_ == nullptr ? 0 : stream_->unsent_bytes(); }
  // Microseconds of the clock at which the last byte came.
  int64_t last_read_us() const { return last_read_us_; }
  // Cuts the connection; OnDown follows inside the call. REQUIRES: up().
  void Cut(const absl::Status& why);

 private:
  enum class Step : uint8_t { kAuth, kHello, kInfo, kDatabases, kName, kId, kList, kKill };

  void OnRead(std::string_view bytes) override;
  void OnClosed(const absl::Status& why) override;
  void OnDrained() override { NoteHeld(); }

  void NoteHeld() { share_.Set(input_.size() + unsent_bytes()); }
  void Connect();
  void SendHandshake();
  void OnHandshakeReply(std::string_view reply);
  void EndNamesakes(std::string_view client_list);
  void Fail(const absl::Status& why);
  void Move(State to);

  Io* io_;
  BackendConfig backend_;
  const TimeoutsConfig* timeouts_;
  Owner* owner_;
  State state_ = State::kWaiting;
  std::unique_ptr<Io::Connecting> connecting_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Timer> timer_;  // until the next attempt, or until a handshake is given up
  ReplyParser parser_;
  InputBuffer input_;
  std::vector<Step> steps_;
  size_t step_ = 0;
  absl::Status handshake_error_;
  ServerInfo info_, greeting_;  // the last good one; the one being learnt
  std::string last_error_;
  std::string name_ = "crossfade";
  bool end_namesakes_ = false;
  int64_t pause_ms_ = 0;
  int64_t last_read_us_ = 0;
  bool loading_ = false;
  MemoryShare share_;
};

}  // namespace crossfade
