#include "proxy/preflight.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "protocol/chance.h"
#include "protocol/reply.h"
#include "proxy/preflight_read.h"
#include "proxy/server_info.h"
#include "proxy/store_asker.h"
#include "routing/canaries.h"
#include "routing/preflight_commands.h"
#include "routing/preflight_findings.h"

namespace crossfade {

namespace {

constexpr size_t kSampledOld = 200, kSampledNew = 100;
constexpr int64_t kTtlToleranceMs = 2000;  // what passes between two readings of a slow store

}  // namespace

// The steps follow each other as the functions do: each asks one or both stores, and the next begins with the answers.
class Preflight::Course {
 public:
  Course(Io* io, const Config* config, std::function<void()> done)
      : io_(io), config_(config), done_(std::move(done)), canaries_(MakeCanaries(RandomBits())) {
    facts.admin_commands = config->admin_commands;
    for (Side side : {Side::kOld, Side::kNew}) {
      facts.store(side).address = config->backend(side).address.ToString();
      facts.store(side).user = config->backend(side).user;
      asker(side) = MakeAsker(side);
    }
    deadline_ = io->clock()->MakeTimer([this] {
      // What is cut first may bring the last step, which has connections and a time of its own.
      const bool removing = removing_;
      for (Side side : {Side::kOld, Side::kNew}) {
        if (removing_ == removing) asker(side)->Cut();
      }
    });
    deadline_->Start(kWholeMs, 0);
  }

  void Start();

  PreflightFacts facts;

 private:
  using Answers = StoreAsker::Answers;
  using Then = std::function<void(const Answers& old, const Answers& now)>;

  std::unique_ptr<StoreAsker> MakeAsker(Side side) const {
    return std::make_unique<StoreAsker>(io_, config_->backend(side), config_->timeouts.connect_ms, kAnswerMs);
  }
  std::unique_ptr<StoreAsker>& asker(Side side) { return askers_[static_cast<int>(side)]; }
  // Asks both at once. What is empty is not asked, nor is a store that doesn't let us in or has fallen silent: there
  // are no answers then.
  void Ask(const CommandBatch& old, const CommandBatch& now, Then then);
  void Hello();
  void AskTime();
  void Look();
  void Sample();
  void LookAtKeys(const std::vector<SampledKey>& olds, const std::vector<SampledKey>& news);
  void OpenProbes();
  void AskProbes(bool old, bool now);
  bool MayMakeCanaries();
  void ReadCanaries();
  void CopyCanaries();
  void RebuildCanaries();
  void ReadRebuilt();
  bool LostOne() const { return !facts.stores[0].lost.empty() || !facts.stores[1].lost.empty(); }
  void RemoveCanaries();
  void Remove(Side side);
  void Removed(Side side, const Answers& answers);

  Io* io_;
  const Config* config_;
  std::function<void()> done_;
  std::unique_ptr<StoreAsker> askers_[2];
  std::unique_ptr<Timer> deadline_;
  bool removing_ = false;
  Answers answers_[2];
  int left_ = 0;
  Then then_;

  std::vector<Canary> canaries_;
  // By canary: how old reads it, its PTTL and DUMP, and all of it for a copy by type.
  std::vector<Answers> readings_, rebuilds_;
  std::vector<std::string> dumps_;
  WriteTimes times_;
};

void Preflight::Course::Ask(const CommandBatch& old, const CommandBatch& now, Then then) {
  then_ = std::move(then);
  left_ = 2;
  for (Side side : {Side::kOld, Side::kNew}) {
    const auto answered = [this, side](const Answers& answers) {
      Answers& kept = answers_[static_cast<int>(side)];
      kept = answers;
      if (!answers.empty() && IsLost(answers.front())) {
        // A store may say that by itself, and nothing more.
        const std::string why = ErrorText(answers.front()).substr(5);
        facts.store(side).lost = why.empty() ? "it does not say why" : why;
        kept.clear();
      }
      if (--left_ > 0) return;
      // The next step asks too.
      const Then next = std::move(then_);
      const Answers first = std::move(answers_[0]), second = std::move(answers_[1]);
      next(first, second);
    };
    const CommandBatch& batch = side == Side::kOld ? old : now;
    if (batch.count == 0 || !facts.store(side).open()) {
      answered({});
    } else {
      asker(side)->Ask(batch, answered);
    }
  }
}

void Preflight::Course::Start() {
  left_ = 2;
  for (Side side : {Side::kOld, Side::kNew}) {
    asker(side)->LogIn([this, side](bool reached, std::string refusal) {
      StoreFacts& store = facts.store(side);
      store.reached = reached;
      (reached ? store.login_refused : store.unreachable) = std::move(refusal);
      if (--left_ == 0) Hello();
    });
  }
}

void Preflight::Course::Hello() {
  CommandBatch batch;
  batch.Add({"HELLO", "3"});
  batch.Add({"HELLO", "2"});
  Ask(batch, batch, [this](const Answers& old, const Answers& now) {
    for (Side side : {Side::kOld, Side::kNew}) {
      const Answers& answers = side == Side::kOld ? old : now;
      if (answers.empty()) continue;
      facts.store(side).hello_error = ErrorText(answers[0]);
      facts.store(side).resp3 = facts.store(side).hello_error.empty();
    }
    AskTime();
  });
}

void Preflight::Course::AskTime() {
  CommandBatch batch;
  batch.Add({"TIME"});
  Ask(batch, batch, [this](const Answers& old, const Answers& now) {
    for (Side side : {Side::kOld, Side::kNew}) {
      const Answers& answers = side == Side::kOld ? old : now;
      ClockReading clock;
      if (answers.empty() || !ReadClock(answers[0], asker(side)->sent_ms(), asker(side)->read_ms(), &clock)) continue;
      StoreFacts& store = facts.store(side);
      store.clock_known = true;
      store.clock_offset_ms = clock.offset_ms;
      store.clock_uncertainty_ms = clock.uncertainty_ms;
    }
    Look();
  });
}

void Preflight::Course::Look() {
  const CommandBatch batch = LookQuestions();
  Ask(batch, batch, [this](const Answers& old, const Answers& now) {
    if (!old.empty()) ReadLook(old, &facts.store(Side::kOld));
    if (!now.empty()) ReadLook(now, &facts.store(Side::kNew));
    Sample();
  });
}

void Preflight::Course::Sample() {
  const auto olds = SampleOf(facts.store(Side::kOld).info.value, kSampledOld);
  const auto news = SampleOf(facts.store(Side::kNew).info.value, kSampledNew);
  const auto& keys = facts.store(Side::kOld).info.value.keys;
  CommandBatch of_old, of_new;
  AddSample(olds, &of_old);
  of_new.Add({"SELECT", std::to_string(keys.empty() ? 0 : keys.rbegin()->first)});
  of_new.Add({"SCRIPT", "LOAD", "return 1"});
  of_new.Add({"EVAL", "return 1", "0"});
  AddSample(news, &of_new);
  Ask(of_old, of_new, [this, olds, news](const Answers& old, const Answers& now) {
    std::vector<SampledKey> of_old, of_new;
    std::string ignored;
    if (!old.empty()) of_old = ReadSample(olds, old, &facts.sample_refused);
    if (!facts.store(Side::kOld).info.known()) facts.sample_refused = "INFO names no databases";
    if (!now.empty()) {
      StoreFacts& store = facts.store(Side::kNew);
      facts.highest_db_refused = ErrorText(now[0]);
      store.script_asked = true;
      store.script_error = ErrorText(now[1]);
      if (store.script_error.empty()) store.script_error = ErrorText(now[2]);
      of_new = ReadSample(news, std::span(now).subspan(3), &ignored);
    }
    LookAtKeys(of_old, of_new);
  });
}

void Preflight::Course::LookAtKeys(const std::vector<SampledKey>& olds, const std::vector<SampledKey>& news) {
  Ask(KeyQuestions(olds, news), {}, [this, olds, news](const Answers& old, const Answers&) {
    if (!old.empty()) ReadSampledKeys(olds, news, old, &facts);
    OpenProbes();
  });
}

// Nothing may follow unless MULTI was granted: it would be run.
void Preflight::Course::OpenProbes() {
  CommandBatch multi;
  multi.Add({"MULTI"});
  Ask(multi, multi, [this](const Answers& old, const Answers& now) {
    bool open[2] = {false, false};
    for (Side side : {Side::kOld, Side::kNew}) {
      const Answers& answers = side == Side::kOld ? old : now;
      if (answers.empty()) continue;
      open[static_cast<int>(side)] = answers[0] == "+OK\r\n";
      facts.store(side).probes.refused = "MULTI: " + ErrorText(answers[0]);
    }
    AskProbes(open[0], open[1]);
  });
}

void Preflight::Course::AskProbes(bool old, bool now) {
  const std::set<std::string> commands = CommandsToProbe(facts);
  CommandBatch batch;
  for (const std::string& command : commands) AppendProbe(command, canaries_.front().key, &batch);
  batch.Add({"DISCARD"});
  Ask(old ? batch : CommandBatch(), now ? batch : CommandBatch(),
      [this, commands](const Answers& old, const Answers& now) {
        for (Side side : {Side::kOld, Side::kNew}) {
          const Answers& answers = side == Side::kOld ? old : now;
          if (answers.empty()) continue;
          Told<std::map<std::string, Probe>>& probes = facts.store(side).probes;
          if (const std::string error = ErrorText(answers.back()); !error.empty()) {
            // The transaction stays open: nothing may be asked on this connection any more.
            probes.refused = "DISCARD: " + error;
            facts.store(side).lost = "it refuses DISCARD: " + error;
            continue;
          }
          size_t at = 0;
          for (const std::string& command : commands) probes.value[command] = JudgeProbe(answers[at++]);
          probes.refused.clear();
        }
        ReadCanaries();
      });
}

bool Preflight::Course::MayMakeCanaries() {
  const StoreFacts& old = facts.store(Side::kOld);
  if (!old.open() || !facts.store(Side::kNew).open()) return false;
  for (Side side : {Side::kOld, Side::kNew}) {
    const StoreFacts& store = facts.store(side);
    if (!store.probes.known()) facts.canaries_refused = store.probes.refused;
    for (const char* command : {"del", "pexpire"}) {
      const auto probe = store.probes.value.find(command);
      if (probe == store.probes.value.end() || probe->second.is == Probe::Is::kThere) continue;
      facts.canaries_refused =
          fmt::format("test keys could not be removed from {}: {}", SideName(side), probe->second.error);
    }
  }
  return facts.canaries_refused.empty();
}

void Preflight::Course::ReadCanaries() {
  if (!MayMakeCanaries()) return done_();
  CommandBatch batch;
  for (const Canary& canary : canaries_) {
    AddAll(canary.make, &batch);
    AddAll(canary.read, &batch);
    batch.Add({"DUMP", canary.key});
    AppendWholeRead(canary.type, canary.key, &batch.bytes);
    ++batch.count;
  }
  times_.sent_ms = io_->clock()->WallMs();
  Ask(batch, {}, [this](const Answers& old, const Answers&) {
    if (LostOne()) return RemoveCanaries();
    times_.read_ms = io_->clock()->WallMs();
    auto at = old.begin();
    for (const Canary& canary : canaries_) {
      CanaryResult& result = facts.canaries.emplace_back();
      result.kind = canary.kind;
      result.type = canary.type_name;
      const auto reading = at + canary.make.size(), dump = reading + canary.read.size();
      for (auto answer = at; answer < dump && result.error.empty(); ++answer) result.error = ErrorText(*answer);
      result.is = result.error.empty() ? CanaryResult::Is::kNotCopied : CanaryResult::Is::kNotMade;
      readings_.emplace_back(reading, dump);
      dumps_.push_back(*dump);
      rebuilds_.push_back({*(dump - 1), *(dump + 1)});
      at = dump + 2;
    }
    facts.rdb_version[0] = RdbVersion(dumps_.front());
    CopyCanaries();
  });
}

void Preflight::Course::CopyCanaries() {
  CommandBatch batch;
  for (size_t i = 0; i < canaries_.size(); ++i) {
    const Canary& canary = canaries_[i];
    const Reply dump = ParseReply(dumps_[i]);
    const int64_t ttl_ms = IntegerReply(readings_[i].back()).value_or(0);
    // An answer that is no value is refused by the server like any other that it doesn't understand.
    batch.Add({"RESTORE", canary.key, std::to_string(std::max<int64_t>(1, ttl_ms)),
               dump.is_text() ? dump.text : std::string_view("no value")});
    AddAll(canary.read, &batch);
    batch.Add({"DUMP", canary.key});
  }
  Ask({}, batch, [this](const Answers&, const Answers& now) {
    if (LostOne()) return RemoveCanaries();
    auto at = now.begin();
    for (size_t i = 0; i < canaries_.size(); ++i) {
      CanaryResult& result = facts.canaries[i];
      const auto reading = at + 1, dump = reading + canaries_[i].read.size();
      if (result.is != CanaryResult::Is::kNotMade) {
        // Old may be what refused: then there is nothing to restore.
        result.error = ErrorText(dumps_[i]).empty() ? ErrorText(*at) : "old's DUMP: " + ErrorText(dumps_[i]);
        if (result.error.empty()) {
          const bool equal = ReadingsAgree(canaries_[i], readings_[i], {reading, dump}, kTtlToleranceMs, &result.error);
          result.is = equal ? CanaryResult::Is::kEqual : CanaryResult::Is::kDiffers;
          if (facts.rdb_version[1] == 0) facts.rdb_version[1] = RdbVersion(*dump);
        }
      }
      at = dump + 1;
    }
    RebuildCanaries();
  });
}

// What RESTORE refused is tried as the proxy does: by the commands of its type.
void Preflight::Course::RebuildCanaries() {
  times_.primary_offset_ms = facts.store(Side::kOld).clock_offset_ms;
  times_.secondary_offset_ms = facts.store(Side::kNew).clock_offset_ms;
  const bool counters = facts.store(Side::kNew).info.value.stream_counters;
  CommandBatch batch;
  std::vector<size_t> counts;
  for (size_t i = 0; i < canaries_.size(); ++i) {
    const int before = batch.count;
    if (facts.canaries[i].is == CanaryResult::Is::kNotCopied) {
      Follow follow;
      RewriteWhole(canaries_[i].type, canaries_[i].key, rebuilds_[i][0], rebuilds_[i][1], counters, times_, &follow);
      batch.bytes += follow.bytes;
      batch.count += static_cast<int>(follow.expectations.size());
      if (follow.unknown) facts.canaries[i].rebuild_error = "old's answer: " + ErrorText(rebuilds_[i][1]);
    }
    counts.push_back(static_cast<size_t>(batch.count - before));
  }
  Ask({}, batch, [this, counts](const Answers&, const Answers& now) {
    if (LostOne()) return RemoveCanaries();
    auto at = now.begin();
    for (size_t i = 0; i < canaries_.size(); ++i) {
      for (size_t left = counts[i]; left > 0; --left, ++at) {
        std::string& error = facts.canaries[i].rebuild_error;
        if (error.empty()) error = ErrorText(*at);
      }
    }
    ReadRebuilt();
  });
}

void Preflight::Course::ReadRebuilt() {
  CommandBatch batch;
  std::vector<size_t> tried;
  for (size_t i = 0; i < canaries_.size(); ++i) {
    const CanaryResult& result = facts.canaries[i];
    if (result.is != CanaryResult::Is::kNotCopied || !result.rebuild_error.empty()) continue;
    tried.push_back(i);
    AddAll(canaries_[i].read, &batch);
  }
  Ask({}, batch, [this, tried](const Answers&, const Answers& now) {
    if (LostOne()) return RemoveCanaries();
    auto at = now.begin();
    for (size_t i : tried) {
      CanaryResult& result = facts.canaries[i];
      const auto end = at + canaries_[i].read.size();
      std::string what;
      const bool equal = ReadingsAgree(canaries_[i], readings_[i], {at, end}, kTtlToleranceMs, &what);
      result.is = equal ? CanaryResult::Is::kRebuilt : CanaryResult::Is::kDiffers;
      if (!equal) result.error = what;
      at = end;
    }
    RemoveCanaries();
  });
}

void Preflight::Course::RemoveCanaries() {
  deadline_->Start(kAnswerMs, 0);
  removing_ = true;
  left_ = 2;
  for (Side side : {Side::kOld, Side::kNew}) {
    if (!asker(side)->broken()) {
      Remove(side);
      continue;
    }
    // It broke on the way; what it had been told may have been carried out all the same.
    asker(side) = MakeAsker(side);
    asker(side)->LogIn([this, side](bool, std::string) { Remove(side); });
  }
}

void Preflight::Course::Remove(Side side) {
  CommandBatch batch;
  std::vector<std::string_view> words{"DEL"};
  for (const Canary& canary : canaries_) words.push_back(canary.key);
  batch.Add(words);
  asker(side)->Ask(batch, [this, side](const Answers& answers) { Removed(side, answers); });
}

void Preflight::Course::Removed(Side side, const Answers& answers) {
  if (IsErrorReply(answers[0])) facts.left_behind = fmt::format("{}: {}", SideName(side), ErrorText(answers[0]));
  if (--left_ == 0) done_();
}

Preflight::Preflight(Io* io, const Config* config)
    : io_(io), config_(config), ending_(io->clock()->MakeTimer([this] { Finish(); })) {}
Preflight::~Preflight() = default;

void Preflight::Run(Done done) {
  waiting_.push_back(std::move(done));
  if (running()) return;
  run_ = std::make_unique<Course>(io_, config_, [this] { ending_->Start(0, 0); });
  run_->Start();
}

void Preflight::Finish() {
  const std::unique_ptr<Course> over = std::move(run_);
  const std::vector<Done> waiting = std::exchange(waiting_, {});
  Report report;
  report.findings = JudgePreflight(over->facts);
  for (const StoreFacts& store : over->facts.stores) {
    report.unreachable |= !store.reached || !store.lost.empty();
  }
  last_ = report;
  last_us_ = io_->clock()->NowUs();
  if (observer_) observer_(report);
  for (const Done& done : waiting) done(report);
}

int Preflight::Report::Count(CheckStatus status) const {
  return static_cast<int>(
      std::count_if(findings.begin(), findings.end(), [status](const Finding& one) { return one.status == status; }));
}

}  // namespace crossfade
