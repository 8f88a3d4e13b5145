// The simulated network: connections whose bytes take their time, come in any pieces, stall, and are cut. Both ends of
// a connection are Streams, the product's and the simulator's own. Within a direction bytes keep their order; between
// connections, and between directions, nothing is promised, as with TCP.
//
// What always holds: bytes that arrive are a prefix of those that were written. An end that goes (its Stream destroyed)
// leaves what it had handed to the network on its way: the peer may read and act on it for as long as the network keeps
// it, also long after the process that wrote it has died. Nothing here knows RESP. Owned by the run's World.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/io.h"
#include "tests/sim/chance.h"
#include "tests/sim/loop.h"

namespace crossfade::sim {

class SimStream;

// A connection. End 0 connected, end 1 accepted. Owned by the Net, which forgets it when both ends are gone.
struct Wire {
  struct End {
    SimStream* stream = nullptr;  // null: gone
    Stream::Listener* listener = nullptr;
    bool reading = false;
    bool told = false;      // OnClosed was called
    bool flushing = false;  // CloseAfterFlush was called
    bool flush_due = false;
    std::string out;  // written, not taken by the network
    size_t unsent_at_write = 0;
    std::string inbox;  // arrived, unread
    bool over = false;  // nothing comes any more: end_status is told once the inbox is empty
    absl::Status end_status;
    // On the way to the other end.
    struct Chunk {
      int64_t at_us;
      std::string bytes;
      bool last;  // the orderly end
    };
    std::deque<Chunk> flying;
    size_t flying_bytes = 0;
    int64_t last_at_us = 0;
    bool stalled = false;  // what flies stays where it is
    bool lost = false;     // what is written from now on arrives nowhere
  };

  Wire(uint64_t number, uint64_t seed) : id(number), chance(seed, number) {}

  const uint64_t id;
  uint16_t port = 0;      // that was connected to
  std::string peer_name;  // of the end that connected
  End ends[2];
  Chance chance;
  size_t window = 64 << 10;  // bytes that the network and the reader's side take before the writer must wait
};

class Net {
 public:
  // How connections behave from now on, by the port that they lead to.
  struct Manners {
    int64_t min_us = 20, max_us = 200;  // one way
    int split_percent = 10;             // of flushes that arrive in pieces
    bool refuse = false;
    bool silent = false;   // a connect is neither accepted nor refused
    int64_t slow_us = 0;   // added in the direction to the connecting end: a slow server
    int late_percent = 0;  // of connections whose bytes outlive their writer for long
    int64_t late_us = 0;
  };
  using Accept = std::function<void(std::unique_ptr<Stream>)>;

  Net(Loop* loop, uint64_t seed) : loop_(loop), seed_(seed), chance_(seed, 1) {}
  ~Net();

  void Listen(uint16_t port, Accept accept) { listeners_[port] = std::move(accept); }
  void StopListening(uint16_t port) { listeners_.erase(port); }
  Manners& manners(uint16_t port) { return manners_[port]; }

  // `done` comes later, once, unless the returned handle is destroyed.
  std::unique_ptr<Io::Connecting> Connect(uint16_t port, int64_t timeout_ms, Io::ConnectCallback done);

  // Faults. Each concerns the connections that lead to `port` now; `nth` chooses one of them (modulo), -1 all.
  // Cut: both ends hear of it, each when it likes. `half`: what flies to that end (0, 1) arrives first; -1: all is
  // lost.
  void Cut(uint16_t port, int nth, int half, int64_t notice_us);
  void Stall(uint16_t port, int nth, int direction, bool stalled);
  void StallAll(uint16_t port, bool stalled);
  size_t wires() const { return wires_.size(); }
  // Is any end left of the connection that one end calls so?
  bool Open(const std::string& peer_name) const;

 private:
  friend class SimStream;
  class Handle;

  Wire* Find(uint64_t id);
  void Write(Wire* wire, int end, std::string_view bytes);
  void FlushSoon(Wire* wire, int end);
  void Flush(Wire* wire, int end);
  void Fly(Wire* wire, int end, std::string_view bytes, bool last);
  void Arrive(Wire* wire, int end);
  void Deliver(Wire* wire, int end);
  void End(Wire* wire, int end, const absl::Status& why);
  void Gone(Wire* wire, int end);
  void ForgetIfOver(uint64_t id);
  std::vector<Wire*> WiresTo(uint16_t port, int nth);

  Loop* loop_;
  const uint64_t seed_;
  Chance chance_;
  uint64_t last_wire_ = 0;
  std::map<uint64_t, std::unique_ptr<Wire>> wires_;
  std::map<uint16_t, Accept> listeners_;
  std::map<uint16_t, Manners> manners_;
};

// The product's Io on a Net: its clock is the loop's, with a wall clock that can jump.
class SimIo : public Io, public Clock {
 public:
  SimIo(Loop* loop, Net* net) : loop_(loop), net_(net) {}

  Clock* clock() override { return this; }
  int64_t NowUs() const override { return loop_->now_us(); }
  int64_t WallMs() const override { return kEpochMs + loop_->now_us() / 1000 + wall_offset_ms; }
  std::unique_ptr<Timer> MakeTimer(std::function<void()> callback) override {
    return loop_->MakeTimer(std::move(callback));
  }
  std::unique_ptr<Connecting> Connect(const Address& address, int64_t timeout_ms, ConnectCallback done) override {
    return net_->Connect(address.port, timeout_ms, std::move(done));
  }
  absl::StatusOr<std::unique_ptr<Listening>> Listen(const Address& address, AcceptCallback accept) override;

  static constexpr int64_t kEpochMs = 1'700'000'000'000;
  int64_t wall_offset_ms = 0;

 private:
  Loop* loop_;
  Net* net_;
};

}  // namespace crossfade::sim
