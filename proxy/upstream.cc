#include "proxy/upstream.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "protocol/check.h"
#include "protocol/fault.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

namespace {
constexpr int64_t kFirstPauseMs = 20;
}

Upstream::Upstream(Io* io, const BackendConfig& backend, const TimeoutsConfig* timeouts, Owner* owner)
    : io_(io), backend_(backend), timeouts_(timeouts), owner_(owner) {
  timer_ = io_->clock()->MakeTimer([this] {
    if (state_ == State::kWaiting) {
      Connect();
    } else {
      Fail(absl::DeadlineExceededError(fmt::format("no answer to the handshake within {} ms", timeouts_->connect_ms)));
    }
  });
}

Upstream::~Upstream() = default;

void Upstream::Start() {
  timer_->Start(0, 0);
}

const char* Upstream::StateWord() const {
  if (state_ == State::kUp) return "up";
  if (loading_) return "loading";
  return info_.product.empty() && last_error_.empty() ? "connecting" : "down";
}

void Upstream::Move(State to) {
  const bool allowed = to == State::kWaiting || static_cast<int>(to) == static_cast<int>(state_) + 1;
  CHECK(allowed);
  state_ = to;
}

void Upstream::Connect() {
  Move(State::kConnecting);
  connecting_ =
      io_->Connect(backend_.address, timeouts_->connect_ms, [this](absl::StatusOr<std::unique_ptr<Stream>> result) {
        connecting_.reset();
        if (!result.ok()) {
          loading_ = false;  // nobody is there any more
          return Fail(result.status());
        }
        stream_ = std::move(*result);
        stream_->SetListener(this);
        stream_->SetReading(true);
        Move(State::kHandshake);
        SendHandshake();
      });
}

void Upstream::SendHandshake() {
  timer_->Start(timeouts_->connect_ms, 0);
  parser_.Reset();
  input_ = InputBuffer();
  greeting_ = ServerInfo();
  handshake_error_ = absl::OkStatus();
  steps_.clear();
  step_ = 0;
  std::string out;
  const auto ask = [&](Step step, std::initializer_list<std::string_view> command) {
    steps_.push_back(step);
    AppendCommand(&out, command);
  };
  if (!backend_.password.empty()) {
    if (backend_.user.empty()) {
      ask(Step::kAuth, {"AUTH", backend_.password});
    } else {
      ask(Step::kAuth, {"AUTH", backend_.user, backend_.password});
    }
  }
  ask(Step::kHello, {"HELLO", "3"});
  ask(Step::kInfo, {"INFO"});
  ask(Step::kDatabases, {"CONFIG", "GET", "databases"});
  ask(Step::kName, {"CLIENT", "SETNAME", name_});
  ask(Step::kId, {"CLIENT", "ID"});
  if (end_namesakes_ && !FAULT(kKeepStaleConnection)) ask(Step::kList, {"CLIENT", "LIST"});
  stream_->Write(out);
}

void Upstream::OnHandshakeReply(std::string_view bytes) {
  const Reply reply = ParseReply(bytes);
  const std::string text(reply.text);
  switch (steps_[step_++]) {
    case Step::kAuth:
      if (reply.is_error()) handshake_error_ = absl::UnauthenticatedError("login refused: " + text);
      break;
    case Step::kHello:
      greeting_.resp3 = !reply.is_error();
      break;
    case Step::kInfo:
      if (reply.is_error()) {
        loading_ = ErrorCode(bytes) == "LOADING";
        handshake_error_.Update(absl::UnavailableError(
            ErrorCode(bytes) == "NOAUTH" ? "it asks for a password: put user:password@ into its URL" : text));
      } else {
        ParseInfo(reply.text, io_->clock()->WallMs(), &greeting_);
        // While it loads, what it holds grows under our eyes; wait until it is all there.
        loading_ = reply.text.find("\nloading:1") != std::string_view::npos;
        if (loading_) handshake_error_.Update(absl::UnavailableError("it is loading its data set"));
      }
      break;
    case Step::kDatabases:
      if (reply.items.size() == 2) greeting_.databases = ReadDatabases(reply.items[1].text);
      break;
    case Step::kId:
      greeting_.connection_id = reply.integer;
      break;
    case Step::kName:
      break;  // some services refuse names
    case Step::kList:
      if (reply.is_error()) {
        greeting_.kill_refused = text;
      } else {
        EndNamesakes(reply.text);
      }
      break;
    case Step::kKill:
      // "No such client" is the usual answer: it is gone already.
      if (reply.is_error() && reply.text.find("No such client") == std::string_view::npos)
        greeting_.kill_refused = text;
      break;
  }
  if (step_ < steps_.size()) return;
  if (!handshake_error_.ok()) return Fail(handshake_error_);
  end_namesakes_ = false;
  // Ids start over in a new process: there ours could be somebody else's, and nothing of ours has survived anyway.
  if (steps_.back() != Step::kKill && info_.connection_id != 0 && SameProcess(info_, greeting_) &&
      !FAULT(kKeepStaleConnection)) {
    steps_.push_back(Step::kKill);
    std::string out;
    AppendCommand(&out, {"CLIENT", "KILL", "ID", std::to_string(info_.connection_id)});
    return stream_->Write(out);
  }
  timer_->Stop();
  pause_ms_ = 0;
  loading_ = false;
  info_ = greeting_;
  last_error_.clear();
  Move(State::kUp);
  owner_->OnUp();
}

// CLIENT LIST has a line for each connection, of fields such as id=7 and name=crossfade-1f00.
void Upstream::EndNamesakes(std::string_view client_list) {
  std::string out;
  while (!client_list.empty()) {
    const size_t end = std::min(client_list.find('\n'), client_list.size());
    const std::string_view line = client_list.substr(0, end);
    client_list.remove_prefix(std::min(end + 1, client_list.size()));
    if (!line.starts_with("id=") || line.find(" name=" + name_ + " ") == std::string_view::npos) continue;
    const std::string_view id = line.substr(3, line.find(' ') - 3);
    if (id == std::to_string(greeting_.connection_id)) continue;
    steps_.push_back(Step::kKill);
    AppendCommand(&out, {"CLIENT", "KILL", "ID", id});
  }
  if (!out.empty()) stream_->Write(out);
}

void Upstream::Send(std::string_view bytes) {
  CHECK(up());
  stream_->Write(bytes);
  NoteHeld();
}

void Upstream::OnRead(std::string_view bytes) {
  last_read_us_ = io_->clock()->NowUs();
  std::string_view unread = input_.Join(bytes);
  size_t size = 0;
  const Stream* const stream = stream_.get();
  while (!unread.empty()) {
    const ParseResult result = parser_.Parse(unread, &size);
    if (result == ParseResult::kNeedMore) break;
    if (result == ParseResult::kError) return Fail(absl::DataLossError(parser_.error()));
    const std::string_view reply = unread.substr(0, size);
    unread.remove_prefix(size);
    if (reply[0] == '>') continue;
    if (state_ == State::kHandshake) {
      OnHandshakeReply(reply);
    } else {
      owner_->OnReply(reply);
    }
    if (stream_.get() != stream) return;  // the reply made us hang up; the bytes are gone with the connection
  }
  input_.Keep(unread, parser_.wanted_bytes());
  NoteHeld();
}

void Upstream::OnClosed(const absl::Status& why) {
  Fail(why.ok() ? absl::UnavailableError("closed") : why);
}

void Upstream::Cut(const absl::Status& why) {
  Fail(why);
}

void Upstream::Fail(const absl::Status& why) {
  const bool was_up = up();
  Move(State::kWaiting);
  connecting_.reset();
  stream_.reset();
  NoteHeld();
  last_error_ = std::string(why.message());
  pause_ms_ = std::clamp(pause_ms_ * 2, kFirstPauseMs, timeouts_->reconnect_max_ms);
  timer_->Start(pause_ms_, 0);
  if (was_up) {
    owner_->OnDown(why);
  } else {
    owner_->OnUnreachable(why);
  }
}

}  // namespace crossfade
