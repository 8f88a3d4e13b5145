// The ordered pair of connections that every command goes through: the primary's stream, and the secondary's, which is
// the primary's stream again: only what the primary accepted, in its order, as effects (DESIGN.md, section 4).
//
// A slot takes its place on both sides in the same moment. The primary's half is sent at once. The secondary's half is
// pending until the primary has answered; then it becomes bytes, or nothing. The secondary's queue sends its ready
// prefix. So whatever travels the lane (a copy, a comparison, a question) sees both stores at one logical instant.
//
// What the lane can't carry to the secondary makes its keys dirty, in the same moment (I2). Nothing that happens to the
// secondary delays the primary's half (I3). Owned by Proxy; runs on the loop thread; calls its Owner, never waits.
//
// The code is in six files: lane.cc (links, slots, the end of a slot), lane_submit.cc (taking a place),
// lane_primary.cc (what the primary answered), lane_secondary.cc (the secondary's queue and answers), lane_breaker.cc
// (a secondary that is left alone), lane_expiry.cc (time, and keys that expire).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "protocol/ring.h"
#include "proxy/io.h"
#include "proxy/link.h"
#include "proxy/memory_account.h"
#include "proxy/slot.h"
#include "routing/breaker.h"
#include "routing/companion.h"
#include "routing/coverage.h"
#include "routing/dirty_set.h"
#include "routing/expiry_watch.h"
#include "routing/key_gates.h"
#include "routing/key_log.h"
#include "routing/migration.h"
#include "routing/plan.h"
#include "routing/read_splitter.h"

namespace crossfade {

// The proxy's own commands, asked of one side or of both at one logical instant.
struct Question {
  std::string commands;  // RESP, one after another
  int count = 0;         // how many
  int db = 0;
  int protocol = 2;
  bool ask_primary = false;
  bool ask_secondary = false;
  std::function<void(const Answers&)> done;  // exactly once; may submit again
};

class Lane : private Link::Owner {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // A reply for a client. A second one for the same request (a read asked of both sides) must be ignored.
    virtual void OnAnswer(ReplyTo to, std::string_view reply) = 0;
    // The outcome of a client's write is unknown: it gets what it is owed already, and is disconnected.
    virtual void OnClientBroken(uint64_t client) = 0;
    // A compared read answered differently, on clean keys. `slot` is valid during the call.
    virtual void OnDifference(const Slot& slot) = 0;
    virtual void OnLinkUp(Side side) = 0;
    virtual void OnLinkDown(Side side, const absl::Status& why) = 0;
    // Keys have become dirty, or the lane has become empty.
    virtual void OnDirty() = 0;
    virtual void OnDrained() = 0;
    // The primary has accepted a write that has an effect. `slot` is valid during the call.
    virtual void OnWritten(const Slot& slot) = 0;
    virtual void OnLoginRefused(Side side, LoginId login) = 0;
    // There is room again for commands to the primary (`full` was true).
    virtual void OnRoom() {}
  };

  // Everything must outlive the lane.
  Lane(Io* io, const Config& config, const Migration* migration, DirtySet* dirty, ExpiryWatch* expiry,
       Counters* counters, Owner* owner);
  ~Lane() override;

  void Start();

  // Takes a place for a client's command. `choice` says which side answers a read. REQUIRES: plan.act is kRead, kWrite
  // or kBoth. Answers an error at once when the primary can't be reached.
  // True when the secondary was asked for the client's answer: should the primary be asked after all, then in a later
  // place, so what this client asks to be written next must wait for the answer.
  bool Submit(const Plan& plan, RequestView request, ReplyTo to, int db, int protocol, ReadChoice choice,
              LoginId login = 0);
  // EXEC: the queued commands as one block.
  void SubmitTransaction(std::vector<QueuedCommand> commands, ReplyTo to, int db, int protocol, LoginId login = 0);

  // EXEC on a connection of its own, under a gate. BeginElsewhere takes a place in no queue: it closes the gate, waits
  // until nothing is in flight on the primary for those keys, and calls `start` with the bytes to send (MULTI, the
  // commands, EXEC, and what is asked beside it). EndElsewhere hands in the replies, or why there are none, and opens
  // the gate; the effects get their place behind everything accepted so far. The transaction stays the
  // caller's, and where it is, until then.
  struct Elsewhere {
    std::vector<QueuedCommand> commands;
    ReplyTo to;
    int db = 0;
    int protocol = 2;
    LoginId login = 0;
    int64_t sent_us = 0;
    KeyGates::Id gate = 0;
    KeyLog::Place journalled = KeyLog::kNowhere;
    BlockCopies copies;
    std::string bytes;
    int replies = 0;  // that `bytes` will have; EXEC's is at exec_at
    int exec_at = 0;
  };
  void BeginElsewhere(Elsewhere* transaction, std::function<void(bool ready)> start);
  // It was never sent.
  void CancelElsewhere(Elsewhere* transaction);
  void EndElsewhere(Elsewhere* transaction, const absl::StatusOr<std::vector<std::string>>& replies);

  // Keys that are worked on outside of the lane: who wants them waits.
  const KeyGates& gates() const { return gates_; }
  // May `key` be copied, or compared on both sides, now?
  bool Gated(std::string_view key) const { return !gates_.empty() && gates_.Blocks(key); }
  // By the clock that expiries are reckoned with: the wall's at the start, and steady since.
  int64_t wall_ms() const { return WallOf(io_->clock()->NowUs()); }
  // Is there a moment since `from_us`, of the clock, at which one store may have had this key and the other not,
  // because it was expiring?
  bool MayHaveExpired(int db, std::string_view key, int64_t from_us) const {
    return !expiry_->empty() && expiry_->Uncertain(db, key, WallOf(from_us), wall_ms());
  }
  // May there be keys that expire about now, and nobody knows it?
  bool ExpiriesUnknown() const { return expiry_->incomplete(wall_ms()); }
  void set_logins(const Logins* logins);
  // What its connections are called at the stores (Upstream::set_name). Before Start.
  void set_name(const std::string& name, bool end_namesakes) {
    old_.set_name(name, end_namesakes);
    new_.set_name(name, end_namesakes);
  }
  // Without one every script is run again on the secondary. Must outlive this object.
  void set_scripts(ScriptBook* scripts) { scripts_ = scripts; }
  // Where the keys of writes in flight are kept over a crash of the process. Must outlive this object.
  void set_journal(KeyLog* journal) { journal_ = journal; }
  // Counts what clients read and write, if anybody wants to know. Must outlive this object.
  void set_coverage(Coverage* coverage) { coverage_ = coverage; }
  // Copies one key from the primary to the secondary, by DUMP and RESTORE, or by the commands of the type that it was
  // seen to have. `done` once the secondary has it, the dirty set having been told; or once it is known to fail.
  // REQUIRES: CanCopy(), and CanCopyWhole(as) unless `as` is kNone.
  void SubmitCopy(const DirtySet::Key& key, std::function<void(const CopyResult&)> done,
                  ValueType as = ValueType::kNone);
  // For a copy in pieces: who writes the key waits from here on. What is in flight on it goes on.
  KeyGates::Id CloseForWrites(const std::string& key) { return gates_.CloseForWrites(key); }
  void OpenGate(KeyGates::Id gate);
  void Ask(Question question);

  // When something ran on either store that was asked and answered at these moments (of the clock that NowUs reads).
  WriteTimes TimesBetween(int64_t sent_us, int64_t read_us) const;

  // Both sides are up, the secondary keeps up, and following is on.
  bool CanCopy() const;
  // No slot is in flight on either side.
  bool drained() const { return pool_.in_use() == 0 && gates_.empty(); }
  uint64_t next_order() const { return next_order_; }

  // A forced flip can't wait: everything in flight ends now as if both connections had broken.
  void Abandon(const absl::Status& why);

  Link& link(Side side) { return side == Side::kOld ? old_ : new_; }
  const Link& link(Side side) const { return side == Side::kOld ? old_ : new_; }
  Link& primary() { return link(migration_->primary()); }
  Link& secondary() { return link(migration_->secondary()); }
  const Link& primary() const { return link(migration_->primary()); }
  const Link& secondary() const { return link(migration_->secondary()); }

  // So much is in flight to the primary that clients must wait (limits.primary_queue, limits.primary_commands). What is
  // submitted all the same is sent.
  bool full() const { return primary_bytes_.full() || primary_commands_.full(); }
  const BoundedSum& primary_bytes() const { return primary_bytes_; }
  const BoundedSum& primary_commands() const { return primary_commands_; }
  // Where to say what is held. Must outlive this object. Call before Start.
  void set_account(MemoryAccount* account);
  // The configured limits are others now.
  void LimitsChanged();
  // Gives up what waits for the secondary; nothing follows until it has answered all that it has been sent.
  void Shed();

  // What the secondary still has to apply.
  size_t lag_slots() const { return lag_slots_; }
  size_t lag_bytes() const { return backlog_bytes_; }
  size_t lag_bytes_peak() const { return backlog_peak_; }
  int64_t lag_us() const;
  bool shedding() const { return shedding_; }
  size_t slots_in_use() const { return pool_.in_use(); }

  // Several times a second: is the secondary well, and if it was not, is it again?
  void WatchSecondary();
  const Breaker& breaker() const { return breaker_; }
  int64_t breaker_since_ms() const { return breaker_since_ms_; }  // wall clock; 0 before its first change
  // The roles have been swapped: nothing is known of the new secondary.
  void RolesSwapped();
  // Copies that the secondary refused, by the code of its error.
  const std::map<std::string, uint64_t>& copies_refused() const { return copies_refused_; }

  // Every second: the backends' clocks, and connections that have fallen silent.
  void Tick();
  void RotateLatencies() {
    old_.latency().Rotate();
    new_.latency().Rotate();
  }

 private:
  static constexpr size_t kCopyBytesInFlight = 16 << 20;  // of keys being copied at once, as far as can be foreseen
  static constexpr size_t kFirstCopyBytes = 256 << 10;    // how large a key is taken to be at first

  // lane.cc
  void OnLinkUp(Side side) override;
  void OnLinkDown(Side side, const absl::Status& why) override;
  void OnLinkUnreachable(Side side, const absl::Status& why) override;
  void OnLinkReply(Side side, const Owed& owed, std::string_view reply) override;
  void OnLoginRefused(Side side, LoginId login) override { owner_->OnLoginRefused(side, login); }
  std::vector<Slot*> TakeOwedSlots(Link* link);
  Slot* NewSlot(Slot::Kind kind, ReplyTo to, int db, int protocol);
  void ReleaseIfOver(Slot* slot);
  void Answer(Slot* slot, std::string_view reply);
  void AnswerError(ReplyTo to, const std::string& text);
  std::string PrimaryUnreachable() const;
  using WriteVisitor = std::function<void(const CommandRow&, RequestView, const KeyIndices&, int db)>;
  void ForEachWrite(const Slot& slot, const WriteVisitor& visit) const;
  bool AnyKey(const Slot& slot, const std::function<bool(int db, std::string_view)>& holds) const;
  void MarkKey(const Slot& slot, int db, std::string_view key, DirtyCause cause);
  void MarkKeys(const Slot& slot, const CommandRow& row, RequestView request, const KeyIndices& keys, int db,
                DirtyCause cause);
  void DatabasesSwapped(const Slot& slot, RequestView request);
  void MarkDirty(const Slot& slot, DirtyCause cause);
  void MarkContaminated(const Slot& slot);
  void CheckDeadlines();
  int64_t WallOf(int64_t us) const { return (us + wall_minus_clock_us_) / 1000; }
  Accepted AcceptedWrite(const Slot& slot, const CommandRow& row, RequestView request, std::string_view reply,
                         std::span<const std::string> companions, bool reply_varies) const;

  // lane_submit.cc
  bool SecondaryReachable(int db) const;
  bool SecondaryCanFollow(int db) const;
  bool ReadsGoThrough(const Slot& slot) const;
  DirtyCause WhyNotFollowed() const;
  bool Readable(const Slot& slot) const;
  bool SubmitRead(Slot* slot, const Plan& plan, ReadChoice choice);
  void SendToPrimary(Slot* slot);
  void SendTransaction(Slot* slot);
  bool CopiesItsKeys(const QueuedCommand& command) const;
  static bool HasEffects(const std::vector<QueuedCommand>& commands);
  bool LoginUsable(LoginId login, ReplyTo to);
  void NoteKeys(const CommandRow& row, RequestView request, const KeyIndices& keys, int db);
  KeyLog::Place JournalNoted();
  KeyLog::Place JournalBlock(const std::vector<QueuedCommand>& commands);
  ScriptPlan PlanScript(const CommandRow& row, RequestView request) const;
  void ReserveFollow(Slot* slot);
  void NoteUnfollowed(Slot* slot, DirtyCause cause);
  void SetDeadline(Slot* slot, int64_t delay_ms);

  // lane_primary.cc
  void ChargePrimary(Slot* slot, size_t bytes);
  void DischargePrimary(Slot* slot);
  void OnPrimaryReply(Slot* slot, const Owed& owed, std::string_view reply);
  void PrimaryAnswered(Slot* slot);
  void PrimaryOver(Slot* slot);
  void ReadAnswered(Slot* slot);
  void CountRead(const Slot& slot);
  void CountWrites(const Slot& slot);
  void LearnScript(const CommandRow& row, RequestView request, bool followed);
  std::string_view ScriptToLoad(const CommandRow& row, RequestView request, bool followed) const;
  void WriteRefused(Slot* slot);
  void WriteAccepted(Slot* slot);
  void RewriteTransaction(Slot* slot);
  void CopyAnswered(Slot* slot);
  void EndCopy(Slot* slot, bool copied, const std::string& refusal = {});
  void PrimaryBroke(Slot* slot, const absl::Status& why);
  void RetryReads();
  void FailRetries(const std::string& error);

  // lane_secondary.cc
  void Enqueue(Slot* slot, Half half);
  void Pump();
  void SendFollow(Slot* slot);
  void SkipFollow(Slot* slot);
  void OnSecondaryReply(Slot* slot, const Owed& owed, std::string_view reply);
  static bool CopyMet(const Expectation& expectation, std::string_view reply);
  static bool ElementMet(const Slot& slot, size_t index, std::string_view reply);
  void BothRefused(const Slot& slot);
  void NoScript(const CommandRow& row, RequestView request);
  void CheckFollow(Slot* slot, std::string_view reply);
  void CheckBlock(Slot* slot, std::string_view reply);
  void SecondaryAnswered(Slot* slot);
  void ShiftedReadAnswered(Slot* slot);
  void FollowAnswered(Slot* slot);
  void LogDivergence(const Slot& slot);
  void CompareIfBoth(Slot* slot);
  void AskPrimaryInstead(Slot* slot, bool warm);
  void SecondaryBroke(Slot* slot, DirtyCause cause);
  void Charge(Slot* slot, size_t bytes);
  void ChargeReply(Slot* slot, size_t bytes);
  void BecomeReady(Slot* slot);
  void Discharge(Slot* slot);
  static bool InBacklog(const Slot& slot);
  void DropBacklog();

  // lane_expiry.cc
  WriteTimes TimesOf(const Slot& slot) const;
  bool NearExpiry(const Slot& slot) const;
  void ApplyExpiries(const Slot& slot);

  // lane_breaker.cc
  void ReportFollow(const Slot& slot);
  void ReportCopy(const Slot& slot);
  void ReportRead(const Slot& slot);
  void SendProbe();
  void OnProbeReply(Side side, std::string_view reply);
  void BreakerMoved();
  int64_t NowMs() const { return io_->clock()->NowUs() / 1000; }

  Io* io_;
  const Config& config_;
  const Migration* migration_;
  DirtySet* dirty_;
  ExpiryWatch* expiry_;
  Counters* counters_;
  Owner* owner_;

  SlotPool pool_;
  Link old_, new_;
  uint64_t next_order_ = 1;
  Ring<Slot*> queue_{64};       // the secondary's turns that have not been sent
  std::vector<Slot*> retries_;  // reads that the primary must be asked again
  size_t copies_in_flight_ = 0;
  size_t copy_bytes_ = kFirstCopyBytes;  // how large copied keys have been lately, the large ones remembered longer
  BoundedSum primary_bytes_, primary_commands_;  // of slots whose primary half isn't over
  size_t backlog_bytes_ = 0;                     // of slots whose secondary half isn't over
  size_t backlog_peak_ = 0;
  MemoryShare primary_share_, secondary_share_;
  size_t lag_slots_ = 0;
  KeyGates gates_;
  const Logins* logins_ = nullptr;
  ScriptBook* scripts_ = nullptr;
  KeyLog* journal_ = nullptr;
  Coverage* coverage_ = nullptr;
  std::vector<KeyLog::Key> noted_keys_;  // of the write that is about to be journalled
  bool noted_unknown_ = false;           // … and it writes some that nobody can name
  struct Swap {
    uint64_t order;
    int a, b;
  };
  std::vector<Swap> swaps_;  // SWAPDBs that slots in flight may have come before
  size_t unfollowed_ = 0;    // writes in flight that will make their keys dirty: until then no read is shifted
  bool shedding_ = false;    // the backlog was dropped: nothing follows until the secondary has answered all
  bool pumping_ = false;
  Breaker breaker_;
  uint64_t breaker_changes_ = 0;  // as far as they were acted upon
  int64_t breaker_since_ms_ = 0;
  int probe_left_ = 0;       // replies still to come
  std::string probe_error_;  // the code of the first error among them
  std::string probe_key_;    // a name that nobody has
  std::map<std::string, uint64_t> copies_refused_;
  int64_t divergence_second_ = 0;
  int divergences_logged_ = 0;
  int64_t wall_minus_clock_us_ = 0;
  std::string scratch_;

  // Reads and acks that wait for the secondary, oldest first; all of one kind wait equally long.
  struct Deadline {
    Slot* slot;
    uint64_t order;  // the slot may have been recycled
    int64_t at_us;
  };
  std::deque<Deadline> read_deadlines_, ack_deadlines_;
  std::unique_ptr<Timer> deadline_timer_;
  bool deadline_timer_on_ = false;
};

}  // namespace crossfade
