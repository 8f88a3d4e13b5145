// The whole proxy, wired together: the lane and what watches over it, the clients, the admin port. Owns all of them.
// What it decides by itself is only who is let in, and when a sweep is due. The code is in six files: proxy.cc (the
// parts, time), proxy_stores.cc (a store is reached, or lost), proxy_requests.cc (what becomes of a client's request),
// proxy_lifecycle.cc (memory, new configuration, the end), proxy_operator.cc (what operators ask for), proxy_report.cc
// (what a report needs).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "conf/config.h"
#include "conf/config_keys.h"
#include "proxy/admin_tokens.h"
#include "proxy/audit.h"
#include "proxy/audit_watch.h"
#include "proxy/backfill.h"
#include "proxy/client.h"
#include "proxy/client_commands.h"
#include "proxy/errands.h"
#include "proxy/expiry_scan.h"
#include "proxy/feeds.h"
#include "proxy/flip_runner.h"
#include "proxy/http_server.h"
#include "proxy/io.h"
#include "proxy/journal.h"
#include "proxy/keeper.h"
#include "proxy/key_check.h"
#include "proxy/key_copier.h"
#include "proxy/lane.h"
#include "proxy/logins.h"
#include "proxy/memory_account.h"
#include "proxy/private_pool.h"
#include "proxy/repair.h"
#include "proxy/replication.h"
#include "proxy/second_look.h"
#include "proxy/settle.h"
#include "proxy/snapshot_check.h"
#include "proxy/state_file.h"
#include "proxy/storage.h"
#include "proxy/sweep.h"
#include "proxy/tracking.h"
#include "proxy/verify.h"
#include "proxy/waiting_room.h"
#include "proxy/watches.h"
#include "routing/command_counts.h"
#include "routing/module_commands.h"
#include "routing/script_book.h"

namespace crossfade {

class AdminEvents;
class Ledger;
class ObjectCopy;
class Preflight;
class Ramp;
class ReportAsker;

class Proxy : private Lane::Owner,
              private Client::Owner,
              private WaitingRoom::Owner,
              private Watches::Owner,
              private Feeds::Owner {
 public:
  // Loads the state and listens; the backends are reached for in the background. The status says what to do.
  // `io` and `storage` must outlive it.
  static absl::StatusOr<std::unique_ptr<Proxy>> Start(Io* io, Storage* storage, const Config& config);
  ~Proxy() override;

  Address listen_address() const { return listening_->address(); }
  Address admin_address() const { return http_->address(); }

  // Accepts no more clients, answers what has been read, closes, lets the lane end, and saves; `done` within
  // timeouts.shutdown. `saved`: whether the next run knows all that it must.
  void Shutdown(std::function<void(bool saved)> done);
  bool stopping() const { return stopping_; }

  // Where Reload finds the configuration again: `file` (empty: there is none) and the command line.
  using ConfigSource = std::function<absl::StatusOr<Config>()>;
  void set_config_source(std::string file, ConfigSource source);
  // Takes over what a running proxy can, and says what else has changed. InvalidArgument, one mistake a line, and
  // FailedPrecondition: nothing has changed. `who`: for the audit trail.
  absl::StatusOr<std::vector<ConfigChange>> Reload(const std::string& who);

  // Who changes something on behalf of somebody says so here.
  Audit& audit() const { return *audit_; }

  // For the admin API.
  void Flip(const FlipRequest& request, std::function<void(const FlipResult&)> done);
  absl::Status Change(const RoutingChange& change);
  // The secondary holds a snapshot that was taken in journal mode; `elsewhere`: not by the primary itself.
  void FollowSnapshot(bool elsewhere, std::function<void(const absl::Status&)> done);
  // The same, for who can wait: replication begins and ends by steps. `replace`: it may throw away what is there.
  void ChangeInSteps(const RoutingChange& change, bool replace, std::function<void(const absl::Status&)> done);
  absl::Status Resync();
  absl::Status StartBackfill(const BackfillOptions& options = {});
  struct BackfillChange {
    std::optional<bool> paused;
    std::optional<int64_t> keys_per_second, bytes_per_second;  // 0: the configuration's
  };
  absl::Status ChangeBackfill(const BackfillChange& change);
  absl::Status CancelBackfill();
  absl::Status StartVerify(const VerifyOptions& options);
  absl::Status CancelVerify();

  // Jobs beside the lane, on connections of their own.
  Preflight* preflight() const { return preflight_.get(); }
  ObjectCopy* object_copy() const { return object_copy_.get(); }
  Ramp* ramp() const { return ramp_.get(); }
  ReportAsker* report_asker() const { return report_asker_.get(); }
  Ledger* ledger() const { return ledger_.get(); }
  Storage* storage() const { return storage_; }

  const Config& config() const { return config_; }
  const Lane& lane() const { return *lane_; }
  const DirtySet& dirty() const { return dirty_; }
  const Journal& journal() const { return *journal_; }
  const ExpiryWatch& expiry() const { return expiry_; }
  const Counters& counters() const { return counters_; }
  const CommandCounts& command_counts() const { return command_counts_; }
  const Coverage& coverage() const { return coverage_; }
  const Migration& migration() const { return keeper_->migration(); }
  const Sweep& sweep() const { return *sweep_; }
  const Backfill& backfill() const { return *backfill_; }
  const Repair& repair() const { return *repair_; }
  const KeyCopier& copier() const { return *copier_; }
  const SecondLook& second_look() const { return *second_look_; }
  const ScriptBook& scripts() const { return scripts_; }
  const Settle& settle() const { return *settle_; }
  const ExpiryScan& expiry_scan() const { return *expiry_scan_; }
  const Verify& verify() const { return *verify_; }
  FlipRunner& flip_runner() const { return *flip_; }
  // Of the latest; meaningless when there was none.
  int64_t preflight_age_ms() const;
  const Replication& replication() const { return *replication_; }
  size_t clients() const { return clients_.size(); }
  const WaitingRoom& waiting_room() const { return *room_; }
  const Feeds& feeds() const { return *feeds_; }
  const Watches& watches() const { return *watches_; }
  const Tracking& tracking() const { return *tracking_; }
  const PrivatePool& private_pool() const { return *pool_; }
  const ClientCommands::Clients& all_clients() const { return clients_; }
  const MemoryAccount& memory() const { return memory_; }
  const HttpServer& http() const { return *http_; }
  AdminEvents* events() const { return events_.get(); }
  uint64_t reached(ClientLimit limit) const { return client_limits_[static_cast<size_t>(limit)]; }
  const AdminTokens& admin_tokens() const { return admin_tokens_; }
  const std::string& config_file() const { return config_file_; }
  const std::string& config_hash() const { return config_hash_; }
  int64_t config_loaded_ms() const { return config_loaded_ms_; }
  int64_t started_ms() const { return started_ms_; }
  int64_t now_ms() const { return io_->clock()->WallMs(); }

 private:
  Proxy(Io* io, Storage* storage, const Config& config);

  absl::Status Open();
  void MakeCopiers(bool journal_relied_upon);
  void MakePrivateParts(const std::string& name);
  void MakeRamp();
  void OnAccept(std::unique_ptr<Stream> stream);
  void Hold(bool holding);
  void Tick();
  void MakeReportParts();
  void SweepIfDue();
  void FlipOutlook(FlipFacts* facts) const;
  void GiveUpCopying(const std::string& why);
  std::string WhyBusy() const;
  void ReplicationChanged();
  void OnSweepEnded(bool finished);
  void OnVerified();
  void SweepGoneClients();
  void Forget(uint64_t client);
  void ResumeHeld();
  void CheckLogin(Client* client, const Plan& plan, RequestView request, ReplyTo to);
  void AskPermission(Client* client, const CommandRow& row, RequestView request, ReplyTo to,
                     std::function<void(Client*, std::string refusal)> done);
  void Serve(Client* client, const Plan& plan, RequestView request, ReplyTo to);
  void ServeIfUserExists(Client* client, const CommandRow& row, RequestView request, ReplyTo to);
  void AnswerLocally(Client* client, const Plan& plan, RequestView request, ReplyTo to);
  void ServeAllowed(Client* client, const CommandRow& row, RequestView request, ReplyTo to);
  void SubmitToLane(Client* client, const Plan& plan, RequestView request, ReplyTo to);
  void LearnModules();
  void LoadScripts();
  uint64_t NextDice();
  void UpdateFacts();
  void BeginJournalWhenIdle();
  void Soon();
  void Started(Side side);
  void RunSoon();
  void CheckShutdown();
  void End();
  void AuditStart();
  void OnMemoryFull();
  void RelieveMemory();
  void ConfigChanged();
  int64_t now_ms_monotonic() const { return io_->clock()->NowUs() / 1000; }

  // Lane::Owner
  void OnAnswer(ReplyTo to, std::string_view reply) override;
  void OnClientBroken(uint64_t client) override;
  void OnDifference(const Slot& slot) override;
  void OnLinkUp(Side side) override;
  void OnLinkDown(Side side, const absl::Status& why) override;
  void OnDirty() override;
  void OnDrained() override;
  void OnWritten(const Slot& slot) override;
  void OnLoginRefused(Side side, LoginId login) override;
  void OnRoom() override { Soon(); }
  // Watches::Owner
  void OnWatching(uint64_t client) override;
  void OnGateOpened() override {
    room_->OnGateOpened();
    ResumeHeld();
  }
  // Feeds::Owner
  void OnPush(uint64_t client, std::string_view frame) override;
  void OnSubscriptions(uint64_t client, const Subscriptions& subscriptions) override;
  void OnFeedLost(uint64_t client) override;
  // Client::Owner
  bool MustWait(Client* client, const CommandRow* row, RequestView request) override;
  void OnQueued(Client* client, const Plan& plan, RequestView request, ReplyTo to, const std::string& reply) override;
  void OnUnwatched(Client* client) override { watches_->Unwatch(client->id()); }
  void OnUnsubscribed(Client* client) override { feeds_->End(client->id()); }
  void OnUntracked(Client* client) override { tracking_->End(client->id()); }
  void OnFencePassed(Client* client) override { tracking_->OnFencePassed(client); }
  std::string InfoSection() const override;
  void OnRequest(Client* client, const Plan& plan, RequestView request, ReplyTo to) override;
  bool Holding() const override { return holding_ || starting_ || lane_->full() || memory_.full(); }
  void OnLimit(Client* client, ClientLimit limit) override;
  void OnPaused(Client* client) override;
  void OnGone(Client* client) override;

  Io* io_;
  Storage* storage_;
  Config config_;
  int64_t started_ms_;
  std::string config_file_, config_hash_;
  ConfigSource config_source_;
  int64_t config_loaded_ms_;
  AdminTokens admin_tokens_;
  MemoryAccount memory_;
  uint64_t client_limits_[kClientLimits] = {};
  ServiceFacts facts_;
  ModuleCommands modules_;
  Logins logins_;
  ScriptBook scripts_;
  ReadSplitter splitter_;
  std::unique_ptr<StateFile> state_file_;
  std::unique_ptr<Audit> audit_;
  std::unique_ptr<AuditWatch> audit_watch_;
  std::unique_ptr<Journal> journal_;
  DirtySet dirty_;
  ExpiryWatch expiry_;
  Counters counters_;
  CommandCounts command_counts_;
  Coverage coverage_;
  std::unique_ptr<Keeper> keeper_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<KeyCopier> copier_;
  std::unique_ptr<Repair> repair_;
  std::unique_ptr<Sweep> sweep_;
  std::unique_ptr<Backfill> backfill_;
  std::unique_ptr<SecondLook> second_look_;
  std::unique_ptr<KeyCheck> key_check_;
  std::unique_ptr<Settle> settle_;
  std::unique_ptr<Verify> verify_;
  std::unique_ptr<ExpiryScan> expiry_scan_;
  std::unique_ptr<FlipRunner> flip_;
  std::unique_ptr<PrivatePool> pool_;
  std::unique_ptr<Replication> replication_;
  std::unique_ptr<Watches> watches_;
  std::unique_ptr<Feeds> feeds_;
  std::unique_ptr<Errands> errands_;
  std::unique_ptr<SnapshotCheck> snapshot_check_;
  std::unique_ptr<WaitingRoom> room_;
  ClientCommands::Clients clients_;
  std::unique_ptr<ClientCommands> client_commands_;
  std::unique_ptr<Tracking> tracking_;
  std::unique_ptr<Preflight> preflight_;
  std::unique_ptr<ObjectCopy> object_copy_;
  std::unique_ptr<Ramp> ramp_;
  std::unique_ptr<ReportAsker> report_asker_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Listening> listening_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<AdminEvents> events_;
  uint64_t next_client_ = 1;
  uint64_t dice_;
  int64_t next_second_ms_ = 0;
  int64_t sweep_again_ms_ = 0, sweep_pause_ms_ = 0;  // a sweep that could not copy all is not begun again at once
  uint64_t seconds_ = 0;
  bool holding_ = false;
  bool starting_ = true;      // the primary has neither been reached nor failed to be: who asks already waits for that
  std::string last_down_[2];  // so that one reason is logged once

  std::unique_ptr<Timer> tick_, soon_;  // every second; after the current turn
  bool soon_on_ = false;
  std::vector<uint64_t> held_;           // clients whose next request waits for a gate or a pause to end
  std::vector<uint64_t> paused_, gone_;  // clients to go on with, and to destroy, after the current turn

  bool memory_filled_ = false;  // since the last turn
  bool memory_stuck_ = false;   // at the last look, clients alone held too much

  std::function<void(bool)> shutdown_done_;
  bool journal_to_begin_ = false;
  bool stopping_ = false;
  int64_t shutdown_began_us_ = 0;
  size_t shutdown_clients_ = 0;
};

}  // namespace crossfade
