#include "proxy/report_asker.h"

#include <algorithm>
#include <utility>

#include "protocol/reply.h"
#include "proxy/server_info.h"

namespace crossfade {

ReportAsker::ReportAsker(Io* io, const Config* config)
    : io_(io), config_(config), ending_(io->clock()->MakeTimer([this] { Finish(); })) {}

void ReportAsker::Run(Done done) {
  waiting_.push_back(std::move(done));
  if (left_ > 0) return;
  left_ = 2;
  for (Side side : {Side::kOld, Side::kNew}) Ask(side);
}

void ReportAsker::Ask(Side side) {
  const int index = static_cast<int>(side);
  told_[index] = {};
  askers_[index] = std::make_unique<StoreAsker>(io_, config_->backend(side), kConnectMs, kAnswerMs);
  StoreAsker* asker = askers_[index].get();
  asker->LogIn([this, side, asker](bool, const std::string& refusal) {
    if (!refusal.empty()) {
      StoreTold told;
      told.refused = refusal;
      return Heard(side, told);
    }
    CommandBatch batch;
    batch.Add({"INFO"});
    asker->Ask(batch, [this, side](const StoreAsker::Answers& answers) { Heard(side, ReadStoreTold(answers[0])); });
  });
}

void ReportAsker::Heard(Side side, const StoreTold& told) {
  told_[static_cast<int>(side)] = told;
  if (--left_ > 0) return;
  left_ = 2;  // until it is told
  ending_->Start(0, 0);
}

void ReportAsker::Finish() {
  for (std::unique_ptr<StoreAsker>& asker : askers_) asker.reset();
  left_ = 0;
  const std::vector<Done> waiting = std::exchange(waiting_, {});
  const Told told = {told_[0], told_[1]};
  for (const Done& done : waiting) done(told);
}

StoreTold ReadStoreTold(std::string_view reply) {
  StoreTold told;
  const Reply info = ParseReply(reply);
  if (info.is_error()) {
    told.refused = std::string(info.text);
    return told;
  }
  const auto figure = [&](std::string_view name) {
    constexpr int64_t kMost = int64_t{1} << 60;
    return static_cast<uint64_t>(std::clamp<int64_t>(ParseInt64(InfoField(info.text, name)).value_or(0), 0, kMost));
  };
  if (InfoField(info.text, "used_memory").empty() && InfoField(info.text, "keyspace_hits").empty()) {
    told.refused = "its INFO names neither memory nor hits";
    return told;
  }
  told.refused.clear();
  told.used_memory = figure("used_memory");
  told.maxmemory = figure("maxmemory");
  told.hits = figure("keyspace_hits");
  told.misses = figure("keyspace_misses");
  told.uptime_ms = static_cast<int64_t>(std::min<uint64_t>(figure("uptime_in_seconds"), uint64_t{1} << 40)) * 1000;
  told.keys = std::max<int64_t>(0, KeysInInfo(info.text));
  return told;
}

}  // namespace crossfade
