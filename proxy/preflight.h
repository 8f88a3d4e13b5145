// The preflight (`crossfade check`, GET /api/v1/preflight): asks two stores all that a migration depends on, and has it
// judged (routing/preflight_findings). Works before there is a proxy as well as inside a running one: it needs an Io
// and a configuration, opens a connection of its own to each store, and touches nothing that belongs to the clients.
//
// What always holds: it ends within kWholeMs and a little, whatever the stores do, since each question has a deadline
// and so has the whole. It writes only canaries (routing/canaries), removes them at the end whatever has failed, and
// makes none where it may not remove them; a crash leaves them for a minute. No password, hash or value is in what it
// says; names of large keys are.
// Owned by Proxy, or by the command line.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "conf/config.h"
#include "proxy/io.h"
#include "routing/preflight_facts.h"

namespace crossfade {

class Preflight {
 public:
  static constexpr int64_t kAnswerMs = 5'000;
  static constexpr int64_t kWholeMs = 30'000;

  struct Report {
    std::vector<Finding> findings;
    bool unreachable = false;  // one of the stores could not be reached
    int Count(CheckStatus status) const;
  };
  using Done = std::function<void(const Report&)>;

  // Both must outlive this object.
  Preflight(Io* io, const Config* config);
  ~Preflight();

  // Who asks while one is under way gets its report. `done` is not called once this object is gone.
  void Run(Done done);
  bool running() const { return run_ != nullptr; }
  // The latest; null: there was none. `last_us`: when it ended, monotonic.
  const Report* last() const { return last_ ? &*last_ : nullptr; }
  int64_t last_us() const { return last_us_; }
  // Is told of every report, whoever has asked for it.
  void set_observer(Done observer) { observer_ = std::move(observer); }

 private:
  class Course;  // one run

  void Finish();

  Io* io_;
  const Config* config_;
  std::unique_ptr<Timer> ending_;  // after the turn in which the last answer came: nobody dies in its own callback
  std::unique_ptr<Course> run_;
  std::vector<Done> waiting_;
  std::optional<Report> last_;
  int64_t last_us_ = 0;
  Done observer_;
};

}  // namespace crossfade
