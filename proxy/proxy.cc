#include "proxy/proxy.h"

#include <algorithm>
#include <utility>

#include "nlohmann/json.hpp"
#include "protocol/chance.h"
#include "proxy/admin_api.h"
#include "proxy/admin_events.h"
#include "proxy/copy_objects.h"
#include "proxy/ledger.h"
#include "proxy/preflight.h"
#include "proxy/ramp.h"
#include "proxy/report_asker.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {

constexpr int64_t kTickMs = 100;
constexpr int64_t kLingerMs = 10'000;        // how long a closing client may take to read its last replies
constexpr size_t kMaxRefusedClients = 1000;  // that are being told why; beyond: closed without a word

// Applications keep the credentials that they had: whatever either store is configured with is accepted, and one is
// required if the store that they come from required one.
ServiceFacts FactsOf(const Config& config) {
  ServiceFacts facts;
  for (const BackendConfig& backend : config.backends) {
    if (!backend.password.empty()) facts.credentials.emplace_back(backend.user, backend.password);
  }
  facts.admin_commands = config.admin_commands;
  facts.transaction_bytes = static_cast<size_t>(config.limits.transaction_bytes);
  facts.auth_required = !config.backend(Side::kOld).password.empty();
  return facts;
}

}  // namespace

Proxy::Proxy(Io* io, Storage* storage, const Config& config)
    : io_(io),
      storage_(storage),
      config_(config),
      started_ms_(io->clock()->WallMs()),
      config_loaded_ms_(started_ms_),
      memory_(
          config.limits.memory_bytes,
          [this] {
            memory_filled_ = true;
            Soon();
          },
          [this] { Soon(); }),
      facts_(FactsOf(config)),
      scripts_(&config_.scripts, static_cast<size_t>(config.limits.script_bytes)),
      splitter_(config.rules),
      dirty_(static_cast<size_t>(config.limits.dirty_keys)),
      expiry_(static_cast<size_t>(config.limits.expiring_keys)),
      dice_(RandomBits() | 1) {}

Proxy::~Proxy() {
  soon_on_ = true;  // what is given back from here on wakes nobody
}

absl::StatusOr<std::unique_ptr<Proxy>> Proxy::Start(Io* io, Storage* storage, const Config& config) {
  auto proxy = std::unique_ptr<Proxy>(new Proxy(io, storage, config));
  if (const absl::Status opened = proxy->Open(); !opened.ok()) return opened;
  return proxy;
}

absl::Status Proxy::Open() {
  auto state_file = StateFile::Open(storage_, config_.state_dir);
  if (!state_file.ok()) return state_file.status();
  state_file_ = std::move(*state_file);
  audit_ = std::make_unique<Audit>(storage_, io_->clock(), config_.state_dir);
  audit_->Load();
  audit_watch_ = std::make_unique<AuditWatch>(audit_.get());
  keeper_ = std::make_unique<Keeper>(io_, config_, state_file_.get(), &dirty_, &counters_);
  auto journal = Journal::Open(storage_, config_.state_dir, static_cast<size_t>(config_.limits.journal_bytes));
  if (!journal.ok()) return journal.status();
  journal_ = std::move(*journal);
  const Journal::Left left = journal_->Recover(&dirty_);
  if (const absl::Status loaded = keeper_->Load(left); !loaded.ok()) return loaded;
  const Migration* migration = &keeper_->migration();
  lane_ =
      std::make_unique<Lane>(io_, config_, migration, &dirty_, &expiry_, &counters_, static_cast<Lane::Owner*>(this));
  soon_ = io_->clock()->MakeTimer([this] { RunSoon(); });
  lane_->set_account(&memory_);
  lane_->set_journal(journal_->in_flight());
  lane_->set_coverage(&coverage_);
  const std::string name = "crossfade-" + keeper_->instance();
  lane_->set_name(name, keeper_->had_predecessor());
  facts_.modules = &modules_;
  lane_->set_logins(&logins_);
  lane_->set_scripts(&scripts_);
  MakeCopiers(!left.fresh && left.useless.empty());
  MakePrivateParts(name);
  MakeRamp();
  MakeReportParts();
  tick_ = io_->clock()->MakeTimer([this] { Tick(); });
  auto listening = io_->Listen(config_.listen, [this](std::unique_ptr<Stream> stream) { OnAccept(std::move(stream)); });
  if (!listening.ok()) return listening.status();
  listening_ = std::move(*listening);
  client_commands_ = std::make_unique<ClientCommands>(
      io_, &clients_, room_.get(), listening_->address().ToString(),
      [this](Client* client) {
        Forget(client->id());
        client->CloseAfterReplies();
      },
      [this] { ResumeHeld(); });
  auto tokens = ReadAdminTokens(config_.admin);
  if (!tokens.ok()) return tokens.status();
  admin_tokens_ = std::move(*tokens);
  auto http = HttpServer::Start(io_, config_.admin.address, &config_.limits, MakeAdminHandler(this));
  if (!http.ok()) return http.status();
  http_ = std::move(*http);
  events_ = std::make_unique<AdminEvents>(io_->clock(), this, http_.get());
  audit_->set_listener([this](const AuditEntry& entry) { events_->Publish("audit", AuditEntryJson(entry)); });
  ConfigChanged();
  lane_->Start();
  replication_->Start();
  tick_->Start(kTickMs, kTickMs);
  AuditStart();
  return absl::OkStatus();
}

// What makes the stores equal, and finds out whether they are.
void Proxy::MakeCopiers(bool journal_relied_upon) {
  repair_ = std::make_unique<Repair>(io_, &config_.repair, &migration(), &dirty_, lane_.get());
  sweep_ = std::make_unique<Sweep>(io_, &config_.backfill, &dirty_, lane_.get(),
                                   [this](bool finished) { OnSweepEnded(finished); });
  backfill_ =
      std::make_unique<Backfill>(io_, storage_, config_.state_dir, &dirty_, lane_.get(), keeper_.get(), sweep_.get());
  if (keeper_->had_predecessor()) backfill_->Load(journal_relied_upon);
  copier_ = std::make_unique<KeyCopier>(io_, &config_.limits, &migration(), &dirty_, &expiry_, lane_.get(),
                                        [this] { OnGateOpened(); });
  repair_->set_copier(copier_.get());
  sweep_->set_copier(copier_.get());
  second_look_ =
      std::make_unique<SecondLook>(io_, &config_, &migration(), &dirty_, &counters_, lane_.get(), repair_.get());
  second_look_->set_coverage(&coverage_);
  flip_ = std::make_unique<FlipRunner>(io_, lane_.get(), &dirty_, keeper_.get(), repair_.get(),
                                       [this](bool holding) { Hold(holding); });
  key_check_ = std::make_unique<KeyCheck>(io_, &config_.limits, lane_.get());
  settle_ = std::make_unique<Settle>(io_, &config_, &migration(), &dirty_, &counters_, lane_.get(), key_check_.get(),
                                     [this] { repair_->Wake(); });
  verify_ = std::make_unique<Verify>(Verify::Parts{io_, &config_, &migration(), &dirty_, lane_.get(), key_check_.get(),
                                                   storage_, [this] { repair_->Wake(); },
                                                   [this] { return sweep_->running(); }, [this] { OnVerified(); }});
  verify_->Load();
  expiry_scan_ = std::make_unique<ExpiryScan>(io_, &config_.backfill, &migration(), lane_.get(), &expiry_);
  if (keeper_->had_predecessor()) expiry_scan_->Start();
}

// What has connections of its own to the stores.
void Proxy::MakePrivateParts(const std::string& name) {
  pool_ = std::make_unique<PrivatePool>(io_, &config_, lane_.get(), &logins_);
  pool_->set_account(&memory_);
  pool_->set_name(name);
  replication_ =
      std::make_unique<Replication>(io_, &config_, &dirty_, lane_.get(), keeper_.get(), pool_.get(), repair_.get(),
                                    Replication::Hooks{[this](bool holding) { Hold(holding); },
                                                       [this] { return WhyBusy(); }, [this] { ReplicationChanged(); }});
  flip_->set_replication(replication_.get());
  watches_ = std::make_unique<Watches>(&config_, lane_.get(), pool_.get(), static_cast<Watches::Owner*>(this));
  feeds_ = std::make_unique<Feeds>(lane_.get(), pool_.get(), static_cast<Feeds::Owner*>(this));
  errands_ = std::make_unique<Errands>(&config_, lane_.get(), pool_.get());
  snapshot_check_ = std::make_unique<SnapshotCheck>(&config_, lane_.get(), pool_.get());
  room_ = std::make_unique<WaitingRoom>(io_, lane_.get(), static_cast<WaitingRoom::Owner*>(this));
  flip_->set_feeds(feeds_.get());
  flip_->set_outlook([this](FlipFacts* facts) { FlipOutlook(facts); });
  tracking_ = std::make_unique<Tracking>(io_, &config_, lane_.get(), pool_.get(), &clients_);
  preflight_ = std::make_unique<Preflight>(io_, &config_);
  object_copy_ = std::make_unique<ObjectCopy>(io_, &config_);
}

// --- Clients -------------------------------------------------------------------------------------------------------

void Proxy::OnAccept(std::unique_ptr<Stream> stream) {
  ++counters_.clients_total;
  const size_t limit = static_cast<size_t>(config_.limits.clients);
  const bool full = clients_.size() >= limit;
  if (clients_.size() >= limit + kMaxRefusedClients) {
    ++counters_.clients_refused;
    return;
  }
  auto client = std::make_unique<Client>(next_client_++, std::move(stream), &config_.limits, &facts_,
                                         static_cast<Client::Owner*>(this));
  client->set_account(&memory_);
  client->set_counts(&command_counts_);
  if (full || memory_.full()) {
    ++counters_.clients_refused;
    client->Refuse(full ? "ERR max number of clients reached"
                        : "ERR crossfade: no memory for another client (limits.memory)");
  }
  const uint64_t id = client->id();
  client->set_created_ms(now_ms_monotonic());
  clients_.emplace(id, std::move(client));
}

void Proxy::OnWritten(const Slot& slot) {
  room_->OnWritten(slot);
  if (!migration().following() && !migration().replicating()) return;
  const bool elsewhere = slot.answered_us != 0;
  // When keys expire is not known, of some or of all: it may have been just now.
  const bool expiries_unknown = expiry_.incomplete(lane_->wall_ms());
  const auto touch = [&](const CommandRow& row, RequestView request, const KeyIndices& keys, int db) {
    verify_->OnWritten(row.name, request, keys, db);
    if (migration().replicating()) return replication_->OnWritten(row, request, keys, db, slot.order);
    const bool unproved =
        elsewhere || expiries_unknown || row.effect == Effect::kScript || row.effect == Effect::kModule;
    BlockCopies::Key other;
    const bool two_databases = OtherDatabaseKey(row, request, &other);
    const auto waits = [&](uint32_t key) { return settle_->Waits(db, request.arg(key)); };
    // What is written from an unproved key (COPY, RENAME, SUNIONSTORE …) is no better than that.
    const bool check = unproved || ((keys.size() > 1 || two_databases) && std::any_of(keys.begin(), keys.end(), waits));
    for (uint32_t key : keys) {
      if (check) {
        settle_->Touch(db, request.arg(key));
      } else {
        settle_->Sample(db, request.arg(key), NextDice());
      }
    }
    if (check && two_databases) settle_->Touch(other.db, other.name);
    if (row.name != "swapdb") return;
    settle_->DatabasesSwapped(request);
    if (sweep_->running()) dirty_.MarkEverything(slot.order);  // what it has copied has moved
  };
  if (slot.kind == Slot::Kind::kWrite) return touch(*slot.row, slot.request.view(), slot.keys, slot.db);
  for (const QueuedCommand& queued : slot.transaction) {
    if (queued.row->route != Route::kWrite) continue;
    const RequestView request = queued.request.view();
    touch(*queued.row, request, FindKeys(*queued.row, request), queued.db);
  }
}

// Good enough to choose with.
uint64_t Proxy::NextDice() {
  dice_ = dice_ * 6364136223846793005ULL + 1442695040888963407ULL;
  return dice_ ^ (dice_ >> 29);
}

// The user is gone from that store, or has another password. As a server does with the connections of a deleted user.
void Proxy::OnLoginRefused(Side side, LoginId login) {
  logins_.Refused(login, side);
  spdlog::warn("event=login_refused backend={} user=\"{}\"", SideName(side), logins_.Find(login)->user);
  if (side != migration().primary()) return;
  for (auto& [id, client] : clients_) {
    if (client->session().login() == login) client->CloseAfterReplies();
  }
}

void Proxy::OnClientBroken(uint64_t client) {
  room_->Lost(client);
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
  if (soon_on_ || (Holding() && gone_.empty() && !memory_filled_)) return;
  soon_on_ = true;
  soon_->Start(0, 0);
}

void Proxy::RunSoon() {
  soon_on_ = false;
  SweepGoneClients();
  if (std::exchange(memory_filled_, false)) OnMemoryFull();
  const std::vector<uint64_t> waiting = std::exchange(paused_, {});
  auto next = waiting.begin();
  for (; next != waiting.end() && !Holding(); ++next) {
    const auto found = clients_.find(*next);
    if (found != clients_.end()) found->second->Resume();
  }
  paused_.insert(paused_.begin(), next, waiting.end());  // who has waited longest is first again
}

void Proxy::SweepGoneClients() {
  for (uint64_t id : std::exchange(gone_, {})) {
    Forget(id);
    clients_.erase(id);
  }
}

// Nothing that a client has going on outside of the lane goes on without it.
void Proxy::Forget(uint64_t client) {
  room_->Leave(client);
  watches_->Unwatch(client);
  feeds_->End(client);
  errands_->End(client);
  tracking_->End(client);
}

void Proxy::Hold(bool holding) {
  holding_ = holding;
  room_->Hold(holding);
  settle_->set_paused(holding);
  verify_->set_paused(holding);
  expiry_scan_->set_paused(holding);
  if (!holding) Soon();
}

// --- The lane ------------------------------------------------------------------------------------------------------

void Proxy::OnDirty() {
  repair_->Wake();
}

void Proxy::OnDrained() {
  BeginJournalWhenIdle();
  if (flip_->state() == FlipRunner::State::kDraining) flip_->Check();
}

void Proxy::Tick() {
  const int64_t now_ms = now_ms_monotonic();
  if (now_ms >= next_second_ms_) {
    next_second_ms_ = now_ms + 1000;
    lane_->Tick();
    tracking_->Tick();
    journal_->Tick();
    if (++seconds_ % 10 == 0) lane_->RotateLatencies();
    if (seconds_ % 10 == 0) audit_->Retry();
    if (!stopping_) audit_watch_->Look(FactsOf(*this), now_ms);
    for (auto& [id, client] : clients_) {
      if (!client->closing()) continue;
      if (client->closing_since_ms() == 0) client->set_closing_since_ms(now_ms);
      if (now_ms - client->closing_since_ms() > kLingerMs) gone_.push_back(id);
    }
    SweepGoneClients();
    RelieveMemory();
  }
  ledger_->Tick();
  lane_->WatchSecondary();
  BeginJournalWhenIdle();
  keeper_->NoticeOverflow();
  repair_->Wake();
  if (flip_->state() == FlipRunner::State::kFollowing && !stopping_) backfill_->Tick();
  SweepIfDue();
  if (shutdown_done_) CheckShutdown();
}

// Keys that can't be copied become dirty again, and when they are too many, so does everything: each sweep would cause
// the next.
void Proxy::OnSweepEnded(bool finished) {
  constexpr int64_t kFirstPauseMs = 1000, kLongestPauseMs = 60'000;
  if (!sweep_->scope().whole()) return backfill_->OnSweepEnded(finished);
  if (finished) dirty_.SweepDone(sweep_->order());
  sweep_pause_ms_ = sweep_->keys_failed() == 0 ? 0 : std::clamp(2 * sweep_pause_ms_, kFirstPauseMs, kLongestPauseMs);
  sweep_again_ms_ = now_ms_monotonic() + sweep_pause_ms_;
  ledger_->Tick();  // what has differed so far was no surprise
  keeper_->SweepEnded(finished, sweep_->why());
  ledger_->Tick();
  backfill_->OnSweepEnded(finished);
}

// Who finds that the stores agree knows nothing yet of when keys expire.
void Proxy::OnVerified() {
  const bool before = migration().synced == Synced::kYes;
  ledger_->Tick();
  keeper_->Verified(verify_->result().proves_equality());
  ledger_->Tick();
  if (!before && migration().synced == Synced::kYes) expiry_scan_->Start();
}

// Everything is dirty: it is copied again as soon as that is possible, without being asked.
void Proxy::SweepIfDue() {
  if (!dirty_.everything() || sweep_->running() || !config_.repair.enabled || !migration().distrust.empty() ||
      !migration().keep_secondary.empty()) {
    return;
  }
  if (now_ms_monotonic() < sweep_again_ms_) return;
  if (!lane_->CanCopy() || flip_->state() != FlipRunner::State::kFollowing) return;
  keeper_->SweepStarted();
  sweep_->Start(migration().unsynced_why.empty() ? "everything is dirty" : migration().unsynced_why);
}

}  // namespace crossfade
