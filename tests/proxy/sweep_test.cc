#include "proxy/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SweepTest : public LaneWorldTest {
 protected:
  SweepTest() {
    w.config.repair.enabled = false;
    w.config.backfill.added_latency_ms = 0;
    w.Start();
    sweep_ = std::make_unique<Sweep>(&w.io, &w.config.backfill, &w.dirty, w.lane.get(), [this](bool finished) {
      EXPECT_FALSE(ended_.has_value());
      ended_ = finished;
    });
  }
  static std::string Page(const std::string& cursor, std::vector<std::string> keys) {
    std::string out;
    AppendArrayHeader(&out, 2);
    AppendBulk(&out, cursor);
    AppendArrayHeader(&out, keys.size());
    for (const std::string& key : keys) AppendBulk(&out, key);
    return out;
  }
  // Begins, and answers what asks for the number of keys.
  void Start(int64_t keys) {
    sweep_->Start("asked for");
    EXPECT_THAT(old_store().Sent(), ElementsAre("INFO keyspace"));
    old_store().Reply(Bulk("# Keyspace\r\ndb0:keys=" + std::to_string(keys) + ",expires=0\r\n"));
    w.Advance(50);
  }
  void CopyOne(const std::string& key) {
    old_store().Replies({Int(-1), Bulk("dump-" + key)});
    EXPECT_THAT(new_store().Sent(), ElementsAre("RESTORE " + key + " 0 dump-" + key + " REPLACE ABSTTL"));
    new_store().Reply(kOk);
  }
  void SecondHalfBegins() {
    EXPECT_THAT(new_store().Sent(), ElementsAre("INFO keyspace", "SCAN 0 COUNT 256"));
    new_store().Reply(Bulk("# Keyspace\r\n"));
  }
  void FinishSecondHalf() {
    w.Advance(4);
    SecondHalfBegins();
    new_store().Reply(Page("0", {}));
    w.Advance(4);
  }

  std::unique_ptr<Sweep> sweep_;
  std::optional<bool> ended_;
};

TEST_F(SweepTest, CopiesWhatThePrimaryHasAndThenWhatOnlyTheSecondaryHas) {
  Start(3);
  EXPECT_EQ(sweep_->keys_total(), 3u);
  EXPECT_THAT(old_store().Sent(), ElementsAre("SCAN 0 COUNT 256"));
  old_store().Reply(Page("17", {"a", "b"}));
  w.Advance(4);
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL a", "DUMP a", "PTTL b", "DUMP b", "SCAN 17 COUNT 256"));
  CopyOne("a");
  CopyOne("b");
  old_store().Reply(Page("0", {"c"}));
  w.Advance(4);
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL c", "DUMP c"));
  CopyOne("c");
  w.Advance(4);
  SecondHalfBegins();
  new_store().Reply(Page("0", {"a", "extra", "c"}));
  w.Advance(4);
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL extra", "DUMP extra"));  // the others have been copied
  old_store().Replies({Int(-2), kNil});
  EXPECT_THAT(new_store().Sent(), ElementsAre("DEL extra"));
  new_store().Reply(Int(1));
  w.Advance(4);
  EXPECT_EQ(ended_, true);
  EXPECT_EQ(sweep_->keys_done(), 3u);
  EXPECT_EQ(sweep_->keys_rechecked(), 1u);
  EXPECT_EQ(sweep_->keys_failed(), 0u);
  EXPECT_STREQ(Sweep::Name(sweep_->state()), "done");
}

// What is being put together, or was left behind, is nobody's data.
TEST_F(SweepTest, PassesOverTemporaryNames) {
  Start(1);
  old_store().Sent();
  old_store().Reply(Page("0", {"__crossfade:copy:0123456789abcdef", "a"}));
  w.Advance(4);
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL a", "DUMP a"));
  CopyOne("a");
  w.Advance(4);
  SecondHalfBegins();
  new_store().Reply(Page("0", {"__crossfade:copy:0123456789abcdef", "a"}));
  w.Advance(4);
  EXPECT_THAT(old_store().Sent(), IsEmpty());
  EXPECT_EQ(ended_, true);
}

TEST_F(SweepTest, WhileItIsPausedNothingIsCopied) {
  Start(2);
  old_store().Sent();
  sweep_->SetPaused(true);
  EXPECT_STREQ(Sweep::Name(sweep_->state()), "paused");
  old_store().Reply(Page("0", {"a"}));
  w.Advance(500);
  EXPECT_THAT(old_store().Sent(), IsEmpty());
  EXPECT_TRUE(sweep_->running());
  sweep_->SetPaused(false);
  w.Advance(4);
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL a", "DUMP a"));
  CopyOne("a");
  w.Advance(4);
  SecondHalfBegins();
  new_store().Reply(Page("0", {}));
  w.Advance(4);
  EXPECT_EQ(ended_, true);
}

TEST_F(SweepTest, ANarrowScopeAsksForItAndForNothingElse) {
  sweep_->Start("asked for", {.match = "user:*", .type = "hash", .db = 0});
  old_store().Sent();
  old_store().Reply(Bulk("# Keyspace\r\ndb0:keys=1,expires=0\r\n"));
  w.Advance(4);
  EXPECT_THAT(old_store().Sent(), ElementsAre("SCAN 0 COUNT 256 MATCH user:* TYPE hash"));
  old_store().Reply(Page("0", {}));
  w.Advance(8);
  EXPECT_THAT(new_store().Sent(), ElementsAre("INFO keyspace", "SCAN 0 COUNT 256 MATCH user:* TYPE hash"));
  new_store().Replies({Bulk("# Keyspace\r\n"), Page("0", {})});
  w.Advance(4);
  EXPECT_EQ(ended_, true);
  EXPECT_FALSE(sweep_->scope().whole());
}

// Another process goes on with the first page of which anything is outstanding, and counts it once.
TEST_F(SweepTest, ItsPlaceIsBeforeWhatIsOutstanding) {
  Start(3);
  old_store().Sent();
  old_store().Reply(Page("17", {"a", "b"}));
  w.Advance(4);
  old_store().Sent();
  CopyOne("a");
  old_store().Replies({Int(-1), Bulk("dump-b")});
  old_store().Reply(Page("5", {}));
  EXPECT_EQ(sweep_->keys_done(), 1u);
  const SweepPlace place = sweep_->place();
  EXPECT_EQ(place.cursor, "0") << "b is outstanding";
  EXPECT_EQ(place.keys_done, 0u);
  EXPECT_THAT(new_store().Sent(), ElementsAre("RESTORE b 0 dump-b REPLACE ABSTTL"));
  new_store().Reply(kOk);
  EXPECT_EQ(sweep_->place().cursor, "5");
  EXPECT_EQ(sweep_->place().keys_done, 2u);
  const SweepPlace later = sweep_->place();
  sweep_->Cancel("killed");
  ended_.reset();
  old_store().Sent();
  sweep_->Start("gone on with", {}, &later);
  EXPECT_THAT(old_store().Sent(), ElementsAre("INFO keyspace"));
  old_store().Reply(Bulk("# Keyspace\r\n"));
  w.Advance(4);
  EXPECT_THAT(old_store().Sent(), ElementsAre("SCAN 5 COUNT 256"));
  old_store().Reply(Page("0", {}));
  w.Advance(4);
  EXPECT_EQ(sweep_->place().secondary_side, true);
  FinishSecondHalf();
  EXPECT_EQ(ended_, true);
  EXPECT_EQ(sweep_->keys_done(), 2u);
}

TEST_F(SweepTest, I1AWriteOvertakesNoCopyAndNoCopyAWrite) {
  Start(1);
  old_store().Reply(Page("0", {"k"}));
  w.Send(1, {"SET", "k", "before"});
  w.Advance(2);
  w.Send(1, {"SET", "k", "after"});
  old_store().Sent();
  old_store().Replies({kOk, Int(-1), Bulk("before"), kOk});
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k before", "RESTORE k 0 before REPLACE ABSTTL", "SET k after"));
  new_store().ReplyToAll(kOk);
  FinishSecondHalf();
  EXPECT_EQ(ended_, true);
}

TEST_F(SweepTest, AKeyThatCanNotBeCopiedIsLeftToRepair) {
  Start(1);
  old_store().Reply(Page("0", {"k"}));
  w.Advance(4);
  old_store().Replies({Int(-1), Bulk("x")});
  new_store().Sent();
  new_store().Reply("-ERR DUMP payload version\r\n");
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_EQ(sweep_->keys_failed(), 1u);
  FinishSecondHalf();
  EXPECT_EQ(ended_, true);
}

TEST_F(SweepTest, ARefusedScanEndsItAndALostCopyIsDirty) {
  Start(2);
  old_store().Reply(Page("9", {"a"}));
  w.Advance(4);
  old_store().Sent();
  old_store().Replies({Int(-1), Bulk("x")});
  new_store().Close();
  EXPECT_TRUE(w.IsDirty("a"));
  old_store().Reply("-ERR x\r\n");  // the SCAN that was under way is refused: given up
  EXPECT_EQ(ended_, false);
  EXPECT_THAT(sweep_->why(), HasSubstr("SCAN was refused"));
}

TEST_F(SweepTest, ALostScanIsAskedAgainFromTheSameCursor) {
  Start(2);
  old_store().Reply(Page("9", {}));
  w.Advance(4);
  EXPECT_THAT(old_store().Sent(), testing::Contains("SCAN 9 COUNT 256"));
  old_store().Close();
  w.Advance(10);
  EXPECT_TRUE(sweep_->running());
  old_store().Connect();
  w.Advance(4);
  EXPECT_THAT(old_store().Sent(), ElementsAre("SCAN 9 COUNT 256"));
  old_store().Reply(Page("0", {}));
  FinishSecondHalf();
  EXPECT_EQ(ended_, true);
}

TEST_F(SweepTest, I9KeepsToItsRate) {
  w.config.backfill.keys_per_second = 100;
  Start(100);
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.push_back("k" + std::to_string(i));
  old_store().Sent();
  old_store().Reply(Page("0", keys));
  w.Advance(2);
  const size_t first = old_store().Sent().size();
  EXPECT_LE(first, 2 * 5u);  // a twentieth of a second's worth, PTTL and DUMP
  w.Advance(200);
  EXPECT_NEAR(static_cast<double>(old_store().Sent().size()), 2 * 20, 4);
  sweep_->Cancel("enough");
  old_store().ReplyToAll("-ERR x\r\n");
}

TEST_F(SweepTest, CancelledAndStartedAgainIgnoresEarlierAnswers) {
  Start(1);
  sweep_->Cancel("cancelled");
  EXPECT_EQ(ended_, false);
  EXPECT_STREQ(Sweep::Name(sweep_->state()), "failed");
  ended_.reset();
  sweep_->Start("again");
  old_store().Reply(Page("0", {"stale"}));  // to the first run's SCAN
  old_store().Reply(Bulk(""));
  w.Advance(4);
  old_store().Sent();
  old_store().Reply(Page("0", {}));
  FinishSecondHalf();
  EXPECT_EQ(ended_, true);
  EXPECT_EQ(sweep_->keys_done(), 0u);
}

TEST_F(SweepTest, I2OnlyASweepThatBeganAfterwardsEndsEverythingDirty) {
  w.dirty.MarkEverything(w.lane->next_order());
  Start(0);
  EXPECT_FALSE(w.dirty.SweepDone(sweep_->order() - 1));
  EXPECT_TRUE(w.dirty.SweepDone(sweep_->order()));
  sweep_->Cancel("enough");
  old_store().ReplyToAll(Page("0", {}));
}

}  // namespace
}  // namespace crossfade
