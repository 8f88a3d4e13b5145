// Any bytes on the admin port: parsed whole, byte by byte and in pieces they give the same messages and the same error,
// in both directions, within the limits; and the server on a connection of its own answers each request that the parser
// has found, in order, with responses that parse, and holds nothing beyond its limits. The first input byte chooses the
// pieces' size and direction, the second how the server's handler answers, with a stream among other things.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/http_server.h"
#include "tests/fuzz/require.h"
#include "tests/proxy/fake_io.h"

namespace crossfade {
namespace {

constexpr uint16_t kPort = 6401;
constexpr size_t kMostUnsent = (64 << 10) + kMaxHttpHeadBytes + 1024;  // and one answer, whose body is a path

struct Outcome {
  std::vector<std::string> messages;
  int error_status = 0;
  std::string error;

  bool operator==(const Outcome&) const = default;
};

size_t TotalBytes(const std::map<std::string, std::string>& fields) {
  size_t total = 0;
  for (const auto& [name, value] : fields) total += name.size() + value.size();
  return total;
}

std::string Flat(const HttpParser& parser, HttpParser::Kind kind, const HttpRequest& request) {
  std::string out = kind == HttpParser::Kind::kResponses ? std::to_string(parser.response_status()) : request.method;
  out += ' ' + request.path + (request.keep_alive ? " keep\n" : " close\n");
  for (const auto& [name, value] : request.query) out += name + '=' + value + '\n';
  for (const auto& [name, value] : request.headers) out += name + ": " + value + '\n';
  return out + request.body;
}

void RequireBounded(const HttpRequest& request) {
  Require(request.body.size() <= kMaxHttpBodyBytes, "a body is within its limit");
  // Several headers of one name are joined by ", ", which is shorter than what was between them.
  Require(TotalBytes(request.headers) <= kMaxHttpHeadBytes, "headers are within the head's limit");
  Require(TotalBytes(request.query) + request.path.size() <= kMaxHttpHeadBytes + 1, "so is the target");
  for (const auto& [name, value] : request.headers) {
    Require(name.find_first_of(" \t\r\n:") == std::string::npos, "a header's name is a token");
    Require(value.find_first_of("\r\n") == std::string::npos, "a header's value is one line");
  }
}

Outcome ParseInPieces(HttpParser::Kind kind, std::string_view stream, size_t piece) {
  HttpParser parser(kind);
  Outcome outcome;
  for (size_t start = 0; start < stream.size();) {
    const ExactBlock block(stream.substr(start, piece));
    std::string_view unread = block.view();
    start += unread.size();
    while (!unread.empty()) {
      size_t consumed = 0;
      const HttpParser::Result result = parser.Feed(unread, &consumed);
      if (result == HttpParser::Result::kError) {
        outcome.error_status = parser.error_status();
        outcome.error = parser.error();
        Require(outcome.error_status == 400 || outcome.error_status == 413 || outcome.error_status == 431,
                "an error has its status");
        return outcome;
      }
      Require(consumed <= unread.size(), "no more is consumed than there is");
      unread.remove_prefix(consumed);
      if (result == HttpParser::Result::kNeedMore) {
        Require(unread.empty(), "all is consumed when more is needed");
        break;
      }
      RequireBounded(parser.request());
      outcome.messages.push_back(Flat(parser, kind, parser.request()));
      Require(outcome.messages.size() <= stream.size(), "a message takes a byte at least");
    }
  }
  if (parser.Finish() == HttpParser::Result::kDone) outcome.messages.push_back(Flat(parser, kind, parser.request()));
  return outcome;
}

void RequireResponses(std::string_view written, size_t least, size_t most) {
  HttpParser parser(HttpParser::Kind::kResponses);
  size_t count = 0;
  while (!written.empty()) {
    size_t consumed = 0;
    const HttpParser::Result result = parser.Feed(written, &consumed);
    // The answer to HEAD says how long a body would be, and has none: what follows is read as that.
    if (result != HttpParser::Result::kDone) return;
    written.remove_prefix(consumed);
    ++count;
  }
  Require(count >= least && count <= most, "each request has one answer");
}

void Serve(std::string_view stream, uint8_t choice, size_t piece) {
  FakeIo io;
  const LimitsConfig limits;
  std::vector<HttpServer::Responder> waiting;
  std::vector<std::string> seen;
  bool head = false;
  const auto serve = [&](const HttpRequest& request, auto respond) {
    RequireBounded(request);
    seen.push_back(request.path);
    head |= stream.find("HEAD") != std::string_view::npos;
    HttpResponse response;
    response.body = request.path;
    response.stream = (choice & 32) != 0;
    if (choice & 1) return waiting.push_back(std::move(respond));
    respond(std::move(response));
  };
  auto server = *HttpServer::Start(&io, Address{"127.0.0.1", kPort}, &limits, serve);
  FakePeerPtr peer = io.Dial(kPort);
  peer->stalled = (choice & 2) != 0;
  size_t answered = 0;
  const auto answer_all = [&] {
    while (answered < waiting.size()) {
      const HttpServer::Responder respond = waiting[answered++];  // the next request may come inside the call
      HttpResponse late;
      late.stream = (choice & 32) != 0;
      respond(std::move(late));
    }
  };
  for (size_t start = 0; start < stream.size(); start += piece) {
    peer->Deliver(stream.substr(start, piece));
    server->Publish("a piece of all that is published");
    Require(server->streams() <= 1 && peer->unsent_bytes() <= kMostUnsent, "a stream keeps within its bounds");
    Require(waiting.size() <= answered + 1, "one request of a connection is answered at a time");
    if (!(choice & 4)) continue;
    answer_all();
    peer->Drain();
    io.clock()->AdvanceUs(1 + choice);
  }
  answer_all();
  // A stream ends with its peer alone.
  if (choice & (8 | 32)) peer->CloseByPeer();
  // A peer that takes an answer may have asked for the next thing already.
  do {
    answer_all();
    peer->Drain();
  } while (answered < waiting.size());
  io.clock()->Advance(2 * kHttpRequestTimeoutMs + 1);
  peer->Drain();
  io.clock()->Advance(2 * kHttpRequestTimeoutMs + 1);
  Require(peer->destroyed, "no connection outlives its time");
  // One more than were handed over: what was no request, or did not come in time.
  if (!head && !(choice & 32)) RequireResponses(peer->written, (choice & 8) ? 0 : seen.size(), seen.size() + 1);
  server.reset();
  for (HttpServer::Responder& respond : waiting) respond({});  // too late, and without effect
}

}  // namespace
}  // namespace crossfade

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace crossfade;
  if (size < 2) return 0;
  const std::string_view stream = InputText(data + 2, size - 2);
  const size_t piece = 2 + data[0] % 64;
  const auto kind = data[0] & 128 ? HttpParser::Kind::kResponses : HttpParser::Kind::kRequests;
  const Outcome whole = ParseInPieces(kind, stream, size);
  Require(ParseInPieces(kind, stream, 1) == whole, "a byte at a time gives the same");
  Require(ParseInPieces(kind, stream, piece) == whole, "pieces give the same");
  Serve(stream, data[1], data[1] & 16 ? piece : size);
  return 0;
}
