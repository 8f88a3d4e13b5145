// HTTP/1.1 messages: plain data, and the parsing of both directions. The only file pair that knows llhttp.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace crossfade {

struct HttpRequest {
  std::string method;                          // "GET"
  std::string path;                            // percent-decoded, without the query
  std::map<std::string, std::string> query;    // percent-decoded; the last of several wins
  std::map<std::string, std::string> headers;  // names in lower case; several are joined by ", "
  std::string body;
  bool keep_alive = true;
  std::string peer;  // host:port of who asks; the server fills it in
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::map<std::string, std::string> headers;  // besides content-type, content-length, connection
  // It has no end: the body is its beginning, and HttpServer::Publish appends. It ends with its connection.
  bool stream = false;
};

// A JSON error body with its status: {"error": message}.
HttpResponse HttpError(int status, std::string_view message);

// Renders a response with its head. `keep_alive` decides the connection header, but for a stream.
std::string RenderResponse(const HttpResponse& response, bool keep_alive);

inline constexpr size_t kMaxHttpHeadBytes = 16 << 10;
inline constexpr size_t kMaxHttpBodyBytes = 1 << 20;

// One direction of one connection. Feed it bytes as they come; it never holds more than the limits above.
class HttpParser {
 public:
  enum class Kind { kRequests, kResponses };
  enum class Result { kNeedMore, kDone, kError };

  explicit HttpParser(Kind kind);
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  // Consumes up to one whole message; *consumed says how many bytes were taken (call again with the rest).
  // kError: error_status() is 400, 413 (body too large) or 431 (head too large); the connection must be closed.
  Result Feed(std::string_view bytes, size_t* consumed);
  // The peer closed. A response without a length ends here: kDone; anything else unfinished: kError.
  Result Finish();

  // Valid after kDone until the next Feed.
  HttpRequest& request();
  int response_status() const;
  const std::string& response_body() const;

  int error_status() const;
  const std::string& error() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace crossfade
