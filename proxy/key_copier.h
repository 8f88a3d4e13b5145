// The one place that decides how a key is copied from the primary to the secondary. Repair and sweeps hand their keys
// in.
//
//   small                         one slot of the lane: DUMP and RESTORE
//   beyond limits.copy_whole      in pieces, under a gate (proxy/rebuild)
//   refused by RESTORE            by the commands of its type: in one slot, or in pieces if it isn't small
//   a module's                    DUMP and RESTORE, or not at all
//
// A key's size is asked of the primary first (MEMORY USAGE; where that is refused, the number of its elements). That a
// secondary refuses RESTORE altogether is remembered, so that it isn't tried with every key, and tried again after a
// while. Keys that can't be begun at once, because the lane is full or somebody is at work on them, wait here: as many
// as the callers have in flight, and one for all who want the same key (a large one becomes dirty again and again while
// it waits). What fails is for the caller to try again; why is kept for the status. Owned by Proxy; runs on the loop
// thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/lane.h"
#include "proxy/rebuild.h"
#include "routing/dirty_set.h"
#include "routing/expiry_watch.h"
#include "routing/migration.h"

namespace crossfade {

// How the copy of one key ended.
struct KeyCopied {
  bool copied = false;
  uint64_t bytes = 0;    // that the secondary was sent
  std::string why = {};  // it failed; names no key
  operator bool() const { return copied; }
};

class KeyCopier {
 public:
  using Done = std::function<void(const KeyCopied&)>;

  // All must outlive this object. `gate_opened`: who waits for a key may go on.
  KeyCopier(Io* io, const LimitsConfig* limits, const Migration* migration, DirtySet* dirty, ExpiryWatch* expiry,
            Lane* lane, std::function<void()> gate_opened);

  // `done` is called exactly once, perhaps within the call; when the key was copied the dirty set has been told.
  // REQUIRES: lane.CanCopy(), and the key isn't gated.
  void Copy(const DirtySet::Key& key, Done done);
  // Somebody waits until no key is copied in pieces.
  void GiveWay() { rebuild_.GiveWay(); }

  uint64_t whole() const { return whole_; }       // copied by DUMP and RESTORE
  uint64_t by_type() const { return by_type_; }   // … by their type's commands in one slot
  uint64_t in_pieces() const { return pieces_; }  // … in pieces
  uint64_t failed() const { return failed_; }
  size_t waiting() const { return waiting_.size(); }
  const Rebuild& rebuild() const { return rebuild_; }
  const std::string& last_failure() const { return last_failure_; }  // names no key
  // Not empty: the secondary is known to refuse RESTORE, and in what words.
  const std::string& restore_refused() const { return refused_[static_cast<int>(migration_->secondary())].why; }

 private:
  static constexpr int64_t kStepMs = 2;
  static constexpr int64_t kTryRestoreAgainUs = 60'000'000;
  static constexpr int64_t kElementBytes = 64;           // taken for an element where only their number is known
  static constexpr int64_t kWholeByTypeBytes = 1 << 20;  // a larger value isn't written by one burst of commands

  enum class Way : uint8_t { kUnknown, kWhole, kByType, kPieces };
  struct Case;
  using CasePtr =
      std::shared_ptr<Case>;  // owned by whichever callback or queue will go on with it: copyable, one at a time
  using Next = void (KeyCopier::*)(const CasePtr&, const Answers&);

  void Look(const CasePtr& c);
  void OnLook(const CasePtr& c, const Answers& answers);
  void OnType(const CasePtr& c, const Answers& answers);
  void OnLength(const CasePtr& c, const Answers& answers);
  void Choose(const CasePtr& c, int64_t bytes);
  void Go(const CasePtr& c);
  void OnWhole(const CasePtr& c, const CopyResult& result);
  void OnPieces(const CasePtr& c, const Rebuild::Result& result);
  void AskPrimary(const CasePtr& c, const CommandBatch& commands, Next next);
  void Wait(const CasePtr& c);
  void Work();
  bool RestoreRefused();
  void Finish(const CasePtr& c, KeyCopied result);
  void Fail(const CasePtr& c, std::string why);

  Io* io_;
  const LimitsConfig* limits_;
  const Migration* migration_;
  DirtySet* dirty_;
  Lane* lane_;
  Rebuild rebuild_;
  std::unique_ptr<Timer> timer_;
  std::deque<CasePtr> waiting_;
  struct Refused {
    std::string why;
    int64_t at_us = 0;
  };
  Refused refused_[2];  // by Side
  uint64_t whole_ = 0, by_type_ = 0, pieces_ = 0, failed_ = 0;
  std::string last_failure_;
  int64_t logged_second_ = 0;
};

}  // namespace crossfade
