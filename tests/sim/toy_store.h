// A toy server: one port of the simulated network, two databases, and Redis's rules for the commands that the
// applications and the proxy use. It has a clock of its own, a process identity (run_id, connection ids that begin anew
// with it), and troubles: modes in which it refuses, stalls during which it reads nothing, crashes with and without
// loss.
//
// What lies unread in a connection when its peer has died is still read and obeyed, unless CLIENT KILL came first.
// Owned by the run's World.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/io.h"
#include "tests/sim/chance.h"
#include "tests/sim/loop.h"
#include "tests/sim/net.h"
#include "tests/sim/toy_data.h"

namespace crossfade::sim {

class ToySession;

class ToyStore {
 public:
  enum class Mode : uint8_t { kWell, kNoMemory, kReadonly, kDiskFailed, kLoading, kNoPermission };
  enum class Loss : uint8_t { kNothing, kRecent, kEverything };
  // A write was carried out: its arguments and its reply, no error.
  using OnWrite = std::function<void(int db, ToyData::Args args, std::string_view reply)>;

  ToyStore(Loop* loop, Net* net, uint16_t port, uint64_t seed, int64_t skew_ms);
  ~ToyStore();

  ToyData& data() { return data_; }
  int64_t now_ms() const { return SimIo::kEpochMs + loop_->now_us() / 1000 + skew_ms_; }
  uint16_t port() const { return port_; }
  bool up() const { return up_; }
  bool well() const { return up_ && !stalled_ && mode_ == Mode::kWell; }
  size_t connections() const { return sessions_.size(); }
  uint64_t commands() const { return commands_; }

  void Crash(Loss loss);
  void Restart();
  void Stall(bool stalled);
  void set_mode(Mode mode) { mode_ = mode; }
  // The next reply is no RESP.
  void SpeakRubbish() { rubbish_ = true; }
  // A state that Loss::kRecent goes back to.
  void Save() { saved_ = data_; }
  void set_on_write(OnWrite on_write) { on_write_ = std::move(on_write); }

 private:
  friend class ToySession;
  void Accept(std::unique_ptr<Stream> stream);
  void Bury(uint64_t session);
  void DropSession(uint64_t id);
  std::string Refusal(const ToyData::Command& command, std::string_view name) const;
  void Execute(const ToyData::Command& command, const ToyData::Call& call);
  std::string InfoText() const;
  std::string ClientList() const;

  Loop* const loop_;
  Net* const net_;
  const uint16_t port_;
  Chance chance_;
  const int64_t skew_ms_;
  ToyData data_, saved_;
  OnWrite on_write_;
  std::map<uint64_t, std::unique_ptr<ToySession>> sessions_;
  uint64_t last_session_ = 0;
  uint64_t run_ = 1;
  uint64_t commands_ = 0;
  int64_t started_us_ = 0;
  Mode mode_ = Mode::kWell;
  bool up_ = true, stalled_ = false, rubbish_ = false;
};

}  // namespace crossfade::sim
