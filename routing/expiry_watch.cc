#include "routing/expiry_watch.h"

#include <algorithm>
#include <functional>

namespace crossfade {

int& ExpiryWatch::Label(int db) {
  while (labels_.size() <= static_cast<size_t>(db)) labels_.push_back(static_cast<int>(labels_.size()));
  return labels_[static_cast<size_t>(db)];
}

uint64_t ExpiryWatch::HashOf(int db, std::string_view key) const {
  if (db >= 0 && static_cast<size_t>(db) < labels_.size()) db = labels_[static_cast<size_t>(db)];
  return std::hash<std::string_view>()(key) ^ (static_cast<uint64_t>(db) * 0x9e3779b97f4a7c15ULL);
}

void ExpiryWatch::Set(int db, std::string_view key, ExpiryWindow window, int64_t now_ms) {
  const uint64_t hash = HashOf(db, key);
  const auto found = windows_.find(hash);
  if (found != windows_.end()) {
    found->second = window;
    return;
  }
  const bool full = windows_.size() >= max_keys_ && now_ms >= forget_again_ms_;
  if (full || windows_.size() >= forget_at_) Forget(now_ms);
  if (windows_.size() >= max_keys_) {
    ++unwatched_;
    unwatched_until_ms_ = std::max(unwatched_until_ms_, window.to_ms);
    return;
  }
  windows_.emplace(hash, window);
}

void ExpiryWatch::Forget(int64_t now_ms) {
  absl::erase_if(windows_, [now_ms](const auto& entry) { return entry.second.to_ms < now_ms - kForgetAfterMs; });
  forget_at_ = std::max<size_t>(1024, windows_.size() * 2);
  forget_again_ms_ = now_ms + kForgetEveryMs;
}

void ExpiryWatch::Inherit(int from_db, std::string_view from, int to_db, std::string_view to, int64_t now_ms) {
  const auto found = windows_.find(HashOf(from_db, from));
  if (found != windows_.end()) Set(to_db, to, ExpiryWindow(found->second), now_ms);
}

bool ExpiryWatch::Uncertain(int db, std::string_view key, int64_t from_ms, int64_t to_ms) const {
  if (windows_.empty()) return false;
  const auto found = windows_.find(HashOf(db, key));
  return found != windows_.end() && from_ms <= found->second.to_ms && to_ms >= found->second.from_ms;
}

}  // namespace crossfade
