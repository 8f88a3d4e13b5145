// What must hold (DESIGN.md, section 2), and how it is seen:
//
// I1 order       Every written value is a token. A store that is not the primary may carry out a token only after the
//                other has, once, and for each key in the primary's order (OnToken).
// I2 lost        When all is well again the proxy comes to say "synced, nothing dirty" in bounded time, and then both
//                stores hold the same, expiries included (Finish, CheckEqual). It has not noticed a difference on keys
//                that it took for clean (CheckCounters).
// I3 isolation   While the primary, the proxy and the application's own connection are well: no error, no cut, and no
//                reply later than a bound, whatever the secondary does (OnReply, OnCut, CheckWaiting).
// I4 own writes  Each reply about an application's own keys agrees with a state that they may be in by what was
//                acknowledged (App::Learn); in the end the primary holds just that (CheckCertain).
// I5 one primary Tokens reach the store that is primary first (OnToken), and a flip that has happened has lost none
// (I4). I6 symmetry    The seed chooses which store begins as primary. I7 no alarm    No mismatch is confirmed unless
// somebody has written past the proxy (CheckCounters). I8 crash       A restarted proxy has the roles and percentages
// that it had (CheckRolesAfterRestart); and I1, I2, I4 hold. I9 bounded     Queue, dirty set, slots, clients and
// connections stay within their limits at every step (CheckStep); at
//                the end nothing is in flight or left open, and a shutdown ends in its time (CheckQuiet).
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "tests/sim/world.h"

namespace crossfade::sim {

namespace {

// The longest that a reply may take while the primary is well: a pipeline of reads, each asked of the secondary in
// vain.
constexpr int64_t kLatencyUs = 3 * kSecond;
constexpr int64_t kTtlToleranceMs = 5000;  // an expiry is relative to a moment within the request's own time
constexpr int64_t kBacklogSlack = 256 << 10;
constexpr size_t kSlotSlack = 1000;

std::string Joined(const std::vector<std::string>& args) {
  std::string text;
  for (const std::string& arg : args) text += (text.empty() ? "" : " ") + arg;
  return text;
}

std::string Text(std::string_view bytes) {
  return fmt::format("{:?}", bytes.substr(0, 80));
}

bool CarriesTokens(std::string_view command) {
  for (std::string_view name :
       {"SET", "SETNX", "GETSET", "APPEND", "RPUSH", "LPUSH", "SADD", "HSET", "HSETNX", "ZADD"}) {
    if (EqualsIgnoreCase(command, name)) return true;
  }
  return false;
}

}  // namespace

// --- I1, I5
// ------------------------------------------------------------------------------------------------------------

void World::OnStoreWrite(int store, int db, ToyData::Args args) {
  for (std::string_view arg : args) {
    for (char c : arg) digest_ = (digest_ ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  digest_ = (digest_ ^ static_cast<uint64_t>(loop_.now_us())) * 1099511628211ULL;
  if (tracing_) {
    std::string text;
    for (std::string_view arg : args) text += " " + (arg.size() > 40 ? Text(arg) : std::string(arg));
    Note(fmt::format("  {} ({}) db{} runs{}", store == 0 ? "old" : "new",
                     static_cast<Side>(store) == primary_ ? "primary" : "secondary", db, text));
  }
  if (!CarriesTokens(args[0])) return;
  for (size_t i = 2; i < args.size(); ++i) {
    if (args[i].starts_with("t:")) OnToken(store, db, args[1], args[i]);
  }
}

void World::OnToken(int store, int db, std::string_view key, std::string_view token) {
  // What was popped for a client that is gone is put back: written twice.
  if (scenario_.blocks && key.starts_with("g:l")) return;
  const auto found = tokens_.find(std::string(token));
  if (found == tokens_.end()) return;
  Token& seen = found->second;
  // A forced flip cuts through what is in flight.
  if (seen.sent_us <= forced_us_) return;
  const std::string name = fmt::format("{}:{}", db, key);
  if (seen.applied[store] != 0) {
    return Fail("I1",
                fmt::format("{} carries out the write of {} to {} twice", store == 0 ? "old" : "new", token, key));
  }
  uint64_t& last = last_of_key_[store][name];
  if (static_cast<Side>(store) == primary_) {
    seen.applied[store] = last = ++applied_;
    return;
  }
  const uint64_t order = seen.applied[1 - store];
  if (order == 0) {
    return Fail("I5",
                fmt::format("{} is secondary and carries out the write of {} to {}, which the primary has not run",
                            store == 0 ? "old" : "new", token, key));
  }
  if (order < last) {
    return Fail("I1", fmt::format("on {} the write of {} to {} comes after one that the primary ran later",
                                  store == 0 ? "old" : "new", token, key));
  }
  seen.applied[store] = last = order;
}

// --- I3
// ----------------------------------------------------------------------------------------------------------------

bool World::Excused(int64_t since_us) const {
  return trouble_until_us_ >= since_us || trouble_at_us_[static_cast<int>(primary_)] >= since_us ||
         client_trouble_until_us_ >= since_us || proxy_ == nullptr;
}

void World::OnSent(const App& app, const std::vector<std::string>& args) {
  if (tracing_) Note(fmt::format("app {} (db{}) asks {}", app.number(), app.db(), Joined(args)));
  for (const std::string& arg : args) {
    if (arg.starts_with("t:") && CarriesTokens(args[0])) tokens_[arg].sent_us = loop_.now_us();
  }
}

void World::OnReply(const App& app, const std::vector<std::string>& args, std::string_view reply, int64_t latency_us) {
  for (char c : reply) digest_ = (digest_ ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  if (tracing_) Note(fmt::format("app {} {} is answered {}", app.number(), Joined(args), Text(reply)));
  const int64_t since_us = loop_.now_us() - latency_us;
  if (Excused(since_us)) return;
  const bool confirmation = reply.starts_with("-ERR crossfade: applied on the primary");
  if (confirmation && ack_both_until_us_ >= since_us) return;
  const std::string_view code = ErrorCode(reply);
  const bool trouble = reply.starts_with("-ERR crossfade") || code == "OOM" || code == "READONLY" ||
                       code == "MISCONF" || code == "LOADING" || code == "NOPERM" || code == "EXECABORT";
  if (trouble)
    Fail("I3",
         fmt::format("app {} {} is answered {} while the primary is well", app.number(), Joined(args), Text(reply)));
  if (latency_us > kLatencyUs) {
    Fail("I3", fmt::format("app {} {} is answered after {} ms while the primary is well", app.number(), Joined(args),
                           latency_us / 1000));
  }
}

void World::OnWrong(const App&, const std::string& what) {
  Fail("I4", what);
}

void World::OnCut(const App& app, size_t unanswered) {
  Note(fmt::format("app {} is cut off, {} unanswered", app.number(), unanswered));
  if (!Excused(app.connected_us()) && !Excused(loop_.now_us())) {
    Fail("I3", fmt::format("app {} is cut off while the primary is well", app.number()));
  }
}

void World::CheckWaiting() {
  const int64_t now_us = loop_.now_us();
  for (const auto& app : apps_) {
    const int64_t since_us = app->oldest_us();
    if (since_us == INT64_MAX || now_us - since_us <= kLatencyUs || Excused(since_us)) continue;
    Fail("I3",
         fmt::format("app {} waits for {} ms while the primary is well", app->number(), (now_us - since_us) / 1000));
  }
}

// --- I9, at every step
// ---------------------------------------------------------------------------------------------------

void World::CheckStep() {
  if (proxy_ == nullptr) return;
  primary_ = proxy_->migration().primary();
  if (proxy_->migration().routing.ack == AckMode::kBoth) ack_both_until_us_ = loop_.now_us() + kSecond;
  was_distrusted_ = was_distrusted_ || !proxy_->migration().distrust.empty();
  const LimitsConfig& limits = scenario_.config.limits;
  const Lane& lane = proxy_->lane();
  if (proxy_->dirty().size() > static_cast<size_t>(limits.dirty_keys)) {
    Fail("I9", fmt::format("{} keys are dirty, the limit is {}", proxy_->dirty().size(), limits.dirty_keys));
  }
  if (lane.lag_bytes() > static_cast<size_t>(limits.secondary_queue_bytes + kBacklogSlack)) {
    Fail("I9", fmt::format("the secondary's queue holds {} bytes, the limit is {}", lane.lag_bytes(),
                           limits.secondary_queue_bytes));
  }
  if (lane.slots_in_use() > kSlotSlack) Fail("I9", fmt::format("{} slots are in use", lane.slots_in_use()));
  if (loop_.steps() % 256 != 0) return;
  CheckWaiting();
  if (net_.wires() > 300) Fail("I9", fmt::format("{} connections are open", net_.wires()));
}

// --- I8
// ----------------------------------------------------------------------------------------------------------------

void World::CheckRolesAfterRestart() {
  if (!remembered_) return;
  const Migration& now = proxy_->migration();
  const RoutingConfig& was = remembered_->routing;
  const bool same = now.routing.primary == was.primary && now.routing.secondary == was.secondary &&
                    now.routing.ack == was.ack && now.routing.reads_new == was.reads_new &&
                    now.routing.compare == was.compare && now.routing.split == was.split &&
                    now.routing.on_miss == was.on_miss && now.epoch == remembered_->epoch;
  if (same) return;
  Fail("I8", fmt::format("after a restart: primary={} epoch={} reads_new={} compare={}; before it primary={} epoch={} "
                         "reads_new={} compare={}",
                         SideName(now.primary()), now.epoch, now.routing.reads_new, now.routing.compare,
                         SideName(was.primary), remembered_->epoch, was.reads_new, was.compare));
}

// --- I7, and what the proxy has noticed itself
// -----------------------------------------------------------------------------

void World::CheckCounters() {
  const Counters& counters = proxy_->counters();
  figures_.compared += counters.reads_compared;
  figures_.shifted += counters.reads[static_cast<int>(OtherSide(primary_))];
  figures_.overflows += counters.queue_overflows;
  figures_.checked += counters.settle_checked;
  remembered_ = Remembered{proxy_->migration().routing, proxy_->migration().epoch};
  if (tampered_) return;
  // Where replies take their time, an expiry that counts from the request is later on the secondary by as much.
  const bool slow = scenario_.Has(Action::Kind::kSlow) || scenario_.Has(Action::Kind::kStall) ||
                    scenario_.Has(Action::Kind::kStallWire);
  if (counters.reads_mismatched > 0) Fail("I7", "a mismatch was confirmed, but nobody has written past the proxy");
  if (was_distrusted_ || forced_) return;  // the stores do differ
  // An expiry that nobody watches shows as a reply that differs, and is repaired like any other.
  const bool unwatched =
      scenario_.short_lived && (proxy_->expiry().unwatched() > 0 || scenario_.Has(Action::Kind::kCrashProxy) ||
                                scenario_.Has(Action::Kind::kStopProxy));
  if (counters.writes_diverged > 0 && !unwatched) {
    Fail("I2", fmt::format("{} writes on clean keys were answered differently", counters.writes_diverged));
  }
  if (counters.settle_differed > 0 && !slow) {
    Fail("I2", fmt::format("{} clean keys were found to differ once they were quiet", counters.settle_differed));
  }
}

// --- At the end
// --------------------------------------------------------------------------------------------------------------

void World::CheckEqual() {
  for (int db = 0; db < kToyDatabases && !failed(); ++db) {
    std::map<std::string, int> names;
    for (const auto& store : stores_) {
      for (const auto& [name, value] : store->data().keys(db)) names[name] = 0;
    }
    for (const auto& [name, unused] : names) {
      const ToyValue* values[2];
      int64_t left_ms[2];
      for (int i : {0, 1}) {
        values[i] = stores_[i]->data().Peek(db, name, stores_[i]->now_ms());
        left_ms[i] =
            values[i] == nullptr || values[i]->expire_ms < 0 ? -1 : values[i]->expire_ms - stores_[i]->now_ms();
      }
      if (values[0] == nullptr && values[1] == nullptr) continue;
      const bool same = values[0] != nullptr && values[1] != nullptr && values[0]->SameContent(*values[1]) &&
                        (left_ms[0] < 0) == (left_ms[1] < 0) && std::llabs(left_ms[0] - left_ms[1]) <= kTtlToleranceMs;
      if (same) continue;
      const auto shown = [&](int i) {
        return values[i] == nullptr ? std::string("nothing")
                                    : fmt::format("{} (expires in {} ms)", Text(values[i]->Serialize()), left_ms[i]);
      };
      return Fail("I2", fmt::format("the stores differ, and nothing is dirty: db{} {}: old has {}, new has {}", db,
                                    name, shown(0), shown(1)));
    }
  }
}

// The stores are equal, and nobody writes: a verification says so. Of a value that was changed behind everybody's back
// it says that, and repairs it. How exact expiries are is not its business here: CheckEqual's tolerance is wider.
void World::CheckVerification() {
  if (failed() || proxy_ == nullptr) return;
  // One that the scenario began may still be under way.
  RunWhile(60 * kSecond, [this] { return proxy_ != nullptr && proxy_->verify().running(); });
  if (failed() || proxy_ == nullptr) return;
  std::string planted;
  if (scenario_.seed % 3 == 0) {
    for (auto& [name, value] : store(OtherSide(primary_)).data().mutable_keys(0)) {
      if (value.expire_ms >= 0 || !planted.empty()) continue;
      value = ToyValue();
      value.text = "planted";
      planted = name;
    }
  }
  VerifyOptions options;
  options.repair = !planted.empty();
  if (const absl::Status started = proxy_->StartVerify(options); !started.ok()) {
    return Fail("verify", "refused: " + std::string(started.message()));
  }
  RunWhile(60 * kSecond, [this] { return proxy_ != nullptr && proxy_->verify().running(); });
  if (failed() || proxy_ == nullptr) return;
  const VerifyResult& result = proxy_->verify().result();
  const uint64_t differ = result.differing() - result.differ[static_cast<int>(VerifyKind::kTtl)];
  if (result.state != VerifyState::kDone || differ != (planted.empty() ? 0 : 1) || result.all_undecided() > 0) {
    return Fail("verify", fmt::format("planted {:?}, and told: {}", planted, VerifyJson(result, 5).dump()));
  }
  ++figures_.verified;
  if (planted.empty()) return;
  ++figures_.planted;
  CheckEqual();
}

void World::CheckCertain() {
  ToyStore& primary = store(primary_);
  for (const auto& app : apps_) {
    const ToyData* model = app->certain();
    if (model == nullptr || failed()) continue;
    const std::string prefix = fmt::format("a{}:", app->number());
    const auto& keys = primary.data().keys(app->db());
    for (const auto& [name, value] : model->keys(app->db())) {
      const auto found = keys.find(name);
      if (found != keys.end() && found->second.SameContent(value)) continue;
      return Fail("I4", fmt::format("{} must hold {} and holds {}", name, Text(value.Serialize()),
                                    found == keys.end() ? "nothing" : Text(found->second.Serialize())));
    }
    for (auto at = keys.lower_bound(prefix); at != keys.end() && at->first.starts_with(prefix); ++at) {
      if (model->keys(app->db()).contains(at->first)) continue;
      return Fail("I4", fmt::format("{} was deleted and holds {}", at->first, Text(at->second.Serialize())));
    }
  }
}

// The applications go, then the proxy: nothing is left of either.
void World::CheckQuiet() {
  if (failed()) return;
  for (auto& app : apps_) app->Hang();
  Trouble(loop_.now_us() + 60 * kSecond);
  RunWhile(kSecond, [] { return true; });
  if (failed()) return;
  const Lane& lane = proxy_->lane();
  if (proxy_->clients() != 0 || !lane.drained() || lane.lag_bytes() != 0 || proxy_->waiting_room().size() != 0) {
    return Fail("I9", fmt::format("at the end: clients={} slots={} lag_bytes={} waiting={}", proxy_->clients(),
                                  lane.slots_in_use(), lane.lag_bytes(), proxy_->waiting_room().size()));
  }
  remembered_ = Remembered{proxy_->migration().routing, proxy_->migration().epoch};
  bool stopped = false;
  proxy_->Shutdown([&stopped](bool) { stopped = true; });
  RunWhile(scenario_.config.timeouts.shutdown_ms * 1000 + kSecond, [&] { return !stopped; });
  if (!stopped) return Fail("I9", "a shutdown takes longer than its time");
  proxy_.reset();
  RunWhile(kSecond, [] { return true; });
  if (net_.wires() != 0) return Fail("I9", fmt::format("{} connections are left open", net_.wires()));
  StartProxy();
  RunWhile(kSecond, [] { return true; });
  if (failed()) return;
  if (proxy_->migration().synced != Synced::kYes || !proxy_->dirty().clean()) {
    Fail("I8", "after an orderly shutdown with both stores in agreement the proxy does not believe that they are");
  }
}

}  // namespace crossfade::sim
