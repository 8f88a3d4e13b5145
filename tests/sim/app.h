// A simulated application: one connection at a time, pipelines, some keys that only it writes and some that all write.
// For its own keys it keeps a model: every state that they may be in by what was acknowledged. Each reply must be the
// model's reply in one of those states, and leaves only the states that agree. A write whose reply never came leaves
// both possibilities, in the order of the pipeline. No state left means that something acknowledged was lost, or that a
// read did not see the application's own write.
//
// Every written value is a token ("t:<app>:<n>"), written once and never again, so that it can be followed through both
// stores. Owned by the run's World.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/input_buffer.h"
#include "protocol/resp_parser.h"
#include "proxy/io.h"
#include "tests/sim/chance.h"
#include "tests/sim/loop.h"
#include "tests/sim/net.h"
#include "tests/sim/scenario.h"
#include "tests/sim/toy_data.h"

namespace crossfade::sim {

class App : public Stream::Listener {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void OnSent(const App& app, const std::vector<std::string>& args) = 0;
    // `own`: the application's own keys; a reply that the model can't explain comes with the explanation.
    virtual void OnReply(const App& app, const std::vector<std::string>& args, std::string_view reply,
                         int64_t latency_us) = 0;
    virtual void OnWrong(const App& app, const std::string& what) = 0;
    virtual void OnCut(const App& app, size_t unanswered) = 0;
  };

  App(int number, Loop* loop, Net* net, const Scenario* scenario, Owner* owner);

  void Start() { Connect(); }
  // The stores have lost what was acknowledged, and may: whatever the own keys hold, they are emptied first.
  void Doubt() {
    doubtful_ = true;
    ++doubts_;
  }
  // Sends nothing new but what Verify wants.
  void Stop() { stopped_ = true; }
  // All commands are sent and answered.
  bool done() const { return left_ <= 0 && pending_.empty() && stream_ != nullptr; }
  // Reads all of its own keys; `verified` says that all of them were read without doubt.
  void Verify();
  bool verified() const { return verified_ && pending_.empty(); }
  void Hang() {
    timer_->Stop();
    connecting_.reset();
    stream_.reset();
    dead_.reset();
  }
  bool waiting() const { return !pending_.empty(); }
  int64_t oldest_us() const { return pending_.empty() ? INT64_MAX : pending_.front().sent_us; }
  bool blocked() const { return !pending_.empty() && pending_.front().args[0] == "BLPOP"; }

  int number() const { return number_; }
  int db() const { return db_; }
  uint64_t replies() const { return replies_; }
  int64_t connected_us() const { return connected_us_; }
  // Own keys, as the model knows them for certain; empty when there is more than one possibility.
  const ToyData* certain() const { return !doubtful_ && states_.size() == 1 ? &states_[0] : nullptr; }

 private:
  struct Pending {
    std::vector<std::string> args;
    bool own = false;
    bool clears = false;                          // after its acknowledgement the own keys are empty
    bool queued = false;                          // its effect comes with EXEC
    std::vector<std::vector<std::string>> block;  // of EXEC
    int64_t sent_us = 0;
  };
  using Command = std::vector<std::string>;

  void OnRead(std::string_view bytes) override;
  void OnClosed(const absl::Status& why) override;

  void Connect();
  void Lost();
  void Work();
  void SendBatch();
  void Send(Command args, bool own, std::string* bytes);
  void Greet(std::string* bytes);
  void SendClear(std::string* bytes);
  void SendTransaction(std::string* bytes);
  void SendWatched(std::string* bytes);
  void OnOneReply(std::string_view reply);
  void Learn(const Pending& pending, std::string_view reply);
  std::vector<ToyData> AfterUnsaid(std::vector<ToyData> states, const Pending& pending);
  void LearnUnanswered();
  bool Explains(ToyData* state, const Pending& pending, std::string_view reply);
  std::string Model(ToyData* state, const Command& args, std::string_view reply);
  void Deduplicate(std::vector<ToyData>* states);

  // app_commands.cc
  Command OwnCommand();
  Command SharedCommand();
  Command OnKey(const std::string& key, char kind, bool own);
  Command OnString(const std::string& key);
  Command OnList(const std::string& key);
  Command OnSet(const std::string& key);
  Command OnHash(const std::string& key);
  Command OnSorted(const std::string& key);
  Command OnShortLived(const std::string& key);
  std::vector<Command> ReadAll() const;
  std::string Own(std::string_view suffix) const;
  std::string Token();

  const int number_;
  Loop* const loop_;
  Net* const net_;
  const Scenario* const scenario_;
  Owner* const owner_;
  Chance chance_;
  const int db_;
  const int protocol_;
  int left_;
  uint64_t tokens_ = 0, replies_ = 0;
  std::unique_ptr<Timer> timer_;
  std::unique_ptr<Io::Connecting> connecting_;
  std::unique_ptr<Stream> stream_, dead_;
  std::string dead_name_;
  ReplyParser parser_;
  InputBuffer input_;
  std::deque<Pending> pending_;
  std::vector<ToyData> states_{1};
  bool doubtful_ = false, stopped_ = false, verifying_ = false, verified_ = false, greeted_ = false;
  uint64_t doubts_ = 0;
  int64_t connected_us_ = 0;
};

}  // namespace crossfade::sim
