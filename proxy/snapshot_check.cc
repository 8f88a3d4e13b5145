#include "proxy/snapshot_check.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "proxy/server_info.h"

namespace crossfade {

SnapshotFacts ReadSnapshotFacts(std::string_view info) {
  ServerInfo server;
  ParseInfo(info, 0, &server);
  SnapshotFacts facts{.product = server.product, .keys = server.keys};
  facts.loading = InfoField(info, "loading") == "1";
  const auto saved_s = ParseInt64(InfoField(info, "rdb_last_save_time"));
  const auto took_s = ParseInt64(InfoField(info, "rdb_last_bgsave_time_sec"));
  // The time is that of its end (rdb.c, backgroundSaveDoneHandlerDisk); what was written after its begin is not in it.
  if (saved_s && took_s && *saved_s > 0 && *saved_s <= kMostSeconds) {
    facts.begun_s = *saved_s - std::max<int64_t>(0, *took_s);
  }
  return facts;
}

absl::Status JudgeSnapshot(const SnapshotFacts& primary, const SnapshotFacts& secondary, int64_t since_ms,
                           bool elsewhere) {
  if (secondary.loading)
    return absl::FailedPreconditionError("the secondary is still loading: try again when it is done");
  if (secondary.keys == 0 && primary.keys > 0) {
    return absl::FailedPreconditionError(fmt::format(
        "the secondary is empty, while the primary holds {} keys: load the snapshot into it first", primary.keys));
  }
  if (elsewhere) return absl::OkStatus();
  if (primary.begun_s < 0) {
    return absl::FailedPreconditionError(
        "the primary doesn't say when it took its latest snapshot. If you know that yours was begun after the journal: "
        "crossfade secondary follow --snapshot --elsewhere");
  }
  // Whole seconds: one that was begun in the same second may be the older of the two.
  if (primary.begun_s * 1000 <= since_ms) {
    return absl::FailedPreconditionError(fmt::format(
        "the primary's latest snapshot was begun {} s before the journal, so it lacks writes that nobody remembers. "
        "Take "
        "another one now (BGSAVE), and load that. If yours was taken elsewhere, after the journal began: crossfade "
        "secondary follow --snapshot --elsewhere",
        (since_ms - primary.begun_s * 1000) / 1000));
  }
  return absl::OkStatus();
}

void SnapshotCheck::Run(Side primary, int64_t since_ms, bool elsewhere, std::function<void(const absl::Status&)> done) {
  struct Case {
    SnapshotFacts facts[2];  // by Side
    absl::Status trouble;
    int left = 2;
  };
  auto both = std::make_shared<Case>();  // its second owner is the other side's callback
  since_ms += lane_->link(primary).clock().offset_ms;
  const auto over = [both, primary, since_ms, elsewhere, done = std::move(done)](const absl::Status& status) {
    both->trouble.Update(status);
    if (--both->left > 0) return;
    if (!both->trouble.ok()) return done(both->trouble);
    const auto& facts = both->facts;
    done(JudgeSnapshot(facts[static_cast<int>(primary)], facts[static_cast<int>(OtherSide(primary))], since_ms,
                       elsewhere));
  };
  for (const Side side : {Side::kOld, Side::kNew}) {
    const auto away = [side](std::string_view why) {
      return absl::FailedPreconditionError(fmt::format("{} can't be asked: {}", SideName(side), why));
    };
    auto taken = lane_->link(side).up() ? pool_->Take({.side = side, .login = 0, .protocol = 2, .db = 0})
                                        : absl::UnavailableError("it is away");
    if (!taken.ok()) {
      over(away(std::string(taken.status().message())));
      continue;
    }
    const uint64_t id = ++last_id_;
    PrivateConnection* connection = taken->get();
    asking_[id] = std::move(*taken);
    std::string info;
    AppendCommand(&info, {"INFO"});
    connection->Call(info, 1, config_->timeouts.response_ms,
                     [this, id, side, both, over, away](const PrivateConnection::Replies& replies) {
                       const std::unique_ptr<PrivateConnection> ended = std::move(asking_[id]);
                       asking_.erase(id);
                       if (!replies.ok()) return over(away(std::string(replies.status().message())));
                       const Reply reply = ParseReply(replies->front());
                       if (reply.is_error()) return over(away(reply.text));
                       both->facts[static_cast<int>(side)] = ReadSnapshotFacts(reply.text);
                       over(absl::OkStatus());
                     });
  }
}

}  // namespace crossfade
