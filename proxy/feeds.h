// What a store sends to clients unasked: messages of the channels that they subscribe to, keyspace notifications,
// MONITOR. Each such client has a connection of its own to the primary, in its own protocol and under its own user,
// whose frames reach it as they come; so counts, orders and texts are the server's.
//
// A flip moves them without losing or repeating a message that was published through the proxy (PUBLISH goes to both
// stores): while traffic flows, each is subscribed on the other side too, where its messages are thrown away (Prepare).
// Once nothing is in flight any more, both sides get a PING (Fence): what came before the old side's answer is
// delivered, what came before the new side's is not, and both saw the same. Then the sides change (Switch). Owned by
// Proxy.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "proxy/lane.h"
#include "proxy/private_pool.h"
#include "proxy/watches.h"

namespace crossfade {

class Feeds {
 public:
  using Asker = Watches::Asker;
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void OnAnswer(ReplyTo to, std::string_view reply) = 0;
    // A frame for a client, in its protocol.
    virtual void OnPush(uint64_t client, std::string_view frame) = 0;
    virtual void OnSubscriptions(uint64_t client, const Subscriptions& subscriptions) = 0;
    // Its connection to the store is lost: so is the client's, as it would be without a proxy.
    virtual void OnFeedLost(uint64_t client) = 0;
  };

  // All must outlive this object.
  Feeds(Lane* lane, PrivatePool* pool, Owner* owner) : lane_(lane), pool_(pool), owner_(owner) {}

  // SUBSCRIBE and its kin. The confirmations are pushed; then the request is answered with nothing.
  void Subscribe(const Asker& asker, const CommandRow& row, RequestView request);
  void Monitor(const Asker& asker);
  // RESET, or the client is gone.
  void End(uint64_t client) { feeds_.erase(client); }

  // For the flip.
  void Prepare(Side to);
  // Why the sides can't change yet; empty when all are subscribed on the other side too.
  std::string WhyNotPrepared() const;
  // REQUIRES: the lane is drained.
  void Fence();
  bool fenced() const;
  void Switch();
  void Cancel();

  size_t size() const { return feeds_.size(); }

 private:
  // The three namespaces of channels.
  enum Kind { kChannel, kPattern, kShard };
  struct Line {
    std::unique_ptr<PrivateConnection> connection;
    int unconfirmed = 0;  // of the other side: confirmations that are still to come
    bool asked = false;   // this flip has sent its fence
    int pongs = 0;        // fences that have still to come back, also of flips that were given up
    bool fenced() const { return asked && pongs == 0; }
    std::string error;  // why this side can't be subscribed
  };
  struct Feed {
    Asker asker;
    Line now, next;
    std::set<std::string, std::less<>> names[3];
    bool monitor = false;
    bool asked_monitor = false;  // whether the server allows it, it has yet to say
    ReplyTo request;             // the command whose confirmations are coming
    int unconfirmed = 0;         // how many of them are still to come
  };

  Feed* Find(uint64_t client);
  Feed* Open(const Asker& asker);
  void OnFrame(uint64_t client, std::string_view frame);
  void OnNextFrame(uint64_t client, std::string_view frame);
  void Confirmed(Feed* feed, std::string_view frame);
  void CloseIfIdle(uint64_t client);
  static void AppendSubscriptions(const Feed& feed, std::string* out, int* count);
  static int Confirmations(const Feed& feed, const CommandRow& row, RequestView request);
  static void AppendNothing(const CommandRow& row, RequestView request, int protocol, std::string* out);

  Lane* lane_;
  PrivatePool* pool_;
  Owner* owner_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Feed>> feeds_;  // by client
  Side next_side_ = Side::kNew;
};

}  // namespace crossfade
