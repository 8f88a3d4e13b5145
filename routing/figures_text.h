// Figures as people read them in a report: grouped, with units, never "nan" or "inf". Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace crossfade {

// 1234567 → "1,234,567".
std::string CountText(uint64_t count);
// "1 key", "1,234 keys": an s is all that the plural takes.
std::string CountOf(uint64_t count, std::string_view what);
// 0.00012345 → "0.0123 %". What is not finite is "unknown".
std::string ShareText(double share);
// "0.85", "12.3", "1,234": three digits that count, and no more than it takes.
std::string NumberText(double number);
// "840 ms", "12.5 s", "3 min 20 s", "2 h 5 min", "3 d 4 h".
std::string SpanText(int64_t ms);
// "85 µs", "1.3 ms", "2.4 s".
std::string MicrosText(int64_t us);
// "1.5 MiB".
std::string BytesText(uint64_t bytes);
// "2026-11-21 23:45:11 UTC"; of no time (0 or before): "never".
std::string TimeText(int64_t wall_ms);
// "2026-11-21T23:45:11Z": for lines that programs read as well.
std::string TimestampText(int64_t wall_ms);

}  // namespace crossfade
