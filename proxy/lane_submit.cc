// Taking a place in the lane: which sides a slot goes to, and its first bytes.
#include <utility>

#include "fmt/format.h"
#include "protocol/check.h"
#include "protocol/fault.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "proxy/lane.h"

namespace crossfade {

// Without knowing its clock the expiries that it is given would be wrong: that takes one round trip, the first time.
bool Lane::SecondaryReachable(int db) const {
  return migration_->following() && !shedding_ && secondary().up() && secondary().clock_known() &&
         db < secondary().info().databases;
}

// May a write in this database be sent to the secondary now?
bool Lane::SecondaryCanFollow(int db) const {
  return breaker_.closed() && SecondaryReachable(db);
}

// Would the secondary answer this read, were its keys clean?
bool Lane::ReadsGoThrough(const Slot& slot) const {
  return SecondaryCanFollow(slot.db) && breaker_.reads_closed() &&
         (slot.login == 0 || logins_->Known(slot.login, migration_->secondary()));
}

DirtyCause Lane::WhyNotFollowed() const {
  if (migration_->routing.secondary == SecondaryMode::kJournal) return DirtyCause::kNotFollowed;
  if (shedding_) return DirtyCause::kQueueFull;
  return secondary().up() && !breaker_.closed() ? DirtyCause::kBreakerOpen : DirtyCause::kSecondaryAway;
}

// May the secondary answer this read? Its keys must be clean, and what was there before must have been copied.
bool Lane::Readable(const Slot& slot) const {
  if (unfollowed_ > 0 || !SecondaryCanFollow(slot.db) ||
      (slot.login != 0 && !logins_->Known(slot.login, migration_->secondary())) ||
      !migration_->WhyNotReadable(migration_->cold || slot.on_miss == OnMiss::kPrimary).empty()) {
    return false;
  }
  if (dirty_->clean()) return true;
  const RequestView request = slot.request.view();
  for (uint32_t key : slot.keys) {
    if (dirty_->Contains(slot.db, request.arg(key))) return false;
  }
  return !slot.keys.empty() || dirty_->clean();
}

// A user that the primary doesn't know (any more, or since a flip) may do nothing there.
bool Lane::LoginUsable(LoginId login, ReplyTo to) {
  if (login == 0 || logins_->Known(login, migration_->primary())) return true;
  AnswerError(to, fmt::format("NOPERM crossfade: the primary ({}) does not let user '{}' in; log in again, or create "
                              "the user there",
                              SideName(migration_->primary()), logins_->Find(login)->user));
  return false;
}

bool Lane::Submit(const Plan& plan, RequestView request, ReplyTo to, int db, int protocol, ReadChoice choice,
                  LoginId login) {
  if (!primary().up()) {
    AnswerError(to, PrimaryUnreachable());
    return false;
  }
  if (!LoginUsable(login, to)) return false;
  const bool is_read = plan.act == Plan::Act::kRead;
  Slot* slot = NewSlot(is_read ? Slot::Kind::kRead : Slot::Kind::kWrite, to, db, protocol);
  slot->login = login;
  slot->row = plan.row;
  slot->keys = plan.keys;
  slot->request.Assign(request);
  if (is_read) {
    LearnScript(*plan.row, request, false);  // EVAL_RO: the primary knows the script from then on
    return SubmitRead(slot, plan, choice);
  }
  if (plan.row->effect == Effect::kScript && scripts_ != nullptr) {
    slot->script = PlanScript(*plan.row, request);
    if (slot->script.unnamed_keys && !slot->script.reads_only) ++counters_->scripts_unnamed;
  }
  slot->wait_for_both = migration_->routing.ack == AckMode::kBoth && plan.act == Plan::Act::kWrite;
  slot->no_follow = plan.act == Plan::Act::kBoth;
  if (journal_ != nullptr && !slot->no_follow && !slot->script.reads_only && !FAULT(kAckBeforeJournal)) {
    NoteKeys(*slot->row, request, slot->keys, db);
    slot->journalled = JournalNoted();
  }
  SendToPrimary(slot);
  ReserveFollow(slot);
  if (FAULT(kFollowBeforeReply) && slot->secondary == Half::kPending && slot->kind == Slot::Kind::kWrite) {
    slot->follow.bytes = slot->request.view().bytes();
    slot->follow.expectations.emplace_back().kind = Expectation::Kind::kNoError;
    slot->secondary = Half::kReady;
    Pump();
  }
  return false;
}

// A write's keys are where a crash can't take them before the primary may have the write (I2, I8).
void Lane::NoteKeys(const CommandRow& row, RequestView request, const KeyIndices& keys, int db) {
  for (uint32_t key : keys) noted_keys_.push_back({db, request.arg(key)});
  if (keys.empty()) noted_unknown_ = true;
  BlockCopies::Key other;
  if (!OtherDatabaseKey(row, request, &other)) return;
  noted_keys_.push_back({other.db, request.arg(row.name == "move" ? 1 : 2)});
}

KeyLog::Place Lane::JournalNoted() {
  const bool unknown = std::exchange(noted_unknown_, false);
  const KeyLog::Place place = unknown               ? journal_->AppendUnknown()
                              : noted_keys_.empty() ? KeyLog::kNowhere
                                                    : journal_->Append(noted_keys_, 0);
  noted_keys_.clear();
  return place;
}

KeyLog::Place Lane::JournalBlock(const std::vector<QueuedCommand>& commands) {
  if (journal_ == nullptr) return KeyLog::kNowhere;
  for (const QueuedCommand& command : commands) {
    if (command.row->route != Route::kWrite) continue;
    NoteKeys(*command.row, command.request.view(), FindKeys(*command.row, command.request.view()), command.db);
  }
  return JournalNoted();
}

bool Lane::SubmitRead(Slot* slot, const Plan& plan, ReadChoice choice) {
  const Side wanted = choice.from_new ? Side::kNew : Side::kOld;
  slot->on_miss = choice.on_miss;
  const bool to_secondary = wanted == migration_->secondary() && !plan.primary_only && !plan.keys.empty();
  const bool to_compare = choice.compare && plan.comparable && plan.row->compare != CompareRule::kNever;
  const bool readable = (to_secondary || to_compare) && Readable(*slot);
  slot->shifted = to_secondary && readable && breaker_.reads_closed();
  slot->compare = to_compare && readable;
  if (!dirty_->clean()) {
    for (uint32_t key : slot->keys) dirty_->Wanted(slot->db, slot->request.view().arg(key));
  }
  if (to_secondary && !slot->shifted) {
    ++counters_->reads_fallback;
    if (!ReadsGoThrough(*slot)) ++counters_->reads_failed;
  }
  if (to_compare && !readable) ++counters_->reads_not_comparable;
  if (!slot->shifted || slot->compare) SendToPrimary(slot);
  const bool shifted = slot->shifted;
  if (shifted) SetDeadline(slot, config_.timeouts.read_ms);
  if (shifted || slot->compare) Enqueue(slot, Half::kReady);  // what is over at once is free afterwards
  return shifted;
}

// REQUIRES: the primary is up.
void Lane::SendToPrimary(Slot* slot) {
  Link& link = primary();
  link.Switch(slot->db, slot->protocol, slot->sent_us, slot->login);
  link.Write(slot->request.view().bytes());
  link.Owe(slot, Owed::What::kMain, slot->sent_us);
  slot->primary = Half::kSent;
  slot->primary_left = 1;
  ChargePrimary(slot, slot->request.capacity_bytes());
  if (slot->kind != Slot::Kind::kWrite) return;
  const RequestView request = slot->request.view();
  const Companion companion = slot->script.copy ? Companion::kCopyKeys : CompanionOf(*slot->row, request);
  if (companion == Companion::kNone) return;
  link.Switch(slot->db, slot->protocol, slot->sent_us);  // what the proxy asks, it asks by its own rights
  scratch_.clear();
  const int count = AppendCompanions(companion, *slot->row, request, &scratch_);
  link.Write(scratch_);
  for (int i = 0; i < count; ++i) link.Owe(slot, Owed::What::kCompanion, slot->sent_us);
  slot->primary_left += count;
}

// A write's turn on the secondary, or the reason why it has none.
void Lane::ReserveFollow(Slot* slot) {
  if (SecondaryCanFollow(slot->db)) return Enqueue(slot, Half::kPending);
  NoteUnfollowed(slot, WhyNotFollowed());
}

// Its keys become dirty when the primary accepts it. Until then nobody can see that the secondary lacks it.
void Lane::NoteUnfollowed(Slot* slot, DirtyCause cause) {
  slot->missed = cause;
  if (slot->unfollowed || (slot->kind != Slot::Kind::kWrite && slot->kind != Slot::Kind::kTransaction)) return;
  slot->unfollowed = true;
  ++unfollowed_;
}

ScriptPlan Lane::PlanScript(const CommandRow& row, RequestView request) const {
  // Dragonfly has scripts, but no functions.
  return scripts_->PlanFor(row.name, request, secondary().info().product != "dragonfly");
}

bool Lane::CopiesItsKeys(const QueuedCommand& command) const {
  if (command.row->effect == Effect::kScript && scripts_ != nullptr) {
    return PlanScript(*command.row, command.request.view()).copy;
  }
  return CompanionOf(*command.row, command.request.view()) != Companion::kNone;
}

bool Lane::HasEffects(const std::vector<QueuedCommand>& commands) {
  for (const QueuedCommand& command : commands) {
    if (command.row->route == Route::kWrite || command.row->route == Route::kBoth) return true;
  }
  return false;
}

void Lane::SubmitTransaction(std::vector<QueuedCommand> commands, ReplyTo to, int db, int protocol, LoginId login) {
  if (!primary().up()) return AnswerError(to, PrimaryUnreachable());
  if (!LoginUsable(login, to)) return;
  Slot* slot = NewSlot(Slot::Kind::kTransaction, to, db, protocol);
  slot->login = login;
  slot->transaction = std::move(commands);
  slot->copies = PlanCopies(slot->transaction, [this](const QueuedCommand& command) { return CopiesItsKeys(command); });
  const bool writes = HasEffects(slot->transaction);
  slot->no_follow = !writes;
  slot->wait_for_both = migration_->routing.ack == AckMode::kBoth && writes;
  slot->journalled = JournalBlock(slot->transaction);
  SendTransaction(slot);
  if (writes) ReserveFollow(slot);
}

// MULTI, the commands and EXEC leave in one piece: nobody else writes to this connection in between.
void Lane::SendTransaction(Slot* slot) {
  Link& link = primary();
  link.Switch(slot->db, slot->protocol, slot->sent_us, slot->login);
  scratch_.clear();
  AppendCommand(&scratch_, {"MULTI"});
  link.Owe(slot, Owed::What::kQueued, slot->sent_us);
  bool selects = false;
  for (const QueuedCommand& command : slot->transaction) {
    scratch_.append(command.request.view().bytes());
    selects = selects || command.row->name == "select";
    link.Owe(slot, Owed::What::kQueued, slot->sent_us);
  }
  AppendCommand(&scratch_, {"EXEC"});
  link.Owe(slot, Owed::What::kMain, slot->sent_us);
  if (selects) {
    // Whether it was carried out or not: the connection is where the lane believes it to be.
    AppendCommand(&scratch_, {"SELECT", std::to_string(slot->db)});
    link.Owe(nullptr, Owed::What::kSwitch, slot->sent_us);
  }
  link.Write(scratch_);
  ChargePrimary(slot, scratch_.size() + slot->transaction.size() * sizeof(QueuedCommand));
  for (const BlockCopies::Key& key : slot->copies.keys) {
    link.Switch(key.db, slot->protocol, slot->sent_us);
    scratch_.clear();
    AppendCommand(&scratch_, {"PTTL", key.name});
    AppendCommand(&scratch_, {"DUMP", key.name});
    link.Write(scratch_);
    link.Owe(slot, Owed::What::kCompanion, slot->sent_us);
    link.Owe(slot, Owed::What::kCompanion, slot->sent_us);
  }
  slot->primary = Half::kSent;
  slot->primary_left = static_cast<int>(slot->transaction.size() + 2 + 2 * slot->copies.keys.size());
}

// --- Outside of the lane ---------------------------------------------------------------------------------------------

void Lane::BeginElsewhere(Elsewhere* transaction, std::function<void(bool)> start) {
  std::vector<std::string> keys;
  bool everything = false;
  for (const QueuedCommand& command : transaction->commands) {
    const RequestView request = command.request.view();
    const KeyIndices places = FindKeys(*command.row, request);
    for (uint32_t key : places) keys.emplace_back(request.arg(key));
    if (BlockCopies::Key other; OtherDatabaseKey(*command.row, request, &other)) keys.push_back(other.name);
    everything = everything || (places.empty() && command.row->route == Route::kWrite);
  }
  transaction->journalled = JournalBlock(transaction->commands);
  transaction->gate = gates_.Close(std::move(keys), everything);
  transaction->copies =
      PlanCopies(transaction->commands, [this](const QueuedCommand& command) { return CopiesItsKeys(command); });
  std::string& bytes = transaction->bytes;
  AppendCommand(&bytes, {"MULTI"});
  for (const QueuedCommand& command : transaction->commands) bytes.append(command.request.view().bytes());
  AppendCommand(&bytes, {"EXEC"});
  transaction->exec_at = static_cast<int>(transaction->commands.size()) + 1;
  for (const BlockCopies::Key& key : transaction->copies.keys) {
    AppendCommand(&bytes, {"SELECT", std::to_string(key.db)});
    AppendCommand(&bytes, {"PTTL", key.name});
    AppendCommand(&bytes, {"DUMP", key.name});
  }
  transaction->replies = transaction->exec_at + 1 + 3 * static_cast<int>(transaction->copies.keys.size());
  // The primary answers in order: when this is answered, so is everything that went before the gate closed.
  Question fence;
  fence.ask_primary = true;
  fence.db = transaction->db;
  fence.protocol = kAnyProtocol;
  fence.count = 1;
  AppendCommand(&fence.commands, {"PING"});
  fence.done = [this, transaction, start = std::move(start)](const Answers& answers) {
    transaction->sent_us = io_->clock()->NowUs();
    start(answers.status.ok());
  };
  Ask(std::move(fence));
}

void Lane::CancelElsewhere(Elsewhere* transaction) {
  if (journal_ != nullptr) journal_->Erase(transaction->journalled);
  OpenGate(transaction->gate);
}

void Lane::OpenGate(KeyGates::Id gate) {
  gates_.Open(gate);
  if (drained()) owner_->OnDrained();
}

void Lane::EndElsewhere(Elsewhere* transaction, const absl::StatusOr<std::vector<std::string>>& replies) {
  Slot* slot = NewSlot(Slot::Kind::kTransaction, transaction->to, transaction->db, transaction->protocol);
  slot->login = transaction->login;
  slot->sent_us = transaction->sent_us;
  slot->answered_us = io_->clock()->NowUs();
  slot->transaction = std::move(transaction->commands);
  slot->copies = std::move(transaction->copies);
  const bool writes = HasEffects(slot->transaction);
  slot->no_follow = !writes;
  slot->journalled = transaction->journalled;
  gates_.Open(transaction->gate);
  if (!replies.ok()) return PrimaryBroke(slot, replies.status());
  slot->multi_refused = IsErrorReply(replies->front());
  slot->primary_reply = (*replies)[static_cast<size_t>(transaction->exec_at)];
  for (size_t i = static_cast<size_t>(transaction->exec_at) + 1; i + 2 < replies->size(); i += 3) {
    slot->companions.push_back((*replies)[i + 1]);
    slot->companions.push_back((*replies)[i + 2]);
  }
  slot->wait_for_both = migration_->routing.ack == AckMode::kBoth && writes;
  if (!slot->wait_for_both || IsErrorReply(slot->primary_reply)) Answer(slot, slot->primary_reply);
  if (writes) ReserveFollow(slot);
  PrimaryAnswered(slot);
}

bool Lane::CanCopy() const {
  const bool room = copies_in_flight_ == 0 || copies_in_flight_ * copy_bytes_ < kCopyBytesInFlight;
  return room && !primary_share_.account_full() && primary().up() && secondary().up() && secondary().clock_known() &&
         !shedding_ && migration_->following() && breaker_.MayCopy() &&
         backlog_bytes_ < static_cast<size_t>(config_.limits.secondary_queue_bytes) / 2;
}

void Lane::SubmitCopy(const DirtySet::Key& key, std::function<void(const CopyResult&)> done, ValueType as) {
  CHECK(CanCopy());
  Slot* slot = NewSlot(Slot::Kind::kCopy, ReplyTo(), key.db, kAnyProtocol);
  slot->copy_key = key;
  slot->copy_as = as;
  slot->copy_done = std::move(done);
  ++copies_in_flight_;
  Link& link = primary();
  link.Switch(slot->db, slot->protocol, slot->sent_us);
  scratch_.clear();
  AppendCommand(&scratch_, {"PTTL", key.name});
  if (as == ValueType::kNone) {
    AppendCommand(&scratch_, {"DUMP", key.name});
  } else {
    AppendWholeRead(as, key.name, &scratch_);
  }
  link.Write(scratch_);
  link.Owe(slot, Owed::What::kCompanion, slot->sent_us);
  link.Owe(slot, Owed::What::kMain, slot->sent_us);
  slot->primary = Half::kSent;
  slot->primary_left = 2;
  ChargePrimary(slot, scratch_.size());
  breaker_.OnCopySent();
  if (SecondaryReachable(slot->db)) {
    Enqueue(slot, Half::kPending);
  } else {
    slot->missed = DirtyCause::kSecondaryAway;
  }
}

void Lane::Ask(Question question) {
  const bool primary_away = question.ask_primary && !primary().up();
  const bool secondary_away = question.ask_secondary && !SecondaryCanFollow(question.db);
  if (primary_away || secondary_away) {
    Answers answers;
    answers.status = absl::UnavailableError(primary_away ? "the primary is away" : "the secondary is away");
    return question.done(answers);
  }
  Slot* slot = NewSlot(Slot::Kind::kQuestion, ReplyTo(), question.db, question.protocol);
  slot->question_done = std::move(question.done);
  if (question.ask_primary) {
    Link& link = primary();
    link.Switch(slot->db, slot->protocol, slot->sent_us);
    link.Write(question.commands);
    for (int i = 0; i < question.count; ++i) link.Owe(slot, Owed::What::kCompanion, slot->sent_us);
    slot->primary = Half::kSent;
    slot->primary_left = question.count;
    ChargePrimary(slot, question.commands.size());
  }
  if (question.ask_secondary) {
    slot->secondary_left = question.count;
    slot->follow.bytes = std::move(question.commands);
    Enqueue(slot, Half::kReady);
  }
}

}  // namespace crossfade
