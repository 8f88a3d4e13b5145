// Client-side caching: tells clients which of the keys that they cache have changed (CLIENT TRACKING). One connection
// to the primary, the hub, is told of every change by anybody (BCAST), and what it is told is handed to the clients
// that want to know: those that track prefixes, and those of which it is remembered (ReadKeys) that they have read the
// key.
//
// What always holds: a client never keeps a value that has changed, and that it will not be told of. Therefore
// - a key counts as read when the read is sent, not when it is answered;
// - what the hub says reaches a client after every answer that was on its way to it in that moment (Held): such an
// answer
//   may have been read before the change. What is asked later is run later. Commands that block are not waited for;
// - what is read while there is no hub is taken back at once, with the answer;
// - when the hub is lost, or the primary is another one, and again when there is a new hub, all clients are told to
//   forget everything. So are, one at a time, those for whom too much would have to be remembered or held.
// Reads of tracking clients go to the primary (MakePlan).
//
// NOLOOP may announce more than a server would: a client's own writes leave through the shared lane, so that the server
// can't tell whose they are. Owned by Proxy, whose clients it reads.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "proxy/client_commands.h"
#include "proxy/io.h"
#include "proxy/lane.h"
#include "proxy/private_pool.h"
#include "routing/read_keys.h"

namespace crossfade {

class Tracking {
 public:
  using Clients = ClientCommands::Clients;

  // All must outlive this object.
  Tracking(Io* io, const Config* config, const Lane* lane, PrivatePool* pool, const Clients* clients);

  // CLIENT TRACKING: answered once the hub is there.
  void Track(Client* client, RequestView request, ReplyTo to);
  // A tracking client's request is about to be sent. REQUIRES: what it has queued is still with its session.
  void OnRequest(Client* client, const Plan& plan, RequestView request, uint64_t sequence);
  // As Client::Owner.
  void OnFencePassed(Client* client);
  // RESET, or the client is gone.
  void End(uint64_t client);
  // Nothing is in flight on what was the primary.
  void PrimaryChanged();
  // Every second: is the hub alive?
  void Tick();

  // limits.tracking_keys is another one now.
  void LimitsChanged() { keys_.set_limit(static_cast<size_t>(config_->limits.tracking_keys)); }

  uint64_t forced() const { return forced_; }  // so often a client had to forget, for want of room
  size_t size() const { return entries_.size(); }
  size_t keys() const { return keys_.size(); }
  bool hub_up() const { return hub_up_; }

 private:
  // Invalidated keys, as a RESP array; empty: all keys.
  using Announcement = std::string;
  static constexpr char kEverything[] = "";
  struct Held {
    uint64_t fence = 0;  // told once the client's requests before this one are answered
    Announcement what;
  };
  struct Entry {
    std::deque<Held> held;
    size_t held_bytes = 0;
  };
  struct Asker {
    ReplyTo to;
    TrackingOptions options;
  };

  // The hub.
  void Open();
  void Opened();
  void Lost(const absl::Status& why);
  void CloseIfUnused();
  void OnFrame(std::string_view frame);

  void Begin(Client* client, TrackingOptions options);
  Client* Find(uint64_t client) const;
  void Remember(Client* client, const std::vector<std::string_view>& keys, uint64_t sequence);
  void TellPrefixes(const std::vector<std::string_view>& keys);
  void TellReaders(const std::vector<std::string_view>& keys);
  void TellEverything(uint64_t client);
  void TellAllEverything();
  void Tell(uint64_t client, Announcement what);
  void TellAt(Client* client, uint64_t fence, Announcement what);
  void Hold(Entry* entry, uint64_t fence, Announcement what);
  void Deliver(Client* client, std::string_view what);

  static constexpr size_t kKeysOfOneClient = 100'000;
  static constexpr size_t kHeldBytes = 256 << 10;  // for one client; beyond: it is told to forget everything
  static constexpr int64_t kRetryMs = 250;

  Io* io_;
  const Config* config_;
  const Lane* lane_;
  PrivatePool* pool_;
  const Clients* clients_;
  ReadKeys keys_;
  absl::flat_hash_map<uint64_t, Entry> entries_;  // the tracking clients
  std::vector<Asker> askers_;                     // whose CLIENT TRACKING ON waits for the hub
  std::unique_ptr<PrivateConnection> hub_;
  uint64_t forced_ = 0;
  bool hub_up_ = false;  // it is told of changes
  bool pinged_ = false;
  std::unique_ptr<Timer> retry_;
};

}  // namespace crossfade
