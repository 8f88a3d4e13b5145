// One run: the real Proxy between applications and two toy stores, everything that befalls them, and the invariants of
// DESIGN.md. The scenario says what happens; the run is a function of it. Single-threaded, no sockets, no real time.
//
// The code is in three files: world.cc (the parts, the run, healing), world_acts.cc (what befalls them),
// world_checks.cc (what must hold, and how each is checked).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proxy/proxy.h"
#include "tests/sim/app.h"
#include "tests/sim/loop.h"
#include "tests/sim/net.h"
#include "tests/sim/scenario.h"
#include "tests/sim/sim_storage.h"
#include "tests/sim/toy_store.h"

namespace crossfade::sim {

struct Violation {
  std::string invariant;  // "I1" … "I9"
  std::string text;
};

// What happened in a run, for the summary.
struct Figures {
  uint64_t runs = 0, steps = 0, commands = 0, crashes = 0, flips = 0, forced_flips = 0, faults = 0, repaired = 0,
           restarts = 0;
  uint64_t sweeps = 0, resumed = 0, verified = 0, planted = 0, compared = 0, shifted = 0, overflows = 0, checked = 0,
           failed_heals = 0, virtual_ms = 0;
  void Add(const Figures& other);
};

class World : private App::Owner {
 public:
  explicit World(const Scenario& scenario, bool tracing = false);
  ~World() override;

  // The whole run. nullopt: every invariant held.
  std::optional<Violation> Run();
  const Figures& figures() const { return figures_; }
  // The last things that happened, oldest first; empty unless tracing.
  const std::deque<std::string>& trace() const { return trace_; }
  // Of everything that was delivered: equal runs have equal digests.
  uint64_t digest() const { return digest_; }

 private:
  // world.cc
  void StartProxy();
  void KillProxy(bool machine);
  void RunUntil(int64_t at_us);
  bool RunWhile(int64_t limit_us, const std::function<bool()>& going);
  void Heal();
  void Operate();
  bool Settled() const;
  void Finish();
  void Note(std::string text);
  void Fail(std::string invariant, std::string text);
  bool failed() const { return violation_.has_value(); }
  ToyStore& store(Side side) { return *stores_[static_cast<int>(side)]; }

  // world_acts.cc
  void Act(const Action& action);
  void ActOnStore(const Action& action);
  void ActOnProxy(const Action& action);
  void ActAsOperator(const Action& action);
  void Change(const RoutingChange& change);
  void Flip(bool force);
  void Tamper(int64_t which);
  void StopProxy(int64_t down_ms);
  void Later(int64_t ms, std::function<void()> what);

  // world_checks.cc
  void OnStoreWrite(int store, int db, ToyData::Args args);
  void OnToken(int store, int db, std::string_view key, std::string_view token);
  void OnSent(const App& app, const std::vector<std::string>& args) override;
  void OnReply(const App& app, const std::vector<std::string>& args, std::string_view reply,
               int64_t latency_us) override;
  void OnWrong(const App& app, const std::string& what) override;
  void OnCut(const App& app, size_t unanswered) override;
  void CheckStep();
  void CheckWaiting();
  void CheckRolesAfterRestart();
  void CheckCounters();
  void CheckEqual();
  void CheckCertain();
  void CheckQuiet();
  void CheckVerification();
  void GatherFigures();
  void PauseBackfill(bool paused);
  bool Excused(int64_t since_us) const;
  // From now on, and until `until_us`: a client may see trouble that isn't the secondary's.
  void Trouble(int64_t until_us);
  void TroubleAt(int store, int64_t until_us);
  void Doubt();

  struct Token {
    int64_t sent_us = 0;
    uint64_t applied[2] = {0, 0};  // when each store has carried it out, by a common counter; 0: not yet
  };
  struct Remembered {
    RoutingConfig routing;
    uint64_t epoch = 0;
  };

  const Scenario scenario_;
  const bool tracing_;
  Loop loop_;
  Net net_;
  SimIo io_;
  SimStorage storage_;
  std::unique_ptr<ToyStore> stores_[2];
  std::unique_ptr<Proxy> proxy_;
  std::vector<std::unique_ptr<App>> apps_;
  Figures figures_;
  std::optional<Violation> violation_;
  std::deque<std::string> trace_;
  uint64_t digest_ = 14695981039346656037ULL;

  bool healing_ = false, proxy_wanted_ = false, stopping_ = false;
  Side primary_ = Side::kOld;  // as last known
  std::optional<Remembered> remembered_;
  bool tampered_ = false, lost_data_ = false, forced_ = false, was_distrusted_ = false;
  int64_t forced_us_ = -1;               // the latest forced flip
  int64_t trouble_until_us_ = 0;         // of the proxy, the primary, or a change of roles
  int64_t trouble_at_us_[2] = {-1, -1};  // each store's latest trouble
  int64_t client_trouble_until_us_ = 0;
  int64_t ack_both_until_us_ = 0;  // while ack = "both" the secondary's troubles are the clients'
  absl::flat_hash_map<std::string, Token> tokens_;
  std::map<std::string, uint64_t> last_of_key_[2];
  uint64_t applied_ = 0;
  uint64_t proxy_number_ = 0;
};

}  // namespace crossfade::sim
