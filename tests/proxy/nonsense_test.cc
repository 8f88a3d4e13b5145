// What a store or a damaged file may say beside what makes sense: it is cut to what can be computed with, or refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/backfill_record.h"
#include "proxy/preflight_read.h"
#include "proxy/snapshot_check.h"
#include "proxy/verify_result.h"
#include "tests/proxy/fake_backend.h"

namespace crossfade {
namespace {

TEST(NonsenseTest, FiguresOfAPreflightDoNotOverflow) {
  const std::string most = "9223372036854775807";
  std::vector<std::string> answers(static_cast<size_t>(LookQuestions().count), "+OK\r\n");
  answers[0] = Bulk("used_memory:" + most + "\r\ndb0:keys=" + most + "\r\ndb1:keys=" + most + "\r\n");
  answers[1] = Bulk("cmdstat_get:calls=" + most + "\r\ncmdstat_GET:calls=" + most + "\r\n");
  StoreFacts store;
  ReadLook(answers, &store);
  EXPECT_EQ(store.info.value.all_keys(), kMostFigure);
  EXPECT_EQ(store.info.value.used_memory, kMostFigure);
  EXPECT_EQ(store.calls.value["get"], kMostFigure);
}

TEST(NonsenseTest, ASnapshotOfNoTimeIsNoneThatIsKnown) {
  const std::string took = "rdb_last_bgsave_time_sec:2\r\n";
  EXPECT_EQ(ReadSnapshotFacts("rdb_last_save_time:1700000000\r\n" + took).begun_s, 1'699'999'998);
  const SnapshotFacts facts = ReadSnapshotFacts("rdb_last_save_time:9223372036854775807\r\n" + took);
  EXPECT_EQ(facts.begun_s, -1);
  EXPECT_FALSE(JudgeSnapshot(facts, facts, 0, false).ok());
}

TEST(NonsenseTest, ABackfillOfAnyDatabaseIsReadAgain) {
  BackfillRecord record;
  record.state = Sweep::State::kPaused;
  record.options.scope = {.match = "a\\*", .type = "hash", .db = 40'000};
  record.place.db = 40'000;
  record.place.cursor = "18446744073709551615";
  const auto read = ReadBackfillText(BackfillText(record));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(BackfillText(*read), BackfillText(record));
  record.place.cursor = "184467440737095516150";
  EXPECT_FALSE(ReadBackfillText(BackfillText(record)).has_value());
}

TEST(NonsenseTest, AVerificationsPatternIsTheSameAfterEachRestart) {
  VerifyResult result;
  result.state = VerifyState::kDone;
  for (const std::string& match : {std::string("a\\[*\xff"), std::string("\\x41"), std::string(1500, 'x')}) {
    result.options.match = match;
    const std::string text = VerifyJson(result, 0).dump();
    VerifyResult read;
    ASSERT_TRUE(ReadVerifyJson(text, &read));
    if (match.size() <= kMaxNameBytes) {
      EXPECT_EQ(read.options.match, match);
    }
    EXPECT_EQ(VerifyJson(read, 0).dump(), text);
  }
}

TEST(NonsenseTest, AVerificationsDamagedFiguresAreLeftOut) {
  VerifyResult read;
  ASSERT_TRUE(ReadVerifyJson(R"({"state": "done", "started_ms": 1e300, "keys_checked": -1, "keys_total": 5,
      "options": {"db": 99999999999}, "counts": {"value": 18446744073709551615}})",
                             &read));
  EXPECT_EQ(read.started_ms, 0);
  EXPECT_EQ(read.keys_checked, 0u);
  EXPECT_EQ(read.keys_total, 5u);
  EXPECT_EQ(read.options.db, -1);
  EXPECT_EQ(read.differing(), 0u);
  EXPECT_FALSE(ReadVerifyJson(R"({"state": "done", "options": {"sample": 1e300}})", &read));
}

}  // namespace
}  // namespace crossfade
