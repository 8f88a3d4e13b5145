#include "routing/coverage.h"

#include "absl/strings/string_view.h"

namespace crossfade {

Tally& Tally::operator+=(const Tally& other) {
  reads += other.reads;
  comparable += other.comparable;
  writes += other.writes;
  compared += other.compared;
  mismatched += other.mismatched;
  return *this;
}

void Coverage::Count(const Tally& what, std::string_view command, RequestView request, const KeyIndices& keys) {
  Count(what, command, keys.empty() ? std::string_view() : request.arg(keys[0]), keys.empty());
}

void Coverage::Count(const Tally& what, std::string_view command, std::string_view key, bool keyless) {
  Row(&by_command_, command, kMaxCommands) += what;
  Row(&by_prefix_, keyless ? "(no key)" : PrefixOf(key), kMaxPrefixes) += what;
}

std::string_view Coverage::PrefixOf(std::string_view key) {
  const size_t colon = key.substr(0, kMaxPrefixBytes).find(':');
  return colon == std::string_view::npos ? "(none)" : key.substr(0, colon + 1);
}

Tally& Coverage::Row(Table* table, std::string_view name, size_t most) {
  const auto found = table->find(absl::string_view(name.data(), name.size()));
  if (found != table->end()) return found->second;
  return (*table)[table->size() < most ? std::string(name) : "(other)"];
}

}  // namespace crossfade
