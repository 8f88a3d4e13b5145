#include "proxy/http_message.h"

#include <llhttp.h>

#include <algorithm>
#include <cstdint>

#include "nlohmann/json.hpp"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

// Chunk sizes, chunk extensions and trailers are not kept, but they cost time: a message's bytes on the wire are
// bounded as well. Room for a body that comes in very small chunks.
constexpr size_t kMaxHttpWireBytes = kMaxHttpHeadBytes + 4 * kMaxHttpBodyBytes;

bool IsTokenChar(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// RFC 3986, section 2.1; a '+' is a plus. Returns false on a bad escape.
bool PercentDecode(std::string_view text, std::string* out) {
  out->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out->push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return false;
    int high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out->push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  return true;
}

bool ParseQuery(std::string_view text, std::map<std::string, std::string>* query) {
  while (!text.empty()) {
    size_t end = std::min(text.find('&'), text.size());
    std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    size_t equals = std::min(pair.find('='), pair.size());
    std::string name, value;
    if (!PercentDecode(pair.substr(0, equals), &name)) return false;
    if (equals < pair.size() && !PercentDecode(pair.substr(equals + 1), &value)) return false;
    (*query)[name] = value;
  }
  return true;
}

// Takes "/path?query", and the absolute form "http://host/path?query" that proxies send (RFC 9112, section 3.2).
bool ParseTarget(std::string_view target, HttpRequest* request) {
  target = target.substr(0, target.find('#'));
  if (size_t scheme = target.find("://"); !target.empty() && target[0] != '/' && scheme != std::string_view::npos) {
    size_t path = target.find_first_of("/?", scheme + 3);
    target = path == std::string_view::npos ? std::string_view() : target.substr(path);
  }
  size_t mark = std::min(target.find('?'), target.size());
  if (!PercentDecode(target.substr(0, mark), &request->path)) return false;
  if (request->path.empty()) request->path.push_back('/');
  return mark == target.size() || ParseQuery(target.substr(mark + 1), &request->query);
}

const char* ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return status < 400 ? "OK" : "Error";
  }
}

// A line break in a header's value would begin another header.
std::string HeaderValue(std::string value) {
  std::replace_if(
      value.begin(), value.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
  return value;
}

}  // namespace

HttpResponse HttpError(int status, std::string_view message) {
  HttpResponse response;
  response.status = status;
  nlohmann::json body = {{"error", std::string(message)}};
  response.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return response;
}

std::string RenderResponse(const HttpResponse& response, bool keep_alive) {
  bool has_body = response.status >= 200 && response.status != 204 && response.status != 304;
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", response.status, ReasonPhrase(response.status));
  if (has_body) {
    out += fmt::format("content-type: {}\r\n", HeaderValue(response.content_type));
    if (!response.stream) out += fmt::format("content-length: {}\r\n", response.body.size());
  }
  out += fmt::format("connection: {}\r\n", keep_alive && !response.stream ? "keep-alive" : "close");
  for (const auto& [name, value] : response.headers) out += fmt::format("{}: {}\r\n", name, HeaderValue(value));
  out += "\r\n";
  if (has_body) out += response.body;
  return out;
}

struct HttpParser::State {
  explicit State(Kind kind);
  void StartMessage();
  int Refuse(int status, std::string why);
  int OnHeadersComplete();
  int OnHeaderComplete();
  int OnBody(const char* at, size_t size);
  Result Fail(int status, std::string why);
  Result FailFromLlhttp();

  const Kind kind;
  llhttp_t llhttp;
  llhttp_settings_t settings;

  HttpRequest message;  // for responses only headers and body are used
  int status = 0;
  std::string url, header_name, header_value;
  bool head_done = false, complete = false;
  size_t wire_bytes = 0;  // of this message, so far

  int error_status = 0;  // 0: none yet. Once set, it stays
  std::string error;
};

namespace {

// llhttp's C callbacks. `Self` is HttpParser::State, which is private.
template <typename Self>
struct Callbacks {
  static Self* Of(llhttp_t* parser) { return static_cast<Self*>(parser->data); }

  static int OnUrl(llhttp_t* parser, const char* at, size_t size) {
    Of(parser)->url.append(at, size);
    return HPE_OK;
  }
  static int OnHeaderName(llhttp_t* parser, const char* at, size_t size) {
    if (!Of(parser)->head_done) Of(parser)->header_name.append(at, size);
    return HPE_OK;
  }
  static int OnHeaderValue(llhttp_t* parser, const char* at, size_t size) {
    if (!Of(parser)->head_done) Of(parser)->header_value.append(at, size);
    return HPE_OK;
  }
  static int OnHeaderComplete(llhttp_t* parser) { return Of(parser)->OnHeaderComplete(); }
  static int OnHeadersComplete(llhttp_t* parser) { return Of(parser)->OnHeadersComplete(); }
  static int OnBody(llhttp_t* parser, const char* at, size_t size) { return Of(parser)->OnBody(at, size); }
  static int OnMessageComplete(llhttp_t* parser) {
    Of(parser)->complete = true;
    return HPE_PAUSED;  // so that what follows stays with the caller
  }
};

}  // namespace

HttpParser::State::State(Kind kind) : kind(kind) {
  using Static = Callbacks<State>;
  llhttp_settings_init(&settings);
  settings.on_url = Static::OnUrl;
  settings.on_header_field = Static::OnHeaderName;
  settings.on_header_value = Static::OnHeaderValue;
  settings.on_header_value_complete = Static::OnHeaderComplete;
  settings.on_headers_complete = Static::OnHeadersComplete;
  settings.on_body = Static::OnBody;
  settings.on_message_complete = Static::OnMessageComplete;
  StartMessage();
}

// A fresh llhttp for each message: nothing that one message said can reach into the next.
void HttpParser::State::StartMessage() {
  llhttp_init(&llhttp, kind == Kind::kRequests ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
  llhttp.data = this;
  message = HttpRequest();
  status = 0;
  url.clear();
  header_name.clear();
  header_value.clear();
  head_done = complete = false;
  wire_bytes = 0;
}

// From a callback: stops llhttp.
int HttpParser::State::Refuse(int status, std::string why) {
  Fail(status, std::move(why));
  return -1;
}

int HttpParser::State::OnHeaderComplete() {
  if (head_done) return HPE_OK;  // a trailer: not kept
  // llhttp is built without its strict mode here, and lets spaces into names.
  if (header_name.empty() || !std::all_of(header_name.begin(), header_name.end(), IsTokenChar)) {
    return Refuse(400, "malformed HTTP: bad header name");
  }
  for (char& c : header_name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  header_value.resize(header_value.find_last_not_of(" \t") + 1);
  auto [at, is_new] = message.headers.try_emplace(header_name, header_value);
  if (!is_new) at->second.append(", ").append(header_value);
  header_name.clear();
  header_value.clear();
  return HPE_OK;
}

int HttpParser::State::OnHeadersComplete() {
  head_done = true;
  status = llhttp.status_code;
  if (llhttp.http_major != 1) return Refuse(400, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  if (kind == Kind::kRequests) {
    message.method = llhttp_method_name(static_cast<llhttp_method_t>(llhttp.method));
    if (!ParseTarget(url, &message)) return Refuse(400, "bad percent escape in the request's target");
  }
  if (message.headers.count("transfer-encoding") && message.headers.count("content-length")) {
    return Refuse(400, "transfer-encoding and content-length exclude each other");
  }
  message.keep_alive = llhttp_should_keep_alive(&llhttp) != 0;
  llhttp.upgrade = 0;  // offers to change the protocol are declined by going on as if there were none
  if (message.headers.count("content-length") && llhttp.content_length > kMaxHttpBodyBytes) {
    return Refuse(413, fmt::format("body larger than {} bytes", kMaxHttpBodyBytes));
  }
  return HPE_OK;
}

int HttpParser::State::OnBody(const char* at, size_t size) {
  if (size > kMaxHttpBodyBytes - message.body.size()) {
    return Refuse(413, fmt::format("body larger than {} bytes", kMaxHttpBodyBytes));
  }
  message.body.append(at, size);
  return HPE_OK;
}

HttpParser::Result HttpParser::State::Fail(int status, std::string why) {
  if (error_status == 0) {
    error_status = status;
    error = std::move(why);
  }
  return Result::kError;
}

HttpParser::Result HttpParser::State::FailFromLlhttp() {
  const char* reason = llhttp_get_error_reason(&llhttp);
  return Fail(400, fmt::format("malformed HTTP: {}", reason != nullptr && *reason ? reason : "unexpected bytes"));
}

HttpParser::HttpParser(Kind kind) : state_(std::make_unique<State>(kind)) {}
HttpParser::~HttpParser() = default;

HttpParser::Result HttpParser::Feed(std::string_view bytes, size_t* consumed) {
  State& s = *state_;
  *consumed = 0;
  if (s.error_status != 0) return Result::kError;
  if (s.complete) s.StartMessage();
  while (*consumed < bytes.size()) {
    // What is in one slice can't reach beyond the limit, so nothing is kept beyond it either.
    size_t room = (s.head_done ? kMaxHttpWireBytes : kMaxHttpHeadBytes) - s.wire_bytes;
    std::string_view slice = bytes.substr(*consumed, room);
    llhttp_errno_t error = llhttp_execute(&s.llhttp, slice.data(), slice.size());
    if (s.error_status != 0) return Result::kError;
    if (s.complete) {
      *consumed += llhttp_get_error_pos(&s.llhttp) - slice.data();
      return Result::kDone;
    }
    if (error != HPE_OK) return s.FailFromLlhttp();
    *consumed += slice.size();
    s.wire_bytes += slice.size();
    if (!s.head_done && s.wire_bytes >= kMaxHttpHeadBytes) {
      return s.Fail(431, fmt::format("head larger than {} bytes", kMaxHttpHeadBytes));
    }
    if (s.wire_bytes >= kMaxHttpWireBytes) return s.Fail(413, "body in too many pieces");
  }
  return Result::kNeedMore;
}

HttpParser::Result HttpParser::Finish() {
  State& s = *state_;
  if (s.error_status != 0) return Result::kError;
  if (!s.complete && s.head_done && llhttp_message_needs_eof(&s.llhttp)) {
    llhttp_finish(&s.llhttp);
    if (s.complete) return Result::kDone;
  }
  return s.Fail(400, "the connection ended before a whole message had come");
}

HttpRequest& HttpParser::request() {
  return state_->message;
}
int HttpParser::response_status() const {
  return state_->status;
}
const std::string& HttpParser::response_body() const {
  return state_->message.body;
}
int HttpParser::error_status() const {
  return state_->error_status;
}
const std::string& HttpParser::error() const {
  return state_->error;
}

}  // namespace crossfade
