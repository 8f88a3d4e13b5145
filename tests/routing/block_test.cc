#include "routing/block.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// "1: SET k v" is a command in database 1.
std::vector<QueuedCommand> Commands(const std::vector<std::string_view>& texts) {
  std::vector<QueuedCommand> commands;
  for (std::string_view text : texts) {
    const size_t colon = text.find(": ");
    QueuedCommand& command = commands.emplace_back();
    if (colon != std::string_view::npos) {
      command.db = std::stoi(std::string(text.substr(0, colon)));
      text.remove_prefix(colon + 2);
    }
    command.request = MakeRequest(SplitWords(text));
    command.row = FindCommand(command.request.view());
  }
  return commands;
}

bool IsScript(const QueuedCommand& command) {
  return command.row->name == "eval";
}

std::vector<std::string> Names(const BlockCopies& copies) {
  std::vector<std::string> names;
  for (const BlockCopies::Key& key : copies.keys) names.push_back(std::to_string(key.db) + ":" + key.name);
  return names;
}

TEST(PlanCopies, NothingWithoutACommandThatNeedsIt) {
  const BlockCopies copies = PlanCopies(Commands({"SET a 1", "SET b 2"}), IsScript);
  EXPECT_THAT(copies.keys, IsEmpty());
  EXPECT_THAT(copies.covered, ElementsAre(false, false));
}

TEST(PlanCopies, OnlyWhatIsConcerned) {
  const BlockCopies copies = PlanCopies(Commands({"SET a 1", "EVAL s 1 k", "SET b 2", "GET k"}), IsScript);
  EXPECT_THAT(Names(copies), ElementsAre("0:k"));
  EXPECT_THAT(copies.covered, ElementsAre(false, true, false, false));
}

// Whatever touches a copied key is left out, with its other keys; also what stands before.
TEST(PlanCopies, IsClosed) {
  const BlockCopies copies =
      PlanCopies(Commands({"RENAME b c", "EVAL s 1 a", "RENAME a b", "SET d 1", "COPY c e"}), IsScript);
  EXPECT_THAT(Names(copies), ElementsAre("0:a", "0:b", "0:c", "0:e"));
  EXPECT_THAT(copies.covered, ElementsAre(true, true, true, false, true));
}

TEST(PlanCopies, KnowsDatabases) {
  const BlockCopies copies =
      PlanCopies(Commands({"1: EVAL s 1 k", "0: SET k v", "1: MOVE k 3", "3: SET k w", "3: COPY x y DB 1"}), IsScript);
  EXPECT_THAT(Names(copies), ElementsAre("1:k", "3:k"));
  EXPECT_THAT(copies.covered, ElementsAre(true, false, true, true, false));
}

TEST(PlanCopies, AKeyOnce) {
  EXPECT_THAT(Names(PlanCopies(Commands({"2: EVAL s 2 k k", "0: EVAL s 1 k", "2: EVAL s 1 k"}), IsScript)),
              ElementsAre("0:k", "2:k"));
}

TEST(OtherDatabaseKey, OfMoveAndCopy) {
  const auto other = [](std::string_view text) -> std::string {
    const Request request = MakeRequest(SplitWords(text));
    BlockCopies::Key key;
    if (!OtherDatabaseKey(*FindCommand(request.view()), request.view(), &key)) return "";
    return std::to_string(key.db) + ":" + key.name;
  };
  EXPECT_EQ(other("MOVE k 3"), "3:k");
  EXPECT_EQ(other("COPY a b REPLACE db 2"), "2:b");
  EXPECT_EQ(other("COPY a b"), "");
  EXPECT_EQ(other("COPY db 4"), "");  // two keys
  EXPECT_EQ(other("MOVE k x"), "");
  EXPECT_EQ(other("COPY a b DB -1"), "");
  EXPECT_EQ(other("COPY a b DB"), "");
  EXPECT_EQ(other("RENAME a b"), "");
}

class RewriteBlockTest : public ::testing::Test {
 protected:
  // The secondary's block as text.
  std::vector<std::string> Block(const std::vector<std::string_view>& texts, const std::vector<std::string>& elements,
                                 int db = 0, const std::vector<std::string>& companions = {}) {
    commands_ = Commands(texts);
    const BlockCopies copies = PlanCopies(commands_, IsScript);
    follow_ = Follow();
    block_ = BlockFollow();
    RewriteBlock(
        commands_, db, copies, {elements, companions}, kTimes,
        [&](size_t i) -> Accepted {
          return {*commands_[i].row, commands_[i].request.view(), elements[i], {}, kTimes, true, false};
        },
        &follow_, &block_);
    EXPECT_EQ(block_.element_of.size(), follow_.expectations.size());
    std::vector<std::string> sent;
    RequestParser parser;
    RequestView command;
    size_t consumed = 0;
    for (std::string_view rest = follow_.bytes; !rest.empty(); rest.remove_prefix(consumed)) {
      if (parser.Parse(rest, &command, &consumed) != ParseResult::kDone) break;
      std::string& text = sent.emplace_back();
      for (size_t i = 0; i < command.argc(); ++i) text += (i == 0 ? "" : " ") + std::string(command.arg(i));
    }
    return sent;
  }

  std::vector<QueuedCommand> commands_;
  Follow follow_;
  BlockFollow block_;
};

TEST_F(RewriteBlockTest, EffectsInOneBlock) {
  EXPECT_THAT(Block({"SET a 1", "GET a", "SPOP s", "PUBLISH c m"}, {kOk, "$1\r\n1\r\n", "$1\r\nm\r\n", ":0\r\n"}),
              ElementsAre("MULTI", "SET a 1", "SREM s m", "PUBLISH c m", "EXEC"));
  EXPECT_THAT(block_.element_of, ElementsAre(0, 2, 3));
}

TEST_F(RewriteBlockTest, ASingleCommandIsNoBlock) {
  EXPECT_THAT(Block({"SET a 1", "GET a"}, {kOk, "$1\r\n1\r\n"}), ElementsAre("SET a 1"));
  EXPECT_THAT(Block({"GET a"}, {"$1\r\n1\r\n"}), IsEmpty());
  EXPECT_THAT(Block({"SPOP s"}, {kNil}), IsEmpty());
}

TEST_F(RewriteBlockTest, WhatThePrimaryRefusedIsLeftOut) {
  EXPECT_THAT(Block({"SET a 1", "LPUSH a x", "SET b 1"}, {kOk, "-WRONGTYPE no\r\n", kOk}),
              ElementsAre("MULTI", "SET a 1", "SET b 1", "EXEC"));
  EXPECT_THAT(block_.element_of, ElementsAre(0, 2));
}

// The connection is left in the database in which the lane believes it to be.
TEST_F(RewriteBlockTest, GoesToEachDatabaseAndBack) {
  EXPECT_THAT(
      Block({"2: SET a 1", "2: SELECT 5", "5: SET b 1", "5: SELECT 2", "2: SET c 1"}, {kOk, kOk, kOk, kOk, kOk}, 2),
      ElementsAre("MULTI", "SET a 1", "SELECT 5", "SET b 1", "SELECT 2", "SET c 1", "EXEC"));
  EXPECT_THAT(block_.element_of, ElementsAre(0, -1, 2, -1, 4));
  EXPECT_THAT(Block({"SELECT 1", "1: SET a 1"}, {kOk, kOk}),
              ElementsAre("MULTI", "SELECT 1", "SET a 1", "SELECT 0", "EXEC"));
  EXPECT_THAT(Block({"SELECT 1", "1: GET a"}, {kOk, kNil}), IsEmpty());
}

TEST_F(RewriteBlockTest, ExpiriesBelongToTheirDatabase) {
  Block({"SET a 1 EX 9", "SELECT 4", "4: SET b 1 EX 9"}, {kOk, kOk, kOk});
  ASSERT_EQ(follow_.expiries.size(), 2u);
  EXPECT_EQ(follow_.expiries[0].db, 0);
  EXPECT_EQ(follow_.expiries[1].db, 4);
}

TEST_F(RewriteBlockTest, CopiesComeLast) {
  const std::vector<std::string> sent =
      Block({"EVAL s 1 k", "SET a 1", "1: EVAL s 1 j"}, {"$1\r\nr\r\n", kOk, "$1\r\nr\r\n"}, 0,
            {":-1\r\n", "$3\r\nabc\r\n", ":-2\r\n", kNil});
  EXPECT_THAT(
      sent, ElementsAre("MULTI", "SET a 1", "RESTORE k 0 abc REPLACE ABSTTL", "SELECT 1", "DEL j", "SELECT 0", "EXEC"));
  EXPECT_THAT(block_.element_of, ElementsAre(1, -1, -1, -1, -1));
}

// A script that failed may have written: its keys come as copies all the same.
TEST_F(RewriteBlockTest, ACopyInSpiteOfAnError) {
  EXPECT_THAT(Block({"EVAL s 1 k"}, {"-ERR boom\r\n"}, 0, {":-1\r\n", "$3\r\nabc\r\n"}),
              ElementsAre("RESTORE k 0 abc REPLACE ABSTTL"));
}

TEST_F(RewriteBlockTest, CopiesThatMakeNoSense) {
  Block({"EVAL s 1 k"}, {kOk}, 0, {":-1\r\n"});
  EXPECT_TRUE(follow_.unknown);
  Block({"EVAL s 1 k"}, {kOk}, 0, {"-ERR\r\n", "-ERR\r\n"});
  EXPECT_TRUE(follow_.unknown);
}

// After a swap the copied key is another one, and what the script wrote stands in the other database.
TEST_F(RewriteBlockTest, ASwapBesideCopiesCantBeTold) {
  Block({"EVAL s 1 k", "SWAPDB 0 1"}, {kOk, kOk}, 0, {":-1\r\n", "$3\r\nabc\r\n"});
  EXPECT_TRUE(follow_.unknown);
  EXPECT_THAT(Block({"SET k 1", "SWAPDB 0 1"}, {kOk, kOk}), ElementsAre("MULTI", "SET k 1", "SWAPDB 0 1", "EXEC"));
  EXPECT_FALSE(follow_.unknown);
  Block({"EVAL s 1 k", "SWAPDB 0 99"}, {kOk, "-ERR DB index is out of range\r\n"}, 0, {":-1\r\n", "$3\r\nabc\r\n"});
  EXPECT_FALSE(follow_.unknown);
}

}  // namespace
}  // namespace crossfade
