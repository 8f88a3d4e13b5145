#include "proxy/cli_progress.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "nlohmann/json.hpp"
#include "proxy/cli_output.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

constexpr int64_t kRedrawMs = 250;
constexpr int64_t kLineMs = 10'000;
constexpr int64_t kNapMs = 50;
constexpr size_t kBarWidth = 24;

volatile sig_atomic_t interrupted = 0;

// What comes after the percentage.
std::string Figures(const Progress& progress) {
  std::string text = progress.total > 0
                         ? fmt::format("{} of {} {}", Grouped(progress.done), Grouped(progress.total), progress.unit)
                         : fmt::format("{} {}", Grouped(progress.done), progress.unit);
  if (progress.per_second > 0) text += fmt::format("  {}/s", Grouped(progress.per_second));
  if (progress.seconds_left >= 0) text += fmt::format("  {} left", RenderSeconds(progress.seconds_left));
  if (!progress.note.empty()) text += "  " + Printable(progress.note);
  return text;
}

double Share(const Progress& progress) {
  return progress.total > 0 ? std::clamp(progress.done / progress.total, 0.0, 1.0) : 0;
}

// Never in the middle of a character.
std::string Cut(std::string text, size_t width) {
  if (text.size() <= width) return text;
  while (width > 0 && (static_cast<unsigned char>(text[width]) & 0xC0) == 0x80) --width;
  text.resize(width);
  return text;
}

bool SleepUnlessInterrupted(int64_t ms) {
  for (; ms > 0 && interrupted == 0; ms -= kNapMs) {
    const timespec nap = {0, std::min(ms, kNapMs) * 1'000'000};
    nanosleep(&nap, nullptr);
  }
  return interrupted == 0;
}

}  // namespace

Progress ReadProgress(const std::string& title, const nlohmann::json& json) {
  Progress progress;
  progress.title = title;
  progress.done = NumberAt(json, {"done"});
  progress.total = NumberAt(json, {"total"});
  progress.per_second = NumberAt(json, {"per_second"});
  progress.seconds_left = NumberAt(json, {"seconds_left"}, -1);
  return progress;
}

std::string RenderSeconds(double seconds) {
  const auto whole = static_cast<int64_t>(std::clamp(std::ceil(seconds), 0.0, 1e9));
  const int64_t hours = whole / 3600, minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string RenderBar(const Progress& progress, size_t width) {
  const double share = Share(progress);
  const auto filled = static_cast<size_t>(share * kBarWidth);
  return Cut(fmt::format("{}  [{}{}] {:3.0f} %  {}", progress.title, std::string(filled, '#'),
                         std::string(kBarWidth - filled, '-'), std::floor(100 * share), Figures(progress)),
             width);
}

std::string RenderProgressLine(const Progress& progress) {
  const std::string percent = progress.total > 0 ? fmt::format("{:.0f} %, ", std::floor(100 * Share(progress))) : "";
  return fmt::format("{}: {}{}", progress.title, percent, Figures(progress));
}

Pace RealPace() {
  Pace pace;
  pace.out = &std::cerr;
  pace.terminal = isatty(STDERR_FILENO) == 1;
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) pace.width = size.ws_col - 1;
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  pace.sleep = SleepUnlessInterrupted;
  return pace;
}

FollowEnd FollowJob(const Pace& pace, const std::function<bool(Progress*)>& look) {
  const int64_t step_ms = kRedrawMs;
  int64_t until_line_ms = kLineMs;
  size_t drawn = 0;
  const auto clear = [&] {
    if (drawn > 0) *pace.out << "\r" << std::string(drawn, ' ') << "\r" << std::flush;
    drawn = 0;
  };
  for (;;) {
    Progress progress;
    if (!look(&progress)) {
      clear();
      return FollowEnd::kLost;
    }
    if (!progress.news.empty()) clear();
    for (const std::string& line : progress.news) *pace.out << line << std::endl;
    if (progress.over) {
      clear();
      return FollowEnd::kOver;
    }
    if (pace.terminal) {
      const std::string bar = RenderBar(progress, pace.width);
      const size_t padding = drawn > bar.size() ? drawn - bar.size() : 0;
      *pace.out << "\r" << bar << std::string(padding, ' ') << std::flush;
      drawn = bar.size();
    } else if (until_line_ms <= 0) {
      *pace.out << RenderProgressLine(progress) << std::endl;
      until_line_ms = kLineMs;
    }
    if (!pace.sleep(step_ms)) {
      clear();
      return FollowEnd::kInterrupted;
    }
    until_line_ms -= step_ms;
  }
}

}  // namespace crossfade
