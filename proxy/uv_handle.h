// libuv's handles as this house holds them. Internal to the uv_ files: nobody else may see <uv.h>.
#pragma once

#include <uv.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/uv_io.h"

namespace crossfade {

inline constexpr size_t kUvReadBytes = 64 << 10;

class UvStream;

absl::Status UvError(int code, const std::string& what);

// A libuv handle and what its requests need, in one heap node that outlives its owner until libuv lets go of it.
template <typename Handle, typename Owner>
struct Node {
  Handle handle;
  Owner* owner = nullptr;

  uv_handle_t* base() { return reinterpret_cast<uv_handle_t*>(&handle); }
  static Node* Of(void* handle) { return static_cast<Node*>(static_cast<uv_handle_t*>(handle)->data); }
};

template <typename N>
struct NodeCloser {
  void operator()(N* node) const {
    node->owner = nullptr;
    uv_close(node->base(), [](uv_handle_t* handle) { delete static_cast<N*>(handle->data); });
  }
};

template <typename N>
using NodePtr = std::unique_ptr<N, NodeCloser<N>>;

template <typename N, typename Owner>
NodePtr<N> MakeNode(Owner* owner) {
  auto* node = new N;
  node->owner = owner;
  node->handle.data = node;
  return NodePtr<N>(node);
}

class UvClock : public Clock {
 public:
  explicit UvClock(uv_loop_t* loop) : loop_(loop) {}
  int64_t NowUs() const override { return static_cast<int64_t>(uv_hrtime() / 1000); }
  int64_t WallMs() const override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  }
  std::unique_ptr<Timer> MakeTimer(std::function<void()> callback) override;

 private:
  uv_loop_t* loop_;
};

class UvTimer : public Timer {
 public:
  UvTimer(uv_loop_t* loop, std::function<void()> callback)
      : callback_(std::move(callback)), node_(MakeNode<TimerNode>(this)) {
    uv_timer_init(loop, &node_->handle);
  }
  void Start(int64_t delay_ms, int64_t repeat_ms) override {
    uv_update_time(node_->handle.loop);
    const auto on_timer = [](uv_timer_t* handle) { TimerNode::Of(handle)->owner->callback_(); };
    uv_timer_start(&node_->handle, on_timer, static_cast<uint64_t>(delay_ms), static_cast<uint64_t>(repeat_ms));
  }
  void Stop() override { uv_timer_stop(&node_->handle); }

 private:
  using TimerNode = Node<uv_timer_t, UvTimer>;
  std::function<void()> callback_;
  NodePtr<TimerNode> node_;
};

struct TcpNode : Node<uv_tcp_t, UvStream> {
  uv_write_t write;
  uv_shutdown_t shutdown;
  std::string writing;  // what `write` is sending; lives until its callback
  size_t written = 0;   // how much of it had already gone
  static TcpNode* Of(void* handle) { return static_cast<TcpNode*>(static_cast<uv_handle_t*>(handle)->data); }
};

class UvIo::Impl {
 public:
  Impl();
  ~Impl();

  uv_loop_t* loop() { return &loop_; }
  UvClock* clock() { return &clock_; }
  char* read_buffer() { return read_buffer_.data(); }

  void NeedsFlush(UvStream* stream) { unflushed_.push_back(stream); }
  void Forget(UvStream* stream) {
    std::replace(unflushed_.begin(), unflushed_.end(), stream, static_cast<UvStream*>(nullptr));
  }
  void OnSignal(int signal_number, std::function<void()> callback);

 private:
  struct SignalNode {
    uv_signal_t handle;
    std::function<void()> callback;
    uv_handle_t* base() { return reinterpret_cast<uv_handle_t*>(&handle); }
  };
  void FlushAll();

  uv_loop_t loop_;
  UvClock clock_{&loop_};
  uv_prepare_t after_timers_;  // both flush: what timers wrote, and what reads wrote
  uv_check_t after_reads_;
  std::vector<UvStream*> unflushed_;
  std::vector<std::unique_ptr<SignalNode>> signals_;
  std::array<char, kUvReadBytes> read_buffer_;
};

}  // namespace crossfade
