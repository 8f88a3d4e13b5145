// Beginning replication, and ending it without a flip: what is asked first, and with requests held.
#include <utility>

#include "conf/config_values.h"
#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "proxy/replication.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {

const char* UserOf(const BackendConfig& backend) {
  return backend.user.empty() ? "default" : backend.user.c_str();
}

// ACL DRYRUN says no in a string. An error is another question's: an old server, or one may not ask.
std::string DryRunRefusal(const std::string& reply) {
  const Reply parsed = ParseReply(reply);
  return parsed.is_text() && parsed.text != "OK" ? std::string(parsed.text) : std::string();
}

// COMMAND INFO of a command that was renamed away.
bool SaysUnknown(const std::string& reply) {
  const Reply parsed = ParseReply(reply);
  if (parsed.is_error()) return false;
  return parsed.items.size() == 1 && (parsed.items[0].is_null() || parsed.items[0].items.empty());
}

std::optional<std::string> ConfigValue(const std::string& reply) {
  const Reply parsed = ParseReply(reply);
  if (parsed.items.size() != 2) return std::nullopt;
  return std::string(parsed.items[1].text);
}

}  // namespace

// --- Beginning -----------------------------------------------------------------------------------------------------

std::string Replication::WhyNotEnter() const {
  if (busy()) return "the secondary's mode is being changed already";
  if (std::string why = hooks_.why_busy(); !why.empty()) return why;
  if (promotion_ != Promotion::kNone) return error_;
  const Migration& migration = keeper_->migration();
  if (!migration.distrust.empty()) return migration.distrust;
  for (Side side : {migration.primary(), migration.secondary()}) {
    const Upstream& upstream = lane_->link(side).upstream();
    if (!upstream.up()) {
      return fmt::format("{} ({}) is {}: {}", SideName(side), upstream.address().ToString(), upstream.StateWord(),
                         upstream.last_error());
    }
  }
  if (lane_->primary().info().product == "dragonfly") {
    return fmt::format(
        "{} is a Dragonfly, which serves no PSYNC: nothing but a Dragonfly can replicate from it. Use a "
        "backfill",
        PrimaryName());
  }
  const Address& from = config_->backend(migration.primary()).address;
  if (IsLoopback(from.host) && !IsLoopback(config_->backend(migration.secondary()).address.host)) {
    return fmt::format("{} is given as {}, which leads elsewhere from {}: give it an address that both can use",
                       PrimaryName(), from.ToString(), SecondaryName());
  }
  return {};
}

void Replication::Enter(bool replace, Done done) {
  const bool lasting = state_ == State::kSyncing || state_ == State::kStreaming;
  if (!busy() && keeper_->migration().replicating() && lasting) return done(absl::OkStatus());  // as before
  std::string why = WhyNotEnter();
  if (why.empty() && !replace) why = keeper_->migration().keep_secondary;
  if (!why.empty()) return done(absl::FailedPreconditionError(why));
  change_ = Change();
  change_->entering = true;
  change_->replace = replace;
  change_->done = std::move(done);
  const Side primary = keeper_->migration().primary();
  std::string commands;
  AppendCommand(&commands, {"INFO", "replication"});
  AppendCommand(&commands, {"COMMAND", "INFO", "psync"});
  AppendCommand(&commands, {"ACL", "DRYRUN", UserOf(config_->backend(primary)), "PSYNC", "?", "-1"});
  Ask(primary, commands, 3, [this](const Replies& replies) { CheckPrimary(replies); });
}

void Replication::CheckPrimary(const Replies& replies) {
  const auto refuse = [this](const std::string& why) {
    Finish(absl::FailedPreconditionError(fmt::format("{} can't be replicated from: {}", PrimaryName(), why)));
  };
  if (!replies.ok()) return refuse(std::string(replies.status().message()));
  if (IsErrorReply((*replies)[0])) return refuse(ErrorText((*replies)[0]));
  primary_ = ParseReplication(ParseReply((*replies)[0]).text);
  if (primary_.replica) {
    return refuse(
        fmt::format("it is itself a replica, of {}, and would go on taking writes from there. REPLICAOF NO "
                    "ONE on it first",
                    primary_.master));
  }
  if (SaysUnknown((*replies)[1])) return refuse("it serves no PSYNC (the command is unknown there)");
  if (const std::string why = DryRunRefusal((*replies)[2]); !why.empty()) return refuse(why);
  const Side side = keeper_->migration().secondary();
  const Address& from = config_->backend(OtherSide(side)).address;
  std::string commands;
  AppendCommand(&commands, {"INFO"});
  AppendCommand(&commands, {"COMMAND", "INFO", "replicaof"});
  AppendCommand(&commands,
                {"ACL", "DRYRUN", UserOf(config_->backend(side)), "REPLICAOF", from.host, std::to_string(from.port)});
  AppendCommand(&commands, {"CONFIG", "GET", "masteruser"});
  AppendCommand(&commands, {"CONFIG", "GET", "masterauth"});
  Ask(side, commands, 5, [this](const Replies& answers) { CheckSecondary(answers); });
}

void Replication::CheckSecondary(const Replies& replies) {
  const char* name = SecondaryName();
  const auto refuse = [this](const std::string& why) { Finish(absl::FailedPreconditionError(why)); };
  const auto forbids = [&](const std::string& why) {
    refuse(fmt::format("{} can't be made a replica: {}", name, why));
  };
  if (!replies.ok()) return forbids(std::string(replies.status().message()));
  if (IsErrorReply((*replies)[0])) return forbids(ErrorText((*replies)[0]));
  if (SaysUnknown((*replies)[1])) return forbids("it knows no REPLICAOF");
  if (const std::string why = DryRunRefusal((*replies)[2]); !why.empty()) return forbids(why);
  const std::string_view text = ParseReply((*replies)[0]).text;
  ServerInfo info;
  ParseInfo(text, io_->clock()->WallMs(), &info);
  secondary_ = ParseReplication(text);
  const bool ours = Ours(secondary_);
  change_->adopt = ours && secondary_.link_up;
  if (!ours && !change_->replace && secondary_.replica) {
    return refuse(
        fmt::format("{} is a replica of another server, {}. crossfade secondary replica --replace takes it "
                    "from there",
                    name, secondary_.master));
  }
  if (!ours && !change_->replace && info.keys > 0) {
    return refuse(
        fmt::format("{} holds {} keys, and REPLICAOF throws them away. If that is meant: crossfade secondary "
                    "replica --replace",
                    name, info.keys));
  }
  change_->user = ConfigValue((*replies)[3]);
  change_->password = ConfigValue((*replies)[4]);
  BeginHold();
}

// Nothing may be on its way to a secondary that forgets all that it holds, nor be forgotten if it refuses to.
void Replication::BeginHold() {
  change_->held = true;
  change_->began_us = io_->clock()->NowUs();
  repair_->set_paused(true);
  hooks_.hold(true);
  step_timer_->Start(0, 1);
}

void Replication::Step() {
  if (!change_) return step_timer_->Stop();
  const int64_t waited_ms = (io_->clock()->NowUs() - change_->began_us) / 1000;
  if (!change_->entering) return StepLeave(waited_ms);
  if (change_->sent) return;  // its answer is awaited, for no longer than kAnswerMs
  if (lane_->drained()) return SendReplicaOf();
  if (waited_ms < kMaxPauseMs) return;
  Finish(absl::FailedPreconditionError(
      fmt::format("{} commands were still in flight after {} ms, {} of them for the secondary", lane_->slots_in_use(),
                  kMaxPauseMs, lane_->lag_slots())));
}

void Replication::SendReplicaOf() {
  change_->sent = true;
  if (const std::string why = hooks_.why_busy(); !why.empty()) return Finish(absl::FailedPreconditionError(why));
  if (const absl::Status saved = keeper_->BeginReplication(); !saved.ok()) return Finish(saved);
  const State before = std::exchange(state_, State::kConnecting);
  if (before == State::kNone) master_.clear();
  error_.clear();
  why_down_.clear();
  credentials_why_.clear();
  down_since_us_ = 0;
  strangers_ = 0;
  watch_timer_->Start(kWatchMs, kWatchMs);
  if (change_->adopt) {
    keeper_->ReplicationBegun();
    hooks_.changed();
    return Finish(absl::OkStatus());
  }
  const Side side = keeper_->migration().secondary();
  const BackendConfig& from = config_->backend(OtherSide(side));
  std::string commands;
  int count = 0;
  // What it has from earlier would be refused by a primary that asks for none.
  if (!from.password.empty() || !change_->password.value_or("").empty()) {
    AppendCommand(&commands, {"CONFIG", "SET", "masteruser", from.password.empty() ? "" : from.user});
    AppendCommand(&commands, {"CONFIG", "SET", "masterauth", from.password});
    count = 2;
  }
  AppendCommand(&commands, {"REPLICAOF", from.address.host, std::to_string(from.address.port)});
  Ask(side, commands, count + 1, [this, count](const Replies& replies) { ReplicaOfAnswered(replies, count); });
}

void Replication::ReplicaOfAnswered(const Replies& replies, int replica_of_at) {
  if (!change_) return;
  if (!replies.ok()) {
    keeper_->ReplicationBegun();
    hooks_.changed();
    return Finish(absl::FailedPreconditionError(
        fmt::format("REPLICAOF was sent to {}, and its answer has not come: {}. The status says what becomes of it; "
                    "crossfade secondary follow goes back",
                    SecondaryName(), std::string(replies.status().message()))));
  }
  for (int i = 0; i < replica_of_at; ++i) {
    const std::string& reply = (*replies)[static_cast<size_t>(i)];
    if (!IsErrorReply(reply)) continue;
    credentials_why_ = fmt::format("Crossfade could not set masterauth on {} ({}): set it there, or allow CONFIG SET",
                                   SecondaryName(), ErrorText(reply));
    spdlog::warn("event=masterauth_not_set backend={} code={}", SecondaryName(), ErrorCode(reply));
  }
  if (const std::string& reply = replies->back(); IsErrorReply(reply)) {
    const std::string why =
        fmt::format("{} can't be made a replica (REPLICAOF: {})", SecondaryName(), ErrorText(reply));
    if (replica_of_at > 0) RestoreCredentials();
    keeper_->ReplicationRefused();
    state_ = keeper_->migration().replicating() ? state_ : State::kNone;
    return Finish(absl::FailedPreconditionError(why));
  }
  lane_->secondary().set_replica(true);
  keeper_->ReplicationBegun();
  hooks_.changed();
  Finish(absl::OkStatus());
}

void Replication::RestoreCredentials() {
  if (!change_->user || !change_->password) return;
  std::string commands;
  AppendCommand(&commands, {"CONFIG", "SET", "masteruser", *change_->user});
  AppendCommand(&commands, {"CONFIG", "SET", "masterauth", *change_->password});
  Ask(keeper_->migration().secondary(), commands, 2, [](const Replies&) {});
}

void Replication::Finish(const absl::Status& status) {
  const Change over = std::move(*change_);
  change_.reset();
  step_timer_->Stop();
  if (over.held) {
    repair_->set_paused(false);
    hooks_.hold(false);
  }
  over.done(status);
}

// --- Ending --------------------------------------------------------------------------------------------------------

void Replication::Leave(SecondaryMode mode, Done done) {
  if (busy()) return done(absl::FailedPreconditionError("the secondary's mode is being changed already"));
  if (std::string why = hooks_.why_busy(); !why.empty()) return done(absl::FailedPreconditionError(why));
  const bool off = mode == SecondaryMode::kOff;
  if (promotion_ != Promotion::kNone && !off) return done(absl::FailedPreconditionError(error_));
  change_ = Change();
  change_->to = mode;
  change_->done = std::move(done);
  if (state_ == State::kStreaming && !off) return BeginHold();
  // It is not in step, or that doesn't matter: nobody has to wait.
  const bool promotable = as_intended() && promotion_ == Promotion::kNone;
  if (promotable && lane_->secondary().up()) {
    change_->sent = true;
    change_->began_us = io_->clock()->NowUs();
    Promote(false);
    if (change_) step_timer_->Start(0, 1);
    return;
  }
  if (promotable && !off) {
    return Finish(absl::FailedPreconditionError(fmt::format(
        "{} is {}: {}. It can't be promoted now, and would refuse every write; crossfade secondary off "
        "leaves it as it is",
        SecondaryName(), lane_->secondary().upstream().StateWord(), lane_->secondary().upstream().last_error())));
  }
  End(mode, false, WhyNotInStep());
  Finish(absl::OkStatus());
}

void Replication::StepLeave(int64_t waited_ms) {
  if (!keeper_->migration().replicating()) return Finish(absl::OkStatus());
  Change& change = *change_;
  if (!change.sent) {
    std::string why = fmt::format("{} commands are still in flight", lane_->slots_in_use());
    if (lane_->drained()) {
      if (!std::exchange(change.handing_over, true)) BeginHandover();
      why = WhyNotEqual();
      if (why.empty()) {
        change.sent = true;
        return Promote(true);
      }
    }
    if (waited_ms < kMaxPauseMs) return;
    GiveUp();
    return Finish(absl::FailedPreconditionError(
        fmt::format("not in step within {} ms: {}. Nothing has changed", kMaxPauseMs, why)));
  }
  const int64_t patience_ms = kGraceMs + (change.held ? kMaxPauseMs : kAnswerMs);
  if (promotion_ == Promotion::kSent && waited_ms < patience_ms) return;
  const std::string why = promotion_ == Promotion::kSent ? "it has not answered" : handover_why_;
  GiveUp();
  if (change.to == SecondaryMode::kOff) {
    End(change.to, false, WhyNotInStep());
    return Finish(absl::OkStatus());
  }
  Finish(absl::FailedPreconditionError(
      fmt::format("{}: {}. crossfade status says what becomes of it", SecondaryName(), why)));
}

}  // namespace crossfade
