// Clients that wait for a key: blocking commands (COMMANDS.md, "How Crossfade uses this"). What a client asked runs on
// the lane in its non-blocking form; if that finds nothing, the client waits here, and tries again when a write that
// may feed one of its keys goes by, the longest waiter first. Nothing of it is in the lane meanwhile: a flip has
// nothing to move, and a client that leaves loses nothing.
//
// Writers that bypass the proxy are heard by asking the primary every 50 ms whether the keys that are waited for have
// come into being (or their streams have grown): one question for many keys, which consumes nothing.
//
// Bounded by the number of clients: each waits for one command. Owned by Proxy. The code is in two files:
// waiting_room.cc (coming, trying, leaving), waiting_room_wake.cc (who is woken by what).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "proxy/io.h"
#include "proxy/lane.h"
#include "proxy/watches.h"
#include "routing/blocking.h"

namespace crossfade {

class WaitingRoom {
 public:
  using Asker = Watches::Asker;
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void OnAnswer(ReplyTo to, std::string_view reply) = 0;
  };

  // All must outlive this object.
  WaitingRoom(Io* io, Lane* lane, Owner* owner);

  // Tries, and waits if there is nothing. Answers at once when the arguments are wrong.
  void Enter(const Asker& asker, const CommandRow& row, RequestView request);
  // The client is gone. What an attempt still brings for it is given back.
  void Leave(uint64_t client);
  // The primary's connection broke under an attempt: no answer comes, and the client is disconnected.
  void Lost(uint64_t client);
  // CLIENT UNBLOCK. False when the client doesn't wait.
  bool Unblock(uint64_t client, bool with_error);
  bool Waits(uint64_t client) const { return by_client_.contains(client); }

  // An answer of the lane. True when it was for an attempt, and is dealt with.
  bool OnAnswer(ReplyTo to, std::string_view reply);
  // The primary has accepted a write. Cheap when nobody waits.
  void OnWritten(const Slot& slot) {
    if (!waiters_.empty()) Written(slot);
  }
  // While a flip drains nobody tries.
  void Hold(bool holding);
  // Keys that others worked on are free again.
  void OnGateOpened();

  bool empty() const { return waiters_.empty(); }
  size_t size() const { return waiters_.size(); }
  uint64_t given_back() const { return given_back_; }

 private:
  using Ticket = uint64_t;  // in the order of arrival
  using KeyName = std::pair<int, std::string>;
  struct Waiter {
    Asker asker;
    BlockingForm form;
    std::string crowd;              // who waits for the same: by kind, and by consumer group
    std::string_view command;       // as the client calls it
    std::vector<std::string> ends;  // the streams' ends, once they are known
    bool trying = false;            // an attempt is in the lane
    bool waiting = false;           // it has found nothing once
    bool gone = false;              // its client is
    bool chained = false;           // woken by what may have brought more than one element: the next is too
    bool destroyed_group = false;   // the last write on its key was XGROUP DESTROY
    bool earned = false;            // the attempt in the lane comes behind an element that was meant for it
    std::vector<std::string> fed;   // keys whose elements are kept for it while an attempt on nothing is in the lane
    std::string unblocked;          // what to answer when the attempt finds nothing (CLIENT UNBLOCK)
    int64_t deadline_us = 0;        // 0: none
  };
  struct Queue {
    absl::btree_set<Ticket> tickets;
    bool signalled = false;  // written while nobody could try: a flip drained, or a gate was closed
    std::string stream_end;  // as the last poll saw it; "" before the first
  };

  void AskEnds(Ticket ticket);
  // With a key: that one alone, since it was fed.
  void Try(Ticket ticket, std::string_view key = {});
  void FoundNothing(Ticket ticket, Waiter* waiter);
  void Remove(Ticket ticket);
  void Finish(Ticket ticket, std::string_view reply);
  bool StaysBlocked(const Waiter& waiter, std::string_view error, std::string* unblocked) const;
  static std::string InItsOwnName(const Waiter& waiter, std::string_view error);
  void AskSourceType(Ticket ticket, std::string_view error);
  void PutBack(const Waiter& waiter, std::string_view reply);
  void SubmitPutBack();
  void EndWith(Ticket ticket, Waiter* waiter, std::string_view reply);
  void Written(const Slot& slot);
  struct Event {
    size_t elements = 1;           // so many waiters may find something
    bool maybe_more = false;       // … or more
    bool destroyed_group = false;  // XGROUP DESTROY
  };
  static bool MayFeed(const CommandRow& row);
  static Event EventOf(const CommandRow& row, RequestView request);
  void Wake(int db, std::string_view key, Event event);
  void WakeSignalled();
  bool Gated(const Waiter& waiter) const;
  void AskStreamEnds(const Waiter& waiter);
  void CheckDeadlines();
  void Arm();
  void Poll();
  void PollKeys(int db, std::vector<std::string> keys);
  void PollTypes(int db, std::vector<std::string> keys);
  void PollStreams(int db, std::vector<std::string> keys);

  static constexpr int64_t kPollMs = 50;
  static constexpr size_t kKeysPerQuestion = 100;
  static constexpr size_t kStreamsPerPoll = 500;  // more of them are asked about in turns

  Io* io_;
  Lane* lane_;
  Owner* owner_;
  std::unique_ptr<Timer> deadline_timer_, poll_timer_;
  bool polling_ = false;
  int questions_ = 0;  // of the poll that is under way
  bool holding_ = false;
  absl::flat_hash_map<Ticket, std::unique_ptr<Waiter>> waiters_;
  absl::flat_hash_map<uint64_t, Ticket> by_client_;
  absl::btree_map<KeyName, Queue> queues_;
  absl::btree_set<std::pair<int64_t, Ticket>> deadlines_;
  std::vector<std::pair<int, Request>> to_put_back_;  // until a gate opens
  KeyName next_stream_;                               // where the next poll of streams goes on
  Ticket last_ticket_ = 0;
  uint64_t given_back_ = 0;
};

}  // namespace crossfade
