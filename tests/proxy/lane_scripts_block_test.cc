// Scripts inside EXEC are learned and loaded as they are outside of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/sha1.h"
#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::Contains;
using testing::HasSubstr;

const char kIncrScript[] = "return redis.call('incr', KEYS[1])";

class LaneScriptsBlockTest : public LaneWorldTest {
 protected:
  void SetUp() override {
    w.Start();
    scripts_ = std::make_unique<ScriptBook>(&w.config.scripts, size_t{1} << 20);
    w.lane->set_scripts(scripts_.get());
    sha_ = Sha1Hex(kIncrScript);
  }
  std::unique_ptr<ScriptBook> scripts_;
  std::string sha_;
};

TEST_F(LaneScriptsBlockTest, AKnownScriptIsLoadedBeforeTheBlock) {
  scripts_->Learn(kIncrScript);
  w.Send(1, {"MULTI"});
  w.Send(1, {"EVALSHA", sha_, "1", "k"});
  w.Send(1, {"EXEC"});
  old_store().Replies({kOk, kQueued, Array({Int(1)})});
  EXPECT_THAT(new_store().Sent(), Contains(HasSubstr("SCRIPT LOAD")));
  new_store().ReplyToAll(Int(1));
}

TEST_F(LaneScriptsBlockTest, ABodyOfABlockIsLearned) {
  w.Send(1, {"MULTI"});
  w.Send(1, {"EVAL", kIncrScript, "1", "k"});
  w.Send(1, {"EXEC"});
  old_store().Replies({kOk, kQueued, Array({Int(1)})});
  new_store().ReplyToAll(Int(1));
  EXPECT_NE(scripts_->Body(sha_), nullptr);
}

}  // namespace
}  // namespace crossfade
