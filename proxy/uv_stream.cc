#include "proxy/uv_stream.h"

#include <algorithm>
#include <utility>

namespace crossfade {

namespace {
constexpr unsigned kKeepaliveDelaySeconds = 60;
constexpr int64_t kCloseMs = 1000;            // how long a closed stream waits for its peer to close as well
constexpr size_t kKeptWriteBytes = 64 << 10;  // what a drained output buffer may hold on to
constexpr size_t kMaxWriteBytes = 1 << 30;    // in one system call
}  // namespace

UvStream::UvStream(UvIo::Impl* io, NodePtr<TcpNode> node) : io_(io), node_(std::move(node)) {
  node_->owner = this;
  uv_tcp_nodelay(&node_->handle, 1);
  uv_tcp_keepalive(&node_->handle, 1, kKeepaliveDelaySeconds);
}
UvStream::~UvStream() {
  if (needs_flush_) io_->Forget(this);
}

void UvStream::Write(std::string_view bytes) {
  if (closed_) return;
  out_.append(bytes);
  RequestFlush();
}

void UvStream::SetReading(bool reading) {
  if (reading == reading_ || closed_) return;
  reading_ = reading;
  if (reading) {
    uv_read_start(stream(), OnAlloc, OnUvRead);
  } else {
    uv_read_stop(stream());
  }
}

void UvStream::CloseAfterFlush() {
  close_after_flush_ = true;
  SetReading(false);
  RequestFlush();
}

std::string UvStream::peer() const {
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

void UvStream::Flush() {
  needs_flush_ = false;
  if (closed_ || !node_->writing.empty()) return;
  if (!out_.empty()) {
    const uv_buf_t buffer =
        uv_buf_init(out_.data(), static_cast<unsigned>(std::min<size_t>(out_.size(), kMaxWriteBytes)));
    const int sent = uv_try_write(stream(), &buffer, 1);
    if (sent < 0 && sent != UV_EAGAIN) return Fail(UvError(sent, "write"));
    if (sent < static_cast<int>(out_.size())) return StartWrite(std::max(sent, 0));
    ClearOut();
    if (!close_after_flush_) return listener_->OnDrained();
  }
  if (close_after_flush_) Linger();
}

void UvStream::RequestFlush() {
  if (needs_flush_) return;
  needs_flush_ = true;
  io_->NeedsFlush(this);
}

void UvStream::ClearOut() {
  if (out_.capacity() > kKeptWriteBytes) {
    std::string().swap(out_);
  } else {
    out_.clear();
  }
}

// The kernel's buffer is full: libuv sends the rest when it can.
void UvStream::StartWrite(size_t already_sent) {
  node_->writing.swap(out_);
  node_->written = already_sent;
  const uv_buf_t buffer =
      uv_buf_init(node_->writing.data() + already_sent,
                  static_cast<unsigned>(std::min<size_t>(node_->writing.size() - already_sent, kMaxWriteBytes)));
  node_->write.data = node_.get();
  const int code = uv_write(&node_->write, stream(), &buffer, 1, OnWritten);
  if (code < 0) Fail(UvError(code, "write"));
}

void UvStream::OnWritten(uv_write_t* request, int status) {
  auto* node = static_cast<TcpNode*>(request->data);
  const size_t left = node->writing.size() - node->written;
  UvStream* self = node->owner;
  if (self != nullptr && !self->closed_ && status == 0 && left > kMaxWriteBytes) {
    self->StartRest(node->written + kMaxWriteBytes);
    return;
  }
  std::string().swap(node->writing);
  node->written = 0;
  if (self == nullptr || self->closed_) return;
  if (status < 0) return self->Fail(UvError(status, "write"));
  if (!self->out_.empty() || self->close_after_flush_) self->RequestFlush();
  self->listener_->OnDrained();
}

void UvStream::StartRest(size_t from) {
  node_->writing.erase(0, from);
  std::string rest;
  rest.swap(node_->writing);
  rest.swap(out_);
  out_.append(rest);
  RequestFlush();
}

// Everything has been sent. Closing now, with bytes of the peer's still unread, would make the kernel reset the
// connection, and the peer might never see our last reply: first say that nothing more comes, then read into the void.
void UvStream::Linger() {
  if (linger_timer_ != nullptr) return;
  linger_timer_ = std::make_unique<UvTimer>(io_->loop(), [this] { Fail(absl::OkStatus()); });
  linger_timer_->Start(kCloseMs, 0);
  node_->shutdown.data = node_.get();
  uv_shutdown(&node_->shutdown, stream(), [](uv_shutdown_t*, int) {});
  if (uv_read_start(stream(), OnAlloc, OnUvRead) < 0) Fail(absl::OkStatus());
}

void UvStream::Fail(const absl::Status& why) {
  if (closed_) return;
  closed_ = true;
  uv_read_stop(stream());
  listener_->OnClosed(why);  // may destroy this
}

void UvStream::OnAlloc(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
  UvStream* self = TcpNode::Of(handle)->owner;
  *buffer = self == nullptr ? uv_buf_init(nullptr, 0) : uv_buf_init(self->io_->read_buffer(), kUvReadBytes);
}

void UvStream::OnUvRead(uv_stream_t* handle, ssize_t size, const uv_buf_t* buffer) {
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

}  // namespace crossfade
