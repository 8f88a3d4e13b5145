#include "proxy/metric_list.h"

#include <cmath>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Samples(const MetricList& list) {
  std::vector<std::string> lines;
  std::istringstream text(list.Text());
  for (std::string line; std::getline(text, line);) {
    if (line[0] != '#') lines.push_back(line);
  }
  return lines;
}

// What the sample with this label says, as Prometheus reads it.
struct Bucket {
  double bound;
  uint64_t count;
};
std::vector<Bucket> Buckets(const MetricList& list) {
  std::vector<Bucket> buckets;
  for (const std::string& line : Samples(list)) {
    const size_t at = line.find("le=\"");
    if (at == std::string::npos || line.compare(at + 4, 4, "+Inf") == 0) continue;
    buckets.push_back({std::stod(line.substr(at + 4)), std::stoull(line.substr(line.rfind(' ')))});
  }
  return buckets;
}

TEST(MetricListTest, WritesTheTextFormat) {
  MetricList list;
  list.Gauge("crossfade_lag_slots", "What is to come.", 3);
  list.Counter("crossfade_reads_total", "Reads.").Add(5, {{"backend", "old"}}).Add(0, {{"backend", "new"}});
  EXPECT_EQ(list.Text(),
            "# HELP crossfade_lag_slots What is to come.\n# TYPE crossfade_lag_slots gauge\ncrossfade_lag_slots 3\n"
            "# HELP crossfade_reads_total Reads.\n# TYPE crossfade_reads_total counter\n"
            "crossfade_reads_total{backend=\"old\"} 5\ncrossfade_reads_total{backend=\"new\"} 0\n");
}

TEST(MetricListTest, LargeCountsStayExact) {
  MetricList list;
  list.Counter("crossfade_a_total", "A.", 9'007'199'254'740'991.0);
  list.Gauge("crossfade_b_ratio", "B.", 0.1);
  EXPECT_DOUBLE_EQ(std::stod(Samples(list)[0].substr(18)), 9'007'199'254'740'991.0);
  EXPECT_THAT(Samples(list)[1], "crossfade_b_ratio 0.1");
}

TEST(MetricListTest, ExactlyOneStateHolds) {
  MetricList list;
  list.Gauge("crossfade_x_state", "X.").AddStates("state", {"idle", "running"}, "running");
  EXPECT_THAT(Samples(list),
              ElementsAre("crossfade_x_state{state=\"idle\"} 0", "crossfade_x_state{state=\"running\"} 1"));
}

// A store says its version itself, and may say anything.
TEST(MetricListTest, WhatAStoreSaysCannotBreakTheText) {
  MetricList list;
  list.Gauge("crossfade_x_info", "X.").Add(1, {{"version", "7\"}\n\\evil 9\xff\xc3" + std::string(1000, 'x')}});
  const std::vector<std::string> lines = Samples(list);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("version=\"7\\\"}?\\\\evil 9??xxx"));
  EXPECT_LT(lines[0].size(), 120u);
}

TEST(MetricListTest, FoldedBucketsCountWhatTookLessThanTheirBound) {
  LatencyHistogram latencies;
  std::vector<int64_t> recorded;
  for (int64_t us = 0; us < 30'000'000; us = us * 5 / 4 + 1) recorded.push_back(us);
  for (int shift = 4; shift < 25; ++shift) {
    for (int64_t near : {-1, 0, 1}) recorded.push_back((int64_t{1} << shift) + near);
  }
  int64_t sum = 0;
  for (int64_t us : recorded) {
    latencies.Record(us);
    sum += us;
  }
  MetricList list;
  list.Histogram("crossfade_latency_seconds", "L.").Add(latencies, {{"class", "read"}});
  const std::vector<Bucket> buckets = Buckets(list);
  ASSERT_GE(buckets.size(), 15u);
  ASSERT_LE(buckets.size(), 20u);
  for (const Bucket& bucket : buckets) {
    uint64_t expected = 0;
    for (int64_t us : recorded) expected += us < std::llround(bucket.bound * 1e6);
    EXPECT_EQ(bucket.count, expected) << bucket.bound;
  }
  EXPECT_LT(buckets.front().bound, 50e-6);
  EXPECT_GT(buckets.back().bound, 5);
  EXPECT_THAT(list.Text(), HasSubstr("_count{class=\"read\"} " + std::to_string(recorded.size()) + "\n"));
  EXPECT_THAT(list.Text(), HasSubstr("{class=\"read\",le=\"+Inf\"} " + std::to_string(recorded.size()) + "\n"));
  const std::string text = list.Text();
  const std::string name = "_sum{class=\"read\"} ";
  EXPECT_NEAR(std::stod(text.substr(text.find(name) + name.size())), static_cast<double>(sum) / 1e6, 1e-6);
}

TEST(MetricListTest, AnEmptyHistogramHasAllItsBuckets) {
  MetricList list;
  list.Histogram("crossfade_latency_seconds", "L.").Add(LatencyHistogram(), {});
  EXPECT_GE(Buckets(list).size(), 15u);
  EXPECT_THAT(list.Text(), HasSubstr("_count 0\n"));
}

TEST(MetricListTest, ValuesBelongToTheFirstBoundThatIsNotBelow) {
  MetricList list;
  list.Histogram("crossfade_pause_seconds", "P.").Add({0.001, 0.002, 0.3}, {0.001, 0.25});
  EXPECT_THAT(Samples(list), ElementsAre("crossfade_pause_seconds_count 3", "crossfade_pause_seconds_sum 0.303",
                                         "crossfade_pause_seconds_bucket{le=\"0.001\"} 1",
                                         "crossfade_pause_seconds_bucket{le=\"0.25\"} 2",
                                         "crossfade_pause_seconds_bucket{le=\"+Inf\"} 3"));
}

}  // namespace
}  // namespace crossfade
