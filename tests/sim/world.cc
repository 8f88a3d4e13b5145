#include "tests/sim/world.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "protocol/chance.h"

namespace crossfade {

namespace sim {
namespace {
// The product's own chance, in this run.
Chance& RunsChance() {
  static Chance chance(0);
  return chance;
}
}  // namespace
}  // namespace sim

// Instead of protocol/chance.cc.
uint64_t RandomBits() {
  return sim::RunsChance().Next();
}

}  // namespace crossfade

namespace crossfade::sim {

namespace {
constexpr int64_t kHealUs = 90 * kSecond;  // a copy that failed is tried again after at most 30 s
constexpr size_t kTraceLines = 4000;
}  // namespace

void Figures::Add(const Figures& other) {
  uint64_t* mine = &runs;
  const uint64_t* theirs = &other.runs;
  for (size_t i = 0; i < sizeof(Figures) / sizeof(uint64_t); ++i) mine[i] += theirs[i];
}

World::World(const Scenario& scenario, bool tracing)
    : scenario_(scenario),
      tracing_(tracing),
      net_(&loop_, scenario.seed),
      io_(&loop_, &net_),
      storage_(scenario.seed),
      primary_(scenario.config.routing.primary) {
  RunsChance() = Chance(scenario.seed, 5);
  for (int i : {0, 1}) {
    const uint16_t port = scenario_.config.backends[i].address.port;
    Net::Manners& manners = net_.manners(port);
    manners.max_us = scenario_.max_delay_us;
    manners.split_percent = scenario_.split_percent;
    manners.late_percent = scenario_.late_percent;
    manners.late_us = 400'000;
    stores_[i] = std::make_unique<ToyStore>(&loop_, &net_, port, scenario_.seed, scenario_.skew_ms[i]);
    stores_[i]->set_on_write([this, i](int db, ToyData::Args args, std::string_view) { OnStoreWrite(i, db, args); });
  }
  net_.manners(scenario_.config.listen.port).split_percent = scenario_.split_percent;
  ToyStore& first = store(primary_);
  for (int i = 0; i < scenario_.preloaded; ++i) {
    ToyValue& value = first.data().mutable_keys(i % kToyDatabases)[fmt::format("old:{}", i)];
    value.text = fmt::format("before:{}", i);
    if (i % 3 == 0) value.expire_ms = first.now_ms() + 3'600'000;
  }
  for (int i = 0; i < scenario_.apps; ++i) {
    apps_.push_back(std::make_unique<App>(i, &loop_, &net_, &scenario_, static_cast<App::Owner*>(this)));
  }
  for (const Action& action : scenario_.actions) {
    loop_.At(action.at_us, [this, action] {
      if (!healing_) Act(action);
    });
  }
}

World::~World() {
  proxy_.reset();
  apps_.clear();
}

void World::Note(std::string text) {
  if (!tracing_) return;
  trace_.push_back(fmt::format("{:10.6f} {}", static_cast<double>(loop_.now_us()) / 1e6, text));
  if (trace_.size() > kTraceLines) trace_.pop_front();
}

void World::Fail(std::string invariant, std::string text) {
  if (failed()) return;
  Note(fmt::format("VIOLATED {}: {}", invariant, text));
  violation_ = Violation{std::move(invariant), std::move(text)};
}

void World::StartProxy() {
  if (proxy_ != nullptr || !proxy_wanted_) return;
  ++proxy_number_;
  auto started = Proxy::Start(&io_, &storage_, scenario_.config);
  if (!started.ok()) {
    Note("the proxy does not start: " + std::string(started.status().message()));
    Later(150, [this] { StartProxy(); });
    return;
  }
  proxy_ = std::move(*started);
  Note("the proxy starts");
  CheckRolesAfterRestart();
}

// As kill -9: nothing that its destructors do counts, and what it has handed to the network stays on its way.
void World::KillProxy(bool machine) {
  if (proxy_ == nullptr) return;
  CheckCounters();
  GatherFigures();
  storage_.Freeze();
  proxy_.reset();
  storage_.Thaw();
  stopping_ = false;
  if (machine) storage_.RestartMachine();
}

void World::RunUntil(int64_t at_us) {
  while (!failed() && loop_.next_us() <= at_us && loop_.Step()) CheckStep();
}

// Until it is over, or the time. False: the time was up.
bool World::RunWhile(int64_t limit_us, const std::function<bool()>& going) {
  const int64_t until_us = loop_.now_us() + limit_us;
  int64_t look_us = loop_.now_us();
  while (!failed()) {
    if (loop_.now_us() >= look_us) {
      if (!going()) return true;
      look_us = loop_.now_us() + 20'000;
    }
    if (loop_.now_us() > until_us || !loop_.Step()) return false;
    CheckStep();
  }
  return true;
}

std::optional<Violation> World::Run() {
  ++figures_.runs;
  proxy_wanted_ = true;
  StartProxy();
  for (auto& app : apps_) app->Start();
  for (int i = 1; i < 8; ++i) {
    loop_.At(i * 400'000, [this] {
      for (auto& store : stores_) store->Save();
    });
  }
  RunUntil(3 * kSecond);
  Heal();
  if (!failed()) Finish();
  figures_.steps = loop_.steps();
  figures_.virtual_ms = static_cast<uint64_t>(loop_.now_us() / 1000);
  for (const auto& app : apps_) figures_.commands += app->replies();
  GatherFigures();
  return violation_;
}

// All troubles end; what is left to do is the proxy's.
void World::Heal() {
  Note("everything is well again");
  healing_ = true;
  Trouble(loop_.now_us() + 2 * kSecond);
  storage_.set_full(false);
  for (int i : {0, 1}) {
    const uint16_t port = stores_[i]->port();
    stores_[i]->Restart();
    stores_[i]->Stall(false);
    stores_[i]->set_mode(ToyStore::Mode::kWell);
    net_.manners(port).refuse = net_.manners(port).silent = false;
    net_.manners(port).slow_us = 0;
    net_.StallAll(port, false);
  }
  net_.StallAll(scenario_.config.listen.port, false);
  RunWhile(20 * kSecond,
           [this] { return std::any_of(apps_.begin(), apps_.end(), [](const auto& app) { return !app->done(); }); });
  for (auto& app : apps_) {
    if (!failed() && !app->done())
      Fail("I9", fmt::format("app {} is not served 20 s after everything is well", app->number()));
  }
}

// Of a proxy that ends.
void World::GatherFigures() {
  if (proxy_ == nullptr) return;
  figures_.repaired += proxy_->dirty().repaired();
  const auto& backfill = proxy_->backfill().record();
  if (backfill && backfill->resumed > 0 && !proxy_->backfill().pending()) ++figures_.resumed;
}

// What a sensible operator does once things are well.
void World::Operate() {
  if (proxy_ == nullptr || stopping_) return;
  const Migration& migration = proxy_->migration();
  if (!migration.following()) {
    RoutingChange follow;
    follow.secondary = SecondaryMode::kFollow;
    Change(follow);
  }
  if (!migration.distrust.empty() || !migration.keep_secondary.empty()) {
    Note("operator: resync");
    if (!proxy_->Resync().ok()) return;
  }
  if (proxy_->sweep().state() == Sweep::State::kPaused) PauseBackfill(false);
  if (migration.synced == Synced::kNo && !proxy_->sweep().running() && !proxy_->dirty().everything() &&
      proxy_->lane().primary().up() && proxy_->lane().secondary().up()) {
    Note("operator: backfill");
    if (proxy_->StartBackfill().ok()) ++figures_.sweeps;
  }
}

bool World::Settled() const {
  return proxy_ != nullptr && proxy_->dirty().clean() && proxy_->lane().drained() && !proxy_->sweep().running() &&
         !proxy_->backfill().active() && proxy_->migration().synced == Synced::kYes &&
         proxy_->flip_runner().state() == FlipRunner::State::kFollowing && proxy_->settle().waiting() == 0 &&
         proxy_->settle().in_flight() == 0;
}

void World::Finish() {
  // I4, I2: what was acknowledged is read back through the proxy, wherever reads are routed now.
  RunWhile(2 * kSecond, [] { return true; });  // what expires has expired
  for (auto& app : apps_) app->Verify();
  RunWhile(30 * kSecond, [this] {
    return std::any_of(apps_.begin(), apps_.end(), [](const auto& app) { return !app->verified(); });
  });
  for (const auto& app : apps_) {
    if (!failed() && !app->verified()) Fail("I4", fmt::format("app {} can't read its keys", app->number()));
  }
  const bool settled = RunWhile(kHealUs, [this] {
    Operate();
    return !Settled();
  });
  if (failed()) return;
  if (!settled || !Settled()) {
    std::string why = "no proxy";
    if (proxy_ != nullptr) {
      why = fmt::format("synced={} ({}) dirty={} everything={} slots={} lag={} sweep={} settle={} distrust={}",
                        Name(proxy_->migration().synced), proxy_->migration().unsynced_why, proxy_->dirty().size(),
                        proxy_->dirty().everything(), proxy_->lane().slots_in_use(), proxy_->lane().lag_slots(),
                        Sweep::Name(proxy_->sweep().state()), proxy_->settle().waiting(), proxy_->migration().distrust);
    }
    return Fail("I2", "90 s after everything is well the stores are not in agreement: " + why);
  }
  // What was written past the proxy is found by a sweep, which compares nothing and copies all.
  if (tampered_ && proxy_->StartBackfill().ok()) {
    if (!RunWhile(kHealUs, [this] { return !Settled(); })) return Fail("I2", "a sweep does not end");
  }
  CheckEqual();
  CheckVerification();
  CheckCertain();
  CheckCounters();
  CheckQuiet();
}

}  // namespace crossfade::sim
