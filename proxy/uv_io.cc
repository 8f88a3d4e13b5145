#include "proxy/uv_io.h"

#include <uv.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "protocol/check.h"
#include "proxy/uv_handle.h"
#include "proxy/uv_stream.h"

namespace crossfade {

absl::Status UvError(int code, const std::string& what) {
  return absl::UnavailableError(fmt::format("{}: {}", what, uv_strerror(code)));
}

std::unique_ptr<Timer> UvClock::MakeTimer(std::function<void()> callback) {
  return std::make_unique<UvTimer>(loop_, std::move(callback));
}

namespace {

constexpr int kListenBacklog = 511;

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
      return Finish(
          UvError(failure_ < 0 ? failure_ : UV_EAI_NODATA, fmt::format("connect to {}", address_.ToString())));
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
    int code = uv_getaddrinfo(io_->loop(), &request, nullptr, address.host.c_str(),
                              std::to_string(address.port).c_str(), &hints);
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
      &node->handle, [](uv_signal_t* handle, int) { static_cast<SignalNode*>(handle->data)->callback(); },
      signal_number);
  uv_unref(node->base());
}

UvIo::UvIo() : impl_(std::make_unique<Impl>()) {}
UvIo::~UvIo() = default;

void UvIo::Run() {
  uv_run(impl_->loop(), UV_RUN_DEFAULT);
}
void UvIo::Stop() {
  uv_stop(impl_->loop());
}
void UvIo::OnSignal(int signal_number, std::function<void()> callback) {
  impl_->OnSignal(signal_number, std::move(callback));
}
Clock* UvIo::clock() {
  return impl_->clock();
}

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
