#include "routing/dirty_set.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/string_view.h"
#include "protocol/fault.h"
#include "routing/db_key.h"

namespace crossfade {

namespace {
constexpr int64_t kFirstPauseMs = 50;
constexpr int64_t kLongestPauseMs = 30'000;
constexpr size_t kPlacesToSpare = 1024;  // places that don't count, before anybody looks for them

absl::string_view Lookup(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}
}  // namespace

const char* Name(DirtyCause cause) {
  switch (cause) {
    case DirtyCause::kReplyDiffered:
      return "reply_differed";
    case DirtyCause::kRefused:
      return "refused";
    case DirtyCause::kUnknownOutcome:
      return "unknown_outcome";
    case DirtyCause::kSecondaryAway:
      return "secondary_away";
    case DirtyCause::kQueueFull:
      return "queue_full";
    case DirtyCause::kNotFollowed:
      return "not_followed";
    case DirtyCause::kExpiryRace:
      return "expiry_race";
    case DirtyCause::kReadMismatch:
      return "read_mismatch";
    case DirtyCause::kMiss:
      return "miss";
    case DirtyCause::kEffectUnknown:
      return "effect_unknown";
    case DirtyCause::kDirtySource:
      return "dirty_source";
    case DirtyCause::kSettleDiffered:
      return "settle_differed";
    case DirtyCause::kBreakerOpen:
      return "breaker_open";
    case DirtyCause::kCopying:
      return "copying";
    case DirtyCause::kVerifyDiffered:
      return "verify_differed";
  }
  return "";
}

std::string_view DirtySet::Compose(int db, std::string_view key) const {
  SetDbKey(db, key, &scratch_);
  return scratch_;
}

// A key that is remembered from now on, as the last to be copied; null when there are too many.
DirtySet::Entry* DirtySet::Add(std::string_view name, uint64_t order) {
  if (entries_.size() >= max_keys_ || name_bytes_ + name.size() > max_keys_ * kNameBytes) {
    MarkEverything(order);
    return nullptr;
  }
  name_bytes_ += name.size();
  const auto added = entries_.emplace(std::string(name), Entry{}).first;
  added->second.ticket = ++last_ticket_;
  ready_.push_back({added->second.ticket, added->first});
  Entry* const entry = &added->second;
  Compact();
  return entry;
}

void DirtySet::Mark(int db, std::string_view key, DirtyCause cause, uint64_t order) {
  ++marked_[static_cast<int>(cause)];
  const std::string_view name = Compose(db, key);
  const auto found = entries_.find(Lookup(name));
  if (found == entries_.end()) {
    Entry* const added = Add(name, order);
    if (added == nullptr) return;
    added->order = order;
    if (log_ == nullptr) return;
    const KeyLog::Key logged{db, key};
    added->logged = log_->Append({&logged, 1}, static_cast<uint8_t>(cause));
    if (log_->sparse()) TidyLog();
    return;
  }
  Entry& entry = found->second;
  entry.order = std::max(entry.order, order);
  if (entry.ticket != 0) return;
  entry.ticket = ++last_ticket_;
  entry.attempts = 0;
  ready_.push_back({entry.ticket, found->first});
  Compact();
}

void DirtySet::Adopt(int db, std::string_view key, DirtyCause cause, KeyLog::Place place) {
  ++marked_[static_cast<int>(cause)];
  const std::string_view name = Compose(db, key);
  if (entries_.contains(Lookup(name))) return log_->Erase(place);  // the log was being tidied up
  if (Entry* const added = Add(name, 0)) added->logged = place;
}

// Few keys hold much of the log: those of its emptiest part move to its end.
void DirtySet::TidyLog() {
  log_->VisitSparse([this](KeyLog::Place place, uint8_t tag, std::span<const KeyLog::Key> keys) {
    const auto found = entries_.find(Lookup(Compose(keys[0].db, keys[0].name)));
    if (found == entries_.end() || found->second.logged != place) return log_->Erase(place);
    found->second.logged = log_->Append(keys, tag);
    log_->Erase(place);
  });
}

void DirtySet::Wanted(int db, std::string_view key) {
  const auto found = entries_.find(Lookup(Compose(db, key)));
  if (found == entries_.end() || found->second.ticket == 0 || found->second.waits) return;
  found->second.ticket = ++last_ticket_;
  ready_.push_front({found->second.ticket, found->first});
  Compact();
}

bool DirtySet::Counts(const Place& place) const {
  const auto found = entries_.find(place.name);
  return found != entries_.end() && found->second.ticket == place.ticket;
}

void DirtySet::Compact() {
  if (ready_.size() + waiting_.size() <= 2 * entries_.size() + kPlacesToSpare) return;
  std::erase_if(ready_, [this](const Place& place) { return !Counts(place); });
  for (auto place = waiting_.begin(); place != waiting_.end();) {
    place = Counts(place->second) ? std::next(place) : waiting_.erase(place);
  }
}

void DirtySet::ForgetKeys() {
  entries_.clear();
  ready_.clear();
  waiting_.clear();
  name_bytes_ = 0;
}

void DirtySet::MarkEverything(uint64_t order) {
  ++overflows_;
  everything_ = true;
  everything_order_ = std::max(everything_order_, order);
  if (log_ != nullptr) {
    log_->SetEverything(true);  // before the single keys are forgotten
    log_->Clear();
  }
  ForgetKeys();
}

void DirtySet::Forget() {
  everything_ = false;
  ForgetKeys();
  if (log_ == nullptr) return;
  log_->Clear();
  log_->SetEverything(false);
}

void DirtySet::SpreadOverDatabases(int a, int b, uint64_t order) {
  std::vector<Key> keys;
  for (const auto& [name, entry] : entries_) {
    const int db = DbOf(name);
    if (db == a || db == b) keys.push_back({db == a ? b : a, std::string(KeyOf(name))});
  }
  for (const Key& key : keys) Mark(key.db, key.name, DirtyCause::kDirtySource, order);
}

bool DirtySet::Contains(int db, std::string_view key) const {
  return everything_ || Remembers(db, key);
}

bool DirtySet::Remembers(int db, std::string_view key) const {
  return !entries_.empty() && entries_.contains(Lookup(Compose(db, key)));
}

bool DirtySet::TakeForRepair(int64_t now_ms, Key* key) {
  while (!waiting_.empty() && waiting_.begin()->first <= now_ms) {
    ready_.push_back(std::move(waiting_.begin()->second));
    waiting_.erase(waiting_.begin());
    if (Counts(ready_.back())) entries_.find(ready_.back().name)->second.waits = false;
  }
  while (!ready_.empty()) {
    const Place place = std::move(ready_.front());
    ready_.pop_front();
    if (!Counts(place)) continue;  // resolved meanwhile
    const std::string& name = place.name;
    entries_.find(name)->second.ticket = 0;
    key->db = DbOf(name);
    key->name = KeyOf(name);
    return true;
  }
  return false;
}

bool DirtySet::CopyDone(const Key& key, uint64_t copy_order) {
  const auto found = entries_.find(Lookup(Compose(key.db, key.name)));
  if (found == entries_.end()) return true;
  if (found->second.order > copy_order && !FAULT(kCopyIgnoresOrder))
    return false;  // a later slot made it dirty again, and has queued it
  if (log_ != nullptr) log_->Erase(found->second.logged);
  name_bytes_ -= found->first.size();
  entries_.erase(found);
  ++repaired_;
  return true;
}

void DirtySet::CopyFailed(const Key& key, int64_t now_ms) {
  const auto found = entries_.find(Lookup(Compose(key.db, key.name)));
  if (found == entries_.end() || found->second.ticket != 0) return;
  const int64_t pause = std::min(kLongestPauseMs, kFirstPauseMs << std::min(found->second.attempts, 10));
  ++found->second.attempts;
  found->second.ticket = ++last_ticket_;
  found->second.waits = true;
  waiting_.emplace(now_ms + pause, Place{found->second.ticket, found->first});
}

bool DirtySet::SweepDone(uint64_t sweep_order) {
  if (!everything_ || everything_order_ > sweep_order) return false;
  everything_ = false;
  if (log_ != nullptr) log_->SetEverything(false);
  return true;
}

}  // namespace crossfade
