// The secondary's queue and what it answers: whether it agrees, and what becomes of a key when it doesn't.
#include <algorithm>
#include <utility>

#include "protocol/reply.h"
#include "proxy/lane.h"
#include "routing/comparer.h"
#include "routing/follow_check.h"
#include "routing/refusal.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {
constexpr int64_t kCompareToleranceMs = 100;
constexpr int kDivergencesLoggedPerSecond = 5;
}  // namespace

// Takes a turn on the secondary, and charges it to the backlog.
void Lane::Enqueue(Slot* slot, Half half) {
  slot->secondary = half;
  queue_.Push() = slot;
  slot->charged_bytes = sizeof(Slot) + slot->request.capacity_bytes() + slot->follow.bytes.size();
  for (const QueuedCommand& command : slot->transaction) slot->charged_bytes += command.request.capacity_bytes();
  backlog_bytes_ += slot->charged_bytes;
  backlog_peak_ = std::max(backlog_peak_, backlog_bytes_);
  if (half == Half::kReady) secondary_share_.Add(slot->charged_bytes);
  ++lag_slots_;
  if (backlog_bytes_ > static_cast<size_t>(config_.limits.secondary_queue_bytes)) return Shed();
  if (half == Half::kReady) Pump();
}

void Lane::Shed() {
  ++counters_->queue_overflows;
  shedding_ = true;
  DropBacklog();
}

// Is its turn on the secondary still to come, or its answer?
bool Lane::InBacklog(const Slot& slot) {
  return slot.secondary != Half::kNone && slot.secondary != Half::kDone;
}

// What it holds has grown. Only the next turn that is taken looks at the limit.
void Lane::Charge(Slot* slot, size_t bytes) {
  slot->charged_bytes += bytes;
  backlog_bytes_ += bytes;
  backlog_peak_ = std::max(backlog_peak_, backlog_bytes_);
  if (slot->secondary != Half::kPending) secondary_share_.Add(bytes);
}

// The primary's reply, kept until the secondary has answered. A small one is within what a slot counts for anyway.
void Lane::ChargeReply(Slot* slot, size_t bytes) {
  if (bytes > sizeof(Slot) && InBacklog(*slot)) Charge(slot, bytes);
}

// The primary has answered: what the slot holds, it holds for the secondary alone from now on.
void Lane::BecomeReady(Slot* slot) {
  secondary_share_.Add(slot->charged_bytes);
  slot->secondary = Half::kReady;
}

void Lane::Discharge(Slot* slot) {
  if (slot->secondary == Half::kReady || slot->secondary == Half::kSent) {
    secondary_share_.Subtract(slot->charged_bytes);
  }
  backlog_bytes_ -= std::exchange(slot->charged_bytes, 0);
  --lag_slots_;
  slot->secondary = Half::kDone;
}

// Sends the ready prefix of the queue.
void Lane::Pump() {
  if (pumping_) return;
  pumping_ = true;
  while (!queue_.empty()) {
    Slot* slot = queue_.front();
    if (slot->secondary == Half::kPending) break;
    if (slot->secondary == Half::kReady && (!secondary().up() || !secondary().writable())) break;
    queue_.Pop();
    if (slot->secondary == Half::kReady) {
      SendFollow(slot);
    } else {
      Discharge(slot);
      ReleaseIfOver(slot);
    }
  }
  pumping_ = false;
}

void Lane::SendFollow(Slot* slot) {
  Link& link = secondary();
  const int64_t now_us = slot->kind == Slot::Kind::kRead ? slot->sent_us : io_->clock()->NowUs();
  // A read's reply is forwarded or compared, so it has the client's protocol. For a write only the database matters.
  const bool forwarded = slot->kind == Slot::Kind::kRead || slot->kind == Slot::Kind::kQuestion;
  // What a client would see, it may see by its own rights only; what follows, the proxy carries out.
  const LoginId login = slot->kind == Slot::Kind::kRead ? slot->login : 0;
  link.Switch(slot->db, forwarded ? slot->protocol : kAnyProtocol, now_us, login);
  slot->secondary = Half::kSent;
  if (slot->kind == Slot::Kind::kRead) {
    link.Write(slot->request.view().bytes());
    link.Owe(slot, Owed::What::kMain, now_us);
    slot->secondary_left = 1;
    return;
  }
  link.Write(slot->follow.bytes);
  if (slot->kind == Slot::Kind::kQuestion) {
    for (int i = 0; i < slot->secondary_left; ++i) link.Owe(slot, Owed::What::kCompanion, now_us);
    return;
  }
  const int commands = static_cast<int>(slot->follow.expectations.size());
  const bool block = slot->kind == Slot::Kind::kTransaction && commands > 1;
  if (block) {
    for (int i = 0; i < commands + 1; ++i) link.Owe(slot, Owed::What::kQueued, now_us);
    link.Owe(slot, Owed::What::kMain, now_us);
    slot->secondary_left = commands + 2;
  } else {
    for (int i = 0; i < commands; ++i) link.Owe(slot, Owed::What::kMain, now_us);
    slot->secondary_left = commands;
  }
}

// There is nothing to send for this slot. If its turn is still to come, the pump will pass over it.
void Lane::SkipFollow(Slot* slot) {
  if (slot->secondary == Half::kPending) slot->secondary = Half::kSkipped;
}

void Lane::OnSecondaryReply(Slot* slot, const Owed& owed, std::string_view reply) {
  --slot->secondary_left;
  switch (slot->kind) {
    case Slot::Kind::kRead:
      slot->secondary_reply = reply;
      if (slot->primary == Half::kSent) ChargePrimary(slot, reply.size());  // kept until the primary has answered too
      break;
    case Slot::Kind::kQuestion:
      slot->answers.secondary.emplace_back(reply);
      if (slot->primary == Half::kSent) ChargePrimary(slot, reply.size());
      break;
    case Slot::Kind::kWrite:
    case Slot::Kind::kTransaction:
    case Slot::Kind::kCopy:
      if (owed.what == Owed::What::kQueued) {
        if (!IsErrorReply(reply)) break;
        slot->diverged = slot->refused = true;
        slot->secondary_reply = reply;  // EXEC's own error doesn't name the reason
      } else if (slot->kind == Slot::Kind::kTransaction && slot->follow.expectations.size() > 1) {
        CheckBlock(slot, reply);
      } else {
        CheckFollow(slot, reply);
      }
      break;
  }
  if (slot->secondary_left == 0) SecondaryAnswered(slot);
}

// A copy's reply, or a SELECT's.
bool Lane::CopyMet(const Expectation& expectation, std::string_view reply) {
  return expectation.kind == Expectation::Kind::kOk ? reply == "+OK\r\n" : !IsErrorReply(reply);
}

bool Lane::ElementMet(const Slot& slot, size_t index, std::string_view reply) {
  const Expectation& expectation = slot.follow.expectations[index];
  const int element = slot.block.element_of[index];
  if (element < 0) return CopyMet(expectation, reply);
  const QueuedCommand& command = slot.transaction[static_cast<size_t>(element)];
  return Meets(expectation, *command.row, command.request.view(), slot.element_replies[static_cast<size_t>(element)],
               reply);
}

// One derived command's reply. They come in the order of the expectations.
void Lane::CheckFollow(Slot* slot, std::string_view reply) {
  const size_t index = slot->follow.expectations.size() - static_cast<size_t>(slot->secondary_left) - 1;
  const Expectation& expectation = slot->follow.expectations[index];
  bool met = false;
  if (slot->kind == Slot::Kind::kCopy) {
    met = CopyMet(expectation, reply);
  } else if (slot->kind == Slot::Kind::kTransaction) {
    met = ElementMet(*slot, index, reply);
    if (const int at = slot->block.element_of[index]; !met && at >= 0) {
      slot->differed = slot->transaction[static_cast<size_t>(at)].row;
    }
  } else {
    met = Meets(expectation, *slot->row, slot->request.view(), slot->primary_reply, reply);
  }
  slot->diverged = slot->diverged || !met;
  if (IsErrorReply(reply) && !met) {
    slot->refused = true;
    slot->secondary_reply = reply;
    if (slot->kind == Slot::Kind::kWrite && ErrorCode(reply) == "NOSCRIPT") NoScript(*slot->row, slot->request.view());
  }
}

// A script that only the secondary lacks is loaded there before it is used again; one whose body we never saw has its
// keys copied.
void Lane::NoScript(const CommandRow& row, RequestView request) {
  if (scripts_ == nullptr || row.name != "evalsha") return;
  if (scripts_->Body(request.arg(1)) != nullptr) {
    scripts_->Unloaded(migration_->secondary(), request.arg(1));
  } else {
    scripts_->MissingUnknown(request.arg(1));
  }
}

// EXEC's reply on the secondary.
void Lane::CheckBlock(Slot* slot, std::string_view bytes) {
  const Reply reply = ParseReply(bytes);
  const auto& expectations = slot->follow.expectations;
  if (reply.is_error() || reply.items.size() != expectations.size()) {
    slot->diverged = slot->refused = true;
    if (slot->secondary_reply.empty()) slot->secondary_reply = bytes;
    return;
  }
  std::string element;
  for (size_t i = 0; i < expectations.size(); ++i) {
    element.clear();
    AppendReply(&element, reply.items[i]);
    if (ElementMet(*slot, i, element)) continue;
    const int at = slot->block.element_of[i];
    if (!slot->diverged && at >= 0) slot->differed = slot->transaction[static_cast<size_t>(at)].row;
    slot->diverged = true;
    slot->refused = slot->refused || reply.items[i].is_error();
    if (at >= 0 && ErrorCode(element) == "NOSCRIPT") {
      const QueuedCommand& command = slot->transaction[static_cast<size_t>(at)];
      NoScript(*command.row, command.request.view());
    }
    if (reply.items[i].is_error()) slot->secondary_reply = element;
  }
}

void Lane::SecondaryAnswered(Slot* slot) {
  Discharge(slot);
  switch (slot->kind) {
    case Slot::Kind::kRead:
      if (slot->shifted) ShiftedReadAnswered(slot);
      CompareIfBoth(slot);
      break;
    case Slot::Kind::kWrite:
    case Slot::Kind::kTransaction:
      FollowAnswered(slot);
      break;
    case Slot::Kind::kCopy: {
      ApplyExpiries(*slot);
      ReportCopy(*slot);
      if (!slot->diverged) dirty_->CopyDone(slot->copy_key, slot->order);
      EndCopy(slot, !slot->diverged, slot->secondary_reply);
      break;
    }
    case Slot::Kind::kQuestion:
      break;
  }
  ReleaseIfOver(slot);
  if (shedding_ && secondary().idle()) shedding_ = false;
  BreakerMoved();
  Pump();
}

// The key may have become dirty since the read was routed: then the secondary's answer is not worth having.
void Lane::ShiftedReadAnswered(Slot* slot) {
  if (slot->to.client == 0) return;
  ReportRead(*slot);
  if (!Readable(*slot) || IsErrorReply(slot->secondary_reply)) return AskPrimaryInstead(slot, false);
  if (slot->on_miss == OnMiss::kPrimary && IsNullReply(slot->secondary_reply)) return AskPrimaryInstead(slot, true);
  ++counters_->reads[static_cast<int>(migration_->secondary())];
  CountRead(*slot);
  Answer(slot, slot->secondary_reply);
}

// The primary answers a read that the secondary was to answer, in a new place of the lane.
void Lane::AskPrimaryInstead(Slot* slot, bool warm) {
  if (std::exchange(slot->retried, true) && !warm) return;  // it was asked when the read's time was up
  ++counters_->reads_fallback;
  const ReplyTo to = slot->to;
  // The old slot keeps its client: the secondary may still be first. A second answer is ignored by whoever gets it.
  if (slot->secondary == Half::kDone) slot->to = ReplyTo();
  if (!primary().up()) return AnswerError(to, PrimaryUnreachable());
  Slot* again = NewSlot(Slot::Kind::kRead, to, slot->db, slot->protocol);
  again->login = slot->login;
  again->row = slot->row;
  again->keys = slot->keys;
  again->request.Assign(slot->request.view());
  again->warm = warm;
  again->after_error = slot->secondary == Half::kDone && IsErrorReply(slot->secondary_reply);
  SendToPrimary(again);
}

void Lane::FollowAnswered(Slot* slot) {
  if (slot->no_follow) {
    if (slot->refused) BothRefused(*slot);
    return;
  }
  ReportFollow(*slot);
  const bool near_expiry = NearExpiry(*slot);
  // On a key whose copy is still outstanding a difference is nothing new.
  const bool was_dirty =
      slot->diverged && AnyKey(*slot, [&](int db, std::string_view key) { return dirty_->Contains(db, key); });
  ApplyExpiries(*slot);
  if (was_dirty) {
    ++counters_->writes_on_dirty;
  } else if (slot->refused) {
    ++counters_->writes_refused;
  } else if (near_expiry) {
    ++counters_->expiry_races;
  } else if (slot->diverged) {
    ++counters_->writes_diverged;
  }
  if (slot->diverged) {
    if (!near_expiry && !was_dirty) LogDivergence(*slot);
    MarkDirty(*slot, slot->refused ? DirtyCause::kRefused
                     : near_expiry ? DirtyCause::kExpiryRace
                                   : DirtyCause::kReplyDiffered);
  } else {
    ++counters_->writes_followed;
    if (near_expiry) {
      MarkDirty(*slot, DirtyCause::kExpiryRace);
    } else {
      MarkContaminated(*slot);
    }
  }
  if (slot->wait_for_both && slot->to.client != 0) {
    if (!slot->diverged) return Answer(slot, slot->primary_reply);
    ++counters_->acks_failed;
    AnswerError(
        std::exchange(slot->to, ReplyTo()),
        "ERR crossfade: applied on the primary, but the secondary did not agree (ack = \"both\"); it will be repaired");
  }
}

// Not data: a script, a function or a message. What is missing there shows when it is used.
void Lane::BothRefused(const Slot& slot) {
  ++counters_->both_refused;
  const int64_t second = slot.sent_us / 1'000'000;
  if (second == divergence_second_) return;
  divergence_second_ = second;
  spdlog::warn("event=secondary_refused command={} code={}", slot.row != nullptr ? slot.row->name : "exec",
               ErrorCode(slot.secondary_reply));
}

// Names the command, never its key; at most a few a second, since a secondary that is out of step differs often.
void Lane::LogDivergence(const Slot& slot) {
  const int64_t second = slot.sent_us / 1'000'000;
  if (second != divergence_second_) {
    divergence_second_ = second;
    divergences_logged_ = 0;
  }
  if (++divergences_logged_ > kDivergencesLoggedPerSecond) return;
  const bool block = slot.kind == Slot::Kind::kTransaction;
  spdlog::warn("event=write_diverged command={}{} db={} refused={} secondary_answered=\"{}\"", block ? "exec:" : "",
               !block                     ? slot.row->name
               : slot.differed != nullptr ? slot.differed->name
                                          : "?",
               slot.db, slot.refused, slot.refused ? ErrorCode(slot.secondary_reply) : "another reply");
}

void Lane::CompareIfBoth(Slot* slot) {
  if (!slot->compare || slot->primary != Half::kDone || slot->secondary != Half::kDone) return;
  // A store that gives no answer now, or not to this user, says nothing of what it holds.
  if (!Readable(*slot) || GivesNoAnswer(slot->primary_reply) || GivesNoAnswer(slot->secondary_reply)) {
    ++counters_->reads_not_comparable;
    return;
  }
  ++counters_->reads_compared;
  if (coverage_ != nullptr) coverage_->Count({.compared = 1}, slot->row->name, slot->request.view(), slot->keys);
  const int64_t tolerance_ms = kCompareToleranceMs + lag_us() / 1000;
  if (slot->primary_reply == slot->secondary_reply ||
      RepliesAgree(slot->row->compare, slot->request.view(), slot->primary_reply, slot->secondary_reply,
                   tolerance_ms)) {
    return;
  }
  owner_->OnDifference(*slot);
}

// The secondary will not carry out this slot, or we can't know whether it did.
void Lane::SecondaryBroke(Slot* slot, DirtyCause cause) {
  Discharge(slot);
  switch (slot->kind) {
    case Slot::Kind::kRead:
      if (slot->compare) ++counters_->reads_not_comparable;
      slot->compare = false;
      if (slot->shifted && slot->to.client != 0) {
        if (!slot->retried) ++counters_->reads_failed;
        AskPrimaryInstead(slot, false);
      }
      break;
    case Slot::Kind::kWrite:
    case Slot::Kind::kTransaction:
      if (slot->no_follow) break;
      ++counters_->writes_not_followed;
      MarkDirty(*slot, cause);
      if (slot->wait_for_both && slot->to.client != 0) {
        ++counters_->acks_failed;
        AnswerError(
            std::exchange(slot->to, ReplyTo()),
            "ERR crossfade: applied on the primary, but the secondary is away (ack = \"both\"); it will be repaired");
      }
      break;
    case Slot::Kind::kCopy:
      EndCopy(slot, false);
      break;
    case Slot::Kind::kQuestion:
      slot->answers.status = absl::UnavailableError("the secondary is away");
      break;
  }
  ReleaseIfOver(slot);
}

// Everything that waits in the queue is given up: writes make their keys dirty, now or when the primary has answered.
void Lane::DropBacklog() {
  const DirtyCause cause = WhyNotFollowed();
  while (!queue_.empty()) {
    Slot* slot = queue_.front();
    queue_.Pop();
    switch (slot->secondary) {
      case Half::kPending:
        Discharge(slot);
        slot->secondary = Half::kNone;
        NoteUnfollowed(slot, cause);
        break;
      case Half::kReady:
        SecondaryBroke(slot, cause);
        break;
      default:
        Discharge(slot);
        ReleaseIfOver(slot);
        break;
    }
  }
}

}  // namespace crossfade
