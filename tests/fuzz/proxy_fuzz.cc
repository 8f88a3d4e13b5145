// Random clients through the whole proxy (Client, Lane and all that stands beside them) to two toy stores: commands,
// raw bytes, answers in any order between connections and of any content, broken connections, clients that don't read,
// operators' requests, full disks, crashes, time. tests/fuzz/proxy_world.h says what must hold.
//
// The input is read by FuzzedDataProvider: what is said (words, bytes) from its front, as strings that a backslash
// ends, choices from its end. tests/fuzz/make_corpus.py knows the order, and writes the seeds.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "tests/fuzz/proxy_world.h"

namespace crossfade {
namespace {

// So that no input takes long: time is what costs most.
constexpr size_t kMaxSteps = 300;
constexpr int64_t kMaxPauseMs = 40'000;  // all together
constexpr std::array<int64_t, 8> kPausesMs = {0, 1, 25, 60, 100, 1000, 6000, 31'000};

struct AdminRequest {
  const char *method, *path, *body;
};
constexpr AdminRequest kAdminRequests[] = {
    {"GET", "/api/v1/status", ""},
    {"GET", "/api/v1/mismatches", ""},
    {"POST", "/api/v1/backfill", "{}"},
    {"DELETE", "/api/v1/backfill", ""},
    {"POST", "/api/v1/resync", "{}"},
    {"POST", "/api/v1/flip", R"({"to": "new", "max_pause_ms": 100})"},
    {"POST", "/api/v1/flip", R"({"to": "old", "max_pause_ms": 1000})"},
    {"POST", "/api/v1/flip", R"({"to": "new", "cold": true})"},
    {"POST", "/api/v1/flip", R"({"to": "new", "force": true})"},
    {"POST", "/api/v1/flip", R"({"to": "old", "force": true})"},
    {"POST", "/api/v1/flip", R"({"to": "new", "dry_run": true})"},
    {"PATCH", "/api/v1/routing", R"({"reads_new": 100, "cold": true})"},
    {"PATCH", "/api/v1/routing", R"({"reads_new": 0, "compare": 100})"},
    {"PATCH", "/api/v1/routing", R"({"secondary": "journal"})"},
    {"PATCH", "/api/v1/routing", R"({"secondary": "off"})"},
    {"PATCH", "/api/v1/routing", R"({"secondary": "follow"})"},
    {"PATCH", "/api/v1/routing", R"({"ack": "both", "on_miss": "primary"})"},
    {"PATCH", "/api/v1/routing", R"({"ack": "primary", "split": "key", "compare": 0})"},
    {"GET", "/api/v1/preflight", ""},
    {"POST", "/api/v1/copy", R"({"what": "functions"})"},
    {"GET", "/api/v1/flip?preflight=true", ""},
    {"GET", "/api/v1/audit?limit=3", ""},
    {"POST", "/api/v1/copy", R"({"what": "users"})"},
    {"POST", "/api/v1/backfill", R"({"match": "a*", "type": "string", "db": 0})"},
    {"PATCH", "/api/v1/backfill", R"({"paused": true})"},
    {"PATCH", "/api/v1/backfill", R"({"paused": false, "keys_per_second": 1})"},
    {"GET", "/api/v1/backfill", ""},
    {"POST", "/api/v1/verify", "{}"},
    {"POST", "/api/v1/verify", R"({"repair": true, "keys_per_second": 1000})"},
    {"POST", "/api/v1/verify", R"({"sample": 50, "match": "a*", "db": 0})"},
    {"DELETE", "/api/v1/verify", ""},
    {"GET", "/api/v1/verify?limit=1", ""},
    {"PATCH", "/api/v1/routing", R"({"secondary": "replica"})"},
    {"PATCH", "/api/v1/routing", R"({"secondary": "replica", "replace": true})"},
    {"PATCH", "/api/v1/routing", R"({"secondary": "follow", "snapshot_loaded": true})"},
    {"PATCH", "/api/v1/routing", R"({"secondary": "follow", "snapshot_elsewhere": true})"},
    {"GET", "/metrics", ""},
};
// With a body that the input says.
constexpr struct {
  const char *method, *path;
} kAdminBodies[] = {{"POST", "/api/v1/flip"},      {"PATCH", "/api/v1/routing"}, {"POST", "/api/v1/backfill"},
                    {"PATCH", "/api/v1/backfill"}, {"POST", "/api/v1/verify"},   {"POST", "/api/v1/copy"},
                    {"POST", "/api/v1/resync"}};

class Run {
 public:
  Run(const uint8_t* data, size_t size) : input_(data, size), world_(input_.ConsumeIntegral<uint16_t>()) {}

  void All() {
    const uint8_t stores = input_.ConsumeIntegral<uint8_t>();
    for (size_t side = 0; side < 2; ++side) {
      ToyStore& store = world_.store(side);
      store.resp3 = (stores >> side & 1) == 0;
      store.empty = (stores >> (2 + side) & 1) == 0;
      store.version = stores >> 4;
    }
    if (stores != 255) world_.ConnectStores();
    for (size_t step = 0; step < kMaxSteps && input_.remaining_bytes() > 0; ++step) Step();
    world_.Finish();
  }

 private:
  void Step() {
    const uint8_t what = input_.ConsumeIntegralInRange<uint8_t>(0, 31);
    const uint8_t who = input_.ConsumeIntegral<uint8_t>();
    ToyStore& store = world_.store(who);
    if (what < 12) return world_.SendCommand(who, input_.ConsumeRandomLengthString());
    switch (what) {
      case 12:
        return world_.Send(who, input_.ConsumeRandomLengthString());
      case 13:
      case 14:
      case 15:  // in the usual way, so many of them
        for (int left = 1 + (who >> 4); left > 0 && store.Answer(0, 0); --left) continue;
        return world_.Turn();
      case 16:
      case 17:
        world_.store(0).AnswerAll();
        world_.store(1).AnswerAll();
        return world_.Turn();
      case 18:
      case 19:
        store.Answer(who >> 1, input_.ConsumeIntegral<uint8_t>());
        return world_.Turn();
      case 20:
        store.AnswerWith(who >> 1, input_.ConsumeRandomLengthString());
        return world_.Turn();
      case 21:
        store.Say(who >> 1, input_.ConsumeRandomLengthString());
        return world_.Turn();
      case 22:
        store.Close(who >> 1);
        return world_.Turn();
      case 23:
        store.TakeConnections((who & 2) == 0);
        return world_.Turn();
      case 24:
        return Restart(&store, who);
      case 25:
        return world_.Hang(who);
      case 26:
        return world_.Leave(who);
      case 27: {
        const AdminRequest& request = kAdminRequests[who % std::size(kAdminRequests)];
        return world_.AskAdmin(request.method, request.path, request.body);
      }
      case 28: {
        const auto& request = kAdminBodies[who % std::size(kAdminBodies)];
        return world_.AskAdmin(request.method, request.path, input_.ConsumeRandomLengthString());
      }
      case 29:  // large answers, to whoever reads and whoever doesn't
        store.AnswerWith(who >> 1, '$' + std::to_string(who * 4096) + "\r\n" + std::string(who * 4096, 'x') + "\r\n");
        return world_.Turn();
      case 31:
        if (who & 1) world_.SetDiskFull((who & 2) != 0);
        if ((who & 1) == 0) world_.Crash();
        return;
      default:
        return Pause(kPausesMs[who % kPausesMs.size()]);
    }
  }

  void Pause(int64_t ms) {
    ms = std::min(ms, kMaxPauseMs - paused_ms_);
    paused_ms_ += ms;
    world_.Advance(ms);
  }

  // With what it had, or as another process.
  void Restart(ToyStore* store, uint8_t how) {
    store->CloseAll();
    if (how & 2) ++store->generation;
    store->empty = (how & 4) != 0;
    store->loading = (how & 8) != 0;
    store->replica = (how & 16) != 0;
    if (how & 32) store->resp3 = !store->resp3;
    world_.Advance(how & 64 ? 1200 : 25);
    store->TakeConnections(true);
    if (how & 128) store->AnswerAll();
    world_.Turn();
  }

  FuzzedDataProvider input_;
  ProxyWorld world_;
  int64_t paused_ms_ = 0;
};

}  // namespace
}  // namespace crossfade

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  crossfade::Run(data, size).All();
  return 0;
}
