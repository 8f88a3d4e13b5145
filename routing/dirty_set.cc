#include "routing/dirty_set.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/string_view.h"
#include "protocol/fault.h"

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
  }
  return "";
}

std::string_view DirtySet::Compose(int db, std::string_view key) const {
  scratch_.clear();
  scratch_.push_back(static_cast<char>(db >> 8));
  scratch_.push_back(static_cast<char>(db & 0xff));
  scratch_.append(key);
  return scratch_;
}

void DirtySet::Mark(int db, std::string_view key, DirtyCause cause, uint64_t order) {
  ++marked_[static_cast<int>(cause)];
  const std::string_view name = Compose(db, key);
  auto found = entries_.find(Lookup(name));
  if (found == entries_.end()) {
    if (entries_.size() >= max_keys_) return MarkEverything(order);
    found = entries_.emplace(std::string(name), Entry{}).first;
  }
  Entry& entry = found->second;
  entry.order = std::max(entry.order, order);
  if (entry.ticket == 0) {
    entry.ticket = ++last_ticket_;
    entry.attempts = 0;
    ready_.push_back({entry.ticket, found->first});
    Compact();
  }
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

void DirtySet::MarkEverything(uint64_t order) {
  ++overflows_;
  everything_ = true;
  everything_order_ = std::max(everything_order_, order);
  entries_.clear();
  ready_.clear();
  waiting_.clear();
}

void DirtySet::SpreadOverDatabases(int a, int b, uint64_t order) {
  std::vector<Key> keys;
  for (const auto& [name, entry] : entries_) {
    const int db = static_cast<unsigned char>(name[0]) << 8 | static_cast<unsigned char>(name[1]);
    if (db == a || db == b) keys.push_back({db == a ? b : a, name.substr(2)});
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
  }
  while (!ready_.empty()) {
    const Place place = std::move(ready_.front());
    ready_.pop_front();
    if (!Counts(place)) continue;  // resolved meanwhile
    const std::string& name = place.name;
    entries_.find(name)->second.ticket = 0;
    key->db = static_cast<unsigned char>(name[0]) << 8 | static_cast<unsigned char>(name[1]);
    key->name = name.substr(2);
    return true;
  }
  return false;
}

bool DirtySet::CopyDone(const Key& key, uint64_t copy_order) {
  const auto found = entries_.find(Lookup(Compose(key.db, key.name)));
  if (found == entries_.end()) return true;
  if (found->second.order > copy_order && !FAULT(kCopyIgnoresOrder)) return false;  // a later slot made it dirty again, and has queued it
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
  waiting_.emplace(now_ms + pause, Place{found->second.ticket, found->first});
}

bool DirtySet::SweepDone(uint64_t sweep_order) {
  if (!everything_ || everything_order_ > sweep_order) return false;
  everything_ = false;
  return true;
}

}  // namespace crossfade
