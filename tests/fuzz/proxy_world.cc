#include "tests/fuzz/proxy_world.h"

#include <memory>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "protocol/resp_writer.h"
#include "spdlog/spdlog.h"
#include "tests/fuzz/require.h"

namespace crossfade {
namespace {

constexpr uint16_t kOldPort = 6379, kNewPort = 6380, kListenPort = 6400, kAdminPort = 6401;
constexpr size_t kLargestReply = 2 << 20;  // that a target makes a store say

Config MakeConfig(uint32_t variant) {
  Config config;
  config.listen = {"127.0.0.1", kListenPort};
  config.admin.address = {"127.0.0.1", kAdminPort};
  config.backends[0].address = {"old", kOldPort};
  config.backends[1].address = {"new", kNewPort};
  config.admin_commands = (variant & 1) != 0;
  config.routing.ack = (variant & 2) ? AckMode::kBoth : AckMode::kPrimary;
  config.routing.reads_new = (variant & 4) ? 100 : (variant & 8) ? 50 : 0;
  config.routing.compare = (variant & 16) ? 100 : 0;
  config.routing.on_miss = (variant & 32) ? OnMiss::kPrimary : OnMiss::kNil;
  config.routing.primary = (variant & 64) ? Side::kNew : Side::kOld;
  config.settle.share = (variant & 128) ? 100 : 0;
  config.settle.quiet_ms = 50;
  if (variant & 256) config.backends[0].password = "secret";
  if (variant & 512) config.backends[1].user = "joe", config.backends[1].password = "pw";
  if (variant & 1024) config.rules.push_back({"a", 100, 100, true, OnMiss::kPrimary});
  if (variant & 2048) config.scripts.mode = (variant & 4096) ? ScriptMode::kCopy : ScriptMode::kVerbatim;
  config.mismatches.keep_values = (variant & 8192) != 0;
  config.limits.secondary_queue_bytes = 16 << 10;
  config.limits.dirty_keys = 16;
  config.limits.clients = ProxyWorld::kClients;
  config.limits.client_output_bytes = 16 << 10;
  config.limits.client_pipeline = 16;
  config.limits.expiring_keys = 8;
  config.limits.settle_keys = 8;
  config.limits.settle_value_bytes = 64;
  config.limits.script_bytes = 1 << 10;
  config.limits.private_connections = 3;
  config.limits.tracking_keys = 8;
  config.limits.mismatches = 4;
  config.timeouts.response_ms = 5000;
  config.timeouts.shutdown_ms = 2000;
  return config;
}

// Log lines are made, and go nowhere.
void BeQuiet() {
  spdlog::default_logger()->sinks().clear();
}

}  // namespace

ProxyWorld::ProxyWorld(uint32_t variant) : config_(MakeConfig(variant)), old_(&io_, kOldPort), new_(&io_, kNewPort) {
  BeQuiet();
  Start();
}

void ProxyWorld::Start() {
  auto proxy = Proxy::Start(&io_, &storage_, config_);
  Require(proxy.ok(), "a proxy starts, with an empty state directory or its own");
  proxy_ = std::move(*proxy);
}

ProxyWorld::~ProxyWorld() = default;

void ProxyWorld::ConnectStores() {
  for (int i = 0; i < 4; ++i) {
    Advance(i == 0 ? 0 : 50);
    for (ToyStore* store : {&old_, &new_}) {
      store->TakeConnections(true);
      store->AnswerAll();
    }
  }
}

// --- Clients -------------------------------------------------------------------------------------------------------

ProxyWorld::Peer* ProxyWorld::Reach(size_t client) {
  Peer* peer = &clients_[client % kClients];
  if (peer->peer == nullptr || !peer->peer->open) {
    *peer = Peer();
    peer->peer = io_.Dial(kListenPort);
    Require(peer->peer != nullptr, "the proxy listens");
  }
  return peer;
}

void ProxyWorld::Send(size_t client, std::string_view bytes) {
  Peer* peer = Reach(client);
  peer->peer->Deliver(bytes);
  Turn();
}

void ProxyWorld::SendCommand(size_t client, std::string_view words) {
  std::vector<std::string_view> args;
  while (!words.empty()) {
    const size_t end = words.find(' ');
    if (end != 0) args.push_back(words.substr(0, end));
    words.remove_prefix(end == std::string_view::npos ? words.size() : end + 1);
  }
  if (args.empty()) return;
  std::string bytes;
  AppendCommand(&bytes, args);
  Send(client, bytes);
}

void ProxyWorld::Hang(size_t client) {
  FakePeer* peer = Reach(client)->peer.get();
  if (peer->stalled) {
    peer->Drain();
  } else {
    peer->stalled = true;
  }
  Turn();
}

void ProxyWorld::Leave(size_t client) {
  Peer* peer = &clients_[client % kClients];
  if (peer->peer == nullptr) return;
  const FakePeerPtr held = peer->peer;
  held->CloseByPeer();
  Turn();
}

void ProxyWorld::Read(Peer* peer) {
  if (peer->peer == nullptr) return;
  peer->unparsed += peer->peer->TakeWritten();
  size_t read = 0;
  while (read < peer->unparsed.size()) {
    size_t consumed = 0;
    const auto result = peer->parser.Parse(std::string_view(peer->unparsed).substr(read), &consumed);
    Require(result == ParseResult::kDone, "a client is sent whole, well-formed replies");
    read += consumed;
  }
  peer->unparsed.clear();
}

void ProxyWorld::AskAdmin(std::string_view method, std::string_view path, std::string_view body) {
  const FakePeerPtr peer = io_.Dial(kAdminPort);
  Require(peer != nullptr, "the admin port listens");
  peer->Deliver(
      fmt::format("{} {} HTTP/1.1\r\nhost: 127.0.0.1:6401\r\ncontent-type: application/json\r\n"
                  "content-length: {}\r\n\r\n{}",
                  method, path, body.size(), body));
  admins_.push_back(peer);
  Turn();
}

// --- Time, and what must hold ---------------------------------------------------------------------------------------

void ProxyWorld::Advance(int64_t ms) {
  io_.clock()->Advance(ms);
  Turn();
}

void ProxyWorld::Crash() {
  Turn();  // what was put off to the end of the turn is done
  const bool unknown = proxy_->journal().in_flight().live_bytes() > 0 || proxy_->dirty().size() > 0;
  const bool everything = proxy_->dirty().everything();
  const Side primary = proxy_->migration().primary();
  proxy_.reset();
  const bool full = std::exchange(storage_.full, false);
  Start();
  storage_.full = full;
  Require(!unknown || !proxy_->dirty().clean(), "keys whose outcome was unknown are dirty");
  Require(!everything || proxy_->dirty().everything(), "everything is still dirty");
  Require(proxy_->migration().primary() == primary, "the primary is who it was");
  Turn();
}

void ProxyWorld::Turn() {
  io_.clock()->Advance(0);
  for (Peer& peer : clients_) {
    if (peer.peer != nullptr) {
      const FakePeerPtr held = peer.peer;
      held->Pump();
    }
    Read(&peer);
  }
  std::erase_if(admins_, [](const FakePeerPtr& peer) {
    if (!peer->written.empty()) peer->CloseByPeer();
    return !peer->open;
  });
  io_.clock()->Advance(0);
  old_.Receive();
  new_.Receive();
  CheckLimits();
}

void ProxyWorld::CheckLimits() const {
  const LimitsConfig& limits = config_.limits;
  const Lane& lane = proxy_->lane();
  Require(proxy_->dirty().size() <= static_cast<size_t>(limits.dirty_keys), "dirty keys are bounded");
  // One slot may be larger than the limit; what a slot is charged for is known when its bytes are.
  Require(lane.lag_bytes() <= static_cast<size_t>(limits.secondary_queue_bytes) + kLargestReply,
          "the secondary's backlog is bounded");
  // Each client's pipeline, and what the proxy asks for itself: copies, settling, second looks, polls.
  Require(lane.slots_in_use() <= 4 * kClients * static_cast<size_t>(limits.client_pipeline) + 2048,
          "slots are bounded");
  Require(proxy_->clients() <= 2 * kClients + 64, "clients are bounded");
  // One whose client has left stays until its attempt is answered: what that brings is given back.
  Require(proxy_->waiting_room().size() <= proxy_->clients() + lane.slots_in_use(), "each client blocks once");
  for (const Peer& peer : clients_) {
    if (peer.peer == nullptr) continue;
    Require(peer.peer->unsent_bytes() <= (40 << 20), "what a client does not read is bounded");
  }
}

// --- The end -------------------------------------------------------------------------------------------------------

void ProxyWorld::LeaveAll() {
  for (size_t client = 0; client < kClients; ++client) {
    if (clients_[client].peer == nullptr) continue;
    const FakePeerPtr held = clients_[client].peer;
    held->Drain();
    held->CloseByPeer();
  }
}

void ProxyWorld::Finish() {
  storage_.full = false;
  for (ToyStore* store : {&old_, &new_}) store->loading = store->replica = false;
  LeaveAll();
  // A store that owes half an answer is cut off after response_ms, and reached again; a client that was not being read
  // leaves once its last answer is there.
  bool drained = false;
  for (int round = 0; round < 40 && !drained; ++round) {
    for (int turn = 0; turn < 8; ++turn) {
      for (ToyStore* store : {&old_, &new_}) {
        store->TakeConnections(true);
        store->AnswerAll();
      }
      Advance(turn % 2 == 0 ? 0 : 20);
    }
    for (ToyStore* store : {&old_, &new_}) store->AnswerAll();
    drained = proxy_->lane().drained() && proxy_->clients() == 0 && proxy_->waiting_room().empty() &&
              old_.Receive() + new_.Receive() == 0;
    if (!drained) Advance(round % 4 == 3 ? config_.timeouts.response_ms + 1100 : 500);
  }
  Require(proxy_->clients() == 0, "who has left is forgotten");
  Require(proxy_->waiting_room().size() == 0, "nobody waits for a key");
  Require(drained, "the lane is drained");
  const KeyLog& in_flight = proxy_->journal().in_flight();
  Require(in_flight.live_bytes() == 0 && in_flight.unlogged() == 0, "no write is in flight in the journal");

  bool done = false;
  proxy_->Shutdown([&done](bool) { done = true; });
  for (int64_t ms = 0; !done && ms <= config_.timeouts.shutdown_ms + 200; ms += 100) {
    for (ToyStore* store : {&old_, &new_}) {
      store->TakeConnections(true);
      store->AnswerAll();
    }
    io_.clock()->Advance(100);
  }
  Require(done, "a shutdown ends in its time");
  proxy_.reset();
  io_.clock()->Advance(0);
  for (const FakeConnectPtr& connect : io_.connects) Require(!connect->pending(), "no connect is left");
  Require(io_.clock()->pending_timers() == 0, "no timer is left");
}

}  // namespace crossfade
