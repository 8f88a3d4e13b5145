// A user as ACL LIST shows it, and the ACL SETUSER that makes the same user elsewhere. Pure. The rules have hashes of
// passwords in them: they are for the other store only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace crossfade {

struct AclUser {
  std::string name;
  // As SETUSER takes them: a selector, "(~a* +get)", is one. Without what goes without saying, so that equal users have
  // equal rules.
  std::vector<std::string> rules;
};

// From one line, "user ann on #2d71… ~a* +@all". nullopt for what is none.
std::optional<AclUser> ParseAclUser(std::string_view line);

// Why these rules can't be given to another server; empty: they can. Some show no whole hash of a password: what would
// be set by that is another password.
std::string WhyNotPortable(const AclUser& user);

// What a server says of a rule that it refuses repeats it. Without the hashes.
std::string WithoutHashes(std::string_view error);

}  // namespace crossfade
