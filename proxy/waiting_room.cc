#include "proxy/waiting_room.h"

#include <algorithm>
#include <utility>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

using FormKind = BlockingForm::Kind;

WaitingRoom::WaitingRoom(Io* io, Lane* lane, Owner* owner) : io_(io), lane_(lane), owner_(owner) {
  deadline_timer_ = io_->clock()->MakeTimer([this] { CheckDeadlines(); });
  poll_timer_ = io_->clock()->MakeTimer([this] { Poll(); });
}

namespace {

// Who waits for the same thing, in one order: lists, sorted sets, each group's entries.
std::string CrowdOf(const BlockingForm& form) {
  std::string crowd(1, static_cast<char>('0' + static_cast<int>(form.kind)));
  if (form.kind == FormKind::kStreamGroup && form.attempt.view().argc() > 2) crowd += form.attempt.view().arg(2);
  return crowd;
}

}  // namespace

// --- Coming and going ----------------------------------------------------------------------------------------------

void WaitingRoom::Enter(const Asker& asker, const CommandRow& row, RequestView request) {
  BlockingForm form = MakeBlockingForm(row, request);
  if (!form.error.empty()) {
    std::string error;
    AppendError(&error, form.error);
    return owner_->OnAnswer(asker.to, error);
  }
  const Ticket ticket = ++last_ticket_;
  auto made = std::make_unique<Waiter>();
  Waiter* waiter = made.get();
  waiter->asker = asker;
  waiter->form = std::move(form);
  waiter->command = row.name;
  waiter->crowd = CrowdOf(waiter->form);
  if (waiter->form.timeout_ms > 0) {
    waiter->deadline_us = io_->clock()->NowUs() + waiter->form.timeout_ms * 1000;
    deadlines_.insert({waiter->deadline_us, ticket});
    Arm();
  }
  // Whoever waits for this one key already comes first. If there is something, it goes to them, and then to us.
  bool others = false;
  for (const std::string& key : waiter->form.keys) {
    Queue& queue = queues_[{asker.db, key}];
    others = others || std::any_of(queue.tickets.begin(), queue.tickets.end(), [&](Ticket other) {
               return other != ticket && waiters_.find(other)->second->crowd == waiter->crowd;
             });
    queue.tickets.insert(ticket);
  }
  const bool joins = others && waiter->form.keys.size() == 1 && waiter->form.kind != FormKind::kStream;
  waiters_.emplace(ticket, std::move(made));
  by_client_.insert_or_assign(asker.to.client, ticket);
  if (!std::exchange(polling_, true)) poll_timer_->Start(kPollMs, kPollMs);
  if (joins) {
    const std::string key = waiter->form.keys[0];
    waiter->waiting = true;
    return Wake(asker.db, key, {.maybe_more = true});
  }
  if (waiter->form.kind == FormKind::kStream || waiter->form.kind == FormKind::kStreamGroup) AskStreamEnds(*waiter);
  if (!waiter->form.ends.empty()) return AskEnds(ticket);
  Try(ticket);
}

void WaitingRoom::Remove(Ticket ticket) {
  const auto found = waiters_.find(ticket);
  const Waiter& waiter = *found->second;
  for (const std::string& key : waiter.form.keys) {
    const auto queue = queues_.find({waiter.asker.db, key});
    if (queue == queues_.end()) continue;
    queue->second.tickets.erase(ticket);
    if (queue->second.tickets.empty()) queues_.erase(queue);
  }
  deadlines_.erase({waiter.deadline_us, ticket});
  by_client_.erase(waiter.asker.to.client);
  waiters_.erase(found);
  if (waiters_.empty() && std::exchange(polling_, false)) poll_timer_->Stop();
}

void WaitingRoom::Finish(Ticket ticket, std::string_view reply) {
  const ReplyTo to = waiters_.find(ticket)->second->asker.to;
  Remove(ticket);
  owner_->OnAnswer(to, reply);
}

void WaitingRoom::Leave(uint64_t client) {
  const auto found = by_client_.find(client);
  if (found == by_client_.end()) return;
  Waiter& waiter = *waiters_.find(found->second)->second;
  if (!waiter.trying) return Remove(found->second);
  waiter.gone = true;
}

void WaitingRoom::Lost(uint64_t client) {
  const auto found = by_client_.find(client);
  if (found != by_client_.end()) Remove(found->second);
}

bool WaitingRoom::Unblock(uint64_t client, bool with_error) {
  const auto found = by_client_.find(client);
  if (found == by_client_.end()) return false;
  Waiter& waiter = *waiters_.find(found->second)->second;
  std::string reply;
  if (with_error) {
    AppendError(&reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
  } else {
    AppendNullArray(&reply, waiter.asker.protocol);
  }
  EndWith(found->second, &waiter, reply);
  return true;
}

// Ends the wait; but an attempt that is on its way may still bring something, which must not be lost.
void WaitingRoom::EndWith(Ticket ticket, Waiter* waiter, std::string_view reply) {
  if (waiter->trying) {
    waiter->unblocked = reply;
  } else {
    Finish(ticket, reply);
  }
}

// --- Trying --------------------------------------------------------------------------------------------------------

// "$" is the end of a stream at the moment of asking; later attempts must not move it.
void WaitingRoom::AskEnds(Ticket ticket) {
  Waiter& waiter = *waiters_.find(ticket)->second;
  waiter.trying = true;
  Question question;
  question.ask_primary = true;
  question.db = waiter.asker.db;
  question.protocol = kAnyProtocol;
  const RequestView attempt = waiter.form.attempt.view();
  const size_t streams = waiter.form.keys.size();
  for (size_t end : waiter.form.ends) {
    AppendCommand(&question.commands, {"XINFO", "STREAM", attempt.arg(end - streams)});
    ++question.count;
  }
  question.done = [this, ticket](const Answers& answers) {
    const auto found = waiters_.find(ticket);
    if (found == waiters_.end()) return;
    Waiter& asked = *found->second;
    asked.trying = false;
    if (asked.gone) return Remove(ticket);
    for (const std::string& answer : answers.primary) asked.ends.push_back(StreamEnd(answer));
    if (answers.status.ok()) return Try(ticket);
    std::string error;
    AppendError(&error, "ERR crossfade: the primary can't be reached: " + std::string(answers.status.message()));
    Finish(ticket, error);
  };
  lane_->Ask(std::move(question));
}

// Where the streams end now, before the first attempt: whatever comes later, the poll sees.
void WaitingRoom::AskStreamEnds(const Waiter& waiter) {
  for (const std::string& key : waiter.form.keys) {
    const KeyName name(waiter.asker.db, key);
    if (!queues_[name].stream_end.empty()) continue;
    Question question;
    question.ask_primary = true;
    question.db = waiter.asker.db;
    question.protocol = kAnyProtocol;
    question.count = 1;
    AppendCommand(&question.commands, {"XINFO", "STREAM", key});
    question.done = [this, name](const Answers& answers) {
      const auto found = queues_.find(name);
      if (found == queues_.end() || answers.primary.empty() || !found->second.stream_end.empty()) return;
      found->second.stream_end = IsErrorReply(answers.primary[0]) ? "none" : StreamEnd(answers.primary[0]);
    };
    lane_->Ask(std::move(question));
  }
}

bool WaitingRoom::Gated(const Waiter& waiter) const {
  if (lane_->gates().empty()) return false;
  const RequestView attempt = waiter.form.attempt.view();
  return lane_->gates().Blocks(*FindCommand(attempt), attempt);
}

void WaitingRoom::Try(Ticket ticket, std::string_view key) {
  Waiter& waiter = *waiters_.find(ticket)->second;
  if (Gated(waiter)) {
    // What runs elsewhere gets its place first.
    for (const std::string& name : waiter.form.keys) queues_[{waiter.asker.db, name}].signalled = true;
    waiter.waiting = true;
    return;
  }
  Request request = waiter.ends.empty() ? waiter.form.attempt : WithStreamEnds(waiter.form, waiter.ends);
  if (!key.empty()) request = ForOneKey(waiter.form, request, key);
  Plan plan;
  plan.row = FindCommand(request.view());
  plan.act = waiter.form.kind == FormKind::kStream ? Plan::Act::kRead : Plan::Act::kWrite;
  plan.primary_only = true;
  plan.comparable = false;
  plan.keys = FindKeys(*plan.row, request.view());
  waiter.trying = true;

  const Asker asker = waiter.asker;  // an answer may come within the call, and end the wait
  lane_->Submit(plan, request.view(), asker.to, asker.db, asker.protocol, {}, asker.login);
}

bool WaitingRoom::OnAnswer(ReplyTo to, std::string_view reply) {
  const auto found = by_client_.find(to.client);
  if (found == by_client_.end()) return false;
  const Ticket ticket = found->second;
  Waiter* waiter = waiters_.find(ticket)->second.get();
  if (!waiter->trying || waiter->asker.to.sequence != to.sequence) return false;
  waiter->trying = false;
  waiter->earned = false;
  const bool nothing = IsNullReply(reply);
  if (waiter->gone) {
    const bool chained = waiter->chained;
    const int db = waiter->asker.db;
    const std::vector<std::string> keys = waiter->form.keys;
    if (!nothing && !IsErrorReply(reply)) PutBack(*waiter, reply);
    Remove(ticket);
    for (size_t i = 0; chained && i < keys.size(); ++i) Wake(db, keys[i], {.maybe_more = true});
    return true;
  }
  std::string out;
  const std::string_view tried = waiter->form.attempt.view().arg(0);
  if ((tried == "LMOVE" || tried == "RPOPLPUSH") && waiter->waiting && ErrorCode(reply) == "WRONGTYPE") {
    AskSourceType(ticket, reply);
    return true;
  }
  if (nothing || (IsErrorReply(reply) && waiter->waiting && StaysBlocked(*waiter, reply, &out))) {
    FoundNothing(ticket, waiter);
    return true;
  }
  if (IsErrorReply(reply)) {
    if (out.empty()) out = InItsOwnName(*waiter, reply);
    const bool waited = waiter->waiting;
    const int db = waiter->asker.db;
    const std::vector<std::string> keys = waiter->form.keys;
    Finish(ticket, out);
    // What it was woken for is still there, for the next.
    for (size_t i = 0; waited && i < keys.size(); ++i) Wake(db, keys[i], {.maybe_more = true});
    return true;
  }
  AppendBlockingReply(waiter->form, reply, &out);
  const bool chained = waiter->chained;
  const int db = waiter->asker.db;
  const std::vector<std::string> keys = waiter->form.keys;
  const std::vector<std::string> fed = std::move(waiter->fed);
  Finish(ticket, out);
  for (const std::string& key : keys) {
    // Kept for it, and perhaps what it has just been given: the next may look, and must not rely on it.
    const bool kept = std::find(fed.begin(), fed.end(), key) != fed.end();
    if (chained || kept) Wake(db, key, {.maybe_more = true});
  }
  return true;
}

// A user that may not run a command hears of the one that it has sent, not of the form in which it was tried.
std::string WaitingRoom::InItsOwnName(const Waiter& waiter, std::string_view error) {
  std::string text(error);
  if (ErrorCode(error) != "NOPERM") return text;
  const size_t from = text.find('\''), to = text.rfind('\'');
  if (from != std::string::npos && to > from) text.replace(from + 1, to - from - 1, waiter.command);
  return text;
}

// While it waits, a key of another type is no error: it is just not what is waited for. A consumer group that goes is
// the end of the wait, in the server's words (t_stream.c, xreadgroup; blocked.c, of Redis 7.0).
bool WaitingRoom::StaysBlocked(const Waiter& waiter, std::string_view error, std::string* unblocked) const {
  const std::string_view code = ErrorCode(error);
  if (waiter.form.kind != FormKind::kStreamGroup) return code == "WRONGTYPE";
  if (code != "NOGROUP" && code != "WRONGTYPE") return false;
  AppendError(unblocked, waiter.destroyed_group
                             ? "NOGROUP the consumer group this client was blocked on no longer exists"
                             : "UNBLOCKED the stream key no longer exists");
  return false;
}

void WaitingRoom::FoundNothing(Ticket ticket, Waiter* waiter) {
  if (!waiter->unblocked.empty()) {
    const std::string reply = waiter->unblocked;
    return Finish(ticket, reply);
  }
  waiter->waiting = true;
  if (waiter->fed.empty() || holding_ || !lane_->primary().up()) return;
  const std::string key = std::move(waiter->fed.front());
  waiter->fed.erase(waiter->fed.begin());
  waiter->earned = true;
  Try(ticket, key);
}

// A move that waits: whether it was its source that has another type now (then it goes on waiting), or it was fed and
// its destination is no list (then that is its answer), the error doesn't say.
void WaitingRoom::AskSourceType(Ticket ticket, std::string_view error) {
  Waiter& waiter = *waiters_.find(ticket)->second;
  waiter.trying = true;
  Question question;
  question.ask_primary = true;
  question.db = waiter.asker.db;
  question.protocol = kAnyProtocol;
  question.count = 1;
  AppendCommand(&question.commands, {"TYPE", waiter.form.keys[0]});
  question.done = [this, ticket, error = std::string(error)](const Answers& answers) {
    const auto found = waiters_.find(ticket);
    if (found == waiters_.end()) return;
    Waiter& asked = *found->second;
    asked.trying = false;
    if (asked.gone) return Remove(ticket);
    if (answers.primary.empty() || answers.primary[0] != "+list\r\n") return FoundNothing(ticket, &asked);
    const int db = asked.asker.db;
    const std::string key = asked.form.keys[0];
    Finish(ticket, error);
    Wake(db, key, {.maybe_more = true});  // the element is still there, for the next
  };
  lane_->Ask(std::move(question));
}

// The server had taken it for a client that is gone: it goes back where it was.
void WaitingRoom::PutBack(const Waiter& waiter, std::string_view reply) {
  for (Request& command : GiveBack(waiter.form, reply)) {
    ++given_back_;
    to_put_back_.emplace_back(waiter.asker.db, std::move(command));
  }
  SubmitPutBack();
}

void WaitingRoom::SubmitPutBack() {
  std::vector<std::pair<int, Request>> later;
  for (auto& [db, command] : std::exchange(to_put_back_, {})) {
    Plan plan;
    plan.act = Plan::Act::kWrite;
    plan.row = FindCommand(command.view());
    plan.keys = FindKeys(*plan.row, command.view());
    if (lane_->gates().Blocks(*plan.row, command.view())) {
      later.emplace_back(db, std::move(command));
    } else {
      lane_->Submit(plan, command.view(), ReplyTo(), db, 2, {});
    }
  }
  for (auto& command : later) to_put_back_.push_back(std::move(command));
}

// --- Time ----------------------------------------------------------------------------------------------------------

void WaitingRoom::Arm() {
  if (deadlines_.empty()) return;
  const int64_t left_us = deadlines_.begin()->first - io_->clock()->NowUs();
  deadline_timer_->Start(std::max<int64_t>(0, (left_us + 999) / 1000), 0);
}

void WaitingRoom::CheckDeadlines() {
  const int64_t now_us = io_->clock()->NowUs();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_us) {
    const Ticket ticket = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    Waiter& waiter = *waiters_.find(ticket)->second;
    waiter.deadline_us = 0;
    std::string nil;
    AppendNullArray(&nil, waiter.asker.protocol);
    EndWith(ticket, &waiter, nil);
  }
  Arm();
}

}  // namespace crossfade
