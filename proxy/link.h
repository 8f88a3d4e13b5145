// One side of the lane: a backend's connection, which replies it still owes and to which slots, what state the
// connection is in (database, protocol), the backend's clock, and how fast it answers. Owned by the Lane.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "conf/config.h"
#include "protocol/ring.h"
#include "proxy/latency.h"
#include "proxy/logins.h"
#include "proxy/server_info.h"
#include "proxy/slot.h"
#include "proxy/upstream.h"

namespace crossfade {

// For commands whose replies nobody else sees: whatever the connection speaks just now.
inline constexpr int kAnyProtocol = 0;

// What a reply that is still to come is for.
struct Owed {
  enum class What : uint8_t {
    kMain,       // the command's own reply
    kCompanion,  // asked beside it
    kQueued,     // MULTI's +OK and the +QUEUED of a block
    kSwitch,     // SELECT or HELLO
    kLogin,      // AUTH as another user; no slot
    kClock,      // TIME; no slot
    kProbe,      // asked by AskAside; no slot
  };
  Slot* slot = nullptr;
  What what = What::kMain;
  LoginId login = 0;  // by whose rights it was sent
  int64_t sent_us = 0;
};

// Why a connection is cut whose replies don't belong to what was asked: how many were mistaken, nobody can say.
absl::Status OutOfStep();
inline bool IsOutOfStep(const absl::Status& why) {
  return absl::IsInternal(why);
}

class Link : private Upstream::Owner {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void OnLinkUp(Side side) = 0;
    // The replies that it owes never come: TakeOwed hands them out.
    virtual void OnLinkDown(Side side, const absl::Status& why) = 0;
    virtual void OnLinkUnreachable(Side side, const absl::Status& why) = 0;
    virtual void OnLinkReply(Side side, const Owed& owed, std::string_view reply) = 0;
    // The server doesn't know this user (any more). The connection is cut next: what stood behind the login may not
    // have been carried out, and nothing may be carried out by another user's rights.
    virtual void OnLoginRefused(Side side, LoginId login) = 0;
  };

  // All must outlive this object.
  Link(Io* io, Side side, const BackendConfig& backend, const TimeoutsConfig* timeouts, Owner* owner);

  // See Upstream::set_name. Before Start.
  void set_name(const std::string& name, bool end_namesakes) {
    name_ = name;
    upstream_.set_name(name, end_namesakes);
  }
  void Start() { upstream_.Start(); }
  Side side() const { return side_; }
  bool up() const { return upstream_.up(); }
  const Upstream& upstream() const { return upstream_; }
  const ServerInfo& info() const { return upstream_.info(); }
  void set_replica(bool replica) { upstream_.set_replica(replica); }

  // Whose credentials Switch may be asked for. Must outlive this object.
  void set_logins(const Logins* logins) { logins_ = logins; }

  void set_account(MemoryAccount* account) { upstream_.set_account(account); }

  // Puts the connection into this database and protocol, and under this user's rights, if it isn't there. A protocol
  // that the server doesn't know is left as it is. REQUIRES: up().
  void Switch(int db, int protocol, int64_t now_us, LoginId login = 0);
  // Sends bytes that are answered by replies which are announced, in order, by Owe. REQUIRES: up().
  void Write(std::string_view bytes) { upstream_.Send(bytes); }
  void Owe(Slot* slot, Owed::What what, int64_t now_us);
  // Commands that stand for no slot, by the proxy's own rights, wherever the connection is. REQUIRES: up().
  void AskAside(std::string_view commands, int replies, int64_t now_us);

  // May more be sent, or is the socket full?
  bool writable() const { return upstream_.unsent_bytes() < kMaxUnsentBytes; }
  bool idle() const { return owed_.empty(); }
  size_t owed() const { return owed_.size(); }
  // Microseconds since the oldest owed reply was asked for; 0 when none is owed.
  int64_t OldestOwedUs(int64_t now_us) const;

  // Hands out what was owed, oldest first, when the connection is gone. False when there is nothing left.
  bool TakeOwed(Owed* owed);

  // Every second: asks for the time, and cuts a connection that owes replies and has been silent for too long, or whose
  // bytes have made no whole reply for much longer: a length that was never meant swallows all that comes.
  void Tick(int64_t now_us, int64_t wall_ms);
  void Cut(const absl::Status& why) { upstream_.Cut(why); }

  const ClockReading& clock() const { return clock_; }
  // It has said what time it is, or that it won't.
  bool clock_known() const { return clock_.uncertainty_ms > 0; }
  LatencyWindow& latency() { return latency_; }
  const LatencyWindow& latency() const { return latency_; }
  // Of what clients asked for since the start, by what it was.
  const LatencyHistogram& latency_of(LatencyClass what) const { return latencies_[static_cast<size_t>(what)]; }
  int64_t last_read_us() const { return upstream_.last_read_us(); }
  // Replies to what clients asked, and how long these took together.
  uint64_t client_replies() const { return client_replies_; }
  int64_t client_replies_us() const { return client_replies_us_; }

 private:
  static constexpr size_t kMaxUnsentBytes = 1 << 20;
  static constexpr int64_t kWholeReplySpans = 10;  // times timeouts.response

  void OnUp() override;
  void OnDown(const absl::Status& why) override;
  void OnUnreachable(const absl::Status& why) override;
  void OnReply(std::string_view reply) override;
  void RecordByClass(const Owed& owed);

  Io* io_;
  Side side_;
  const TimeoutsConfig* timeouts_;
  Owner* owner_;
  Upstream upstream_;
  Ring<Owed> owed_{64};
  void SwitchLogin(LoginId login, int protocol, int64_t now_us, std::string* out);

  const Logins* logins_ = nullptr;
  const BackendConfig& backend_;
  std::string name_ = "crossfade";
  int db_ = 0;
  int protocol_ = 2;
  LoginId login_ = 0;
  ClockReading clock_;
  int64_t clock_asked_ms_ = 0;
  int64_t clock_read_us_ = 0;  // when the reading was taken that is believed
  int64_t last_reply_us_ = 0;
  LatencyWindow latency_;
  LatencyHistogram latencies_[2];  // by LatencyClass
  uint64_t client_replies_ = 0;
  int64_t client_replies_us_ = 0;
};

}  // namespace crossfade
