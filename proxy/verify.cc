#include "proxy/verify.h"

#include <algorithm>
#include <span>
#include <utility>

#include "fmt/format.h"
#include "protocol/check.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "proxy/status_json.h"
#include "routing/read_splitter.h"
#include "routing/rebuild_commands.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {

// Where the value of one key may turn up under another name.
enum class Movement : uint8_t { kNone, kToFirst, kToLast, kToAny };

Movement MovementOf(std::string_view command) {
  static constexpr std::string_view kNowhere[] = {"mset", "msetnx", "del", "unlink", "touch"};
  static constexpr std::string_view kFirst[] = {"sunionstore", "sinterstore", "sdiffstore",  "zunionstore",
                                                "zinterstore", "zdiffstore",  "zrangestore", "geosearchstore",
                                                "bitop",       "pfmerge"};
  static constexpr std::string_view kLast[] = {"rename", "renamenx", "copy",      "move",      "smove",
                                               "lmove",  "blmove",   "rpoplpush", "brpoplpush"};
  const auto is_in = [command](std::span<const std::string_view> names) {
    return std::find(names.begin(), names.end(), command) != names.end();
  };
  if (is_in(kNowhere)) return Movement::kNone;
  if (is_in(kFirst)) return Movement::kToFirst;
  return is_in(kLast) ? Movement::kToLast : Movement::kToAny;
}

}  // namespace

Verify::Verify(Parts parts)
    : parts_(std::move(parts)),
      keys_(parts_.io, parts_.migration, parts_.dirty, parts_.lane, parts_.check, &result_, parts_.wake_repair) {
  timer_ = parts_.io->clock()->MakeTimer([this] { Work(); });
}

// --- Its life --------------------------------------------------------------------------------------------------------

void Verify::Load() {
  const auto bytes = parts_.storage->Read(path());
  if (!bytes.ok() || !bytes->has_value()) return;
  if (!ReadVerifyJson(**bytes, &result_)) {
    spdlog::warn("event=verify_result_ignored file={} reason=\"it can't be understood\"", path());
    return;
  }
  if (!running()) return;
  result_.state = VerifyState::kFailed;
  result_.why =
      fmt::format("the proxy was restarted; {} of {} keys had been checked", result_.keys_checked, result_.keys_total);
  result_.ended_ms = parts_.io->clock()->WallMs();
  Save();
}

void Verify::Start(const VerifyOptions& options) {
  CHECK(!running());
  result_ = VerifyResult();
  result_.state = VerifyState::kRunning;
  result_.options = options;
  if (result_.options.keys_per_second <= 0) {
    result_.options.keys_per_second = parts_.config->verify.keys_per_second;
  }
  result_.started_ms = parts_.io->clock()->WallMs();
  beginnings_ = 0;
  spdlog::info("event=verify_started repair={} sample={:g} match=\"{}\" db={} keys_per_second={}", options.repair,
               options.sample, EscapedName(options.match), options.db, result_.options.keys_per_second);
  Begin();
  Save();
}

void Verify::Begin() {
  ++run_;
  ++beginnings_;
  begin_again_ = false;
  keys_.Reset();
  VerifyResult fresh;
  fresh.state = VerifyState::kRunning;
  fresh.options = result_.options;
  fresh.started_ms = result_.started_ms;
  fresh.phase = "starting";
  result_ = std::move(fresh);
  for (Side side : {Side::kOld, Side::kNew}) identities_[static_cast<int>(side)] = parts_.lane->link(side).info();
  first_side_ = scanned_side_ = parts_.migration->primary();
  db_ = std::max(0, result_.options.db);
  cursor_ = "0";
  scanned_ = asking_ = all_scanned_ = false;
  found_.clear();
  moved_.clear();
  moved_names_.clear();
  allowance_ = 0;
  measured_ = 0;
  refilled_us_ = measured_us_ = saved_us_ = parts_.io->clock()->NowUs();
  timer_->Start(0, kStepMs);
  AskTotal();
}

void Verify::Finish(VerifyState state, std::string why) {
  if (!running()) return;
  timer_->Stop();
  ++run_;
  keys_.Reset();
  found_.clear();
  moved_.clear();
  moved_names_.clear();
  result_.state = state;
  result_.keys_total = std::max(result_.keys_total, result_.keys_checked);
  result_.ended_ms = parts_.io->clock()->WallMs();
  if (state != VerifyState::kDone) {
    why += fmt::format("; {} of {} keys had been checked", result_.keys_checked, result_.keys_total);
  }
  result_.why = std::move(why);
  result_.phase.clear();
  result_.waiting_for.clear();
  result_.per_second = 0;
  spdlog::info("event=verify_ended state={} checked={} differing={} repaired={} undecided={} reason=\"{}\"",
               Name(state), result_.keys_checked, result_.differing(), result_.repaired, result_.all_undecided(),
               result_.why);
  Save();
  if (state == VerifyState::kDone) parts_.ended();
}

// The list of what differs is written once, at the end.
void Verify::Save() {
  saved_us_ = parts_.io->clock()->NowUs();
  const std::string text = Dump(VerifyJson(result_, running() ? 0 : VerifyResult::kMaxListed));
  const absl::Status saved = parts_.storage->Replace(path(), text);
  if (!saved.ok()) spdlog::warn("event=verify_not_saved error=\"{}\"", std::string(saved.message()));
}

// --- What goes by meanwhile ------------------------------------------------------------------------------------------

void Verify::OnWritten(std::string_view command, RequestView request, const KeyIndices& keys, int db) {
  if (!running()) return;
  if (command == "swapdb") begin_again_ = true;
  for (uint32_t key : keys) keys_.OnWritten(db, request.arg(key), command, request);
  if (keys.size() < 2 && command != "move" && command != "copy") return;
  const Movement movement = MovementOf(command);
  if (movement == Movement::kNone) return;
  const VerifyOptions& options = result_.options;
  if (options.sample < 100 || !options.match.empty()) return;
  const size_t from = movement == Movement::kToLast ? keys.size() - 1 : 0;
  const size_t to = movement == Movement::kToFirst ? 1 : keys.size();
  // After the last scan every value has been looked at, but for those of keys that are still being decided.
  bool deciding = !all_scanned_;
  for (size_t i = 0; i < keys.size() && !deciding; ++i) {
    const bool is_source = movement == Movement::kToAny || i < from || i >= to || keys.size() == 1;
    const std::string_view key = request.arg(keys[i]);
    deciding = is_source && (keys_.Deciding(db, key) || moved_names_.contains(VerifyKeys::NameOf(db, key)));
  }
  if (!deciding) return;
  for (size_t i = from; i < to; ++i) NoteMoved(db, request.arg(keys[i]));
  if (command != "move" && command != "copy") return;
  // MOVE key db, COPY from to DB db: the name may be new in that database.
  for (size_t i = 2; i < request.argc(); ++i) {
    const std::optional<int64_t> other = ParseInt64(request.arg(i));
    const bool is_db =
        other && *other >= 0 && (command == "move" || (i >= 4 && EqualsIgnoreCase(request.arg(i - 1), "db")));
    if (is_db) NoteMoved(static_cast<int>(*other), request.arg(command == "move" ? 1 : 2));
  }
}

void Verify::NoteMoved(int db, std::string_view key) {
  if (result_.options.db >= 0 && db != result_.options.db) return;
  if (moved_names_.size() >= kMaxMoved) {
    ++result_.left_out;
    return;
  }
  if (!moved_names_.insert(VerifyKeys::NameOf(db, key)).second) return;
  if (all_scanned_ && parts_.io->clock()->NowUs() - all_scanned_us_ > kMovedMs * 1000) {
    ++result_.left_out;  // it would never end
  } else {
    moved_.emplace_back(db, std::string(key));
  }
}

// Not empty: it makes no sense to go on.
std::string Verify::WhyFailed() const {
  const Migration& migration = *parts_.migration;
  if (!migration.following()) return "the secondary does not follow any more";
  if (!migration.distrust.empty()) return migration.distrust;
  for (Side side : {Side::kOld, Side::kNew}) {
    const Link& link = parts_.lane->link(side);
    if (link.up() && !SameProcess(identities_[static_cast<int>(side)], link.info())) {
      return fmt::format("{} came back as another process", SideName(side));
    }
  }
  if (begin_again_ && beginnings_ >= kMaxBeginnings) {
    return fmt::format("databases were swapped (SWAPDB) {} times meanwhile", beginnings_);
  }
  return {};
}

// Not empty: nothing can be compared now.
std::string Verify::WhyWait() const {
  const Lane& lane = *parts_.lane;
  for (Side side : {Side::kOld, Side::kNew}) {
    if (!lane.link(side).up()) return fmt::format("{} is {}", SideName(side), lane.link(side).upstream().StateWord());
  }
  if (paused_) return "a flip is under way";
  if (parts_.copying() || parts_.dirty->everything()) return "everything is being copied";
  if (lane.shedding()) return "the secondary's queue overflowed";
  if (!lane.breaker().closed()) return "the breaker keeps the secondary away";
  if (lane.full()) return "the primary does not keep up";
  return {};
}

// --- Step by step ----------------------------------------------------------------------------------------------------

void Verify::Work() {
  const int64_t now_us = parts_.io->clock()->NowUs();
  if (std::string why = WhyFailed(); !why.empty()) return Fail(std::move(why));
  if (begin_again_) return Begin();
  if (now_us - measured_us_ >= kSpeedMs * 1000) Measure(now_us);
  if (now_us - saved_us_ >= kSaveMs * 1000) Save();
  Refill(now_us);
  result_.waiting_for = WhyWait();
  if (!result_.waiting_for.empty()) return;
  const uint64_t run = run_;
  if (allowance_ >= 1) allowance_ -= keys_.Step(static_cast<int>(allowance_));
  LookAtMoved();
  LookAtFound();
  if (run != run_ || asking_) return;
  if (all_scanned_) return FinishIfDone();
  if (!scanned_ && found_.size() < kScanCount) return AskScan();
  if (scanned_ && found_.empty()) NextDatabase();
}

void Verify::Refill(int64_t now_us) {
  const double rate = static_cast<double>(result_.options.keys_per_second);
  allowance_ = std::min(allowance_ + rate * static_cast<double>(now_us - refilled_us_) / 1e6, std::max(1.0, rate / 20));
  refilled_us_ = now_us;
}

void Verify::LookAtFound() {
  while (allowance_ >= 1 && keys_.room() && !found_.empty()) {
    allowance_ -= 1;
    std::string key = std::move(found_.front());
    found_.pop_front();
    keys_.Look(db_, std::move(key), false);
  }
}

// At most as many as there may be others, so that both get on.
void Verify::LookAtMoved() {
  const double keep = all_scanned_ ? 0 : allowance_ / 2;
  for (size_t left = moved_.size(); left > 0 && allowance_ >= std::max(1.0, keep) && keys_.room(); --left) {
    auto [db, key] = std::move(moved_.front());
    moved_.pop_front();
    if (keys_.Deciding(db, key)) {  // not twice at a time
      moved_.emplace_back(db, std::move(key));
      continue;
    }
    allowance_ -= 1;
    moved_names_.erase(VerifyKeys::NameOf(db, key));
    if (!IsTemporaryName(key)) keys_.Look(db, std::move(key), true);
  }
}

void Verify::FinishIfDone() {
  result_.phase = "deciding about the last keys";
  if (!keys_.idle() || !moved_.empty()) return;
  result_.scanned = result_.to_scan;
  result_.keys_total = result_.keys_checked;
  Finish(VerifyState::kDone, "");
}

void Verify::Measure(int64_t now_us) {
  const double speed = static_cast<double>(result_.scanned - std::min(result_.scanned, measured_)) * 1e6 /
                       static_cast<double>(now_us - measured_us_);
  result_.per_second = result_.per_second <= 0 ? speed : 0.7 * result_.per_second + 0.3 * speed;
  measured_ = result_.scanned;
  measured_us_ = now_us;
}

}  // namespace crossfade
