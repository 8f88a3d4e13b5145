#include "proxy/cli_watch.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>

#include "proxy/cli_advice.h"
#include "proxy/cli_audit.h"
#include "proxy/cli_backfill.h"
#include "proxy/cli_check.h"
#include "proxy/cli_operator.h"
#include "proxy/cli_output.h"
#include "proxy/cli_verify.h"
#include "routing/figures_text.h"
#include "spdlog/fmt/fmt.h"

namespace crossfade {
namespace {

using nlohmann::json;
using Path = std::initializer_list<const char*>;

constexpr int64_t kFrameMs = 2000;  // longer than that and the view would not be live
constexpr int kEntriesShown = 8;
constexpr size_t kLabel = 12, kColumn = 26;

std::string Rate(const WatchFrame& frame, Path path) {
  if (frame.seconds <= 0 || Find(frame.before, path) == nullptr || Find(frame.status, path) == nullptr) return "-";
  // A proxy that was restarted counts from 0 again.
  const double grown = NumberAt(frame.status, path) - NumberAt(frame.before, path);
  return grown < 0 ? "-" : Grouped(grown / frame.seconds);
}

std::string Padded(std::string text, size_t width) {
  const auto columns = static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  if (columns < width) text.append(width - columns, ' ');
  return text;
}

class View {
 public:
  explicit View(const WatchFrame& frame) : frame_(frame), status_(frame.status) {}

  std::vector<ScreenLine> Take() {
    Head();
    Stores();
    Figures();
    Jobs();
    Changes();
    Line("");
    Line("q quits", "2");
    return std::move(lines_);
  }

 private:
  void Line(std::string text, const char* style = "") { lines_.push_back({std::move(text), style}); }
  void Row(const char* label, const std::string& text, const char* style = "") {
    Line(Padded(label, kLabel) + text, style);
  }

  void Head() {
    Line(fmt::format("crossfade {}  epoch {}  at {}  up {}{}", TextAt(status_, {"version"}, "?"),
                     TextAt(status_, {"epoch"}, "?"), frame_.address,
                     RenderSeconds(NumberAt(status_, {"uptime_ms"}) / 1000),
                     BoolAt(status_, {"stopping"}) ? "  STOPPING" : ""),
         "1");
    if (!frame_.lost.empty()) {
      Line(fmt::format("NO ANSWER   for {} s, what follows is from before: {}", frame_.lost_seconds, frame_.lost),
           "1;31");
    }
    for (const std::string& note : NotesIn(status_, {"attention", "warnings"})) Row("ATTENTION", note, "33");
    const Advice advice = AdviseFrom(status_);
    if (!advice.next.empty()) Row("next", advice.next, "36");
    if (!advice.back.empty()) Row("back", advice.back, "36");
    Line("");
  }

  void Two(const char* label, const std::string& old, const std::string& now, const char* style = "") {
    Line(Padded(label, kLabel) + Padded(old, kColumn) + now, style);
  }

  void Stores() {
    const std::string primary = TextAt(status_, {"primary"});
    const auto role = [&](const char* side) { return primary == side ? " (PRIMARY)" : " (secondary)"; };
    Two("", std::string("old") + role("old"), std::string("new") + role("new"), "1");
    const auto each = [&](const char* label, const char* field) {
      Two(label, TextAt(status_, {"backends", "old", field}, "-"), TextAt(status_, {"backends", "new", field}, "-"));
    };
    const auto down = [&](const char* side) { return TextAt(status_, {"backends", side, "state"}) != "up"; };
    Two("state", TextAt(status_, {"backends", "old", "state"}, "-"), TextAt(status_, {"backends", "new", "state"}, "-"),
        down("old") || down("new") ? "1;31" : "");
    each("product", "product");
    each("version", "version");
    each("address", "address");
    const std::string all = Rate(frame_, {"writes", "total"}), followed = Rate(frame_, {"writes", "followed"});
    Two("reads/s", Rate(frame_, {"reads", "old"}), Rate(frame_, {"reads", "new"}));
    Two("writes/s", primary == "new" ? followed : all, primary == "new" ? all : followed);
    for (const char* percentile : {"p50", "p99"}) {
      Two(percentile, MicrosecondsAt(status_, {"backends", "old", "latency_us", percentile}),
          MicrosecondsAt(status_, {"backends", "new", "latency_us", percentile}));
    }
    Line("");
  }

  void Figures() {
    Row("routing", fmt::format("{} % of reads from new, {} % compared, ack {}, secondary {}, synced {}",
                               TextAt(status_, {"reads_new"}, "?"), TextAt(status_, {"compare"}, "?"),
                               TextAt(status_, {"ack"}, "?"), TextAt(status_, {"secondary"}, "?"),
                               TextAt(status_, {"synced"}, "?")));
    Row("lag", fmt::format("{} slots, {}, {:.1f} ms", Grouped(NumberAt(status_, {"lag", "slots"})),
                           SizeText(NumberAt(status_, {"lag", "bytes"})), NumberAt(status_, {"lag", "ms"})));
    const double dirty = NumberAt(status_, {"dirty", "keys"});
    const bool everything = BoolAt(status_, {"dirty", "overflowed"});
    Row("dirty", fmt::format("{} keys{}", Grouped(dirty), everything ? ", EVERYTHING" : ""),
        dirty > 0 || everything ? "33" : "");
    const double compared = NumberAt(status_, {"reads", "compared"}),
                 differed = NumberAt(status_, {"reads", "mismatched"});
    const double share = compared > 0 ? 100 * differed / compared : 0;
    Row("compared",
        fmt::format("{} ({}/s), {} mismatched ({:.4f} %)", Grouped(compared), Rate(frame_, {"reads", "compared"}),
                    Grouped(differed), share),
        differed > 0 ? "1;31" : "");
    Row("clients",
        fmt::format("{} connected, {} blocked, {} subscribed", Grouped(NumberAt(status_, {"clients", "connected"})),
                    Grouped(NumberAt(status_, {"clients", "waiting"})),
                    Grouped(NumberAt(status_, {"clients", "subscribed"}))));
  }

  void Jobs() {
    if (const json* backfill = Find(status_, {"backfill"})) Row("backfill", BackfillLine(*backfill));
    if (const json* verify = Find(status_, {"verify"})) Row("verify", VerifyLine(*verify));
    const json* ramp = Find(status_, {"ramp"});
    if (ramp == nullptr || !ramp->is_object()) return;
    std::string text = TextAt(*ramp, {"state"}, "?");
    if (text != "idle") text += fmt::format(", {} % of reads", TextAt(*ramp, {"reads_new"}, "?"));
    const double left_ms = NumberAt(*ramp, {"next_step_in_ms"});
    if (left_ms > 0) text += fmt::format(", next step in {}", RenderSeconds(left_ms / 1000));
    if (const std::string why = TextAt(*ramp, {"reason"}); !why.empty()) text += ": " + why;
    Row("ramp", text, TextAt(*ramp, {"state"}) == "tripped" ? "1;31" : "");
  }

  void Changes() {
    const json* entries = Find(frame_.audit, {"entries"});
    if (entries == nullptr || !entries->is_array() || entries->empty()) return;
    Line("");
    Line("latest changes", "1");
    int shown = 0;
    for (const json& entry : *entries) {
      if (shown++ == kEntriesShown) break;
      Line(RenderAuditEntry(entry));
    }
  }

  const WatchFrame& frame_;
  const json& status_;
  std::vector<ScreenLine> lines_;
};

}  // namespace

std::vector<ScreenLine> RenderWatch(const WatchFrame& frame) {
  return View(frame).Take();
}

std::string RenderWatchLine(const WatchFrame& frame) {
  const std::string now = TimestampText(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  if (!frame.lost.empty()) return fmt::format("{} no answer: {}", now, frame.lost);
  const json& status = frame.status;
  const size_t attention = NotesIn(status, {"attention", "warnings"}).size();
  return fmt::format(
      "{} primary={} reads_new={} synced={} lag_slots={} dirty={}{} reads/s old={} new={} writes/s={} mismatched={} "
      "old={} new={} attention={}",
      now, TextAt(status, {"primary"}, "?"), TextAt(status, {"reads_new"}, "?"), TextAt(status, {"synced"}, "?"),
      TextAt(status, {"lag", "slots"}, "?"), TextAt(status, {"dirty", "keys"}, "?"),
      BoolAt(status, {"dirty", "overflowed"}) ? "+everything" : "", Rate(frame, {"reads", "old"}),
      Rate(frame, {"reads", "new"}), Rate(frame, {"writes", "total"}), TextAt(status, {"reads", "mismatched"}, "?"),
      TextAt(status, {"backends", "old", "state"}, "?"), TextAt(status, {"backends", "new", "state"}, "?"), attention);
}

// A proxy that is gone for a while is shown as gone, and is back when it answers again. One that was never there, or
// that wants a token, ends it.
int Operator::Watch(int64_t interval_ms) {
  using Clock = std::chrono::steady_clock;
  const bool terminal = session_.out == &std::cout && isatty(STDOUT_FILENO) == 1 && !session_.json;
  json status;
  int exit = kExitDone;
  if (!Ask("GET", "/api/v1/status", nullptr, &status, &exit, false)) return exit;
  WatchFrame frame;
  frame.address = session_.address.ToString();
  Clock::time_point asked_at, answered_at = Clock::now();
  const auto ask = [&](const char* path, json* answer) {
    auto reply = session_.call(session_.address, "GET", path, "", session_.token, kFrameMs);
    if (!reply.ok()) return std::string(reply.status().message());
    json read = json::parse(reply->body, nullptr, false);
    if (reply->status != 200 || read.is_discarded()) return fmt::format("HTTP status {}", reply->status);
    *answer = std::move(read);
    return std::string();
  };
  const auto look = [&] {
    json fresh;
    frame.lost = ask("/api/v1/status", &fresh);
    const Clock::time_point now = Clock::now();
    frame.lost_seconds = std::chrono::duration_cast<std::chrono::seconds>(now - answered_at).count();
    asked_at = now;
    if (!frame.lost.empty()) return;
    frame.before = std::exchange(frame.status, std::move(fresh));
    frame.seconds = frame.before.is_null() ? 0 : std::chrono::duration<double>(now - answered_at).count();
    answered_at = now;
    ask(fmt::format("/api/v1/audit?limit={}", kEntriesShown).c_str(), &frame.audit);  // an older proxy has none
  };
  if (!terminal) {
    SignalWait wait;
    do {
      look();
      if (!session_.json) *session_.out << RenderWatchLine(frame) << std::endl;
      if (session_.json && frame.lost.empty()) *session_.out << frame.status.dump() << std::endl;
    } while (*session_.out && wait.Sleep(interval_ms));
    return kExitDone;
  }
  const bool colours = WantsColours(*session_.out);
  Screen screen;
  look();
  for (;;) {
    screen.Draw(RenderWatch(frame), colours);
    const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - asked_at).count();
    const Screen::Event event = screen.Wait(std::max<int64_t>(interval_ms - waited, 0));
    if (event == Screen::Event::kQuit) return kExitDone;
    if (event == Screen::Event::kTime) look();
  }
}

}  // namespace crossfade
