// The lane and its breaker: what is not sent any more and what becomes of it, how probes are asked, and how copies lead
// back. routing/breaker_test.cc has the breaker's own rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const std::string kReadOnly = "-READONLY You can't write against a read only replica.\r\n";
const std::string kPong = "+PONG\r\n";

Config QuickBreaker() {
  Config config = TestConfig();
  config.breaker.failures = 3;
  config.breaker.slow_ms = 1000;
  config.breaker.open_ms = 100;
  config.breaker.probe_ms = 10;
  config.breaker.probes = 2;
  config.repair.enabled = false;
  return config;
}

class LaneBreakerTest : public testing::Test {
 protected:
  LaneBreakerTest() { w.Start(); }
  void TearDown() override { w.ExpectQuiet(); }
  FakeBackend& old_store() { return w.old_store; }
  FakeBackend& new_store() { return w.new_store; }
  const Breaker& breaker() const { return w.lane->breaker(); }

  void RefuseWrites(int count, const std::string& error = kReadOnly) {
    for (int i = 0; i < count; ++i) {
      w.Send(1, {"SET", "refused" + std::to_string(i), "v"});
      old_store().Reply(kOk);
      new_store().Reply(error);
    }
    old_store().Sent();
    new_store().Sent();
  }
  void Watch(int64_t ms) {
    w.Advance(ms);
    w.lane->WatchSecondary();
  }
  // Answers probes until copies may be tried.
  void ProbeUntilTried() {
    for (int i = 0; i < 100 && breaker().state() == Breaker::State::kOpen; ++i) {
      Watch(10);
      for (const std::string& probe : new_store().Sent()) new_store().Reply(probe == "PING" ? kPong : Int(0));
    }
    ASSERT_EQ(breaker().state(), Breaker::State::kHalfOpen);
  }
  // What the primary is asked for one copy, and what it says.
  void AnswerCopy(const std::string& value) { old_store().Replies({Int(-1), Bulk(value)}); }

  LaneWorld w{QuickBreaker()};
};

TEST_F(LaneBreakerTest, I2NothingIsSentAndWhatIsWrittenIsDirty) {
  RefuseWrites(2);
  EXPECT_TRUE(breaker().closed());
  RefuseWrites(1);
  EXPECT_EQ(breaker().state(), Breaker::State::kOpen);
  EXPECT_THAT(breaker().reason(), HasSubstr("READONLY"));

  const ReplyTo write = w.Send(1, {"SET", "k", "v"});
  old_store().Reply(kOk);
  EXPECT_EQ(w.Got(write), kOk);
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_EQ(w.dirty.marked(DirtyCause::kBreakerOpen), 1u);
  const ReplyTo read = w.Send(1, {"GET", "clean"}, kFromNew);
  const ReplyTo compared = w.Send(1, {"GET", "clean"}, kCompared);
  old_store().Replies({Bulk("1"), Bulk("1")});
  EXPECT_EQ(w.Got(read), Bulk("1"));
  EXPECT_EQ(w.Got(compared), Bulk("1"));
  EXPECT_EQ(w.counters.reads_fallback, 1u);
  EXPECT_EQ(w.counters.reads_not_comparable, 1u);
  EXPECT_FALSE(w.lane->CanCopy());
  bool asked = false;
  w.lane->Ask(
      {.commands = "*1\r\n$4\r\nPING\r\n", .count = 1, .ask_secondary = true, .done = [&](const Answers& answers) {
         asked = !answers.status.ok();
       }});
  EXPECT_TRUE(asked);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
}

TEST_F(LaneBreakerTest, I2WhatWaitsInTheQueueIsGivenUp) {
  w.Send(1, {"SET", "refused", "v"});
  w.Send(1, {"SET", "sent", "v"});
  old_store().Replies({kOk, kOk});
  w.Send(1, {"SET", "pending", "v"});
  const ReplyTo read = w.Send(2, {"GET", "behind it"}, kFromNew);
  for (int i = 0; i < 3; ++i) Watch(1001);
  EXPECT_EQ(breaker().state(), Breaker::State::kOpen);
  EXPECT_THAT(breaker().reason(), HasSubstr("not been answered"));
  EXPECT_FALSE(w.IsDirty("sent")) << "it may still be answered";
  old_store().Replies({kOk, Bulk("v")});
  EXPECT_TRUE(w.IsDirty("pending"));
  EXPECT_EQ(w.Got(read), Bulk("v"));
  new_store().Replies({kOk, kOk});
  EXPECT_EQ(w.dirty.size(), 1u);
  EXPECT_EQ(w.counters.writes_followed, 2u);
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET refused v", "SET sent v", "PING"));
  new_store().Reply(kPong);
}

TEST_F(LaneBreakerTest, ProbesThenCopiesThenEverything) {
  RefuseWrites(3);
  w.config.repair.enabled = true;
  w.repair->Wake();
  w.Advance(50);
  EXPECT_THAT(old_store().Sent(), IsEmpty()) << "repairs wait";
  Watch(10);
  const std::vector<std::string> probe = new_store().Sent();
  ASSERT_EQ(probe.size(), 2u);
  EXPECT_EQ(probe[0], "PING");
  EXPECT_THAT(probe[1], StartsWith("DEL __crossfade:probe:"));
  new_store().Replies({kPong, kReadOnly});
  EXPECT_EQ(breaker().probes_bad(), 1u);
  ProbeUntilTried();

  w.Send(1, {"SET", "meanwhile", "v"});
  old_store().Reply(kOk);
  EXPECT_TRUE(w.IsDirty("meanwhile"));
  EXPECT_THAT(new_store().Sent(), IsEmpty()) << "copies only";
  w.Advance(10);
  for (int i = 0; i < 4; ++i) AnswerCopy("v");
  EXPECT_EQ(new_store().Sent().size(), 4u);
  new_store().ReplyToAll(kOk);
  EXPECT_TRUE(w.dirty.clean());
  EXPECT_FALSE(breaker().closed());
  for (int i = 0; i < 4; ++i) Watch(10);
  EXPECT_TRUE(breaker().closed()) << "nothing is left to be tried";
  old_store().Sent();
  new_store().Sent();
  w.Send(1, {"SET", "k", "v"});
  old_store().Reply(kOk);
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k v"));
  new_store().Reply(kOk);
}

TEST_F(LaneBreakerTest, AFullStoreIsAskedByCopiesAlone) {
  RefuseWrites(3, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
  Watch(10);
  EXPECT_THAT(new_store().Sent(), ElementsAre("PING"));
  new_store().Reply(kPong);
  ProbeUntilTried();
  w.config.repair.enabled = true;
  w.repair->Wake();
  w.Advance(10);
  for (int i = 0; i < 3; ++i) AnswerCopy("v");
  new_store().ReplyToAll("-OOM command not allowed when used memory > 'maxmemory'.\r\n");
  EXPECT_EQ(breaker().state(), Breaker::State::kOpen);
  EXPECT_EQ(breaker().opened(), 2u);
  EXPECT_EQ(w.lane->copies_refused().at("OOM"), 3u);
  EXPECT_EQ(w.dirty.size(), 3u);
}

TEST_F(LaneBreakerTest, OneCommandThatIsRefusedMakesItsKeysDirtyAndNoMore) {
  for (int i = 0; i < 20; ++i) {
    w.Send(1, {"INCR", "count"});
    w.Send(1, {"SET", "k", "v"});
    old_store().Replies({Int(i + 1), kOk});
    new_store().Replies({"-NOPERM this user has no permissions to run the 'incr' command\r\n", kOk});
  }
  EXPECT_TRUE(breaker().closed());
  EXPECT_TRUE(w.IsDirty("count"));
  EXPECT_FALSE(w.IsDirty("k"));
}

TEST_F(LaneBreakerTest, ABlockThatIsRefusedIsCountedByItsReason) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(breaker().closed());
    w.Send(1, {"MULTI"});
    w.Send(1, {"SET", "a", "1"});
    w.Send(1, {"SET", "b", "1"});
    w.Send(1, {"EXEC"});
    old_store().Replies({kOk, kQueued, kQueued, Array({kOk, kOk})});
    new_store().Replies(
        {kOk, kReadOnly, kReadOnly, "-EXECABORT Transaction discarded because of previous errors.\r\n"});
  }
  EXPECT_EQ(breaker().state(), Breaker::State::kOpen);
  EXPECT_THAT(breaker().reason(), HasSubstr("READONLY"));
  EXPECT_TRUE(w.IsDirty("a"));
}

TEST_F(LaneBreakerTest, I3LateReadsGoToThePrimaryAtOnceAndWritesStillFollow) {
  std::vector<ReplyTo> reads;
  for (int i = 0; i < 6; ++i) {
    reads.push_back(w.Send(1, {"GET", "k"}, kFromNew));
    w.Advance(w.config.timeouts.read_ms + 10);
    old_store().Reply(Bulk("v"));
    EXPECT_EQ(w.Got(reads.back()), Bulk("v"));
  }
  EXPECT_TRUE(breaker().reads_open());
  EXPECT_TRUE(breaker().closed());
  new_store().ReplyToAll(Bulk("v"));
  new_store().Sent();
  const ReplyTo read = w.Send(1, {"GET", "k"}, kFromNew);
  w.Send(1, {"SET", "k", "w"});
  w.Send(1, {"GET", "k"}, kCompared);
  old_store().Replies({Bulk("v"), kOk, Bulk("w")});
  EXPECT_EQ(w.Got(read), Bulk("v"));
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET k w", "GET k"));
  new_store().Replies({kOk, Bulk("w")});
  EXPECT_EQ(w.counters.reads_compared, 1u);

  for (int i = 0; i < 50 && breaker().reads_open(); ++i) {
    Watch(10);
    new_store().ReplyToAll(kPong);
  }
  EXPECT_TRUE(breaker().reads_closed());
}

TEST_F(LaneBreakerTest, ReadsThatWaitForThePrimaryAreNotLate) {
  w.Send(1, {"SET", "j", "v"});  // the primary takes its time
  for (int i = 0; i < 20; ++i) {
    w.Send(1, {"GET", "k"}, kFromNew);
    w.Advance(w.config.timeouts.read_ms + 10);
  }
  EXPECT_FALSE(breaker().reads_open());
  old_store().Reply(kOk);
  old_store().ReplyToAll(Bulk("v"));
  new_store().Reply(kOk);
  new_store().ReplyToAll(Bulk("v"));
}

TEST_F(LaneBreakerTest, NothingIsHeldAgainstTheNewSecondary) {
  RefuseWrites(3);
  Watch(10);
  EXPECT_EQ(new_store().Sent().size(), 2u);
  w.migration.routing.primary = Side::kNew;
  w.lane->RolesSwapped();
  EXPECT_TRUE(breaker().closed());
  new_store().Replies({kPong, Int(0)});  // the old question's answers
  EXPECT_EQ(breaker().probes_good(), 0u);
  w.Send(1, {"SET", "k", "v"});
  new_store().Reply(kOk);
  EXPECT_THAT(old_store().Sent(), ElementsAre("SET k v"));
  old_store().Reply(kOk);
}

TEST_F(LaneBreakerTest, ALostLinkEndsAProbe) {
  RefuseWrites(3);
  Watch(10);
  new_store().Close();
  Watch(10);
  new_store().Connect();
  ProbeUntilTried();
}

TEST_F(LaneBreakerTest, I7AStoreThatGivesNoAnswerDoesNotDiffer) {
  for (const char* error : {"-NOPERM no\r\n", "-LOADING no\r\n", "-MASTERDOWN no\r\n", "-BUSY no\r\n"}) {
    w.Send(1, {"GET", "k"}, kCompared);
    old_store().Reply(Bulk("v"));
    new_store().Reply(error);
  }
  EXPECT_THAT(w.differences, IsEmpty());
  EXPECT_EQ(w.counters.reads_not_comparable, 4u);
  w.Send(1, {"GET", "k"}, kCompared);
  old_store().Reply(Bulk("v"));
  new_store().Reply("-WRONGTYPE it holds something else\r\n");
  EXPECT_THAT(w.differences, ElementsAre("GET k"));
}

// --- Replies that belong to nothing
// ------------------------------------------------------------------------------------

TEST_F(LaneBreakerTest, I2RepliesOutOfStepMakeEverythingDoubtful) {
  new_store().peer()->Deliver("+one too many\r\n");
  EXPECT_TRUE(new_store().hung_up());
  EXPECT_TRUE(w.dirty.everything());
}

TEST_F(LaneBreakerTest, I2TimeThatIsNotATimeShowsThatRepliesAreOutOfStep) {
  new_store().answers_time = false;
  w.Send(1, {"SET", "k", "v"});
  old_store().Reply(kOk);
  w.Advance(1000);
  w.lane->Tick();
  old_store().unanswered();
  new_store().peer()->Deliver("+OK\r\n");  // nobody's: from now on each is taken for the one before
  EXPECT_FALSE(w.dirty.everything());
  new_store().peer()->Deliver("+OK\r\n");
  EXPECT_TRUE(new_store().hung_up());
  EXPECT_TRUE(w.dirty.everything());
}

TEST_F(LaneBreakerTest, ALengthThatWasNeverMeantDoesNotSwallowForEver) {
  new_store().peer()->Deliver("*1000000000\r\n");
  new_store().answers_time = false;
  w.Send(1, {"SET", "k", "v"});
  old_store().Reply(kOk);
  int64_t ms = 0;
  for (; !new_store().hung_up() && ms < 3'600'000; ms += 1000) {
    new_store().peer()->Deliver(kOk);  // it is never silent
    w.Advance(1000);
    w.lane->Tick();
    old_store().unanswered();
  }
  EXPECT_EQ(ms / 1000, 10 * w.config.timeouts.response_ms / 1000 + 1);
  EXPECT_TRUE(w.IsDirty("k"));
}

TEST_F(LaneBreakerTest, APrimaryThatLoadsSaysSoAsAServerDoes) {
  old_store().Close();
  old_store().info_reply = Bulk("# Server\r\nredis_version:7.0.0\r\nloading:1\r\n");
  ASSERT_TRUE(old_store().TakeConnection());
  old_store().handshake.clear();
  old_store().AnswerHandshake();
  const ReplyTo read = w.Send(1, {"GET", "k"});
  EXPECT_EQ(w.Got(read), "-LOADING Redis is loading the dataset in memory\r\n");
  w.Advance(40);
  old_store().Refuse();
  const ReplyTo later = w.Send(1, {"GET", "k"});
  EXPECT_THAT(w.Got(later), StartsWith("-ERR crossfade: the primary (old, old:6379) is down"));
}

}  // namespace
}  // namespace crossfade
