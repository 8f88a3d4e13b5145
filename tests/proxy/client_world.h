// One client of the proxy between a peer and an owner that only notes what it is told: what the tests of Client stand
// on. The test is the peer, answers the requests, and does after each turn what Proxy would.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/client.h"
#include "tests/proxy/fake_backend.h"

namespace crossfade {

inline std::string Command(std::initializer_list<std::string_view> args) {
  std::string out;
  AppendCommand(&out, args);
  return out;
}

class ClientTest : public testing::Test, public Client::Owner {
 protected:
  // A new client; limits_ may be changed before.
  void Accept() {
    auto listening = io_.Listen({"127.0.0.1", 6400}, [this](std::unique_ptr<Stream> stream) {
      client_ = std::make_unique<Client>(5, std::move(stream), &limits_, &facts_, static_cast<Client::Owner*>(this));
      client_->set_account(&account_);
    });
    peer_ = io_.Dial(6400);
    ASSERT_NE(client_, nullptr);
  }
  void Get(const std::string& key) { peer_->Deliver(Command({"GET", key})); }
  // What Proxy does after the current turn.
  void ResumeIfPaused() {
    if (std::exchange(paused_, false)) client_->Resume();
    peer_->Pump();
  }

  void OnRequest(Client*, const Plan&, RequestView request, ReplyTo to) override {
    std::string bytes(request.bytes());
    requests_.push_back(TakeCommands(&bytes)[0]);
    to_.push_back(to);
    if (answer_at_once_) client_->Answer(to.sequence, kOk);
  }
  bool Holding() const override { return holding_; }
  void OnQueued(Client* client, const Plan&, RequestView, ReplyTo to, const std::string& reply) override {
    client->Answer(to.sequence, reply);
  }
  bool MustWait(Client*, const CommandRow*, RequestView) override { return must_wait_; }
  void OnUnwatched(Client*) override { ++unwatched_; }
  void OnUnsubscribed(Client*) override { ++unsubscribed_; }
  std::string InfoSection() const override { return "# Crossfade\r\nepoch:1\r\n"; }
  void OnPaused(Client*) override { paused_ = true; }
  void OnGone(Client*) override { gone_ = true; }
  void OnLimit(Client*, ClientLimit limit) override { reached_.push_back(limit); }

  FakeIo io_;
  LimitsConfig limits_;
  ServiceFacts facts_;
  FakePeerPtr peer_;
  std::vector<std::string> requests_;
  std::vector<ReplyTo> to_;
  bool answer_at_once_ = false, holding_ = false, paused_ = false, gone_ = false;
  bool must_wait_ = false;
  int unwatched_ = 0, unsubscribed_ = 0;
  std::vector<ClientLimit> reached_;
  MemoryAccount account_{1 << 30, [] {}, [] {}};
  std::unique_ptr<Client> client_;
};

}  // namespace crossfade
