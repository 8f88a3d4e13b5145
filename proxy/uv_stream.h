// Stream on a libuv TCP handle: what is written leaves at the end of the loop's turn, and what the kernel doesn't take
// then, later. Internal to the uv_ files.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "proxy/uv_handle.h"

namespace crossfade {

class UvStream : public Stream {
 public:
  // `io` must outlive this object.
  UvStream(UvIo::Impl* io, NodePtr<TcpNode> node);
  ~UvStream() override;

  void SetListener(Listener* listener) override { listener_ = listener; }
  void Write(std::string_view bytes) override;
  size_t unsent_bytes() const override { return out_.size() + node_->writing.size() - node_->written; }
  void SetReading(bool reading) override;
  void CloseAfterFlush() override;
  std::string peer() const override;

  // End of the loop's turn. May end with OnClosed, in which this object may be destroyed.
  void Flush();

 private:
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&node_->handle); }
  void RequestFlush();
  void ClearOut();
  void StartWrite(size_t already_sent);
  void StartRest(size_t from);
  void Linger();
  void Fail(const absl::Status& why);

  static void OnWritten(uv_write_t* request, int status);
  static void OnAlloc(uv_handle_t* handle, size_t, uv_buf_t* buffer);
  static void OnUvRead(uv_stream_t* handle, ssize_t size, const uv_buf_t* buffer);

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

}  // namespace crossfade
