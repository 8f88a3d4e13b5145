// What the proxy does when a store is reached, or lost: what must be known of it, and what it must be given.
#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "proxy/proxy.h"
#include "spdlog/spdlog.h"

namespace crossfade {

void Proxy::OnDifference(const Slot& slot) {
  second_look_->Start(slot);
}

void Proxy::Started(Side side) {
  if (side != migration().primary() || !std::exchange(starting_, false)) return;
  Soon();
}

void Proxy::OnLinkUp(Side side) {
  const ServerInfo& info = lane_->link(side).info();
  last_down_[static_cast<int>(side)].clear();
  spdlog::info("event=backend_up backend={} address={} product={} version={} keys={}", SideName(side),
               lane_->link(side).upstream().address().ToString(), info.product, info.version, info.keys);
  keeper_->OnSeen(side, info, lane_->next_order());
  if (!migration().distrust.empty()) sweep_->Cancel(migration().distrust);
  UpdateFacts();
  watches_->OnLinkUp(side);
  if (side == migration().primary()) LearnModules();
  Started(side);
  repair_->Wake();
}

// Commands that the table lacks: a module's, or a newer server's.
void Proxy::LearnModules() {
  Question question;
  question.ask_primary = true;
  question.protocol = kAnyProtocol;
  question.count = 1;
  AppendCommand(&question.commands, {"COMMAND"});
  question.done = [this](const Answers& answers) {
    if (answers.primary.empty()) return;
    const size_t before = modules_.size();
    modules_.Learn(answers.primary[0]);
    if (modules_.size() > before) spdlog::info("event=commands_learnt count={}", modules_.size() - before);
  };
  lane_->Ask(std::move(question));
}

// Scripts that clients run by their SHA1 are there before the first of them is asked for.
void Proxy::LoadScripts() {
  Question question;
  question.ask_primary = true;
  question.protocol = kAnyProtocol;
  for (const auto& [sha, body] : scripts_.LoadedElsewhere(migration().primary())) {
    AppendCommand(&question.commands, {"SCRIPT", "LOAD", body});
    ++question.count;
    scripts_.Loaded(migration().primary(), sha);
  }
  if (question.count == 0) return;
  question.done = [](const Answers&) {};
  lane_->Ask(std::move(question));
}

std::string Proxy::InfoSection() const {
  const Migration& state = migration();
  return fmt::format(
      "# Crossfade\r\ncrossfade_version:{}\r\ncrossfade_primary:{}\r\ncrossfade_secondary:{}\r\n"
      "crossfade_secondary_mode:{}\r\ncrossfade_synced:{}\r\ncrossfade_reads_new_percent:{:g}\r\n"
      "crossfade_compare_percent:{:g}\r\ncrossfade_lag_slots:{}\r\ncrossfade_dirty_keys:{}\r\n"
      "crossfade_everything_dirty:{}\r\ncrossfade_connected_clients:{}\r\ncrossfade_blocked_clients:{}\r\n"
      "crossfade_flips:{}\r\n",
      CROSSFADE_VERSION, SideName(state.primary()), SideName(state.secondary()), Name(state.routing.secondary),
      Name(state.synced), state.routing.reads_new, state.routing.compare, lane_->lag_slots(), dirty_.size(),
      dirty_.everything() ? 1 : 0, clients_.size(), room_->size(), state.flips.size());
}

void Proxy::OnLinkDown(Side side, const absl::Status& why) {
  const std::string reason(why.message());
  scripts_.StoreRestarted(side);
  Started(side);
  if (std::exchange(last_down_[static_cast<int>(side)], reason) == reason) return;
  spdlog::warn("event=backend_down backend={} role={} address={} reason=\"{}\"", SideName(side),
               side == migration().primary() ? "primary" : "secondary",
               lane_->link(side).upstream().address().ToString(), reason);
}

void Proxy::UpdateFacts() {
  const ServerInfo& primary = lane_->primary().info();
  const ServerInfo& secondary = lane_->secondary().info();
  if (!primary.product.empty()) {
    facts_.product = primary.product;
    facts_.version = primary.version;
    facts_.databases = primary.databases;
  }
  facts_.resp3 = (primary.product.empty() || primary.resp3) && (secondary.product.empty() || secondary.resp3);
}

}  // namespace crossfade
