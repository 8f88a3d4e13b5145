#include "proxy/admin_client.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>

#include "proxy/http_message.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

// An open file descriptor; the one owner.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

class Deadline {
 public:
  explicit Deadline(int64_t ms) : end_(Now() + std::chrono::milliseconds(ms)) {}
  // Waits for `events`. 0, or ETIMEDOUT, or what poll said.
  int Wait(int fd, short events) const {
    for (;;) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - Now()).count();
      pollfd waiting = {fd, events, 0};
      int ready = poll(&waiting, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30)));
      if (ready > 0) return 0;
      if (ready == 0 && left <= 0) return ETIMEDOUT;
      if (ready < 0 && errno != EINTR) return errno;
    }
  }

 private:
  static std::chrono::steady_clock::time_point Now() { return std::chrono::steady_clock::now(); }
  const std::chrono::steady_clock::time_point end_;
};

absl::Status CantReach(const Address& address, const std::string& why) {
  return absl::UnavailableError(
      fmt::format("can't reach the proxy at {}: {}; is it running? `crossfade run …`, or name it with "
                  "--admin HOST:PORT or CROSSFADE_ADMIN",
                  address.ToString(), why));
}

std::string ErrnoText(int error) {
  switch (error) {
    case ECONNREFUSED:
      return "connection refused";
    case ETIMEDOUT:
      return "no answer in time";
    case ECONNRESET:
      return "connection reset";
    default:
      return strerror(error);
  }
}

// 0 or an errno.
int TryConnect(int fd, const addrinfo& to, const Deadline& deadline) {
  if (connect(fd, to.ai_addr, to.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS && errno != EINTR) return errno;
  if (int error = deadline.Wait(fd, POLLOUT); error != 0) return error;
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

// Tries each address that the name stands for.
absl::StatusOr<std::unique_ptr<Socket>> Connect(const Address& address, const Deadline& deadline) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int lookup = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (lookup != 0) return CantReach(address, gai_strerror(lookup));
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  int error = EHOSTUNREACH;
  for (const addrinfo* to = found; to != nullptr; to = to->ai_next) {
    auto one = std::make_unique<Socket>(socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    error = one->fd() < 0 ? errno : TryConnect(one->fd(), *to, deadline);
    if (error == 0) return one;
  }
  return CantReach(address, ErrnoText(error));
}

// 0 or an errno. A peer that has stopped listening may have answered all the same, so that is no error here.
int SendAll(int fd, const std::string& bytes, const Deadline& deadline) {
  for (size_t at = 0; at < bytes.size();) {
    ssize_t sent = send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent >= 0) {
      at += sent;
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return 0;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (int error = deadline.Wait(fd, POLLOUT); error != 0) return error;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

// Feeds one block to the parser, skipping interim (1xx) answers.
HttpParser::Result FeedBlock(HttpParser* parser, std::string_view block) {
  for (;;) {
    size_t consumed = 0;
    HttpParser::Result result = parser->Feed(block, &consumed);
    if (result != HttpParser::Result::kDone || parser->response_status() >= 200) return result;
    block.remove_prefix(consumed);
    if (block.empty()) return HttpParser::Result::kNeedMore;
  }
}

absl::Status BadAnswer(const Address& address, const HttpParser& parser) {
  if (parser.error_status() == 413) {
    return absl::OutOfRangeError(fmt::format("the answer of {} is too large ({}); ask for less, with --limit",
                                             address.ToString(), parser.error()));
  }
  return absl::UnavailableError(
      fmt::format("what answers at {} is not Crossfade's admin port ({}); that is 6401 unless configured, and not the "
                  "applications' port",
                  address.ToString(), parser.error()));
}

absl::StatusOr<AdminReply> ReadAnswer(int fd, const Address& address, const Deadline& deadline, int64_t timeout_ms) {
  HttpParser parser(HttpParser::Kind::kResponses);
  auto block = std::make_unique<char[]>(64 << 10);
  bool any = false;
  for (;;) {
    ssize_t size = recv(fd, block.get(), 64 << 10, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (deadline.Wait(fd, POLLIN) == 0) continue;
      return absl::UnavailableError(
          fmt::format("the proxy at {} took the request but has not answered within {} ms; it may still be doing what "
                      "was asked: look with `crossfade status`",
                      address.ToString(), timeout_ms));
    }
    if (size < 0) return CantReach(address, ErrnoText(errno));
    HttpParser::Result result = HttpParser::Result::kNeedMore;
    if (size > 0) {
      any = true;
      result = FeedBlock(&parser, std::string_view(block.get(), size));
    } else if (!any) {
      return CantReach(address, "connection closed without an answer");
    } else {
      result = parser.Finish();
    }
    if (result == HttpParser::Result::kDone) return AdminReply{parser.response_status(), parser.response_body()};
    if (size == 0) return CantReach(address, "connection closed in the middle of the answer");
    if (result == HttpParser::Result::kError) return BadAnswer(address, parser);
  }
}

}  // namespace

absl::StatusOr<AdminReply> CallAdmin(const Address& address, const std::string& method, const std::string& path,
                                     const std::string& body, const std::string& token, int64_t timeout_ms) {
  const Deadline deadline(timeout_ms);
  auto socket = Connect(address, deadline);
  if (!socket.ok()) return socket.status();
  std::string request = fmt::format("{} {} HTTP/1.1\r\nhost: {}\r\nuser-agent: crossfade/{}\r\nconnection: close\r\n",
                                    method, path, address.ToString(), CROSSFADE_VERSION);
  if (!token.empty()) request += fmt::format("authorization: Bearer {}\r\n", token);
  if (!body.empty()) request += "content-type: application/json\r\n";
  if (!body.empty() || method != "GET") request += fmt::format("content-length: {}\r\n", body.size());
  request += "\r\n" + body;
  int error = SendAll((*socket)->fd(), request, deadline);
  if (error != 0) return CantReach(address, ErrnoText(error));
  return ReadAnswer((*socket)->fd(), address, deadline, timeout_ms);
}

}  // namespace crossfade
