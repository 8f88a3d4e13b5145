#include "proxy/cli_token.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "spdlog/fmt/fmt.h"

namespace crossfade {

namespace {

constexpr size_t kMaxTokenBytes = 4096;

std::string Trimmed(const std::string& text) {
  size_t from = text.find_first_not_of(" \t\r\n"), to = text.find_last_not_of(" \t\r\n");
  return from == std::string::npos ? "" : text.substr(from, to - from + 1);
}

}  // namespace

std::string EnvOrEmpty(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

absl::StatusOr<std::string> ReadToken(const std::string& file) {
  std::string token = Trimmed(EnvOrEmpty("CROSSFADE_TOKEN"));
  std::string source = "CROSSFADE_TOKEN";
  if (!file.empty()) {
    source = "--token-file " + file;
    std::ifstream in(file, std::ios::binary);
    std::string text(kMaxTokenBytes + 1, '\0');
    if (!in || !in.read(text.data(), text.size()).eof()) {
      const char* why = in ? "larger than a token is" : "can't be read";
      return absl::InvalidArgumentError(fmt::format("{}: {}", source, why));
    }
    text.resize(in.gcount());
    token = Trimmed(text);
    if (token.empty()) return absl::InvalidArgumentError(source + ": no token in it");
  }
  const bool clean = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (!clean) return absl::InvalidArgumentError(source + ": a token is printable ASCII without spaces, one in a file");
  return token;
}

}  // namespace crossfade
