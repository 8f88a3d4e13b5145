#include "proxy/key_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Replies = std::vector<std::string>;

std::string Type(const std::string& name) {
  return "+" + name + "\r\n";
}

// A HyperLogLog in its sparse form; `cache` is what a server has put into its header.
std::string Hll(char cache) {
  return std::string("HYLL\x01\x00\x00\x00", 8) + std::string(8, cache) + "\x7f\xff";
}

class KeyCheckTest : public LaneWorldTest {
 protected:
  KeyCheckTest() {
    w.config.repair.enabled = false;
    w.config.limits.settle_value_bytes = 10'000;
    w.Start();
    check_ = std::make_unique<KeyCheck>(&w.io, &w.config.limits, w.lane.get());
  }
  void TearDown() override {
    EXPECT_EQ(check_->in_flight(), 0u);
    LaneWorldTest::TearDown();
  }
  void Check(const std::string& key = "k", int db = 0) {
    verdict_.reset();
    check_->Check(db, key, [this](const KeyVerdict& verdict) {
      EXPECT_FALSE(verdict_.has_value());
      verdict_ = verdict;
    });
  }
  void Answer(const Replies& primary, const Replies& secondary) {
    for (const std::string& reply : primary) old_store().Reply(reply);
    for (const std::string& reply : secondary) new_store().Reply(reply);
  }
  void AnswerBoth(const Replies& replies) { Answer(replies, replies); }
  // A check up to its last question: a small key without a TTL.
  void Look(const std::string& type) {
    Check();
    old_store().Sent();
    new_store().Sent();
    AnswerBoth({Type(type), Int(-1), Int(60)});
    EXPECT_FALSE(verdict_.has_value());
  }
  // … and its last question, with these values.
  KeyOutcome CheckValues(const std::string& type, const Replies& primary, const Replies& secondary) {
    Look(type);
    Replies all_primary = {Type(type), Int(-1)};
    Replies all_secondary = all_primary;
    all_primary.insert(all_primary.end(), primary.begin(), primary.end());
    all_secondary.insert(all_secondary.end(), secondary.begin(), secondary.end());
    Answer(all_primary, all_secondary);
    return Outcome();
  }
  KeyOutcome CheckStrings(int64_t primary_ttl, int64_t secondary_ttl) {
    Look("string");
    Answer({Type("string"), Int(primary_ttl), Bulk("v")}, {Type("string"), Int(secondary_ttl), Bulk("v")});
    return Outcome();
  }
  KeyOutcome Outcome() const {
    EXPECT_TRUE(verdict_.has_value());
    return verdict_.value_or(KeyVerdict{}).outcome;
  }
  KeyDifference Difference() const { return verdict_.value_or(KeyVerdict{}).difference; }

  std::unique_ptr<KeyCheck> check_;
  std::optional<KeyVerdict> verdict_;
};

TEST_F(KeyCheckTest, AsksBothAtOnePlaceOfTheLane) {
  Check();
  EXPECT_THAT(old_store().Sent(), ElementsAre("TYPE k", "PTTL k", "MEMORY USAGE k SAMPLES 5"));
  EXPECT_THAT(new_store().Sent(), ElementsAre("TYPE k", "PTTL k", "MEMORY USAGE k SAMPLES 5"));
  AnswerBoth({Type("string"), Int(-1), Int(60)});
  w.Send(1, {"SET", "k", "2"});  // after the question: the secondary answers it first as well
  EXPECT_THAT(old_store().Sent(), ElementsAre("TYPE k", "PTTL k", "GET k", "SET k 2"));
  const uint64_t next = w.lane->next_order();
  old_store().Replies({Type("string"), Int(-1), Bulk("1"), kOk});
  EXPECT_THAT(new_store().Sent(), ElementsAre("TYPE k", "PTTL k", "GET k", "SET k 2"));
  new_store().Replies({Type("string"), Int(-1), Bulk("1"), kOk});
  EXPECT_EQ(Outcome(), KeyOutcome::kEqual);
  EXPECT_LT(verdict_->order, next);
}

TEST_F(KeyCheckTest, AValueThatDiffersIsFound) {
  EXPECT_EQ(CheckValues("string", {Bulk("1")}, {Bulk("2")}), KeyOutcome::kDiffers);
  EXPECT_EQ(Difference(), KeyDifference::kValue);
  EXPECT_GT(verdict_->order, 0u);
}

TEST_F(KeyCheckTest, EachTypeIsReadInItsWay) {
  const struct {
    const char* type;
    std::vector<std::string> commands;
  } kRows[] = {{"string", {"GET k"}},
               {"list", {"LRANGE k 0 -1"}},
               {"set", {"SMEMBERS k"}},
               {"hash", {"HGETALL k"}},
               {"zset", {"ZRANGE k 0 -1 WITHSCORES"}},
               {"stream", {"XINFO STREAM k FULL COUNT 0"}},
               {"ReJSON-RL", {"DUMP k"}}};
  for (const auto& row : kRows) {
    Look(row.type);
    AnswerBoth({Type(row.type), Int(-1)});
    std::vector<std::string> expected = {"TYPE k", "PTTL k"};
    expected.insert(expected.end(), row.commands.begin(), row.commands.end());
    EXPECT_EQ(old_store().Sent(), expected);
    EXPECT_EQ(new_store().Sent(), expected);
    for (size_t i = 0; i < row.commands.size(); ++i) AnswerBoth({Array({Bulk("a"), Bulk("1")})});
    EXPECT_EQ(Outcome(), KeyOutcome::kEqual) << row.type;
  }
}

TEST_F(KeyCheckTest, I7OrderCountsOnlyWhereATypeHasOne) {
  const Replies ab = {Array({Bulk("a"), Bulk("1"), Bulk("b"), Bulk("2")})};
  const Replies ba = {Array({Bulk("b"), Bulk("2"), Bulk("a"), Bulk("1")})};
  const Replies mixed = {Array({Bulk("a"), Bulk("2"), Bulk("b"), Bulk("1")})};
  EXPECT_EQ(CheckValues("list", ab, ba), KeyOutcome::kDiffers);
  EXPECT_EQ(CheckValues("set", ab, ba), KeyOutcome::kEqual);
  EXPECT_EQ(CheckValues("set", ab, {Array({Bulk("a"), Bulk("1"), Bulk("b"), Bulk("3")})}), KeyOutcome::kDiffers);
  EXPECT_EQ(CheckValues("hash", ab, ba), KeyOutcome::kEqual);
  EXPECT_EQ(CheckValues("hash", ab, mixed), KeyOutcome::kDiffers);
  EXPECT_EQ(CheckValues("zset", ab, mixed), KeyOutcome::kDiffers);
  EXPECT_EQ(CheckValues("zset", {Array({Bulk("a"), Bulk("1.5")})}, {Array({Bulk("a"), Bulk("1.50")})}),
            KeyOutcome::kEqual);
  EXPECT_EQ(CheckValues("zset", {Array({Bulk("1"), Bulk("1")})}, {Array({Bulk("1.0"), Bulk("1")})}),
            KeyOutcome::kDiffers);  // a member is no number
}

TEST_F(KeyCheckTest, AStreamIsItsEntriesItselfItsGroupsAndWhatIsPending) {
  const auto full = [](int64_t keys, const char* last_id, const char* entry, int64_t delivered_at, int64_t count) {
    const std::string entries = Array({Array({Bulk(entry), Array({Bulk("f"), Bulk("v")})})});
    const std::string pending = Array({Array({Bulk("1-1"), Bulk("alice"), Int(delivered_at), Int(count)})});
    const std::string own = Array({Array({Bulk("1-1"), Int(delivered_at), Int(count)})});
    const std::string alice = Array({Bulk("name"), Bulk("alice"), Bulk("seen-time"), Int(delivered_at),
                                     Bulk("pel-count"), Int(1), Bulk("pending"), own});
    const std::string group =
        Array({Bulk("name"), Bulk("g"), Bulk("last-delivered-id"), Bulk("1-1"), Bulk("entries-read"), Int(delivered_at),
               Bulk("pel-count"), Int(1), Bulk("pending"), pending, Bulk("consumers"), Array({alice})});
    return Array({Bulk("length"), Int(1), Bulk("radix-tree-keys"), Int(keys), Bulk("last-generated-id"), Bulk(last_id),
                  Bulk("entries"), entries, Bulk("groups"), Array({group})});
  };
  const Replies one = {full(1, "1-1", "1-1", 10, 1)};
  EXPECT_EQ(CheckValues("stream", one, {full(2, "1-1", "1-1", 20, 1)}), KeyOutcome::kEqual);
  EXPECT_EQ(CheckValues("stream", one, {full(1, "2-1", "1-1", 10, 1)}), KeyOutcome::kDiffers);
  EXPECT_EQ(CheckValues("stream", one, {full(1, "1-1", "1-2", 10, 1)}), KeyOutcome::kDiffers);
  EXPECT_EQ(CheckValues("stream", one, {full(1, "1-1", "1-1", 10, 2)}), KeyOutcome::kDiffers);
}

TEST_F(KeyCheckTest, WhereXinfoFullIsUnknownAStreamIsComparedWithoutIt) {
  Look("stream");
  Answer({Type("stream"), Int(-1), "-ERR syntax error\r\n"}, {Type("stream"), Int(-1), Array({})});
  old_store().Sent();
  const std::string info = Array({Bulk("length"), Int(1)});
  const auto groups = [](int64_t pending) {
    return Array({Array({Bulk("name"), Bulk("g"), Bulk("pending"), Int(pending)})});
  };
  Answer({Type("stream"), Int(-1), Array({}), info, groups(0)}, {Type("stream"), Int(-1), Array({}), info, groups(1)});
  EXPECT_EQ(Outcome(), KeyOutcome::kDiffers);
  Look("stream");
  AnswerBoth({Type("stream"), Int(-1), "-NOPERM x\r\n"});
  AnswerBoth({Type("stream"), Int(-1), "-NOPERM x\r\n", "-NOPERM x\r\n", "-NOPERM x\r\n"});
  EXPECT_EQ(Outcome(), KeyOutcome::kNotComparable);
}

TEST_F(KeyCheckTest, AKeyThatOnlyOneSideHasDiffers) {
  Check();
  AnswerBoth({Type("none"), Int(-2), kNil});
  EXPECT_EQ(Outcome(), KeyOutcome::kEqual);
  Check();
  Answer({Type("string"), Int(-1), Int(60)}, {Type("none"), Int(-2), kNil});
  EXPECT_EQ(Outcome(), KeyOutcome::kDiffers);
  EXPECT_EQ(Difference(), KeyDifference::kMissingOnSecondary);
  Check();
  Answer({Type("none"), Int(-2), kNil}, {Type("string"), Int(60'000), Int(60)});
  EXPECT_EQ(Outcome(), KeyOutcome::kDiffers);
  EXPECT_EQ(Difference(), KeyDifference::kOnlyOnSecondary);
  Check();
  Answer({Type("list"), Int(-1), Int(60)}, {Type("set"), Int(-1), Int(60)});
  EXPECT_EQ(Difference(), KeyDifference::kType);
}

TEST_F(KeyCheckTest, TimesToLiveMayBeALittleApart) {
  // 100 ms, and by how much both clocks are uncertain: 2 ms each at the least.
  EXPECT_EQ(CheckStrings(60'000, 59'896), KeyOutcome::kEqual);
  EXPECT_EQ(CheckStrings(60'000, 60'104), KeyOutcome::kEqual);
  EXPECT_EQ(CheckStrings(60'000, 60'105), KeyOutcome::kDiffers);
  EXPECT_EQ(Difference(), KeyDifference::kTtl);
  EXPECT_EQ(CheckStrings(60'000, -1), KeyOutcome::kDiffers);
  EXPECT_EQ(CheckStrings(-1, 60'000), KeyOutcome::kDiffers);
  EXPECT_EQ(Difference(), KeyDifference::kTtl);
}

TEST_F(KeyCheckTest, I7TheLagIsNoDifference) {
  Look("string");
  old_store().Replies({Type("string"), Int(60'000), Bulk("v")});
  w.Advance(3000);
  new_store().Replies({Type("string"), Int(57'000), Bulk("v")});
  EXPECT_EQ(Outcome(), KeyOutcome::kEqual);
}

TEST_F(KeyCheckTest, I7AMomentThatAClientChoseIsTakenByEachStoresClock) {
  new_store().skew_ms = 5000;
  w.lane->Tick();
  old_store().Sent();
  new_store().Sent();
  EXPECT_EQ(CheckStrings(60'000, 60'000), KeyOutcome::kEqual);  // PEXPIRE: for so long
  EXPECT_EQ(CheckStrings(60'000, 55'000), KeyOutcome::kEqual);  // PEXPIREAT: until then
  EXPECT_EQ(CheckStrings(60'000, 65'000), KeyOutcome::kDiffers);
  EXPECT_EQ(CheckStrings(60'000, 57'500), KeyOutcome::kDiffers);
  Check();
  Answer({Type("string"), Int(4000), Int(60)}, {Type("none"), Int(-2), kNil});
  EXPECT_EQ(Outcome(), KeyOutcome::kExpiring);
}

TEST_F(KeyCheckTest, I7AKeyThatIsJustExpiringIsToldApart) {
  Check();
  Answer({Type("string"), Int(40), Int(60)}, {Type("none"), Int(-2), kNil});
  EXPECT_EQ(Outcome(), KeyOutcome::kExpiring);
  Check();
  Answer({Type("none"), Int(-2), kNil}, {Type("string"), Int(104), Int(60)});
  EXPECT_EQ(Outcome(), KeyOutcome::kExpiring);
  Check();
  Answer({Type("none"), Int(-2), kNil}, {Type("string"), Int(105), Int(60)});
  EXPECT_EQ(Outcome(), KeyOutcome::kDiffers);
  Look("string");  // gone between PTTL and GET
  Answer({Type("string"), Int(3), kNil}, {Type("string"), Int(3), Bulk("v")});
  EXPECT_EQ(Outcome(), KeyOutcome::kExpiring);
  Look("string");  // … and between TYPE and PTTL
  Answer({Type("string"), Int(-2), kNil}, {Type("none"), Int(-2), kNil});
  EXPECT_EQ(Outcome(), KeyOutcome::kEqual);
}

TEST_F(KeyCheckTest, I9ALargeValueIsNotFetched) {
  Check();
  Answer({Type("hash"), Int(-1), Int(9000)}, {Type("hash"), Int(-1), Int(10'001)});
  EXPECT_EQ(Outcome(), KeyOutcome::kTooBig);
  Check();
  Answer({Type("hash"), Int(-1), Int(20'000)}, {Type("hash"), Int(60'000), Int(9000)});
  EXPECT_EQ(Outcome(), KeyOutcome::kDiffers);  // that much can be told
  EXPECT_EQ(Difference(), KeyDifference::kTtl);
  EXPECT_EQ(old_store().unanswered(), 0u);
}

TEST_F(KeyCheckTest, I9WhereMemoryCantBeAskedTheLengthIs) {
  const std::string unknown = "-ERR unknown command 'MEMORY'\r\n";
  const auto look = [&](const char* type, int64_t primary_length, int64_t secondary_length) {
    Check();
    Answer({Type(type), Int(-1), Int(60)}, {Type(type), Int(-1), unknown});
    Answer({Type(type), Int(-1), Int(primary_length)}, {Type(type), Int(-1), Int(secondary_length)});
  };
  old_store().Sent();
  look("string", 10'001, 5);
  EXPECT_EQ(Outcome(), KeyOutcome::kTooBig);
  EXPECT_THAT(new_store().Sent(),
              ElementsAre("TYPE k", "PTTL k", "MEMORY USAGE k SAMPLES 5", "TYPE k", "PTTL k", "STRLEN k"));
  look("list", 1, 157);
  EXPECT_EQ(Outcome(), KeyOutcome::kTooBig);
  look("list", 1, 156);
  EXPECT_FALSE(verdict_.has_value());
  AnswerBoth({Type("list"), Int(-1), Array({Bulk("a")})});
  EXPECT_EQ(Outcome(), KeyOutcome::kEqual);
  Check();  // a module's value has no length
  AnswerBoth({Type("MBbloom--"), Int(-1), unknown});
  EXPECT_EQ(Outcome(), KeyOutcome::kNotComparable);
  Check();  // another type meanwhile
  AnswerBoth({Type("list"), Int(-1), unknown});
  AnswerBoth({Type("set"), Int(-1), "-WRONGTYPE\r\n"});
  EXPECT_EQ(Outcome(), KeyOutcome::kBusy);
}

TEST_F(KeyCheckTest, B14HyperLogLogsAreTheirCounts) {
  const auto strings = [](const std::string& value, const std::string& count) {
    return Replies{Type("string"), Int(-1), Bulk(value), count};
  };
  EXPECT_EQ(CheckValues("string", {Bulk(Hll('a'))}, {Bulk(Hll('a'))}), KeyOutcome::kEqual);
  const auto look = [&](const std::string& a, const std::string& b) {
    Look("string");
    Answer({Type("string"), Int(-1), Bulk(a)}, {Type("string"), Int(-1), Bulk(b)});
    EXPECT_FALSE(verdict_.has_value());
  };
  look(Hll('a'), Hll('b'));
  EXPECT_THAT(new_store().Sent(), ElementsAre("TYPE k", "PTTL k", "GET k", "TYPE k", "PTTL k", "GET k", "PFCOUNT k"));
  Answer(strings(Hll('a'), Int(3)), strings(Hll('b'), Int(3)));
  EXPECT_EQ(Outcome(), KeyOutcome::kEqual);
  look(Hll('a'), Hll('b'));
  Answer(strings(Hll('a'), Int(3)), strings(Hll('b'), Int(4)));
  EXPECT_EQ(Outcome(), KeyOutcome::kDiffers);
  const std::string no_hll = "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n";
  look("HYLLa", "HYLLb");  // plain strings
  Answer(strings("HYLLa", no_hll), strings("HYLLb", no_hll));
  EXPECT_EQ(Outcome(), KeyOutcome::kDiffers);
  look(Hll('a'), Hll('b'));
  Answer(strings(Hll('a'), Int(3)), strings(Hll('b'), "-READONLY replica\r\n"));
  EXPECT_EQ(Outcome(), KeyOutcome::kNotComparable);
  EXPECT_EQ(CheckValues("string", {Bulk(Hll('a'))}, {Bulk("other")}), KeyOutcome::kDiffers);
}

TEST_F(KeyCheckTest, AModulesValueIsEqualOrUntold) {
  EXPECT_EQ(CheckValues("ReJSON-RL", {Bulk("dump")}, {Bulk("dump")}), KeyOutcome::kEqual);
  EXPECT_EQ(CheckValues("ReJSON-RL", {Bulk("dump")}, {Bulk("dumq")}), KeyOutcome::kNotComparable);
  EXPECT_EQ(CheckValues("string", {"-NOPERM no\r\n"}, {Bulk("v")}), KeyOutcome::kNotComparable);
  EXPECT_EQ(CheckValues("list", {Array({})}, {"-NOPERM no\r\n"}), KeyOutcome::kNotComparable);
  Check();
  AnswerBoth({"-NOPERM no\r\n", "-NOPERM no\r\n", "-NOPERM no\r\n"});
  EXPECT_EQ(Outcome(), KeyOutcome::kNotComparable);
}

TEST_F(KeyCheckTest, WhatChangedMeanwhileIsBusy) {
  Look("string");
  AnswerBoth({Type("list"), Int(-1), "-WRONGTYPE\r\n"});
  EXPECT_EQ(Outcome(), KeyOutcome::kBusy);
  Look("string");
  AnswerBoth({Type("none"), Int(-2), kNil});
  EXPECT_EQ(Outcome(), KeyOutcome::kEqual);
  Look("string");
  Answer({Type("list"), Int(-1), "-WRONGTYPE\r\n"}, {Type("string"), Int(-1), Bulk("v")});
  EXPECT_EQ(Difference(), KeyDifference::kType);  // also at this instant
}

TEST_F(KeyCheckTest, AStoreThatIsAwayIsBusy) {
  Check();
  new_store().Close();
  old_store().ReplyToAll(Int(1));
  EXPECT_EQ(Outcome(), KeyOutcome::kBusy);
  Check();
  EXPECT_EQ(Outcome(), KeyOutcome::kBusy);  // at once
  EXPECT_THAT(old_store().Sent(), ElementsAre("TYPE k", "PTTL k", "MEMORY USAGE k SAMPLES 5"));
  new_store().Connect();
  Look("string");
  old_store().Close();
  new_store().ReplyToAll(Int(1));
  EXPECT_EQ(Outcome(), KeyOutcome::kBusy);
}

}  // namespace
}  // namespace crossfade
