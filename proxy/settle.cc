#include "proxy/settle.h"

#include <algorithm>
#include <utility>

#include "protocol/reply.h"
#include "routing/db_key.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {
absl::string_view Lookup(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}
}  // namespace

Settle::Settle(Io* io, const Config* config, const Migration* migration, DirtySet* dirty, Counters* counters,
               Lane* lane, KeyCheck* check, std::function<void()> wake_repair)
    : io_(io),
      config_(config),
      migration_(migration),
      dirty_(dirty),
      counters_(counters),
      lane_(lane),
      check_(check),
      wake_repair_(std::move(wake_repair)) {
  timer_ = io_->clock()->MakeTimer([this] { Work(); });
}

const std::string& Settle::NameOf(int db, std::string_view key) {
  SetDbKey(db, key, &scratch_);
  return scratch_;
}

void Settle::Touch(int db, std::string_view key) {
  const std::string& name = NameOf(db, key);
  const int64_t now_us = io_->clock()->NowUs();
  const auto found = by_name_.find(Lookup(name));
  if (found != by_name_.end()) {
    found->second->touched_us = now_us;
    waiting_.splice(waiting_.end(), waiting_, found->second);
    return;
  }
  const auto most = static_cast<size_t>(config_->limits.settle_keys);
  if (waiting_.size() >= most || name_bytes_ + name.size() > most * DirtySet::kNameBytes) {
    ++counters_->settle_left_out;
    return;
  }
  name_bytes_ += name.size();
  waiting_.push_back({name, now_us});
  by_name_[Lookup(waiting_.back().name)] = std::prev(waiting_.end());
  if (!timer_on_) Schedule();
}

void Settle::Sample(int db, std::string_view key, uint64_t dice) {
  const double percent = static_cast<double>(dice >> 11) * 0x1p-53 * 100;
  if (percent < config_->settle.share) Touch(db, key);
}

bool Settle::Waits(int db, std::string_view key) {
  if (waiting_.empty() && checking_.empty()) return false;
  const std::string& name = NameOf(db, key);
  return by_name_.contains(Lookup(name)) || checking_.contains(name);
}

void Settle::DatabasesSwapped(RequestView request) {
  const auto a = ParseInt64(request.arg(1)), b = ParseInt64(request.arg(2));
  if (!a || !b || *a == *b) return;
  const auto other = [&](int db) { return static_cast<int>(db == *a ? *b : db == *b ? *a : db); };
  by_name_.clear();
  for (auto entry = waiting_.begin(); entry != waiting_.end(); ++entry) {
    entry->name = NameOf(other(DbOf(entry->name)), KeyOf(entry->name));
    by_name_[Lookup(entry->name)] = entry;
  }
  for (const std::string& name : checking_) {
    const int db = other(DbOf(name));
    if (db != DbOf(name)) Touch(db, KeyOf(name));
  }
}

bool Settle::CanCheck() const {
  return !paused_ && lane_->primary().up() && lane_->secondary().up() && migration_->following() &&
         !lane_->shedding() && lane_->breaker().closed() && migration_->synced == Synced::kYes &&
         migration_->distrust.empty() && !dirty_->everything();
}

// Runs when the key that has been quiet for longest is due, and every kStepMs while more are due than may be checked.
void Settle::Schedule() {
  timer_on_ = !waiting_.empty();
  if (!timer_on_) return timer_->Stop();
  const int64_t due_us = waiting_.front().touched_us + config_->settle.quiet_ms * 1000;
  const int64_t left_ms = (due_us - io_->clock()->NowUs() + 999) / 1000;
  timer_->Start(std::max(left_ms, CanCheck() ? kStepMs : kPauseMs), 0);
}

void Settle::Work() {
  const int64_t now_us = io_->clock()->NowUs();
  const double rate = static_cast<double>(config_->settle.keys_per_second);
  allowance_ = std::min(allowance_ + rate * static_cast<double>(now_us - refilled_us_) / 1e6, std::max(1.0, rate / 10));
  refilled_us_ = now_us;
  // What a check that fails at once puts back is not due.
  while (allowance_ >= 1 && checking_.size() < kMaxInFlight && CanCheck() && !waiting_.empty() &&
         waiting_.front().touched_us + config_->settle.quiet_ms * 1000 <= now_us) {
    CheckFront();
  }
  Schedule();
}

void Settle::CheckFront() {
  by_name_.erase(Lookup(waiting_.front().name));
  const std::string name = std::move(waiting_.front().name);
  waiting_.pop_front();
  name_bytes_ -= name.size();
  const int db = DbOf(name);
  const std::string key(KeyOf(name));
  if (dirty_->Contains(db, key)) return;
  if (!checking_.insert(name).second) return Touch(db, key);
  allowance_ -= 1;
  check_->Check(db, key, [this, db, key](const KeyVerdict& verdict) {
    checking_.erase(NameOf(db, key));
    Judge(db, key, verdict);
  });
}

void Settle::Judge(int db, const std::string& key, const KeyVerdict& verdict) {
  switch (verdict.outcome) {
    case KeyOutcome::kEqual:
      ++counters_->settle_equal;
      break;
    case KeyOutcome::kDiffers:
      if (dirty_->Contains(db, key)) return;  // known by now
      Differs(db, key, verdict);
      break;
    case KeyOutcome::kTooBig:
      ++counters_->settle_too_big;
      break;
    case KeyOutcome::kNotComparable:
      ++counters_->settle_not_comparable;
      break;
    case KeyOutcome::kBusy:
    case KeyOutcome::kExpiring:
      return Touch(db, key);
  }
  ++counters_->settle_checked;
}

// Logged without the key, and at most a few a second.
void Settle::Differs(int db, const std::string& key, const KeyVerdict& verdict) {
  ++counters_->settle_differed;
  const int64_t second = io_->clock()->NowUs() / 1'000'000;
  if (std::exchange(logged_second_, second) != second) logged_ = 0;
  if (++logged_ <= kLoggedPerSecond) {
    spdlog::warn("event=settle_differed db={} difference={}", db, Name(verdict.difference));
  }
  dirty_->Mark(db, key, DirtyCause::kSettleDiffered, verdict.order);
  wake_repair_();
}

}  // namespace crossfade
