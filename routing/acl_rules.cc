#include "routing/acl_rules.h"

#include <algorithm>

namespace crossfade {

namespace {

// What a user has anyhow; servers show it once somebody has said `reset`, and not before.
constexpr std::string_view kDefaultRule = "sanitize-payload";

bool IsHex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

}  // namespace

std::optional<AclUser> ParseAclUser(std::string_view line) {
  constexpr std::string_view kUser = "user ";
  if (!line.starts_with(kUser)) return std::nullopt;
  line.remove_prefix(kUser.size());
  AclUser user;
  while (!line.empty()) {
    const size_t closing = line.front() == '(' ? line.find(')') : 0;
    const std::string_view word = line.substr(0, line.find(' ', std::min(closing, line.size())));
    line.remove_prefix(std::min(line.size(), word.size() + 1));
    if (word.empty() || word == kDefaultRule) continue;
    if (user.name.empty()) {
      user.name = word;
    } else {
      user.rules.emplace_back(word);
    }
  }
  if (user.name.empty()) return std::nullopt;
  return user;
}

std::string WhyNotPortable(const AclUser& user) {
  constexpr size_t kHashDigits = 64;  // SHA-256
  for (const std::string& rule : user.rules) {
    if (!rule.starts_with('#')) continue;
    const bool whole = rule.size() == 1 + kHashDigits && std::all_of(rule.begin() + 1, rule.end(), IsHex);
    if (!whole) return "the store does not hand out whole hashes of its passwords";
  }
  return "";
}

std::string WithoutHashes(std::string_view error) {
  std::string text;
  for (size_t i = 0; i < error.size(); ++i) {
    text += error[i];
    if (error[i] != '#') continue;
    size_t end = i + 1;
    while (end < error.size() && IsHex(error[end])) ++end;
    if (end - i > 8) {
      text += "…";
      i = end - 1;
    }
  }
  return text;
}

}  // namespace crossfade
