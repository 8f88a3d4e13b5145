#include "proxy/lane.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "protocol/chance.h"
#include "protocol/check.h"
#include "protocol/fault.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

namespace {
constexpr int64_t kDeadlineStepMs = 10;
}

Lane::Lane(Io* io, const Config& config, const Migration* migration, DirtySet* dirty, ExpiryWatch* expiry,
           Counters* counters, Owner* owner)
    : io_(io),
      config_(config),
      migration_(migration),
      dirty_(dirty),
      expiry_(expiry),
      counters_(counters),
      owner_(owner),
      old_(io, Side::kOld, config.backend(Side::kOld), &config.timeouts, this),
      new_(io, Side::kNew, config.backend(Side::kNew), &config.timeouts, this),
      primary_bytes_(config.limits.primary_queue_bytes),
      primary_commands_(config.limits.primary_commands),
      breaker_(&config.breaker, &config.timeouts),
      probe_key_(fmt::format("__crossfade:probe:{:016x}", RandomBits())) {
  deadline_timer_ = io_->clock()->MakeTimer([this] { CheckDeadlines(); });
  // Taken once: were the wall clock set meanwhile, a store's offset from before would make its expiries wrong by as
  // much.
  wall_minus_clock_us_ = io_->clock()->WallMs() * 1000 - io_->clock()->NowUs();
}

Lane::~Lane() = default;

void Lane::Start() {
  old_.Start();
  new_.Start();
}

void Lane::Tick() {
  const int64_t now_us = io_->clock()->NowUs();
  const int64_t wall_ms = WallOf(now_us);
  if (shedding_ && secondary().idle()) shedding_ = false;
  old_.Tick(now_us, wall_ms);
  new_.Tick(now_us, wall_ms);
}

int64_t Lane::lag_us() const {
  return lag_slots_ == 0 ? 0 : secondary().OldestOwedUs(io_->clock()->NowUs());
}

Slot* Lane::NewSlot(Slot::Kind kind, ReplyTo to, int db, int protocol) {
  Slot* slot = pool_.Take();
  slot->kind = kind;
  slot->to = to;
  slot->db = db;
  slot->protocol = static_cast<uint8_t>(protocol);
  slot->order = next_order_++;
  slot->sent_us = io_->clock()->NowUs();
  return slot;
}

void Lane::ReleaseIfOver(Slot* slot) {
  CHECK(slot->order != 0);  // a slot is freed once
  const auto over = [](Half half) { return half == Half::kNone || half == Half::kDone; };
  if (!over(slot->primary) || !over(slot->secondary)) return;
  if (slot->journalled != KeyLog::kNowhere) journal_->Erase(std::exchange(slot->journalled, KeyLog::kNowhere));
  if (slot->kind == Slot::Kind::kQuestion) {
    // The slot is free before its owner hears of it: what it does then may end what we stand on.
    const auto done = std::move(slot->question_done);
    const Answers answers = std::exchange(slot->answers, Answers());  // a moved-from status is no OK one
    slot->order = 0;
    pool_.Free(slot);
    done(answers);
  } else {
    slot->order = 0;
    pool_.Free(slot);
  }
  if (pool_.in_use() == 0) swaps_.clear();
  if (drained()) owner_->OnDrained();
}

void Lane::set_account(MemoryAccount* account) {
  primary_share_.Join(account, MemoryAccount::Holder::kPrimary);
  secondary_share_.Join(account, MemoryAccount::Holder::kSecondary);
  old_.set_account(account);
  new_.set_account(account);
}

void Lane::LimitsChanged() {
  const bool was_full = full();
  primary_bytes_.set_limit(config_.limits.primary_queue_bytes);
  primary_commands_.set_limit(config_.limits.primary_commands);
  if (was_full && !full()) owner_->OnRoom();
}

void Lane::set_logins(const Logins* logins) {
  logins_ = logins;
  old_.set_logins(logins);
  new_.set_logins(logins);
}

void Lane::Answer(Slot* slot, std::string_view reply) {
  if (slot->to.client == 0) return;
  const ReplyTo to = std::exchange(slot->to, ReplyTo());
  owner_->OnAnswer(to, reply);
}

void Lane::AnswerError(ReplyTo to, const std::string& text) {
  if (to.client == 0) return;
  std::string reply;
  AppendError(&reply, text);
  owner_->OnAnswer(to, reply);
}

std::string Lane::PrimaryUnreachable() const {
  const Upstream& upstream = primary().upstream();
  // Libraries know this one by its code, and try again by themselves.
  if (upstream.loading()) return "LOADING Redis is loading the dataset in memory";
  return fmt::format("ERR crossfade: the primary ({}, {}) is {}: {}", SideName(migration_->primary()),
                     upstream.address().ToString(), upstream.StateWord(),
                     upstream.last_error().empty() ? "not connected yet" : upstream.last_error());
}

// Calls back for each write of the slot: its own command, or those of its transaction.
void Lane::ForEachWrite(const Slot& slot, const WriteVisitor& visit) const {
  if (slot.kind == Slot::Kind::kWrite) return visit(*slot.row, slot.request.view(), slot.keys, slot.db);
  if (slot.kind != Slot::Kind::kTransaction) return;
  for (const QueuedCommand& command : slot.transaction) {
    if (command.row->route != Route::kWrite) continue;
    visit(*command.row, command.request.view(), FindKeys(*command.row, command.request.view()), command.db);
  }
}

// Does this hold for any key that the slot writes, or reads for what it writes?
bool Lane::AnyKey(const Slot& slot, const std::function<bool(int, std::string_view)>& holds) const {
  bool any = false;
  ForEachWrite(slot, [&](const CommandRow&, RequestView request, const KeyIndices& keys, int db) {
    for (uint32_t key : keys) any = any || holds(db, request.arg(key));
  });
  return any;
}

// What was written before a SWAPDB, and is found out about after it, may be in either database.
void Lane::MarkKey(const Slot& slot, int db, std::string_view key, DirtyCause cause) {
  if (migration_->replicating()) return;
  dirty_->Mark(db, key, cause, slot.order);
  for (const Swap& swap : swaps_) {
    if (slot.order > swap.order || (db != swap.a && db != swap.b)) continue;
    dirty_->Mark(db == swap.a ? swap.b : swap.a, key, cause, swap.order);
  }
}

void Lane::MarkKeys(const Slot& slot, const CommandRow& row, RequestView request, const KeyIndices& keys, int db,
                    DirtyCause cause) {
  for (uint32_t key : keys) MarkKey(slot, db, request.arg(key), cause);
  if (BlockCopies::Key other; OtherDatabaseKey(row, request, &other)) MarkKey(slot, other.db, other.name, cause);
}

void Lane::MarkDirty(const Slot& slot, DirtyCause cause) {
  if (migration_->routing.secondary == SecondaryMode::kOff) return;  // nothing is claimed: not synced
  if (migration_->replicating()) return;                             // it gets there by the servers' own replication
  if (FAULT(kForgetOnOverflow) && cause == DirtyCause::kQueueFull) return;
  ForEachWrite(slot, [&](const CommandRow& row, RequestView request, const KeyIndices& keys, int db) {
    if (row.route != Route::kWrite) return;
    MarkKeys(slot, row, request, keys, db, cause);
    // FLUSHALL, SWAPDB; and of a script without declared keys nobody can say what it wrote.
    if (keys.empty()) dirty_->MarkEverything(slot.order);
    if (keys.empty() && row.effect == Effect::kScript) ++counters_->scripts_unnamed_failed;
  });
  owner_->OnDirty();
}

// A command that read a dirty key on the secondary (COPY, RENAME, SUNIONSTORE …) has carried the difference to where it
// wrote, and its reply need not show it.
// While not everything has been copied, any key that it read may be such a one.
void Lane::MarkContaminated(const Slot& slot) {
  const bool doubtful = migration_->synced != Synced::kYes || dirty_->everything();
  if (dirty_->clean() && !doubtful) return;
  ForEachWrite(slot, [&](const CommandRow& row, RequestView request, const KeyIndices& keys, int db) {
    BlockCopies::Key other;
    if (keys.size() < 2 && row.effect != Effect::kScript && !OtherDatabaseKey(row, request, &other)) return;
    const bool dirty = doubtful || std::any_of(keys.begin(), keys.end(),
                                               [&](uint32_t key) { return dirty_->Remembers(db, request.arg(key)); });
    if (keys.empty()) ++counters_->scripts_unnamed_failed;  // what it read and wrote, nobody can say
    if (!dirty) return;
    MarkKeys(slot, row, request, keys, db, DirtyCause::kDirtySource);
    owner_->OnDirty();
  });
}

// The secondary gets the SWAPDB in its turn; what is known of the two databases' keys follows it.
void Lane::DatabasesSwapped(const Slot& slot, RequestView request) {
  constexpr size_t kMaxSwaps = 16;
  const auto a = ParseInt64(request.arg(1)), b = ParseInt64(request.arg(2));
  if (!a || !b || *a == *b) return;
  dirty_->SpreadOverDatabases(static_cast<int>(*a), static_cast<int>(*b), slot.order);
  swaps_.push_back({slot.order, static_cast<int>(*a), static_cast<int>(*b)});
  if (swaps_.size() > kMaxSwaps) dirty_->MarkEverything(slot.order);
}

// --- Links ---------------------------------------------------------------------------------------------------------

void Lane::OnLinkReply(Side side, const Owed& owed, std::string_view reply) {
  if (owed.what == Owed::What::kProbe) return OnProbeReply(side, reply);
  if (side == migration_->primary()) {
    OnPrimaryReply(owed.slot, owed, reply);
  } else {
    OnSecondaryReply(owed.slot, owed, reply);
  }
}

void Lane::OnLinkUp(Side side) {
  const int64_t now_us = io_->clock()->NowUs();
  link(side).Tick(now_us, WallOf(now_us));
  if (side == migration_->secondary()) shedding_ = false;
  owner_->OnLinkUp(side);
  if (side == migration_->primary()) RetryReads();
}

// The slots among what a broken connection owed, each once, in order.
std::vector<Slot*> Lane::TakeOwedSlots(Link* link) {
  std::vector<Slot*> slots;
  Owed owed;
  while (link->TakeOwed(&owed)) {
    if (owed.slot != nullptr && (slots.empty() || slots.back() != owed.slot)) slots.push_back(owed.slot);
  }
  return slots;
}

void Lane::OnLinkDown(Side side, const absl::Status& why) {
  const std::vector<Slot*> slots = TakeOwedSlots(&link(side));
  if (side == migration_->primary()) {
    for (Slot* slot : slots) PrimaryBroke(slot, why);
    Pump();
  } else {
    for (Slot* slot : slots) SecondaryBroke(slot, DirtyCause::kUnknownOutcome);
    DropBacklog();
    shedding_ = false;
    breaker_.OnLinkDown();
    probe_left_ = 0;
  }
  // Replies went to the wrong commands: what seemed agreed may not be, and what followed from them may be wrong.
  if (IsOutOfStep(why)) dirty_->MarkEverything(next_order_);
  owner_->OnLinkDown(side, why);
}

void Lane::OnLinkUnreachable(Side side, const absl::Status& why) {
  if (side == migration_->primary()) FailRetries(PrimaryUnreachable());
  owner_->OnLinkDown(side, why);
}

void Lane::Abandon(const absl::Status& why) {
  for (Side side : {migration_->secondary(), migration_->primary()}) {
    // A side that owes nothing stays: the clients go on with it at once.
    if (link(side).up() && !link(side).idle()) link(side).Cut(why);
  }
  DropBacklog();
  FailRetries(PrimaryUnreachable());
}

// --- Deadlines -----------------------------------------------------------------------------------------------------

void Lane::SetDeadline(Slot* slot, int64_t delay_ms) {
  auto& deadlines = slot->wait_for_both ? ack_deadlines_ : read_deadlines_;
  deadlines.push_back({slot, slot->order, io_->clock()->NowUs() + delay_ms * 1000});
  if (deadline_timer_on_) return;
  deadline_timer_on_ = true;
  deadline_timer_->Start(kDeadlineStepMs, kDeadlineStepMs);
}

void Lane::CheckDeadlines() {
  const int64_t now_us = io_->clock()->NowUs();
  const auto waits = [](const Deadline& deadline) {
    return deadline.slot->order == deadline.order && deadline.slot->to.client != 0;
  };
  while (!read_deadlines_.empty() && (read_deadlines_.front().at_us <= now_us || !waits(read_deadlines_.front()))) {
    const Deadline deadline = read_deadlines_.front();
    read_deadlines_.pop_front();
    if (!waits(deadline)) continue;
    ReportRead(*deadline.slot);
    ++counters_->reads_failed;
    AskPrimaryInstead(deadline.slot, false);
  }
  while (!ack_deadlines_.empty() && (ack_deadlines_.front().at_us <= now_us || !waits(ack_deadlines_.front()))) {
    const Deadline deadline = ack_deadlines_.front();
    ack_deadlines_.pop_front();
    if (!waits(deadline)) continue;
    ++counters_->acks_failed;
    MarkDirty(*deadline.slot, DirtyCause::kUnknownOutcome);
    AnswerError(
        std::exchange(deadline.slot->to, ReplyTo()),
        "ERR crossfade: applied on the primary, but the secondary has not confirmed it in time (ack = \"both\")");
  }
  if (read_deadlines_.empty() && ack_deadlines_.empty()) {
    deadline_timer_->Stop();
    deadline_timer_on_ = false;
  }
}

}  // namespace crossfade
