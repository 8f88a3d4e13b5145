// What the proxy does about its own life: memory, a new configuration, the end.
#include <algorithm>
#include <sstream>
#include <utility>

#include "fmt/format.h"
#include "protocol/sha1.h"
#include "proxy/ledger.h"
#include "proxy/proxy.h"
#include "proxy/ramp.h"
#include "spdlog/spdlog.h"

namespace crossfade {

// --- Memory --------------------------------------------------------------------------------------------------------

void Proxy::OnLimit(Client* client, ClientLimit limit) {
  ++client_limits_[static_cast<size_t>(limit)];
  const char* reason = limit == ClientLimit::kInput              ? "limits.client_input"
                       : limit == ClientLimit::kSubscriberOutput ? "limits.subscriber_output"
                       : limit == ClientLimit::kMemory           ? "limits.memory"
                                                                 : nullptr;
  if (reason == nullptr) return;  // it only waits, or has its error
  spdlog::warn("event=client_dropped client={} address={} reason={} input_bytes={} output_bytes={}", client->id(),
               client->session().address(), reason, client->input_bytes(), client->output_bytes());
}

// Holding() is true meanwhile: whoever is still read from would only be stopped with the next bytes.
void Proxy::OnMemoryFull() {
  if (!memory_.full()) return;
  const BoundedSum& sum = memory_.sum();
  const bool shed = memory_.held(MemoryAccount::Holder::kSecondary) > 0 &&
                    sum.used() - memory_.held(MemoryAccount::Holder::kSecondary) < sum.mark();
  spdlog::warn("event=memory_full used={} limit={} input={} output={} primary={} secondary={} act=\"{}\"", sum.used(),
               sum.limit(), memory_.held(MemoryAccount::Holder::kInput), memory_.held(MemoryAccount::Holder::kOutput),
               memory_.held(MemoryAccount::Holder::kPrimary), memory_.held(MemoryAccount::Holder::kSecondary),
               shed ? "the secondary's queue is dropped" : "clients are not read from");
  if (shed) lane_->Shed();
  if (!memory_.full()) return;
  for (auto& [id, client] : clients_) client->StopReading();
}

// Every second. What the stores owe comes in time, or their connections are cut; what clients hold need never go.
void Proxy::RelieveMemory() {
  const bool stuck = memory_.full() && memory_.of_clients() >= memory_.sum().mark();
  if (!std::exchange(memory_stuck_, stuck) || !stuck) return;
  const auto held = [](const Client& client) { return client.input_bytes() + client.output_bytes(); };
  const auto largest = std::max_element(clients_.begin(), clients_.end(), [&](const auto& a, const auto& b) {
    return held(*a.second) < held(*b.second);
  });
  if (largest == clients_.end()) return;
  OnLimit(largest->second.get(), ClientLimit::kMemory);
  largest->second->Drop();
}

// --- A new configuration -------------------------------------------------------------------------------------------

void Proxy::set_config_source(std::string file, ConfigSource source) {
  config_file_ = std::move(file);
  config_source_ = std::move(source);
}

absl::StatusOr<std::vector<ConfigChange>> Proxy::Reload(const std::string& who) {
  const auto refuse = [this, &who](const absl::Status& why) {
    std::istringstream lines{std::string(why.message())};
    for (std::string line; std::getline(lines, line);) spdlog::error("event=config_mistake text=\"{}\"", line);
    spdlog::error("event=config_not_reloaded reason=\"nothing has changed\"");
    audit_->Record({.who = who, .what = "reload", .outcome = "refused", .reason = std::string(why.message())});
    return why;
  };
  if (config_file_.empty()) {
    return refuse(
        absl::FailedPreconditionError("there is no configuration file: the proxy was started without --config"));
  }
  const absl::StatusOr<Config> fresh = config_source_();
  if (!fresh.ok()) return refuse(fresh.status());
  auto tokens = ReadAdminTokens({config_.admin.address, fresh->admin.token_file});
  if (!tokens.ok()) return refuse(tokens.status());
  std::vector<ConfigChange> changes = CompareConfigs(config_, *fresh);
  if (*tokens != admin_tokens_) {
    const std::string before = DescribeTokens(admin_tokens_), after = DescribeTokens(*tokens);
    changes.push_back({"admin token", before, before == after ? "another token" : after, {}});
  }
  TakeOver(*fresh, &config_);
  admin_tokens_ = std::move(*tokens);
  config_loaded_ms_ = io_->clock()->WallMs();
  ConfigChanged();
  size_t kept = 0;
  for (const ConfigChange& change : changes) {
    audit_->Record({.who = who,
                    .what = change.key,
                    .from = change.from,
                    .to = change.to,
                    .outcome = change.fixed.empty() ? "done" : "refused",
                    .reason = std::string(change.fixed)});
    if (change.fixed.empty()) {
      spdlog::info("event=config_changed key=\"{}\" from=\"{}\" to=\"{}\"", change.key, change.from, change.to);
      continue;
    }
    ++kept;
    spdlog::warn("event=config_kept key=\"{}\" value=\"{}\" file_says=\"{}\" reason=\"{}\"", change.key, change.from,
                 change.to, change.fixed);
  }
  const std::string summary = fmt::format("{} settings changed, {} kept until a restart", changes.size() - kept, kept);
  audit_->Record({.who = who, .what = "reload", .to = config_hash_, .reason = summary});
  spdlog::info("event=config_reloaded file={} changed={} kept={} hash={}", config_file_, changes.size() - kept, kept,
               config_hash_);
  return changes;
}

// Whoever has a pointer to the configuration sees the new values by itself; these have copied some.
void Proxy::ConfigChanged() {
  const LimitsConfig& limits = config_.limits;
  splitter_ = ReadSplitter(config_.rules);
  facts_.admin_commands = config_.admin_commands;
  facts_.transaction_bytes = static_cast<size_t>(limits.transaction_bytes);
  scripts_.ConfigChanged(static_cast<size_t>(limits.script_bytes));
  dirty_.set_max_keys(static_cast<size_t>(limits.dirty_keys));
  expiry_.set_max_keys(static_cast<size_t>(limits.expiring_keys));
  tracking_->LimitsChanged();
  lane_->LimitsChanged();
  memory_.set_limit(limits.memory_bytes);
  repair_->Wake();
  std::string text;
  for (const ConfigKey& key : ListKeys(config_)) text += fmt::format("{}={}\n", key.name, key.value);
  config_hash_ = Sha1Hex(text);
}

void Proxy::AuditStart() {
  const Migration& state = migration();
  audit_->Record(
      {.who = "proxy",
       .what = "start",
       .to = CROSSFADE_VERSION,
       .reason = fmt::format("{} is primary, epoch {}, {:g} % of reads from new, configuration {}{}",
                             SideName(state.primary()), state.epoch, state.routing.reads_new, config_hash_,
                             audit_->last_run_ended() ? "" : "; the last run ended without a word: it was killed")});
}

// --- The end -------------------------------------------------------------------------------------------------------

void Proxy::Shutdown(std::function<void(bool)> done) {
  shutdown_done_ = std::move(done);
  stopping_ = true;
  shutdown_began_us_ = io_->clock()->NowUs();
  shutdown_clients_ = clients_.size();
  listening_.reset();
  backfill_->Suspend();
  ramp_->Suspend();
  sweep_->Cancel("the proxy was stopped while it copied");
  verify_->Fail("the proxy was stopped");
  repair_->set_urgent(true);
  spdlog::info("event=stopping clients={} slots={} lag_bytes={} dirty_keys={} within_ms={}", clients_.size(),
               lane_->slots_in_use(), lane_->lag_bytes(), dirty_.size(), config_.timeouts.shutdown_ms);
  for (auto& [id, client] : clients_) {
    if (client->blocked()) Forget(id);  // what an attempt still brings for it is given back
    client->Finish();
  }
  CheckShutdown();
}

// First the clients have their answers, then the secondary has what it is owed. What is dirty by then is on disk.
void Proxy::CheckShutdown() {
  const bool time_is_up = io_->clock()->NowUs() >= shutdown_began_us_ + config_.timeouts.shutdown_ms * 1000;
  if (!clients_.empty() && !time_is_up) return;
  if (!holding_) Hold(true);
  const bool quiet = lane_->drained();
  const bool clean = quiet && dirty_.clean();
  const bool may_improve = lane_->primary().up() && (!quiet || (lane_->CanCopy() && !dirty_.everything()));
  if (!clean && may_improve && !time_is_up) return;
  End();
}

void Proxy::End() {
  const bool clean = lane_->drained() && dirty_.clean();
  absl::Status saved = keeper_->Save();
  saved.Update(journal_->Close());
  ledger_->Close();
  if (!saved.ok()) spdlog::error("event=state_not_saved error=\"{}\"", std::string(saved.message()));
  const size_t unanswered =
      std::count_if(clients_.begin(), clients_.end(), [](const auto& entry) { return entry.second->in_flight() > 0; });
  spdlog::info(
      "event=shutdown clean={} waited_ms={} clients_closed={} clients_left={} clients_unanswered={} slots_left={} "
      "lag_bytes={} dirty_keys={} everything_dirty={}",
      clean, (io_->clock()->NowUs() - shutdown_began_us_) / 1000,
      shutdown_clients_ - std::min(shutdown_clients_, clients_.size()), clients_.size(), unanswered,
      lane_->slots_in_use(), lane_->lag_bytes(), dirty_.size(), dirty_.everything());
  audit_->Record({.who = "proxy",
                  .what = "stop",
                  .reason = fmt::format("{}; {} keys are dirty{}", clean ? "nothing was left to do" : "time was up",
                                        dirty_.size(), saved.ok() ? "" : "; the state could not be saved")});
  std::exchange(shutdown_done_, nullptr)(saved.ok());
}

}  // namespace crossfade
