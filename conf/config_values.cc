#include "conf/config_values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace crossfade {

namespace {

constexpr char kUrlForm[] = "expected redis://[[user]:password@]host[:port]";
constexpr int64_t kRedisPort = 6379;
constexpr size_t kMaxHostLength = 253;   // RFC 1035
constexpr size_t kMaxQuotedLength = 60;  // of a refused value in an error

struct Unit {
  const char* name;
  int64_t factor;
};

// The largest first, as the formatters want them.
constexpr Unit kByteUnits[] = {
    {"TiB", 1LL << 40}, {"TB", 1'000'000'000'000}, {"GiB", 1LL << 30}, {"GB", 1'000'000'000},
    {"MiB", 1LL << 20}, {"MB", 1'000'000},         {"KiB", 1LL << 10}, {"KB", 1'000},
    {"B", 1},
};
constexpr Unit kTimeUnits[] = {{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}};

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), Lower);
  return text;
}

absl::Status Refuse(const std::string& what) {
  return absl::InvalidArgumentError(what);
}

// Digits only, without a sign; nothing when empty, too large or anything else.
std::optional<int64_t> ParseDigits(const std::string& text) {
  if (text.empty()) return std::nullopt;
  int64_t value = 0;
  for (char c : text) {
    if (!IsDigit(c)) return std::nullopt;
    if (value > (std::numeric_limits<int64_t>::max() - (c - '0')) / 10) return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

// "<digits><unit>", a space between them allowed. An empty unit is `bare_factor`, or refused when that is 0.
template <size_t kCount>
std::optional<int64_t> ParseWithUnit(const std::string& text, const Unit (&units)[kCount], int64_t bare_factor) {
  size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  std::optional<int64_t> number = ParseDigits(text.substr(0, digits));
  if (!number) return std::nullopt;
  size_t unit_begin = std::min(text.find_first_not_of(' ', digits), text.size());
  std::string name = LowerCase(text.substr(unit_begin));
  int64_t factor = name.empty() ? bare_factor : 0;
  for (const Unit& unit : units) {
    if (LowerCase(unit.name) == name) factor = unit.factor;
  }
  if (factor == 0 || *number > std::numeric_limits<int64_t>::max() / factor) return std::nullopt;
  return *number * factor;
}

template <size_t kCount>
std::string FormatWithUnit(int64_t value, const Unit (&units)[kCount]) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) return absl::StrCat(value / unit.factor, unit.name);
  }
  return absl::StrCat(value, units[kCount - 1].name);
}

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// False when a '%' isn't followed by two hexadecimal digits.
bool PercentDecode(const std::string& text, std::string* out) {
  out->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out->push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return false;
    int high = HexValue(text[i + 1]);
    int low = HexValue(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out->push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

bool IsIpv4(const std::string& host) {
  in_addr address;
  return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

// The one canonical text of an IPv6 address, or nothing.
std::optional<std::string> CanonicalIpv6(const std::string& host) {
  in6_addr address;
  char text[INET6_ADDRSTRLEN];
  if (host.find('\0') != std::string::npos) return std::nullopt;
  if (inet_pton(AF_INET6, host.c_str(), &address) != 1) return std::nullopt;
  if (inet_ntop(AF_INET6, &address, text, sizeof(text)) == nullptr) return std::nullopt;
  return text;
}

bool IsHostName(const std::string& host) {
  if (host.empty() || host.size() > kMaxHostLength) return false;
  if (host.find_first_not_of("0123456789.") == std::string::npos) return IsIpv4(host);
  return std::all_of(host.begin(), host.end(), [](char c) {
    return IsDigit(c) || (Lower(c) >= 'a' && Lower(c) <= 'z') || c == '.' || c == '-' || c == '_';
  });
}

struct HostPort {
  std::string host;                 // empty when there was none
  std::optional<std::string> port;  // the text after the colon
};

// Splits "host", "host:port", "[ipv6]" and "[ipv6]:port". Quotes nothing in its errors: in a URL with a forgotten '@',
// what looks like a host or a port is a user or a password.
absl::StatusOr<HostPort> SplitHostPort(const std::string& text) {
  HostPort result;
  size_t port_colon = text.find(':');
  if (!text.empty() && text[0] == '[') {
    size_t bracket = text.find(']');
    if (bracket == std::string::npos) return Refuse("a ']' is missing after the IPv6 address");
    std::optional<std::string> ipv6 = CanonicalIpv6(text.substr(1, bracket - 1));
    if (!ipv6) return Refuse("what is in the brackets is not an IPv6 address");
    result.host = *ipv6;
    port_colon = bracket + 1;
    if (port_colon < text.size() && text[port_colon] != ':') return Refuse("only :port may follow the ']'");
    if (port_colon == text.size()) return result;
  } else {
    if (std::count(text.begin(), text.end(), ':') > 1) {
      return Refuse("more than one ':' (an IPv6 address goes in brackets, as in [::1]:6379)");
    }
    result.host = text.substr(0, port_colon);
    if (!result.host.empty() && !IsHostName(result.host)) return Refuse("the host is no host name or IP address");
    if (port_colon == std::string::npos) return result;
  }
  result.port = text.substr(port_colon + 1);
  return result;
}

absl::StatusOr<uint16_t> ParsePort(const std::string& text, int64_t lowest) {
  std::optional<int64_t> port = ParseDigits(text);
  if (!port || *port < lowest || *port > 65535) return Refuse(absl::StrCat("the port must be ", lowest, " to 65535"));
  return static_cast<uint16_t>(*port);
}

// Everything after the host and port: nothing, or a '/' alone.
absl::Status CheckUrlTail(const std::string& tail) {
  if (tail.empty() || tail == "/") return absl::OkStatus();
  if (tail.find('@') != std::string::npos) {
    return Refuse("a '/', '?' or '#' in the user or password must be written %2F, %3F or %23");
  }
  if (tail[0] == '/') {
    return Refuse(
        "a database after the host is not allowed: SELECT belongs to the application, and each of its databases goes "
        "to the one of the same number");
  }
  return Refuse(absl::StrCat("a '", tail.substr(0, 1), "' part after the host is not allowed: it has no options"));
}

absl::Status ParseUserInfo(const std::string& user_info, BackendConfig* backend) {
  size_t colon = user_info.find(':');
  if (colon == std::string::npos || colon + 1 == user_info.size()) {
    return Refuse("the password is missing: write user:password@, :password@ for the default user, or nothing");
  }
  if (!PercentDecode(user_info.substr(0, colon), &backend->user) ||
      !PercentDecode(user_info.substr(colon + 1), &backend->password)) {
    return Refuse("a '%' in the user or password must be followed by two hexadecimal digits (%25 is the sign itself)");
  }
  return absl::OkStatus();
}

std::string CanonicalHost(const std::string& host) {
  std::string lower = LowerCase(host);
  if (lower == "localhost") return "127.0.0.1";
  return CanonicalIpv6(lower).value_or(lower);
}

}  // namespace

absl::StatusOr<BackendConfig> ParseBackendUrl(const std::string& url) {
  size_t scheme_end = url.find("://");
  if (scheme_end == std::string::npos) return Refuse(kUrlForm);
  std::string scheme = LowerCase(url.substr(0, scheme_end));
  if (scheme == "rediss") {
    return Refuse("rediss:// is refused: TLS to backends is not built yet (redis:// through a TLS tunnel works)");
  }
  if (scheme != "redis") return Refuse(absl::StrCat(kUrlForm, ", got another scheme"));

  std::string rest = url.substr(scheme_end + 3);
  size_t authority_end = std::min(rest.find_first_of("/?#"), rest.size());
  absl::Status tail = CheckUrlTail(rest.substr(authority_end));
  if (!tail.ok()) return tail;
  std::string authority = rest.substr(0, authority_end);

  BackendConfig backend;
  size_t at = authority.rfind('@');
  if (at != std::string::npos) {
    absl::Status user_info = ParseUserInfo(authority.substr(0, at), &backend);
    if (!user_info.ok()) return user_info;
    authority.erase(0, at + 1);
  }
  absl::StatusOr<HostPort> host_port = SplitHostPort(authority);
  if (!host_port.ok()) return Refuse(absl::StrCat(kUrlForm, ": ", std::string(host_port.status().message())));
  if (host_port->host.empty()) return Refuse(absl::StrCat(kUrlForm, ": the host is missing"));
  absl::StatusOr<uint16_t> port = ParsePort(host_port->port.value_or(absl::StrCat(kRedisPort)), 1);
  if (!port.ok()) return Refuse(absl::StrCat(kUrlForm, ": ", std::string(port.status().message())));
  backend.address = {host_port->host, *port};
  return backend;
}

absl::StatusOr<Address> ParseAddress(const std::string& text) {
  auto refuse = [&text](const std::string& why) {
    return Refuse(absl::StrCat("expected HOST:PORT, :PORT or [IPV6]:PORT, got ", QuoteForError(text), ": ", why));
  };
  if (text.find(':') == std::string::npos) return refuse("the port is missing");
  absl::StatusOr<HostPort> host_port = SplitHostPort(text);
  if (!host_port.ok()) return refuse(std::string(host_port.status().message()));
  if (!host_port->port) return refuse("the port is missing");
  absl::StatusOr<uint16_t> port = ParsePort(*host_port->port, 0);
  if (!port.ok()) return refuse(std::string(port.status().message()));
  return Address{host_port->host.empty() ? "127.0.0.1" : host_port->host, *port};
}

absl::StatusOr<int64_t> ParseBytes(const std::string& text) {
  std::optional<int64_t> bytes = ParseWithUnit(text, kByteUnits, 1);
  if (bytes) return *bytes;
  return Refuse(absl::StrCat("expected a size such as \"64MiB\" or \"1GB\", got ", QuoteForError(text)));
}

absl::StatusOr<int64_t> ParseDuration(const std::string& text) {
  std::optional<int64_t> ms = ParseWithUnit(text, kTimeUnits, 0);
  if (ms) return *ms;
  return Refuse(absl::StrCat("expected a duration such as \"100ms\", \"2s\" or \"5m\", got ", QuoteForError(text)));
}

std::string FormatBytes(int64_t bytes) {
  return FormatWithUnit(bytes, kByteUnits);
}

std::string FormatDuration(int64_t ms) {
  return FormatWithUnit(ms, kTimeUnits);
}

bool IsLoopback(const std::string& host) {
  in_addr ipv4;
  if (inet_pton(AF_INET, host.c_str(), &ipv4) == 1) return (ntohl(ipv4.s_addr) >> 24) == 127;
  return LowerCase(host) == "localhost" || CanonicalIpv6(host) == "::1";
}

bool SameAddress(const Address& a, const Address& b) {
  return a.port == b.port && CanonicalHost(a.host) == CanonicalHost(b.host);
}

std::string QuoteForError(const std::string& text) {
  if (text.find('@') != std::string::npos || text.find("://") != std::string::npos) {
    return "a text that may hold a password";
  }
  std::string quoted = "\"";
  size_t end = std::min(text.size(), kMaxQuotedLength);
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  for (char c : text.substr(0, end)) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    quoted +=
        is_control ? absl::StrCat("\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2)) : std::string(1, c);
  }
  return quoted + (end < text.size() ? "…\"" : "\"");
}

}  // namespace crossfade
