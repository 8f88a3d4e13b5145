#include "proxy/second_look.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class SecondLookTest : public LaneWorldTest {
 protected:
  SecondLookTest() {
    w.config.repair.enabled = false;
    w.config.limits.mismatches = 3;
    w.Start();
    look_ = std::make_unique<SecondLook>(&w.io, &w.config, &w.migration, &w.dirty, &w.counters, w.lane.get(),
                                         w.repair.get());
    w.on_difference = [this](const Slot& slot) { look_->Start(slot); };
  }
  // A compared read that differs; the second look is on its way.
  void Differ(const std::string& key) {
    w.Send(1, {"GET", key}, kCompared);
    old_store().Reply(Bulk("1"));
    new_store().Reply(Bulk("2"));
    EXPECT_EQ(look_->in_flight(), 1u);
    old_store().Sent();
    new_store().Sent();
  }
  void Answer(const std::string& primary, int64_t primary_ttl, const std::string& secondary, int64_t secondary_ttl) {
    old_store().Replies({primary, Int(primary_ttl)});
    new_store().Replies({secondary, Int(secondary_ttl)});
    EXPECT_EQ(look_->in_flight(), 0u);
  }

  std::unique_ptr<SecondLook> look_;
};

TEST_F(SecondLookTest, I7ADifferenceThatStaysIsAMismatch) {
  w.Send(1, {"GET", "k"}, kCompared);
  old_store().Reply(Bulk("1"));
  new_store().Reply(Bulk("2"));
  EXPECT_THAT(old_store().Sent(), ElementsAre("GET k", "GET k", "PTTL k"));
  EXPECT_THAT(new_store().Sent(), ElementsAre("GET k", "GET k", "PTTL k"));
  EXPECT_EQ(w.counters.reads_mismatched, 0u);
  Answer(Bulk("1"), -1, Bulk("2"), -1);
  EXPECT_EQ(w.counters.reads_mismatched, 1u);
  ASSERT_EQ(look_->mismatches().size(), 1u);
  const Mismatch& mismatch = look_->mismatches()[0];
  EXPECT_EQ(mismatch.key, "k");
  EXPECT_EQ(mismatch.command, "get");
  EXPECT_NE(mismatch.primary_digest, mismatch.secondary_digest);
  EXPECT_EQ(mismatch.primary_value, "");  // values are kept only when asked for
  EXPECT_TRUE(w.IsDirty("k"));
}

TEST_F(SecondLookTest, ValuesAreKeptWhenAskedFor) {
  w.config.mismatches.keep_values = true;
  Differ("k");
  Answer(Bulk("1"), -1, Bulk("2"), -1);
  EXPECT_EQ(look_->mismatches()[0].primary_value, Bulk("1"));
  EXPECT_EQ(look_->mismatches()[0].secondary_value, Bulk("2"));
}

TEST_F(SecondLookTest, I7ADifferenceThatIsGoneIsNone) {
  Differ("k");
  Answer(Bulk("2"), -1, Bulk("2"), -1);
  EXPECT_EQ(w.counters.reads_unconfirmed, 1u);
  EXPECT_EQ(w.counters.reads_mismatched, 0u);
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(SecondLookTest, I7AKeyThatIsJustExpiringIsCountedAsThat) {
  Differ("k");
  Answer(Bulk("1"), 40, kNil, -2);
  Differ("k");
  Answer(kNil, -2, Bulk("1"), 0);
  EXPECT_EQ(w.counters.reads_expiring, 2u);
  Differ("k");
  Answer(Bulk("1"), 60'000, kNil, -2);  // gone a minute early
  EXPECT_EQ(w.counters.reads_mismatched, 1u);
}

TEST_F(SecondLookTest, I7WhileExpiriesAreUnknownAKeyThatWentIsRepairedAndNotCounted) {
  w.expiry.set_learning(true);
  Differ("k");
  Answer(Bulk("1"), 5'000, kNil, -2);
  EXPECT_EQ(w.counters.reads_expiring, 1u);
  EXPECT_TRUE(w.IsDirty("k"));
  Differ("j");
  Answer(Bulk("1"), 3'600'000, kNil, -2);  // no store is so late
  Differ("i");
  Answer(Bulk("1"), 5'000, Bulk("2"), 5'000);
  EXPECT_EQ(w.counters.reads_mismatched, 2u);
}

TEST_F(SecondLookTest, I7AStoreThatRefusesToLookIsNotComparable) {
  const std::string loading = "-LOADING Redis is loading the dataset in memory\r\n";
  Differ("k");
  Answer(loading, -1, Bulk("2"), -1);
  Differ("j");
  Answer(Bulk("1"), -1, loading, -1);
  EXPECT_EQ(w.counters.reads_not_comparable, 2u);
  EXPECT_EQ(w.counters.reads_mismatched, 0u);
  // Another type is a difference of the data.
  Differ("i");
  Answer("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", -1, Bulk("2"), -1);
  EXPECT_EQ(w.counters.reads_mismatched, 1u);
}

TEST_F(SecondLookTest, I7AKeyThatBecameDirtyMeanwhileIsNotComparable) {
  Differ("k");
  w.dirty.Mark(0, "k", DirtyCause::kMiss, w.lane->next_order());
  Answer(Bulk("1"), -1, Bulk("2"), -1);
  EXPECT_EQ(w.counters.reads_not_comparable, 1u);
  EXPECT_THAT(look_->mismatches(), IsEmpty());
}

TEST_F(SecondLookTest, I7AStoreThatIsLostMeanwhileIsNotComparable) {
  Differ("k");
  new_store().Close();
  old_store().ReplyToAll(Int(1));
  EXPECT_EQ(look_->in_flight(), 0u);
  EXPECT_EQ(w.counters.reads_not_comparable, 1u);
  new_store().Connect();
  Differ("k");
  old_store().Close();
  new_store().ReplyToAll(Int(1));
  EXPECT_EQ(w.counters.reads_not_comparable, 2u);
  EXPECT_EQ(look_->in_flight(), 0u);
}

TEST_F(SecondLookTest, I7ItSeesTheWritesBeforeIt) {
  w.Send(1, {"GET", "k"}, kCompared);
  w.Send(2, {"SET", "k", "3"});
  old_store().Replies({Bulk("1"), kOk});
  new_store().Reply(Bulk("2"));
  EXPECT_THAT(new_store().Sent(), ElementsAre("GET k", "SET k 3", "GET k", "PTTL k"));
  old_store().Replies({Bulk("3"), Int(-1)});
  new_store().Replies({kOk, Bulk("3"), Int(-1)});
  EXPECT_EQ(w.counters.reads_unconfirmed, 1u);
}

TEST_F(SecondLookTest, I9OnlyTheNewestMismatchesAreKept) {
  for (int i = 0; i < 5; ++i) {
    Differ("k" + std::to_string(i));
    Answer(Bulk("1"), -1, Bulk("2"), -1);
  }
  ASSERT_EQ(look_->mismatches().size(), 3u);
  EXPECT_EQ(look_->mismatches().front().key, "k2");
  EXPECT_EQ(w.counters.reads_mismatched, 5u);
}

}  // namespace
}  // namespace crossfade
