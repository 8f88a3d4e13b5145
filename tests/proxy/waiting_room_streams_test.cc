// The waiting room and streams, writers that bypass the proxy, and connections that are lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/waiting_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

const char kNoSuchKey[] = "-ERR no such key\r\n";

class WaitingStreamsTest : public WaitingWorld {
 protected:
  static std::string Entries(std::string_view key) {
    return Array({Array({Bulk(key), Array({Array({Bulk("7-1"), Array({Bulk("f"), Bulk("v")})})})})});
  }
  // A consumer of group g, which finds nothing in stream a. `asked` as in ParkAtStreams.
  void ParkInGroup(uint64_t client, std::string_view consumer, std::initializer_list<std::string> asked) {
    ParkAtStreams(client, {"XREADGROUP", "GROUP", "g", consumer, "BLOCK", "0", "STREAMS", "a", ">"}, asked);
  }
  // One round of polling, 50 ms later: what was asked.
  std::vector<std::string> Polled() {
    w.Advance(50);
    return Asked();
  }
};

// "$" is the end at the moment of asking, and later attempts must not move it.
TEST_F(WaitingStreamsTest, TheEndIsAskedOnce) {
  Enter(1, {"XREAD", "BLOCK", "0", "STREAMS", "a", "b", "$", "3-3"});
  // Both streams for what the poll compares with, and the one with "$" for the attempt.
  EXPECT_THAT(Asked(), ElementsAre("XINFO STREAM a", "XINFO STREAM b", "XINFO STREAM a"));
  w.old_store.Replies({StreamInfo("4-4"), StreamInfo("3-3")});
  EXPECT_THAT(Asked(), IsEmpty());
  w.old_store.Reply(StreamInfo("5-5"));  // it has grown in between
  EXPECT_THAT(Asked(), ElementsAre("XREAD STREAMS a b 5-5 3-3"));
  w.old_store.Reply(kNilAnswer);
  Write({"XADD", "a", "*", "f", "v"}, Bulk("7-1"));
  EXPECT_THAT(Asked(), ElementsAre("XREAD STREAMS a 5-5"));
  w.old_store.Reply(Entries("a"));
  EXPECT_EQ(answers_[1], Entries("a"));
}

TEST_F(WaitingStreamsTest, AStreamThatIsNotThereYet) {
  Enter(1, {"XREAD", "BLOCK", "0", "STREAMS", "a", "$"});
  EXPECT_THAT(Asked(), ElementsAre("XINFO STREAM a", "XINFO STREAM a"));
  w.old_store.Replies({kNoSuchKey, kNoSuchKey});
  EXPECT_THAT(Asked(), ElementsAre("XREAD STREAMS a 0-0"));
  w.old_store.Reply(kNilAnswer);
  EXPECT_TRUE(room_->Waits(1));
  EXPECT_THAT(Polled(), ElementsAre("XINFO STREAM a"));
  w.old_store.Reply(kNoSuchKey);
  EXPECT_THAT(Asked(), IsEmpty());
  EXPECT_THAT(Polled(), ElementsAre("XINFO STREAM a"));
  w.old_store.Reply(StreamInfo("7-1"));
  EXPECT_THAT(Asked(), ElementsAre("XREAD STREAMS a 0-0"));
  w.old_store.Reply(Entries("a"));
  EXPECT_EQ(answers_[1], Entries("a"));
}

TEST_F(WaitingStreamsTest, AllReadersAreServed) {
  ParkAtStreams(1, {"XREAD", "BLOCK", "0", "STREAMS", "a", "0"}, {"XINFO STREAM a", "XREAD STREAMS a 0"});
  for (uint64_t client : {2, 3}) {  // where it ends is known meanwhile
    ParkAtStreams(client, {"XREAD", "BLOCK", "0", "STREAMS", "a", "0"}, {"XREAD STREAMS a 0"});
  }
  Write({"XADD", "a", "*", "f", "v"}, Bulk("7-1"));
  EXPECT_THAT(Asked(), ElementsAre("XREAD STREAMS a 0", "XREAD STREAMS a 0", "XREAD STREAMS a 0"));
  w.old_store.Replies({Entries("a"), Entries("a"), Entries("a")});
  for (uint64_t client : {1, 2, 3}) EXPECT_EQ(answers_[client], Entries("a"));
}

TEST_F(WaitingStreamsTest, WhoLeavesWhileTheEndIsAsked) {
  Enter(1, {"XREAD", "BLOCK", "0", "STREAMS", "a", "$"});
  room_->Leave(1);
  EXPECT_THAT(Asked(), ElementsAre("XINFO STREAM a", "XINFO STREAM a"));
  w.old_store.Replies({StreamInfo("5-5"), StreamInfo("5-5")});
  EXPECT_TRUE(room_->empty());
  EXPECT_THAT(Asked(), IsEmpty());
}

TEST_F(WaitingStreamsTest, ThePrimaryIsLostWhileTheEndIsAsked) {
  Enter(1, {"XREAD", "BLOCK", "0", "STREAMS", "a", "$"});
  w.old_store.Close();
  EXPECT_THAT(answers_[1], testing::HasSubstr("-ERR crossfade: the primary can't be reached"));
  EXPECT_TRUE(room_->empty());
}

TEST_F(WaitingStreamsTest, AGroupThatGoesEndsTheWait) {
  ParkInGroup(1, "c", {"XINFO STREAM a", "XREADGROUP GROUP g c STREAMS a >"});
  ParkInGroup(2, "d", {"XREADGROUP GROUP g c STREAMS a >"});  // the first looks for both
  Write({"XGROUP", "DESTROY", "a", "g"}, Int(1));
  EXPECT_THAT(Asked(), ElementsAre("XREADGROUP GROUP g c STREAMS a >",
                                   "XREADGROUP GROUP g d STREAMS a >"));  // it concerns them all
  w.old_store.Replies({"-NOGROUP no\r\n", "-NOGROUP no\r\n"});
  for (uint64_t client : {1, 2}) {
    EXPECT_EQ(answers_[client], "-NOGROUP the consumer group this client was blocked on no longer exists\r\n");
  }
}

TEST_F(WaitingStreamsTest, AStreamThatGoesEndsTheWait) {
  ParkInGroup(1, "c", {"XINFO STREAM a", "XREADGROUP GROUP g c STREAMS a >"});
  Write({"DEL", "a"}, Int(1));
  EXPECT_THAT(Asked(), ElementsAre("XREADGROUP GROUP g c STREAMS a >"));
  w.old_store.Reply("-NOGROUP no\r\n");
  EXPECT_EQ(answers_[1], "-UNBLOCKED the stream key no longer exists\r\n");
}

TEST_F(WaitingStreamsTest, AGroupThatIsNotThereIsTheServersError) {
  Enter(1, {"XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "a", ">"});
  w.old_store.Replies({kNoSuchKey, "-NOGROUP No such key\r\n"});
  EXPECT_EQ(answers_[1], "-NOGROUP No such key\r\n");
}

// Since Redis 7.2 an attempt that finds nothing makes its consumer, which is a write; it feeds nobody.
TEST_F(WaitingStreamsTest, AConsumerThatIsMadeWakesNobody) {
  ParkInGroup(1, "c", {"XINFO STREAM a", "XREADGROUP GROUP g c STREAMS a >"});
  EXPECT_THAT(w.new_store.Sent(), ElementsAre("XGROUP CREATECONSUMER a g c"));
  w.new_store.Reply(Int(1));
  EXPECT_THAT(Asked(), IsEmpty());
  EXPECT_TRUE(room_->Waits(1));
}

// --- Writers that bypass the proxy -------------------------------------------------------------------------------

TEST_F(WaitingStreamsTest, OneQuestionForManyKeys) {
  Park(1, {"BLPOP", "b", "a", "0"});
  Park(2, {"BZPOPMIN", "z", "0"});
  EXPECT_THAT(Polled(), ElementsAre("EXISTS a b z"));
  w.old_store.Reply(Int(0));
  EXPECT_THAT(Asked(), IsEmpty());
  EXPECT_THAT(Polled(), ElementsAre("EXISTS a b z"));
  w.old_store.Reply(Int(1));
  EXPECT_THAT(Asked(), ElementsAre("TYPE a", "TYPE b", "TYPE z"));
  w.old_store.Replies({"+none\r\n", "+list\r\n", "+none\r\n"});
  EXPECT_THAT(Asked(), ElementsAre("LMPOP 1 b LEFT"));
  w.old_store.Reply(Array({Bulk("b"), Array({Bulk("x")})}));
  EXPECT_EQ(answers_[1], Popped("b", "x"));
}

TEST_F(WaitingStreamsTest, AKeyOfAnotherTypeIsLeftAlone) {
  Park(1, {"BLPOP", "k", "0"});
  EXPECT_THAT(Polled(), ElementsAre("EXISTS k"));
  w.old_store.Reply(Int(1));
  EXPECT_THAT(Asked(), ElementsAre("TYPE k"));
  w.old_store.Reply("+string\r\n");
  EXPECT_TRUE(room_->Waits(1));
  EXPECT_THAT(Polled(), ElementsAre("EXISTS k"));
  w.old_store.Reply(Int(0));
}

TEST_F(WaitingStreamsTest, AStreamThatHasGrown) {
  ParkAtStreams(1, {"XREAD", "BLOCK", "0", "STREAMS", "a", "5-5"}, {"XINFO STREAM a", "XREAD STREAMS a 5-5"});
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(Polled(), ElementsAre("XINFO STREAM a"));
    w.old_store.Reply(StreamInfo("5-5"));
    EXPECT_THAT(Asked(), IsEmpty());
  }
  EXPECT_THAT(Polled(), ElementsAre("XINFO STREAM a"));
  w.old_store.Reply(StreamInfo("7-1"));
  EXPECT_THAT(Asked(), ElementsAre("XREAD STREAMS a 5-5"));
  w.old_store.Reply(Entries("a"));
  EXPECT_EQ(answers_[1], Entries("a"));
}

TEST_F(WaitingStreamsTest, ASlowAnswerIsNotAskedForAgain) {
  Park(1, {"BLPOP", "k", "0"});
  EXPECT_THAT(Polled(), ElementsAre("EXISTS k"));
  EXPECT_THAT(Polled(), IsEmpty());
  w.old_store.Reply(Int(0));
  EXPECT_THAT(Polled(), ElementsAre("EXISTS k"));
  w.old_store.Reply(Int(0));
  room_->Leave(1);
  EXPECT_THAT(Polled(), IsEmpty());
}

TEST_F(WaitingStreamsTest, ManyKeysAreAskedInPieces) {
  for (uint64_t client = 1; client <= 250; ++client) {
    Enter(client, {"BLPOP", "k" + std::to_string(1000 + client), "0"});
    w.old_store.Reply(kNil);
  }
  Asked();
  EXPECT_EQ(Polled().size(), 3u);
  w.old_store.ReplyToAll(Int(0));
}

TEST_F(WaitingStreamsTest, ManyStreamsAreAskedInTurns) {
  for (uint64_t client = 1; client <= 600; ++client) {
    const std::string key = "k" + std::to_string(1000 + client);
    ParkAtStreams(client, {"XREAD", "BLOCK", "0", "STREAMS", key, "0"},
                  {"XINFO STREAM " + key, "XREAD STREAMS " + key + " 0"});
  }
  const auto round = [this] {
    std::vector<std::string> asked = Polled();
    for (size_t i = 0; i < asked.size(); ++i) w.old_store.Reply(StreamInfo("5-5"));
    EXPECT_THAT(Asked(), IsEmpty());
    return asked;
  };
  std::vector<std::string> expected;
  for (int key = 1001; key <= 1600; ++key) expected.push_back("XINFO STREAM k" + std::to_string(key));
  const auto half = expected.begin() + 500;
  EXPECT_THAT(round(), ElementsAreArray(expected.begin(), half));
  EXPECT_THAT(round(), ElementsAreArray(half, expected.end()));
  EXPECT_THAT(round(), ElementsAreArray(expected.begin(), half));
}

// --- Connections that are lost -----------------------------------------------------------------------------------

TEST_F(WaitingStreamsTest, WhileThePrimaryIsAwayTheyWait) {
  Park(1, {"BLPOP", "k", "0"});
  w.old_store.Close();
  EXPECT_TRUE(room_->Waits(1));
  w.Advance(60);
  w.old_store.Connect();
  Asked();
  EXPECT_THAT(Polled(), ElementsAre("EXISTS k"));
  w.old_store.Reply(Int(1));
  w.old_store.Reply("+list\r\n");
  w.old_store.Reply(Bulk("x"));
  EXPECT_EQ(answers_[1], Popped("k", "x"));
}

TEST_F(WaitingStreamsTest, AnAttemptWithoutAPrimary) {
  w.old_store.Close();
  Enter(1, {"BLPOP", "k", "0"});
  EXPECT_THAT(answers_[1], testing::HasSubstr("-ERR crossfade: the primary (old"));
  EXPECT_TRUE(room_->empty());
}

}  // namespace
}  // namespace crossfade
