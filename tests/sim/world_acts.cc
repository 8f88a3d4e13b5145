// What befalls the world.
#include <utility>

#include "fmt/format.h"
#include "tests/sim/world.h"

namespace crossfade::sim {

namespace {
using Kind = Action::Kind;
constexpr int64_t kSettlingUs =
    2'500'000;  // how long after a trouble its last effects are seen: a timeout, a reconnect
}  // namespace

// Not after the healing has begun.
void World::Later(int64_t ms, std::function<void()> what) {
  loop_.After(ms * 1000, [what = std::move(what)] { what(); });
}

void World::Trouble(int64_t until_us) {
  trouble_until_us_ = std::max(trouble_until_us_, until_us + kSettlingUs);
}

void World::TroubleAt(int store, int64_t until_us) {
  trouble_at_us_[store] = std::max(trouble_at_us_[store], until_us + kSettlingUs);
}

// The stores may hold less than was acknowledged, and nobody is to blame but what befell them.
void World::Doubt() {
  for (auto& app : apps_) app->Doubt();
}

void World::Act(const Action& action) {
  ++figures_.faults;
  Note("FAULT " + Describe(action));
  switch (action.kind) {
    case Kind::kCut:
    case Kind::kStall:
    case Kind::kStallWire:
    case Kind::kCrash:
    case Kind::kMode:
    case Kind::kSlow:
    case Kind::kRubbish:
    case Kind::kRefuse:
      TroubleAt(action.store, loop_.now_us() + action.ms * 1000);
      return ActOnStore(action);
    case Kind::kCutClient:
      client_trouble_until_us_ = std::max(client_trouble_until_us_, loop_.now_us() + kSettlingUs);
      return net_.Cut(scenario_.config.listen.port, static_cast<int>(action.a), static_cast<int>(action.b), 30'000);
    case Kind::kStallClient: {
      client_trouble_until_us_ = std::max(client_trouble_until_us_, loop_.now_us() + action.ms * 1000 + kSettlingUs);
      const uint16_t port = scenario_.config.listen.port;
      net_.Stall(port, static_cast<int>(action.a), static_cast<int>(action.b), true);
      return Later(action.ms, [this, port] { net_.StallAll(port, false); });
    }
    case Kind::kCrashProxy:
    case Kind::kStopProxy:
    case Kind::kFullDisk:
    case Kind::kWallJump:
      return ActOnProxy(action);
    default:
      return ActAsOperator(action);
  }
}

void World::ActOnStore(const Action& action) {
  ToyStore* store = stores_[action.store].get();
  const uint16_t port = store->port();
  const int a = static_cast<int>(action.a), b = static_cast<int>(action.b);
  switch (action.kind) {
    case Kind::kCut:
      return net_.Cut(port, a, b, 50'000);
    case Kind::kStall:
      store->Stall(true);
      return Later(action.ms, [store] { store->Stall(false); });
    case Kind::kStallWire:
      net_.Stall(port, a, b, true);
      return Later(action.ms, [this, port] { net_.StallAll(port, false); });
    case Kind::kCrash:
      ++figures_.crashes;
      store->Crash(static_cast<ToyStore::Loss>(action.a));
      lost_data_ = true;
      // Of the secondary's losses no application hears: what it lost is not read until it is copied again.
      if (action.a != 0 && static_cast<Side>(action.store) == primary_) Doubt();
      return Later(action.ms, [store] { store->Restart(); });
    case Kind::kMode:
      store->set_mode(static_cast<ToyStore::Mode>(action.a));
      return Later(action.ms, [store] { store->set_mode(ToyStore::Mode::kWell); });
    case Kind::kSlow:
      net_.manners(port).slow_us = action.a * 1000;
      return Later(action.ms, [this, port] { net_.manners(port).slow_us = 0; });
    case Kind::kRubbish:
      return store->SpeakRubbish();
    default:
      (a == 0 ? net_.manners(port).refuse : net_.manners(port).silent) = true;
      return Later(action.ms, [this, port] { net_.manners(port).refuse = net_.manners(port).silent = false; });
  }
}

void World::ActOnProxy(const Action& action) {
  switch (action.kind) {
    case Kind::kCrashProxy:
      if (proxy_ == nullptr) return;
      ++figures_.crashes;
      ++figures_.restarts;
      Trouble(loop_.now_us() + action.ms * 1000);
      KillProxy(action.a == 1);
      if (action.ms == 0) return StartProxy();
      return Later(action.ms, [this] { StartProxy(); });
    case Kind::kStopProxy:
      return StopProxy(action.ms);
    case Kind::kFullDisk:
      storage_.set_full(true);
      return Later(action.ms, [this] { storage_.set_full(false); });
    default:
      io_.wall_offset_ms += action.a;
      return;
  }
}

void World::StopProxy(int64_t down_ms) {
  if (proxy_ == nullptr || std::exchange(stopping_, true)) return;
  ++figures_.restarts;
  Trouble(loop_.now_us() + scenario_.config.timeouts.shutdown_ms * 1000 + down_ms * 1000);
  proxy_->Shutdown([this, down_ms, number = proxy_number_](bool) {
    loop_.After(0, [this, down_ms, number] {
      if (number != proxy_number_ || proxy_ == nullptr) return;
      Note("the proxy has stopped");
      CheckCounters();
      GatherFigures();
      Trouble(loop_.now_us() + down_ms * 1000);
      proxy_.reset();
      stopping_ = false;
      Later(down_ms, [this] { StartProxy(); });
    });
  });
}

void World::ActAsOperator(const Action& action) {
  if (proxy_ == nullptr || stopping_) return;
  RoutingChange change;
  switch (action.kind) {
    case Kind::kFlip:
      return Flip(action.a == 1);
    case Kind::kReadsNew:
      change.reads_new = static_cast<double>(action.a);
      return Change(change);
    case Kind::kCompare:
      change.compare = static_cast<double>(action.a);
      return Change(change);
    case Kind::kAck:
      change.ack = action.a == 1 ? AckMode::kBoth : AckMode::kPrimary;
      return Change(change);
    case Kind::kSecondary:
      change.secondary = static_cast<SecondaryMode>(action.a);
      return Change(change);
    case Kind::kBackfill:
      if (action.a == 1) {
        PauseBackfill(proxy_->sweep().state() != Sweep::State::kPaused);
      } else if (action.a == 2) {
        VerifyOptions options;
        options.repair = true;
        (void)proxy_->StartVerify(options);
      } else {
        BackfillOptions options;
        options.keys_per_second = action.a == 3 ? 50 : 0;
        if (proxy_->StartBackfill(options).ok()) ++figures_.sweeps;
      }
      return;
    case Kind::kTamper:
      return Tamper(action.ms);
    default:
      (void)proxy_->Resync();  // refused unless there is something to decide
  }
}

// Refused when none is running.
void World::PauseBackfill(bool paused) {
  Proxy::BackfillChange change;
  change.paused = paused;
  (void)proxy_->ChangeBackfill(change);
}

void World::Change(const RoutingChange& change) {
  const absl::Status changed = proxy_->Change(change);
  if (!changed.ok()) Note("refused: " + std::string(changed.message()));
}

void World::Flip(bool force) {
  FlipRequest request;
  request.to = OtherSide(proxy_->migration().primary());
  request.max_pause_ms = 300;
  request.force = force;
  if (force) forced_us_ = loop_.now_us();
  // Held requests wait for as long, and no longer.
  Trouble(loop_.now_us() + 5'300'000);
  proxy_->Flip(request, [this, force](const FlipResult& result) {
    Note(fmt::format("flip ends: flipped={} pause={:.1f} ms {}", result.flipped, result.pause_ms, result.reason));
    trouble_until_us_ = std::min(trouble_until_us_, std::max(trouble_until_us_, loop_.now_us() + kSettlingUs));
    if (!result.flipped) return;
    ++figures_.flips;
    if (proxy_ != nullptr) primary_ = proxy_->migration().primary();
    if (!force) return;
    ++figures_.forced_flips;
    forced_ = true;
    forced_us_ = loop_.now_us();
    Doubt();
  });
}

// Somebody writes to the secondary past the proxy: the only way in which a mismatch may be there.
void World::Tamper(int64_t which) {
  auto& keys = store(OtherSide(primary_)).data().mutable_keys(0);
  if (keys.empty()) return;
  tampered_ = true;
  auto key = std::next(keys.begin(), which % static_cast<int64_t>(keys.size()));
  key->second = ToyValue();
  key->second.text = "tampered";
  Doubt();
}

}  // namespace crossfade::sim
