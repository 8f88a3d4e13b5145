// A scripted store behind FakeIo: it answers the handshake by itself, and TIME whenever its turn comes; everything else
// waits for the test, which reads what was sent and answers each command in order.
//
//   FakeBackend store(&io, 6379);
//   store.Connect();                                       // the lane's connect, and the whole handshake
//   EXPECT_THAT(store.Sent(), ElementsAre("SET k v"));     // commands since the last look, arguments joined by spaces
//   store.Reply("+OK\r\n");                                // to the oldest unanswered one
//
// One connection at a time, the newest. The FakeIo must outlive it. What it says of itself may be changed between
// connections.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/request.h"
#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"
#include "tests/proxy/fake_io.h"

namespace crossfade {

inline const std::string kOk = "+OK\r\n";
inline const std::string kQueued = "+QUEUED\r\n";
inline const std::string kNil = "$-1\r\n";
inline std::string Bulk(std::string_view text) {
  std::string out;
  AppendBulk(&out, text);
  return out;
}
inline std::string Int(int64_t value) {
  std::string out;
  AppendInteger(&out, value);
  return out;
}
inline std::string Array(std::initializer_list<std::string> items) {
  std::string out;
  AppendArrayHeader(&out, items.size());
  for (const std::string& item : items) out += item;
  return out;
}

// The commands of a stream of requests; what is incomplete stays in *bytes.
inline std::vector<std::string> TakeCommands(std::string* bytes) {
  std::vector<std::string> commands;
  RequestParser parser;
  RequestView request;
  size_t consumed = 0;
  while (!bytes->empty() && parser.Parse(*bytes, &request, &consumed) == ParseResult::kDone) {
    std::string text;
    for (size_t i = 0; i < request.argc(); ++i) text.append(i == 0 ? "" : " ").append(request.arg(i));
    commands.push_back(std::move(text));
    bytes->erase(0, consumed);
  }
  return commands;
}

class FakeBackend {
 public:
  // What a flip asks before it happens; answered by itself, as TIME is.
  static constexpr char kFlipFence[] = "DEL __crossfade:flip";

  FakeBackend(FakeIo* io, uint16_t port) : run_id("run-" + std::to_string(port)), io_(io), port_(port) {}

  std::string version = "7.2.4", run_id, role = "master";
  int64_t keys = 0, uptime_s = 100, skew_ms = 0, connection_id = 7;
  int databases = 1;
  bool resp3 = false;                              // so that RESP2 clients need no HELLO
  bool answers_time = true;                        // by itself
  std::string auth_reply = "+OK\r\n", info_reply;  // info_reply: instead of INFO's text
  std::string fence_reply = ":0\r\n";              // to a flip's question
  std::string client_list;                         // empty: CLIENT LIST is denied

  // Takes the pending connect, waiting for it in fake time, without a word of the handshake.
  bool TakeConnection() {
    for (int ms = 0; io_->NextConnect(port_) == nullptr; ++ms) {
      if (ms > 3000) return false;
      io_->clock()->Advance(ms == 0 ? 0 : 1);
    }
    unanswered_.clear();
    fresh_.clear();
    bytes_.clear();
    peer_ = io_->NextConnect(port_)->Succeed();
    return true;
  }
  // … with the handshake answered. The commands of it are in `handshake`.
  void Connect() {
    ASSERT_TRUE(TakeConnection()) << "nobody connects to " << port_;
    handshake.clear();
    AnswerHandshake();
    AnswerHandshake();  // CLIENT KILL waits for INFO: whether it is the same process
    Settle();
  }
  void Refuse() {
    auto connect = io_->NextConnect(port_);
    ASSERT_NE(connect, nullptr);
    connect->Fail(absl::UnavailableError("refused"));
  }

  // What was sent since the last call, TIME left out.
  std::vector<std::string> Sent() {
    Settle();
    return std::exchange(fresh_, {});
  }
  size_t unanswered() {
    Settle();
    return unanswered_.size();
  }
  void Reply(std::string_view reply) {
    Settle();
    ASSERT_FALSE(unanswered_.empty()) << "nothing to answer with " << reply;
    unanswered_.pop_front();
    peer_->Deliver(reply);
    Settle();
  }
  void Replies(std::initializer_list<std::string> replies) {
    for (const std::string& reply : replies) Reply(reply);
  }
  void ReplyToAll(std::string_view reply) {
    while (unanswered() > 0) Reply(reply);
  }
  void Close() { peer_->CloseByPeer(); }
  const FakePeerPtr& peer() const { return peer_; }
  bool hung_up() const { return peer_->destroyed; }

  std::vector<std::string> handshake;

  void AnswerHandshake() {
    bytes_ += peer_->TakeWritten();
    std::string out;
    if (!handshake.empty() && bytes_.find("KILL") == std::string::npos) return;
    for (const std::string& command : TakeCommands(&bytes_)) {
      handshake.push_back(command);
      out += HandshakeReply(command);
    }
    peer_->Deliver(out);
  }

  std::string HandshakeReply(const std::string& command) const {
    if (command.starts_with("AUTH")) return auth_reply;
    if (command == "HELLO 3") return resp3 ? "%1\r\n$5\r\nproto\r\n:3\r\n" : "-ERR unknown command 'HELLO'\r\n";
    if (command == "INFO") return info_reply.empty() ? Bulk(InfoText()) : info_reply;
    if (command == "CONFIG GET databases") return Array({Bulk("databases"), Bulk(std::to_string(databases))});
    if (command == "CLIENT ID") return Int(connection_id);
    if (command == "CLIENT LIST") return client_list.empty() ? "-NOPERM no\r\n" : Bulk(client_list);
    if (command.starts_with("CLIENT KILL")) return Int(1);
    return kOk;
  }
  std::string InfoText() const {
    std::string text = "# Server\r\nredis_version:" + version + "\r\nrun_id:" + run_id +
                       "\r\nuptime_in_seconds:" + std::to_string(uptime_s) + "\r\nloading:0\r\nrole:" + role +
                       "\r\n# Keyspace\r\n";
    if (keys > 0) text += "db0:keys=" + std::to_string(keys) + ",expires=0,avg_ttl=0\r\n";
    return text;
  }

 private:
  // Notes what was written, and answers TIME where it stands first.
  void Settle() {
    Collect();
    while (answers_time && !unanswered_.empty() && peer_->open) {
      if (unanswered_.front() == kFlipFence) {
        unanswered_.pop_front();
        peer_->Deliver(fence_reply);
        Collect();
        continue;
      }
      if (unanswered_.front() != "TIME") break;
      unanswered_.pop_front();
      const int64_t ms = io_->clock()->WallMs() + skew_ms;
      peer_->Deliver(Array({Bulk(std::to_string(ms / 1000)), Bulk(std::to_string(ms % 1000 * 1000))}));
      Collect();
    }
  }
  void Collect() {
    if (peer_ == nullptr) return;
    bytes_ += peer_->TakeWritten();
    for (std::string& command : TakeCommands(&bytes_)) {
      if (command != "TIME" && command != kFlipFence) fresh_.push_back(command);
      unanswered_.push_back(std::move(command));
    }
  }

  FakeIo* const io_;
  const uint16_t port_;
  FakePeerPtr peer_;
  std::string bytes_;
  std::deque<std::string> unanswered_;
  std::vector<std::string> fresh_;
};

}  // namespace crossfade
