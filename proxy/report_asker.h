// Asks both stores what a report says of their memory and their hits: INFO, on connections of its own, beside the lane.
//
// What always holds: it ends within kConnectMs + kAnswerMs and a little, whatever the stores do; a store that doesn't
// answer is told as that, and holds up nothing. Whoever asks while one round is under way gets its answer. Owned by
// Proxy.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/report_figures.h"
#include "proxy/store_asker.h"

namespace crossfade {

class ReportAsker {
 public:
  static constexpr int64_t kConnectMs = 1000, kAnswerMs = 2000;
  using Told = StoreTold[2];  // by Side
  using Done = std::function<void(const Told& told)>;

  // Both must outlive this object.
  ReportAsker(Io* io, const Config* config);

  // Never calls back inside; `done` is not called once this object is gone.
  void Run(Done done);

 private:
  void Ask(Side side);
  void Heard(Side side, const StoreTold& told);
  void Finish();

  Io* io_;
  const Config* config_;
  std::unique_ptr<Timer> ending_;  // nobody dies in its own callback
  std::unique_ptr<StoreAsker> askers_[2];
  StoreTold told_[2];
  int left_ = 0;
  std::vector<Done> waiting_;
};

// Of the reply to INFO.
StoreTold ReadStoreTold(std::string_view reply);

}  // namespace crossfade
