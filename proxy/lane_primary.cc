// What the primary answered: the client's reply, and what becomes of the secondary's turn.
#include <algorithm>
#include <utility>

#include "protocol/fault.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "proxy/lane.h"

namespace crossfade {

// A command is on its way to the primary, or its slot has come to hold more while it waits for the primary.
void Lane::ChargePrimary(Slot* slot, size_t bytes) {
  if (slot->in_flight_bytes == 0) {
    primary_commands_.Add(1);
    bytes += sizeof(Slot);
  }
  slot->in_flight_bytes += bytes;
  primary_bytes_.Add(bytes);
  primary_share_.Add(bytes);
}

void Lane::DischargePrimary(Slot* slot) {
  const size_t bytes = std::exchange(slot->in_flight_bytes, 0);
  if (bytes == 0) return;
  const bool was_full = full();
  primary_commands_.Subtract(1);
  primary_bytes_.Subtract(bytes);
  primary_share_.Subtract(bytes);
  if (was_full && !full()) owner_->OnRoom();
}

void Lane::OnPrimaryReply(Slot* slot, const Owed& owed, std::string_view reply) {
  --slot->primary_left;
  if (slot->kind == Slot::Kind::kQuestion) {
    slot->answers.primary.emplace_back(reply);
    ChargeReply(slot, reply.size());
  } else if (owed.what == Owed::What::kCompanion) {
    slot->companions.emplace_back(reply);
  } else if (owed.what == Owed::What::kQueued) {
    // The first of these is MULTI's own.
    const int all = static_cast<int>(slot->transaction.size() + 2 + 2 * slot->copies.keys.size());
    if (slot->primary_left + 1 == all && IsErrorReply(reply)) slot->multi_refused = true;
  } else if (owed.what == Owed::What::kMain) {
    switch (slot->kind) {
      case Slot::Kind::kRead:
        if (slot->after_error && !IsErrorReply(reply)) ++counters_->reads_failed;
        if (!slot->shifted) {
          ++counters_->reads[static_cast<int>(migration_->primary())];
          CountRead(*slot);
          Answer(slot, reply);
        }
        if (slot->compare || slot->warm) slot->primary_reply = reply;
        if (slot->compare) ChargeReply(slot, reply.size());
        break;
      case Slot::Kind::kWrite:
      case Slot::Kind::kTransaction:
        slot->primary_reply = reply;
        ChargeReply(slot, reply.size());
        if (!slot->wait_for_both || IsErrorReply(reply)) Answer(slot, reply);
        break;
      case Slot::Kind::kCopy:
        slot->primary_reply = reply;
        break;
      case Slot::Kind::kQuestion:
        break;
    }
  }
  if (slot->primary_left == 0) PrimaryAnswered(slot);
}

void Lane::PrimaryAnswered(Slot* slot) {
  slot->primary = Half::kDone;
  DischargePrimary(slot);
  switch (slot->kind) {
    case Slot::Kind::kRead:
      return ReadAnswered(slot);
    case Slot::Kind::kCopy:
      return CopyAnswered(slot);
    case Slot::Kind::kQuestion:
      return PrimaryOver(slot);
    case Slot::Kind::kWrite:
    case Slot::Kind::kTransaction:
      break;
  }
  if (std::exchange(slot->unfollowed, false)) --unfollowed_;
  if (FAULT(kAckBeforeJournal) && slot->kind == Slot::Kind::kWrite && !slot->no_follow) {
    NoteKeys(*slot->row, slot->request.view(), slot->keys, slot->db);
    slot->journalled = JournalNoted();
  }
  if (FAULT(kFollowBeforeReply) && !slot->follow.empty()) return PrimaryOver(slot);  // it has been sent
  if (IsErrorReply(slot->primary_reply)) {
    WriteRefused(slot);
  } else {
    WriteAccepted(slot);
  }
  PrimaryOver(slot);
}

// Nothing follows what the primary refused; but a script that fails keeps what it had written.
void Lane::WriteRefused(Slot* slot) {
  // A script that fails is known to the primary all the same.
  if (slot->kind == Slot::Kind::kWrite && slot->row->name == "eval")
    LearnScript(*slot->row, slot->request.view(), false);
  const bool wrote = slot->multi_refused ||
                     (slot->kind == Slot::Kind::kWrite && MayWriteInSpiteOfError(*slot->row, slot->primary_reply));
  if (!wrote) return SkipFollow(slot);
  // Run by another user it may have failed for want of rights, which the secondary's side doesn't lack.
  if (slot->script.unnamed_keys && slot->login == 0) {
    // Nobody knows which keys to copy: the secondary does the same, up to the same error.
    slot->wait_for_both = false;
    return WriteAccepted(slot);
  }
  if (!slot->companions.empty()) {
    slot->wait_for_both = false;  // the client has its error already
    return WriteAccepted(slot);
  }
  MarkDirty(*slot, DirtyCause::kEffectUnknown);
  owner_->OnWritten(*slot);
  SkipFollow(slot);
}

// A slot whose turn on the secondary is still to come belongs to the queue: the pump ends it.
void Lane::PrimaryOver(Slot* slot) {
  const bool queued =
      slot->secondary == Half::kPending || slot->secondary == Half::kReady || slot->secondary == Half::kSkipped;
  if (queued) {
    Pump();
  } else {
    ReleaseIfOver(slot);
  }
}

void Lane::ReadAnswered(Slot* slot) {
  if (slot->warm && !IsNullReply(slot->primary_reply) && !IsErrorReply(slot->primary_reply)) {
    const RequestView request = slot->request.view();
    for (uint32_t key : slot->keys) dirty_->Mark(slot->db, request.arg(key), DirtyCause::kMiss, slot->order);
    owner_->OnDirty();
  }
  CompareIfBoth(slot);
  PrimaryOver(slot);
}

void Lane::CountRead(const Slot& slot) {
  if (coverage_ == nullptr) return;
  const uint64_t comparable = slot.row->compare == CompareRule::kNever ? 0 : 1;
  coverage_->Count({.reads = 1, .comparable = comparable}, slot.row->name, slot.request.view(), slot.keys);
}

void Lane::CountWrites(const Slot& slot) {
  if (coverage_ == nullptr) return;
  ForEachWrite(slot, [this](const CommandRow& row, RequestView request, const KeyIndices& keys, int) {
    if (row.route == Route::kWrite) coverage_->Count({.writes = 1}, row.name, request, keys);
  });
}

void Lane::WriteAccepted(Slot* slot) {
  if (!slot->no_follow) {
    ++counters_->writes_total;
    CountWrites(*slot);
  }
  if (slot->kind == Slot::Kind::kWrite)
    LearnScript(*slot->row, slot->request.view(), slot->secondary == Half::kPending);
  if (slot->kind == Slot::Kind::kTransaction) {
    RewriteTransaction(slot);
  } else if (slot->script.reads_only) {
    // It was made to write nothing.
  } else if (slot->row->route == Route::kBoth) {
    slot->follow.bytes = slot->request.view().bytes();
    slot->follow.expectations.emplace_back().kind = Expectation::Kind::kNoError;
  } else {
    Rewrite(AcceptedWrite(*slot, *slot->row, slot->request.view(), slot->primary_reply, slot->companions,
                          slot->script.reply_varies),
            &slot->follow);
    if (slot->row->name == "swapdb") DatabasesSwapped(*slot, slot->request.view());
  }
  if (slot->follow.unknown) MarkDirty(*slot, DirtyCause::kEffectUnknown);
  const bool nothing = slot->follow.empty();
  if (!nothing || slot->follow.unknown) owner_->OnWritten(*slot);
  if (slot->secondary == Half::kPending && !nothing) {
    if (slot->wait_for_both) SetDeadline(slot, config_.timeouts.ack_ms);
    Charge(slot, slot->follow.bytes.size());
    return BecomeReady(slot);
  }
  const bool unknown = slot->follow.unknown;
  if (nothing && !unknown && !slot->no_follow && slot->secondary == Half::kPending) ++counters_->writes_followed;
  if ((!nothing || unknown) && !slot->no_follow) {
    ++counters_->writes_not_followed;
    if (!nothing) MarkDirty(*slot, slot->missed);
  }
  SkipFollow(slot);
  if (!slot->wait_for_both) return;
  if ((nothing && !unknown) || !migration_->following()) return Answer(slot, slot->primary_reply);
  ++counters_->acks_failed;
  AnswerError(
      std::exchange(slot->to, ReplyTo()),
      nothing
          ? "ERR crossfade: applied on the primary, but the secondary gets it only as a copy (ack = \"both\")"
          : "ERR crossfade: applied on the primary, but the secondary is away (ack = \"both\"); it will be repaired");
}

// What the primary has accepted is known from now on.
void Lane::LearnScript(const CommandRow& row, RequestView request, bool followed) {
  if (scripts_ == nullptr) return;
  const std::string_view name = row.name;
  if (name == "eval" || name == "eval_ro") {
    scripts_->Learn(request.arg(1));
  } else if (name == "script|load") {
    const std::string sha = scripts_->Learn(request.arg(2));
    scripts_->Loaded(migration_->primary(), sha);
    if (followed) scripts_->Loaded(migration_->secondary(), sha);
  } else if (name == "script|flush") {
    scripts_->Forget();
  }
}

// The body of a script that the secondary must be given before it is asked to run it. Empty when it need not.
std::string_view Lane::ScriptToLoad(const CommandRow& row, RequestView request, bool followed) const {
  if (scripts_ == nullptr || !followed || row.name != "evalsha") return {};
  const std::string* body = scripts_->Body(request.arg(1));
  if (body == nullptr || !scripts_->NeedsLoading(migration_->secondary(), request.arg(1))) return {};
  scripts_->Loaded(migration_->secondary(), request.arg(1));
  return *body;
}

Accepted Lane::AcceptedWrite(const Slot& slot, const CommandRow& row, RequestView request, std::string_view reply,
                             std::span<const std::string> companions, bool reply_varies) const {
  const ServerInfo& server = primary().info();
  return {row,
          request,
          reply,
          companions,
          TimesOf(slot),
          server.eager_consumers,
          server.field_expiry,
          reply_varies,
          ScriptToLoad(row, request, slot.secondary == Half::kPending)};
}

// EXEC's reply, element by element: each effect as if its command had come alone, inside one MULTI for the secondary.
void Lane::RewriteTransaction(Slot* slot) {
  const Reply reply = ParseReply(slot->primary_reply);
  if (reply.is_null()) return;  // a watched key had changed
  if (reply.items.size() != slot->transaction.size()) {
    slot->follow.unknown = true;
    return;
  }
  for (size_t i = 0; i < reply.items.size(); ++i) {
    AppendReply(&slot->element_replies.emplace_back(), reply.items[i]);
    const QueuedCommand& command = slot->transaction[i];
    const RequestView request = command.request.view();
    if (reply.items[i].is_error() && !slot->copies.covered[i] &&
        MayWriteInSpiteOfError(*command.row, slot->element_replies[i])) {
      const KeyIndices keys = FindKeys(*command.row, request);
      MarkKeys(*slot, *command.row, request, keys, command.db, DirtyCause::kEffectUnknown);
      if (keys.empty() && slot->login != 0) dirty_->MarkEverything(slot->order);
      owner_->OnDirty();
    }
    if (!reply.items[i].is_error() || command.row->name.starts_with("eval")) {
      LearnScript(*command.row, request, slot->secondary == Half::kPending);
    }
    if (command.row->name == "swapdb" && !reply.items[i].is_error()) DatabasesSwapped(*slot, request);
  }
  RewriteBlock(
      slot->transaction, slot->db, slot->copies, {slot->element_replies, slot->companions, slot->login == 0},
      TimesOf(*slot),
      [&](size_t i) -> Accepted {
        const QueuedCommand& command = slot->transaction[i];
        const bool script = command.row->effect == Effect::kScript && scripts_ != nullptr;
        const bool varies = script && PlanScript(*command.row, command.request.view()).reply_varies;
        return AcceptedWrite(*slot, *command.row, command.request.view(), slot->element_replies[i], {}, varies);
      },
      &slot->follow, &slot->block);
  if (!slot->follow.unknown) return;
  slot->follow.bytes.clear();
  slot->follow.expectations.clear();
  slot->follow.expiries.clear();
}

void Lane::CopyAnswered(Slot* slot) {
  const std::string_view pttl = slot->companions.empty() ? "" : std::string_view(slot->companions[0]);
  if (slot->copy_as == ValueType::kNone) {
    RewriteCopy(slot->copy_key.name, pttl, slot->primary_reply, TimesOf(*slot), &slot->follow);
  } else {
    RewriteWhole(slot->copy_as, slot->copy_key.name, pttl, slot->primary_reply, secondary().info().stream_counters,
                 TimesOf(*slot), &slot->follow);
  }
  if (slot->secondary != Half::kPending || slot->follow.unknown) {
    SkipFollow(slot);
    EndCopy(slot, false, IsErrorReply(slot->primary_reply) ? slot->primary_reply : std::string());
  } else {
    std::string().swap(slot->primary_reply);  // the value, once more
    const size_t bytes = slot->follow.bytes.size();
    copy_bytes_ = std::max({bytes, copy_bytes_ - copy_bytes_ / 8 + bytes / 8, size_t{1}});
    slot->copy_bytes = bytes;
    Charge(slot, bytes);
    BecomeReady(slot);
  }
  PrimaryOver(slot);
}

void Lane::EndCopy(Slot* slot, bool copied, const std::string& refusal) {
  if (!slot->copy_done) return;
  --copies_in_flight_;
  std::exchange(slot->copy_done, nullptr)(CopyResult{copied, slot->copy_bytes, refusal});
}

// The primary's connection is gone before it had answered this slot.
void Lane::PrimaryBroke(Slot* slot, const absl::Status& why) {
  slot->primary = Half::kDone;
  DischargePrimary(slot);
  switch (slot->kind) {
    case Slot::Kind::kRead:
      slot->compare = false;
      if (slot->to.client != 0 && !slot->shifted) {
        if (slot->retried) {
          AnswerError(std::exchange(slot->to, ReplyTo()), PrimaryUnreachable());
        } else {
          slot->retried = true;
          slot->primary = Half::kPending;
          retries_.push_back(slot);
        }
      }
      break;
    case Slot::Kind::kWrite:
    case Slot::Kind::kTransaction: {
      if (slot->answered_us != 0) owner_->OnWritten(*slot);  // on its own connection it may even run later
      // It may have run, or not. A client that has its reply already lost only what stood beside it.
      if (std::exchange(slot->unfollowed, false)) --unfollowed_;
      ++counters_->unknown_outcomes;
      MarkDirty(*slot, DirtyCause::kUnknownOutcome);
      SkipFollow(slot);
      const ReplyTo to = std::exchange(slot->to, ReplyTo());
      if (to.client != 0) owner_->OnClientBroken(to.client);
      break;
    }
    case Slot::Kind::kCopy:
      SkipFollow(slot);
      EndCopy(slot, false);
      break;
    case Slot::Kind::kQuestion:
      slot->answers.status = why;
      break;
  }
  PrimaryOver(slot);
}

void Lane::RetryReads() {
  const std::vector<Slot*> slots = std::exchange(retries_, {});
  for (Slot* slot : slots) {
    ++counters_->reads_retried;
    slot->sent_us = io_->clock()->NowUs();
    SendToPrimary(slot);
  }
}

void Lane::FailRetries(const std::string& error) {
  const std::vector<Slot*> slots = std::exchange(retries_, {});
  for (Slot* slot : slots) {
    slot->primary = Half::kDone;
    AnswerError(std::exchange(slot->to, ReplyTo()), error);
    ReleaseIfOver(slot);
  }
}

}  // namespace crossfade
