#include "proxy/metric_list.h"

#include <algorithm>
#include <sstream>

#include "prometheus/text_serializer.h"

namespace crossfade {

namespace {

using prometheus::ClientMetric;

constexpr int64_t kLeastBoundUs = 16;
constexpr int64_t kLargestBoundUs = int64_t{1} << 23;

ClientMetric Sample(MetricList::Labels labels) {
  ClientMetric metric;
  for (const auto& [name, value] : labels) {
    ClientMetric::Label label{std::string(name), std::string(value.substr(0, MetricList::kMaxLabelBytes))};
    for (char& c : label.value) {
      if (c < ' ' || c > '~') c = '?';
    }
    metric.label.push_back(std::move(label));
  }
  return metric;
}

}  // namespace

MetricList::Family& MetricList::Family::Add(double value, Labels labels) {
  ClientMetric metric = Sample(labels);
  if (family_->type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family_->metric.push_back(std::move(metric));
  return *this;
}

MetricList::Family& MetricList::Family::AddStates(std::string_view label, std::initializer_list<std::string_view> names,
                                                  std::string_view current) {
  for (std::string_view name : names) Add(name == current ? 1 : 0, {{label, name}});
  return *this;
}

MetricList::Histograms& MetricList::Histograms::Add(const LatencyHistogram& latencies, Labels labels) {
  ClientMetric metric = Sample(labels);
  uint64_t below = 0;
  int64_t bound_us = kLeastBoundUs;
  for (size_t i = 0; i < LatencyHistogram::kBuckets; ++i) {
    below += latencies.bucket(i);
    // What is recorded as 31 us took less than 32. What is beyond the largest bound is told by the count alone.
    if (bound_us > kLargestBoundUs || LatencyHistogram::UpperBound(i) != bound_us - 1) continue;
    metric.histogram.bucket.push_back({below, static_cast<double>(bound_us) / 1e6});
    bound_us *= 2;
  }
  metric.histogram.sample_count = below;
  metric.histogram.sample_sum = static_cast<double>(latencies.sum_us()) / 1e6;
  family_->metric.push_back(std::move(metric));
  return *this;
}

MetricList::Histograms& MetricList::Histograms::Add(const std::vector<double>& values,
                                                    std::initializer_list<double> bounds) {
  ClientMetric metric;
  for (double bound : bounds) {
    const auto below = std::count_if(values.begin(), values.end(), [&](double value) { return value <= bound; });
    metric.histogram.bucket.push_back({static_cast<uint64_t>(below), bound});
  }
  metric.histogram.sample_count = values.size();
  for (double value : values) metric.histogram.sample_sum += value;
  family_->metric.push_back(std::move(metric));
  return *this;
}

MetricList::Family MetricList::Counter(std::string_view name, std::string_view help) {
  return Family(Begin(name, help, prometheus::MetricType::Counter));
}

MetricList::Family MetricList::Gauge(std::string_view name, std::string_view help) {
  return Family(Begin(name, help, prometheus::MetricType::Gauge));
}

MetricList::Histograms MetricList::Histogram(std::string_view name, std::string_view help) {
  return Histograms(Begin(name, help, prometheus::MetricType::Histogram));
}

prometheus::MetricFamily* MetricList::Begin(std::string_view name, std::string_view help, prometheus::MetricType type) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  families_.push_back(std::move(family));
  return &families_.back();
}

std::string MetricList::Text() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families_);
  return out.str();
}

}  // namespace crossfade
