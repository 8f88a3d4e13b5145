// The simulator's only clock and only queue: things to do, by virtual time, those of one moment in the order in which
// they were asked for. Nothing runs but from here, so a run is a function of its seed. Owned by the run's World.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "proxy/io.h"

namespace crossfade::sim {

inline constexpr int64_t kSecond = 1'000'000;  // in microseconds

class Loop {
 public:
  int64_t now_us() const { return now_us_; }
  uint64_t steps() const { return steps_; }

  // Runs `what` once, at that time or, if it has passed, next.
  void At(int64_t at_us, std::function<void()> what);
  void After(int64_t delay_us, std::function<void()> what) { At(now_us_ + delay_us, std::move(what)); }
  // A timer of the product's kind. Must not outlive the loop.
  std::unique_ptr<Timer> MakeTimer(std::function<void()> callback);

  // The next thing. False when there is nothing left.
  bool Step();
  // The time of the next thing; INT64_MAX when there is none.
  int64_t next_us() const { return queue_.empty() ? INT64_MAX : queue_.front().at_us; }

 private:
  class SimTimer;
  // What is done is kept here, by number; whoever is in the queue with an older generation has been taken back.
  struct Task {
    std::function<void()> what;
    uint32_t generation = 0;  // raised by Stop: what waits in the queue counts no more
    uint64_t life = 0;        // raised when its number is given to another
    bool once = false;
    int64_t repeat_us = 0;
  };
  struct Due {
    int64_t at_us;
    uint64_t ticket;  // of two at one moment, the earlier asked for
    uint32_t task;
    uint32_t generation;
    bool operator<(const Due& other) const {
      return at_us != other.at_us ? at_us > other.at_us : ticket > other.ticket;  // the heap's top is the earliest
    }
  };

  uint32_t NewTask(std::function<void()> what, bool once);
  void FreeTask(uint32_t task);
  void Push(int64_t at_us, uint32_t task);

  int64_t now_us_ = 0;
  uint64_t steps_ = 0;
  uint64_t last_ticket_ = 0;
  std::vector<Task> tasks_;
  std::vector<uint32_t> free_;
  std::vector<Due> queue_;
};

}  // namespace crossfade::sim
