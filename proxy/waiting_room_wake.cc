// Who is woken by what: writes that went through the lane, and those that bypass the proxy.
#include <algorithm>
#include <utility>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "proxy/waiting_room.h"

namespace crossfade {

using FormKind = BlockingForm::Kind;

// --- Being woken ---------------------------------------------------------------------------------------------------

// A command that only takes away feeds nobody. XGROUP SETID could, but doesn't: a server looks when entries come.
bool WaitingRoom::MayFeed(const CommandRow& row) {
  switch (row.effect) {
    case Effect::kPop:
    case Effect::kMultiPop:
    case Effect::kSortedSetPop:
    case Effect::kSortedSetMultiPop:
    case Effect::kBlockingPop:
    case Effect::kBlockingSortedPop:
    case Effect::kSetPop:
    case Effect::kStreamReadGroup:
    case Effect::kStreamClaim:
    case Effect::kStreamAutoClaim:
    case Effect::kStreamTrim:
    case Effect::kExpire:
      return false;
    default:
      return row.name != "xgroup|setid" && row.name != "xack" && row.name != "lrem" && row.name != "ltrim" &&
             row.name != "zrem";
  }
}

WaitingRoom::Event WaitingRoom::EventOf(const CommandRow& row, RequestView request) {
  Event event;
  event.destroyed_group = row.name == "xgroup|destroy";
  if (row.name == "lpush" || row.name == "rpush" || row.name == "lpushx" || row.name == "rpushx") {
    event.elements = request.argc() > 2 ? request.argc() - 2 : 1;
  } else {
    event.maybe_more = row.name != "xadd" && row.name != "linsert" && row.effect != Effect::kVerbatimIfNotNull &&
                       row.effect != Effect::kBlockingMove && !(row.name == "zadd" && request.argc() == 4);
  }
  return event;
}

void WaitingRoom::Written(const Slot& slot) {
  const auto wrote = [this](const CommandRow& row, RequestView request, int db) {
    if (!MayFeed(row)) return;
    const Event event = EventOf(row, request);
    for (uint32_t key : FindKeys(row, request)) Wake(db, request.arg(key), event);
    if (BlockCopies::Key other; OtherDatabaseKey(row, request, &other)) {
      Wake(other.db, other.name, {.maybe_more = true});
    }
  };
  if (slot.kind == Slot::Kind::kWrite) return wrote(*slot.row, slot.request.view(), slot.db);
  for (const QueuedCommand& command : slot.transaction) wrote(*command.row, command.request.view(), command.db);
}

// Something may have come for so many of the longest waiters; who only reads is served by the same.
void WaitingRoom::Wake(int db, std::string_view key, Event event) {
  const auto found = queues_.find(KeyName(db, key));
  if (found == queues_.end()) return;
  Queue& queue = found->second;
  if (holding_ || !lane_->primary().up()) {
    queue.signalled = true;
    return;
  }
  absl::flat_hash_map<std::string_view, size_t> left;     // elements, for each crowd
  absl::flat_hash_map<std::string_view, Waiter*> behind;  // who tries behind an element of its own
  std::vector<Ticket> ready;                              // trying may end a wait, and with it this queue
  for (Ticket ticket : queue.tickets) {
    Waiter& waiter = *waiters_.find(ticket)->second;
    if (!waiter.trying || event.destroyed_group) waiter.destroyed_group = event.destroyed_group;
    const bool reads = waiter.form.kind == FormKind::kStream;

    // The end of a group concerns all who wait for it.
    size_t& elements = left.try_emplace(waiter.crowd, event.elements).first->second;
    if (!reads && elements == 0 && !event.destroyed_group) continue;
    // Behind an element of its own: this one is for the next.
    if (waiter.trying && waiter.earned && !event.destroyed_group) {
      behind.try_emplace(waiter.crowd, &waiter);
      continue;
    }
    if (!reads && elements > 0) --elements;
    if (waiter.trying) {
      // Who only reads is served once, by however much.
      if (!reads || std::find(waiter.fed.begin(), waiter.fed.end(), key) == waiter.fed.end()) {
        waiter.fed.emplace_back(key);
      }
      continue;
    }
    waiter.earned = !event.maybe_more;
    waiter.chained = event.maybe_more && !reads;
    ready.push_back(ticket);
  }
  // Nobody else is there to take it: it is kept for who may find its own element gone.
  for (const auto& [crowd, waiter] : behind) {
    if (left[crowd] > 0) waiter->fed.emplace_back(key);
  }
  const std::string name(key);
  for (Ticket ticket : ready) {
    if (waiters_.contains(ticket)) Try(ticket, name);
  }
}

void WaitingRoom::Hold(bool holding) {
  holding_ = holding;
  if (!holding) WakeSignalled();
}

void WaitingRoom::OnGateOpened() {
  SubmitPutBack();
  if (!holding_) WakeSignalled();
}

void WaitingRoom::WakeSignalled() {
  std::vector<KeyName> signalled;
  for (auto& [name, queue] : queues_) {
    if (std::exchange(queue.signalled, false)) signalled.push_back(name);
  }
  for (const KeyName& name : signalled) Wake(name.first, name.second, {.maybe_more = true});
}

// --- Writers that bypass the proxy -----------------------------------------------------------------------------------

void WaitingRoom::Poll() {
  if (holding_ || questions_ > 0 || !lane_->primary().up()) return;
  absl::btree_map<int, std::vector<std::string>> keys, streams;
  size_t left = kStreamsPerPoll;
  for (const auto& [name, queue] : queues_) {
    bool lists = false, grows = false;
    for (Ticket ticket : queue.tickets) {
      const FormKind kind = waiters_.find(ticket)->second->form.kind;
      (kind == FormKind::kList || kind == FormKind::kSortedSet ? lists : grows) = true;
    }
    if (lists) keys[name.first].push_back(name.second);
    if (!grows || name < next_stream_ || left == 0) continue;
    streams[name.first].push_back(name.second);
    if (--left == 0) next_stream_ = {name.first, name.second + '\0'};
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
      if (answers.primary[i] == "+list\r\n" || answers.primary[i] == "+zset\r\n")
        Wake(db, keys[i], {.maybe_more = true});
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
      if (std::exchange(found->second.stream_end, end) != end) Wake(db, keys[i], {.maybe_more = true});
    }
  };
  ++questions_;
  lane_->Ask(std::move(question));
}

}  // namespace crossfade
