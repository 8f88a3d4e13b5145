// The waiting room and streams, writers that bypass the proxy, and connections that are lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/waiting_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class WaitingStreamsTest : public WaitingWorld {
 protected:
  static std::string Info(std::string_view end) { return Array({Bulk("last-generated-id"), Bulk(end)}); }
  static std::string Entries(std::string_view key) {
    return Array({Array({Bulk(key), Array({Array({Bulk("7-1"), Array({Bulk("f"), Bulk("v")})})})})});
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
  EXPECT_THAT(Asked(), ElementsAre("XINFO STREAM a"));
  w.old_store.Reply(Info("5-5"));
  EXPECT_THAT(Asked(), ElementsAre("XREAD STREAMS a b 5-5 3-3"));
  w.old_store.Reply(kNilAnswer);
  Write({"XADD", "a", "*", "f", "v"}, Bulk("7-1"));
  EXPECT_THAT(Asked(), ElementsAre("XREAD STREAMS a 5-5"));
  w.old_store.Reply(Entries("a"));
  EXPECT_EQ(answers_[1], Entries("a"));
}

TEST_F(WaitingStreamsTest, AStreamThatIsNotThereYet) {
  Enter(1, {"XREAD", "BLOCK", "0", "STREAMS", "a", "$"});
  Asked();
  w.old_store.Reply("-ERR no such key\r\n");
  EXPECT_THAT(Asked(), ElementsAre("XREAD STREAMS a 0-0"));
  w.old_store.Reply(kNilAnswer);
  EXPECT_TRUE(room_->Waits(1));
}

TEST_F(WaitingStreamsTest, AllReadersAreServed) {
  for (uint64_t client : {1, 2, 3}) {
    Enter(client, {"XREAD", "BLOCK", "0", "STREAMS", "a", "0"});
    w.old_store.Reply(kNilAnswer);
  }
  Asked();
  Write({"XADD", "a", "*", "f", "v"}, Bulk("7-1"));
  EXPECT_THAT(Asked(), ElementsAre("XREAD STREAMS a 0", "XREAD STREAMS a 0", "XREAD STREAMS a 0"));
  w.old_store.Replies({Entries("a"), Entries("a"), Entries("a")});
  for (uint64_t client : {1, 2, 3}) EXPECT_EQ(answers_[client], Entries("a"));
}

TEST_F(WaitingStreamsTest, WhoLeavesWhileTheEndIsAsked) {
  Enter(1, {"XREAD", "BLOCK", "0", "STREAMS", "a", "$"});
  room_->Leave(1);
  Asked();
  w.old_store.Reply(Info("5-5"));
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
  for (uint64_t client : {1, 2}) {
    Enter(client, {"XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "a", ">"});
    Asked();
    w.old_store.Reply(kNilAnswer);
  }
  Write({"XGROUP", "DESTROY", "a", "g"}, Int(1));
  EXPECT_EQ(Asked().size(), 2u);  // it concerns them all
  w.old_store.Replies({"-NOGROUP no\r\n", "-NOGROUP no\r\n"});
  for (uint64_t client : {1, 2}) {
    EXPECT_EQ(answers_[client], "-NOGROUP the consumer group this client was blocked on no longer exists\r\n");
  }
}

TEST_F(WaitingStreamsTest, AStreamThatGoesEndsTheWait) {
  Enter(1, {"XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "a", ">"});
  Asked();
  w.old_store.Reply(kNilAnswer);
  Write({"DEL", "a"}, Int(1));
  Asked();
  w.old_store.Reply("-NOGROUP no\r\n");
  EXPECT_EQ(answers_[1], "-UNBLOCKED the stream key no longer exists\r\n");
}

TEST_F(WaitingStreamsTest, AGroupThatIsNotThereIsTheServersError) {
  Enter(1, {"XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "a", ">"});
  w.old_store.Reply("-NOGROUP No such key\r\n");
  EXPECT_EQ(answers_[1], "-NOGROUP No such key\r\n");
}

// Since Redis 7.2 an attempt that finds nothing makes its consumer, which is a write; it feeds nobody.
TEST_F(WaitingStreamsTest, AConsumerThatIsMadeWakesNobody) {
  Enter(1, {"XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "a", ">"});
  Asked();
  w.old_store.Reply(kNilAnswer);
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
  Enter(1, {"XREAD", "BLOCK", "0", "STREAMS", "a", "5-5"});
  Asked();
  w.old_store.Reply(kNilAnswer);
  EXPECT_THAT(Polled(), ElementsAre("XINFO STREAM a"));
  w.old_store.Reply(Info("5-5"));
  EXPECT_THAT(Asked(), ElementsAre("XREAD STREAMS a 5-5"));  // the first look can't tell
  w.old_store.Reply(kNilAnswer);
  EXPECT_THAT(Polled(), ElementsAre("XINFO STREAM a"));
  w.old_store.Reply(Info("5-5"));
  EXPECT_THAT(Asked(), IsEmpty());
  Polled();
  w.old_store.Reply(Info("7-1"));
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
    Enter(client, {"XREAD", "BLOCK", "0", "STREAMS", "k" + std::to_string(1000 + client), "0"});
    w.old_store.Reply(kNilAnswer);
  }
  Asked();
  std::vector<std::string> asked;
  for (int round = 0; round < 2; ++round) {
    for (const std::string& question : Polled()) asked.push_back(question);
    while (w.old_store.unanswered() > 0) {
      w.old_store.Reply(Info("0-0"));
      for (const std::string& attempt : Asked()) EXPECT_TRUE(attempt.starts_with("XREAD ")) << attempt;
      if (w.old_store.unanswered() > 0 && asked.empty()) break;
    }
  }
  std::sort(asked.begin(), asked.end());
  EXPECT_EQ(std::unique(asked.begin(), asked.end()) - asked.begin(), 600);
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
