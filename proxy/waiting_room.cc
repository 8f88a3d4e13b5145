#include "proxy/waiting_room.h"

#include <algorithm>
#include <utility>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

using Kind = BlockingForm::Kind;

WaitingRoom::WaitingRoom(Io* io, Lane* lane, Owner* owner) : io_(io), lane_(lane), owner_(owner) {
  deadline_timer_ = io_->clock()->MakeTimer([this] { CheckDeadlines(); });
  poll_timer_ = io_->clock()->MakeTimer([this] { Poll(); });
}

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
  if (waiter->form.timeout_ms > 0) {
    waiter->deadline_us = io_->clock()->NowUs() + waiter->form.timeout_ms * 1000;
    deadlines_.insert({waiter->deadline_us, ticket});
    Arm();
  }
  // Whoever waits for this one key already comes first. If there is something, it goes to them, and then to us.
  bool others = false;
  for (const std::string& key : waiter->form.keys) {
    Queue& queue = queues_[{asker.db, key}];
    others = others || !queue.tickets.empty();
    queue.tickets.insert(ticket);
  }
  const bool joins = others && waiter->form.keys.size() == 1 && waiter->form.kind != Kind::kStream;
  waiters_.emplace(ticket, std::move(made));
  by_client_.insert_or_assign(asker.to.client, ticket);
  if (!std::exchange(polling_, true)) poll_timer_->Start(kPollMs, kPollMs);
  if (joins) {
    const std::string key = waiter->form.keys[0];
    waiter->waiting = true;
    return Wake(asker.db, key, 1);
  }
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

void WaitingRoom::Try(Ticket ticket, std::string_view key) {
  Waiter& waiter = *waiters_.find(ticket)->second;
  Request request = waiter.ends.empty() ? waiter.form.attempt : WithStreamEnds(waiter.form, waiter.ends);
  if (!key.empty()) request = ForOneKey(waiter.form, request, key);
  Plan plan;
  plan.row = FindCommand(request.view());
  plan.act = waiter.form.kind == Kind::kStream ? Plan::Act::kRead : Plan::Act::kWrite;
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
  const bool nothing = IsNullReply(reply);
  if (waiter->gone) {
    if (!nothing && !IsErrorReply(reply)) PutBack(*waiter, reply);
    Remove(ticket);
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
    if (out.empty()) out = reply;
  } else {
    AppendBlockingReply(waiter->form, reply, &out);
  }
  Finish(ticket, out);
  return true;
}

// While it waits, a key of another type is no error: it is just not what is waited for. A consumer group that goes is
// the end of the wait, in the server's words (t_stream.c, xreadgroup; blocked.c, of Redis 7.0).
bool WaitingRoom::StaysBlocked(const Waiter& waiter, std::string_view error, std::string* unblocked) const {
  const std::string_view code = ErrorCode(error);
  if (waiter.form.kind != Kind::kStreamGroup) return code == "WRONGTYPE";
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
    Wake(db, key, 1);  // the element is still there, for the next
  };
  lane_->Ask(std::move(question));
}

// The server had taken it for a client that is gone: it goes back where it was.
void WaitingRoom::PutBack(const Waiter& waiter, std::string_view reply) {
  for (const Request& command : GiveBack(waiter.form, reply)) {
    ++given_back_;
    Plan plan;
    plan.act = Plan::Act::kWrite;
    plan.row = FindCommand(command.view());
    plan.keys = FindKeys(*plan.row, command.view());
    lane_->Submit(plan, command.view(), ReplyTo(), waiter.asker.db, 2, {});
  }
}

// --- Being woken ---------------------------------------------------------------------------------------------------

void WaitingRoom::Written(const Slot& slot) {
  const auto wrote = [this, &slot](const CommandRow& row, RequestView request, int db) {
    // It has made a consumer at most (Redis 7.2). Waking whoever waits for the stream would make them try for ever.
    if (row.name == "xreadgroup" && IsNullReply(slot.primary_reply)) return;
    const bool pushes = row.name == "lpush" || row.name == "rpush";
    const size_t elements = pushes && request.argc() > 2 ? request.argc() - 2 : 1;
    for (uint32_t key : FindKeys(row, request)) {
      Wake(db, request.arg(key), elements, row.name == "xgroup|destroy");
    }
    if (BlockCopies::Key other; OtherDatabaseKey(row, request, &other)) Wake(other.db, other.name, 1);
  };
  if (slot.kind == Slot::Kind::kWrite) return wrote(*slot.row, slot.request.view(), slot.db);
  for (const QueuedCommand& command : slot.transaction) wrote(*command.row, command.request.view(), command.db);
}

// Something may have come for so many of the longest waiters; who only reads is served by the same.
void WaitingRoom::Wake(int db, std::string_view key, size_t elements, bool destroyed_group) {
  const auto found = queues_.find(KeyName(db, key));
  if (found == queues_.end()) return;
  Queue& queue = found->second;

  if (holding_ || !lane_->primary().up()) {
    queue.signalled = true;
    return;
  }
  std::vector<Ticket> ready;  // trying may end a wait, and with it this queue
  for (Ticket ticket : queue.tickets) {
    Waiter& waiter = *waiters_.find(ticket)->second;
    waiter.destroyed_group = destroyed_group;
    const bool reads = waiter.form.kind == Kind::kStream;
    if (waiter.trying) {
      if (std::find(waiter.fed.begin(), waiter.fed.end(), key) == waiter.fed.end()) waiter.fed.emplace_back(key);
      continue;
    }
    // The end of a group concerns all who wait for it.
    if (!reads && elements == 0 && !destroyed_group) continue;
    if (!reads && elements > 0) --elements;
    ready.push_back(ticket);
  }
  const std::string name(key);
  for (Ticket ticket : ready) {
    if (waiters_.contains(ticket)) Try(ticket, name);
  }
}

void WaitingRoom::Hold(bool holding) {
  holding_ = holding;
  if (holding) return;
  std::vector<KeyName> signalled;
  for (auto& [name, queue] : queues_) {
    if (std::exchange(queue.signalled, false)) signalled.push_back(name);
  }
  for (const KeyName& name : signalled) Wake(name.first, name.second, 1);
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

// --- Writers that bypass the proxy -----------------------------------------------------------------------------------

void WaitingRoom::Poll() {
  if (holding_ || questions_ > 0 || !lane_->primary().up()) return;
  absl::btree_map<int, std::vector<std::string>> keys, streams;
  size_t left = kStreamsPerPoll;
  std::vector<KeyName> skipped;
  for (const auto& [name, queue] : queues_) {
    const Kind kind = waiters_.find(*queue.tickets.begin())->second->form.kind;
    if (kind == Kind::kList || kind == Kind::kSortedSet) {
      keys[name.first].push_back(name.second);
    } else if (name >= next_stream_ && left > 0) {
      streams[name.first].push_back(name.second);
      if (--left == 0) next_stream_ = {name.first, name.second + '\0'};
    }
  }
  if (left > 0) next_stream_ = KeyName();  // from the beginning the next time
  for (auto& [db, names] : keys) {
    for (size_t from = 0; from < names.size(); from += kKeysPerQuestion) {
      const auto end = names.begin() + static_cast<ptrdiff_t>(std::min(names.size(), from + kKeysPerQuestion));
      PollKeys(db, {names.begin() + static_cast<ptrdiff_t>(from), end});
    }
  }
  for (auto& [db, names] : streams) PollStreams(db, std::move(names));
}

// Nobody waits for a list or a sorted set that exists: if one does now, somebody else has made it.
void WaitingRoom::PollKeys(int db, std::vector<std::string> keys) {
  Question question;
  question.ask_primary = true;
  question.db = db;
  question.protocol = kAnyProtocol;
  question.count = 1;
  std::vector<std::string_view> args{"EXISTS"};
  args.insert(args.end(), keys.begin(), keys.end());
  AppendCommand(&question.commands, args);
  question.done = [this, db, keys = std::move(keys)](const Answers& answers) {
    --questions_;
    if (!answers.primary.empty() && IntegerReply(answers.primary[0]).value_or(0) > 0) PollTypes(db, keys);
  };
  ++questions_;
  lane_->Ask(std::move(question));
}

void WaitingRoom::PollTypes(int db, std::vector<std::string> keys) {
  Question question;
  question.ask_primary = true;
  question.db = db;
  question.protocol = kAnyProtocol;
  question.count = static_cast<int>(keys.size());
  for (const std::string& key : keys) AppendCommand(&question.commands, {"TYPE", key});
  question.done = [this, db, keys = std::move(keys)](const Answers& answers) {
    --questions_;
    for (size_t i = 0; i < answers.primary.size(); ++i) {
      if (answers.primary[i] == "+list\r\n" || answers.primary[i] == "+zset\r\n") Wake(db, keys[i], 1);
    }
  };
  ++questions_;
  lane_->Ask(std::move(question));
}

void WaitingRoom::PollStreams(int db, std::vector<std::string> keys) {
  Question question;
  question.ask_primary = true;
  question.db = db;
  question.protocol = kAnyProtocol;
  question.count = static_cast<int>(keys.size());
  for (const std::string& key : keys) AppendCommand(&question.commands, {"XINFO", "STREAM", key});
  question.done = [this, db, keys = std::move(keys)](const Answers& answers) {
    --questions_;
    for (size_t i = 0; i < answers.primary.size(); ++i) {
      const auto found = queues_.find(KeyName(db, keys[i]));
      if (found == queues_.end()) continue;
      const std::string end = IsErrorReply(answers.primary[i]) ? "none" : StreamEnd(answers.primary[i]);
      // The first look can't tell whether the stream has grown since the waiters' own.
      if (std::exchange(found->second.stream_end, end) != end) Wake(db, keys[i], 1);
    }
  };
  ++questions_;
  lane_->Ask(std::move(question));
}

}  // namespace crossfade
