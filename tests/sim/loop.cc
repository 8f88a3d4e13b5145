#include "tests/sim/loop.h"

#include <algorithm>
#include <utility>

namespace crossfade::sim {

class Loop::SimTimer : public Timer {
 public:
  SimTimer(Loop* loop, std::function<void()> callback)
      : loop_(loop), task_(loop->NewTask(std::move(callback), false)) {}
  ~SimTimer() override { loop_->FreeTask(task_); }

  void Start(int64_t delay_ms, int64_t repeat_ms) override {
    Stop();
    loop_->tasks_[task_].repeat_us = repeat_ms * 1000;
    loop_->Push(loop_->now_us_ + delay_ms * 1000, task_);
  }
  void Stop() override {
    ++loop_->tasks_[task_].generation;
    loop_->tasks_[task_].repeat_us = 0;
  }

 private:
  Loop* const loop_;
  const uint32_t task_;
};

std::unique_ptr<Timer> Loop::MakeTimer(std::function<void()> callback) {
  return std::make_unique<SimTimer>(this, std::move(callback));
}

uint32_t Loop::NewTask(std::function<void()> what, bool once) {
  uint32_t task = 0;
  if (free_.empty()) {
    task = static_cast<uint32_t>(tasks_.size());
    tasks_.emplace_back();
  } else {
    task = free_.back();
    free_.pop_back();
  }
  tasks_[task].what = std::move(what);
  tasks_[task].once = once;
  tasks_[task].repeat_us = 0;
  return task;
}

void Loop::FreeTask(uint32_t task) {
  ++tasks_[task].generation;
  ++tasks_[task].life;
  tasks_[task].what = nullptr;
  free_.push_back(task);
}

void Loop::Push(int64_t at_us, uint32_t task) {
  queue_.push_back({std::max(at_us, now_us_), ++last_ticket_, task, tasks_[task].generation});
  std::push_heap(queue_.begin(), queue_.end());
}

void Loop::At(int64_t at_us, std::function<void()> what) {
  Push(at_us, NewTask(std::move(what), true));
}

bool Loop::Step() {
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end());
    const Due due = queue_.back();
    queue_.pop_back();
    if (tasks_[due.task].generation != due.generation) continue;
    now_us_ = due.at_us;
    ++steps_;
    // It may end its own timer, or make others and so move the tasks: it runs from here.
    std::function<void()> what = std::move(tasks_[due.task].what);
    const bool once = tasks_[due.task].once;
    if (once) {
      FreeTask(due.task);
    } else if (tasks_[due.task].repeat_us > 0) {
      Push(now_us_ + tasks_[due.task].repeat_us, due.task);
    }
    const uint64_t life = tasks_[due.task].life;
    what();
    if (!once && tasks_[due.task].life == life) tasks_[due.task].what = std::move(what);
    return true;
  }
  return false;
}

}  // namespace crossfade::sim
