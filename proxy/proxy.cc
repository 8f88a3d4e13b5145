#include "proxy/proxy.h"

#include <random>
#include <utility>

#include "fmt/format.h"
#include "protocol/resp_writer.h"
#include "proxy/admin_api.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {

constexpr int64_t kTickMs = 100;
constexpr int64_t kLingerMs = 10'000;  // how long a closing client may take to read its last replies

// Applications keep the credentials that they had: whatever either store is configured with is accepted, and one is
// required if the store that they come from required one.
ServiceFacts FactsOf(const Config& config) {
  ServiceFacts facts;
  for (const BackendConfig& backend : config.backends) {
    if (!backend.password.empty()) facts.credentials.emplace_back(backend.user, backend.password);
  }
  facts.auth_required = !config.backend(Side::kOld).password.empty();
  return facts;
}

}  // namespace

Proxy::Proxy(Io* io, const Config& config)
    : io_(io),
      config_(config),
      started_ms_(io->clock()->WallMs()),
      facts_(FactsOf(config)),
      splitter_(config.rules),
      dirty_(static_cast<size_t>(config.limits.dirty_keys)),
      expiry_(static_cast<size_t>(config.limits.expiring_keys)),
      dice_(std::random_device()() | 1) {}

Proxy::~Proxy() = default;

absl::StatusOr<std::unique_ptr<Proxy>> Proxy::Start(Io* io, const Config& config) {
  auto proxy = std::unique_ptr<Proxy>(new Proxy(io, config));
  if (const absl::Status opened = proxy->Open(); !opened.ok()) return opened;
  return proxy;
}

absl::Status Proxy::Open() {
  auto state_file = StateFile::Open(config_.state_dir);
  if (!state_file.ok()) return state_file.status();
  state_file_ = std::move(*state_file);
  keeper_ = std::make_unique<Keeper>(io_, config_, state_file_.get(), &dirty_, &counters_);
  if (const absl::Status loaded = keeper_->Load(); !loaded.ok()) return loaded;
  const Migration* migration = &keeper_->migration();
  lane_ =
      std::make_unique<Lane>(io_, config_, migration, &dirty_, &expiry_, &counters_, static_cast<Lane::Owner*>(this));
  repair_ = std::make_unique<Repair>(io_, &config_.repair, migration, &dirty_, lane_.get());
  sweep_ = std::make_unique<Sweep>(io_, &config_.backfill, &dirty_, lane_.get(), [this](bool finished) {
    if (finished) dirty_.SweepDone(sweep_->order());
    keeper_->SweepEnded(finished, sweep_->why());
  });
  second_look_ =
      std::make_unique<SecondLook>(io_, &config_, migration, &dirty_, &counters_, lane_.get(), repair_.get());
  flip_ = std::make_unique<FlipRunner>(io_, lane_.get(), &dirty_, keeper_.get(), repair_.get(),
                                       [this](bool holding) { Hold(holding); });
  soon_ = io_->clock()->MakeTimer([this] { RunSoon(); });
  tick_ = io_->clock()->MakeTimer([this] { Tick(); });
  auto listening = io_->Listen(config_.listen, [this](std::unique_ptr<Stream> stream) { OnAccept(std::move(stream)); });
  if (!listening.ok()) return listening.status();
  listening_ = std::move(*listening);
  auto handler = MakeAdminHandler(this, config_.admin);
  if (!handler.ok()) return handler.status();
  auto http = HttpServer::Start(io_, config_.admin.address, std::move(*handler));
  if (!http.ok()) return http.status();
  http_ = std::move(*http);
  lane_->Start();
  tick_->Start(kTickMs, kTickMs);
  return absl::OkStatus();
}

// --- Clients -------------------------------------------------------------------------------------------------------

void Proxy::OnAccept(std::unique_ptr<Stream> stream) {
  ++counters_.clients_total;
  const bool full = clients_.size() >= static_cast<size_t>(config_.limits.clients);
  auto client = std::make_unique<Client>(next_client_++, std::move(stream), &config_.limits, &facts_,
                                         static_cast<Client::Owner*>(this));
  if (full || shutdown_done_) {
    ++counters_.clients_refused;
    client->Refuse(full ? "ERR max number of clients reached" : "ERR crossfade: shutting down");
  }
  const uint64_t id = client->id();
  clients_.emplace(id, std::move(client));
}

void Proxy::OnRequest(Client* client, const Plan& plan, RequestView request, ReplyTo to) {
  Session& session = client->session();
  if (plan.act == Plan::Act::kTransaction) {
    std::vector<QueuedCommand> commands = session.TakeTransaction();
    if (!commands.empty()) return lane_->SubmitTransaction(std::move(commands), to, session.db(), session.protocol());
    return client->Answer(to.sequence, "*0\r\n");
  }
  ReadChoice choice;
  if (plan.act == Plan::Act::kRead && !splitter_.Idle(migration().routing)) {
    dice_ = dice_ * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::string_view key = plan.keys.empty() ? std::string_view() : request.arg(plan.keys[0]);
    choice = splitter_.Choose(migration().routing, key, dice_ ^ (dice_ >> 29));
  }
  lane_->Submit(plan, request, to, session.db(), session.protocol(), choice);
}

void Proxy::OnAnswer(ReplyTo to, std::string_view reply) {
  const auto found = clients_.find(to.client);
  if (found != clients_.end()) found->second->Answer(to.sequence, reply);
}

void Proxy::OnClientBroken(uint64_t client) {
  const auto found = clients_.find(client);
  if (found != clients_.end()) found->second->CloseAfterReplies();
}

void Proxy::OnPaused(Client* client) {
  paused_.push_back(client->id());
  Soon();
}

void Proxy::OnGone(Client* client) {
  gone_.push_back(client->id());
  Soon();
}

void Proxy::Soon() {
  if (soon_on_ || (holding_ && gone_.empty())) return;
  soon_on_ = true;
  soon_->Start(0, 0);
}

void Proxy::RunSoon() {
  soon_on_ = false;
  SweepGoneClients();
  if (holding_) return;
  for (uint64_t id : std::exchange(paused_, {})) {
    const auto found = clients_.find(id);
    if (found != clients_.end()) found->second->Resume();
  }
}

void Proxy::SweepGoneClients() {
  for (uint64_t id : std::exchange(gone_, {})) clients_.erase(id);
}

void Proxy::Hold(bool holding) {
  holding_ = holding;
  if (!holding) Soon();
}

// --- The lane ------------------------------------------------------------------------------------------------------

void Proxy::OnDifference(const Slot& slot) {
  second_look_->Start(slot);
}

void Proxy::OnLinkUp(Side side) {
  const ServerInfo& info = lane_->link(side).info();
  last_down_[static_cast<int>(side)].clear();
  spdlog::info("event=backend_up backend={} address={} product={} version={} keys={}", SideName(side),
               lane_->link(side).upstream().address().ToString(), info.product, info.version, info.keys);
  keeper_->OnSeen(side, info, lane_->next_order());
  if (!migration().distrust.empty()) sweep_->Cancel(migration().distrust);
  UpdateFacts();
  repair_->Wake();
}

void Proxy::OnLinkDown(Side side, const absl::Status& why) {
  const std::string reason(why.message());
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

void Proxy::OnDirty() {
  repair_->Wake();
}

void Proxy::OnDrained() {
  if (flip_->state() == FlipRunner::State::kDraining) flip_->Check();
}

void Proxy::Tick() {
  const int64_t now_ms = now_ms_monotonic();
  if (now_ms >= next_second_ms_) {
    next_second_ms_ = now_ms + 1000;
    lane_->Tick();
    if (++seconds_ % 10 == 0) lane_->RotateLatencies();
    for (auto& [id, client] : clients_) {
      if (!client->closing()) continue;
      if (client->closing_since_ms() == 0) client->set_closing_since_ms(now_ms);
      if (now_ms - client->closing_since_ms() > kLingerMs) gone_.push_back(id);
    }
    SweepGoneClients();
  }
  keeper_->NoticeOverflow();
  repair_->Wake();
  SweepIfDue();
  if (shutdown_done_) CheckShutdown();
}

// Everything is dirty: it is copied again as soon as that is possible, without being asked.
void Proxy::SweepIfDue() {
  if (!dirty_.everything() || sweep_->running() || !config_.repair.enabled || !migration().distrust.empty() ||
      !migration().keep_secondary.empty()) {
    return;
  }
  if (!lane_->CanCopy() || flip_->state() != FlipRunner::State::kFollowing) return;
  keeper_->SweepStarted();
  sweep_->Start(migration().unsynced_why.empty() ? "everything is dirty" : migration().unsynced_why);
}

// --- For the admin API ---------------------------------------------------------------------------------------------

void Proxy::Flip(const FlipRequest& request, std::function<void(const FlipResult&)> done) {
  if (sweep_->running() && (request.force || request.cold) && !request.dry_run) sweep_->Cancel("given up for a flip");
  flip_->Start(request, [this, done = std::move(done)](const FlipResult& result) {
    if (result.flipped) UpdateFacts();
    done(result);
  });
}

absl::Status Proxy::Change(const RoutingChange& change) {
  const absl::Status changed = keeper_->Change(change, lane_->next_order());
  if (changed.ok() && !migration().following()) sweep_->Cancel("the secondary does not follow any more");
  repair_->Wake();
  return changed;
}

absl::Status Proxy::Resync() {
  return keeper_->Resync(lane_->next_order());
}

absl::Status Proxy::StartBackfill() {
  if (sweep_->running()) return absl::FailedPreconditionError("a sweep is running already");
  if (!migration().distrust.empty()) return absl::FailedPreconditionError(migration().distrust);
  if (!migration().keep_secondary.empty()) return absl::FailedPreconditionError(migration().keep_secondary);
  if (flip_->state() != FlipRunner::State::kFollowing) return absl::FailedPreconditionError("a flip is under way");
  if (!migration().following())
    return absl::FailedPreconditionError("the secondary does not follow: crossfade secondary follow");
  for (Side side : {Side::kOld, Side::kNew}) {
    const Upstream& upstream = lane_->link(side).upstream();
    if (upstream.up()) continue;
    return absl::FailedPreconditionError(fmt::format("{} ({}) is {}: {}", SideName(side), upstream.address().ToString(),
                                                     upstream.StateWord(), upstream.last_error()));
  }
  keeper_->SweepStarted();
  sweep_->Start("asked for");
  spdlog::info("event=backfill_started");
  return absl::OkStatus();
}

absl::Status Proxy::CancelBackfill() {
  if (!sweep_->running()) return absl::FailedPreconditionError("no backfill is running");
  sweep_->Cancel("cancelled");
  return absl::OkStatus();
}

// --- The end -------------------------------------------------------------------------------------------------------

void Proxy::Shutdown(std::function<void()> done) {
  shutdown_done_ = std::move(done);
  shutdown_by_us_ = io_->clock()->NowUs() + config_.timeouts.shutdown_ms * 1000;
  listening_.reset();
  sweep_->Cancel("the proxy was stopped while it copied");
  Hold(true);
  repair_->set_urgent(true);
  CheckShutdown();
}

void Proxy::CheckShutdown() {
  const bool quiet = lane_->drained();
  const bool clean = quiet && dirty_.clean();
  const bool may_improve = lane_->primary().up() && (!quiet || (lane_->CanCopy() && !dirty_.everything()));
  if (!clean && may_improve && io_->clock()->NowUs() < shutdown_by_us_) return;
  if (const absl::Status saved = keeper_->Save(clean); !saved.ok()) {
    spdlog::error("event=state_not_saved error=\"{}\"", std::string(saved.message()));
  }
  spdlog::info("event=shutdown clean={} dirty_keys={} slots={}", clean, dirty_.size(), lane_->slots_in_use());
  std::exchange(shutdown_done_, nullptr)();
}

}  // namespace crossfade
