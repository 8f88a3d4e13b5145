// May the secondary be taken to hold a snapshot of the primary that is no older than the journal? Both are asked, on
// connections of their own since the lane asks a secondary nothing that doesn't follow: the primary when its latest
// snapshot was begun (INFO persistence), both how many keys they hold.
//
// What it can't know is whether that snapshot is the one that was loaded. A snapshot that was taken elsewhere (of a
// replica, by a provider) is the operator's word.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "conf/config.h"
#include "proxy/lane.h"
#include "proxy/private_pool.h"

namespace crossfade {

// What one store's INFO says that matters here.
struct SnapshotFacts {
  std::string product;
  int64_t keys = 0;
  bool loading = false;
  int64_t begun_s = -1;  // the latest snapshot, in seconds by the server's clock; −1: it doesn't say
};
SnapshotFacts ReadSnapshotFacts(std::string_view info);

// Why not, or OK. `since_ms`: when the journal began, by the primary's clock. `elsewhere`: the operator has another.
absl::Status JudgeSnapshot(const SnapshotFacts& primary, const SnapshotFacts& secondary, int64_t since_ms,
                           bool elsewhere);

class SnapshotCheck {
 public:
  // All must outlive this object. REQUIRES: it outlives its questions, or the pool's connections don't.
  SnapshotCheck(const Config* config, const Lane* lane, PrivatePool* pool)
      : config_(config), lane_(lane), pool_(pool) {}

  // `since_ms` by the proxy's wall clock. `done` is called exactly once, perhaps within the call.
  void Run(Side primary, int64_t since_ms, bool elsewhere, std::function<void(const absl::Status&)> done);

 private:
  const Config* config_;
  const Lane* lane_;
  PrivatePool* pool_;
  absl::flat_hash_map<uint64_t, std::unique_ptr<PrivateConnection>> asking_;
  uint64_t last_id_ = 0;
};

}  // namespace crossfade
