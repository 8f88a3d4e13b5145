// Verification: are the two stores the same, key by key, while both are in use? SCAN of the primary, each key compared
// (proxy/verify_keys); then SCAN of the secondary, of whose keys those that the primary lacks are compared too. At a
// bounded rate. Waits while nothing can be compared: a store is down, a flip drains, everything is being copied.
//
// Why it misses nothing that stays: SCAN finds every key that is there from its beginning to its end. A value that
// moves to another name meanwhile (RENAME, COPY, SUNIONSTORE …) may escape it, so keys written by commands of several
// keys are looked at again, and after the last scan those that were written beside a key that is still being decided;
// when databases are swapped it begins again. The two directions are of stores, not of
// roles: a flip in its middle changes nothing. A store that came back as another process ends it.
//
// The result is in the state directory (verify.json), so that it is known after a restart, which ends a verification
// too. Owned by Proxy; runs on the loop thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/key_check.h"
#include "proxy/lane.h"
#include "proxy/server_info.h"
#include "proxy/storage.h"
#include "proxy/verify_keys.h"
#include "proxy/verify_result.h"
#include "routing/dirty_set.h"
#include "routing/migration.h"

namespace crossfade {

class Verify {
 public:
  struct Parts {
    Io* io;
    const Config* config;
    const Migration* migration;
    DirtySet* dirty;
    Lane* lane;
    KeyCheck* check;
    Storage* storage;
    std::function<void()> wake_repair;  // keys were made dirty
    std::function<bool()> copying;      // everything is being copied: nothing can be said meanwhile
    std::function<void()> ended;        // result() is done
  };
  // All must outlive this object.
  explicit Verify(Parts parts);

  // What the last run of the proxy has left. Call before anything else.
  void Load();
  // REQUIRES: !running().
  void Start(const VerifyOptions& options);
  void Cancel() { Finish(VerifyState::kCancelled, "cancelled"); }
  // It can't come to its end.
  void Fail(std::string why) { Finish(VerifyState::kFailed, std::move(why)); }
  bool running() const { return result_.state == VerifyState::kRunning; }
  const VerifyResult& result() const { return result_; }

  // The primary has accepted this write. Cheap while nothing runs.
  void OnWritten(std::string_view command, RequestView request, const KeyIndices& keys, int db);
  // While a flip drains the lane, nothing may be asked.
  void set_paused(bool paused) { paused_ = paused; }

 private:
  static constexpr int64_t kStepMs = 2;
  static constexpr size_t kScanCount = 256;
  static constexpr int64_t kSaveMs = 5000;
  static constexpr int64_t kSpeedMs = 1000;
  static constexpr size_t kMaxMoved = 100'000;  // names; beyond: left out, and counted
  static constexpr int64_t kMovedMs = 20'000;   // how long, after the last scan, values that go on moving are followed
  static constexpr int kMaxBeginnings = 5;
  static constexpr double kExistsCost = 0.25;  // of a look: only whether it is there

  void Begin();
  void Finish(VerifyState state, std::string why);
  void Work();
  std::string WhyFailed() const;
  std::string WhyWait() const;
  void Refill(int64_t now_us);
  void LookAtFound();
  void NoteMoved(int db, std::string_view key);
  void LookAtMoved();
  void AskTotal();
  void AskScan();
  void OnScan(const Answers& answers, bool from_primary);
  void AskWhichLack(std::vector<std::string> keys);
  void NextDatabase();
  void FinishIfDone();
  void Measure(int64_t now_us);
  void Save();
  // The answers of the store that is being scanned.
  bool ScansPrimary() const { return parts_.migration->primary() == scanned_side_; }
  std::string path() const { return parts_.config->state_dir + "/verify.json"; }

  Parts parts_;
  VerifyResult result_;
  VerifyKeys keys_;
  std::unique_ptr<Timer> timer_;
  uint64_t run_ = 0;  // answers to an earlier run's questions are ignored
  int beginnings_ = 0;
  bool begin_again_ = false;
  bool paused_ = false;
  ServerInfo identities_[2];

  Side first_side_ = Side::kOld;    // the primary, when it began
  Side scanned_side_ = Side::kOld;  // first that one, then the other
  int db_ = 0;
  std::string cursor_ = "0";
  bool scanned_ = false;  // this database has been scanned to its end
  bool asking_ = false;   // a SCAN is under way, or an EXISTS
  bool all_scanned_ = false;
  int64_t all_scanned_us_ = 0;
  std::deque<std::string> found_;  // keys of this database still to be looked at
  std::deque<std::pair<int, std::string>> moved_;
  absl::flat_hash_set<std::string> moved_names_;
  double allowance_ = 0;
  int64_t refilled_us_ = 0, measured_us_ = 0, saved_us_ = 0;
  uint64_t measured_ = 0;
};

}  // namespace crossfade
