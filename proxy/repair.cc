#include "proxy/repair.h"

#include <algorithm>

namespace crossfade {

Repair::Repair(Io* io, const RepairConfig* config, const Migration* migration, DirtySet* dirty, Lane* lane)
    : io_(io), config_(config), migration_(migration), dirty_(dirty), lane_(lane) {
  timer_ = io_->clock()->MakeTimer([this] { Work(); });
}

void Repair::Wake() {
  if (timer_on_ || dirty_->size() == 0) return;
  timer_on_ = true;
  timer_->Start(0, kStepMs);
}

void Repair::Work() {
  const int64_t now_us = io_->clock()->NowUs();
  const double rate = static_cast<double>(config_->keys_per_second);
  // At most a tenth of a second's worth is saved up, and at least one key.
  allowance_ = std::min(allowance_ + rate * static_cast<double>(now_us - refilled_us_) / 1e6, std::max(1.0, rate / 10));
  refilled_us_ = now_us;
  DirtySet::Key key;
  while (config_->enabled && !paused_ && migration_->distrust.empty() && lane_->CanCopy() &&
         in_flight_ < kMaxInFlight && (allowance_ >= 1 || urgent_) && dirty_->TakeForRepair(now_us / 1000, &key)) {
    if (lane_->Gated(key.name)) {
      dirty_->CopyFailed(key, now_us / 1000);
      continue;
    }
    allowance_ = std::max(0.0, allowance_ - 1);
    ++in_flight_;
    const auto done = [this, key](bool copied) {
      --in_flight_;
      ++(copied ? copied_ : failed_);
      if (!copied) dirty_->CopyFailed(key, io_->clock()->NowUs() / 1000);
    };
    if (copier_ != nullptr) {
      copier_->Copy(key, done);
    } else {
      lane_->SubmitCopy(key, done);
    }
  }
  if (dirty_->size() == 0 && in_flight_ == 0) {
    timer_->Stop();
    timer_on_ = false;
  }
}

}  // namespace crossfade
