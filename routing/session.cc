#include "routing/session.h"

#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "protocol/secret.h"

namespace crossfade {

namespace {

// What CLIENT SETNAME accepts: printable, no spaces (networking.c, validateClientName).
bool IsPlainWord(std::string_view text) {
  for (char c : text) {
    if (c < '!' || c > '~') return false;
  }
  return true;
}

constexpr char kBadName[] = "ERR Client names cannot contain spaces, newlines or special characters.";
constexpr char kWrongPass[] = "WRONGPASS invalid username-password pair or user is disabled.";
constexpr char kHelloNeedsAuth[] =
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time";

}  // namespace

std::string Session::Describe() const {
  return fmt::format("id={} addr={} name={} db={} multi={} user={} lib-name={} lib-ver={} resp={}", id_, address_,
                     name_, db_, in_transaction_ ? static_cast<int>(queued_.size()) : -1, user_, library_name_,
                     library_version_, protocol_);
}

bool Session::Answer(const CommandRow& row, RequestView request, std::string* reply) {
  const std::string_view name = row.name;
  if (name == "ping") {
    Ping(request, reply);
  } else if (name == "echo") {
    AppendBulk(reply, request.arg(1));
  } else if (name == "select") {
    Select(request, reply);
  } else if (name == "hello") {
    Hello(request, reply);
  } else if (name == "auth") {
    Auth(request, reply);
  } else if (name == "reset") {
    Reset(reply);
  } else if (name == "quit") {
    AppendSimple(reply, "OK");
    return false;
  } else if (name == "multi") {
    if (in_transaction_) {
      AppendError(reply, "ERR MULTI calls can not be nested");
    } else {
      in_transaction_ = true;
      AppendSimple(reply, "OK");
    }
  } else if (name == "unwatch") {
    AppendSimple(reply, "OK");  // WATCH is refused, so nothing is watched: exactly what a server says then
  } else if (name == "discard") {
    if (in_transaction_) {
      TakeTransaction();
      AppendSimple(reply, "OK");
    } else {
      AppendError(reply, "ERR DISCARD without MULTI");
    }
  } else if (name.starts_with("client|")) {
    Client(row, request, reply);
  } else {
    AppendError(reply, fmt::format("ERR crossfade: '{}' is not built yet", name));
  }
  return true;
}

void Session::Ping(RequestView request, std::string* reply) {
  if (request.argc() > 2) return AppendError(reply, "ERR wrong number of arguments for 'ping' command");
  if (request.argc() == 2) return AppendBulk(reply, request.arg(1));
  AppendSimple(reply, "PONG");
}

void Session::Select(RequestView request, std::string* reply) {
  const auto index = ParseInt64(request.arg(1));
  if (!index) return AppendError(reply, "ERR value is not an integer or out of range");
  if (*index < 0 || *index >= facts_->databases) return AppendError(reply, "ERR DB index is out of range");
  db_ = static_cast<int>(*index);
  AppendSimple(reply, "OK");
}

bool Session::CheckPassword(std::string_view user, std::string_view password) {
  bool matches = false;
  for (const auto& [known_user, known_password] : facts_->credentials) {
    const std::string_view name = known_user.empty() ? "default" : std::string_view(known_user);
    // Both are always compared: how long it takes must not tell which of the two was right.
    const bool user_right = SecretsEqual(user, name);
    const bool password_right = SecretsEqual(password, known_password);
    matches = matches || (user_right && password_right);
  }
  if (matches) {
    authenticated_ = true;
    user_ = user;
  }
  return matches;
}

void Session::Auth(RequestView request, std::string* reply) {
  if (request.argc() > 3) return AppendError(reply, "ERR syntax error");
  if (request.argc() == 2 && facts_->credentials.empty()) {
    return AppendError(reply,
                       "ERR AUTH <password> called without any password configured for the default user. Are you sure "
                       "your configuration is correct?");
  }
  const bool with_user = request.argc() == 3;
  const std::string_view user = with_user ? request.arg(1) : "default";
  if (!IsFreeDefault(user) && !CheckPassword(user, request.arg(with_user ? 2 : 1)))
    return AppendError(reply, kWrongPass);
  AppendSimple(reply, "OK");
}

void Session::Hello(RequestView request, std::string* reply) {
  int protocol = protocol_;
  size_t i = 1;
  if (request.argc() > 1) {
    const auto version = ParseInt64(request.arg(1));
    if (!version) return AppendError(reply, "ERR Protocol version is not an integer or out of range");
    if (*version < 2 || *version > 3 || (*version == 3 && !facts_->resp3)) {
      return AppendError(reply, "NOPROTO unsupported protocol version");
    }
    protocol = static_cast<int>(*version);
    i = 2;
  }
  std::string_view user, password, name;
  bool auth = false, set_name = false;
  while (i < request.argc()) {
    if (EqualsIgnoreCase(request.arg(i), "AUTH") && i + 2 < request.argc()) {
      auth = true;
      user = request.arg(i + 1);
      password = request.arg(i + 2);
      i += 3;
    } else if (EqualsIgnoreCase(request.arg(i), "SETNAME") && i + 1 < request.argc()) {
      set_name = true;
      name = request.arg(i + 1);
      i += 2;
    } else {
      return AppendError(reply, fmt::format("ERR Syntax error in HELLO option '{}'", request.arg(i)));
    }
  }
  if (set_name && !IsPlainWord(name)) return AppendError(reply, kBadName);
  if (auth && !IsFreeDefault(user) && !CheckPassword(user, password)) return AppendError(reply, kWrongPass);
  if (!authenticated_) return AppendError(reply, kHelloNeedsAuth);
  if (set_name) name_ = name;
  protocol_ = protocol;
  AppendHelloReply(reply);
}

void Session::AppendHelloReply(std::string* reply) const {
  AppendMapHeader(reply, 7, protocol_);
  const auto field = [reply](std::string_view name, std::string_view value) {
    AppendBulk(reply, name);
    AppendBulk(reply, value);
  };
  field("server", facts_->product);
  field("version", facts_->version);
  AppendBulk(reply, "proto");
  AppendInteger(reply, protocol_);
  AppendBulk(reply, "id");
  AppendInteger(reply, static_cast<int64_t>(id_));
  field("mode", "standalone");
  field("role", "master");
  AppendBulk(reply, "modules");
  AppendArrayHeader(reply, 0);
}

void Session::Client(const CommandRow& row, RequestView request, std::string* reply) {
  const std::string_view sub = row.name.substr(7);
  if (sub == "id") return AppendInteger(reply, static_cast<int64_t>(id_));
  if (sub == "info") return AppendBulk(reply, Describe() + "\n");
  if (sub == "getname") {
    if (name_.empty()) return AppendNull(reply, protocol_);
    return AppendBulk(reply, name_);
  }
  if (sub == "setname") {
    if (!IsPlainWord(request.arg(2))) return AppendError(reply, kBadName);
    name_ = request.arg(2);
    return AppendSimple(reply, "OK");
  }
  if (sub == "setinfo") {
    const bool is_name = EqualsIgnoreCase(request.arg(2), "lib-name");
    if (!is_name && !EqualsIgnoreCase(request.arg(2), "lib-ver")) {
      return AppendError(reply, fmt::format("ERR Unrecognized option '{}'", request.arg(2)));
    }
    if (!IsPlainWord(request.arg(3))) {
      return AppendError(reply, fmt::format("ERR {} cannot contain spaces, newlines or special characters.",
                                            is_name ? "lib-name" : "lib-ver"));
    }
    (is_name ? library_name_ : library_version_) = request.arg(3);
    return AppendSimple(reply, "OK");
  }
  AppendError(reply, fmt::format("ERR crossfade: '{}' is not built yet", row.name));
}

void Session::Reset(std::string* reply) {
  TakeTransaction();
  db_ = 0;
  protocol_ = 2;
  authenticated_ = !facts_->auth_required;
  user_ = "default";
  name_.clear();
  AppendSimple(reply, "RESET");
}

void Session::Queue(const CommandRow& row, RequestView request, std::string* reply) {
  queued_bytes_ += request.bytes().size();
  if (queued_bytes_ > kMaxQueuedBytes) {
    AbortTransaction();
    queued_.clear();
    return AppendError(reply, "ERR crossfade: the transaction is larger than 64 MiB");
  }
  if (!transaction_aborted_) queued_.push_back({&row, Request(request)});
  AppendSimple(reply, "QUEUED");
}

std::vector<QueuedCommand> Session::TakeTransaction() {
  in_transaction_ = transaction_aborted_ = false;
  queued_bytes_ = 0;
  return std::exchange(queued_, {});
}

}  // namespace crossfade
