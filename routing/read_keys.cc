#include "routing/read_keys.h"

#include <algorithm>
#include <utility>

namespace crossfade {

size_t ReadKeys::size(uint64_t client) const {
  const auto found = keys_.find(client);
  return found == keys_.end() ? 0 : found->second.size();
}

bool ReadKeys::Remember(uint64_t client, std::string_view key) {
  auto& of_client = keys_[client];
  if (of_client.contains(key)) return true;
  if (size_ >= limit_ || of_client.size() >= limit_of_one_) return false;
  const auto entry = readers_.try_emplace(std::string(key)).first;
  entry->second.push_back(client);
  of_client.insert(entry->first);
  ++size_;
  return true;
}

std::vector<uint64_t> ReadKeys::Take(std::string_view key) {
  const auto found = readers_.find(key);
  if (found == readers_.end()) return {};
  std::vector<uint64_t> clients(found->second.begin(), found->second.end());
  for (uint64_t client : clients) keys_[client].erase(found->first);
  size_ -= clients.size();
  readers_.erase(found);
  return clients;
}

void ReadKeys::Forget(uint64_t client) {
  const auto found = keys_.find(client);
  if (found == keys_.end()) return;
  const auto keys = std::move(found->second);
  keys_.erase(found);
  size_ -= keys.size();
  for (std::string_view key : keys) {
    const auto entry = readers_.find(key);
    Readers& readers = entry->second;
    readers.erase(std::find(readers.begin(), readers.end(), client));
    if (readers.empty()) readers_.erase(entry);
  }
}

void ReadKeys::Clear() {
  keys_.clear();
  readers_.clear();
  size_ = 0;
}

uint64_t ReadKeys::Victim(uint64_t client) const {
  uint64_t victim = client;
  if (size(client) >= limit_of_one_) return victim;
  for (const auto& [other, keys] : keys_) {
    if (keys.size() > size(victim)) victim = other;
  }
  return victim;
}

}  // namespace crossfade
