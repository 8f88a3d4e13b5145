// What one client has said about its connection: database, protocol, credentials, name, the transaction that it is
// queueing. Answers the commands that concern nothing else. Pure: no socket, no clock; belongs to one client.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "protocol/request.h"
#include "routing/command_table.h"

namespace crossfade {

// What every session is told about the service it talks to.
struct ServiceFacts {
  std::vector<std::pair<std::string, std::string>> credentials;  // accepted user and password pairs; "" = default user
  bool auth_required = false;
  int databases = 16;
  bool resp3 = true;              // does every store that may answer know HELLO 3?
  std::string product = "redis";  // the primary's, for HELLO
  std::string version = "7.0.0";
};

// A command that waits for EXEC.
struct QueuedCommand {
  const CommandRow* row = nullptr;
  Request request;
};

inline constexpr size_t kMaxQueuedBytes = 64 << 20;  // of one transaction; beyond, it is aborted

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
  // One line as CLIENT INFO gives it, without the newline.
  std::string Describe() const;

  // Carries out a command whose route is kLocal, except EXEC, and appends its reply.
  // Returns false when the client is to be disconnected after the reply (QUIT).
  bool Answer(const CommandRow& row, RequestView request, std::string* reply);

  // Between MULTI and EXEC. Queue appends the reply; Abort remembers that EXEC must fail.
  void Queue(const CommandRow& row, RequestView request, std::string* reply);
  void AbortTransaction() { transaction_aborted_ = in_transaction_; }
  bool transaction_aborted() const { return transaction_aborted_; }
  // Ends the transaction and hands out what was queued.
  std::vector<QueuedCommand> TakeTransaction();

 private:
  void Hello(RequestView request, std::string* reply);
  void Auth(RequestView request, std::string* reply);
  void Select(RequestView request, std::string* reply);
  void Client(const CommandRow& row, RequestView request, std::string* reply);
  void Ping(RequestView request, std::string* reply);
  void Reset(std::string* reply);
  // A server whose default user has no password lets it in with any (acl.c); nobody else gets in without one.
  bool IsFreeDefault(std::string_view user) const { return facts_->credentials.empty() && user == "default"; }
  bool CheckPassword(std::string_view user, std::string_view password);
  void AppendHelloReply(std::string* reply) const;

  uint64_t id_;
  std::string address_;
  const ServiceFacts* facts_;
  int db_ = 0;
  int protocol_ = 2;
  bool authenticated_;
  std::string user_ = "default";
  std::string name_, library_name_, library_version_;
  bool in_transaction_ = false;
  bool transaction_aborted_ = false;
  std::vector<QueuedCommand> queued_;
  size_t queued_bytes_ = 0;
};

}  // namespace crossfade
