// A command as a client sent it: its arguments, and the bytes that carry them.
//
// RequestView borrows both; it is what the parser hands out and what every decision reads. Request owns them, and
// keeps its capacity when it is assigned again, so that a recycled slot allocates nothing.
// The bytes are always one RESP array of bulk strings, ready to be sent to a server (an inline command is re-encoded).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace crossfade {

// One argument's place in the bytes of its request. 32 bits suffice: a request is at most kMaxRequestBytes long.
struct ArgSpan {
  uint32_t offset;
  uint32_t size;
};

// Valid as long as what it borrows from: the read buffer (from the parser) or the Request.
class RequestView {
 public:
  RequestView() = default;
  RequestView(std::string_view bytes, std::span<const ArgSpan> args) : bytes_(bytes), args_(args) {}

  size_t argc() const { return args_.size(); }
  // REQUIRES: i < argc().
  std::string_view arg(size_t i) const { return bytes_.substr(args_[i].offset, args_[i].size); }
  // The whole command in RESP.
  std::string_view bytes() const { return bytes_; }
  std::span<const ArgSpan> args() const { return args_; }

 private:
  std::string_view bytes_;
  std::span<const ArgSpan> args_;
};

// For what is used again and again: empties it, and gives its memory back if a large command has made it grow.
void ClearArgs(std::vector<ArgSpan>* args);

class Request {
 public:
  Request() = default;
  explicit Request(RequestView view) { Assign(view); }

  void Assign(RequestView view) {
    bytes_.assign(view.bytes());
    args_.assign(view.args().begin(), view.args().end());
  }
  // Forgets the command. Memory beyond what a usual command needs is given back.
  void Clear();

  // Valid until the next Assign or Clear, or until this object moves.
  RequestView view() const { return RequestView(bytes_, args_); }
  size_t capacity_bytes() const { return bytes_.capacity() + args_.capacity() * sizeof(ArgSpan); }

 private:
  std::string bytes_;
  std::vector<ArgSpan> args_;
};

// Builds a request from its arguments. For commands that the proxy itself sends, and for tests.
Request MakeRequest(std::span<const std::string_view> args);
Request MakeRequest(std::initializer_list<std::string_view> args);

}  // namespace crossfade
