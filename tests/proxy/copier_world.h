// A KeyCopier on a lane between two scripted stores, for the tests of which way a key is copied and of the copying in
// pieces. Every value over a thousand bytes is large.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/key_copier.h"
#include "tests/proxy/lane_world.h"

namespace crossfade {

class CopierWorldTest : public LaneWorldTest {
 protected:
  CopierWorldTest() {
    w.config.repair.enabled = false;
    w.config.limits.copy_whole_bytes = 1000;
    w.old_store.answers_time = w.new_store.answers_time = true;
    w.Start();
    copier_ = std::make_unique<KeyCopier>(&w.io, &w.config.limits, &w.migration, &w.dirty, &w.expiry, w.lane.get(),
                                          [this] { ++gates_opened_; });
  }
  void Copy(const std::string& key) {
    copier_->Copy({0, key}, [this](bool copied) { results_.push_back(copied); });
  }
  // … of a size that the primary gives.
  void Copy(const std::string& key, int64_t bytes) {
    Copy(key);
    EXPECT_THAT(old_store().Sent(), testing::ElementsAre("MEMORY USAGE " + key + " SAMPLES 5"));
    old_store().Reply(Int(bytes));
  }
  // Up to the first read of a large key.
  void BeginPieces(const std::string& key, const std::string& type) {
    Copy(key, 5000);
    EXPECT_THAT(new_store().Sent(), testing::ElementsAre("PING"));
    new_store().Reply("+PONG\r\n");
    EXPECT_THAT(old_store().Sent(), testing::ElementsAre("TYPE " + key));
    old_store().Reply("+" + type + "\r\n");
  }
  // What the secondary is sent, with the temporary name as "T".
  std::vector<std::string> Written() {
    std::vector<std::string> commands = new_store().Sent();
    for (std::string& command : commands) {
      const size_t at = command.find(kTemporaryPrefix);
      if (at != std::string::npos) command.replace(at, kTemporaryPrefix.size() + 16, "T");
    }
    return commands;
  }
  static std::string Page(const std::string& cursor, std::initializer_list<std::string> items) {
    return Array({Bulk(cursor), Array(items)});
  }
  void ReplaceOk() { new_store().Replies({kOk, kQueued, kQueued, kQueued, Array({Int(1), kOk, Int(1)})}); }
  // From the fence's reply to the end.
  void CopyASet() {
    old_store().Replies({"+set\r\n", Page("0", {Bulk("m")})});
    new_store().Replies({Int(1), Int(1), Int(1)});
    old_store().Replies({Int(-1), Int(1)});
    ReplaceOk();
  }
  // A set of one member is at its last step.
  void ReachReplace() {
    BeginPieces("k", "set");
    old_store().Sent();
    old_store().Reply(Page("0", {Bulk("m")}));
    new_store().Sent();
    new_store().Replies({Int(1), Int(1), Int(1)});
    old_store().Sent();
    old_store().Replies({Int(-1), Int(1)});
  }

  std::unique_ptr<KeyCopier> copier_;
  std::vector<bool> results_;
  int gates_opened_ = 0;
};

}  // namespace crossfade
