#include "proxy/second_look.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/comparer.h"
#include "routing/refusal.h"
#include "routing/value_windows.h"

namespace crossfade {

namespace {

// A key that only one side still has, with next to nothing left to live, or that went while we looked.
bool IsExpiring(int64_t a, int64_t b, int64_t tolerance_ms) {
  if (a == -2 && b == -2) return true;
  const auto nearly = [tolerance_ms](int64_t ttl) { return ttl >= 0 && ttl <= tolerance_ms; };
  return nearly(a) || nearly(b);
}
}  // namespace

struct SecondLook::Case {
  const CommandRow* row;
  Request request;
  KeyIndices keys;
  int db;
  uint64_t order;
  int64_t asked_us;
};

SecondLook::SecondLook(Io* io, const Config* config, const Migration* migration, DirtySet* dirty, Counters* counters,
                       Lane* lane, Repair* repair)
    : io_(io),
      config_(config),
      migration_(migration),
      dirty_(dirty),
      counters_(counters),
      lane_(lane),
      repair_(repair) {}

void SecondLook::Start(const Slot& slot) {
  const RequestView request = slot.request.view();
  const bool gated =
      std::any_of(slot.keys.begin(), slot.keys.end(), [&](uint32_t key) { return lane_->Gated(request.arg(key)); });
  if (in_flight_ >= kMaxInFlight || gated) {
    ++counters_->reads_not_comparable;
    return;
  }
  auto look = std::make_shared<Case>();  // owned by the question's callback, which must be copyable: no second owner
  look->row = slot.row;
  look->request = slot.request;
  look->keys = slot.keys;
  look->db = slot.db;
  look->order = lane_->next_order();
  look->asked_us = io_->clock()->NowUs();
  Question question;
  question.db = slot.db;
  question.protocol = slot.protocol;
  question.ask_primary = question.ask_secondary = true;
  question.commands = slot.request.view().bytes();
  question.count = 1;
  for (uint32_t key : look->keys) {
    if (question.count > static_cast<int>(kMaxKeys)) break;
    AppendCommand(&question.commands, {"PTTL", slot.request.view().arg(key)});
    ++question.count;
  }
  question.done = [this, look](const Answers& answers) {
    --in_flight_;
    Judge(*look, answers);
  };
  ++in_flight_;
  lane_->Ask(std::move(question));
}

// Is one of the keys there on one side only, or different, because it expires about now?
bool SecondLook::MayHaveExpired(const Case& look, const Answers& answers) const {
  const int64_t tolerance_ms = ExpiryTolerance::kLeastMs + lane_->lag_us() / 1000;
  for (size_t i = 0; i < look.keys.size(); ++i) {
    // A store that answered late has set the expiry at a moment that nobody knows so well.
    if (lane_->MayHaveExpired(look.db, look.request.view().arg(look.keys[i]), look.asked_us)) return true;
    if (i + 1 >= answers.primary.size()) continue;
    const int64_t primary = IntegerReply(answers.primary[i + 1]).value_or(-1);
    const int64_t secondary = IntegerReply(answers.secondary[i + 1]).value_or(-1);
    if (IsExpiring(primary, secondary, tolerance_ms)) return true;
  }
  return false;
}

// … and while not all expiries are known: a key that one side has no more, and the other not for long? A store that is
// later than timeouts.response is cut off, so no expiry is later than that.
bool SecondLook::MayHaveExpiredUnseen(const Answers& answers) const {
  if (!lane_->ExpiriesUnknown()) return false;
  for (size_t i = 1; i < answers.primary.size(); ++i) {
    const int64_t primary = IntegerReply(answers.primary[i]).value_or(-1);
    const int64_t secondary = IntegerReply(answers.secondary[i]).value_or(-1);
    const int64_t left = std::max(primary, secondary);
    if ((primary == -2) != (secondary == -2) && left >= 0 && left <= config_->timeouts.response_ms) return true;
  }
  return false;
}

void SecondLook::Judge(const Case& look, const Answers& answers) {
  const RequestView request = look.request.view();
  const bool dirty = std::any_of(look.keys.begin(), look.keys.end(),
                                 [&](uint32_t key) { return dirty_->Contains(look.db, request.arg(key)); });
  if (!answers.status.ok() || dirty || answers.primary.size() != answers.secondary.size() || answers.primary.empty() ||
      GivesNoAnswer(answers.primary[0]) || GivesNoAnswer(answers.secondary[0])) {
    ++counters_->reads_not_comparable;
    return;
  }
  const int64_t tolerance_ms = ExpiryTolerance::kLeastMs + lane_->lag_us() / 1000;
  const std::string& primary = answers.primary[0];
  const std::string& secondary = answers.secondary[0];
  if (primary == secondary || RepliesAgree(look.row->compare, request, primary, secondary, tolerance_ms)) {
    ++counters_->reads_unconfirmed;
    return;
  }
  if (MayHaveExpired(look, answers)) {
    ++counters_->reads_expiring;
    return;
  }
  if (MayHaveExpiredUnseen(answers)) {
    ++counters_->reads_expiring;
    MarkDirty(look, DirtyCause::kExpiryRace);  // not told as a mismatch, and not left either
    return;
  }
  Record(look, primary, secondary);
}

void SecondLook::Record(const Case& look, const std::string& primary, const std::string& secondary) {
  ++counters_->reads_mismatched;
  const RequestView request = look.request.view();
  if (coverage_ != nullptr) coverage_->Count({.mismatched = 1}, look.row->name, request, look.keys);
  Mismatch& mismatch = mismatches_.emplace_back();
  mismatch.at_ms = io_->clock()->WallMs();
  mismatch.db = look.db;
  mismatch.command = look.row->name;
  if (!look.keys.empty()) mismatch.key = request.arg(look.keys[0]).substr(0, kMaxKeptKeyBytes);
  mismatch.primary_digest = std::hash<std::string>()(primary);
  mismatch.secondary_digest = std::hash<std::string>()(secondary);
  mismatch.primary = migration_->primary();
  if (config_->mismatches.keep_values) {
    mismatch.primary_value = primary.substr(0, kMaxKeptValueBytes);
    mismatch.secondary_value = secondary.substr(0, kMaxKeptValueBytes);
  }
  for (; mismatches_.size() > static_cast<size_t>(config_->limits.mismatches); ++dropped_) mismatches_.pop_front();
  MarkDirty(look, DirtyCause::kReadMismatch);
}

void SecondLook::MarkDirty(const Case& look, DirtyCause cause) {
  for (uint32_t key : look.keys) dirty_->Mark(look.db, look.request.view().arg(key), cause, look.order);
  repair_->Wake();
}

}  // namespace crossfade
