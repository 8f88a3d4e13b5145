#include "proxy/admin_tokens.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>

#include "conf/config_loader.h"
#include "fmt/format.h"
#include "protocol/secret.h"

namespace crossfade {

namespace {
constexpr char kBareName[] = "token";
}

absl::StatusOr<AdminTokens> ParseAdminTokens(std::string_view text) {
  AdminTokens tokens;
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line);
    std::string first, second, third;
    if (!(words >> first)) continue;
    words >> second >> third;
    const auto wrong = [number](const char* what) {
      return absl::FailedPreconditionError(fmt::format("line {}: {}", number, what));
    };
    if (!third.empty()) return wrong("expected NAME TOKEN, or a token alone");
    AdminToken token = second.empty() ? AdminToken{kBareName, first} : AdminToken{first, second};
    const bool printable =
        std::all_of(token.name.begin(), token.name.end(), [](char c) { return c > ' ' && c < 0x7F && c != '@'; });
    if (!printable || token.name.size() > kMaxTokenNameBytes) {
      return wrong("a name is at most 64 printable ASCII characters, and has no @");
    }
    for (const AdminToken& other : tokens) {
      if (other.name == token.name) return wrong("this name is there already");
      if (other.token == token.token) return wrong("this token is there already");
    }
    if (tokens.size() == kMaxAdminTokens) return wrong("more than 100 tokens");
    tokens.push_back(std::move(token));
  }
  return tokens;
}

absl::StatusOr<AdminTokens> ReadAdminTokens(const AdminConfig& config) {
  if (config.token_file.empty()) {
    if (IsLoopback(config.address.host)) return AdminTokens();
    return absl::FailedPreconditionError("an admin address that is not loopback needs admin.token_file");
  }
  const std::string which = config.token_file + " (admin.token_file)";
  std::ifstream file(config.token_file);
  std::stringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::FailedPreconditionError("can't read a token from " + which);
  }
  auto tokens = ParseAdminTokens(text.str());
  if (!tokens.ok()) return absl::FailedPreconditionError(which + ", " + std::string(tokens.status().message()));
  if (tokens->empty()) return absl::FailedPreconditionError("can't read a token from " + which);
  return tokens;
}

const AdminToken* FindToken(const AdminTokens& tokens, const HttpRequest& request) {
  const auto given = request.headers.find("authorization");
  if (given == request.headers.end()) return nullptr;
  const AdminToken* found = nullptr;
  for (const AdminToken& token : tokens) {
    if (SecretsEqual(given->second, "Bearer " + token.token)) found = &token;
  }
  return found;
}

std::string DescribeTokens(const AdminTokens& tokens) {
  if (tokens.empty()) return "no token";
  if (tokens.size() == 1 && tokens[0].name == kBareName) return "a token";
  std::string names;
  for (const AdminToken& token : tokens) names += (names.empty() ? "" : ", ") + token.name;
  return "tokens of " + names;
}

std::string WhoAsks(const AdminTokens& tokens, const HttpRequest& request) {
  const std::string host = request.peer.substr(0, request.peer.rfind(':'));
  const AdminToken* token = FindToken(tokens, request);
  return token == nullptr ? host : fmt::format("token {}@{}", token->name, host);
}

}  // namespace crossfade
