#include "proxy/cli_screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string_view>

#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
constexpr char kEnter[] = "\x1b[?1049h\x1b[?25l\x1b[2J";
constexpr char kLeave[] = "\x1b[?25h\x1b[?1049l";

volatile sig_atomic_t ended = 0, resized = 0;

void OnSignal(int number) {
  if (number == SIGWINCH) {
    resized = 1;
  } else {
    ended = 1;
  }
}

// They are only delivered while somebody waits, so none is missed between a look at the flags and the waiting.
void TakeSignals(struct sigaction* before, sigset_t* mask) {
  ended = 0;
  resized = 0;
  sigset_t ours;
  sigemptyset(&ours);
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    struct sigaction action = {};
    action.sa_handler = OnSignal;
    sigaction(kSignals[i], &action, &before[i]);
    sigaddset(&ours, kSignals[i]);
  }
  sigprocmask(SIG_BLOCK, &ours, mask);
}

void GiveSignalsBack(const struct sigaction* before, const sigset_t* mask) {
  // What came since the last wait has done its work: it must not strike now.
  for (const int number : kSignals) signal(number, SIG_IGN);
  sigprocmask(SIG_SETMASK, mask, nullptr);
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &before[i], nullptr);
}

// True: `file` can be read. −1: no file.
bool WaitFor(int file, int64_t ms, const sigset_t* mask) {
  pollfd poll = {file, POLLIN, 0};
  const timespec time = {ms / 1000, ms % 1000 * 1'000'000};
  return ppoll(&poll, file < 0 ? 0 : 1, &time, mask) > 0;
}

void WriteAll(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(size));
  }
}

// By characters; none of ours is two columns wide.
std::string_view CutTo(std::string_view text, size_t width) {
  size_t columns = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    if (columns++ == width) return text.substr(0, i);
  }
  return text;
}

}  // namespace

std::string RenderFrame(const std::vector<ScreenLine>& lines, size_t width, size_t height, bool colours) {
  std::string frame = "\x1b[H";
  const size_t count = std::min(lines.size(), height);
  for (size_t i = 0; i < count; ++i) {
    const bool styled = colours && *lines[i].style != '\0';
    if (i > 0) frame += "\r\n";
    if (styled) frame += fmt::format("\x1b[{}m", lines[i].style);
    frame += CutTo(lines[i].text, width);
    if (styled) frame += "\x1b[0m";
    frame += "\x1b[K";
  }
  return frame + "\x1b[J";
}

Screen::Screen() {
  TakeSignals(actions_, &mask_);
  if (isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;  // a stopped view would leave the terminal in this state
    keys_ = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
  }
  Measure();
  WriteAll(kEnter);
}

Screen::~Screen() {
  WriteAll(kLeave);
  if (keys_) tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  GiveSignalsBack(actions_, &mask_);
}

void Screen::Measure() {
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return;
  width_ = size.ws_col;
  height_ = size.ws_row;
}

void Screen::Draw(const std::vector<ScreenLine>& lines, bool colours) {
  WriteAll(RenderFrame(lines, width_, height_, colours));
}

Screen::Event Screen::Wait(int64_t ms) {
  const bool readable = WaitFor(keys_ ? STDIN_FILENO : -1, ms, &mask_);
  if (ended != 0) return Event::kQuit;
  if (resized != 0) {
    resized = 0;
    Measure();
    return Event::kResized;
  }
  if (!readable) return Event::kTime;
  char keys[64];
  const ssize_t size = read(STDIN_FILENO, keys, sizeof(keys));
  if (size <= 0) return Event::kQuit;  // the terminal is gone
  const std::string_view pressed(keys, static_cast<size_t>(size));
  return pressed.find_first_of("qQ") == std::string_view::npos ? Event::kResized : Event::kQuit;
}

SignalWait::SignalWait() {
  TakeSignals(actions_, &mask_);
}

SignalWait::~SignalWait() {
  GiveSignalsBack(actions_, &mask_);
}

bool SignalWait::Sleep(int64_t ms) {
  WaitFor(-1, ms, &mask_);
  return ended == 0;
}

}  // namespace crossfade
