// Sockets and time, as the rest of the proxy sees them: two small interfaces, with libuv behind them in production
// (proxy/uv_io) and a seeded world in the simulator. Everything runs on one loop thread; no call blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "conf/config.h"

namespace crossfade {

// A timer that its owner can stop by destroying it. Callbacks never run inside Start.
class Timer {
 public:
  virtual ~Timer() = default;
  // Runs the callback after `delay_ms`, then every `repeat_ms` unless that is 0. Restarts when already started.
  virtual void Start(int64_t delay_ms, int64_t repeat_ms) = 0;
  virtual void Stop() = 0;
};

class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic microseconds, fresh at each call.
  virtual int64_t NowUs() const = 0;
  // Wall clock, milliseconds since 1970, fresh at each call.
  virtual int64_t WallMs() const = 0;
  virtual std::unique_ptr<Timer> MakeTimer(std::function<void()> callback) = 0;
};

// An ordered byte stream to one peer. Destroying it closes the connection, and no callback comes afterwards.
class Stream {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    // `bytes` are valid during the call. The stream may be destroyed during the call.
    virtual void OnRead(std::string_view bytes) = 0;
    // The connection is over: OutOfRange for an orderly end by the peer. The last callback.
    virtual void OnClosed(const absl::Status& why) = 0;
    // What was unsent has shrunk below what it was when Write last returned, or to nothing.
    virtual void OnDrained() {}
  };
  virtual ~Stream() = default;

  // REQUIRES: called once, before anything else. `listener` must outlive this object.
  virtual void SetListener(Listener* listener) = 0;
  // Queues bytes; they leave at the end of this turn of the loop, together with others. Never fails: a broken
  // connection is told by OnClosed.
  virtual void Write(std::string_view bytes) = 0;
  // Bytes queued and not yet taken by the kernel.
  virtual size_t unsent_bytes() const = 0;
  // Reading begins running. While stopped no OnRead comes, and no end of the connection is noticed.
  virtual void SetReading(bool reading) = 0;
  // No more writes; OnClosed comes when what is queued has left (or has failed to).
  virtual void CloseAfterFlush() = 0;
  virtual std::string peer() const = 0;  // host:port, for logs
};

// Where connections come from.
class Listening {
 public:
  virtual ~Listening() = default;
  virtual Address address() const = 0;  // with the real port
};

class Io {
 public:
  virtual ~Io() = default;
  virtual Clock* clock() = 0;

  // Connects with TCP_NODELAY and keepalive. `done` gets the stream, or why there is none; it is not called after the
  // returned handle is destroyed, nor inside this call. At most `timeout_ms` pass before it is called.
  class Connecting {
   public:
    virtual ~Connecting() = default;
  };
  using ConnectCallback = std::function<void(absl::StatusOr<std::unique_ptr<Stream>>)>;
  virtual std::unique_ptr<Connecting> Connect(const Address& address, int64_t timeout_ms, ConnectCallback done) = 0;

  using AcceptCallback = std::function<void(std::unique_ptr<Stream>)>;
  virtual absl::StatusOr<std::unique_ptr<Listening>> Listen(const Address& address, AcceptCallback accept) = 0;
};

}  // namespace crossfade
