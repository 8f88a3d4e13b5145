// A terminal taken over for a view that redraws, as top does: the alternate screen, no cursor, keys without echo.
// Everything is as it was once this object is gone; Ctrl-C, SIGTERM and SIGHUP end the waiting and leave that to it.
// Plain ANSI sequences, no library. One at a time in a process.
#pragma once

#include <signal.h>
#include <termios.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace crossfade {

struct ScreenLine {
  std::string text;
  const char* style = "";  // of an ANSI sequence: "1" bold, "31" red; empty: plain
};

// The whole frame as one write: lines are cut to the width and the height, and what was there before is covered, not
// cleared first, so nothing flickers.
std::string RenderFrame(const std::vector<ScreenLine>& lines, size_t width, size_t height, bool colours);

class Screen {
 public:
  enum class Event : uint8_t { kTime, kQuit, kResized };

  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  size_t width() const { return width_; }
  size_t height() const { return height_; }
  void Draw(const std::vector<ScreenLine>& lines, bool colours);
  // Until the time is up, q or a signal, or the terminal has another size.
  Event Wait(int64_t ms);

 private:
  void Measure();

  termios before_ = {};
  bool keys_ = false;  // standard input is a terminal, and was changed
  sigset_t mask_ = {};
  struct sigaction actions_[4] = {};
  size_t width_ = 80, height_ = 24;
};

// Sleeps without a terminal; false when SIGINT, SIGTERM or SIGHUP came. They are as before once this object is gone.
class SignalWait {
 public:
  SignalWait();
  ~SignalWait();
  bool Sleep(int64_t ms);

 private:
  sigset_t mask_ = {};
  struct sigaction actions_[4] = {};
};

}  // namespace crossfade
