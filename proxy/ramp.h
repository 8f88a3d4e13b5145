// Shifts reads to new by a schedule, and takes them back when a guardrail trips (DESIGN.md, section 8). What a step's
// figures mean is decided by routing/ramp_rules; here are time, the settings, the log and the file `ramp.json` in the
// state directory, by which a ramp survives a restart: it goes on in its step with the step's clock.
//
// What always holds: while a ramp is under way its guardrails are looked at every kTickMs, also while it is paused, so
// that reads are back on old that long after a figure has crossed its limit, whether that can be saved or not. Only
// time in which the proxy ran counts for a step. Whoever else sets reads_new is in charge from then on: the ramp
// pauses, and its guardrails do nothing until it is resumed. A flip ends it; then reads stay as they are. After its
// last step nobody watches any more.
//
// Owned by Proxy; runs on the loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/keeper.h"
#include "proxy/latency.h"
#include "proxy/ramp_record.h"
#include "proxy/storage.h"
#include "routing/ramp_rules.h"

namespace crossfade {

// What the proxy knows at one moment. Counts are since its start.
struct RampReading {
  uint64_t compared = 0, mismatched = 0;
  uint64_t answered = 0, failed = 0;  // reads meant for new
  LatencyHistogram old_reads, new_reads;
  double lag_ms = 0;
  uint64_t dirty_keys = 0;
  bool new_reachable = false;  // up, and the breaker lets reads through
};

class Ramp {
 public:
  // All must outlive this object.
  struct Parts {
    Io* io;
    Storage* storage;
    std::string directory;  // held
    const RampConfig* limits;
    Keeper* keeper;
    std::function<RampReading()> read;
    std::function<uint64_t()> next_order;   // of the lane
    std::function<std::string()> why_busy;  // why nothing may be begun now; empty: it may
    // Of a decision that nobody asked for; `before`: reads_new at the decision before. May be empty.
    std::function<void(const char* decision, double before, double reads_new, const std::string& reason)> told = {};
  };
  explicit Ramp(Parts parts);

  // What the last run of the proxy was at.
  void Load();

  // FailedPrecondition: refused for a reason that an operator can act on. Internal: not saved.
  absl::Status Start(const RampOptions& options);
  absl::Status SetPaused(bool paused);
  absl::Status Abort();
  // Nothing more happens in this run of the proxy, and the next one goes on.
  void Suspend();

  // The newest one; nullopt: there was none.
  const std::optional<RampRecord>& record() const { return record_; }
  bool active() const { return record_ && record_->active(); }
  int64_t step_left_ms() const;
  // Of the last look; empty before it.
  const std::vector<Guardrail>& guardrails() const { return guardrails_; }

 private:
  static constexpr int64_t kTickMs = 100;
  static constexpr int64_t kSaveMs = 5000;
  static constexpr int64_t kLongestTickMs = 1000;  // the process stood still for the rest of it
  static constexpr int64_t kReachMs = 10'000;      // after a restart new may be away for so long, and it only holds

  void Tick();
  void BeginStep(size_t step);
  RampFigures Look();
  int64_t DownMs(bool reachable);
  RampConfig limits() const { return record_->options.limits.Over(*parts_.limits); }
  const Migration& migration() const { return parts_.keeper->migration(); }
  std::string WhyUnreadable() const;
  std::string WhyNotStart(const RampOptions& options);
  bool NoticeFlip();
  void NoticeOthers();
  void Advance(const RampFigures& figures);
  void TakeReadsBack();
  void Move(RampState to, const char* decision, const std::string& reason, const RampFigures& figures);
  void Note(const char* decision, const std::string& reason, const RampFigures& figures);
  void Save();
  int64_t now_ms() const { return parts_.io->clock()->NowUs() / 1000; }

  Parts parts_;
  std::unique_ptr<Timer> timer_;
  std::optional<RampRecord> record_;
  uint64_t last_number_ = 0;  // of a decision
  std::vector<Guardrail> guardrails_;
  RampReading base_;     // where the step began, in this run
  RampFigures carried_;  // what the step had counted in runs before this one
  int64_t ticked_ms_ = 0;
  int64_t down_since_ms_ = 0;      // 0: it isn't
  int64_t advance_again_ms_ = 0;   // the next step could not be saved: not before then
  bool settings_unsaved_ = false;  // reads were taken back, and the disk doesn't know
  bool unsaved_ = false;
  bool suspended_ = false;
  int64_t saved_ms_ = 0;
};

}  // namespace crossfade
