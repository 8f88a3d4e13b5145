// Io on libuv. The only file pair that knows <uv.h>; its types do not show here.
//
// One loop, one thread. What is written to any stream during a turn of the loop leaves at the end of that turn, one
// system call per stream. Every libuv handle lives in a heap node that frees itself in its close callback; the objects
// handed out are owners that detach and close it, so nobody is called back after they are gone.
#pragma once

#include <functional>
#include <memory>

#include "proxy/io.h"

namespace crossfade {

class UvIo : public Io {
 public:
  UvIo();
  // REQUIRES: every stream, timer, listening and connecting made from it is gone.
  ~UvIo() override;

  // Runs until Stop. Call from one thread only.
  void Run();
  // Makes Run return at the end of this turn. From the loop thread.
  void Stop();
  // Calls back in the loop thread when the process gets the signal. For the life of this object.
  void OnSignal(int signal_number, std::function<void()> callback);

  Clock* clock() override;
  std::unique_ptr<Connecting> Connect(const Address& address, int64_t timeout_ms, ConnectCallback done) override;
  absl::StatusOr<std::unique_ptr<Listening>> Listen(const Address& address, AcceptCallback accept) override;

  class Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace crossfade
