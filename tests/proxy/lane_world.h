// A lane between two scripted stores, and clients that are only a number: what the tests of the lane, of repair, sweeps
// and flips stand on. The test answers for both stores and sees every answer that a client gets.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocol/request.h"
#include "proxy/lane.h"
#include "proxy/repair.h"
#include "routing/plan.h"
#include "tests/proxy/fake_backend.h"

namespace crossfade {

inline constexpr uint16_t kOldPort = 6379, kNewPort = 6380;
inline constexpr ReadChoice kFromNew = {.from_new = true};
inline constexpr ReadChoice kCompared = {.compare = true};

inline Config TestConfig() {
  Config config;
  config.backends[0].address = {"old", kOldPort};
  config.backends[1].address = {"new", kNewPort};
  return config;
}

class LaneWorld : public Lane::Owner {
 public:
  explicit LaneWorld(Config the_config = TestConfig())
      : config(std::move(the_config)),
        dirty(static_cast<size_t>(config.limits.dirty_keys)),
        expiry(static_cast<size_t>(config.limits.expiring_keys)),
        old_store(&io, config.backends[0].address.port),
        new_store(&io, config.backends[1].address.port) {
    migration.routing = config.routing;
    migration.synced = Synced::kYes;
  }

  // Builds the lane, and connects it to both stores. `roles` (the Keeper's) must outlive the world.
  void Start(const Migration* roles = nullptr) {
    Build(roles);
    lane->Start();
    old_store.Connect();
    new_store.Connect();
  }
  void Build(const Migration* roles = nullptr) {
    if (roles == nullptr) roles = &migration;
    lane = std::make_unique<Lane>(&io, config, roles, &dirty, &expiry, &counters, this);
    lane->set_account(&account);
    repair = std::make_unique<Repair>(&io, &config.repair, roles, &dirty, lane.get());
  }

  // A client's command. What its session answers by itself counts as answered.
  ReplyTo Send(uint64_t client, std::initializer_list<std::string_view> args, ReadChoice choice = {}) {
    auto& session = sessions_[client];
    if (session == nullptr) session = std::make_unique<Session>(client, "c", &facts);
    const ReplyTo to{client, ++last_sequence_};
    const Request request = MakeRequest(args);
    std::string local;
    const Plan plan = MakePlan(request.view(), session.get(), &local);
    if (plan.act == Plan::Act::kTransaction) {
      lane->SubmitTransaction(session->TakeTransaction(), to, session->db(), session->protocol());
    } else if (plan.act == Plan::Act::kAnswer || plan.act == Plan::Act::kAnswerClose) {
      OnAnswer(to, local);
    } else {
      lane->Submit(plan, request.view(), to, session->db(), session->protocol(), choice);
    }
    return to;
  }
  // The first answer to a request, as its client sees it; "" while there is none.
  std::string Got(ReplyTo to) const {
    const auto found = answers.find(to.sequence);
    return found == answers.end() ? "" : found->second;
  }
  // A write that both stores take.
  void Set(std::string_view key, std::string_view value) {
    Send(99, {"SET", key, value});
    old_store.Reply(kOk);
    new_store.Reply(kOk);
    old_store.Sent();
    new_store.Sent();
  }
  bool IsDirty(std::string_view key, int db = 0) const { return dirty.Contains(db, key); }
  void Advance(int64_t ms) {
    io.clock()->Advance(ms);
    Settle();
  }
  // What the stores answer by themselves, they answer.
  void Settle() {
    old_store.unanswered();
    new_store.unanswered();
    old_store.unanswered();
  }
  // Nothing is left in the lane: no slot, no byte of backlog.
  void ExpectQuiet() const {
    EXPECT_TRUE(lane->drained()) << lane->slots_in_use() << " slots";
    EXPECT_EQ(lane->lag_slots(), 0u);
    EXPECT_EQ(lane->lag_bytes(), 0u);
    EXPECT_EQ(lane->primary_bytes().used(), 0u);
    EXPECT_EQ(lane->primary_commands().used(), 0u);
    EXPECT_EQ(account.held(MemoryAccount::Holder::kPrimary), 0u);
    EXPECT_EQ(account.held(MemoryAccount::Holder::kSecondary), 0u);
  }

  FakeIo io;
  Config config;
  ServiceFacts facts;
  Migration migration;
  DirtySet dirty;
  ExpiryWatch expiry;
  Counters counters;
  FakeBackend old_store, new_store;
  MemoryAccount account{1 << 30, [this] { ++memory_filled; }, [] {}};
  int memory_filled = 0;
  std::unique_ptr<Lane> lane;
  std::unique_ptr<Repair> repair;

  std::map<uint64_t, std::string> answers;     // by sequence, the first one
  std::vector<uint64_t> order;                 // sequences as they were first answered
  std::vector<uint64_t> broken;                // clients
  std::vector<std::string> differences;        // requests
  std::vector<std::pair<Side, bool>> changes;  // links that came up and went down
  int drained = 0;
  int room = 0;
  std::function<void(const Slot&)> on_difference;
  std::function<void()> on_drained;
  std::function<void(Side)> on_link_up;
  std::function<void(const Slot&)> on_written;
  std::function<bool(ReplyTo, std::string_view)> on_answer;  // true: it is nobody else's
  std::function<void(uint64_t)> on_broken;
  std::vector<std::pair<Side, LoginId>> logins_refused;

 private:
  void OnAnswer(ReplyTo to, std::string_view reply) override {
    if (on_answer && on_answer(to, reply)) return;
    if (answers.emplace(to.sequence, reply).second) order.push_back(to.sequence);
  }
  void OnClientBroken(uint64_t client) override {
    broken.push_back(client);
    if (on_broken) on_broken(client);
  }
  void OnDifference(const Slot& slot) override {
    std::string bytes(slot.request.view().bytes());
    differences.push_back(TakeCommands(&bytes)[0]);
    if (on_difference) on_difference(slot);
  }
  void OnLinkUp(Side side) override {
    changes.emplace_back(side, true);
    if (on_link_up) on_link_up(side);
  }
  void OnLinkDown(Side side, const absl::Status&) override { changes.emplace_back(side, false); }
  void OnDirty() override { repair->Wake(); }
  void OnWritten(const Slot& slot) override {
    if (on_written) on_written(slot);
  }
  void OnLoginRefused(Side side, LoginId login) override { logins_refused.emplace_back(side, login); }
  void OnRoom() override { ++room; }
  void OnDrained() override {
    ++drained;
    if (on_drained) on_drained();
  }

  std::map<uint64_t, std::unique_ptr<Session>> sessions_;
  uint64_t last_sequence_ = 0;
};

// Each test ends with an empty lane (a slot is freed, and freed once).
class LaneWorldTest : public testing::Test {
 protected:
  void TearDown() override {
    if (w.lane != nullptr) w.ExpectQuiet();
  }
  FakeBackend& old_store() { return w.old_store; }
  FakeBackend& new_store() { return w.new_store; }

  LaneWorld w;
};

}  // namespace crossfade
