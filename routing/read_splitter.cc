#include "routing/read_splitter.h"

#include <algorithm>

namespace crossfade {

namespace {

// FNV-1a with a final mix: fixed for ever, since percentages mean sets of keys.
uint64_t StableHash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdULL;
  return hash ^ (hash >> 33);
}

// True for `percent` of all hashes, and for a superset of those of any smaller percentage.
bool Within(uint64_t hash, double percent) {
  return static_cast<double>(hash >> 11) < percent / 100.0 * static_cast<double>(1ULL << 53);
}

}  // namespace

bool InShare(std::string_view key, double percent) {
  return Within(StableHash(key), percent);
}

ReadSplitter::ReadSplitter(std::vector<RuleConfig> rules) : rules_(std::move(rules)) {
  std::stable_sort(rules_.begin(), rules_.end(),
                   [](const RuleConfig& a, const RuleConfig& b) { return a.prefix.size() > b.prefix.size(); });
  for (const RuleConfig& rule : rules_) rules_active_ = rules_active_ || rule.reads_new > 0 || rule.compare > 0;
}

ReadChoice ReadSplitter::Choose(const RoutingConfig& routing, std::string_view key, uint64_t dice) const {
  double reads_new = routing.reads_new;
  double compare = routing.compare;
  ReadChoice choice;
  choice.on_miss = routing.on_miss;
  for (const RuleConfig& rule : rules_) {
    if (!key.starts_with(rule.prefix)) continue;
    if (rule.reads_new >= 0) reads_new = rule.reads_new;
    if (rule.compare >= 0) compare = rule.compare;
    if (rule.has_on_miss) choice.on_miss = rule.on_miss;
    break;
  }
  // Two independent draws from one set of dice.
  const uint64_t hash = routing.split == SplitMode::kKey ? StableHash(key) : dice;
  choice.from_new = Within(hash, reads_new);
  choice.compare = Within(dice * 0x9e3779b97f4a7c15ULL ^ (dice >> 32), compare);
  return choice;
}

}  // namespace crossfade
