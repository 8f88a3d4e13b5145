#include "routing/key_gates.h"

#include "gtest/gtest.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

bool Blocks(const KeyGates& gates, std::string_view text) {
  const Request request = MakeRequest(SplitWords(text));
  return gates.Blocks(*FindCommand(request.view()), request.view());
}

TEST(KeyGates, ItsKeysOnly) {
  KeyGates gates;
  EXPECT_FALSE(Blocks(gates, "FLUSHALL"));
  const KeyGates::Id id = gates.Close({"a", "b"}, false);
  EXPECT_TRUE(Blocks(gates, "GET a"));
  EXPECT_TRUE(Blocks(gates, "MSET x 1 b 2"));
  EXPECT_FALSE(Blocks(gates, "SET c a"));
  EXPECT_FALSE(Blocks(gates, "PING"));
  EXPECT_TRUE(gates.Blocks("a"));
  EXPECT_FALSE(gates.Blocks("c"));
  gates.Open(id);
  EXPECT_TRUE(gates.empty());
  EXPECT_FALSE(Blocks(gates, "GET a"));
}

// Which keys they touch nobody can name.
TEST(KeyGates, WritesWithoutKeysWait) {
  KeyGates gates;
  gates.Close({"a"}, false);
  EXPECT_TRUE(Blocks(gates, "FLUSHALL"));
  EXPECT_TRUE(Blocks(gates, "SWAPDB 0 1"));
  EXPECT_TRUE(Blocks(gates, "EVAL s 0"));
  EXPECT_FALSE(Blocks(gates, "DBSIZE"));
  EXPECT_FALSE(Blocks(gates, "PUBLISH a m"));
}

TEST(KeyGates, AGateForEverything) {
  KeyGates gates;
  const KeyGates::Id all = gates.Close({}, true);
  EXPECT_TRUE(Blocks(gates, "GET anything"));
  EXPECT_TRUE(Blocks(gates, "FLUSHDB"));
  EXPECT_FALSE(Blocks(gates, "PING"));
  gates.Open(all);
  EXPECT_FALSE(Blocks(gates, "GET anything"));
}

// Two transactions may have the same key: the first to end must not open for the second.
TEST(KeyGates, EachOpensItsOwn) {
  KeyGates gates;
  const KeyGates::Id first = gates.Close({"a"}, false);
  const KeyGates::Id second = gates.Close({"a"}, false);
  EXPECT_NE(first, second);
  EXPECT_EQ(gates.size(), 2u);
  gates.Open(first);
  EXPECT_TRUE(gates.Blocks("a"));
  gates.Open(first);
  EXPECT_EQ(gates.size(), 1u);
  gates.Open(second);
  EXPECT_FALSE(gates.Blocks("a"));
}

// A value that is copied in pieces.
TEST(KeyGates, ForWritesLetsReadsPass) {
  KeyGates gates;
  const KeyGates::Id copy = gates.CloseForWrites("a");
  EXPECT_TRUE(Blocks(gates, "SET a v"));
  EXPECT_TRUE(Blocks(gates, "RENAME b a"));
  EXPECT_FALSE(Blocks(gates, "GET a"));
  EXPECT_FALSE(Blocks(gates, "SET b v"));
  EXPECT_TRUE(Blocks(gates, "FLUSHALL"));
  EXPECT_FALSE(Blocks(gates, "SCRIPT FLUSH"));
  EXPECT_TRUE(gates.Blocks("a"));  // nobody else copies or compares it
  const KeyGates::Id transaction = gates.Close({"a"}, false);
  EXPECT_TRUE(Blocks(gates, "GET a"));
  EXPECT_TRUE(Blocks(gates, "SCRIPT FLUSH"));
  gates.Open(transaction);
  gates.Open(copy);
  EXPECT_FALSE(Blocks(gates, "SET a v"));
}

TEST(KeyGates, AnEmptyTransactionBlocksNoKey) {
  KeyGates gates;
  gates.Close({}, false);
  EXPECT_FALSE(Blocks(gates, "GET a"));
  EXPECT_FALSE(gates.empty());
}

}  // namespace
}  // namespace crossfade
