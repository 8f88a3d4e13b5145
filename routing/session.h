// What one client has said about its connection: database, protocol, credentials, name, the transaction that it is
// queueing. Answers the commands that concern nothing else. Pure: no socket, no clock; belongs to one client.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/config.h"
#include "protocol/request.h"
#include "routing/command_table.h"
#include "routing/tracking_options.h"

namespace crossfade {

class ModuleCommands;

// What every session is told about the service it talks to.
struct ServiceFacts {
  std::vector<std::pair<std::string, std::string>> credentials;  // accepted user and password pairs; "" = default user
  bool auth_required = false;
  int databases = 16;
  bool resp3 = true;              // does every store that may answer know HELLO 3?
  std::string product = "redis";  // the primary's, for HELLO
  std::string version = "7.0.0";
  bool admin_commands = false;
  size_t transaction_bytes = 64 << 20;      // of what one client queues; beyond, the transaction is aborted
  const ModuleCommands* modules = nullptr;  // commands that only the primary knows; nullptr: none
};

// A user other than the lane's own, by whose rights commands run. 0: the lane's own (proxy/logins has the others).
using LoginId = uint32_t;

// A command that waits for EXEC.
struct QueuedCommand {
  const CommandRow* row = nullptr;
  Request request;
  int db = 0;  // in which it runs: SELECT inside a transaction acts on what follows it
};

// What a connection is like at one moment, for CLIENT LIST. All by now.
struct ConnectionFigures {
  int64_t age_s = 0;
  int64_t idle_s = 0;
  size_t input_bytes = 0;
  size_t output_bytes = 0;
  bool blocked = false;
  std::string listen_address;
};

// What a client wants to receive unasked.
struct Subscriptions {
  size_t channels = 0, patterns = 0, shard_channels = 0;
  bool monitor = false;
  bool any() const { return channels + patterns + shard_channels > 0; }
};

class Session {
 public:
  Session(uint64_t id, std::string address, const ServiceFacts* facts)
      : id_(id), address_(std::move(address)), facts_(facts), authenticated_(!facts->auth_required) {}

  uint64_t id() const { return id_; }
  int db() const { return db_; }
  int protocol() const { return protocol_; }
  bool authenticated() const { return authenticated_; }
  bool in_transaction() const { return in_transaction_; }
  const std::string& name() const { return name_; }
  bool admin_commands() const { return facts_->admin_commands; }
  const ModuleCommands* modules() const { return facts_->modules; }
  const std::string& address() const { return address_; }
  const std::string& user() const { return user_; }
  LoginId login() const { return login_; }
  // One line as CLIENT LIST gives it, without the newline.
  std::string Describe(const ConnectionFigures& figures) const;
  // REQUIRES: a row's name.
  void set_last_command(std::string_view name) { last_command_ = name; }

  // WATCH holds until EXEC, DISCARD, UNWATCH, RESET or the end.
  bool watching() const { return watching_; }
  void set_watching(bool watching) { watching_ = watching; }
  const Subscriptions& subscriptions() const { return subscriptions_; }
  void set_subscriptions(const Subscriptions& subscriptions) { subscriptions_ = subscriptions; }
  // CLIENT TRACKING: which keys the client is told of when they change. CLIENT CACHING speaks of the next command, or
  // of the next block (networking.c, resetClient): NoteCommand is told of each, before anything is decided about it.
  const TrackingOptions& tracking() const { return tracking_; }
  TrackingOptions* mutable_tracking() { return &tracking_; }
  void NoteCommand(const CommandRow* row);
  // Are keys that the command just planned reads to be remembered?
  bool remembers_keys() const {
    return tracking_.on && !tracking_.bcast && (!tracking_.optin || caching_) && (!tracking_.optout || !caching_);
  }
  // RESP2 has no pushes: while anything is subscribed to, other commands are refused (server.c, processCommand).
  bool subscribed_only() const { return protocol_ == 2 && subscriptions_.any(); }

  // AUTH and HELLO AUTH with credentials that only a store can judge. The views are valid as long as the request.
  struct Credentials {
    std::string_view user, password;
  };
  std::optional<Credentials> AsksStoreForLogin(const CommandRow& row, RequestView request) const;
  // The store's judgement on such a request; appends the reply. `refusal`: the store's error, empty when it agreed.
  void LoginDecided(const CommandRow& row, RequestView request, LoginId login, std::string_view refusal,
                    std::string* reply);

  // Is the reply to the command just planned kept from the client (CLIENT REPLY)? Once per command.
  bool TakeMute();

  // Carries out a command whose route is kLocal, except EXEC, and appends its reply.
  // Returns false when the client is to be disconnected after the reply (QUIT).
  bool Answer(const CommandRow& row, RequestView request, std::string* reply);

  // Between MULTI and EXEC. Queue appends the reply; Abort remembers that EXEC must fail.
  void Queue(const CommandRow& row, RequestView request, std::string* reply);
  void AbortTransaction() { transaction_aborted_ = in_transaction_; }
  bool transaction_aborted() const { return transaction_aborted_; }
  bool transaction_too_large() const { return transaction_too_large_; }
  const std::vector<QueuedCommand>& queued() const { return queued_; }
  // What queueing them takes, in memory.
  size_t queued_bytes() const { return queued_bytes_; }
  // What was queued concerns the connection too (SELECT, CLIENT SETNAME …): EXEC's reply goes through FinishExec.
  bool exec_concerns_session() const { return !local_elements_.empty() || transaction_db_ != db_; }
  // Ends the transaction and hands out what was queued.
  std::vector<QueuedCommand> TakeTransaction();
  // The client's reply to EXEC, from the primary's. REQUIRES: TakeTransaction was called for it.
  std::string FinishExec(std::string_view reply);

 private:
  void Hello(RequestView request, std::string* reply);
  void Auth(RequestView request, std::string* reply);
  void Select(RequestView request, std::string* reply);
  void Client(const CommandRow& row, RequestView request, std::string* reply);
  void ClientReply(RequestView request, std::string* reply);
  void ClientCaching(RequestView request, std::string* reply);
  void Discard(std::string* reply);
  void LocalInTransaction(const CommandRow& row, RequestView request);
  void Ping(RequestView request, std::string* reply);
  void Reset(std::string* reply);
  // A server whose default user has no password lets it in with any (acl.c); nobody else gets in without one.
  bool IsFreeDefault(std::string_view user) const { return facts_->credentials.empty() && user == "default"; }
  bool CheckPassword(std::string_view user, std::string_view password) const;
  void LoggedIn(std::string_view user, LoginId login);
  void AppendHelloReply(std::string* reply) const;
  struct HelloOptions;
  std::string ParseHello(RequestView request, HelloOptions* options) const;
  void FinishHello(const HelloOptions& options, std::string* reply);

  uint64_t id_;
  std::string address_;
  const ServiceFacts* facts_;
  int db_ = 0;
  int protocol_ = 2;
  bool authenticated_;
  std::string user_ = "default";
  LoginId login_ = 0;
  std::string name_, library_name_, library_version_;
  std::string_view last_command_ = "NULL";  // a row's name
  bool no_evict_ = false;
  bool watching_ = false;
  Subscriptions subscriptions_;
  TrackingOptions tracking_;
  bool caching_ = false;               // CLIENT CACHING holds
  bool after_client_command_ = false;  // … also for what follows, as after any CLIENT command
  bool mute_all_ = false;
  int mute_next_ = 0;  // CLIENT REPLY SKIP: itself, and the next command
  bool in_transaction_ = false;
  bool transaction_aborted_ = false;
  bool transaction_too_large_ = false;
  std::vector<QueuedCommand> queued_;
  size_t queued_bytes_ = 0;
  int transaction_db_ = 0;                                        // after what has been queued
  std::vector<std::pair<size_t, QueuedCommand>> local_elements_;  // which of the queued ones the session answers
};

}  // namespace crossfade
