#include "proxy/client.h"

#include <algorithm>
#include <utility>

#include "protocol/check.h"
#include "protocol/resp_writer.h"

namespace crossfade {

namespace {
constexpr size_t kKeptReplyBytes = 4096;

// Some browsers and scanners find the port: a server closes on them without a word (networking.c, securityWarning).
bool IsHttp(RequestView request) {
  return request.argc() > 0 && (EqualsIgnoreCase(request.arg(0), "POST") || EqualsIgnoreCase(request.arg(0), "Host:"));
}
}  // namespace

Client::Client(uint64_t id, std::unique_ptr<Stream> stream, const LimitsConfig* limits, const ServiceFacts* facts,
               Owner* owner)
    : stream_(std::move(stream)), limits_(limits), owner_(owner), session_(id, stream_->peer(), facts) {
  stream_->SetListener(this);
  stream_->SetReading(true);
}

Client::~Client() = default;

bool Client::MayTake() const {
  // As many as the limit allows, fewer if their answers are large: these must be held if the client doesn't read.
  const size_t room = std::max<size_t>(1, kInFlightBytes / reply_bytes_);
  return !owner_->Holding() && replies_.size() < std::min(room, static_cast<size_t>(limits_->client_pipeline)) &&
         stream_->unsent_bytes() < static_cast<size_t>(limits_->client_output_bytes);
}

void Client::NoteReplySize(size_t bytes) {
  reply_bytes_ = std::max(bytes, reply_bytes_ - reply_bytes_ / 8 + bytes / 8);
}

void Client::OnRead(std::string_view bytes) {
  Process(bytes);
}

void Client::Process(std::string_view fresh) {
  std::string_view unread = input_.Join(fresh);
  while (!unread.empty() && !closing_ && !close_after_replies_) {
    if (!MayTake()) {
      Pause();
      break;
    }
    RequestView request;
    size_t consumed = 0;
    const ParseResult result = parser_.Parse(unread, &request, &consumed);
    if (result == ParseResult::kNeedMore) break;
    if (result == ParseResult::kError) {
      const uint64_t sequence = replies_.end();
      replies_.Push().answered = false;
      scratch_.clear();
      AppendError(&scratch_, parser_.error());
      close_after_replies_ = true;
      stream_->SetReading(false);
      Answer(sequence, scratch_);
      return;
    }
    unread.remove_prefix(consumed);
    if (request.argc() > 0) Handle(request);
  }
  input_.Keep(unread, parser_.wanted_bytes());
}

void Client::Handle(RequestView request) {
  if (IsHttp(request)) return CloseAfterReplies();
  const ReplyTo to{id(), replies_.end()};
  PendingReply& pending = replies_.Push();
  pending.answered = false;
  pending.bytes.clear();
  scratch_.clear();
  const Plan plan = MakePlan(request, &session_, &scratch_);
  switch (plan.act) {
    case Plan::Act::kAnswerClose:
      close_after_replies_ = true;
      stream_->SetReading(false);
      [[fallthrough]];
    case Plan::Act::kAnswer:
      return Answer(to.sequence, scratch_);
    case Plan::Act::kRead:
    case Plan::Act::kWrite:
    case Plan::Act::kBoth:
    case Plan::Act::kTransaction:
      return owner_->OnRequest(this, plan, request, to);
  }
}

void Client::Answer(uint64_t sequence, std::string_view reply) {
  if (closing_ || !replies_.Contains(sequence) || replies_[sequence].answered) return;
  NoteReplySize(reply.size());
  if (sequence != replies_.begin()) {
    replies_[sequence].answered = true;
    replies_[sequence].bytes = reply;
    return;
  }
  stream_->Write(reply);
  replies_.Pop();
  FlushAnswered();
}

void Client::FlushAnswered() {
  while (!replies_.empty() && replies_.front().answered) {
    PendingReply& front = replies_.front();
    stream_->Write(front.bytes);
    if (front.bytes.capacity() > kKeptReplyBytes) std::string().swap(front.bytes);
    replies_.Pop();
  }
  if (replies_.empty() && close_after_replies_) return CloseAfterReplies();
  if (paused_ && MayTake()) owner_->OnPaused(this);
}

void Client::CloseAfterReplies() {
  if (closing_) return;
  closing_ = true;
  stream_->CloseAfterFlush();
}

void Client::Refuse(std::string_view error) {
  scratch_.clear();
  AppendError(&scratch_, error);
  stream_->Write(scratch_);
  CloseAfterReplies();
}

void Client::Pause() {
  paused_ = true;
  stream_->SetReading(false);
  // Held by a flip: nobody else knows that we wait. Otherwise an answer or OnDrained finds us.
  if (owner_->Holding()) owner_->OnPaused(this);
}

void Client::Resume() {
  if (!paused_ || closing_ || !MayTake()) return;
  paused_ = false;
  Process({});
  if (!paused_ && !closing_ && !close_after_replies_) stream_->SetReading(true);
}

void Client::OnDrained() {
  if (paused_ && !closing_ && MayTake()) owner_->OnPaused(this);
}

void Client::OnClosed(const absl::Status&) {
  closing_ = true;
  owner_->OnGone(this);
}

}  // namespace crossfade
