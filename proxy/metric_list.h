// Metrics being collected for one scrape, and their text form. Internal to the metrics files: nobody else sees
// prometheus-cpp. A family is begun with its name and help; what follows adds its samples:
//
//   list->Gauge("crossfade_backend_up", "…").Add(1, {{"backend", "old"}}).Add(0, {{"backend", "new"}});
//
// The naming rules of Prometheus are the caller's: prefix crossfade_, base units, _total on counters (promtool checks
// them in tests/integration/metrics_test.py). Values of labels come from closed sets, or are cleaned here: printable
// ASCII, at most kMaxLabelBytes.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "prometheus/metric_family.h"
#include "proxy/latency.h"

namespace crossfade {

class MetricList {
 public:
  static constexpr size_t kMaxLabelBytes = 64;
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // Valid until the next family is begun.
  class Family {
   public:
    Family& Add(double value, Labels labels = {});
    // One sample for each of `names`, 1 for the one that is `current`, else 0.
    Family& AddStates(std::string_view label, std::initializer_list<std::string_view> names, std::string_view current);

   private:
    friend class MetricList;
    explicit Family(prometheus::MetricFamily* family) : family_(family) {}
    prometheus::MetricFamily* family_;
  };

  class Histograms {
   public:
    // Microseconds become seconds; the fine buckets are folded at every power of two from 16 us to 8 s.
    Histograms& Add(const LatencyHistogram& latencies, Labels labels);
    // `bounds` ascend; a value belongs to the first that is not below it.
    Histograms& Add(const std::vector<double>& values, std::initializer_list<double> bounds);

   private:
    friend class MetricList;
    explicit Histograms(prometheus::MetricFamily* family) : family_(family) {}
    prometheus::MetricFamily* family_;
  };

  Family Counter(std::string_view name, std::string_view help);
  Family Gauge(std::string_view name, std::string_view help);
  Histograms Histogram(std::string_view name, std::string_view help);
  // With one sample, without labels.
  void Counter(std::string_view name, std::string_view help, double value) { Counter(name, help).Add(value); }
  void Gauge(std::string_view name, std::string_view help, double value) { Gauge(name, help).Add(value); }

  // Prometheus's text format, version 0.0.4.
  std::string Text() const;

 private:
  prometheus::MetricFamily* Begin(std::string_view name, std::string_view help, prometheus::MetricType type);

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace crossfade
