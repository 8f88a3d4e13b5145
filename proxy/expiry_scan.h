// After a restart: learns anew when keys expire, by SCAN and PTTL, without copying anything. The ExpiryWatch is in
// memory only, and what it knew ended with the last run; a write just when a key expires would leave the stores
// different, and nobody would know. Until this is done, whoever accepts a write must have its keys compared again
// (Proxy::OnWritten).
//
// Both stores are asked at one logical instant, so a window covers the clocks of both. At the rate of backfills,
// through the lane; waits by itself while that is impossible, and begins anew when the primary's role has moved. Owned
// by Proxy.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/lane.h"
#include "routing/expiry_watch.h"
#include "routing/migration.h"

namespace crossfade {

class ExpiryScan {
 public:
  // All must outlive this object.
  ExpiryScan(Io* io, const BackfillConfig* config, const Migration* migration, Lane* lane, ExpiryWatch* expiry);

  void Start();
  bool running() const { return expiry_->learning(); }
  // While a flip drains the lane, nothing may be asked.
  void set_paused(bool paused) { paused_ = paused; }

 private:
  static constexpr int64_t kStepMs = 5;
  static constexpr size_t kScanCount = 256;
  static constexpr int64_t kMarginMs = 20;  // what a server may be late in its own time

  void Work();
  void StartOver();
  void AskScan();
  void OnScan(const Answers& answers);
  void AskTimes();
  void OnTimes(const Answers& answers, int64_t asked_ms);
  void Advance();

  Io* io_;
  const BackfillConfig* config_;
  const Migration* migration_;
  Lane* lane_;
  ExpiryWatch* expiry_;
  std::unique_ptr<Timer> timer_;
  bool paused_ = false;
  bool asking_ = false;
  uint64_t epoch_ = 0;
  int db_ = 0;
  std::string cursor_;
  std::vector<std::string> found_;  // by the last SCAN, whose times are not known yet
  double allowance_ = 0;
  int64_t refilled_us_ = 0;
};

}  // namespace crossfade
