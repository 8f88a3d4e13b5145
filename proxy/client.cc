#include "proxy/client.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "protocol/check.h"
#include "protocol/reply.h"
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
  return !owner_->Holding() && !alone_ &&
         replies_.size() < std::min(room, static_cast<size_t>(limits_->client_pipeline)) &&
         stream_->unsent_bytes() < static_cast<size_t>(limits_->client_output_bytes);
}

void Client::NoteReplySize(size_t bytes) {
  reply_bytes_ = std::max(bytes, reply_bytes_ - reply_bytes_ / 8 + bytes / 8);
}

void Client::OnRead(std::string_view bytes) {
  Process(bytes);
}

// Its next request must wait: for a flip, a command that runs alone, its own reading, or else its earlier requests.
void Client::NoteLimitReached() {
  if (!owner_->Holding() && !alone_ && !output_full_) owner_->OnLimit(this, ClientLimit::kPipeline);
}

// Whoever is paused has whole requests there too, at most one read of them.
void Client::CheckInput() {
  NoteInput();
  if (paused_ || closing_ || input_.size() <= static_cast<size_t>(limits_->client_input_bytes)) return;
  owner_->OnLimit(this, ClientLimit::kInput);
  Drop();
}

void Client::NoteInput() {
  input_share_.Set(input_.size() + session_.queued_bytes() + alone_bytes_);
}

void Client::NoteOutput() {
  const size_t unsent = stream_->unsent_bytes();
  output_share_.Set(unsent + kept_bytes_);
  const bool full = unsent >= static_cast<size_t>(limits_->client_output_bytes);
  if (full && !output_full_) owner_->OnLimit(this, ClientLimit::kOutput);
  output_full_ = full;
}

void Client::Process(std::string_view fresh) {
  processing_ = true;
  std::string_view unread = input_.Join(fresh);
  while (!unread.empty() && !closing_ && !close_after_replies_) {
    if (!MayTake()) {
      NoteLimitReached();
      Pause(unread.size());
      break;
    }
    RequestView request;
    size_t consumed = 0;
    const ParseResult result = parser_.Parse(unread, &request, &consumed);
    if (result == ParseResult::kNeedMore) break;
    if (result == ParseResult::kError) {
      const uint64_t sequence = replies_.end();
      replies_.Push() = PendingReply();
      scratch_.clear();
      AppendError(&scratch_, parser_.error());
      close_after_replies_ = true;
      stream_->SetReading(false);
      processing_ = false;
      return Answer(sequence, scratch_);
    }
    if (request.argc() > 0) {
      const CommandRow* row = FindRow(request, session_);
      const bool alone = RunsAlone(row, request, session_);
      // Its turn comes later: it stays in the input, and is looked at again.
      if ((alone && !replies_.empty()) || MustFollowAnswers(row) || owner_->MustWait(this, row, request)) {
        Pause(unread.size());
        break;
      }
      alone_ = alone;
      alone_bytes_ = alone ? request.bytes().size() : 0;
      Handle(row, request);
    }
    unread.remove_prefix(consumed);
  }
  input_.Keep(unread, parser_.wanted_bytes());
  processing_ = false;
  CheckInput();
  CloseIfFinished();
}

void Client::Handle(const CommandRow* row, RequestView request) {
  if (IsHttp(request)) return CloseAfterReplies();
  if (counts_ != nullptr) counts_->Count(row);
  const ReplyTo to{id(), replies_.end()};
  PendingReply& pending = replies_.Push();
  pending.answered = false;
  pending.bytes.clear();
  pending.finish = PendingReply::Finish::kNothing;
  scratch_.clear();
  const bool watched = session_.watching();
  const bool fed = session_.subscriptions().any() || session_.subscriptions().monitor;
  const bool tracked = session_.tracking().on;
  const bool exec_concerns_session = session_.in_transaction() && session_.exec_concerns_session();
  const bool too_large = session_.transaction_too_large();
  const Plan plan = MakePlan(row, request, &session_, &scratch_);
  if (!too_large && session_.transaction_too_large()) owner_->OnLimit(this, ClientLimit::kTransaction);
  pending.mute = session_.TakeMute();
  if (watched && !session_.watching()) owner_->OnUnwatched(this);
  if (tracked && !session_.tracking().on) owner_->OnUntracked(this);
  if (fed && !session_.subscriptions().any() && !session_.subscriptions().monitor) owner_->OnUnsubscribed(this);
  if (plan.act == Plan::Act::kTransaction && exec_concerns_session) pending.finish = PendingReply::Finish::kExec;
  if (plan.act == Plan::Act::kRead && row->name == "info" && WantsOurSection(request)) {
    pending.finish = PendingReply::Finish::kInfo;
  }
  blocks_ = plan.act == Plan::Act::kBlock;
  reads_ = MayRead(plan);
  ActOn(plan, request, to);
}

// May its answer hold what a client would keep? What is run elsewhere (SUBSCRIBE, WAIT), and pops, doesn't.
bool Client::MayRead(const Plan& plan) {
  switch (plan.act) {
    case Plan::Act::kRead:
    case Plan::Act::kWrite:
    case Plan::Act::kBoth:
    case Plan::Act::kTransaction:
      return true;
    case Plan::Act::kBlock:
      return (plan.row->flags & kFlagReadonly) != 0;
    default:
      return false;
  }
}

void Client::ActOn(const Plan& plan, RequestView request, ReplyTo to) {
  switch (plan.act) {
    case Plan::Act::kAnswerClose:
      close_after_replies_ = true;
      stream_->SetReading(false);
      [[fallthrough]];
    case Plan::Act::kAnswer:
      return Answer(to.sequence, scratch_);
    case Plan::Act::kQueued:
      return owner_->OnQueued(this, plan, request, to, scratch_);
    default:
      return owner_->OnRequest(this, plan, request, to);
  }
}

// A read that the secondary was asked for may yet be asked of the primary: not behind a later write of the same client.
bool Client::MustFollowAnswers(const CommandRow* row) const {
  if (replies_.begin() >= shifted_until_ || replies_.empty() || row == nullptr) return false;
  return row->route == Route::kWrite || row->route == Route::kBoth || row->name == "exec";
}

// Redis 7.0's own INFO has more sections than its default; ours is among the default ones.
bool Client::WantsOurSection(RequestView request) {
  for (size_t i = 1; i < request.argc(); ++i) {
    for (std::string_view section : {"default", "all", "everything", "crossfade"}) {
      if (EqualsIgnoreCase(request.arg(i), section)) return true;
    }
  }
  return request.argc() == 1;
}

std::string Client::Finished(PendingReply::Finish finish, std::string_view reply) {
  if (finish == PendingReply::Finish::kExec) return session_.FinishExec(reply);
  const Reply info = ParseReply(reply);
  if (!info.is_text()) return std::string(reply);
  const std::string text = std::string(info.text) + (info.text.empty() ? "" : "\r\n") + owner_->InfoSection();
  std::string out;
  if (reply[0] == '=') {
    return fmt::format("={}\r\ntxt:{}\r\n", text.size() + 4, text);
  }
  AppendBulk(&out, text);
  return out;
}

void Client::Answer(uint64_t sequence, std::string_view reply) {
  if (closing_ || !replies_.Contains(sequence) || replies_[sequence].answered) return;
  PendingReply& pending = replies_[sequence];
  std::string finished;
  if (pending.finish != PendingReply::Finish::kNothing) {
    finished = Finished(pending.finish, reply);
    reply = finished;
  }
  if (pending.mute) reply = {};
  NoteReplySize(reply.size());
  if (sequence != replies_.begin()) {
    pending.answered = true;
    pending.bytes = reply;
    kept_bytes_ += reply.size();
  } else {
    stream_->Write(reply);
    replies_.Pop();
    FlushAnswered();
  }
  NoteOutput();
  if (!output_share_.account_full() || output_bytes() <= static_cast<size_t>(limits_->client_output_bytes)) return;
  owner_->OnLimit(this, ClientLimit::kMemory);
  Drop();
}

void Client::Push(std::string_view frame) {
  if (closing_) return;
  stream_->Write(frame);
  NoteOutput();
  if (stream_->unsent_bytes() <= static_cast<size_t>(limits_->subscriber_output_bytes)) return;
  owner_->OnLimit(this, ClientLimit::kSubscriberOutput);
  Drop();
}

ConnectionFigures Client::Figures(int64_t now_ms) const {
  ConnectionFigures figures;
  figures.age_s = (now_ms - created_ms_) / 1000;
  figures.idle_s = (now_ms - last_request_ms_) / 1000;
  figures.input_bytes = input_.size();
  figures.output_bytes = stream_->unsent_bytes();
  return figures;
}

void Client::FlushAnswered() {
  if (replies_.begin() >= fence_) owner_->OnFencePassed(this);
  while (!closing_ && !replies_.empty() && replies_.front().answered) {
    PendingReply& front = replies_.front();
    stream_->Write(front.bytes);
    kept_bytes_ -= front.bytes.size();
    if (front.bytes.capacity() > kKeptReplyBytes) std::string().swap(front.bytes);
    replies_.Pop();
    if (replies_.begin() >= fence_) owner_->OnFencePassed(this);
  }
  if (replies_.empty() && std::exchange(alone_, false)) {
    alone_bytes_ = 0;
    NoteInput();
  }
  if (replies_.empty() && close_after_replies_) return CloseAfterReplies();
  WakeIfPaused();
  CloseIfFinished();
}

// Also while requests are held: then it goes on afterwards.
void Client::WakeIfPaused() {
  if (paused_ && (MayTake() || owner_->Holding())) AskToResume();
}

void Client::AskToResume() {
  if (!std::exchange(waking_, true)) owner_->OnPaused(this);
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

// The end, at once: what it has not taken is thrown away.
void Client::Drop() {
  if (std::exchange(dropped_, true)) return;
  closing_ = true;
  stream_->SetReading(false);
  owner_->OnGone(this);
}

void Client::Pause(size_t unread_bytes) {
  paused_ = true;
  // A client that blocks is still read from, within limits: whether it has gone shows in no other way.
  const bool holding = owner_->Holding();
  stream_->SetReading(alone_ && unread_bytes <= kReadAheadBytes && !holding && !finishing_);
  // Held: nobody else knows that we wait. Otherwise an answer or OnDrained finds us.
  if (holding) AskToResume();
}

void Client::StopReading() {
  if (!closing_ && !close_after_replies_) Pause(input_.size());
}

void Client::Resume() {
  waking_ = false;
  if (!paused_ || closing_) return;
  if (!MayTake()) {
    if (alone_ && !owner_->Holding()) Pause(input_.size());
    return;
  }
  paused_ = false;
  Process({});
  if (!paused_ && !closing_ && !close_after_replies_ && !finishing_) stream_->SetReading(true);
}

void Client::Finish() {
  finishing_ = true;
  if (closing_) return;
  stream_->SetReading(false);
  if (blocked()) return CloseAfterReplies();
  CloseIfFinished();
}

// What it has read and not taken yet comes first; of a request that is not whole nobody has promised anything.
void Client::CloseIfFinished() {
  if (finishing_ && replies_.empty() && !paused_ && !processing_) CloseAfterReplies();
}

void Client::OnDrained() {
  NoteOutput();
  if (!closing_) WakeIfPaused();
}

void Client::OnClosed(const absl::Status&) {
  closing_ = true;
  owner_->OnGone(this);
}

}  // namespace crossfade
