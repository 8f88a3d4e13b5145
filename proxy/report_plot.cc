#include "proxy/report_plot.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "fmt/format.h"
#include "proxy/report_html.h"
#include "routing/figures_text.h"

namespace crossfade {

namespace {

constexpr double kWidth = 720, kHeight = 250, kLeft = 58, kRight = 14, kTop = 34, kBottom = 46;
constexpr size_t kBuckets = LatencyHistogram::kBuckets;

// A bucket begins where the one before it ends.
double Begin(size_t bucket) {
  return bucket == 0 ? 3 : static_cast<double>(LatencyHistogram::UpperBound(bucket - 1) + 1);
}
double End(size_t bucket) {
  return static_cast<double>(LatencyHistogram::UpperBound(bucket) + 1);
}

// A round number at or above, for the axis: 1, 2 or 5 times a power of ten.
double RoundUp(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (value <= step * power * 1.0000001) return step * power;
  }
  return 10 * power;
}

struct Scale {
  double from_us = 1, to_us = 10, most = 1;  // most: the largest share shown, in percent
  double X(double us) const {
    const double share = (std::log10(us) - std::log10(from_us)) / (std::log10(to_us) - std::log10(from_us));
    return kLeft + std::clamp(share, 0.0, 1.0) * (kWidth - kLeft - kRight);
  }
  double Y(double percent) const {
    return kHeight - kBottom - std::clamp(percent / most, 0.0, 1.0) * (kHeight - kTop - kBottom);
  }
};

// In percent, by bucket.
std::vector<double> Shares(const LatencyHistogram& histogram) {
  const uint64_t count = histogram.count();
  std::vector<double> shares(kBuckets, 0);
  if (count == 0) return shares;
  for (size_t i = 0; i < kBuckets; ++i)
    shares[i] = 100 * static_cast<double>(histogram.bucket(i)) / static_cast<double>(count);
  return shares;
}

Scale ScaleOf(const std::vector<double>& a, const std::vector<double>& b, size_t* first, size_t* last) {
  *first = kBuckets;
  *last = 0;
  double most = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    if (a[i] <= 0 && b[i] <= 0) continue;
    *first = std::min(*first, i);
    *last = i;
    most = std::max({most, a[i], b[i]});
  }
  Scale scale;
  scale.from_us = std::max(1.0, Begin(*first) * 0.9);
  scale.to_us = std::max(End(*last) * 1.1, scale.from_us * 8);
  scale.most = RoundUp(most);
  return scale;
}

// The outline of the shares, as steps.
std::string Steps(const std::vector<double>& shares, const Scale& scale, size_t first, size_t last) {
  std::string path = fmt::format("M{:.1f} {:.1f}", scale.X(Begin(first)), scale.Y(0));
  for (size_t i = first; i <= last; ++i) {
    path += fmt::format("V{:.1f}H{:.1f}", scale.Y(shares[i]), scale.X(End(i)));
  }
  return path + fmt::format("V{:.1f}", scale.Y(0));
}

void AppendText(double x, double y, std::string_view anchor, std::string_view text, std::string* out,
                std::string_view kind = "axis") {
  *out += fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>", kind, x, y, anchor,
                      HtmlText(text));
}

void AppendAxes(const Scale& scale, std::string* out) {
  const double bottom = kHeight - kBottom;
  for (int i = 0; i <= 4; ++i) {
    const double percent = scale.most * i / 4;
    *out += fmt::format("<path class=\"grid\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>", kLeft, scale.Y(percent), kWidth - kRight);
    AppendText(kLeft - 6, scale.Y(percent) + 4, "end", NumberText(percent) + " %", out);
  }
  // Powers of ten; where there are few of them, their twos and fives too.
  const bool few = scale.to_us / scale.from_us < 200;
  double last_x = -100;
  for (double power = std::pow(10, std::floor(std::log10(scale.from_us))); power <= scale.to_us; power *= 10) {
    for (const double step : {1.0, 2.0, 5.0}) {
      const double us = power * step;
      if ((step > 1 && !few) || us < scale.from_us || us > scale.to_us || scale.X(us) - last_x < 48) continue;
      last_x = scale.X(us);
      *out += fmt::format("<path class=\"tick\" d=\"M{:.1f} {:.1f}v5\"/>", last_x, bottom);
      AppendText(last_x, bottom + 18, "middle", MicrosText(static_cast<int64_t>(us)), out);
    }
  }
  *out += fmt::format("<path class=\"frame\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>", kLeft, bottom, kWidth - kRight);
  AppendText(kLeft + (kWidth - kLeft - kRight) / 2, kHeight - 8, "middle", "time until the reply (logarithmic)", out);
  *out += fmt::format(
      "<text class=\"axis\" transform=\"translate(13 {:.1f}) rotate(-90)\" text-anchor=\"middle\">share of "
      "replies</text>",
      kTop + (bottom - kTop) / 2);
}

std::string Legend(const char* name, const LatencyHistogram& histogram) {
  const uint64_t count = histogram.count();
  if (count == 0) return fmt::format("{}: no replies", name);
  return fmt::format("{}: p50 {}, p99 {}, of {}", name, MicrosText(histogram.Percentile(0.5)),
                     MicrosText(histogram.Percentile(0.99)), CountText(count));
}

void AppendStore(const char* kind, double legend_x, const std::string& told, const LatencyHistogram& histogram,
                 const std::vector<double>& shares, const Scale& scale, size_t first, size_t last, std::string* out) {
  if (histogram.count() > 0) {
    *out += fmt::format("<path class=\"{}\" d=\"{}\"/>", kind, Steps(shares, scale, first, last));
    const double x = scale.X(static_cast<double>(histogram.Percentile(0.99)) + 1);
    *out += fmt::format("<path class=\"{} p99\" d=\"M{:.1f} {:.1f}V{:.1f}\"/>", kind, x, kTop, kHeight - kBottom);
  }
  *out += fmt::format("<rect class=\"{}\" x=\"{:.1f}\" y=\"9\" width=\"16\" height=\"11\"/>", kind, legend_x);
  AppendText(legend_x + 22, 19, "start", told, out, "legend");
}

}  // namespace

std::string PlotSvg(const ReportPlot& plot) {
  const std::string told_old = Legend("old", plot.old_store), told_new = Legend("new", plot.new_store);
  std::string out = fmt::format(
      "<svg class=\"plot\" viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-labelledby=\"{}-title {}-desc\">"
      "<title id=\"{}-title\">{}</title><desc id=\"{}-desc\">Share of replies by time. {}; {}. Dashed: p99.</desc>",
      kWidth, kHeight, plot.id, plot.id, plot.id, HtmlText(plot.title), plot.id, HtmlText(told_old),
      HtmlText(told_new));
  const std::vector<double> of_old = Shares(plot.old_store), of_new = Shares(plot.new_store);
  if (plot.old_store.count() + plot.new_store.count() == 0) {
    AppendText(kWidth / 2, kHeight / 2, "middle", plot.title + ": no replies were timed", &out, "legend");
    return out + "</svg>";
  }
  size_t first = 0, last = 0;
  const Scale scale = ScaleOf(of_old, of_new, &first, &last);
  AppendAxes(scale, &out);
  AppendStore("old", kLeft, told_old, plot.old_store, of_old, scale, first, last, &out);
  AppendStore("new", kLeft + (kWidth - kLeft) / 2, told_new, plot.new_store, of_new, scale, first, last, &out);
  return out + "</svg>";
}

}  // namespace crossfade
