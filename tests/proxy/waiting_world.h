// A waiting room on a lane between two scripted stores: what its tests stand on. The test plays both stores, and the
// clients are numbers. Polls, every 50 ms of fake time, are questions to the old store as any other.
#pragma once

#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/waiting_room.h"
#include "tests/proxy/lane_world.h"

namespace crossfade {

inline const std::string kNilAnswer = "*-1\r\n";
inline std::string Popped(std::string_view key, std::string_view element) {
  return Array({Bulk(key), Bulk(element)});
}
// What a store says of a stream that ends there.
inline std::string StreamInfo(std::string_view end) {
  return Array({Bulk("last-generated-id"), Bulk(end)});
}

class WaitingWorld : public testing::Test, public WaitingRoom::Owner {
 protected:
  void SetUp() override {
    w.old_store.databases = w.new_store.databases = 16;
    w.Start();
    room_ = std::make_unique<WaitingRoom>(&w.io, w.lane.get(), static_cast<WaitingRoom::Owner*>(this));
    w.on_answer = [this](ReplyTo to, std::string_view reply) { return room_->OnAnswer(to, reply); };
    w.on_written = [this](const Slot& slot) { room_->OnWritten(slot); };
    w.on_broken = [this](uint64_t client) { room_->Lost(client); };
  }

  // A blocking command of a client, whose answer is in answers_[client].
  void Enter(uint64_t client, std::initializer_list<std::string_view> args, int db = 0, int protocol = 2) {
    const Request request = MakeRequest(args);
    room_->Enter({{client, 1}, db, protocol, 0}, *FindCommand(request.view()), request.view());
  }
  // … that finds nothing at once.
  void Park(uint64_t client, std::initializer_list<std::string_view> args) {
    Enter(client, args);
    ASSERT_EQ(w.old_store.Sent().size(), 1u);
    w.old_store.Reply(kNil);
    ASSERT_TRUE(room_->Waits(client));
    EXPECT_EQ(answers_.count(client), 0u);
  }
  // The same for streams, each of which ends at `end`. `asked`: all that the primary is asked, the attempt last.
  void ParkAtStreams(uint64_t client, std::initializer_list<std::string_view> args,
                     std::initializer_list<std::string> asked, std::string_view end = "5-5") {
    Enter(client, args);
    ASSERT_THAT(Asked(), testing::ElementsAreArray(asked));
    for (const std::string& question : asked) {
      w.old_store.Reply(question.starts_with("XINFO ") ? StreamInfo(end) : kNilAnswer);
    }
    ASSERT_TRUE(room_->Waits(client));
    EXPECT_EQ(answers_.count(client), 0u);
  }
  // A write of somebody else's, which the primary accepts; the secondary's answers are not the test's subject.
  void Write(std::initializer_list<std::string_view> args, std::string_view reply) {
    w.Send(1000, args);
    EXPECT_EQ(w.old_store.Sent().size(), 1u);
    w.old_store.Reply(reply);
  }
  void SecondaryAnswersAll() {
    while (w.new_store.unanswered() > 0) w.new_store.Reply(kOk);
  }
  std::vector<std::string> Asked() { return w.old_store.Sent(); }

  void OnAnswer(ReplyTo to, std::string_view reply) override { answers_[to.client] += reply; }

  LaneWorld w;
  std::map<uint64_t, std::string> answers_;
  std::unique_ptr<WaitingRoom> room_;
};

}  // namespace crossfade
