// Copies single keys in pieces: those too large for one command, and those that RESTORE can't bring over and no one
// command can read. The value is put together under a temporary name on the secondary, and takes its place in one step.
//
//   look → fence → read ⇄ write → look again → replace
//
// Look: the secondary must answer at once, or nothing begins. Fence: a gate is closed, so that who wants to write the
// key waits (reads go on), and the primary is asked for the key's type; when it has answered, so is everything that was
// on its way to it. Then one piece at a time is read from the primary and written to the secondary, the next one only
// when that is confirmed; each is bounded in bytes and elements, so that neither store is held up. When all is read,
// the primary says the time to live and the length: a key that has expired meanwhile is removed, a length that doesn't
// add up is a failure. Replace: UNLINK, RENAME and the expiry as one transaction. Once that has its place in the lane
// the gate opens: later writes are behind it.
//
// What always holds: the key is dirty from before the gate closes until the replacement is confirmed, so no read goes
// to the secondary's old value, no flip begins, and a crash leaves a dirty key. What made it dirty again meanwhile was
// in flight before the fence, therefore before everything that is written here, and is settled by it: the copy counts
// with the fence's order (DirtySet::CopyDone). A mark with a later order stays. The gate never outlives a side that
// breaks or stalls: the attempt ends, to be made again later (I3). A temporary key expires kTemporaryMs after its last
// piece, and each piece makes sure that it is still there before it adds to it: so a crash leaves nothing for long, and
// no part is ever taken for the whole.
//
// Owned by KeyCopier. At most kMaxAtOnce at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "conf/config.h"
#include "protocol/chance.h"
#include "proxy/io.h"
#include "proxy/lane.h"
#include "routing/dirty_set.h"
#include "routing/expiry_watch.h"
#include "routing/rebuild_commands.h"

namespace crossfade {

class Rebuild {
 public:
  struct Result {
    bool copied = false;
    bool not_in_pieces = false;  // its type can't be read so: only DUMP can
    bool busy = false;           // it has not been begun: somebody else's gate is closed
    std::string why = {};        // it failed
    uint64_t bytes = 0;          // that the secondary was sent
  };
  using Done = std::function<void(const Result&)>;

  // All must outlive this object. `gate_opened`: who waits for a key may go on.
  Rebuild(Io* io, const LimitsConfig* limits, DirtySet* dirty, ExpiryWatch* expiry, Lane* lane,
          std::function<void()> gate_opened);
  ~Rebuild();

  // The key isn't at work here or elsewhere, and there is room for one more.
  bool CanStart(const DirtySet::Key& key) const;
  // REQUIRES: CanStart. `done` is called exactly once, perhaps within the call.
  void Start(const DirtySet::Key& key, Done done);
  // Somebody waits for all gates to be open (FLUSHALL; a script that doesn't name its keys): none closes before.
  void GiveWay() { giving_way_ = !cases_.empty(); }

  size_t running() const { return cases_.size(); }
  uint64_t pieces() const { return pieces_; }
  uint64_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kMaxAtOnce = 2;
  static constexpr int64_t kStallMs = 2000;  // the secondary may take so long for one piece, beyond: given up
  static constexpr int64_t kLookMs = 1000;   // … and so long before the gate closes
  static constexpr int64_t kCheckMs = 100;
  static constexpr int64_t kTemporaryMs = 60'000;

  struct Case;
  using Next = void (Rebuild::*)(Case*, const std::vector<std::string>& replies);

  void Look(Case* c);
  void OnLook(Case* c, const std::vector<std::string>& replies);
  void OnFence(Case* c, const std::vector<std::string>& replies);
  void Read(Case* c);
  void OnRead(Case* c, const std::vector<std::string>& replies);
  void Write(Case* c, CommandBatch piece);
  void OnWritten(Case* c, const std::vector<std::string>& replies);
  void LookAgain(Case* c);
  void OnLookedAgain(Case* c, const std::vector<std::string>& replies);
  void Replace(Case* c, int64_t ttl_ms);
  void Remove(Case* c);
  void OnReplaced(Case* c, const std::vector<std::string>& replies);
  void AskPrimary(Case* c, CommandBatch commands, Next next) { Ask(c, std::move(commands), true, next); }
  void AskSecondary(Case* c, CommandBatch commands, Next next) { Ask(c, std::move(commands), false, next); }
  void Ask(Case* c, CommandBatch commands, bool primary, Next next);
  void OpenGate(Case* c);
  void Fail(Case* c, std::string why, bool not_in_pieces = false);
  void Finish(Case* c, Result result);
  void RemoveTemporary(const Case& c);
  void CheckStalls();
  PieceLimits LimitsOfPieces() const;

  Io* io_;
  const LimitsConfig* limits_;
  DirtySet* dirty_;
  ExpiryWatch* expiry_;
  Lane* lane_;
  std::function<void()> gate_opened_;
  std::unique_ptr<Timer> timer_;
  std::mt19937_64 random_{RandomBits()};
  absl::flat_hash_map<uint64_t, std::unique_ptr<Case>> cases_;
  uint64_t last_id_ = 0;
  bool giving_way_ = false;
  uint64_t pieces_ = 0, bytes_ = 0;
};

}  // namespace crossfade
