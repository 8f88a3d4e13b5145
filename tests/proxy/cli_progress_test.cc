#include "proxy/cli_progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "nlohmann/json.hpp"

namespace crossfade {
namespace {

using testing::HasSubstr;
using testing::Not;

Progress HalfDone() {
  Progress progress;
  progress.title = "backfill";
  progress.done = 1234;
  progress.total = 2468;
  progress.per_second = 4932.4;
  progress.seconds_left = 11.2;
  progress.note = "scanning \x1b[31mold";
  return progress;
}

TEST(ProgressTest, ABarAndALine) {
  EXPECT_EQ(
      RenderBar(HalfDone(), 200),
      "backfill  [############------------]  50 %  1,234 of 2,468 keys  4,932/s  0:12 left  scanning \\x1b[31mold");
  EXPECT_EQ(RenderProgressLine(HalfDone()),
            "backfill: 50 %, 1,234 of 2,468 keys  4,932/s  0:12 left  scanning \\x1b[31mold");
  EXPECT_EQ(RenderBar(HalfDone(), 30).size(), 30u);
  Progress unknown;
  unknown.title = "x";
  EXPECT_EQ(RenderProgressLine(unknown), "x: 0 keys");
  unknown.done = 5;
  unknown.total = 4;
  EXPECT_THAT(RenderBar(unknown, 100), HasSubstr("] 100 %"));
  unknown.note = "ü";
  const size_t whole = RenderBar(unknown, 100).size();
  EXPECT_EQ(RenderBar(unknown, whole - 1).size(), whole - 2);  // not half of a character
}

TEST(ProgressTest, SecondsAreReadable) {
  EXPECT_EQ(RenderSeconds(0), "0:00");
  EXPECT_EQ(RenderSeconds(74.1), "1:15");
  EXPECT_EQ(RenderSeconds(3700), "1:01:40");
}

TEST(ProgressTest, ReadsWhatTheApiSays) {
  const auto json = nlohmann::json::parse(R"({"done": 1, "total": 2, "per_second": 3, "seconds_left": 4})");
  const Progress progress = ReadProgress("t", json);
  EXPECT_EQ(progress.done, 1);
  EXPECT_EQ(progress.seconds_left, 4);
  EXPECT_EQ(ReadProgress("t", nlohmann::json()).seconds_left, -1);
}

class FollowTest : public testing::Test {
 protected:
  FollowTest() {
    pace_.out = &out_;
    pace_.sleep = [this](int64_t ms) {
      slept_ms_ += ms;
      return slept_ms_ < interrupted_ms_;
    };
  }
  FollowEnd FollowFor(int64_t ms) {
    return FollowJob(pace_, [this, ms](Progress* progress) {
      *progress = HalfDone();
      progress->over = slept_ms_ >= ms;
      return slept_ms_ < lost_ms_;
    });
  }
  Pace pace_;
  std::ostringstream out_;
  int64_t slept_ms_ = 0, interrupted_ms_ = 1'000'000, lost_ms_ = 1'000'000;
};

TEST_F(FollowTest, ALineEveryTenSeconds) {
  EXPECT_EQ(FollowFor(35'000), FollowEnd::kOver);
  const std::string text = out_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
  EXPECT_THAT(text, Not(HasSubstr("\r")));
}

TEST_F(FollowTest, OnATerminalOneLineIsRedrawnAndLeftEmpty) {
  pace_.terminal = true;
  pace_.width = 200;
  EXPECT_EQ(FollowFor(1000), FollowEnd::kOver);
  EXPECT_THAT(out_.str(), Not(HasSubstr("\n")));
  EXPECT_THAT(out_.str(), HasSubstr("\rbackfill  [####"));
  EXPECT_THAT(out_.str(), testing::EndsWith(" \r"));
}

TEST_F(FollowTest, NewsAreToldAboveTheLineAndOnce) {
  pace_.terminal = true;
  pace_.width = 200;
  FollowJob(pace_, [this](Progress* progress) {
    *progress = HalfDone();
    if (slept_ms_ == 250) progress->news = {"one", "two"};
    progress->over = slept_ms_ >= 500;
    if (progress->over) progress->news = {"three"};
    return true;
  });
  EXPECT_THAT(out_.str(), testing::ContainsRegex(" \rone\ntwo\n\rbackfill "));
  EXPECT_THAT(out_.str(), testing::EndsWith(" \rthree\n"));
}

TEST_F(FollowTest, EndsWithCtrlCAndWhenTheProxyIsGone) {
  interrupted_ms_ = 500;
  EXPECT_EQ(FollowFor(10'000), FollowEnd::kInterrupted);
  slept_ms_ = 0;
  interrupted_ms_ = 10'000;
  lost_ms_ = 500;
  EXPECT_EQ(FollowFor(10'000), FollowEnd::kLost);
}

}  // namespace
}  // namespace crossfade
