// Following a job of the proxy that takes a while (a verification, a backfill) from the command line: one line that is
// redrawn on a terminal, a line every ten seconds elsewhere, until the job is over, Ctrl-C, or the proxy is gone. Knows
// no job: who calls says how to look and what to call it. Goes to standard error, so that standard output is the
// result's. Blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "nlohmann/json_fwd.hpp"

namespace crossfade {

struct Progress {
  std::string title;  // "verify"
  double done = 0;
  double total = 0;  // 0: not known
  double per_second = 0;
  double seconds_left = -1;  // negative: not known
  std::string unit = "keys";
  std::string note;               // what it is doing, or waits for; may be empty
  bool over = false;              // the job has ended: nothing more is drawn
  std::vector<std::string> news;  // lines to be told now, once, above the progress
};

// From the API's {"done", "total", "per_second", "seconds_left"}; what is missing stays unknown.
Progress ReadProgress(const std::string& title, const nlohmann::json& progress);

// "verify  [######------]  50 %  1,234 of 2,468 keys  4,932/s  0:12 left  scanning old", cut to `width` characters.
std::string RenderBar(const Progress& progress, size_t width);
// The same without the bar, for logs.
std::string RenderProgressLine(const Progress& progress);
// 75 → "1:15", 3700 → "1:01:40".
std::string RenderSeconds(double seconds);

// How time passes and where the lines go. Tests have their own.
struct Pace {
  std::ostream* out = nullptr;
  bool terminal = false;
  size_t width = 80;
  // Sleeps. False when the user has interrupted (Ctrl-C), from then on always.
  std::function<bool(int64_t ms)> sleep;
};

// Standard error, the real clock, and SIGINT, which does no more than end the waiting from here on; a second one ends
// the process, as ever.
Pace RealPace();

enum class FollowEnd : uint8_t { kOver, kInterrupted, kLost };

// Looks until the job is over. `look` fills in the progress; false when the proxy gave no answer, having told the user.
FollowEnd FollowJob(const Pace& pace, const std::function<bool(Progress*)>& look);

}  // namespace crossfade
