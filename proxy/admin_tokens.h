// Who may use the admin API: the tokens of admin.token_file, each with the name of its holder, for the audit trail.
// A line of the file is `NAME TOKEN`, or a token alone, which is then named "token".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "conf/config.h"
#include "proxy/http_message.h"

namespace crossfade {

struct AdminToken {
  std::string name, token;
  bool operator==(const AdminToken&) const = default;
};
using AdminTokens = std::vector<AdminToken>;

inline constexpr size_t kMaxAdminTokens = 100;
inline constexpr size_t kMaxTokenNameBytes = 64;

// The tokens that the API asks for; empty: none. Fails when the file can't be read or understood, or when there must be
// one. The message holds no token.
absl::StatusOr<AdminTokens> ReadAdminTokens(const AdminConfig& config);
absl::StatusOr<AdminTokens> ParseAdminTokens(std::string_view text);

// Whose token the request brings; null: nobody's. Takes the same time whichever it is.
const AdminToken* FindToken(const AdminTokens& tokens, const HttpRequest& request);

// "a token", "tokens of ci, anna", "no token": for the log.
std::string DescribeTokens(const AdminTokens& tokens);

// Who asks, for the audit trail: "token ci@127.0.0.1", or the address alone where no token is needed.
std::string WhoAsks(const AdminTokens& tokens, const HttpRequest& request);

}  // namespace crossfade
