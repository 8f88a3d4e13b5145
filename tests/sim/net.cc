#include "tests/sim/net.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace crossfade::sim {

class SimStream : public Stream {
 public:
  SimStream(Net* net, Wire* wire, int end) : net_(net), wire_(wire), end_(end) { wire->ends[end].stream = this; }
  ~SimStream() override {
    if (wire_ != nullptr) net_->Gone(wire_, end_);
  }

  void SetListener(Listener* listener) override { me().listener = listener; }
  void Write(std::string_view bytes) override { net_->Write(wire_, end_, bytes); }
  size_t unsent_bytes() const override { return wire_->ends[end_].out.size(); }
  void SetReading(bool reading) override {
    if (!std::exchange(me().reading, reading) && reading) {
      net_->loop_->After(0, [net = net_, id = wire_->id, end = end_] {
        if (Wire* wire = net->Find(id)) net->Deliver(wire, end);
      });
    }
  }
  void CloseAfterFlush() override {
    me().flushing = true;
    me().reading = false;
    net_->FlushSoon(wire_, end_);
  }
  std::string peer() const override { return wire_->peer_name; }

  void Forget() { wire_ = nullptr; }

 private:
  Wire::End& me() { return wire_->ends[end_]; }

  Net* const net_;
  Wire* wire_;
  const int end_;
};

Net::~Net() {
  for (auto& [id, wire] : wires_) {
    for (Wire::End& end : wire->ends) {
      if (end.stream != nullptr) end.stream->Forget();
    }
  }
}

Wire* Net::Find(uint64_t id) {
  const auto found = wires_.find(id);
  return found == wires_.end() ? nullptr : found->second.get();
}

void Net::Write(Wire* wire, int end, std::string_view bytes) {
  Wire::End& me = wire->ends[end];
  if (me.told || me.lost || bytes.empty()) return;
  me.out.append(bytes);
  me.unsent_at_write = me.out.size();
  FlushSoon(wire, end);
}

// At the end of this turn.
void Net::FlushSoon(Wire* wire, int end) {
  if (std::exchange(wire->ends[end].flush_due, true)) return;
  loop_->After(0, [this, id = wire->id, end] {
    Wire* found = Find(id);
    if (found == nullptr) return;
    found->ends[end].flush_due = false;
    Flush(found, end);
  });
}

void Net::Flush(Wire* wire, int end) {
  Wire::End& me = wire->ends[end];
  if (me.stream == nullptr || me.told) return;
  const size_t taken = me.flying_bytes + wire->ends[1 - end].inbox.size();
  const size_t size = taken >= wire->window ? 0 : std::min(wire->window - taken, me.out.size());
  if (size > 0) {
    std::string_view bytes = std::string_view(me.out).substr(0, size);
    while (!bytes.empty()) {
      const bool split = bytes.size() > 1 && wire->chance.Percent(manners_[wire->port].split_percent);
      const size_t piece = split ? 1 + wire->chance.Below(bytes.size() - 1) : bytes.size();
      Fly(wire, end, bytes.substr(0, piece), false);
      bytes.remove_prefix(piece);
    }
    me.out.erase(0, size);
  }
  if (me.flushing && me.out.empty()) {
    Fly(wire, end, {}, true);
    return End(wire, end, absl::OkStatus());
  }
  if (me.out.size() < me.unsent_at_write) {
    me.unsent_at_write = me.out.size();
    if (me.listener != nullptr) me.listener->OnDrained();
  }
}

void Net::Fly(Wire* wire, int end, std::string_view bytes, bool last) {
  Wire::End& me = wire->ends[end];
  if (me.lost) return;
  const Manners& manners = manners_[wire->port];
  const int64_t slow_us = end == 1 ? manners.slow_us : 0;
  const int64_t at_us = loop_->now_us() + wire->chance.Range(manners.min_us, manners.max_us) + slow_us;
  me.last_at_us = std::max(me.last_at_us, at_us);
  me.flying.push_back({me.last_at_us, std::string(bytes), last});
  me.flying_bytes += bytes.size();
  loop_->At(me.last_at_us, [this, id = wire->id, end] {
    if (Wire* found = Find(id)) Arrive(found, end);
  });
}

// What `end` sent, as far as it is due.
void Net::Arrive(Wire* wire, int end) {
  Wire::End& from = wire->ends[end];
  Wire::End& to = wire->ends[1 - end];
  if (from.stalled) return;
  bool any = false;
  while (!from.flying.empty() && from.flying.front().at_us <= loop_->now_us()) {
    Wire::End::Chunk& chunk = from.flying.front();
    to.inbox.append(chunk.bytes);
    from.flying_bytes -= chunk.bytes.size();
    if (chunk.last && !to.over) {
      to.over = true;
      to.end_status = absl::OutOfRangeError("closed by the peer");
    }
    from.flying.pop_front();
    any = true;
  }
  if (any) Deliver(wire, 1 - end);
}

// Hands `end` what has arrived.
void Net::Deliver(Wire* wire, int end) {
  const uint64_t id = wire->id;
  Wire::End& me = wire->ends[end];
  if (me.stream == nullptr) {
    me.inbox.clear();
    return ForgetIfOver(id);
  }
  if (me.told || !me.reading || me.listener == nullptr) return;
  if (!me.inbox.empty()) {
    const std::string bytes = std::exchange(me.inbox, std::string());
    me.listener->OnRead(bytes);
    if ((wire = Find(id)) == nullptr) return;
    if (wire->ends[1 - end].stream != nullptr) Flush(wire, 1 - end);  // there is room again
    if ((wire = Find(id)) == nullptr) return;
  }
  Wire::End& again = wire->ends[end];
  if (again.stream != nullptr && again.reading && again.over && again.inbox.empty()) End(wire, end, again.end_status);
}

void Net::End(Wire* wire, int end, const absl::Status& why) {
  Wire::End& me = wire->ends[end];
  if (std::exchange(me.told, true)) return;
  me.out.clear();
  me.reading = false;
  if (me.listener != nullptr) me.listener->OnClosed(why);  // may destroy the stream
}

// The stream of this end was destroyed: what the network has taken is still on its way.
void Net::Gone(Wire* wire, int end) {
  Wire::End& me = wire->ends[end];
  me.stream = nullptr;
  me.listener = nullptr;
  me.inbox.clear();
  me.out.clear();
  const Manners& manners = manners_[wire->port];
  if (!me.told && !me.lost) {
    if (manners.late_percent > 0 && wire->chance.Percent(manners.late_percent)) {
      me.last_at_us = std::max(me.last_at_us, loop_->now_us() + wire->chance.Range(0, manners.late_us));
      for (auto& chunk : me.flying) chunk.at_us = me.last_at_us;
    }
    Fly(wire, end, {}, true);
  }
  wire->ends[1 - end].lost = true;
  wire->ends[1 - end].flying.clear();
  wire->ends[1 - end].flying_bytes = 0;
  loop_->After(0, [this, id = wire->id] { ForgetIfOver(id); });
}

void Net::ForgetIfOver(uint64_t id) {
  const Wire* wire = Find(id);
  if (wire != nullptr && wire->ends[0].stream == nullptr && wire->ends[1].stream == nullptr) wires_.erase(id);
}

// --- Connecting ------------------------------------------------------------------------------------------------------

class Net::Handle : public Io::Connecting {
 public:
  Handle(Net* net, uint16_t port, int64_t timeout_ms, Io::ConnectCallback done)
      : net_(net), port_(port), done_(std::move(done)) {
    const Manners& manners = net->manners_[port];
    timer_ = net->loop_->MakeTimer([this] { Finish(); });
    silent_ = manners.silent;
    timer_->Start(silent_ ? timeout_ms : static_cast<int64_t>(net->chance_.Below(2)), 0);
  }

 private:
  void Finish() {
    const auto listener = net_->listeners_.find(port_);
    const auto done = std::move(done_);
    if (silent_) return done(absl::DeadlineExceededError("connect timed out"));
    if (listener == net_->listeners_.end() || net_->manners_[port_].refuse) {
      return done(absl::UnavailableError("connection refused"));
    }
    auto made = std::make_unique<Wire>(++net_->last_wire_, net_->seed_);
    Wire* wire = made.get();
    wire->port = port_;
    wire->peer_name = "192.0.2.1:" + std::to_string(10'000 + wire->id);
    net_->wires_[wire->id] = std::move(made);
    auto near = std::make_unique<SimStream>(net_, wire, 0);
    listener->second(std::make_unique<SimStream>(net_, wire, 1));
    done(std::move(near));  // the handle may be gone afterwards
  }

  Net* const net_;
  const uint16_t port_;
  Io::ConnectCallback done_;
  std::unique_ptr<Timer> timer_;
  bool silent_ = false;
};

std::unique_ptr<Io::Connecting> Net::Connect(uint16_t port, int64_t timeout_ms, Io::ConnectCallback done) {
  return std::make_unique<Handle>(this, port, timeout_ms, std::move(done));
}

// --- Faults ----------------------------------------------------------------------------------------------------------

bool Net::Open(const std::string& peer_name) const {
  return std::any_of(wires_.begin(), wires_.end(),
                     [&](const auto& entry) { return entry.second->peer_name == peer_name; });
}

std::vector<Wire*> Net::WiresTo(uint16_t port, int nth) {
  std::vector<Wire*> all;
  for (auto& [id, wire] : wires_) {
    if (wire->port == port) all.push_back(wire.get());
  }
  if (nth >= 0 && !all.empty()) all = {all[static_cast<size_t>(nth) % all.size()]};
  return all;
}

void Net::Cut(uint16_t port, int nth, int half, int64_t notice_us) {
  for (Wire* wire : WiresTo(port, nth)) {
    for (int end : {0, 1}) {
      Wire::End& me = wire->ends[end];
      if (half == 1 - end) {
        Fly(wire, end, {}, true);  // what it has sent arrives, and then the end
      } else {
        me.flying.clear();
        me.flying_bytes = 0;
      }
      me.lost = true;
      me.stalled = false;
      me.out.clear();
      if (half == end) continue;
      loop_->After(wire->chance.Range(0, notice_us), [this, id = wire->id, end] {
        Wire* found = Find(id);
        if (found == nullptr) return;
        Wire::End& hears = found->ends[end];
        if (!std::exchange(hears.over, true)) hears.end_status = absl::UnavailableError("connection reset by peer");
        Deliver(found, end);
      });
    }
  }
}

void Net::Stall(uint16_t port, int nth, int direction, bool stalled) {
  for (Wire* wire : WiresTo(port, nth)) {
    for (int end : {0, 1}) {
      if (direction >= 0 && direction != end) continue;
      wire->ends[end].stalled = stalled;
      if (stalled) continue;
      loop_->After(wire->chance.Range(0, 1000), [this, id = wire->id, end] {
        if (Wire* found = Find(id)) Arrive(found, end);
      });
    }
  }
}

void Net::StallAll(uint16_t port, bool stalled) {
  Stall(port, -1, -1, stalled);
}

// --- SimIo -----------------------------------------------------------------------------------------------------------

namespace {
class SimListening : public Listening {
 public:
  SimListening(Net* net, Address address) : net_(net), address_(std::move(address)) {}
  ~SimListening() override { net_->StopListening(address_.port); }
  Address address() const override { return address_; }

 private:
  Net* const net_;
  const Address address_;
};
}  // namespace

absl::StatusOr<std::unique_ptr<Listening>> SimIo::Listen(const Address& address, AcceptCallback accept) {
  net_->Listen(address.port, std::move(accept));
  return std::unique_ptr<Listening>(std::make_unique<SimListening>(net_, address));
}

}  // namespace crossfade::sim
