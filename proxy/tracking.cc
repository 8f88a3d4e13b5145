#include "proxy/tracking.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {

std::string KeyArray(const std::vector<std::string_view>& keys) {
  std::string array;
  AppendArrayHeader(&array, keys.size());
  for (std::string_view key : keys) AppendBulk(&array, key);
  return array;
}

// The keys that a request reads, as servers remember them: those of commands that only read, and of scripts all that
// are declared (a server looks at what the script runs).
void AppendReadKeys(const CommandRow& row, RequestView request, const KeyIndices& indices,
                    std::vector<std::string_view>* keys) {
  if ((row.flags & kFlagReadonly) == 0 && row.effect != Effect::kScript) return;
  for (uint32_t index : indices) keys->push_back(request.arg(index));
}

}  // namespace

Tracking::Tracking(Io* io, const Config* config, const Lane* lane, PrivatePool* pool, const Clients* clients)
    : io_(io),
      config_(config),
      lane_(lane),
      pool_(pool),
      clients_(clients),
      keys_(static_cast<size_t>(config->limits.tracking_keys), kKeysOfOneClient) {
  retry_ = io_->clock()->MakeTimer([this] { Open(); });
}

Client* Tracking::Find(uint64_t client) const {
  const auto found = clients_->find(client);
  return found == clients_->end() || found->second->closing() ? nullptr : found->second.get();
}

// --- Who tracks ----------------------------------------------------------------------------------------------------

void Tracking::Track(Client* client, RequestView request, ReplyTo to) {
  TrackingOptions options = client->session().tracking();
  const std::string error = ParseTracking(
      request, [this](int64_t id) { return Find(static_cast<uint64_t>(id)) != nullptr; }, &options);
  if (!error.empty()) {
    std::string reply;
    AppendError(&reply, error);
    return client->Answer(to.sequence, reply);
  }
  if (!options.on) {
    *client->session().mutable_tracking() = {};
    End(client->id());
    return client->Answer(to.sequence, "+OK\r\n");
  }
  if (hub_up_) {
    Begin(client, std::move(options));
    return client->Answer(to.sequence, "+OK\r\n");
  }
  askers_.push_back({to, std::move(options)});
  Open();
}

void Tracking::Begin(Client* client, TrackingOptions options) {
  *client->session().mutable_tracking() = std::move(options);
  entries_.try_emplace(client->id());
}

void Tracking::End(uint64_t client) {
  if (entries_.empty() && askers_.empty()) return;
  entries_.erase(client);
  keys_.Forget(client);
  std::erase_if(askers_, [client](const Asker& asker) { return asker.to.client == client; });
  CloseIfUnused();
}

// --- The hub -------------------------------------------------------------------------------------------------------

void Tracking::Open() {
  if (hub_ != nullptr) return;
  retry_->Stop();
  const Link& primary = lane_->primary();
  // Without pushes there is no hub. Whether the primary knows them it says when it is connected to.
  if (!primary.info().resp3) return Lost(absl::UnavailableError("the primary is away, or does not speak RESP3"));
  auto taken = pool_->Take({.side = primary.side(), .login = 0, .protocol = 3, .db = 0});
  if (!taken.ok()) return Lost(taken.status());
  hub_ = std::move(*taken);
  hub_->set_on_frame([this](std::string_view frame) { OnFrame(frame); });
  hub_->set_on_broken([this](const absl::Status& why) { Lost(why); });
  std::string command;
  AppendCommand(&command, {"CLIENT", "TRACKING", "ON", "BCAST"});
  hub_->Call(command, 1, config_->timeouts.response_ms, [this](const PrivateConnection::Replies& replies) {
    if (!replies.ok()) return;  // Lost comes next
    if (!IsErrorReply(replies->front())) return Opened();
    Lost(absl::FailedPreconditionError(std::string(ParseReply(replies->front()).text)));
  });
}

void Tracking::Opened() {
  hub_up_ = true;
  pinged_ = false;
  TellAllEverything();  // what was read until now may have changed unseen
  for (Asker& asker : std::exchange(askers_, {})) {
    Client* client = Find(asker.to.client);
    if (client == nullptr) continue;
    Begin(client, std::move(asker.options));
    client->Answer(asker.to.sequence, "+OK\r\n");
  }
  CloseIfUnused();
}

void Tracking::Lost(const absl::Status& why) {
  hub_.reset();
  if (std::exchange(hub_up_, false)) {
    spdlog::warn("event=tracking_lost clients={} reason=\"{}\"", entries_.size(), std::string(why.message()));
    TellAllEverything();
  }
  for (const Asker& asker : std::exchange(askers_, {})) {
    std::string reply;
    AppendError(&reply, fmt::format("ERR crossfade: the primary can't be asked to announce changed keys: {}",
                                    std::string(why.message())));
    if (Client* client = Find(asker.to.client); client != nullptr) client->Answer(asker.to.sequence, reply);
  }
  if (!entries_.empty()) retry_->Start(kRetryMs, 0);
}

void Tracking::CloseIfUnused() {
  if (!entries_.empty() || !askers_.empty()) return;
  hub_.reset();
  hub_up_ = false;
  retry_->Stop();
}

void Tracking::PrimaryChanged() {
  if (entries_.empty() && askers_.empty()) return;
  hub_.reset();
  hub_up_ = false;
  TellAllEverything();
  Open();
}

void Tracking::Tick() {
  if (!hub_up_ || pinged_) return;
  pinged_ = true;
  std::string ping;
  AppendCommand(&ping, {"PING"});
  hub_->Call(ping, 1, config_->timeouts.response_ms, [this](const PrivateConnection::Replies&) { pinged_ = false; });
}

void Tracking::OnFrame(std::string_view frame) {
  const Reply push = ParseReply(frame);
  if (push.items.size() != 2 || push.items[0].text != "invalidate") return;
  if (!push.items[1].is_aggregate()) return TellAllEverything();
  std::vector<std::string_view> keys;
  for (const Reply& key : push.items[1].items) keys.push_back(key.text);
  TellPrefixes(keys);
  TellReaders(keys);
}

// --- What was read -------------------------------------------------------------------------------------------------

void Tracking::OnRequest(Client* client, const Plan& plan, RequestView request, uint64_t sequence) {
  const Session& session = client->session();
  if (hub_up_ && !session.remembers_keys()) return;
  std::vector<std::string_view> keys;
  if (plan.act == Plan::Act::kTransaction) {
    for (const QueuedCommand& queued : session.queued()) {
      AppendReadKeys(*queued.row, queued.request.view(), FindKeys(*queued.row, queued.request.view()), &keys);
    }
  } else if (plan.row != nullptr) {
    AppendReadKeys(*plan.row, request, plan.keys, &keys);
  }
  if (keys.empty()) return;
  if (!hub_up_) return TellAt(client, sequence + 1, KeyArray(keys));
  Remember(client, keys, sequence);
}

void Tracking::Remember(Client* client, const std::vector<std::string_view>& keys, uint64_t sequence) {
  bool anew = false;
  for (size_t i = 0; i < keys.size();) {
    if (keys_.Remember(client->id(), keys[i])) {
      ++i;
      continue;
    }
    ++forced_;
    const uint64_t victim = keys_.Victim(client->id());
    if (victim != client->id()) {
      TellEverything(victim);
      continue;
    }
    // Its own keys of this request are forgotten too. If they alone are too many, it must not keep any of them.
    keys_.Forget(victim);
    if (anew) return TellAt(client, sequence + 1, kEverything);
    TellAt(client, sequence, kEverything);
    anew = true;
    i = 0;
  }
}

// --- Telling -------------------------------------------------------------------------------------------------------

// One announcement for each prefix, as servers make them.
void Tracking::TellPrefixes(const std::vector<std::string_view>& keys) {
  absl::flat_hash_map<std::string, Announcement> made;  // by prefix; empty: no key has it
  for (const auto& [id, entry] : entries_) {
    const Client* client = Find(id);
    if (client == nullptr || !client->session().tracking().bcast) continue;
    for (const std::string& prefix : client->session().tracking().prefixes) {
      const auto [announcement, is_new] = made.try_emplace(prefix);
      if (is_new) {
        std::vector<std::string_view> chosen;
        std::copy_if(keys.begin(), keys.end(), std::back_inserter(chosen),
                     [&prefix = prefix](std::string_view key) { return key.starts_with(prefix); });
        if (!chosen.empty()) announcement->second = KeyArray(chosen);
      }
      if (!announcement->second.empty()) Tell(id, announcement->second);
    }
  }
}

void Tracking::TellReaders(const std::vector<std::string_view>& keys) {
  if (keys_.size() == 0) return;
  for (std::string_view key : keys) {
    for (uint64_t client : keys_.Take(key)) Tell(client, KeyArray({key}));
  }
}

void Tracking::TellEverything(uint64_t client) {
  keys_.Forget(client);
  Tell(client, kEverything);
}

void Tracking::TellAllEverything() {
  keys_.Clear();
  for (const auto& [client, entry] : entries_) Tell(client, kEverything);
}

void Tracking::Tell(uint64_t id, Announcement what) {
  Client* client = Find(id);
  if (client == nullptr) return;
  // It may block for ever: told now, and again with the answer, if that may hold what it is told of.
  if (client->blocked()) Deliver(client, what);
  if (client->blocked() && !client->reads_in_flight()) return;
  TellAt(client, client->reads_in_flight() ? client->next_request() : client->oldest_request(), std::move(what));
}

void Tracking::TellAt(Client* client, uint64_t fence, Announcement what) {
  const auto found = entries_.find(client->id());
  if (found == entries_.end()) return;
  if (found->second.held.empty() && client->oldest_request() >= fence) return Deliver(client, what);
  Hold(&found->second, fence, std::move(what));
  client->set_fence(found->second.held.front().fence);
}

void Tracking::Hold(Entry* entry, uint64_t fence, Announcement what) {
  std::deque<Held>& held = entry->held;
  // The first is left as it is, or it would never be told while new ones come.
  if (held.size() > 1 && held.back().what.empty()) {
    held.back().fence = fence;
    return;
  }
  entry->held_bytes += sizeof(Held) + what.size();
  held.push_back({fence, std::move(what)});
  if (entry->held_bytes <= kHeldBytes) return;
  const uint64_t first = held.front().fence;
  held = {{first, kEverything}, {fence, kEverything}};
  entry->held_bytes = 2 * sizeof(Held);
}

void Tracking::OnFencePassed(Client* client) {
  client->set_fence(Client::kNoFence);
  const auto found = entries_.find(client->id());
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  while (!entry.held.empty() && entry.held.front().fence <= client->oldest_request()) {
    Deliver(client, entry.held.front().what);
    entry.held_bytes -= sizeof(Held) + entry.held.front().what.size();
    entry.held.pop_front();
  }
  if (!entry.held.empty()) client->set_fence(entry.held.front().fence);
}

// As tracking.c, sendTrackingMessage.
void Tracking::Deliver(Client* client, std::string_view what) {
  TrackingOptions* options = client->session().mutable_tracking();
  if (!options->on) return;
  Client* listener = options->redirect == 0 ? client : Find(options->redirect);
  std::string frame;
  if (listener == nullptr) {
    options->broken_redirect = true;
    if (client->session().protocol() < 3) return;
    frame = ">2\r\n";
    AppendBulk(&frame, "tracking-redir-broken");
    AppendInteger(&frame, static_cast<int64_t>(options->redirect));
    return client->Push(frame);
  }
  const Session& session = listener->session();
  if (session.protocol() > 2) {
    frame = ">2\r\n";
    AppendBulk(&frame, "invalidate");
  } else if (options->redirect != 0 && session.subscriptions().any()) {
    frame = "*3\r\n";
    AppendBulk(&frame, "message");
    AppendBulk(&frame, "__redis__:invalidate");
  } else {
    return;  // RESP2 has no pushes
  }
  if (what.empty()) {
    AppendNull(&frame, session.protocol());
  } else {
    frame += what;
  }
  listener->Push(frame);
}

}  // namespace crossfade
