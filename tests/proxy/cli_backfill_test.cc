#include "proxy/cli_backfill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/cli_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using CliBackfillTest = CliTest;

TEST_F(CliBackfillTest, StartStatusCancel) {
  replies_ = {{202, R"({"state": "running"})"}};
  EXPECT_EQ(Run({"backfill", "start", "--detach"}), 0);
  EXPECT_THAT(calls_, ElementsAre("POST /api/v1/backfill {}"));
  EXPECT_EQ(Run({"backfill", "cancel"}), 0);
  EXPECT_THAT(calls_, ElementsAre("DELETE /api/v1/backfill"));
  replies_ = {{200, R"({"state": "running", "keys_done": 2500, "keys_total": 10000})"}};
  EXPECT_EQ(Run({"backfill"}), 0);
  EXPECT_THAT(calls_, ElementsAre("GET /api/v1/backfill"));
  EXPECT_EQ(out(), "backfill: running, 2,500 of 10,000 keys (25 %)\n");
}

TEST_F(CliBackfillTest, Options) {
  replies_ = {{202, R"({"state": "running"})"}};
  EXPECT_EQ(Run({"backfill", "start", "--detach", "--match", "a*", "--type", "hash", "--db", "3", "--rate", "10",
                 "--bandwidth", "2KiB"}),
            0);
  EXPECT_THAT(calls_, ElementsAre("POST /api/v1/backfill {\"bytes_per_second\":2048,\"db\":3,\"keys_per_second\":10,"
                                  "\"match\":\"a*\",\"type\":\"hash\"}"));
  replies_ = {{200, R"({"state": "paused"})"}};
  EXPECT_EQ(Run({"backfill", "pause"}), 0);
  EXPECT_THAT(calls_, ElementsAre("PATCH /api/v1/backfill {\"paused\":true}"));
  EXPECT_THAT(out(), HasSubstr("go on with: crossfade backfill resume"));
  EXPECT_EQ(Run({"backfill", "resume", "--rate", "500"}), 0);
  EXPECT_THAT(calls_, ElementsAre("PATCH /api/v1/backfill {\"keys_per_second\":500,\"paused\":false}"));
  EXPECT_EQ(Run({"backfill", "start", "--bandwidth", "much"}), 2);
}

TEST_F(CliBackfillTest, TellsWhatCouldNotBeCopied) {
  replies_ = {{200, R"({"state": "done", "keys_done": 7, "keys_total": 7, "keys_failed": 1, "bytes": 2048,
    "failed": [{"db": 2, "key": "k\u001b", "reason": "NOPERM x"}]})"}};
  EXPECT_EQ(Run({"backfill", "status"}), 0);
  EXPECT_EQ(out(),
            "backfill: done, 7 of 7 keys (100 %), 2.0 KiB, 1 keys could not be copied at once\n"
            "These keys could not be copied so far; they are dirty, and tried again:\n"
            "  db 2  k\\x1b  NOPERM x\n");
}

}  // namespace
}  // namespace crossfade
