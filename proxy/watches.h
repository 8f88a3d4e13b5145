// Transactions under WATCH, which only a real server can judge: each watching client has a connection of its own to the
// primary, where its WATCH, and at the end its EXEC, are carried out. So a write by anybody counts, also by one that
// bypasses the proxy. What the client reads meanwhile goes through the lane, to the primary.
//
// EXEC runs under a gate on its keys (Lane::BeginElsewhere), so that the secondary gets its effects in the primary's
// order. A watch whose connection is lost, or whose primary has changed, is broken: its EXEC answers nil, which every
// client takes as "try again". Owned by Proxy.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proxy/lane.h"
#include "proxy/private_pool.h"

namespace crossfade {

class Watches {
 public:
  // Whoever asks, as a session says it.
  struct Asker {
    ReplyTo to;
    int db = 0;
    int protocol = 2;
    LoginId login = 0;
  };
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void OnAnswer(ReplyTo to, std::string_view reply) = 0;
    // The first WATCH of this client was accepted.
    virtual void OnWatching(uint64_t client) = 0;
    // A gate has opened: who waited for its keys may go on.
    virtual void OnGateOpened() = 0;
  };

  // All must outlive this object.
  Watches(const Config* config, Lane* lane, PrivatePool* pool, Owner* owner)
      : config_(config), lane_(lane), pool_(pool), owner_(owner) {}

  void Watch(const Asker& asker, std::string_view request);
  // UNWATCH, DISCARD, RESET, or the client is gone.
  void Unwatch(uint64_t client);
  // REQUIRES: the client is watching, and no gate blocks what it has queued.
  void Exec(const Asker& asker, std::vector<QueuedCommand> commands);
  // The primary is another one now, or its connections are lost.
  void BreakAll();
  // A store can be asked again.
  void OnLinkUp(Side side) { EndLeftovers(side); }

  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::unique_ptr<PrivateConnection> connection;
    bool broken = false;
  };
  // A connection that broke while a transaction was on it: what it still carries must not run once its keys have been
  // repaired, so the server is told to close it first.
  struct Leftover {
    Side side = Side::kOld;
    int64_t server_id = 0;
    ServerInfo server;  // ids mean nothing to another process
    bool asked = false;
  };
  static constexpr size_t kMaxLeftovers = 1000;  // beyond: the oldest is given up; its keys are compared once quiet
  void Release(std::unique_ptr<PrivateConnection> connection, bool clean);
  void EndLeftovers(Side side);

  const Config* config_;
  Lane* lane_;
  PrivatePool* pool_;
  Owner* owner_;
  absl::flat_hash_map<uint64_t, Entry> entries_;  // by client
  // Transactions that run: their clients may be gone, their outcome matters all the same.
  struct Run {
    std::unique_ptr<PrivateConnection> connection;
    Lane::Elsewhere transaction;
    MemoryShare share;
    bool reusable = true;  // the connection, afterwards
  };
  void Start(uint64_t id, bool ready);
  void End(uint64_t id, const PrivateConnection::Replies& replies);
  absl::flat_hash_map<uint64_t, std::unique_ptr<Run>> running_;
  uint64_t last_run_ = 0;
  std::vector<Leftover> leftovers_;
};

}  // namespace crossfade
