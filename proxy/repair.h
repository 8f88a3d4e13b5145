// Copies dirty keys from the primary to the secondary, through the lane, at a bounded rate, until none is left.
// It acts only while copying makes sense: both sides up and following, repair enabled, and the primary trusted.
#pragma once

#include <cstdint>
#include <memory>

#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/key_copier.h"
#include "proxy/lane.h"
#include "routing/dirty_set.h"
#include "routing/migration.h"

namespace crossfade {

class Repair {
 public:
  // All must outlive this object.
  Repair(Io* io, const RepairConfig* config, const Migration* migration, DirtySet* dirty, Lane* lane);

  // Keys may have become dirty, or copying may have become possible. Cheap; call it whenever in doubt.
  void Wake();
  // Who decides how a key is copied. Without one each goes whole, through the lane. Must outlive this object.
  void set_copier(KeyCopier* copier) { copier_ = copier; }
  // While a flip drains, no rate holds repair back: clients wait.
  void set_urgent(bool urgent) { urgent_ = urgent; }
  // No copy is begun.
  void set_paused(bool paused) { paused_ = paused; }

  size_t in_flight() const { return in_flight_; }
  uint64_t copied() const { return copied_; }
  uint64_t failed() const { return failed_; }

 private:
  void Work();

  static constexpr size_t kMaxInFlight = 64;
  static constexpr int64_t kStepMs = 2;

  Io* io_;
  const RepairConfig* config_;
  const Migration* migration_;
  DirtySet* dirty_;
  Lane* lane_;
  KeyCopier* copier_ = nullptr;
  std::unique_ptr<Timer> timer_;
  bool timer_on_ = false;
  bool urgent_ = false;
  bool paused_ = false;
  size_t in_flight_ = 0;
  double allowance_ = 0;  // keys that may be copied now
  int64_t refilled_us_ = 0;
  uint64_t copied_ = 0, failed_ = 0;
};

}  // namespace crossfade
