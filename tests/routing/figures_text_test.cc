#include "routing/figures_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace crossfade {
namespace {

TEST(FiguresText, Counts) {
  EXPECT_EQ(CountText(0), "0");
  EXPECT_EQ(CountText(999), "999");
  EXPECT_EQ(CountText(1000), "1,000");
  EXPECT_EQ(CountText(1234567), "1,234,567");
  EXPECT_EQ(CountOf(1, "key"), "1 key");
  EXPECT_EQ(CountOf(0, "key"), "0 keys");
}

TEST(FiguresText, SharesThatAreSmallKeepTheirDigits) {
  EXPECT_EQ(ShareText(0.5), "50 %");
  EXPECT_EQ(ShareText(0), "0 %");
  EXPECT_EQ(ShareText(3.0 / 100'000), "0.003 %");
  EXPECT_EQ(ShareText(3.0 / 7'000'000), "0.0000429 %");
}

TEST(FiguresText, WhatIsNoNumberIsUnknown) {
  EXPECT_EQ(ShareText(std::nan("")), "unknown");
  EXPECT_EQ(NumberText(std::numeric_limits<double>::infinity()), "unknown");
}

TEST(FiguresText, Numbers) {
  EXPECT_EQ(NumberText(0.85), "0.85");
  EXPECT_EQ(NumberText(12.345), "12.3");
  EXPECT_EQ(NumberText(99999.6), "100,000");
  EXPECT_EQ(NumberText(-1234), "-1,234");
  EXPECT_EQ(NumberText(1e15), "1,000,000,000,000,000");
}

TEST(FiguresText, Spans) {
  EXPECT_EQ(SpanText(0), "0 ms");
  EXPECT_EQ(SpanText(840), "840 ms");
  EXPECT_EQ(SpanText(12'540), "12.5 s");
  EXPECT_EQ(SpanText(200'000), "3 min 20 s");
  EXPECT_EQ(SpanText(7'500'000), "2 h 5 min");
  EXPECT_EQ(SpanText(24 * 3'600'000), "1 d");
  EXPECT_EQ(SpanText(-1000), "-1 s");
}

TEST(FiguresText, MicrosBytesAndTimes) {
  EXPECT_EQ(MicrosText(85), "85 µs");
  EXPECT_EQ(MicrosText(1300), "1.3 ms");
  EXPECT_EQ(MicrosText(2'400'000), "2.4 s");
  EXPECT_EQ(BytesText(0), "0 B");
  EXPECT_EQ(BytesText(1536), "1.5 KiB");
  EXPECT_EQ(TimeText(0), "never");
  EXPECT_EQ(TimeText(1'700'000'000'123), "2023-11-14 22:13:20 UTC");
}

}  // namespace
}  // namespace crossfade
