#include "proxy/uv_io.h"

#include <uv.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "protocol/check.h"

namespace crossfade {

namespace {

constexpr int kListenBacklog = 511;
constexpr unsigned kKeepaliveDelaySeconds = 60;
constexpr int64_t kLingerMs = 1000;  // how long a closed stream waits for its peer to close as well
constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kKeptWriteBytes = 64 << 10;  // what a drained output buffer may hold on to

absl::Status UvError(int code, const std::string& what) {
  return absl::UnavailableError(fmt::format("{}: {}", what, uv_strerror(code)));
}

class UvStream;

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

std::unique_ptr<Timer> UvClock::MakeTimer(std::function<void()> callback) {
  return std::make_unique<UvTimer>(loop_, std::move(callback));
}

struct TcpNode : Node<uv_tcp_t, UvStream> {
  uv_write_t write;
  uv_shutdown_t shutdown;
  std::string writing;  // what `write` is sending; lives until its callback
  size_t written = 0;   // how much of it had already gone
  static TcpNode* Of(void* handle) { return static_cast<TcpNode*>(static_cast<uv_handle_t*>(handle)->data); }
};

}  // namespace

class UvIo::Impl {
 public:
  Impl();
  ~Impl();

  uv_loop_t* loop() { return &loop_; }
  UvClock* clock() { return &clock_; }
  char* read_buffer() { return read_buffer_.data(); }

  void NeedsFlush(UvStream* stream) { unflushed_.push_back(stream); }
  void Forget(UvStream* stream) { std::replace(unflushed_.begin(), unflushed_.end(), stream, static_cast<UvStream*>(nullptr)); }
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
  std::array<char, kReadBytes> read_buffer_;
};

namespace {

class UvStream : public Stream {
 public:
  UvStream(UvIo::Impl* io, NodePtr<TcpNode> node) : io_(io), node_(std::move(node)) {
    node_->owner = this;
    uv_tcp_nodelay(&node_->handle, 1);
    uv_tcp_keepalive(&node_->handle, 1, kKeepaliveDelaySeconds);
  }
  ~UvStream() override {
    if (needs_flush_) io_->Forget(this);
  }

  void SetListener(Listener* listener) override { listener_ = listener; }

  void Write(std::string_view bytes) override {
    if (closed_) return;
    out_.append(bytes);
    RequestFlush();
  }

  size_t unsent_bytes() const override { return out_.size() + node_->writing.size() - node_->written; }

  void SetReading(bool reading) override {
    if (reading == reading_ || closed_) return;
    reading_ = reading;
    if (reading) {
      uv_read_start(stream(), OnAlloc, OnUvRead);
    } else {
      uv_read_stop(stream());
    }
  }

  void CloseAfterFlush() override {
    close_after_flush_ = true;
    SetReading(false);
    RequestFlush();
  }

  std::string peer() const override {
    sockaddr_storage address;
    int size = sizeof(address);
    if (uv_tcp_getpeername(&node_->handle, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "gone";
    char host[64] = "";
    uint16_t port = 0;
    if (address.ss_family == AF_INET6) {
      const auto* in6 = reinterpret_cast<sockaddr_in6*>(&address);
      uv_ip6_name(in6, host, sizeof(host));
      port = ntohs(in6->sin6_port);
    } else {
      const auto* in = reinterpret_cast<sockaddr_in*>(&address);
      uv_ip4_name(in, host, sizeof(host));
      port = ntohs(in->sin_port);
    }
    return Address{host, port}.ToString();
  }

  // End of the loop's turn. May end with OnClosed, in which this object may be destroyed.
  void Flush() {
    needs_flush_ = false;
    if (closed_ || !node_->writing.empty()) return;
    if (!out_.empty()) {
      const uv_buf_t buffer = uv_buf_init(out_.data(), static_cast<unsigned>(std::min<size_t>(out_.size(), 1 << 30)));
      const int sent = uv_try_write(stream(), &buffer, 1);
      if (sent < 0 && sent != UV_EAGAIN) return Fail(UvError(sent, "write"));
      if (sent < static_cast<int>(out_.size())) return StartWrite(std::max(sent, 0));
      ClearOut();
      if (!close_after_flush_) return listener_->OnDrained();
    }
    if (close_after_flush_) Linger();
  }

 private:
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&node_->handle); }

  void RequestFlush() {
    if (needs_flush_) return;
    needs_flush_ = true;
    io_->NeedsFlush(this);
  }

  void ClearOut() {
    if (out_.capacity() > kKeptWriteBytes) {
      std::string().swap(out_);
    } else {
      out_.clear();
    }
  }

  // The kernel's buffer is full: libuv sends the rest when it can.
  void StartWrite(size_t already_sent) {
    node_->writing.swap(out_);
    node_->written = already_sent;
    const uv_buf_t buffer = uv_buf_init(node_->writing.data() + already_sent,
                                        static_cast<unsigned>(std::min<size_t>(node_->writing.size() - already_sent, 1 << 30)));
    node_->write.data = node_.get();
    const int code = uv_write(&node_->write, stream(), &buffer, 1, OnWritten);
    if (code < 0) Fail(UvError(code, "write"));
  }

  static void OnWritten(uv_write_t* request, int status) {
    auto* node = static_cast<TcpNode*>(request->data);
    const size_t left = node->writing.size() - node->written;
    UvStream* self = node->owner;
    if (self != nullptr && !self->closed_ && status == 0 && left > (1 << 30)) {
      self->StartRest(node->written + (1 << 30));
      return;
    }
    std::string().swap(node->writing);
    node->written = 0;
    if (self == nullptr || self->closed_) return;
    if (status < 0) return self->Fail(UvError(status, "write"));
    if (!self->out_.empty() || self->close_after_flush_) self->RequestFlush();
    self->listener_->OnDrained();
  }

  void StartRest(size_t from) {
    node_->writing.erase(0, from);
    std::string rest;
    rest.swap(node_->writing);
    rest.swap(out_);
    out_.append(rest);
    RequestFlush();
  }

  // Everything has been sent. Closing now, with bytes of the peer's still unread, would make the kernel reset the
  // connection, and the peer might never see our last reply: first say that nothing more comes, then read into the void.
  void Linger() {
    if (linger_timer_ != nullptr) return;
    linger_timer_ = std::make_unique<UvTimer>(io_->loop(), [this] { Fail(absl::OkStatus()); });
    linger_timer_->Start(kLingerMs, 0);
    node_->shutdown.data = node_.get();
    uv_shutdown(&node_->shutdown, stream(), [](uv_shutdown_t*, int) {});
    if (uv_read_start(stream(), OnAlloc, OnUvRead) < 0) Fail(absl::OkStatus());
  }

  void Fail(const absl::Status& why) {
    if (closed_) return;
    closed_ = true;
    uv_read_stop(stream());
    listener_->OnClosed(why);  // may destroy this
  }

  static void OnAlloc(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
    UvStream* self = TcpNode::Of(handle)->owner;
    *buffer = self == nullptr ? uv_buf_init(nullptr, 0) : uv_buf_init(self->io_->read_buffer(), kReadBytes);
  }

  static void OnUvRead(uv_stream_t* handle, ssize_t size, const uv_buf_t* buffer) {
    UvStream* self = TcpNode::Of(handle)->owner;
    if (self == nullptr || size == 0) return;
    if (self->linger_timer_ != nullptr) {
      if (size < 0) self->Fail(absl::OkStatus());
      return;
    }
    if (size == UV_EOF) return self->Fail(absl::OutOfRangeError("closed by the peer"));
    if (size < 0) return self->Fail(UvError(static_cast<int>(size), "read"));
    self->listener_->OnRead(std::string_view(buffer->base, static_cast<size_t>(size)));
  }

  UvIo::Impl* io_;
  NodePtr<TcpNode> node_;
  Listener* listener_ = nullptr;
  std::string out_;
  bool reading_ = false;
  bool needs_flush_ = false;
  bool close_after_flush_ = false;
  bool closed_ = false;
  std::unique_ptr<UvTimer> linger_timer_;
};

class UvConnecting : public Io::Connecting {
 public:
  UvConnecting(UvIo::Impl* io, const Address& address, int64_t timeout_ms, Io::ConnectCallback done)
      : io_(io), address_(address), done_(std::move(done)), timer_(io->loop(), [this] { OnTimeout(); }) {
    timer_.Start(timeout_ms, 0);
    lookup_ = new Lookup{{}, this};
    lookup_->request.data = lookup_;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    const int code = uv_getaddrinfo(io_->loop(), &lookup_->request, OnResolved, address_.host.c_str(),
                                    std::to_string(address_.port).c_str(), &hints);
    if (code < 0) {
      delete lookup_;
      lookup_ = nullptr;
      failure_ = code;
      timer_.Start(0, 0);  // told from the loop, never from inside Connect
    }
  }
  ~UvConnecting() override {
    if (lookup_ != nullptr) lookup_->owner = nullptr;
    if (attempt_ != nullptr) attempt_->owner = nullptr;
  }

 private:
  struct Lookup {
    uv_getaddrinfo_t request;
    UvConnecting* owner;
  };
  struct Attempt {
    uv_connect_t request;
    UvConnecting* owner;
  };

  static void OnResolved(uv_getaddrinfo_t* request, int status, addrinfo* found) {
    std::unique_ptr<Lookup> lookup(static_cast<Lookup*>(request->data));
    if (UvConnecting* self = lookup->owner; self != nullptr) {
      self->lookup_ = nullptr;
      for (addrinfo* one = found; one != nullptr; one = one->ai_next) {
        sockaddr_storage& address = self->addresses_.emplace_back();
        memcpy(&address, one->ai_addr, one->ai_addrlen);
      }
      self->failure_ = status;
      self->TryNext();
    }
    uv_freeaddrinfo(found);
  }

  // Tries the resolved addresses one after another.
  void TryNext() {
    if (next_ == addresses_.size()) {
      return Finish(UvError(failure_ < 0 ? failure_ : UV_EAI_NODATA, fmt::format("connect to {}", address_.ToString())));
    }
    node_ = MakeNode<TcpNode>(static_cast<UvStream*>(nullptr));
    uv_tcp_init(io_->loop(), &node_->handle);
    attempt_ = new Attempt{{}, this};
    attempt_->request.data = attempt_;
    const auto* address = reinterpret_cast<const sockaddr*>(&addresses_[next_++]);
    const int code = uv_tcp_connect(&attempt_->request, &node_->handle, address, OnConnected);
    if (code < 0) {
      delete attempt_;
      attempt_ = nullptr;
      failure_ = code;
      TryNext();
    }
  }

  static void OnConnected(uv_connect_t* request, int status) {
    std::unique_ptr<Attempt> attempt(static_cast<Attempt*>(request->data));
    UvConnecting* self = attempt->owner;
    if (self == nullptr) return;
    self->attempt_ = nullptr;
    if (status < 0) {
      self->failure_ = status;
      return self->TryNext();
    }
    self->Finish(std::unique_ptr<Stream>(std::make_unique<UvStream>(self->io_, std::move(self->node_))));
  }

  void OnTimeout() {
    Finish(UvError(failure_ < 0 ? failure_ : UV_ETIMEDOUT, fmt::format("connect to {}", address_.ToString())));
  }

  void Finish(absl::StatusOr<std::unique_ptr<Stream>> result) {
    timer_.Stop();
    const Io::ConnectCallback done = std::move(done_);
    done(std::move(result));  // may destroy this
  }

  UvIo::Impl* io_;
  Address address_;
  Io::ConnectCallback done_;
  UvTimer timer_;
  Lookup* lookup_ = nullptr;    // freed by its callback
  Attempt* attempt_ = nullptr;  // freed by its callback
  NodePtr<TcpNode> node_;
  std::vector<sockaddr_storage> addresses_;
  size_t next_ = 0;
  int failure_ = 0;
};

class UvListening : public Listening {
 public:
  UvListening(UvIo::Impl* io, Io::AcceptCallback accept)
      : io_(io), accept_(std::move(accept)), node_(MakeNode<ListenNode>(this)) {
    uv_tcp_init(io_->loop(), &node_->handle);
  }

  absl::Status Bind(const Address& address) {
    uv_getaddrinfo_t request;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    const std::string what = fmt::format("listen on {}", address.ToString());
    int code = uv_getaddrinfo(io_->loop(), &request, nullptr, address.host.c_str(), std::to_string(address.port).c_str(), &hints);
    if (code < 0) return UvError(code, what);
    code = uv_tcp_bind(&node_->handle, request.addrinfo->ai_addr, 0);
    uv_freeaddrinfo(request.addrinfo);
    if (code == 0) code = uv_listen(reinterpret_cast<uv_stream_t*>(&node_->handle), kListenBacklog, OnConnection);
    if (code < 0) return UvError(code, what);
    sockaddr_storage bound;
    int size = sizeof(bound);
    uv_tcp_getsockname(&node_->handle, reinterpret_cast<sockaddr*>(&bound), &size);
    address_ = address;
    address_.port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                                      : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
    return absl::OkStatus();
  }

  Address address() const override { return address_; }

 private:
  using ListenNode = Node<uv_tcp_t, UvListening>;

  static void OnConnection(uv_stream_t* server, int status) {
    UvListening* self = ListenNode::Of(server)->owner;
    if (self == nullptr || status < 0) return;
    NodePtr<TcpNode> node = MakeNode<TcpNode>(static_cast<UvStream*>(nullptr));
    uv_tcp_init(self->io_->loop(), &node->handle);
    if (uv_accept(server, reinterpret_cast<uv_stream_t*>(&node->handle)) < 0) return;
    self->accept_(std::make_unique<UvStream>(self->io_, std::move(node)));
  }

  UvIo::Impl* io_;
  Io::AcceptCallback accept_;
  NodePtr<ListenNode> node_;
  Address address_;
};

}  // namespace

UvIo::Impl::Impl() {
  CHECK(uv_loop_init(&loop_) == 0);
  after_timers_.data = after_reads_.data = this;
  uv_prepare_init(&loop_, &after_timers_);
  uv_check_init(&loop_, &after_reads_);
  uv_prepare_start(&after_timers_, [](uv_prepare_t* handle) { static_cast<Impl*>(handle->data)->FlushAll(); });
  uv_check_start(&after_reads_, [](uv_check_t* handle) { static_cast<Impl*>(handle->data)->FlushAll(); });
}

UvIo::Impl::~Impl() {
  uv_close(reinterpret_cast<uv_handle_t*>(&after_timers_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&after_reads_), nullptr);
  for (const auto& signal : signals_) uv_close(signal->base(), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop_) == 0);
}

void UvIo::Impl::FlushAll() {
  // A flush may end a stream, and its owner may write to others meanwhile: they are flushed in the same pass.
  for (size_t i = 0; i < unflushed_.size(); ++i) {
    if (unflushed_[i] != nullptr) std::exchange(unflushed_[i], nullptr)->Flush();
  }
  unflushed_.clear();
}

void UvIo::Impl::OnSignal(int signal_number, std::function<void()> callback) {
  SignalNode* node = signals_.emplace_back(std::make_unique<SignalNode>()).get();
  node->callback = std::move(callback);
  node->handle.data = node;
  uv_signal_init(&loop_, &node->handle);
  uv_signal_start(
      &node->handle, [](uv_signal_t* handle, int) { static_cast<SignalNode*>(handle->data)->callback(); }, signal_number);
  uv_unref(node->base());
}

UvIo::UvIo() : impl_(std::make_unique<Impl>()) {}
UvIo::~UvIo() = default;

void UvIo::Run() { uv_run(impl_->loop(), UV_RUN_DEFAULT); }
void UvIo::Stop() { uv_stop(impl_->loop()); }
void UvIo::OnSignal(int signal_number, std::function<void()> callback) {
  impl_->OnSignal(signal_number, std::move(callback));
}
Clock* UvIo::clock() { return impl_->clock(); }

std::unique_ptr<Io::Connecting> UvIo::Connect(const Address& address, int64_t timeout_ms, ConnectCallback done) {
  return std::make_unique<UvConnecting>(impl_.get(), address, timeout_ms, std::move(done));
}

absl::StatusOr<std::unique_ptr<Listening>> UvIo::Listen(const Address& address, AcceptCallback accept) {
  auto listening = std::make_unique<UvListening>(impl_.get(), std::move(accept));
  const absl::Status bound = listening->Bind(address);
  if (!bound.ok()) return bound;
  return std::unique_ptr<Listening>(std::move(listening));
}

}  // namespace crossfade
