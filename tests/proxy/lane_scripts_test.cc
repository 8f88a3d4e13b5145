// Scripts in the lane: where they are loaded, what happens when only the secondary lacks one, and what becomes of a
// script that fails after it has written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/sha1.h"
#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const char kBody[] = "return redis.call('incr', KEYS[1])";
const char kNoScript[] = "-NOSCRIPT No matching script. Please use EVAL.\r\n";

class LaneScriptsTest : public LaneWorldTest {
 protected:
  void SetUp() override {
    w.Start();
    scripts_ = std::make_unique<ScriptBook>(&w.config.scripts, size_t{1} << 20);
    w.lane->set_scripts(scripts_.get());
    sha_ = Sha1Hex(kBody);
  }
  void Learned() {
    w.Send(1, {"EVAL", kBody, "1", "k"});
    old_store().Reply(Int(1));
    new_store().Reply(Int(1));
    old_store().Sent();
    new_store().Sent();
  }

  std::unique_ptr<ScriptBook> scripts_;
  std::string sha_;
};

TEST_F(LaneScriptsTest, RunAgainAndCompared) {
  const ReplyTo to = w.Send(1, {"EVAL", kBody, "1", "k"});
  old_store().Reply(Int(1));
  EXPECT_EQ(w.Got(to), Int(1));
  EXPECT_THAT(new_store().Sent(), ElementsAre(std::string("EVAL ") + kBody + " 1 k"));
  new_store().Reply(Int(2));
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_EQ(w.counters.writes_diverged, 1u);
}

// What the secondary may lack is loaded there before it is used.
TEST_F(LaneScriptsTest, AKnownScriptIsLoadedFirst) {
  scripts_->Learn(kBody);
  w.Send(1, {"EVALSHA", sha_, "1", "k"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("EVALSHA " + sha_ + " 1 k"));
  old_store().Reply(Int(1));
  EXPECT_THAT(new_store().Sent(), ElementsAre(std::string("SCRIPT LOAD ") + kBody, "EVALSHA " + sha_ + " 1 k"));
  new_store().Replies({Bulk(sha_), Int(1)});
  EXPECT_TRUE(w.dirty.clean());
  w.Send(1, {"EVALSHA", sha_, "1", "k"});
  old_store().Reply(Int(2));
  EXPECT_THAT(new_store().Sent(), ElementsAre("EVALSHA " + sha_ + " 1 k"));  // once
  new_store().Reply(Int(2));
}

TEST_F(LaneScriptsTest, MissingOnThePrimaryIsTheClients) {
  const ReplyTo to = w.Send(1, {"EVALSHA", sha_, "1", "k"});
  old_store().Reply(kNoScript);
  EXPECT_EQ(w.Got(to), kNoScript);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneScriptsTest, MissingOnTheSecondaryIsLoadedTheNextTime) {
  Learned();
  w.Send(1, {"EVALSHA", sha_, "1", "k"});
  old_store().Reply(Int(2));
  const auto first = new_store().Sent();
  if (first.size() == 2) new_store().Reply(Bulk(sha_));
  new_store().Reply(kNoScript);
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_EQ(w.counters.writes_refused, 1u);
  w.Send(1, {"EVALSHA", sha_, "1", "j"});
  old_store().Reply(Int(1));
  EXPECT_THAT(new_store().Sent(), ElementsAre(std::string("SCRIPT LOAD ") + kBody, "EVALSHA " + sha_ + " 1 j"));
  new_store().Replies({Bulk(sha_), Int(1)});
  EXPECT_FALSE(w.IsDirty("j"));
}

// A body that nobody here ever saw: its keys are copied from then on.
TEST_F(LaneScriptsTest, AnUnknownBodyMissingOnTheSecondary) {
  w.Send(1, {"EVALSHA", sha_, "1", "k"});
  old_store().Reply(Int(1));
  if (new_store().unanswered() > 0) new_store().Reply(kNoScript);
  new_store().Sent();
  old_store().Sent();
  old_store().ReplyToAll(kNil);
  new_store().ReplyToAll(kOk);
  w.Send(1, {"EVALSHA", sha_, "1", "j"});
  EXPECT_THAT(old_store().Sent(), ElementsAre("EVALSHA " + sha_ + " 1 j", "PTTL j", "DUMP j"));
  old_store().Replies({Int(1), Int(-1), Bulk("dumped")});
  EXPECT_THAT(new_store().Sent(), ElementsAre("RESTORE j 0 dumped REPLACE ABSTTL"));
  new_store().Reply(kOk);
}

// A script that failed keeps what it had written: nobody can say what that was.
TEST_F(LaneScriptsTest, AnErrorThatMayHaveWritten) {
  int written = 0;
  w.on_written = [&](const Slot&) { ++written; };
  const ReplyTo to = w.Send(1, {"EVAL", kBody, "2", "a", "b"});
  old_store().Reply("-ERR boom script: x, on @user_script:1.\r\n");
  EXPECT_EQ(w.Got(to), "-ERR boom script: x, on @user_script:1.\r\n");
  EXPECT_TRUE(w.IsDirty("a") && w.IsDirty("b"));
  EXPECT_EQ(written, 1);  // somebody may wait for what it has pushed
  EXPECT_THAT(new_store().Sent(), IsEmpty());
}

TEST_F(LaneScriptsTest, ErrorsBeforeItRan) {
  for (const char* error : {"-NOPERM no\r\n", "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
                            "-LOADING Redis is loading\r\n"}) {
    w.Send(1, {"SET", "k", "v"});
    old_store().Reply(error);
    EXPECT_TRUE(w.dirty.clean()) << error;
  }
}

TEST_F(LaneScriptsTest, InATransaction) {
  w.Send(1, {"MULTI"});
  w.Send(1, {"EVAL", kBody, "1", "k"});
  w.Send(1, {"SET", "a", "v"});
  w.Send(1, {"EXEC"});
  old_store().Replies({kOk, kQueued, kQueued, Array({"-ERR boom script: x\r\n", kOk})});
  EXPECT_TRUE(w.IsDirty("k"));
  EXPECT_FALSE(w.IsDirty("a"));
  EXPECT_THAT(new_store().Sent(), ElementsAre("SET a v"));
  new_store().Reply(kOk);
}

TEST_F(LaneScriptsTest, LoadGoesToBoth) {
  const ReplyTo to = w.Send(1, {"SCRIPT", "LOAD", kBody});
  old_store().Reply(Bulk(sha_));
  EXPECT_EQ(w.Got(to), Bulk(sha_));
  EXPECT_THAT(new_store().Sent(), ElementsAre(std::string("SCRIPT LOAD ") + kBody));
  new_store().Reply("-ERR no\r\n");
  EXPECT_EQ(w.counters.both_refused, 1u);
  EXPECT_TRUE(w.dirty.clean());
}

TEST_F(LaneScriptsTest, AfterAFlushEverybodyForgets) {
  Learned();
  w.Send(1, {"SCRIPT", "FLUSH"});
  old_store().Reply(kOk);
  EXPECT_THAT(new_store().Sent(), ElementsAre("SCRIPT FLUSH"));
  new_store().Reply(kOk);
  w.Send(1, {"EVALSHA", sha_, "1", "k"});
  old_store().Reply(kNoScript);
  EXPECT_THAT(new_store().Sent(), IsEmpty());
  EXPECT_TRUE(w.dirty.clean());
}

}  // namespace
}  // namespace crossfade
