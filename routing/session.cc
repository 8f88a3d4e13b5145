#include "routing/session.h"

#include <utility>

#include "fmt/format.h"
#include "protocol/check.h"
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
constexpr char kHelloNeedsAuth[] =
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time";

}  // namespace

// The fields and their order are those of Redis 7.0 (networking.c, catClientInfoString), and lib-name, lib-ver of 7.2.
std::string Session::Describe(const ConnectionFigures& figures) const {
  std::string flags;
  if (subscriptions_.monitor) flags += 'O';
  if (subscriptions_.any()) flags += 'P';
  if (in_transaction_) flags += 'x';
  if (figures.blocked) flags += 'b';
  if (tracking_.on) flags += 't';
  if (tracking_.broken_redirect) flags += 'R';
  if (tracking_.bcast) flags += 'B';
  if (no_evict_) flags += 'e';
  if (flags.empty()) flags = "N";
  return fmt::format(
      "id={} addr={} laddr={} fd=0 name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} qbuf={} "
      "qbuf-free=0 argv-mem=0 multi-mem={} rbs=0 rbp=0 obl=0 oll=0 omem={} tot-mem={} events=r cmd={} user={} redir={} "
      "resp={} lib-name={} lib-ver={}",
      id_, address_, figures.listen_address, name_, figures.age_s, figures.idle_s, flags, db_, subscriptions_.channels,
      subscriptions_.patterns, subscriptions_.shard_channels, in_transaction_ ? static_cast<int>(queued_.size()) : -1,
      figures.input_bytes, queued_bytes_, figures.output_bytes,
      figures.input_bytes + figures.output_bytes + queued_bytes_, last_command_, user_,
      tracking_.on ? static_cast<int64_t>(tracking_.redirect) : -1, protocol_, library_name_, library_version_);
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
      transaction_db_ = db_;
      local_elements_.clear();
      AppendSimple(reply, "OK");
    }
  } else if (name == "unwatch") {
    watching_ = false;
    AppendSimple(reply, "OK");
  } else if (name == "discard") {
    Discard(reply);
  } else if (name == "acl|whoami") {
    AppendBulk(reply, user_);
  } else if (name.starts_with("client|")) {
    Client(row, request, reply);
  } else {
    CHECK(false);  // a row with this route and no answer
  }
  return true;
}

void Session::Discard(std::string* reply) {
  if (!in_transaction_) return AppendError(reply, "ERR DISCARD without MULTI");
  TakeTransaction();
  watching_ = false;
  AppendSimple(reply, "OK");
}

void Session::Ping(RequestView request, std::string* reply) {
  if (subscribed_only() && request.argc() <= 2) {
    AppendArrayHeader(reply, 2);
    AppendBulk(reply, "pong");
    return AppendBulk(reply, request.argc() == 2 ? request.arg(1) : "");
  }
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

bool Session::CheckPassword(std::string_view user, std::string_view password) const {
  bool matches = false;
  for (const auto& [known_user, known_password] : facts_->credentials) {
    const std::string_view name = known_user.empty() ? "default" : std::string_view(known_user);
    // Both are always compared: how long it takes must not tell which of the two was right.
    const bool user_right = SecretsEqual(user, name);
    const bool password_right = SecretsEqual(password, known_password);
    matches = matches || (user_right && password_right);
  }
  return matches;
}

void Session::LoggedIn(std::string_view user, LoginId login) {
  authenticated_ = true;
  user_ = user;
  login_ = login;
}

void Session::Auth(RequestView request, std::string* reply) {
  if (request.argc() > 3) return AppendError(reply, "ERR syntax error");
  if (request.argc() == 2 && facts_->credentials.empty()) {
    return AppendError(reply,
                       "ERR AUTH <password> called without any password configured for the default user. Are you sure "
                       "your configuration is correct?");
  }
  // Others are asked of the primary (AsksStoreForLogin).
  LoggedIn(request.argc() == 3 ? request.arg(1) : "default", 0);
  AppendSimple(reply, "OK");
}

struct Session::HelloOptions {
  int protocol = 2;
  bool auth = false, set_name = false;
  std::string_view user, password, name;
};

// Returns the error, empty when there is none.
std::string Session::ParseHello(RequestView request, HelloOptions* options) const {
  options->protocol = protocol_;
  size_t i = 1;
  if (request.argc() > 1) {
    const auto version = ParseInt64(request.arg(1));
    if (!version) return "ERR Protocol version is not an integer or out of range";
    if (*version < 2 || *version > 3 || (*version == 3 && !facts_->resp3)) {
      return "NOPROTO unsupported protocol version";
    }
    options->protocol = static_cast<int>(*version);
    i = 2;
  }
  while (i < request.argc()) {
    if (EqualsIgnoreCase(request.arg(i), "AUTH") && i + 2 < request.argc()) {
      options->auth = true;
      options->user = request.arg(i + 1);
      options->password = request.arg(i + 2);
      i += 3;
    } else if (EqualsIgnoreCase(request.arg(i), "SETNAME") && i + 1 < request.argc()) {
      options->set_name = true;
      options->name = request.arg(i + 1);
      i += 2;
    } else {
      return fmt::format("ERR Syntax error in HELLO option '{}'", request.arg(i));
    }
  }
  return options->set_name && !IsPlainWord(options->name) ? kBadName : "";
}

void Session::Hello(RequestView request, std::string* reply) {
  HelloOptions options;
  if (const std::string error = ParseHello(request, &options); !error.empty()) return AppendError(reply, error);
  if (options.auth) LoggedIn(options.user, 0);
  if (!authenticated_) return AppendError(reply, kHelloNeedsAuth);
  FinishHello(options, reply);
}

void Session::FinishHello(const HelloOptions& options, std::string* reply) {
  if (options.set_name) name_ = options.name;
  protocol_ = options.protocol;
  AppendHelloReply(reply);
}

std::optional<Session::Credentials> Session::AsksStoreForLogin(const CommandRow& row, RequestView request) const {
  Credentials asked;
  if (row.name == "auth") {
    if (request.argc() > 3 || (request.argc() == 2 && facts_->credentials.empty())) return std::nullopt;
    asked = {request.argc() == 3 ? request.arg(1) : "default", request.arg(request.argc() - 1)};
  } else {
    HelloOptions options;
    if (!ParseHello(request, &options).empty() || !options.auth) return std::nullopt;
    asked = {options.user, options.password};
  }
  if (IsFreeDefault(asked.user) || CheckPassword(asked.user, asked.password)) return std::nullopt;
  return asked;
}

void Session::LoginDecided(const CommandRow& row, RequestView request, LoginId login, std::string_view refusal,
                           std::string* reply) {
  if (!refusal.empty()) return AppendError(reply, refusal);
  if (row.name == "auth") {
    LoggedIn(request.argc() == 3 ? request.arg(1) : "default", login);
    return AppendSimple(reply, "OK");
  }
  HelloOptions options;
  ParseHello(request, &options);
  LoggedIn(options.user, login);
  FinishHello(options, reply);
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
  if (sub == "reply") return ClientReply(request, reply);
  if (sub == "no-evict") {
    const bool on = EqualsIgnoreCase(request.arg(2), "ON");
    if (!on && !EqualsIgnoreCase(request.arg(2), "OFF")) return AppendError(reply, "ERR syntax error");
    no_evict_ = on;
    return AppendSimple(reply, "OK");
  }
  if (sub == "no-touch" || sub == "capa" || sub == "import-source") return AppendSimple(reply, "OK");
  if (sub == "getredir") return AppendInteger(reply, tracking_.on ? static_cast<int64_t>(tracking_.redirect) : -1);
  if (sub == "trackinginfo") return AppendTrackingInfo(tracking_, caching_, protocol_, reply);
  if (sub == "caching") return ClientCaching(request, reply);
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
  CHECK(false);  // a row with this route and no answer
}

void Session::ClientReply(RequestView request, std::string* reply) {
  const std::string_view mode = request.arg(2);
  if (EqualsIgnoreCase(mode, "ON")) {
    mute_all_ = false;
    mute_next_ = 0;
    AppendSimple(reply, "OK");
  } else if (EqualsIgnoreCase(mode, "OFF")) {
    mute_all_ = true;
  } else if (EqualsIgnoreCase(mode, "SKIP")) {
    if (!mute_all_) mute_next_ = 2;
  } else {
    AppendError(reply, "ERR syntax error");
  }
}

void Session::NoteCommand(const CommandRow* row) {
  if (!in_transaction_ && !after_client_command_) caching_ = false;
  after_client_command_ = row != nullptr && row->name.starts_with("client|");
}

void Session::ClientCaching(RequestView request, std::string* reply) {
  if (const std::string error = CheckCaching(request.arg(2), tracking_); !error.empty()) {
    return AppendError(reply, error);
  }
  caching_ = true;
  AppendSimple(reply, "OK");
}

bool Session::TakeMute() {
  if (mute_all_) return true;
  if (mute_next_ == 0) return false;
  --mute_next_;
  return true;
}

void Session::Reset(std::string* reply) {
  TakeTransaction();
  watching_ = false;
  subscriptions_ = {};
  tracking_ = {};
  caching_ = false;
  db_ = 0;
  protocol_ = 2;
  authenticated_ = !facts_->auth_required;
  user_ = "default";
  login_ = 0;
  name_.clear();
  no_evict_ = mute_all_ = false;
  mute_next_ = 0;
  AppendSimple(reply, "RESET");
}

// What the session answers stands in the block as PING, and gets its answer when EXEC has run: CLIENT GETNAME must see
// a CLIENT SETNAME before it, and only if the block was carried out.
void Session::LocalInTransaction(const CommandRow& row, RequestView request) {
  // Holds for what follows it in the block. What comes before it is then remembered too, which does no harm.
  if (row.name == "client|caching" && tracking_.optin && EqualsIgnoreCase(request.arg(2), "YES")) caching_ = true;
  local_elements_.push_back({queued_.size(), {&row, Request(request), transaction_db_}});
  queued_.push_back({FindCommandByName("ping"), MakeRequest({"PING"}), transaction_db_});
}

void Session::Queue(const CommandRow& row, RequestView request, std::string* reply) {
  const size_t bytes = sizeof(QueuedCommand) + request.bytes().size() + request.args().size() * sizeof(ArgSpan);
  if (queued_bytes_ + bytes > facts_->transaction_bytes) {
    AbortTransaction();
    queued_ = {};
    local_elements_ = {};
    queued_bytes_ = 0;
    transaction_too_large_ = true;
  }
  if (transaction_too_large_) {
    return AppendError(reply, fmt::format("ERR crossfade: the transaction is larger than {} bytes (limits.transaction)",
                                          facts_->transaction_bytes));
  }
  AppendSimple(reply, "QUEUED");
  if (transaction_aborted_) return;
  queued_bytes_ += bytes;
  const bool forwarded = row.name == "ping" || row.name == "echo" || row.name == "select" || row.name == "unwatch";
  if (row.route == Route::kLocal && !forwarded) return LocalInTransaction(row, request);
  queued_.push_back({&row, Request(request), transaction_db_});
  if (row.name != "select") return;
  // A server answers an error to an index out of range, and stays where it is.
  const auto index = ParseInt64(request.arg(1));
  if (index && *index >= 0 && *index < facts_->databases) transaction_db_ = static_cast<int>(*index);
}

std::vector<QueuedCommand> Session::TakeTransaction() {
  in_transaction_ = transaction_aborted_ = transaction_too_large_ = false;
  queued_bytes_ = 0;
  return std::exchange(queued_, {});
}

std::string Session::FinishExec(std::string_view bytes) {
  const auto locals = std::exchange(local_elements_, {});
  const Reply exec = ParseReply(bytes);
  if (!exec.is_aggregate()) return std::string(bytes);
  db_ = transaction_db_;
  std::string reply;
  AppendArrayHeader(&reply, exec.items.size());
  auto next = locals.begin();
  for (size_t i = 0; i < exec.items.size(); ++i) {
    if (next != locals.end() && next->first == i) {
      Answer(*next->second.row, next->second.request.view(), &reply);
      ++next;
    } else {
      AppendReply(&reply, exec.items[i]);
    }
  }
  return reply;
}

}  // namespace crossfade
