// The lane while a store is in trouble: what clients notice (nothing of the secondary), and what becomes dirty.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

Config SmallQueue() {
  Config config = TestConfig();
  config.limits.secondary_queue_bytes = 16 << 10;
  config.repair.enabled = false;
  return config;
}

class LaneTroubleTest : public LaneWorldTest {
 protected:
  LaneTroubleTest() { w.Start(); }
  void StopRepair() { w.config.repair.enabled = false; }
};

// --- The secondary ---------------------------------------------------------------------------------------------------

TEST_F(LaneTroubleTest, I3ADeadSecondaryDelaysNobody) {
  new_store().Close();
  const ReplyTo write = w.Send(1, {"SET", "k", "v"});
  const ReplyTo read = w.Send(1, {"GET", "j"}, kFromNew);
  old_store().Replies({kOk, Bulk("1")});
  EXPECT_EQ(w.Got(write), kOk);
  EXPECT_EQ(w.Got(read), Bulk("1"));
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_EQ(w.dirty.marked(DirtyCause::kSecondaryAway), 1u);
  EXPECT_EQ(w.counters.reads_fallback, 1u);
  EXPECT_EQ(w.counters.writes_not_followed, 1u);

  // It comes back: the key is copied, and the connection before is closed by the server.
  old_store().Sent();
  new_store().Connect();
  EXPECT_THAT(new_store().handshake, testing::Contains("CLIENT KILL ID 7"));
  w.Advance(2);
  EXPECT_THAT(old_store().Sent(), ElementsAre("PTTL k", "DUMP k"));
  old_store().Replies({Int(-1), Bulk("v")});
  new_store().Reply(kOk);
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneTroubleTest, I2UnansweredFollowsOfALostConnectionAreDirty) {
  StopRepair();
  w.Send(1, {"SET", "agreed", "v"});
  w.Send(1, {"SET", "sent", "v"});
  old_store().Replies({kOk, kOk});
  w.Send(1, {"SET", "pending", "v"});  // the primary hasn't answered
  new_store().Reply(kOk);
  new_store().Close();
  EXPECT_FALSE(w.IsDirty("agreed"));
  EXPECT_TRUE(w.IsDirty("sent"));
  EXPECT_EQ(w.dirty.marked(DirtyCause::kUnknownOutcome), 1u);
  old_store().Reply(kOk);
  EXPECT_TRUE(w.IsDirty("pending"));
  new_store().Connect();
  EXPECT_THAT(new_store().Sent(), IsEmpty());  // nothing is sent twice
}

TEST_F(LaneTroubleTest, I4NoReadIsShiftedPastAWriteThatWillNotFollow) {
  StopRepair();
  new_store().Close();
  w.Send(1, {"SET", "k", "v"});  // the primary takes its time …
  new_store().Connect();         // … and the secondary is back before it has answered
  const ReplyTo read = w.Send(1, {"GET", "k"}, kFromNew);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  old_store().Replies({kOk, Bulk("v")});
  EXPECT_EQ(w.Got(read), Bulk("v"));
  EXPECT_TRUE(w.IsDirty("k"));
  w.Send(1, {"GET", "j"}, kFromNew);  // now its keys are known
  EXPECT_THAT(new_store().Sent(), ElementsAre("GET j"));
  new_store().Reply(kNil);
}

TEST_F(LaneTroubleTest, I2GarbageFromTheSecondaryCutsItAndMarks) {
  StopRepair();
  w.Send(1, {"SET", "k", "v"});
  old_store().Reply(kOk);
  new_store().peer()->Deliver("?what\r\n");
  EXPECT_TRUE(new_store().hung_up());
  EXPECT_TRUE(w.IsDirty("k"));
  new_store().Connect();
  new_store().peer()->Deliver("+unasked\r\n");
  EXPECT_TRUE(new_store().hung_up());
}

TEST_F(LaneTroubleTest, I3ASilentSecondaryIsCutOff) {
  StopRepair();
  const ReplyTo to = w.Send(1, {"SET", "k", "v"});
  old_store().Reply(kOk);
  EXPECT_EQ(w.Got(to), kOk);
  for (int second = 0; second <= 61; ++second) {
    w.Advance(1000);
    w.lane->Tick();
    old_store().unanswered();  // TIME
  }
  EXPECT_TRUE(new_store().hung_up());
  EXPECT_FALSE(old_store().hung_up());
  EXPECT_TRUE(w.IsDirty("k"));
}

class LaneSheddingTest : public testing::Test {
 protected:
  LaneSheddingTest() { w.Start(); }
  void TearDown() override { w.ExpectQuiet(); }
  FakeBackend& old_store() { return w.old_store; }
  FakeBackend& new_store() { return w.new_store; }
  LaneWorld w{SmallQueue()};
};

TEST_F(LaneSheddingTest, I9BeyondItsBoundTheBacklogIsShedAndItsKeysDirty) {
  new_store().peer()->stalled = true;
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) {
    keys.push_back("k" + std::to_string(i));
    const ReplyTo to = w.Send(1, {"SET", keys.back(), std::string(500, 'v')});
    old_store().Reply(kOk);
    EXPECT_EQ(w.Got(to), kOk);
    EXPECT_LE(w.lane->lag_bytes(), size_t{16 << 10} + 600);  // the next turn looks at what this one has grown by
  }
  EXPECT_TRUE(w.lane->shedding());
  EXPECT_EQ(w.counters.queue_overflows, 1u);
  const size_t sent = new_store().unanswered();
  EXPECT_EQ(w.dirty.size() + sent, keys.size());

  // No read is shifted meanwhile. Once the secondary has answered all, it follows again.
  const ReplyTo read = w.Send(1, {"GET", "elsewhere"}, kFromNew);
  old_store().Reply(kNil);
  EXPECT_EQ(w.Got(read), kNil);
  new_store().ReplyToAll(kOk);
  EXPECT_FALSE(w.lane->shedding());
  EXPECT_EQ(w.dirty.size() + sent, keys.size());
  new_store().Sent();
  w.Send(1, {"SET", "k", "v"});
  old_store().Reply(kOk);
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k v"));
  new_store().Reply(kOk);
}

TEST_F(LaneSheddingTest, I9WritesThatWaitForThePrimaryAreShedToo) {
  for (int i = 0; i < 60; ++i) w.Send(1, {"SET", "k" + std::to_string(i), std::string(500, 'v')});
  EXPECT_TRUE(w.lane->shedding());
  EXPECT_EQ(w.lane->lag_slots(), 0u);
  old_store().ReplyToAll(kOk);
  EXPECT_EQ(w.dirty.size(), 60u);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  w.Advance(1000);
  w.lane->Tick();
  EXPECT_FALSE(w.lane->shedding());
}

TEST_F(LaneSheddingTest, I4NoReadIsShiftedPastAWriteThatWasShed) {
  for (int i = 0; i < 60; ++i) w.Send(1, {"SET", "k" + std::to_string(i), std::string(500, 'v')});
  w.Advance(1000);
  w.lane->Tick();  // the secondary is idle: it follows again
  EXPECT_FALSE(w.lane->shedding());
  w.Send(1, {"GET", "k3"}, kFromNew);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  old_store().ReplyToAll(kOk);
  w.Send(1, {"GET", "elsewhere"}, kFromNew);
  EXPECT_THAT(new_store().Sent(), ElementsAre("GET elsewhere"));
  new_store().Reply(kNil);
}

TEST_F(LaneSheddingTest, I9ShiftedReadsInTheQueueGoToThePrimary) {
  std::vector<ReplyTo> reads;
  w.Send(1, {"SET", "k", "v"});
  for (int i = 0; i < 60; ++i) reads.push_back(w.Send(1, {"GET", "j" + std::string(500, 'j')}, kFromNew));
  EXPECT_TRUE(w.lane->shedding());
  old_store().Reply(kOk);
  old_store().ReplyToAll(Bulk("x"));
  for (ReplyTo to : reads) EXPECT_EQ(w.Got(to), Bulk("x"));
  w.Advance(500);  // their deadlines find nobody
  EXPECT_EQ(w.counters.reads[0], 60u);
}

TEST_F(LaneSheddingTest, I2AnOverflowingDirtySetMakesEverythingDirty) {
  LaneWorld small([] {
    Config config = SmallQueue();
    config.limits.dirty_keys = 10;
    return config;
  }());
  small.Start();
  small.new_store.Close();
  for (int i = 0; i < 11; ++i) small.Send(1, {"SET", "k" + std::to_string(i), "v"});
  small.old_store.ReplyToAll(kOk);
  EXPECT_TRUE(small.dirty.everything());
  EXPECT_EQ(small.dirty.overflows(), 1u);
  small.ExpectQuiet();
}

// --- The primary -----------------------------------------------------------------------------------------------------

TEST_F(LaneTroubleTest, ALostPrimaryIsAskedItsReadsOnceMore) {
  const ReplyTo read = w.Send(1, {"GET", "k"});
  const ReplyTo compared = w.Send(2, {"GET", "j"}, kCompared);
  old_store().Sent();
  old_store().Close();
  EXPECT_EQ(w.Got(read), "");
  const ReplyTo late = w.Send(3, {"GET", "x"});
  EXPECT_THAT(w.Got(late), StartsWith("-ERR crossfade: the primary (old, old:6379) is down"));
  old_store().Connect();
  EXPECT_THAT(old_store().Sent(), ElementsAre("GET k", "GET j"));
  EXPECT_EQ(w.counters.reads_retried, 2u);
  old_store().Reply(Bulk("v"));
  EXPECT_EQ(w.Got(read), Bulk("v"));
  old_store().Close();  // once, not twice
  EXPECT_THAT(w.Got(compared), StartsWith("-ERR"));
  EXPECT_THAT(w.broken, IsEmpty());
  new_store().Reply(kNil);
  EXPECT_EQ(w.counters.reads_compared, 0u);
}

TEST_F(LaneTroubleTest, APrimaryThatStaysAwayEndsTheRetries) {
  const ReplyTo read = w.Send(1, {"GET", "k"});
  old_store().Close();
  w.Advance(20);
  old_store().Refuse();
  EXPECT_THAT(w.Got(read), HasSubstr("refused"));
}

TEST_F(LaneTroubleTest, I2AnUnansweredWriteBreaksItsClientAndIsDirty) {
  StopRepair();
  const ReplyTo done = w.Send(1, {"SET", "a", "1"});
  w.Send(1, {"SET", "b", "1"});
  const ReplyTo read = w.Send(2, {"GET", "a"});
  w.Send(3, {"MULTI"});
  w.Send(3, {"SET", "c", "1"});
  w.Send(3, {"EXEC"});
  old_store().Reply(kOk);
  old_store().Close();
  EXPECT_EQ(w.Got(done), kOk);
  EXPECT_THAT(w.broken, ElementsAre(1u, 3u));
  EXPECT_EQ(w.counters.unknown_outcomes, 2u);
  EXPECT_TRUE(w.IsDirty("b") && w.IsDirty("c"));
  EXPECT_FALSE(w.IsDirty("a"));
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET a 1"));  // what was accepted still follows, and nothing else
  new_store().Reply(kOk);
  old_store().Connect();
  EXPECT_THAT(old_store().Sent(), testing::Contains("GET a"));
  old_store().Reply(Bulk("1"));
  EXPECT_EQ(w.Got(read), Bulk("1"));
}

TEST_F(LaneTroubleTest, I2AWriteThatLostItsCompanionIsDirtyButItsClientIsWell) {
  StopRepair();
  const ReplyTo to = w.Send(1, {"XADD", "x", "MAXLEN", "~", "5", "*", "f", "v"});
  old_store().Reply(Bulk("1-1"));
  EXPECT_EQ(w.Got(to), Bulk("1-1"));
  old_store().Close();
  EXPECT_TRUE(w.IsDirty("x"));
  EXPECT_THAT(w.broken, IsEmpty());
}

TEST_F(LaneTroubleTest, GarbageFromThePrimaryCutsIt) {
  StopRepair();
  w.Send(1, {"SET", "k", "v"});
  old_store().peer()->Deliver("%%%\r\n");
  EXPECT_TRUE(old_store().hung_up());
  EXPECT_THAT(w.broken, ElementsAre(1u));
  EXPECT_TRUE(w.IsDirty("k"));
}

TEST_F(LaneTroubleTest, ACopyThatLosesEitherSideIsTriedAgain) {
  w.dirty.Mark(0, "k", DirtyCause::kMiss, 1);
  w.repair->Wake();
  w.Advance(2);
  old_store().Reply(Int(-1));
  old_store().Close();
  EXPECT_EQ(w.repair->failed(), 1u);
  old_store().Connect();
  w.Advance(60);
  old_store().Replies({Int(-1), Bulk("1")});
  new_store().Close();
  EXPECT_EQ(w.repair->failed(), 2u);
  EXPECT_TRUE(w.IsDirty("k"));
  new_store().Connect();
  w.Advance(200);
  old_store().Replies({Int(-1), Bulk("1")});
  new_store().Reply(kOk);
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneTroubleTest, BothSidesLostAtOnceLeaveNothingBehind) {
  StopRepair();
  for (int i = 0; i < 10; ++i) {
    const std::string key = "k" + std::to_string(i);
    w.Send(1, {"SET", key, "v"});
    w.Send(2, {"GET", key}, kFromNew);
    w.Send(3, {"GET", key}, kCompared);
    if (i == 4) old_store().Replies({kOk, Bulk("v"), kOk, Bulk("v")});
  }
  w.lane->Abandon(absl::AbortedError("test"));
  EXPECT_TRUE(w.lane->drained());
  EXPECT_EQ(w.dirty.size(), 10u);
  w.Advance(200);  // the deadlines of the reads
}

}  // namespace
}  // namespace crossfade
