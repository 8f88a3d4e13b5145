#include "proxy/private_connection.h"

#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

PrivateConnection::PrivateConnection(Io* io, const Address& address, int64_t connect_ms, State state, size_t* live,
                                     MemoryAccount* account)
    : io_(io), state_(state), live_(live), share_(account, MemoryAccount::Holder::kPrivate) {
  ++*live_;
  timer_ = io_->clock()->MakeTimer([this] { CheckDeadlines(); });
  connecting_ = io_->Connect(address, connect_ms, [this](absl::StatusOr<std::unique_ptr<Stream>> result) {
    connecting_.reset();
    if (!result.ok()) return Break(result.status());
    stream_ = std::move(*result);
    stream_->SetListener(this);
    stream_->SetReading(true);
    stream_->Write(std::exchange(waiting_, {}));
  });
}

PrivateConnection::~PrivateConnection() {
  --*live_;
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void PrivateConnection::Send(std::string_view commands) {
  if (broken_) return;
  if (stream_ != nullptr) {
    stream_->Write(commands);
  } else {
    waiting_.append(commands);
  }
  NoteHeld();
}

void PrivateConnection::Call(std::string_view commands, int replies, int64_t timeout_ms, Done done) {
  if (broken_) return done(absl::UnavailableError("the connection is gone"));
  Pending& call = calls_.emplace_back();
  call.left = replies;
  call.done = std::move(done);
  if (timeout_ms > 0) {
    call.deadline_us = io_->clock()->NowUs() + timeout_ms * 1000;
    if (!std::exchange(timer_on_, true)) timer_->Start(kDeadlineStepMs, kDeadlineStepMs);
  }
  Send(commands);
}

void PrivateConnection::Switch(int db, int protocol) {
  std::string commands;
  int count = 0;
  if (protocol != state_.protocol) {
    AppendCommand(&commands, {"HELLO", std::to_string(protocol)});
    ++count;
  }
  if (db != state_.db) {
    AppendCommand(&commands, {"SELECT", std::to_string(db)});
    ++count;
  }
  if (count == 0) return;
  state_.db = db;
  state_.protocol = protocol;
  Call(commands, count, 0, [this](const Replies& replies) {
    if (!replies.ok()) return;
    for (const std::string& reply : *replies) {
      if (IsErrorReply(reply)) return Break(absl::FailedPreconditionError("HELLO or SELECT was refused"));
    }
  });
}

void PrivateConnection::OnRead(std::string_view bytes) {
  bool destroyed = false;
  destroyed_ = &destroyed;
  std::string_view unread = input_.Join(bytes);
  size_t size = 0;
  while (!unread.empty()) {
    const ParseResult result = parser_.Parse(unread, &size);
    if (result == ParseResult::kNeedMore) break;
    if (result == ParseResult::kError) {
      destroyed_ = nullptr;
      return Break(absl::DataLossError(parser_.error()));
    }
    const std::string_view frame = unread.substr(0, size);
    unread.remove_prefix(size);
    OnFrame(frame);
    if (destroyed) return;
    if (broken_) break;
  }
  destroyed_ = nullptr;
  if (broken_) return;
  input_.Keep(unread, parser_.wanted_bytes());
  NoteHeld();
}

void PrivateConnection::OnFrame(std::string_view frame) {
  if (frame[0] == '>' || calls_.empty()) {
    if (on_frame_) on_frame_(frame);
    return;
  }
  Pending& call = calls_.front();
  call.replies.emplace_back(frame);
  reply_bytes_ += frame.size();
  if (--call.left > 0) return;
  reply_bytes_ = 0;
  const Pending over = std::move(call);
  calls_.pop_front();
  over.done(over.replies);
}

void PrivateConnection::OnClosed(const absl::Status& why) {
  Break(why.ok() ? absl::UnavailableError("closed") : why);
}

void PrivateConnection::Break(const absl::Status& why) {
  if (std::exchange(broken_, true)) return;
  timer_->Stop();
  connecting_.reset();
  stream_.reset();
  // From here on nothing of ours is touched: any of these may destroy us.
  const auto on_broken = std::move(on_broken_);
  const std::deque<Pending> calls = std::move(calls_);
  bool destroyed = false;
  bool* const outer = std::exchange(destroyed_, &destroyed);
  for (const Pending& call : calls) call.done(why);
  if (on_broken && !destroyed) on_broken(why);
  if (!destroyed) destroyed_ = outer;
  if (destroyed && outer != nullptr) *outer = true;
}

void PrivateConnection::CheckDeadlines() {
  const int64_t now_us = io_->clock()->NowUs();
  for (const Pending& call : calls_) {
    if (call.deadline_us == 0 || call.deadline_us > now_us) continue;
    return Break(absl::DeadlineExceededError("no reply in time"));
  }
}

}  // namespace crossfade
