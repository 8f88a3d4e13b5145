#include "proxy/watches.h"

#include <algorithm>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

namespace {
std::string ErrorReplyOf(std::string_view text) {
  std::string reply;
  AppendError(&reply, text);
  return reply;
}
}  // namespace

void Watches::Watch(const Asker& asker, std::string_view request) {
  Entry& entry = entries_[asker.to.client];
  if (entry.broken) return owner_->OnAnswer(asker.to, "+OK\r\n");  // EXEC will say nil
  if (entry.connection == nullptr) {
    auto taken = pool_->Take({lane_->primary().side(), asker.login, asker.protocol, asker.db});
    if (!taken.ok()) {
      entries_.erase(asker.to.client);
      return owner_->OnAnswer(asker.to,
                              ErrorReplyOf(fmt::format("ERR crossfade: {}", std::string(taken.status().message()))));
    }
    entry.connection = std::move(*taken);
    entry.connection->set_on_broken([this, client = asker.to.client](const absl::Status&) {
      const auto found = entries_.find(client);
      if (found == entries_.end()) return;
      found->second.broken = true;
      found->second.connection.reset();
    });
  }
  entry.connection->Switch(asker.db, asker.protocol);
  entry.connection->Call(
      request, 1, config_->timeouts.response_ms, [this, asker](const PrivateConnection::Replies& replies) {
        const auto found = entries_.find(asker.to.client);
        if (!replies.ok() && found != entries_.end() && found->second.broken) {
          owner_->OnWatching(asker.to.client);  // BreakAll: no error, EXEC will say nil
          return owner_->OnAnswer(asker.to, "+OK\r\n");
        }
        if (!replies.ok()) {
          entries_.erase(asker.to.client);
          return owner_->OnAnswer(asker.to, ErrorReplyOf("ERR crossfade: the primary can't be reached: " +
                                                         std::string(replies.status().message())));
        }
        if (!IsErrorReply(replies->front())) owner_->OnWatching(asker.to.client);
        owner_->OnAnswer(asker.to, replies->front());
      });
}

void Watches::Release(std::unique_ptr<PrivateConnection> connection, bool clean) {
  if (connection == nullptr) return;
  if (!clean) {
    std::string unwatch;
    AppendCommand(&unwatch, {"UNWATCH"});
    connection->Call(unwatch, 1, config_->timeouts.response_ms, [](const PrivateConnection::Replies&) {});
  }
  pool_->GiveBack(std::move(connection));
}

void Watches::Unwatch(uint64_t client) {
  const auto found = entries_.find(client);
  if (found == entries_.end()) return;
  std::unique_ptr<PrivateConnection> connection = std::move(found->second.connection);
  entries_.erase(found);
  Release(std::move(connection), false);
}

void Watches::Exec(const Asker& asker, std::vector<QueuedCommand> commands) {
  Entry entry;
  if (const auto found = entries_.find(asker.to.client); found != entries_.end()) {
    entry = std::move(found->second);
    entries_.erase(found);
  }
  if (entry.broken || entry.connection == nullptr || entry.connection->broken()) {
    std::string nil;
    AppendNullArray(&nil, asker.protocol);
    return owner_->OnAnswer(asker.to, nil);
  }
  const uint64_t id = ++last_run_;
  Run& run = *running_.emplace(id, std::make_unique<Run>()).first->second;
  // SELECT inside the block leaves the connection elsewhere.
  for (const QueuedCommand& command : commands) run.reusable = run.reusable && command.row->name != "select";
  run.transaction.commands = std::move(commands);
  run.transaction.to = asker.to;
  run.transaction.db = asker.db;
  run.transaction.protocol = asker.protocol;
  run.transaction.login = asker.login;
  entry.connection->set_on_broken(nullptr);
  run.connection = std::move(entry.connection);
  // The commands, and the bytes that BeginElsewhere makes of them.
  size_t bytes = 0;
  for (const QueuedCommand& command : run.transaction.commands) bytes += command.request.capacity_bytes();
  run.share.Join(pool_->account(), MemoryAccount::Holder::kPrivate);
  run.share.Set(2 * bytes);
  lane_->BeginElsewhere(&run.transaction, [this, id](bool ready) { Start(id, ready); });
}

// Nothing is in flight on the primary for its keys.
void Watches::Start(uint64_t id, bool ready) {
  const auto found = running_.find(id);
  Run& run = *found->second;
  Lane::Elsewhere& transaction = run.transaction;
  if (!ready || run.connection->broken()) {
    lane_->CancelElsewhere(&transaction);
    std::string nil;
    AppendNullArray(&nil, transaction.protocol);  // nothing was sent: "try again" is true
    const ReplyTo to = transaction.to;
    running_.erase(found);
    owner_->OnAnswer(to, nil);
    return owner_->OnGateOpened();
  }
  // The copies are asked for in their own databases.
  run.reusable = run.reusable && transaction.copies.keys.empty();
  run.connection->Switch(transaction.db, transaction.protocol);
  run.connection->Call(transaction.bytes, transaction.replies, config_->timeouts.response_ms,
                       [this, id](const PrivateConnection::Replies& replies) { End(id, replies); });
}

void Watches::End(uint64_t id, const PrivateConnection::Replies& replies) {
  const auto found = running_.find(id);
  const std::unique_ptr<Run> run = std::move(found->second);
  running_.erase(found);
  if (!replies.ok() && run->connection->server_id() != 0) {
    const Side side = run->connection->state().side;
    if (leftovers_.size() >= kMaxLeftovers) leftovers_.erase(leftovers_.begin());
    leftovers_.push_back({side, run->connection->server_id(), lane_->link(side).info()});
    EndLeftovers(side);  // in the lane before any repair of its keys
  }
  lane_->EndElsewhere(&run->transaction, replies);
  if (replies.ok() && run->reusable) Release(std::move(run->connection), true);
  owner_->OnGateOpened();
}

void Watches::EndLeftovers(Side side) {
  std::erase_if(leftovers_, [&](const Leftover& leftover) {
    return leftover.side == side && lane_->link(side).up() && !SameProcess(leftover.server, lane_->link(side).info());
  });
  const bool primary = side == lane_->primary().side();
  const std::vector<Leftover> leftovers = leftovers_;  // an answer may come inside the call
  for (const Leftover& leftover : leftovers) {
    if (leftover.side != side || leftover.asked) continue;
    const auto find = [this, side, id = leftover.server_id] {
      return std::find_if(leftovers_.begin(), leftovers_.end(),
                          [&](const Leftover& one) { return one.side == side && one.server_id == id; });
    };
    find()->asked = true;
    Question question;
    (primary ? question.ask_primary : question.ask_secondary) = true;
    question.protocol = kAnyProtocol;
    question.count = 1;
    AppendCommand(&question.commands, {"CLIENT", "KILL", "ID", std::to_string(leftover.server_id)});
    question.done = [this, find](const Answers& answers) {
      const auto asked = find();
      if (asked == leftovers_.end()) return;
      if (answers.status.ok()) {
        leftovers_.erase(asked);
      } else {
        asked->asked = false;  // when the store is there again
      }
    };
    lane_->Ask(std::move(question));
  }
}

void Watches::BreakAll() {
  std::vector<std::unique_ptr<PrivateConnection>> broken;
  for (auto& [client, entry] : entries_) {
    entry.broken = true;
    if (entry.connection == nullptr) continue;
    entry.connection->set_on_broken(nullptr);
    broken.push_back(std::move(entry.connection));
  }
  // Whose WATCH is on its way is answered by this.
  for (const auto& connection : broken) connection->Cut(absl::AbortedError("the primary has changed"));
  pool_->DropIdle();
}

}  // namespace crossfade
