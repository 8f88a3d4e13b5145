#include "proxy/latency.h"

#include "gtest/gtest.h"

namespace crossfade {
namespace {

TEST(LatencyHistogramTest, BucketsAreWithoutGaps) {
  for (size_t i = 1; i < 100; ++i) {
    const int64_t edge = LatencyHistogram::UpperBound(i - 1);
    EXPECT_EQ(LatencyHistogram::BucketOf(edge), i - 1);
    EXPECT_EQ(LatencyHistogram::BucketOf(edge + 1), i);
  }
  EXPECT_EQ(LatencyHistogram::BucketOf(0), 0u);
  EXPECT_EQ(LatencyHistogram::BucketOf(-5), 0u);
  EXPECT_EQ(LatencyHistogram::BucketOf(INT64_MAX), LatencyHistogram::kBuckets - 1);
}

TEST(LatencyHistogramTest, PercentilesAreWithinAQuarter) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.Percentile(0.99), 0);
  for (int64_t us = 1; us <= 1000; ++us) histogram.Record(us);
  EXPECT_EQ(histogram.count(), 1000u);
  EXPECT_EQ(histogram.sum_us(), 500'500);
  EXPECT_GE(histogram.Percentile(0.5), 500);
  EXPECT_LE(histogram.Percentile(0.5), 625);
  EXPECT_GE(histogram.Percentile(1), 1000);
}

TEST(LatencyHistogramTest, TheDifferenceIsWhatCameInBetween) {
  LatencyHistogram histogram;
  histogram.Record(100);
  const LatencyHistogram before = histogram;
  histogram.Record(5000);
  LatencyHistogram since = histogram.Since(before);
  EXPECT_EQ(since.count(), 1u);
  EXPECT_EQ(since.sum_us(), 5000);
  EXPECT_EQ(since.Percentile(0.5), LatencyHistogram::UpperBound(LatencyHistogram::BucketOf(5000)));
  since.Add(before);
  EXPECT_EQ(since.count(), 2u);
  EXPECT_EQ(since.sum_us(), histogram.sum_us());
}

}  // namespace
}  // namespace crossfade
