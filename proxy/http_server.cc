// One HttpConnection per peer, in one of six states:
//
//   reading   → answering   a whole request has come; the handler owes its answer. Nothing is read meanwhile
//   answering → reading     answered, and the peer takes what it is sent
//   answering → flushing    answered, but more than kMaxUnsentBytes wait to be taken
//   answering → streaming   the answer is a stream: what is published is appended. What the peer says is not looked at
//   any       → closing     the last answer is on its way; what still comes is not looked at
//   any       → dead        in the server's graveyard until the next turn: nobody dies inside its own callback
//
// So a connection holds one request of the parser's limits, one read's worth of what came behind it, and
// kMaxUnsentBytes and one answer of output; a stream its beginning, or kMaxUnsentBytes.
#include "proxy/http_server.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace crossfade {
namespace {

constexpr size_t kMaxUnsentBytes = 64 << 10;  // beyond: the next request waits, and a stream loses what is published
constexpr int kMaxRefusedConnections = 64;    // that are being told 503; beyond: closed without a word
constexpr int64_t kStallCheckMs = 1000;       // how often it is asked whether the peer has taken something

class HttpServerImpl;

class HttpConnection : public Stream::Listener {
 public:
  HttpConnection(HttpServerImpl* server, uint64_t id, std::unique_ptr<Stream> stream);

  // Begins reading requests.
  void Serve() { Enter(State::kReading); }
  // Sends one last answer, then closes.
  void RefuseAndClose(int status, std::string_view why);
  // The answer to request number `number`; a second answer, or one to another request, is ignored.
  void Answer(uint64_t number, const HttpResponse& response);
  bool streaming() const { return state_ == State::kStreaming; }
  // False: there was no room. REQUIRES: streaming().
  bool Append(std::string_view piece);

  void OnRead(std::string_view bytes) override;
  void OnClosed(const absl::Status& why) override;
  void OnDrained() override;

 private:
  enum class State { kReading, kAnswering, kFlushing, kStreaming, kClosing, kDead };

  void Enter(State state);
  void Pump();
  void ReadOneRequest();
  void Handle();
  void OnTimer();
  void Send(const HttpResponse& response, bool keep_alive);

  HttpServerImpl* const server_;
  const uint64_t id_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Timer> timer_;
  HttpParser parser_{HttpParser::Kind::kRequests};
  State state_ = State::kFlushing;
  bool pumping_ = false;         // Pump is on the stack
  bool request_begun_ = false;   // reading: the request's first bytes have come
  bool omit_body_ = false;       // the request is a HEAD
  bool keep_alive_ = true;       // what the request asked for
  uint64_t request_number_ = 0;  // of the request being answered
  std::string input_;            // came, but not parsed yet: input_ from input_at_ on
  size_t input_at_ = 0;
  size_t unsent_bytes_ = 0;  // at the last check for a stall
  int64_t stalled_ms_ = 0;
};

class HttpServerImpl : public HttpServer {
 public:
  HttpServerImpl(Io* io, const LimitsConfig* limits, Handler handler)
      : io_(io), limits_(limits), handler_(std::move(handler)) {
    undertaker_ = io->clock()->MakeTimer([this] { graveyard_.clear(); });
  }

  absl::Status Listen(const Address& address) {
    auto listening = io_->Listen(address, [this](std::unique_ptr<Stream> stream) { OnAccept(std::move(stream)); });
    if (!listening.ok()) return listening.status();
    listening_ = *std::move(listening);
    return absl::OkStatus();
  }

  Address address() const override { return listening_->address(); }
  size_t connections() const override { return connections_.size(); }
  uint64_t refused() const override { return refused_; }
  uint64_t pieces_lost() const override { return pieces_lost_; }
  size_t streams() const override {
    return static_cast<size_t>(std::count_if(connections_.begin(), connections_.end(),
                                             [](const auto& entry) { return entry.second->streaming(); }));
  }
  void Publish(std::string_view piece) override {
    for (auto& [id, connection] : connections_) {
      if (connection->streaming() && !connection->Append(piece)) ++pieces_lost_;
    }
  }
  bool RoomForStream() const { return streams() < static_cast<size_t>(limits_->admin_connections) / 2; }
  Clock* clock() { return io_->clock(); }

  void Handle(const HttpRequest& request, uint64_t connection, uint64_t number) {
    std::weak_ptr<HttpServerImpl*> weak = self_;
    handler_(request, [weak, connection, number](const HttpResponse& response) {
      auto self = weak.lock();
      if (self == nullptr) return;
      auto& connections = (*self)->connections_;
      auto found = connections.find(connection);
      if (found != connections.end()) found->second->Answer(number, response);
    });
  }

  void Bury(uint64_t id) {
    auto found = connections_.find(id);
    graveyard_.push_back(std::move(found->second));
    connections_.erase(found);
    undertaker_->Start(0, 0);
  }

 private:
  void OnAccept(std::unique_ptr<Stream> stream) {
    const auto limit = static_cast<size_t>(limits_->admin_connections);
    const bool refuse = connections_.size() >= limit;
    if (refuse) ++refused_;
    if (connections_.size() >= limit + kMaxRefusedConnections) return;
    const uint64_t id = ++last_id_;
    auto& connection = connections_[id];
    connection = std::make_unique<HttpConnection>(this, id, std::move(stream));
    if (refuse) {
      connection->RefuseAndClose(503, "too many connections to the admin port; try again later");
    } else {
      connection->Serve();
    }
  }

  Io* const io_;
  const LimitsConfig* const limits_;
  const Handler handler_;
  // No second owner: responders hold weak_ptrs to it, by which they see that the server is gone.
  const std::shared_ptr<HttpServerImpl*> self_ = std::make_shared<HttpServerImpl*>(this);
  uint64_t last_id_ = 0, refused_ = 0, pieces_lost_ = 0;
  std::map<uint64_t, std::unique_ptr<HttpConnection>> connections_;
  std::vector<std::unique_ptr<HttpConnection>> graveyard_;
  std::unique_ptr<Timer> undertaker_;
  std::unique_ptr<Listening> listening_;  // last: nothing is accepted once the rest begins to go
};

HttpConnection::HttpConnection(HttpServerImpl* server, uint64_t id, std::unique_ptr<Stream> stream)
    : server_(server), id_(id), stream_(std::move(stream)) {
  timer_ = server_->clock()->MakeTimer([this] { OnTimer(); });
  stream_->SetListener(this);
}

// The one place where the state changes, with what each state waits for.
void HttpConnection::Enter(State state) {
  state_ = state;
  stream_->SetReading(state == State::kReading || state == State::kStreaming);  // else nobody sees that a peer leaves
  switch (state) {
    case State::kReading:
      request_begun_ = false;
      timer_->Start(kHttpRequestTimeoutMs, 0);
      break;
    case State::kAnswering:
      timer_->Stop();  // the handler answers for its own time
      break;
    case State::kFlushing:
    case State::kStreaming:
    case State::kClosing:
      unsent_bytes_ = stream_->unsent_bytes();
      stalled_ms_ = 0;
      timer_->Start(kStallCheckMs, kStallCheckMs);
      if (state == State::kClosing) stream_->CloseAfterFlush();
      break;
    case State::kDead:
      timer_->Stop();
      server_->Bury(id_);
      break;
  }
}

void HttpConnection::OnRead(std::string_view bytes) {
  if (state_ == State::kStreaming || state_ == State::kClosing || state_ == State::kDead) return;
  input_.append(bytes);
  Pump();
}

void HttpConnection::OnClosed(const absl::Status&) {
  if (state_ != State::kDead) Enter(State::kDead);
}

void HttpConnection::OnDrained() {
  stalled_ms_ = 0;
  if (state_ != State::kFlushing || stream_->unsent_bytes() > kMaxUnsentBytes) return;
  Enter(State::kReading);
  Pump();
}

void HttpConnection::OnTimer() {
  if (state_ == State::kReading) {
    if (!request_begun_) return Enter(State::kDead);  // idle
    return RefuseAndClose(408, "the request took too long to arrive");
  }
  if (state_ == State::kFlushing && stream_->unsent_bytes() <= kMaxUnsentBytes) return OnDrained();
  const size_t unsent = stream_->unsent_bytes();
  stalled_ms_ = unsent < unsent_bytes_ || (unsent == 0 && streaming()) ? 0 : stalled_ms_ + kStallCheckMs;
  unsent_bytes_ = unsent;
  if (stalled_ms_ >= kHttpRequestTimeoutMs) Enter(State::kDead);
}

// Takes requests out of the input for as long as each is answered at once. Handlers answer from inside it or later.
void HttpConnection::Pump() {
  if (pumping_) return;
  pumping_ = true;
  while (state_ == State::kReading && input_at_ < input_.size()) ReadOneRequest();
  pumping_ = false;
  input_.erase(0, input_at_);
  input_at_ = 0;
}

void HttpConnection::ReadOneRequest() {
  size_t consumed = 0;
  HttpParser::Result result = parser_.Feed(std::string_view(input_).substr(input_at_), &consumed);
  input_at_ += consumed;
  switch (result) {
    case HttpParser::Result::kNeedMore:
      if (!request_begun_) timer_->Start(kHttpRequestTimeoutMs, 0);
      request_begun_ = true;
      break;
    case HttpParser::Result::kDone:
      Handle();
      break;
    case HttpParser::Result::kError:
      input_at_ = input_.size();
      RefuseAndClose(parser_.error_status(), parser_.error());
      break;
  }
}

void HttpConnection::Handle() {
  HttpRequest& request = parser_.request();
  keep_alive_ = request.keep_alive;
  omit_body_ = request.method == "HEAD";
  if (omit_body_) request.method = "GET";  // the same answer, of which only the head is sent
  request.peer = stream_->peer();
  Enter(State::kAnswering);
  server_->Handle(request, id_, ++request_number_);
}

void HttpConnection::Answer(uint64_t number, const HttpResponse& response) {
  if (state_ != State::kAnswering || number != request_number_) return;
  if (response.stream && !server_->RoomForStream()) {
    return RefuseAndClose(503, "too many streams from the admin port; try again later");
  }
  Send(response, keep_alive_);
  if (response.stream && !omit_body_) return Enter(State::kStreaming);
  if (!keep_alive_ || response.stream) return Enter(State::kClosing);
  if (stream_->unsent_bytes() > kMaxUnsentBytes) return Enter(State::kFlushing);
  Enter(State::kReading);
  Pump();
}

bool HttpConnection::Append(std::string_view piece) {
  if (stream_->unsent_bytes() + piece.size() > kMaxUnsentBytes) return false;
  stream_->Write(piece);
  return true;
}

void HttpConnection::RefuseAndClose(int status, std::string_view why) {
  omit_body_ = false;
  Send(HttpError(status, why), false);
  Enter(State::kClosing);
}

void HttpConnection::Send(const HttpResponse& response, bool keep_alive) {
  std::string bytes = RenderResponse(response, keep_alive);
  if (omit_body_) bytes.resize(bytes.find("\r\n\r\n") + 4);
  stream_->Write(bytes);
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Io* io, const Address& address,
                                                              const LimitsConfig* limits, Handler handler) {
  auto server = std::make_unique<HttpServerImpl>(io, limits, std::move(handler));
  absl::Status listening = server->Listen(address);
  if (!listening.ok()) return listening;
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace crossfade
