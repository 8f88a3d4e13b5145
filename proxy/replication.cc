// Watching a replica, and promoting it.
#include "proxy/replication.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/block.h"
#include "routing/command_table.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {

constexpr char kPromotionUnknown[] =
    "it was told to be a replica no more, and whether it has heard that is not known yet";

}  // namespace

// "unknown command 'AUTH', with args beginning with: …" goes on with a password.
std::string Replication::ErrorText(const std::string& reply) {
  const std::string_view text = ParseReply(reply).text;
  return std::string(text.substr(0, text.find(", with args")));
}

Replication::Replication(Io* io, const Config* config, DirtySet* dirty, Lane* lane, Keeper* keeper, PrivatePool* pool,
                         Repair* repair, Hooks hooks)
    : io_(io),
      config_(config),
      dirty_(dirty),
      lane_(lane),
      keeper_(keeper),
      pool_(pool),
      repair_(repair),
      hooks_(std::move(hooks)),
      secondary_seen_(absl::UnavailableError("it has not been asked yet")) {
  watch_timer_ = io_->clock()->MakeTimer([this] { Watch(); });
  step_timer_ = io_->clock()->MakeTimer([this] { Step(); });
}

void Replication::Start() {
  if (!keeper_->migration().replicating()) return;
  state_ = State::kConnecting;
  watch_timer_->Start(0, kWatchMs);
}

const char* Replication::Name(State state) {
  switch (state) {
    case State::kNone:
      return "none";
    case State::kConnecting:
      return "connecting";
    case State::kSyncing:
      return "syncing";
    case State::kStreaming:
      return "streaming";
    case State::kPromoting:
      return "promoting";
    case State::kNoReplica:
      return "no replica";
    case State::kElsewhere:
      return "elsewhere";
  }
  return "";
}

int64_t Replication::lag_bytes() const {
  return std::max<int64_t>(0, primary_.offset - secondary_.offset);
}

// On a connection that stays. `done` is called exactly once.
void Replication::Ask(Side side, const std::string& commands, int count, PrivateConnection::Done done) {
  std::unique_ptr<PrivateConnection>& asker = askers_[static_cast<int>(side)];
  if (asker == nullptr || asker->broken()) {
    const Upstream& upstream = lane_->link(side).upstream();
    // Once it is up, what a run of the proxy before this one has left in its sockets is over.
    if (!upstream.up())
      return done(absl::UnavailableError(fmt::format("it is {}: {}", upstream.StateWord(), upstream.last_error())));
    auto taken = pool_->Take({.side = side});
    if (!taken.ok()) return done(taken.status());
    asker = std::move(*taken);
  }
  asker->Call(commands, count, kAnswerMs, std::move(done));
}

// --- Watching ------------------------------------------------------------------------------------------------------

// The secondary is asked first: so the primary's offset is the later one, and the lag never too small.
void Replication::Watch() {
  if (!keeper_->migration().replicating()) return watch_timer_->Stop();
  if (std::exchange(watching_, true)) return;
  std::string commands;
  // What may still carry a promotion is ended before its outcome is judged.
  const bool ends = promotion_ == Promotion::kUnknown && doomed_ != 0 &&
                    doomed_run_ == lane_->secondary().info().run_id;  // in another process the id is another's
  if (ends) AppendCommand(&commands, {"CLIENT", "KILL", "ID", std::to_string(doomed_)});
  AppendCommand(&commands, {"INFO", "replication"});
  const Side primary = keeper_->migration().primary();
  Ask(OtherSide(primary), commands, ends ? 2 : 1, [this, primary](const Replies& replies) {
    if (!keeper_->migration().replicating()) {
      watching_ = false;
      return;
    }
    SecondarySeen(replies);
    std::string info;
    AppendCommand(&info, {"INFO", "replication"});
    Ask(primary, info, 1, [this](const Replies& answer) {
      watching_ = false;
      if (answer.ok() && !IsErrorReply(answer->front())) primary_ = ParseReplication(ParseReply(answer->front()).text);
      Judge();
    });
  });
}

void Replication::SecondarySeen(const Replies& replies) {
  secondary_seen_ = replies.status();
  if (!replies.ok()) return;
  if (IsErrorReply(replies->back())) {
    secondary_seen_ = absl::UnavailableError("INFO: " + ErrorText(replies->back()));
    return;
  }
  secondary_ = ParseReplication(ParseReply(replies->back()).text);
  lane_->secondary().set_replica(secondary_.replica);
}

// By the address that it was given, or by the name of the stream: it may know the primary by another address.
bool Replication::Ours(const ReplicationInfo& info) const {
  if (!info.replica) return false;
  if (info.master == config_->backend(keeper_->migration().primary()).address.ToString()) return true;
  if (info.master == master_) return true;
  return info.link_up && !info.replid.empty() && info.replid == primary_.replid;
}

void Replication::Judge() {
  if (!keeper_->migration().replicating() || (change_ && change_->entering)) return;
  if (promotion_ != Promotion::kNone) return JudgeUnknown();
  const char* name = SecondaryName();
  if (!secondary_seen_.ok()) {
    return Move(State::kConnecting, fmt::format("{} can't be asked: {}", name, std::string(secondary_seen_.message())));
  }
  if (!secondary_.replica) {
    return Move(State::kNoReplica,
                fmt::format("{} is no replica of {} any more: it was promoted, or restarted without that setting. What "
                            "was written since is missing there, and what was written there nobody knows. To copy "
                            "everything: crossfade secondary follow. To begin anew: crossfade secondary replica "
                            "--replace",
                            name, PrimaryName()));
  }
  // Its address may lead elsewhere from there. For a moment the two may also have been asked at different times.
  const bool stranger = secondary_.link_up && !secondary_.syncing && !primary_.replid.empty() &&
                        !secondary_.replid.empty() && primary_.replid != secondary_.replid &&
                        lane_->secondary().info().product != "dragonfly";
  strangers_ = stranger ? strangers_ + 1 : 0;
  if (!Ours(secondary_) || strangers_ >= kLooksUntilSure) {
    return Move(State::kElsewhere, fmt::format("{} replicates from {}, which is not {}. crossfade secondary replica "
                                               "--replace makes it begin anew",
                                               name, secondary_.master, PrimaryName()));
  }
  if (secondary_.link_up && !secondary_.syncing && !stranger) {
    down_since_us_ = 0;
    why_down_.clear();
    master_ = secondary_.master;
    return Move(State::kStreaming, "");
  }
  if (secondary_.syncing || secondary_.link_up) {
    return Move(State::kSyncing, fmt::format("{} gets its first copy of everything from {}", name, PrimaryName()));
  }
  SayWhyDown();
  Move(State::kConnecting,
       fmt::format("{} is not connected to {}{}{}", name, PrimaryName(), why_down_.empty() ? "" : ": ", why_down_));
}

// A promotion was sent, and its answer has not come, or came too late.
void Replication::JudgeUnknown() {
  if (awaited_) return;
  Move(State::kPromoting, SecondaryName() + std::string(": ") + kPromotionUnknown);
  if (promotion_ != Promotion::kUnknown || !secondary_seen_.ok()) return;
  if (!secondary_.replica) {
    promotion_ = Promotion::kNone;
    return End(SecondaryMode::kFollow, false,
               fmt::format("{} was promoted later than it was waited for, and writes went on: everything is copied "
                           "again",
                           SecondaryName()));
  }
  if (++looks_ < kLooksUntilSure) return;
  promotion_ = Promotion::kNone;  // it never arrived
  spdlog::info("event=promotion_not_carried_out backend={}", SecondaryName());
}

void Replication::Move(State to, const std::string& error) {
  if (to != state_) {
    spdlog::log(to == State::kNoReplica || to == State::kElsewhere ? spdlog::level::warn : spdlog::level::info,
                "event=replication_state state={} from={} lag_bytes={} reason=\"{}\"", Name(to), StateWord(),
                lag_bytes(), error);
  }
  state_ = to;
  error_ = to == State::kSyncing ? "" : error;  // nothing is wrong then
  const bool lost = to == State::kNoReplica || to == State::kElsewhere || to == State::kPromoting;
  keeper_->NoteReplication(to == State::kStreaming ? Synced::kYes : lost ? Synced::kNo : Synced::kCopying, error);
}

// INFO doesn't tell why a replica is not let in. So the primary is asked what it says to who comes as that one does.
void Replication::SayWhyDown() {
  const int64_t now_us = io_->clock()->NowUs();
  if (down_since_us_ == 0) {
    down_since_us_ = now_us;
    ask_why_at_us_ = now_us + kAskWhyAfterMs * 1000;
  }
  if (now_us < ask_why_at_us_ || probe_ != nullptr) return;
  ask_why_at_us_ = now_us + kAskWhyEveryMs * 1000;
  std::string commands;
  AppendCommand(&commands, {"CONFIG", "GET", "masteruser"});
  AppendCommand(&commands, {"CONFIG", "GET", "masterauth"});
  Ask(keeper_->migration().secondary(), commands, 2, [this](const Replies& replies) {
    if (!replies.ok()) return;
    const Reply user = ParseReply((*replies)[0]), password = ParseReply((*replies)[1]);
    if (user.items.size() == 2 && password.items.size() == 2)
      return AskAsReplica(std::string(user.items[1].text), std::string(password.items[1].text));
    why_down_ =
        fmt::format("what it logs in with can't be seen (CONFIG GET: {}); its log says why", ErrorText((*replies)[1]));
  });
}

void Replication::AskAsReplica(const std::string& user, const std::string& password) {
  auto taken = pool_->TakeBare(keeper_->migration().primary());
  if (!taken.ok()) return;
  probe_ = std::move(*taken);
  std::string commands;
  if (!password.empty()) {
    if (user.empty()) {
      AppendCommand(&commands, {"AUTH", password});
    } else {
      AppendCommand(&commands, {"AUTH", user, password});
    }
  }
  AppendCommand(&commands, {"PING"});
  // Beyond logging in: it is never carried out for want of arguments, and refused by name where it is not known.
  AppendCommand(&commands, {"ACL", "DRYRUN", user.empty() ? "default" : user, "PSYNC", "?", "-1"});
  probe_->Call(commands, password.empty() ? 2 : 3, kAnswerMs, [this](const Replies& replies) {
    const std::unique_ptr<PrivateConnection> over = std::move(probe_);
    if (!replies.ok()) {
      why_down_ = fmt::format("{} can't be reached: {}", PrimaryName(), std::string(replies.status().message()));
      return;
    }
    std::string refusal;
    for (size_t i = 0; i + 1 < replies->size() && refusal.empty(); ++i) {
      if (IsErrorReply((*replies)[i])) refusal = ErrorText((*replies)[i]);
    }
    const Reply dry_run = ParseReply(replies->back());
    if (refusal.empty() && dry_run.is_text() && dry_run.text != "OK") refusal = std::string(dry_run.text);
    why_down_ = refusal.empty() ? fmt::format("it would be let in, so its own log must say why; it tries to reach {}",
                                              secondary_.master)
                                : fmt::format("{} answers it: {}", PrimaryName(), refusal);
    if (!refusal.empty() && !credentials_why_.empty()) why_down_ += ". " + credentials_why_;
  });
}

// SORT … BY … STORE goes to the replica as it was asked, and there a set is walked in another order: elements whose
// weights are equal end up in that one (Redis, sort.c: sortCompare, seen with 7.0.15). Who reads such a key to write
// another one carries the difference on.
void Replication::OnWritten(const CommandRow& row, RequestView request, const KeyIndices& keys, int db,
                            uint64_t order) {
  if (row.name == "sort" && keys.size() > 1) {
    for (size_t i = 2; i < request.argc(); ++i) {
      if (!EqualsIgnoreCase(request.arg(i), "by")) continue;
      return dirty_->Mark(db, request.arg(keys.back()), DirtyCause::kEffectUnknown, order);
    }
  }
  if (dirty_->clean()) return;
  BlockCopies::Key other;
  const bool elsewhere = OtherDatabaseKey(row, request, &other);
  if (keys.size() < 2 && !elsewhere) return;
  const auto inexact = [&](uint32_t key) { return dirty_->Remembers(db, request.arg(key)); };
  if (std::none_of(keys.begin(), keys.end(), inexact)) return;
  for (uint32_t key : keys) dirty_->Mark(db, request.arg(key), DirtyCause::kDirtySource, order);
  if (elsewhere) dirty_->Mark(other.db, other.name, DirtyCause::kDirtySource, order);
}

// --- The handover --------------------------------------------------------------------------------------------------

std::string Replication::WhyNever() const {
  if (busy()) return "the secondary's mode is being changed";
  const Migration& migration = keeper_->migration();
  if (!migration.distrust.empty()) return migration.distrust;
  if (state_ == State::kNoReplica || state_ == State::kElsewhere) return error_;
  return {};
}

std::string Replication::WhyNotNear() const {
  if (state_ != State::kStreaming) {
    return fmt::format("the replication from {} to {} is {}{}{}", PrimaryName(), SecondaryName(), StateWord(),
                       error_.empty() ? "" : ": ", error_);
  }
  if (lag_bytes() > kMaxLagBytes) return fmt::format("the replica lags by {} bytes", lag_bytes());
  return {};
}

void Replication::BeginHandover() {
  ++handover_;
  asking_offset_ = false;
  target_.reset();
  refusal_.clear();
  handover_why_ = "the stores have not said how far they are";
  awaited_ = true;
}

std::string Replication::WhyNotEqual() {
  if (!refusal_.empty()) return refusal_;
  if (target_ && secondary_.offset >= target_->offset && secondary_.link_up && handover_why_.empty()) return {};
  if (std::exchange(asking_offset_, true)) return handover_why_;
  const bool knows_target = target_.has_value();
  std::string info;
  AppendCommand(&info, {"INFO", "replication"});
  const Side primary = keeper_->migration().primary();
  Ask(knows_target ? OtherSide(primary) : primary, info, 1,
      [this, knows_target, id = handover_](const Replies& replies) {
        if (id != handover_) return;
        asking_offset_ = false;
        if (!replies.ok() || IsErrorReply(replies->front())) {
          handover_why_ = fmt::format("{} did not say how far it is", knows_target ? SecondaryName() : PrimaryName());
          return;
        }
        const ReplicationInfo info = ParseReplication(ParseReply(replies->front()).text);
        if (!knows_target) {
          target_ = info;
          return;
        }
        secondary_ = info;
        const bool same =
            info.replid.empty() || info.replid == target_->replid || lane_->secondary().info().product == "dragonfly";
        handover_why_ = !info.replica || !info.link_up || !same
                            ? fmt::format("{} is not connected to {}", SecondaryName(), PrimaryName())
                        : info.offset < target_->offset
                            ? fmt::format("{} has applied {} of the {} bytes that {} has written", SecondaryName(),
                                          info.offset, target_->offset, PrimaryName())
                            : "";
      });
  return handover_why_.empty() ? "the stores have not said how far they are" : handover_why_;
}

void Replication::Promote(bool in_step) {
  if (promotion_ != Promotion::kNone) return;
  promotion_ = Promotion::kSent;
  awaited_ = true;
  in_step_ = in_step;
  looks_ = 0;
  doomed_ = 0;
  doomed_run_ = lane_->secondary().info().run_id;
  std::string commands;
  AppendCommand(&commands, {"REPLICAOF", "NO", "ONE"});
  AppendCommand(&commands, {"INFO", "replication"});
  spdlog::warn("event=promotion backend={} in_step={} offset={}", SecondaryName(), in_step, secondary_.offset);
  const Side side = keeper_->migration().secondary();
  Ask(side, commands, 2, [this](const Replies& replies) { PromotionAnswered(replies); });
}

void Replication::PromotionAnswered(const Replies& replies) {
  if (!replies.ok()) {
    const auto& asker = askers_[static_cast<int>(keeper_->migration().secondary())];
    doomed_ = asker == nullptr ? 0 : asker->server_id();
    promotion_ = Promotion::kUnknown;
    handover_why_ = kPromotionUnknown;
    return;
  }
  promotion_ = Promotion::kNone;
  const bool refused = IsErrorReply(replies->front());
  const ReplicationInfo info = ParseReplication(ParseReply(replies->back()).text);
  if (refused || IsErrorReply(replies->back()) || info.replica) {
    refusal_ = handover_why_ =
        fmt::format("{} can't be promoted: {}", SecondaryName(),
                    refused ? ErrorText(replies->front()) : "it says that it is a replica still");
    return;
  }
  if (!awaited_) {
    return End(SecondaryMode::kFollow, false,
               fmt::format("{} was promoted later than it was waited for, and writes went on: everything is copied "
                           "again",
                           SecondaryName()));
  }
  lane_->secondary().set_replica(false);
  End(change_ ? change_->to : SecondaryMode::kFollow, in_step_, WhyNotInStep());
}

std::string Replication::WhyNotInStep() const {
  if (change_ && change_->to == SecondaryMode::kOff)
    return "the secondary was off: what was written meanwhile is missing there";
  return fmt::format("{} was promoted before it had everything: everything is copied again", SecondaryName());
}

void Replication::GiveUp() {
  awaited_ = false;
  ++handover_;
  asking_offset_ = false;
  target_.reset();
  if (promotion_ == Promotion::kNone) return;
  Move(State::kPromoting, SecondaryName() + std::string(": ") + kPromotionUnknown);
}

void Replication::End(SecondaryMode mode, bool in_step, const std::string& why) {
  keeper_->EndReplication(mode, in_step, why, lane_->next_order());
  state_ = State::kNone;
  error_.clear();
  why_down_.clear();
  awaited_ = false;
  promotion_ = Promotion::kNone;
  hooks_.changed();
}

}  // namespace crossfade
