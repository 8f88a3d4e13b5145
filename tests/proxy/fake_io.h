// A deterministic Io in memory, for unit tests: time moves only when the test says so, and the test is every peer.
//
//   FakeIo io;
//   auto connecting = io.Connect(address, 100, done);   // the code under test
//   auto peer = io.connects[0]->Succeed();              // the test: done gets a stream, `peer` is its other end
//   peer->Deliver("+OK\r\n");                           // Listener::OnRead
//   EXPECT_EQ(peer->TakeWritten(), "PING\r\n");         // what the code wrote
//   io.clock()->Advance(50);                            // runs the timers that become due, in order
//
// What always holds: nothing calls back but from inside a method of FakePeer, FakeConnect or FakeClock that the test
// calls, so the stack is the test's own. Streams, timers and connects may be destroyed inside any callback. Bytes are
// handed over in blocks of exactly their size, so that a sanitizer sees a read beyond them.
//
// FakePeer and FakeConnect are shared by the test and the code under test's stream or handle (the second owner), since
// either may go first. The FakeIo must outlive all of it. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/io.h"

namespace crossfade {

class FakePeer;
class FakeConnect;
using FakePeerPtr = std::shared_ptr<FakePeer>;        // owned by the test and the FakeStream
using FakeConnectPtr = std::shared_ptr<FakeConnect>;  // owned by the test, the FakeIo and the Connecting

class FakeClock : public Clock {
 public:
  int64_t NowUs() const override { return now_us_; }
  int64_t WallMs() const override { return wall_offset_ms_ + now_us_ / 1000; }
  std::unique_ptr<Timer> MakeTimer(std::function<void()> callback) override;

  // Time goes on by `ms`. Timers that become due run at their moment, earliest first, in the order of their Start
  // when at the same one; so do timers that those start. Advance(0) runs what is due now.
  void Advance(int64_t ms) { AdvanceUs(ms * 1000); }
  void AdvanceUs(int64_t us);
  // Sets the wall clock alone, as an administrator or NTP would.
  void SetWallMs(int64_t ms) { wall_offset_ms_ = ms - now_us_ / 1000; }

  // Timers that are started and have not run.
  size_t pending_timers() const { return due_.size(); }

 private:
  class FakeTimer;
  using When = std::pair<int64_t, uint64_t>;  // due microsecond, number of the Start

  int64_t now_us_ = 1'000'000;
  int64_t wall_offset_ms_ = 1'700'000'000'000;
  uint64_t last_start_ = 0;
  std::map<When, FakeTimer*> due_;
};

class FakeClock::FakeTimer : public Timer {
 public:
  FakeTimer(FakeClock* clock, std::function<void()> callback)
      : clock_(clock), callback_(new std::function<void()>(std::move(callback))) {}
  ~FakeTimer() override { Stop(); }

  void Start(int64_t delay_ms, int64_t repeat_ms) override {
    Stop();
    repeat_ms_ = repeat_ms;
    StartAt(clock_->now_us_ + delay_ms * 1000);
  }
  void Stop() override {
    if (started_) clock_->due_.erase(when_);
    started_ = false;
  }
  // This object may be gone afterwards.
  void Run() {
    const int64_t due_us = when_.first;
    Stop();
    if (repeat_ms_ > 0) StartAt(due_us + repeat_ms_ * 1000);
    auto callback = callback_;  // outlives this object if the callback destroys it
    (*callback)();
  }

 private:
  void StartAt(int64_t due_us) {
    when_ = {due_us, ++clock_->last_start_};
    clock_->due_[when_] = this;
    started_ = true;
  }

  FakeClock* const clock_;
  std::shared_ptr<std::function<void()>> callback_;  // the second owner is Run's stack
  int64_t repeat_ms_ = 0;
  bool started_ = false;
  When when_;
};

inline std::unique_ptr<Timer> FakeClock::MakeTimer(std::function<void()> callback) {
  return std::make_unique<FakeTimer>(this, std::move(callback));
}

inline void FakeClock::AdvanceUs(int64_t us) {
  const int64_t until_us = now_us_ + us;
  while (!due_.empty() && due_.begin()->first.first <= until_us) {
    now_us_ = std::max(now_us_, due_.begin()->first.first);
    due_.begin()->second->Run();
  }
  now_us_ = until_us;
}

// The test's end of a stream. Its public fields show what the code under test did to its own end, the FakeStream.
class FakePeer : public std::enable_shared_from_this<FakePeer> {
 public:
  std::string written;             // everything that Write was given, at once, stalled or not
  bool reading = false;            // SetReading
  bool close_after_flush = false;  // CloseAfterFlush was called
  bool open = true;                // the stream is neither destroyed nor has it been told OnClosed
  bool destroyed = false;          // the code under test has destroyed its stream
  bool stalled = false;            // set it, and what is written from then on counts as unsent until Drain
  std::string name = "fake:1";     // Stream::peer()

  // The peer sends bytes: one OnRead, when the code reads; otherwise they wait until it reads and Pump is called.
  void Deliver(std::string_view bytes) {
    inbox_.append(bytes);
    Pump();
  }
  // The same, a byte at a time.
  void DeliverByteByByte(std::string_view bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) Deliver(bytes.substr(i, 1));
  }
  // The connection ends after what was delivered before. Noticed only while the code reads (Stream::SetReading).
  void CloseByPeer(absl::Status why = absl::OutOfRangeError("closed by the peer")) {
    closing_ = true;
    close_status_ = std::move(why);
    Pump();
  }
  // The peer takes what is unsent: all of it, or `bytes`. OnDrained comes if that is less than before.
  void Drain(size_t bytes = SIZE_MAX) {
    auto self = shared_from_this();
    bytes = std::min(bytes, unsent_bytes_);
    unsent_bytes_ -= bytes;
    if (unsent_bytes_ == 0) stalled = false;
    if (bytes > 0 && open) listener_->OnDrained();
    Pump();
  }
  // One turn of the loop for this stream: what waits to be delivered, the peer's end, the end after a flush.
  void Pump();

  std::string TakeWritten() { return std::exchange(written, std::string()); }
  size_t unsent_bytes() const { return unsent_bytes_; }
  size_t undelivered_bytes() const { return inbox_.size(); }

 private:
  friend class FakeStream;

  // OnClosed is the last callback.
  void End(const absl::Status& why) {
    open = false;
    listener_->OnClosed(why);
  }

  Stream::Listener* listener_ = nullptr;
  std::string inbox_;
  size_t unsent_bytes_ = 0;
  bool closing_ = false;
  absl::Status close_status_;
};

// The end that the code under test owns.
class FakeStream : public Stream {
 public:
  explicit FakeStream(FakePeerPtr peer) : peer_(std::move(peer)) {}
  ~FakeStream() override {
    peer_->open = false;
    peer_->destroyed = true;
  }

  void SetListener(Listener* listener) override {
    Require(peer_->listener_ == nullptr, "SetListener is called once");
    peer_->listener_ = listener;
  }
  void Write(std::string_view bytes) override {
    Require(peer_->listener_ != nullptr, "SetListener comes first");
    Require(!peer_->close_after_flush, "no Write after CloseAfterFlush");
    if (!peer_->open) return;
    peer_->written.append(bytes);
    if (peer_->stalled) peer_->unsent_bytes_ += bytes.size();
  }
  size_t unsent_bytes() const override { return peer_->unsent_bytes_; }
  void SetReading(bool reading) override {
    Require(peer_->listener_ != nullptr, "SetListener comes first");
    peer_->reading = reading;
  }
  void CloseAfterFlush() override {
    peer_->close_after_flush = true;
    peer_->reading = false;
  }
  std::string peer() const override { return peer_->name; }

 private:
  static void Require(bool condition, const char* rule) {
    if (condition) return;
    std::cerr << "FakeStream: " << rule << std::endl;
    std::abort();
  }

  FakePeerPtr peer_;
};

inline void FakePeer::Pump() {
  auto self = shared_from_this();
  while (open && reading && !inbox_.empty()) {
    const std::string bytes = std::exchange(inbox_, std::string());
    auto block = std::make_unique<char[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), block.get());
    listener_->OnRead(std::string_view(block.get(), bytes.size()));
  }
  if (open && reading && closing_) End(close_status_);
  if (open && close_after_flush && unsent_bytes_ == 0) End(absl::OkStatus());
}

// A connect that the code under test began. The test ends it; time ends it with DeadlineExceeded. Owners:
// FakeConnectPtr.
class FakeConnect : public std::enable_shared_from_this<FakeConnect> {
 public:
  FakeConnect(Clock* clock, Address address, int64_t timeout_ms, Io::ConnectCallback done)
      : address(std::move(address)), timeout_ms(timeout_ms), done_(std::move(done)) {
    timer_ = clock->MakeTimer([this] { Fail(absl::DeadlineExceededError("connect timed out")); });
    timer_->Start(timeout_ms, 0);
  }

  const Address address;
  const int64_t timeout_ms;
  // Neither completed nor cancelled by destroying its handle.
  bool pending() const { return done_ != nullptr; }
  bool cancelled() const { return cancelled_; }

  // REQUIRES: pending(). Returns the test's end of the new stream.
  FakePeerPtr Succeed() {
    auto peer = std::make_shared<FakePeer>();
    peer->name = address.ToString();
    Finish(std::make_unique<FakeStream>(peer));
    return peer;
  }
  void Fail(absl::Status why) { Finish(std::move(why)); }

 private:
  friend class FakeIo;
  void Finish(absl::StatusOr<std::unique_ptr<Stream>> result) {
    auto self = shared_from_this();
    timer_->Stop();
    std::exchange(done_, nullptr)(std::move(result));
  }
  void Cancel() {
    cancelled_ = pending();
    done_ = nullptr;
    timer_->Stop();
  }

  Io::ConnectCallback done_;
  std::unique_ptr<Timer> timer_;
  bool cancelled_ = false;
};

class FakeIo : public Io {
 public:
  FakeClock* clock() override { return &clock_; }

  std::unique_ptr<Connecting> Connect(const Address& address, int64_t timeout_ms, ConnectCallback done) override {
    connects.push_back(std::make_shared<FakeConnect>(&clock_, address, timeout_ms, std::move(done)));
    return std::make_unique<Handle>(connects.back());
  }
  absl::StatusOr<std::unique_ptr<Listening>> Listen(const Address& address, AcceptCallback accept) override {
    if (!listen_error.ok()) return listen_error;
    auto listener = std::make_unique<Listener>(this, address, std::move(accept));
    listeners_.push_back(listener.get());
    return std::unique_ptr<Listening>(std::move(listener));
  }

  // Every connect begun so far, oldest first.
  std::vector<FakeConnectPtr> connects;
  // The oldest that is pending, to `port` unless that is 0; null if there is none.
  FakeConnectPtr NextConnect(uint16_t port = 0) const {
    for (const auto& connect : connects) {
      if (connect->pending() && (port == 0 || connect->address.port == port)) return connect;
    }
    return nullptr;
  }

  // What Listen returns from now on, unless ok.
  absl::Status listen_error;
  // A peer connects to the port that the code under test listens on. Null if nobody listens.
  FakePeerPtr Dial(uint16_t port) {
    for (Listener* listener : listeners_) {
      if (listener->address().port != port) continue;
      auto peer = std::make_shared<FakePeer>();
      peer->name = "192.0.2.1:" + std::to_string(++last_client_);
      listener->Accept(std::make_unique<FakeStream>(peer));
      return peer;
    }
    return nullptr;
  }

 private:
  class Handle : public Connecting {
   public:
    explicit Handle(FakeConnectPtr connect) : connect_(std::move(connect)) {}
    ~Handle() override { connect_->Cancel(); }

   private:
    FakeConnectPtr connect_;
  };
  class Listener : public Listening {
   public:
    Listener(FakeIo* io, Address address, AcceptCallback accept)
        : io_(io), address_(std::move(address)), accept_(std::move(accept)) {
      if (address_.port == 0) address_.port = ++io_->last_port_;
    }
    ~Listener() override { std::erase(io_->listeners_, this); }
    Address address() const override { return address_; }
    void Accept(std::unique_ptr<Stream> stream) { accept_(std::move(stream)); }

   private:
    FakeIo* const io_;
    Address address_;
    AcceptCallback accept_;
  };

  FakeClock clock_;
  uint16_t last_port_ = 40'000;
  uint16_t last_client_ = 50'000;
  std::vector<Listener*> listeners_;
};

}  // namespace crossfade
