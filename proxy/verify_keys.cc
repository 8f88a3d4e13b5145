#include "proxy/verify_keys.h"

#include <algorithm>
#include <utility>

#include "spdlog/spdlog.h"

namespace crossfade {

VerifyKeys::VerifyKeys(Io* io, const Migration* migration, DirtySet* dirty, Lane* lane, KeyCheck* check,
                       VerifyResult* result, std::function<void()> wake_repair)
    : io_(io),
      migration_(migration),
      dirty_(dirty),
      lane_(lane),
      check_(check),
      result_(result),
      wake_repair_(std::move(wake_repair)),
      windows_{{io, lane}, {io, lane}, {io, lane}, {io, lane}} {}

void VerifyKeys::Reset() {
  ++run_;
  for (WindowCheck& window : windows_) window.Cancel();
  windows_before_ = 0;
  for (const WindowCheck& window : windows_) windows_before_ += window.windows();
  in_flight_ = 0;
  waiting_.clear();
  big_.clear();
  deciding_.clear();
  absl::flat_hash_set<uint64_t>().swap(reported_);
}

void VerifyKeys::Look(int db, std::string key, bool again) {
  auto entry = std::make_shared<Entry>();  // owned as EntryPtr says
  entry->db = db;
  entry->key = std::move(key);
  entry->again = again;
  entry->first_us = io_->clock()->NowUs();
  ++deciding_[NameOf(db, entry->key)];
  Ask(entry);
}

int VerifyKeys::Step(int allowance) {
  const int64_t now_us = io_->clock()->NowUs();
  int looks = 0;
  while (looks < allowance && in_flight_ < kMaxInFlight && !waiting_.empty() && waiting_.begin()->first <= now_us) {
    const EntryPtr entry = waiting_.begin()->second;
    waiting_.erase(waiting_.begin());
    ++looks;
    Ask(entry);
  }
  uint64_t windows = 0;
  for (WindowCheck& window : windows_) {
    if (!window.busy() && !big_.empty()) {
      const EntryPtr entry = big_.front();
      big_.pop_front();
      window.Start(entry->db, entry->key, [this, entry](const KeyVerdict& verdict) { Judge(entry, verdict); });
    }
    if (looks < allowance && window.busy()) {
      ++looks;
      window.Step();
    }
    windows += window.windows();
  }
  result_->windows = windows - windows_before_;
  return looks;
}

void VerifyKeys::Ask(const EntryPtr& entry) {
  ++in_flight_;
  check_->Check(entry->db, entry->key, [this, entry, run = run_](const KeyVerdict& verdict) {
    if (run != run_) return;
    --in_flight_;
    if (verdict.outcome == KeyOutcome::kTooBig) {
      big_.push_back(entry);
    } else {
      Judge(entry, verdict);
    }
  });
}

void VerifyKeys::Judge(const EntryPtr& entry, const KeyVerdict& verdict) {
  switch (verdict.outcome) {
    case KeyOutcome::kEqual:
      return Equal(entry);
    case KeyOutcome::kDiffers:
      return Differs(entry, verdict);
    case KeyOutcome::kNotComparable:
      return Count(entry, &result_->not_comparable);
    case KeyOutcome::kExpiring:
      return LookLater(entry, Undecided::kExpiring);
    case KeyOutcome::kTooBig:  // of a window check never
    case KeyOutcome::kBusy:
      return LookLater(entry, Undecided::kBusy);
  }
}

void VerifyKeys::Equal(const EntryPtr& entry) {
  if (entry->reported) {
    ++result_->repaired;
    if (entry->listed < result_->differences.size()) result_->differences[entry->listed].repaired = true;
    return Count(entry, nullptr);
  }
  if (entry->differed > 0 && !entry->again) ++result_->unconfirmed;
  Count(entry, &result_->equal);
}

void VerifyKeys::Differs(const EntryPtr& entry, const KeyVerdict& verdict) {
  if (dirty_->Remembers(entry->db, entry->key)) return LookLater(entry, Undecided::kDirty);
  if (lane_->MayHaveExpired(entry->db, entry->key, entry->first_us)) return LookLater(entry, Undecided::kExpiring);
  const int looks = lane_->ExpiriesUnknown() ? kLooksWhenUnknown : kLooks;
  if (++entry->differed < looks) return Wait(entry, kConfirmMs);
  Report(entry, verdict.difference);
  const bool may_repair = result_->options.repair && !entry->told_twice && entry->repairs < kMaxRepairs;
  if (!may_repair) return Count(entry, nullptr);
  ++entry->repairs;
  entry->differed = 0;
  entry->dirty_tries = 0;
  dirty_->Mark(entry->db, entry->key, DirtyCause::kVerifyDiffered, verdict.order);
  wake_repair_();
  Wait(entry, kFirstPauseMs);
}

// Once for each key, however often it is met: SCAN may give a name twice, and a renamed key is looked at again.
void VerifyKeys::Report(const EntryPtr& entry, KeyDifference difference) {
  if (entry->reported || entry->told_twice) return;
  const uint64_t hash = std::hash<std::string>()(entry->key) ^ (static_cast<uint64_t>(entry->db) * 0x9e3779b97f4a7c15);
  if (reported_.size() < kMaxReported && !reported_.insert(hash).second) {
    entry->told_twice = true;
    return;
  }
  entry->reported = true;
  const VerifyKind kind = KindOf(difference, migration_->secondary());
  ++result_->differ[static_cast<int>(kind)];
  if (result_->differences.size() >= VerifyResult::kMaxListed) return;
  entry->listed = result_->differences.size();
  result_->differences.push_back({entry->db, EscapedName(entry->key), kind, false});
}

void VerifyKeys::LookLater(const EntryPtr& entry, Undecided why) {
  int& tries = why == Undecided::kDirty ? entry->dirty_tries : entry->tries;
  if (++tries < (why == Undecided::kDirty ? kMaxDirtyTries : kMaxTries)) {
    return Wait(entry, std::min(kLongestPauseMs, kFirstPauseMs << std::min(tries, 10)));
  }
  // One that was reported is known to have differed, and not to be repaired.
  Count(entry, entry->reported ? nullptr : &result_->undecided[static_cast<int>(why)]);
}

void VerifyKeys::Wait(const EntryPtr& entry, int64_t pause_ms) {
  waiting_.emplace(io_->clock()->NowUs() + pause_ms * 1000, entry);
}

// The end of this key. A key that is looked at again counts only when it isn't equal.
void VerifyKeys::Count(const EntryPtr& entry, uint64_t* counter) {
  const auto deciding = deciding_.find(NameOf(entry->db, entry->key));
  if (--deciding->second == 0) deciding_.erase(deciding);
  const bool silent = entry->again || entry->told_twice;
  if (counter != nullptr && (!silent || (entry->again && counter != &result_->equal))) ++*counter;
  if (!silent) ++result_->keys_checked;
}

}  // namespace crossfade
