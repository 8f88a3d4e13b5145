#include "proxy/feeds.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

namespace {

// A message, by the first word of its frame; without building a tree for each.
bool IsMessage(std::string_view frame) {
  const std::string_view head = frame.substr(0, 24);
  return head.find("\r\nmessage\r\n") != std::string_view::npos ||
         head.find("\r\npmessage\r\n") != std::string_view::npos ||
         head.find("\r\nsmessage\r\n") != std::string_view::npos;
}

// PING's answer, also of a connection that may only subscribe.
bool IsPong(std::string_view frame) {
  return frame == "+PONG\r\n" || frame == "*2\r\n$4\r\npong\r\n$0\r\n\r\n";
}

std::string Ping() {
  std::string bytes;
  AppendCommand(&bytes, {"PING"});
  return bytes;
}

}  // namespace

Feeds::Feed* Feeds::Find(uint64_t client) {
  const auto found = feeds_.find(client);
  return found == feeds_.end() ? nullptr : found->second.get();
}

// The client's feed, connected to the primary. nullptr when there can't be one; the client has been told.
Feeds::Feed* Feeds::Open(const Asker& asker) {
  const uint64_t client = asker.to.client;
  Feed* feed = Find(client);
  if (feed != nullptr) {
    feed->asker = asker;
    feed->now.connection->Switch(feed->now.connection->state().db, asker.protocol);
    return feed;
  }
  auto taken = pool_->Take({lane_->primary().side(), asker.login, asker.protocol, 0});
  if (!taken.ok()) {
    std::string error;
    AppendError(&error, fmt::format("ERR crossfade: {}", std::string(taken.status().message())));
    owner_->OnAnswer(asker.to, error);
    return nullptr;
  }
  auto made = std::make_unique<Feed>();
  feed = made.get();
  feed->asker = asker;
  feed->now.connection = std::move(*taken);
  feed->now.connection->set_on_frame([this, client](std::string_view frame) { OnFrame(client, frame); });
  feed->now.connection->set_on_broken([this, client](const absl::Status&) {
    feeds_.erase(client);
    owner_->OnFeedLost(client);
  });
  feeds_.emplace(client, std::move(made));
  return feed;
}

// How many confirmations the server sends: one for each name, and for UNSUBSCRIBE without names one for each that there
// is, at least one.
int Feeds::Confirmations(const Feed& feed, const CommandRow& row, RequestView request) {
  if (request.argc() > 1) return static_cast<int>(request.argc()) - 1;
  const Kind kind = row.name.starts_with('p') ? kPattern : row.name.starts_with("sun") ? kShard : kChannel;
  return std::max(1, static_cast<int>(feed.names[kind].size()));
}

// What a server says to UNSUBSCRIBE of a client that has no subscription.
void Feeds::AppendNothing(const CommandRow& row, RequestView request, int protocol, std::string* out) {
  for (size_t i = 1; i < std::max<size_t>(2, request.argc()); ++i) {
    out->append(protocol == 3 ? ">3\r\n" : "*3\r\n");
    AppendBulk(out, row.name);
    if (i < request.argc()) {
      AppendBulk(out, request.arg(i));
    } else {
      AppendNull(out, protocol);
    }
    AppendInteger(out, 0);
  }
}

void Feeds::Subscribe(const Asker& asker, const CommandRow& row, RequestView request) {
  const bool subscribes = row.name.find("un") == std::string_view::npos;
  if (!subscribes && Find(asker.to.client) == nullptr) {
    std::string nothing;
    AppendNothing(row, request, asker.protocol, &nothing);
    return owner_->OnAnswer(asker.to, nothing);
  }
  Feed* feed = Open(asker);
  if (feed == nullptr) return;
  feed->request = asker.to;
  feed->unconfirmed = Confirmations(*feed, row, request);
  if (feed->next.connection != nullptr) {
    feed->next.unconfirmed += feed->unconfirmed;
    feed->next.connection->Send(request.bytes());
  }
  feed->now.connection->Send(request.bytes());
}

void Feeds::Monitor(const Asker& asker) {
  Feed* feed = Open(asker);
  if (feed == nullptr) return;
  feed->request = asker.to;
  feed->unconfirmed = 1;
  feed->asked_monitor = true;
  std::string command;
  AppendCommand(&command, {"MONITOR"});
  feed->now.connection->Send(command);
}

void Feeds::OnFrame(uint64_t client, std::string_view frame) {
  Feed* feed = Find(client);
  if (feed == nullptr) return;
  if (feed->now.pongs > 0 && IsPong(frame)) {
    --feed->now.pongs;
    return;
  }
  if (feed->unconfirmed > 0 && !IsMessage(frame)) return Confirmed(feed, frame);
  owner_->OnPush(client, frame);
}

void Feeds::Confirmed(Feed* feed, std::string_view frame) {
  const uint64_t client = feed->asker.to.client;
  const Reply reply = ParseReply(frame);
  const bool refused = reply.is_error();
  feed->unconfirmed = refused ? 0 : feed->unconfirmed - 1;
  if (std::exchange(feed->asked_monitor, false)) {
    feed->monitor = !refused;
    owner_->OnSubscriptions(client, {feed->names[kChannel].size(), feed->names[kPattern].size(),
                                     feed->names[kShard].size(), feed->monitor});
  }
  if (reply.items.size() == 3) {
    const std::string_view what = reply.items[0].text;
    const bool adds = what.find("un") == std::string_view::npos;
    const Kind kind = what.starts_with('p')                               ? kPattern
                      : what.starts_with("ss") || what.starts_with("sun") ? kShard
                                                                          : kChannel;
    if (adds) {
      feed->names[kind].emplace(reply.items[1].text);
    } else if (const auto found = feed->names[kind].find(reply.items[1].text); found != feed->names[kind].end()) {
      feed->names[kind].erase(found);
    }
    owner_->OnSubscriptions(client, {feed->names[kChannel].size(), feed->names[kPattern].size(),
                                     feed->names[kShard].size(), feed->monitor});
  }
  owner_->OnPush(client, frame);
  if (feed->unconfirmed > 0) return;
  const ReplyTo request = std::exchange(feed->request, ReplyTo());
  CloseIfIdle(client);
  owner_->OnAnswer(request, "");
}

// A connection on which nothing is subscribed any more is let go.
void Feeds::CloseIfIdle(uint64_t client) {
  Feed* feed = Find(client);
  if (feed->monitor || !feed->names[kChannel].empty() || !feed->names[kPattern].empty() || !feed->names[kShard].empty())
    return;
  owner_->OnSubscriptions(client, {});
  feeds_.erase(client);
}

// --- The flip ------------------------------------------------------------------------------------------------------

void Feeds::AppendSubscriptions(const Feed& feed, std::string* out, int* count) {
  constexpr std::string_view kCommands[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"};
  for (int kind = 0; kind < 3; ++kind) {
    if (feed.names[kind].empty()) continue;
    std::vector<std::string_view> args{kCommands[kind]};
    args.insert(args.end(), feed.names[kind].begin(), feed.names[kind].end());
    AppendCommand(out, args);
    *count += static_cast<int>(feed.names[kind].size());
  }
  if (!feed.monitor) return;
  AppendCommand(out, {"MONITOR"});
  ++*count;
}

void Feeds::Prepare(Side to) {
  next_side_ = to;
  for (auto& [client, feed] : feeds_) {
    if (feed->next.connection != nullptr || feed->unconfirmed > 0 || !feed->next.error.empty()) continue;
    auto taken = pool_->Take({to, feed->asker.login, feed->asker.protocol, 0});
    if (!taken.ok()) {
      feed->next.error = std::string(taken.status().message());
      continue;
    }
    feed->next = Line();
    feed->next.connection = std::move(*taken);
    feed->next.connection->set_on_frame([this, id = client](std::string_view frame) { OnNextFrame(id, frame); });
    feed->next.connection->set_on_broken([this, id = client](const absl::Status& why) {
      Feed* lost = Find(id);
      if (lost == nullptr) return;
      lost->next = Line();
      lost->next.error = std::string(why.message());
    });
    std::string commands;
    AppendSubscriptions(*feed, &commands, &feed->next.unconfirmed);
    feed->next.connection->Send(commands);
  }
}

void Feeds::OnNextFrame(uint64_t client, std::string_view frame) {
  Feed* feed = Find(client);
  if (feed == nullptr) return;
  Line& next = feed->next;
  if (next.pongs > 0 && IsPong(frame)) {
    --next.pongs;
  } else if (IsErrorReply(frame)) {
    next.error = std::string(frame.substr(1, frame.find('\r') - 1));
  } else if (next.unconfirmed > 0 && !IsMessage(frame)) {
    --next.unconfirmed;
  }
}

std::string Feeds::WhyNotPrepared() const {
  size_t missing = 0;
  std::string error;
  for (const auto& [client, feed] : feeds_) {
    if (feed->next.connection != nullptr && feed->next.unconfirmed == 0 && feed->next.error.empty()) continue;
    ++missing;
    if (!feed->next.error.empty()) error = feed->next.error;
  }
  if (missing == 0) return {};
  return fmt::format("{} subscribers are not subscribed on {} yet{}{}", missing, SideName(next_side_),
                     error.empty() ? "" : ": ", error);
}

void Feeds::Fence() {
  for (auto& [client, feed] : feeds_) {
    const bool messages =
        !feed->names[kChannel].empty() || !feed->names[kPattern].empty() || !feed->names[kShard].empty();
    for (Line* line : {&feed->now, &feed->next}) {
      if (line->connection == nullptr || line->asked) continue;
      line->asked = true;
      if (!messages) continue;  // MONITOR would show the PING, and promises nothing
      ++line->pongs;
      line->connection->Send(Ping());
    }
  }
}

bool Feeds::fenced() const {
  return std::all_of(feeds_.begin(), feeds_.end(),
                     [](const auto& entry) { return entry.second->now.fenced() && entry.second->next.fenced(); });
}

void Feeds::Switch() {
  std::vector<uint64_t> lost;
  for (auto& [client, feed] : feeds_) {
    if (feed->next.connection == nullptr || !feed->next.error.empty()) {
      lost.push_back(client);
      continue;
    }
    feed->now = std::move(feed->next);
    feed->now.asked = false;
    feed->next = Line();
    feed->now.connection->set_on_frame([this, id = client](std::string_view frame) { OnFrame(id, frame); });
    feed->now.connection->set_on_broken([this, id = client](const absl::Status&) {
      feeds_.erase(id);
      owner_->OnFeedLost(id);
    });
  }
  for (uint64_t client : lost) {
    feeds_.erase(client);
    owner_->OnFeedLost(client);
  }
}

void Feeds::Cancel() {
  for (auto& [client, feed] : feeds_) {
    feed->next = Line();
    feed->now.asked = false;
  }
}

}  // namespace crossfade
