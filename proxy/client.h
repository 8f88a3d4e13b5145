// One application's connection: bytes in, requests to the lane, replies out in the order of the requests, however the
// answers come. Owned by Proxy; dies only in Proxy's sweep of finished clients, never inside its own callback.
//
// Bounded: a client with too many commands in flight, or too much output unread, is not read from until that has
// passed. So what it can make the proxy hold is its limits and one command of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "conf/config.h"
#include "protocol/input_buffer.h"
#include "protocol/resp_parser.h"
#include "protocol/ring.h"
#include "proxy/io.h"
#include "proxy/slot.h"
#include "routing/plan.h"
#include "routing/session.h"

namespace crossfade {

class Client : private Stream::Listener {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // A decided request that needs the stores. `request` is valid during the call.
    virtual void OnRequest(Client* client, const Plan& plan, RequestView request, ReplyTo to) = 0;
    // May this client's next request be taken, or are requests held (a flip is draining)?
    virtual bool Holding() const = 0;
    // It has requests waiting that it could not take: call Resume soon, outside of this call.
    virtual void OnPaused(Client* client) = 0;
    // The connection is over. The client may be destroyed soon, outside of this call.
    virtual void OnGone(Client* client) = 0;
  };

  // All must outlive the client.
  Client(uint64_t id, std::unique_ptr<Stream> stream, const LimitsConfig* limits, const ServiceFacts* facts,
         Owner* owner);
  ~Client() override;

  uint64_t id() const { return session_.id(); }
  Session& session() { return session_; }

  // The answer to request number `sequence`; ignored when that has been answered already.
  void Answer(uint64_t sequence, std::string_view reply);
  // What has been answered in order still leaves; then the connection closes.
  void CloseAfterReplies();
  // One error, and the end.
  void Refuse(std::string_view error);
  // Goes on where it paused.
  void Resume();

  bool closing() const { return closing_; }
  int64_t closing_since_ms() const { return closing_since_ms_; }
  void set_closing_since_ms(int64_t ms) { closing_since_ms_ = ms; }

 private:
  struct PendingReply {
    bool answered = false;
    std::string bytes;  // while earlier ones are missing
  };

  void OnRead(std::string_view bytes) override;
  void OnClosed(const absl::Status& why) override;
  void OnDrained() override;

  static constexpr size_t kInFlightBytes = 4 << 20;      // of replies that may be on their way to one client
  static constexpr size_t kFirstReplyBytes = 256 << 10;  // how large they are taken to be at first

  bool MayTake() const;
  void NoteReplySize(size_t bytes);
  void Process(std::string_view fresh);
  void Handle(RequestView request);
  void Pause();
  void FlushAnswered();

  std::unique_ptr<Stream> stream_;
  const LimitsConfig* limits_;
  Owner* owner_;
  Session session_;
  RequestParser parser_;
  InputBuffer input_;
  Ring<PendingReply> replies_{1};
  size_t reply_bytes_ = kFirstReplyBytes;  // how large replies have been lately, the large ones remembered longer
  std::string scratch_;                    // a local answer
  bool paused_ = false;
  bool close_after_replies_ = false;  // QUIT: everything asked before is answered first
  bool closing_ = false;
  int64_t closing_since_ms_ = 0;
};

}  // namespace crossfade
