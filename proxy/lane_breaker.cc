// A secondary that is left alone for a while: what the breaker is told, and what happens when it moves.
#include <utility>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "proxy/lane.h"
#include "routing/refusal.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {
constexpr size_t kRefusalsNamed = 16;  // codes of refused copies that are counted each by itself
}

void Lane::ReportFollow(const Slot& slot) {
  const std::string_view error = slot.refused ? RefusalCode(slot.secondary_reply) : std::string_view();
  const CommandRow* row = slot.kind == Slot::Kind::kTransaction ? slot.differed : slot.row;
  breaker_.OnFollow(row == nullptr ? "exec" : std::string_view(row->name), error, NowMs());
}

void Lane::ReportCopy(const Slot& slot) {
  const std::string_view error = slot.refused ? RefusalCode(slot.secondary_reply) : std::string_view();
  breaker_.OnCopy(!slot.diverged, error, NowMs());
  if (error.empty()) return;
  std::string code(error);
  if (copies_refused_.size() >= kRefusalsNamed && !copies_refused_.contains(code)) code = "other";
  ++copies_refused_[code];
}

// Its client still waits for an answer.
void Lane::ReportRead(const Slot& slot) {
  const int64_t now_us = io_->clock()->NowUs();
  const bool answered = slot.secondary == Half::kDone;
  const bool in_time = now_us - slot.sent_us < config_.timeouts.read_ms * 1000;
  if (answered && !in_time) return;  // told when its time was up
  // It waits behind a write that the primary has not answered: not the secondary's fault.
  if (!answered && slot.secondary != Half::kSent) return;
  breaker_.OnRead(answered, now_us / 1000);
}

void Lane::WatchSecondary() {
  const int64_t now_us = io_->clock()->NowUs();
  if (!migration_->following()) {
    breaker_.Reset(NowMs());
  } else if (secondary().up()) {
    breaker_.OnTick(secondary().OldestOwedUs(now_us) / 1000, NowMs());
    if (breaker_.ProbeDue(NowMs()) && secondary().writable()) SendProbe();
  }
  BreakerMoved();
}

// PING, and for a store that refused writes a DEL of what nobody has: refused by READONLY, MISCONF and their like, and
// without a trace where it is carried out.
void Lane::SendProbe() {
  scratch_.clear();
  AppendCommand(&scratch_, {"PING"});
  if (breaker_.ProbeWrites()) AppendCommand(&scratch_, {"DEL", probe_key_});
  probe_left_ = breaker_.ProbeWrites() ? 2 : 1;
  probe_error_.clear();
  breaker_.OnProbeSent(NowMs());
  secondary().AskAside(scratch_, probe_left_, io_->clock()->NowUs());
}

void Lane::OnProbeReply(Side side, std::string_view reply) {
  if (side != migration_->secondary() || probe_left_ == 0) return;  // asked before the roles were swapped
  if (IsErrorReply(reply) && (probe_error_.empty() || probe_error_ == "NOPERM")) probe_error_ = ErrorCode(reply);
  if (--probe_left_ > 0) return;
  breaker_.OnProbe(probe_error_, NowMs());
  BreakerMoved();
}

void Lane::RolesSwapped() {
  probe_left_ = 0;
  breaker_.Reset(NowMs());
  BreakerMoved();
}

// Logs, and does what the breaker's new state asks for.
void Lane::BreakerMoved() {
  if (std::exchange(breaker_changes_, breaker_.changes()) == breaker_.changes()) return;
  const int64_t wall_ms = io_->clock()->WallMs();
  spdlog::log(
      breaker_.closed() ? spdlog::level::info : spdlog::level::warn,
      "event=breaker backend={} state={} reads={} reason=\"{}\" after_ms={} pause_ms={} opened={} probes_good={} "
      "probes_bad={} dirty_keys={}",
      SideName(migration_->secondary()), Breaker::Name(breaker_.state()), breaker_.reads_closed() ? "closed" : "open",
      !breaker_.closed() ? breaker_.reason() : breaker_.reads_reason(),
      breaker_since_ms_ == 0 ? 0 : wall_ms - breaker_since_ms_, breaker_.pause_ms(), breaker_.opened(),
      breaker_.probes_good(), breaker_.probes_bad(), dirty_->size());
  breaker_since_ms_ = wall_ms;
  // What was sent may still be answered; what was not is no longer waited for.
  if (breaker_.state() == Breaker::State::kOpen) return DropBacklog();
  owner_->OnDirty();  // copies may be tried
}

}  // namespace crossfade
