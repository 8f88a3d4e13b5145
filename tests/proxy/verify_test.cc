#include "proxy/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Files in memory.
class Files : public Storage {
 public:
  absl::StatusOr<std::unique_ptr<Lock>> Hold(const std::string&) override { return absl::InternalError("unused"); }
  absl::StatusOr<std::optional<std::string>> Read(const std::string& path) override {
    const auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional<std::string>(found->second);
  }
  absl::Status Replace(const std::string& path, std::string_view bytes) override {
    files[path] = bytes;
    return absl::OkStatus();
  }
  absl::Status Append(const std::string&, std::string_view, bool) override { return absl::InternalError("unused"); }
  absl::StatusOr<std::unique_ptr<DurableMemory>> Map(const std::string&, size_t) override {
    return absl::InternalError("unused");
  }
  std::string BootId() override { return "boot"; }
  std::map<std::string, std::string> files;
};

const std::string kStringType = "+string\r\n";
const std::string kNoType = "+none\r\n";

class VerifyTest : public LaneWorldTest {
 protected:
  VerifyTest() {
    w.config.repair.enabled = false;
    w.config.state_dir = "/state";
    w.config.verify.keys_per_second = 100'000;
    w.Start();
    w.on_written = [this](const Slot& slot) {
      verify_->OnWritten(slot.row->name, slot.request.view(), slot.keys, slot.db);
    };
    Build();
  }
  void TearDown() override {
    verify_->Fail("the end");
    EndQuestions();
    LaneWorldTest::TearDown();
  }
  // What the stores still owe will never come.
  void EndQuestions() { w.lane->Abandon(absl::AbortedError("the end")); }
  void Build() {
    check_ = std::make_unique<KeyCheck>(&w.io, &w.config.limits, w.lane.get());
    verify_ = std::make_unique<Verify>(Verify::Parts{&w.io, &w.config, &w.migration, &w.dirty, w.lane.get(),
                                                     check_.get(), &files_, [this] { ++woken_; },
                                                     [this] { return copying_; }, [this] { ++ended_; }});
    verify_->Load();
  }
  static std::string Page(const std::string& cursor, const std::vector<std::string>& keys) {
    std::string names = "*" + std::to_string(keys.size()) + "\r\n";
    for (const std::string& key : keys) names += Bulk(key);
    return Array({Bulk(cursor), names});
  }
  // Up to the first page of the primary's database 0; the others are not looked at.
  void Start(const std::vector<std::string>& keys, VerifyOptions options = {}) {
    options.db = 0;
    verify_->Start(options);
    EXPECT_THAT(old_store().Sent(), ElementsAre("INFO keyspace"));
    new_store().Sent();
    const std::string info = Bulk("# Keyspace\r\ndb0:keys=3,expires=0\r\ndb1:keys=9\r\n");
    old_store().Reply(info);
    new_store().Reply(info);
    w.Advance(50);
    EXPECT_THAT(old_store().Sent(), ElementsAre("SCAN 0 COUNT 256"));
    old_store().Reply(Page("0", keys));
    w.Advance(2);
  }
  // What was asked first of each key that is looked at.
  std::vector<std::string> Begun() {
    std::vector<std::string> keys;
    new_store().Sent();
    for (const std::string& command : old_store().Sent()) {
      if (command.starts_with("TYPE ")) keys.push_back(command.substr(5));
    }
    return keys;
  }
  void AnswerStrings(const std::string& primary, const std::string& secondary) {
    for (FakeBackend* store : {&old_store(), &new_store()}) store->Replies({kStringType, Int(-1), Int(60)});
    old_store().Replies({kStringType, Int(-1), Bulk(primary)});
    new_store().Replies({kStringType, Int(-1), Bulk(secondary)});
    Begun();
  }
  // The secondary's half, with nothing in it.
  void FinishSecondary(const std::vector<std::string>& keys = {}) {
    w.Advance(2);
    EXPECT_THAT(new_store().Sent(), ElementsAre("SCAN 0 COUNT 256"));
    new_store().Reply(Page("0", keys));
    w.Advance(2);
  }
  const VerifyResult& result() const { return verify_->result(); }
  uint64_t differ(VerifyKind kind) const { return result().differ[static_cast<int>(kind)]; }

  Files files_;
  std::unique_ptr<KeyCheck> check_;
  std::unique_ptr<Verify> verify_;
  bool copying_ = false;
  int woken_ = 0, ended_ = 0;
};

TEST_F(VerifyTest, EqualKeysAreEqual) {
  Start({"k", "__crossfade:copy:0123"});
  EXPECT_EQ(result().to_scan, 6u);
  EXPECT_THAT(Begun(), ElementsAre("k"));
  AnswerStrings("1", "1");
  FinishSecondary({"k", "only"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("EXISTS k", "EXISTS only"));
  old_store().Replies({Int(1), Int(0)});
  w.Advance(4);
  for (int i = 0; i < 2; ++i) {  // it is confirmed
    EXPECT_THAT(Begun(), ElementsAre("only"));
    old_store().Replies({kNoType, Int(-2), kNil});
    new_store().Replies({kStringType, Int(-1), Int(60)});
    w.Advance(200);
  }
  EXPECT_EQ(result().state, VerifyState::kDone);
  EXPECT_EQ(ended_, 1);
  EXPECT_EQ(result().equal, 1u);
  EXPECT_EQ(differ(VerifyKind::kOnlyOnNew), 1u);
  ASSERT_EQ(result().differences.size(), 1u);
  EXPECT_EQ(result().differences[0].key, "only");
}

TEST_F(VerifyTest, I7ADifferenceThatGoesIsNone) {
  Start({"k"});
  Begun();
  AnswerStrings("1", "2");
  FinishSecondary();
  w.Advance(100);
  EXPECT_THAT(Begun(), testing::Not(testing::Contains("k")));
  w.Advance(60);
  EXPECT_THAT(Begun(), ElementsAre("k"));
  AnswerStrings("1", "1");
  EXPECT_EQ(result().equal, 1u);
  EXPECT_EQ(result().unconfirmed, 1u);
  EXPECT_EQ(result().differing(), 0u);
  w.Advance(4);
  EXPECT_EQ(result().state, VerifyState::kDone);
}

TEST_F(VerifyTest, I7ADirtyKeyIsOnItsWay) {
  w.dirty.Mark(0, "k", DirtyCause::kSecondaryAway, 1);
  Start({"k"});
  Begun();
  AnswerStrings("1", "2");
  FinishSecondary();
  for (int i = 0; i < 130 && result().all_undecided() == 0; ++i) {
    w.Advance(1000);
    AnswerStrings("1", "2");
  }
  EXPECT_EQ(result().undecided[static_cast<int>(Undecided::kDirty)], 1u);
  EXPECT_EQ(result().differing(), 0u);
  w.Advance(10);
  EXPECT_EQ(result().state, VerifyState::kDone);
  EXPECT_FALSE(result().proves_equality());
}

TEST_F(VerifyTest, RepairsWhatDiffersAndLooksAgain) {
  VerifyOptions options;
  options.repair = true;
  Start({"k"}, options);
  Begun();
  AnswerStrings("1", "2");
  FinishSecondary();
  w.Advance(200);
  AnswerStrings("1", "2");
  EXPECT_EQ(differ(VerifyKind::kValue), 1u);
  EXPECT_EQ(w.dirty.marked(DirtyCause::kVerifyDiffered), 1u);
  EXPECT_EQ(woken_, 1);
  w.Advance(100);
  AnswerStrings("1", "2");  // its repair has not come yet
  EXPECT_EQ(result().repaired, 0u);
  w.dirty.CopyDone({0, "k"}, w.lane->next_order());
  w.Advance(200);
  AnswerStrings("1", "1");
  EXPECT_EQ(result().repaired, 1u);
  EXPECT_TRUE(result().differences[0].repaired);
  w.Advance(4);
  EXPECT_TRUE(result().proves_equality() || !result().options.full());
}

TEST_F(VerifyTest, WhatMovedMeanwhileIsLookedAtAgain) {
  Start({});
  w.Send(1, {"RENAME", "a", "b"});
  old_store().Reply(kOk);
  new_store().Reply(kOk);
  w.Send(1, {"SET", "c", "1"});
  old_store().Reply(kOk);
  new_store().Reply(kOk);
  w.Advance(10);
  EXPECT_THAT(Begun(), ElementsAre("b"));
  verify_->Cancel();
  EXPECT_THAT(result().why, HasSubstr("cancelled; 0 of "));
}

TEST_F(VerifyTest, WaitsAndFailsWithTheReason) {
  Start({"k"});
  Begun();
  copying_ = true;
  AnswerStrings("1", "1");
  w.Advance(100);
  EXPECT_EQ(result().waiting_for, "everything is being copied");
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  copying_ = false;
  w.Advance(4);
  EXPECT_EQ(result().waiting_for, "");
  w.migration.routing.secondary = SecondaryMode::kOff;
  w.Advance(4);
  EXPECT_EQ(result().state, VerifyState::kFailed);
  EXPECT_EQ(result().why, "the secondary does not follow any more; 1 of 3 keys had been checked");
  EXPECT_EQ(ended_, 0);
}

TEST_F(VerifyTest, SwappedDatabasesBeginAgain) {
  Start({"k"});
  Begun();
  w.Send(1, {"SWAPDB", "0", "1"});
  old_store().Sent();
  w.Advance(2);
  EXPECT_EQ(result().keys_checked, 0u);
  verify_->Fail("enough");
}

TEST_F(VerifyTest, I8ARestartSaysHowFarItCame) {
  Start({"k"});
  Begun();
  AnswerStrings("1", "1");
  w.Advance(6000);
  EndQuestions();
  Build();  // the proxy was killed, and started again
  EXPECT_EQ(result().state, VerifyState::kFailed);
  EXPECT_EQ(result().why, "the proxy was restarted; 1 of 3 keys had been checked");
  files_.files["/state/verify.json"] = "{";
  Build();
  EXPECT_EQ(result().state, VerifyState::kIdle);
}

}  // namespace
}  // namespace crossfade
