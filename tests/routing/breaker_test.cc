// When the secondary is left alone, and when it is let back: every way between the states, with its figures.
#include "routing/breaker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace crossfade {
namespace {

using testing::HasSubstr;
using State = Breaker::State;

class BreakerTest : public testing::Test {
 protected:
  BreakerTest() {
    config.failures = 5;
    config.slow_ms = 1000;
    config.late_reads = 3;
    config.open_ms = 1000;
    config.probe_ms = 100;
    config.probes = 3;
    timeouts.read_ms = 20;
  }
  void Refuse(int count, std::string_view error = "READONLY", std::string_view command = "set") {
    for (int i = 0; i < count; ++i) breaker.OnFollow(command, error, now);
  }
  void Take(int count) {
    for (int i = 0; i < count; ++i) breaker.OnFollow("set", "", now);
  }
  void Tick(int64_t oldest_ms, int count = 1) {
    for (int i = 0; i < count; ++i) breaker.OnTick(oldest_ms, now += 100);
  }
  // Sends one when it is due, and answers it after `took_ms`. False when none was due.
  bool Probe(std::string_view error = "", int64_t took_ms = 1) {
    if (!breaker.ProbeDue(now)) return false;
    breaker.OnProbeSent(now);
    breaker.OnProbe(error, now += took_ms);
    return true;
  }
  // Good probes until it is not open any more; how long that took.
  int64_t ProbeUntilTried() {
    const int64_t begin = now;
    for (int i = 0; i < 10'000 && breaker.state() == State::kOpen; ++i, now += 10) Probe();
    return now - begin;
  }
  void CopyAll() {
    while (breaker.state() == State::kHalfOpen) {
      ASSERT_TRUE(breaker.MayCopy());
      breaker.OnCopySent();
      breaker.OnCopy(true, "", now);
    }
  }

  BreakerConfig config;
  TimeoutsConfig timeouts;
  int64_t now = 1'000'000;
  Breaker breaker{&config, &timeouts};
};

TEST_F(BreakerTest, OpensWhenMoreWritesAreRefusedThanTaken) {
  Refuse(4);
  EXPECT_TRUE(breaker.closed());
  EXPECT_EQ(breaker.changes(), 0u);
  Refuse(1);
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_FALSE(breaker.reads_closed());
  EXPECT_FALSE(breaker.MayCopy());
  EXPECT_THAT(breaker.reason(), HasSubstr("READONLY"));
  EXPECT_EQ(breaker.opened(), 1u);
  EXPECT_EQ(breaker.changes(), 1u);
}

TEST_F(BreakerTest, AsManyTakenAsRefusedOpenNothing) {
  for (int i = 0; i < 1000; ++i) {
    Refuse(3, "OOM");
    Take(3);
  }
  EXPECT_TRUE(breaker.closed());
  for (int i = 0; i < 5; ++i) {  // what is taken for good can't be saved up
    Refuse(2, "OOM");
    Take(1);
  }
  EXPECT_EQ(breaker.state(), State::kOpen);
}

TEST_F(BreakerTest, ErrorsAboutKeysAndCommandsOpenNothing) {
  for (const char* code : {"WRONGTYPE", "ERR", "NOSCRIPT", "BUSYGROUP", "BUSYKEY", "NOGROUP"}) {
    Refuse(1000, code);
    for (int i = 0; i < 1000; ++i) breaker.OnCopy(false, code, now);
  }
  EXPECT_TRUE(breaker.closed());
}

TEST_F(BreakerTest, OneOrTwoCommandsNotPermittedOpenNothing) {
  Refuse(1000, "NOPERM", "spop");
  Refuse(1000, "NOPERM", "sort");
  for (int i = 0; i < 1000; ++i) breaker.OnCopy(false, "NOPERM", now);
  EXPECT_TRUE(breaker.closed());
  Refuse(5, "NOPERM", "set");
  EXPECT_EQ(breaker.state(), State::kOpen);
}

TEST_F(BreakerTest, ACommandThatIsPermittedAgainIsForgotten) {
  Refuse(1, "NOPERM", "spop");
  Refuse(1, "NOPERM", "sort");
  breaker.OnFollow("spop", "", now);
  Refuse(1000, "NOPERM", "set");
  EXPECT_TRUE(breaker.closed());
}

TEST_F(BreakerTest, RefusedCopiesOpenItToo) {
  for (int i = 0; i < 4; ++i) breaker.OnCopy(false, "OOM", now);
  EXPECT_TRUE(breaker.closed());
  breaker.OnCopy(false, "OOM", now);
  EXPECT_EQ(breaker.state(), State::kOpen);
}

TEST_F(BreakerTest, OpensWhenNothingIsAnswered) {
  Tick(1001, 2);
  EXPECT_TRUE(breaker.closed());
  Tick(0);  // it was this process that stood still
  Tick(1001, 2);
  EXPECT_TRUE(breaker.closed());
  Tick(1001);
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_THAT(breaker.reason(), HasSubstr("1001 ms"));
  EXPECT_FALSE(breaker.ProbeWrites());
}

TEST_F(BreakerTest, IsTriedAfterGoodProbesInARowAndAPause) {
  Refuse(5);
  EXPECT_TRUE(breaker.ProbeWrites());
  const int64_t opened = now;
  EXPECT_TRUE(Probe());
  EXPECT_FALSE(Probe()) << "too soon";
  now += 100;
  EXPECT_TRUE(Probe());
  now += 100;
  EXPECT_TRUE(Probe("READONLY"));
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_GE(ProbeUntilTried(), 3 * 100);
  EXPECT_GE(now - opened, config.open_ms);
  EXPECT_EQ(breaker.state(), State::kHalfOpen);
  EXPECT_THAT(breaker.reason(), HasSubstr("READONLY")) << "kept until it is well";
  EXPECT_FALSE(breaker.closed());
  EXPECT_EQ(breaker.probes_bad(), 1u);
}

TEST_F(BreakerTest, ASlowProbeIsABadOne) {
  Refuse(5);
  for (int i = 0; i < 100; ++i, now += 100) Probe("", config.slow_ms / 2 + 1);
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_LT(ProbeUntilTried(), 1000);
}

TEST_F(BreakerTest, AProbeThatIsNotPermittedSaysNothing) {
  Refuse(5);
  for (int i = 0; i < 100 && breaker.state() == State::kOpen; ++i, now += 100) Probe("NOPERM");
  EXPECT_EQ(breaker.state(), State::kHalfOpen);
}

TEST_F(BreakerTest, OneProbeAtATimeUntilTheLinkIsDown) {
  Refuse(5);
  breaker.OnProbeSent(now);
  now += 60'000;
  EXPECT_FALSE(breaker.ProbeDue(now));
  breaker.OnLinkDown();
  EXPECT_TRUE(breaker.ProbeDue(now));
}

TEST_F(BreakerTest, WhetherMemoryIsFreeOnlyACopyCanTell) {
  Refuse(5, "OOM");
  EXPECT_FALSE(breaker.ProbeWrites());
}

TEST_F(BreakerTest, ClosesAfterEnoughCopies) {
  Refuse(5);
  ProbeUntilTried();
  CopyAll();
  EXPECT_TRUE(breaker.closed());
  EXPECT_EQ(breaker.reason(), "");
  EXPECT_EQ(breaker.changes(), 3u);
}

TEST_F(BreakerTest, FewCopiesAreTriedAtFirst) {
  Refuse(5);
  ProbeUntilTried();
  int sent = 0;
  for (; breaker.MayCopy(); ++sent) breaker.OnCopySent();
  EXPECT_EQ(sent, 10);
  breaker.OnCopy(true, "", now);
  EXPECT_TRUE(breaker.MayCopy()) << "each that is taken lets more through";
}

TEST_F(BreakerTest, ClosesWhenThereIsNothingToCopy) {
  Refuse(5);
  ProbeUntilTried();
  Tick(0);
  EXPECT_EQ(breaker.state(), State::kHalfOpen);
  Tick(0, 2);
  EXPECT_TRUE(breaker.closed());
}

TEST_F(BreakerTest, DoesNotCloseWhileACopyIsUnanswered) {
  Refuse(5);
  ProbeUntilTried();
  Tick(config.probe_ms + 1, 50);
  EXPECT_EQ(breaker.state(), State::kHalfOpen);
  Tick(config.slow_ms + 1, 3);
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_EQ(breaker.opened(), 2u);
}

TEST_F(BreakerTest, RefusedCopiesOpenItAgainForLonger) {
  Refuse(5, "OOM");
  int64_t pause = breaker.pause_ms();
  EXPECT_EQ(pause, 1000);
  for (int round = 0; round < 10; ++round) {
    EXPECT_GE(ProbeUntilTried(), pause);
    for (int i = 0; i < 3; ++i) breaker.OnCopy(false, "OOM", now);
    ASSERT_EQ(breaker.state(), State::kOpen);
    pause = std::min<int64_t>(30'000, 2 * pause);
    EXPECT_EQ(breaker.pause_ms(), pause);
  }
}

TEST_F(BreakerTest, TheShortPauseIsBackOnceItWasCalm) {
  Refuse(5);
  ProbeUntilTried();
  CopyAll();
  now += 10'000;
  Refuse(5);
  EXPECT_EQ(breaker.pause_ms(), 2000);
  ProbeUntilTried();
  CopyAll();
  now += 60'001;
  Refuse(5);
  EXPECT_EQ(breaker.pause_ms(), 1000);
}

TEST_F(BreakerTest, CopiesThatAreNotPermittedOpenItAgainIfThatWasTheReason) {
  Refuse(5);
  ProbeUntilTried();
  for (int i = 0; i < 5; ++i) breaker.OnCopy(false, "NOPERM", now);
  EXPECT_EQ(breaker.state(), State::kHalfOpen);
  Tick(0, 4);
  ASSERT_TRUE(breaker.closed());
  for (const char* command : {"set", "incr", "del"}) Refuse(5, "NOPERM", command);
  ASSERT_EQ(breaker.state(), State::kOpen);
  ProbeUntilTried();
  for (int i = 0; i < 3; ++i) breaker.OnCopy(false, "NOPERM", now);
  EXPECT_EQ(breaker.state(), State::kOpen);
}

TEST_F(BreakerTest, AnswersOfBeforeSayNothing) {
  Refuse(5);
  Refuse(100);
  Take(100);
  for (int i = 0; i < 100; ++i) breaker.OnCopy(true, "", now);
  EXPECT_EQ(breaker.state(), State::kOpen);
  EXPECT_EQ(breaker.opened(), 1u);
}

TEST_F(BreakerTest, LateReadsKeepReadsAwayAndNothingElse) {
  for (int i = 0; i < 50; ++i) breaker.OnRead(false, now);  // many clients, at one moment
  EXPECT_TRUE(breaker.reads_closed());
  breaker.OnRead(true, now += 50);
  breaker.OnRead(false, now += 50);
  breaker.OnRead(false, now += 100);
  EXPECT_TRUE(breaker.reads_closed());
  breaker.OnRead(false, now += 1);
  EXPECT_FALSE(breaker.reads_closed());
  EXPECT_TRUE(breaker.closed());
  EXPECT_TRUE(breaker.MayCopy());
  EXPECT_THAT(breaker.reads_reason(), HasSubstr("20 ms"));

  for (int i = 0; i < 100; ++i, now += 100) Probe("", timeouts.read_ms + 1);
  EXPECT_FALSE(breaker.reads_closed()) << "well enough to follow, too slow for clients";
  EXPECT_EQ(breaker.probes_bad(), 0u);
  for (int i = 0; i < 3; ++i, now += 100) EXPECT_TRUE(Probe());
  EXPECT_TRUE(breaker.reads_closed());
  EXPECT_FALSE(Probe()) << "no reason to";
}

TEST_F(BreakerTest, NothingIsKnownOfAnotherStore) {
  Refuse(5);
  breaker.OnProbeSent(now);
  for (int i = 0; i < 3; ++i) breaker.OnRead(false, now += 100);
  ASSERT_TRUE(breaker.reads_open());
  breaker.Reset(now);
  EXPECT_TRUE(breaker.reads_closed());
  EXPECT_FALSE(breaker.ProbeDue(now + 60'000));
  Refuse(4);
  EXPECT_TRUE(breaker.closed());
  Refuse(1);
  EXPECT_EQ(breaker.pause_ms(), 1000);
  EXPECT_TRUE(breaker.ProbeDue(now + 60'000));
}

TEST_F(BreakerTest, CanBeDisabled) {
  config.enabled = false;
  Refuse(1000);
  for (int i = 0; i < 1000; ++i) breaker.OnCopy(false, "OOM", now);
  for (int i = 0; i < 1000; ++i) breaker.OnRead(false, now += 100);
  Tick(1'000'000, 100);
  EXPECT_TRUE(breaker.reads_closed());
  EXPECT_EQ(breaker.changes(), 0u);
}

}  // namespace
}  // namespace crossfade
