#include "routing/figures_text.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <iterator>

#include "fmt/format.h"

namespace crossfade {

namespace {

std::string Utc(int64_t wall_ms, const char* format) {
  const time_t seconds = static_cast<time_t>(wall_ms / 1000);
  tm parts{};
  char text[64];
  if (gmtime_r(&seconds, &parts) == nullptr) return "unknown";
  const size_t size = strftime(text, sizeof text, format, &parts);
  return size == 0 ? "unknown" : std::string(text, size);
}

}  // namespace

std::string CountText(uint64_t count) {
  const std::string digits = fmt::format("{}", count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string CountOf(uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", CountText(count), what, count == 1 ? "" : "s");
}

std::string NumberText(double number) {
  if (!std::isfinite(number)) return "unknown";
  if (std::abs(number) >= 1000 && std::abs(number) < 1e18) {
    const std::string text = CountText(static_cast<uint64_t>(std::llround(std::abs(number))));
    return number < 0 ? fmt::format("-{}", text) : text;
  }
  std::string text = fmt::format("{:.3g}", number);
  if (text.find('e') != std::string::npos && std::abs(number) < 1) {
    // As many places as it takes to show three digits of it.
    const int places = std::clamp(2 - static_cast<int>(std::floor(std::log10(std::abs(number)))), 3, 15);
    text = fmt::format("{:.{}f}", number, places);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

std::string ShareText(double share) {
  return std::isfinite(share) ? NumberText(share * 100) + " %" : "unknown";
}

std::string SpanText(int64_t ms) {
  if (ms < 0) return fmt::format("-{}", SpanText(ms == INT64_MIN ? INT64_MAX : -ms));
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 60'000) return fmt::format("{} s", NumberText(static_cast<double>(ms / 100) / 10));
  const struct {
    int64_t ms;
    const char* name;
  } units[] = {{24 * 3'600'000LL, "d"}, {3'600'000, "h"}, {60'000, "min"}, {1000, "s"}};
  for (size_t i = 0; i + 1 < std::size(units); ++i) {
    if (ms < units[i].ms) continue;
    const int64_t rest = ms % units[i].ms / units[i + 1].ms;
    const std::string whole = fmt::format("{} {}", CountText(static_cast<uint64_t>(ms / units[i].ms)), units[i].name);
    return rest == 0 ? whole : fmt::format("{} {} {}", whole, rest, units[i + 1].name);
  }
  return fmt::format("{} ms", ms);
}

std::string MicrosText(int64_t us) {
  const double value = static_cast<double>(us);
  if (us < 1000) return fmt::format("{} µs", us);
  if (us < 1'000'000) return NumberText(value / 1000) + " ms";
  return NumberText(value / 1e6) + " s";
}

std::string BytesText(uint64_t bytes) {
  static constexpr const char* kNames[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kNames); ++unit) value /= 1024;
  return fmt::format("{} {}", NumberText(value), kNames[unit]);
}

std::string TimeText(int64_t wall_ms) {
  return wall_ms <= 0 ? "never" : Utc(wall_ms, "%Y-%m-%d %H:%M:%S UTC");
}

std::string TimestampText(int64_t wall_ms) {
  return Utc(wall_ms, "%Y-%m-%dT%H:%M:%SZ");
}

}  // namespace crossfade
