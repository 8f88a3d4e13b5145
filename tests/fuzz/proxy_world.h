// The whole proxy over FakeIo, with two toy stores and a few clients, driven one step at a time by what a fuzzer found:
// small limits, so that each is reached. Owns everything. What it checks by itself: what the stores and the clients are
// sent is well formed, whatever either of them sends; the limits hold at each step; and once everybody is well again
// and the clients have gone, the lane is drained, a shutdown comes to its end in its time, and no timer is left.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "protocol/resp_parser.h"
#include "proxy/proxy.h"
#include "tests/fuzz/memory_storage.h"
#include "tests/fuzz/toy_store.h"
#include "tests/proxy/fake_io.h"

namespace crossfade {

class ProxyWorld {
 public:
  static constexpr size_t kClients = 4;

  // The bits of `variant` choose settings that a configuration can have.
  explicit ProxyWorld(uint32_t variant);
  ~ProxyWorld();

  ToyStore& store(size_t index) { return index % 2 == 0 ? old_ : new_; }
  FakeIo* io() { return &io_; }

  // Both stores are reached, and known.
  void ConnectStores();

  // Each takes a client's number modulo kClients; who is not there connects first.
  void Send(size_t client, std::string_view bytes);
  void SendCommand(size_t client, std::string_view words);  // separated by spaces
  void Hang(size_t client);                                 // does not read, or reads again
  void Leave(size_t client);
  void AskAdmin(std::string_view method, std::string_view path, std::string_view body);

  // The proxy ends in the midst of everything, and another one begins with what is in its state directory.
  void Crash();
  // The disk is full from now on, or has room again.
  void SetDiskFull(bool full) { storage_.full = full; }

  void Advance(int64_t ms);
  // The loop's turn ends: what was put off to then runs. The limits are checked.
  void Turn();
  void CheckLimits() const;

  // Everybody is well, the clients leave, and the proxy ends.
  void Finish();

 private:
  struct Peer {
    FakePeerPtr peer;
    ReplyParser parser;
    std::string unparsed;
  };
  void Read(Peer* peer);
  Peer* Reach(size_t client);
  void LeaveAll();
  void Start();

  FakeIo io_;
  MemoryStorage storage_;
  Config config_;
  ToyStore old_, new_;
  std::vector<Peer> clients_{kClients};
  std::vector<FakePeerPtr> admins_;
  std::unique_ptr<Proxy> proxy_;
};

}  // namespace crossfade
