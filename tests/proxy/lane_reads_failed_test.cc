// Which reads meant for the secondary count as its failures: a ramp's error rate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

class ReadsFailedTest : public LaneWorldTest {
 protected:
  ReadsFailedTest() {
    w.config.repair.enabled = false;
    w.Start();
  }
  ReplyTo Read(std::string_view key = "k") { return w.Send(1, {"GET", key}, kFromNew); }
};

TEST_F(ReadsFailedTest, AnAnswerIsNone) {
  Read();
  new_store().Reply(Bulk("v"));
  EXPECT_EQ(w.counters.reads[1], 1u);
  EXPECT_EQ(w.counters.reads_failed, 0u);
}

TEST_F(ReadsFailedTest, AnErrorThatThePrimaryDoesNotHave) {
  const ReplyTo to = Read();
  new_store().Reply("-ERR unknown command\r\n");
  EXPECT_EQ(w.counters.reads_failed, 0u) << "not known yet";
  old_store().Reply(Bulk("v"));
  EXPECT_EQ(w.Got(to), Bulk("v"));
  EXPECT_EQ(w.counters.reads_failed, 1u);
  EXPECT_EQ(w.counters.reads_fallback, 1u);
}

TEST_F(ReadsFailedTest, NotAnErrorThatBothHave) {
  const ReplyTo to = Read();
  new_store().Reply("-WRONGTYPE Operation\r\n");
  old_store().Reply("-WRONGTYPE Operation\r\n");
  EXPECT_THAT(w.Got(to), testing::StartsWith("-WRONGTYPE"));
  EXPECT_EQ(w.counters.reads_failed, 0u);
  EXPECT_EQ(w.counters.reads_fallback, 1u);
}

TEST_F(ReadsFailedTest, ALateAnswerOnce) {
  const ReplyTo to = Read();
  w.Advance(w.config.timeouts.read_ms + 1);
  EXPECT_EQ(w.counters.reads_failed, 1u);
  old_store().Reply(Bulk("v"));
  EXPECT_EQ(w.Got(to), Bulk("v"));
  new_store().Reply("-ERR and late\r\n");
  EXPECT_EQ(w.counters.reads_failed, 1u);
}

TEST_F(ReadsFailedTest, AConnectionThatBreaksAndOneThatIsNotThere) {
  Read();
  new_store().Close();
  EXPECT_EQ(w.counters.reads_failed, 1u);
  old_store().Reply(Bulk("v"));
  Read();
  EXPECT_EQ(w.counters.reads_failed, 2u);
  old_store().Reply(Bulk("v"));
}

TEST_F(ReadsFailedTest, NotWhatIsReadElsewhereForItsKeysSake) {
  w.dirty.Mark(0, "k", DirtyCause::kMiss, 1);
  Read();
  old_store().Reply(Bulk("v"));
  w.Send(1, {"INCR", "j"});
  Read("j");
  old_store().Reply(Int(5));
  new_store().Replies({Int(1), Bulk("1")});  // j differs: it is dirty, and read again
  old_store().Reply(Bulk("5"));
  w.migration.routing.on_miss = OnMiss::kPrimary;
  w.Send(1, {"GET", "missing"}, {.from_new = true, .on_miss = OnMiss::kPrimary});
  new_store().Reply(kNil);
  old_store().Reply(kNil);
  EXPECT_EQ(w.counters.reads_fallback, 3u);
  EXPECT_EQ(w.counters.reads_failed, 0u);
}

}  // namespace
}  // namespace crossfade
