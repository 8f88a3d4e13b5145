#include "proxy/copy_objects.h"

#include <algorithm>
#include <map>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "routing/acl_rules.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {

constexpr int64_t kAnswerMs = 10'000;  // libraries may be large
constexpr int kRounds = 3;

// Name and code of each library that FUNCTION LIST WITHCODE shows.
std::map<std::string, std::string> ReadLibraries(std::string_view answer) {
  std::map<std::string, std::string> libraries;
  const Reply list = ParseReply(answer);
  for (const Reply& entry : list.items) {
    std::string name, code;
    for (size_t i = 0; i + 1 < entry.items.size(); i += 2) {
      if (entry.items[i].text == "library_name") name = entry.items[i + 1].text;
      if (entry.items[i].text == "library_code") code = entry.items[i + 1].text;
    }
    if (!name.empty()) libraries[name] = code;
  }
  return libraries;
}

std::map<std::string, AclUser> ReadUsers(std::string_view answer) {
  std::map<std::string, AclUser> users;
  const Reply list = ParseReply(answer);
  for (const Reply& line : list.items) {
    if (auto user = ParseAclUser(line.text)) users[user->name] = std::move(*user);
  }
  return users;
}

}  // namespace

class ObjectCopy::Course {
 public:
  Course(Io* io, const Config* config, Side primary, std::function<void()> done)
      : config_(config), primary_(primary), done_(std::move(done)) {
    for (Side side : {Side::kOld, Side::kNew}) {
      askers_[static_cast<int>(side)] =
          std::make_unique<StoreAsker>(io, config->backend(side), config->timeouts.connect_ms, kAnswerMs);
    }
  }

  void Start(What what);

  CopyReport report;

 private:
  using Answers = StoreAsker::Answers;

  Side secondary() const { return OtherSide(primary_); }
  StoreAsker* asker(Side side) { return askers_[static_cast<int>(side)].get(); }
  // Asks both the same; the first answer is the primary's. A refusal by either ends it all.
  void AskBoth(const CommandBatch& batch, std::function<void(const Answers& primary, const Answers& secondary)> then);
  void End(const absl::Status& status);
  void ListLibraries();
  void Compare(const std::string& primary, const std::string& secondary);
  void DumpLibraries();
  void LoadLibraries(const std::string& why_not_restored);
  void CopyUsers();
  void SetUsers(const std::map<std::string, AclUser>& users, const std::map<std::string, AclUser>& there,
                const std::string& own);

  const Config* config_;
  Side primary_;
  std::function<void()> done_;
  std::unique_ptr<StoreAsker> askers_[2];
  int left_ = 0;
  Answers answers_[2];
  bool ended_ = false;
  int round_ = 0;
  std::map<std::string, std::string> differing_;  // libraries, with their code
  std::map<std::string, std::string> refusals_;   // by library, of this round
};

void ObjectCopy::Course::End(const absl::Status& status) {
  if (std::exchange(ended_, true)) return;
  report.status = status;
  done_();
}

void ObjectCopy::Course::AskBoth(const CommandBatch& batch, std::function<void(const Answers&, const Answers&)> then) {
  left_ = 2;
  for (Side side : {Side::kOld, Side::kNew}) {
    asker(side)->Ask(batch, [this, side, then](const Answers& answers) {
      answers_[static_cast<int>(side)] = answers;
      if (--left_ > 0) return;
      for (Side other : {primary_, secondary()}) {
        for (const std::string& answer : answers_[static_cast<int>(other)]) {
          const std::string error = ErrorText(answer);
          if (error.empty()) continue;
          const std::string told =
              fmt::format("{} ({}): {}", SideName(other), config_->backend(other).address.ToString(), error);
          return End(IsLost(answer) ? absl::UnavailableError(told) : absl::FailedPreconditionError(told));
        }
      }
      const Answers primary = answers_[static_cast<int>(primary_)];
      const Answers secondary_answers = answers_[static_cast<int>(secondary())];
      then(primary, secondary_answers);
    });
  }
}

void ObjectCopy::Course::Start(What what) {
  left_ = 2;
  for (Side side : {Side::kOld, Side::kNew}) {
    asker(side)->LogIn([this, side, what](bool reached, std::string refusal) {
      --left_;
      if (!refusal.empty() || !reached) {
        const std::string told =
            fmt::format("{} ({}) {}: {}", SideName(side), config_->backend(side).address.ToString(),
                        reached ? "refuses the login" : "can't be reached", refusal);
        return End(reached ? absl::FailedPreconditionError(told) : absl::UnavailableError(told));
      }
      if (left_ > 0 || ended_) return;
      what == What::kFunctions ? ListLibraries() : CopyUsers();
    });
  }
}

// --- Functions
// ---------------------------------------------------------------------------------------------------------

void ObjectCopy::Course::ListLibraries() {
  CommandBatch batch;
  batch.Add({"FUNCTION", "LIST", "WITHCODE"});
  AskBoth(batch, [this](const Answers& primary, const Answers& secondary) { Compare(primary[0], secondary[0]); });
}

void ObjectCopy::Course::Compare(const std::string& primary, const std::string& secondary) {
  const auto wanted = ReadLibraries(primary), there = ReadLibraries(secondary);
  differing_.clear();
  for (const auto& [name, code] : wanted) {
    const auto found = there.find(name);
    if (found == there.end() || found->second != code) {
      differing_[name] = code;
    } else if (round_ == 0) {
      report.equal.push_back(name);
    } else if (std::find(report.equal.begin(), report.equal.end(), name) == report.equal.end() &&
               std::find(report.copied.begin(), report.copied.end(), name) == report.copied.end()) {
      report.copied.push_back(name);
    }
  }
  // A library that could not be loaded will not be the next time; one that changed meanwhile will.
  const bool again = std::any_of(differing_.begin(), differing_.end(),
                                 [this](const auto& library) { return !refusals_.contains(library.first); });
  if (again && round_++ < kRounds) return DumpLibraries();
  for (const auto& [name, code] : differing_) {
    const auto why = refusals_.find(name);
    report.refused.push_back(
        {name, why != refusals_.end() ? why->second : "it still is another one there after it was copied"});
  }
  for (const auto& [name, code] : there) {
    if (!wanted.contains(name)) report.only_on_secondary.push_back(name);
  }
  End(absl::OkStatus());
}

void ObjectCopy::Course::DumpLibraries() {
  refusals_.clear();
  CommandBatch batch;
  batch.Add({"FUNCTION", "DUMP"});
  asker(primary_)->Ask(batch, [this](const Answers& answers) {
    const Reply dump = ParseReply(answers[0]);
    if (!dump.is_text()) return LoadLibraries(ErrorText(answers[0]));
    CommandBatch restore;
    restore.Add({"FUNCTION", "RESTORE", dump.text, "REPLACE"});
    asker(secondary())->Ask(restore, [this](const Answers& answers) {
      const std::string error = ErrorText(answers[0]);
      error.empty() ? ListLibraries() : LoadLibraries(error);
    });
  });
}

void ObjectCopy::Course::LoadLibraries(const std::string& why_not_restored) {
  spdlog::info("event=functions_loaded_one_by_one reason=\"{}\"", why_not_restored);
  CommandBatch batch;
  std::vector<std::string> names;
  for (const auto& [name, code] : differing_) {
    names.push_back(name);
    batch.Add({"FUNCTION", "LOAD", "REPLACE", code});
  }
  asker(secondary())->Ask(batch, [this, names](const Answers& answers) {
    for (size_t i = 0; i < names.size(); ++i) {
      if (const std::string error = ErrorText(answers[i]); !error.empty()) refusals_[names[i]] = error;
    }
    ListLibraries();
  });
}

// --- Users
// -------------------------------------------------------------------------------------------------------------

void ObjectCopy::Course::CopyUsers() {
  CommandBatch batch;
  batch.Add({"ACL", "LIST"});
  batch.Add({"ACL", "WHOAMI"});
  AskBoth(batch, [this](const Answers& primary, const Answers& secondary) {
    const std::string own(ParseReply(secondary[1]).text);
    SetUsers(ReadUsers(primary[0]), ReadUsers(secondary[0]), own);
  });
}

void ObjectCopy::Course::SetUsers(const std::map<std::string, AclUser>& users,
                                  const std::map<std::string, AclUser>& there, const std::string& own) {
  CommandBatch batch;
  std::vector<std::string> names;
  for (const auto& [name, user] : users) {
    const auto found = there.find(name);
    if (found != there.end() && found->second.rules == user.rules) {
      report.equal.push_back(name);
    } else if (name == own) {
      report.skipped.push_back({name, fmt::format("Crossfade itself logs in as it on {}", SideName(secondary()))});
    } else if (const std::string why = WhyNotPortable(user); !why.empty()) {
      report.refused.push_back({name, why});
    } else {
      names.push_back(name);
      std::vector<std::string_view> words{"ACL", "SETUSER", name, "reset"};
      words.insert(words.end(), user.rules.begin(), user.rules.end());
      batch.Add(words);
    }
  }
  for (const auto& [name, user] : there) {
    if (!users.contains(name)) report.only_on_secondary.push_back(name);
  }
  asker(secondary())->Ask(batch, [this, names](const Answers& answers) {
    for (size_t i = 0; i < names.size(); ++i) {
      if (const std::string error = ErrorText(answers[i]); error.empty()) {
        report.copied.push_back(names[i]);
      } else {
        report.refused.push_back({names[i], WithoutHashes(error)});
      }
    }
    End(absl::OkStatus());
  });
}

ObjectCopy::ObjectCopy(Io* io, const Config* config)
    : io_(io), config_(config), ending_(io->clock()->MakeTimer([this] { Finish(); })) {}

ObjectCopy::~ObjectCopy() = default;

void ObjectCopy::Run(What what, Side primary, Done done) {
  if (course_ != nullptr) {
    CopyReport report;
    report.status = absl::FailedPreconditionError("functions or users are being copied already");
    return done(report);
  }
  done_ = std::move(done);
  course_ = std::make_unique<Course>(io_, config_, primary, [this] { ending_->Start(0, 0); });
  course_->Start(what);
}

void ObjectCopy::Finish() {
  const std::unique_ptr<Course> over = std::move(course_);
  const CopyReport& report = over->report;
  spdlog::info("event=objects_copied copied={} equal={} skipped={} refused={} error=\"{}\"", report.copied.size(),
               report.equal.size(), report.skipped.size(), report.refused.size(), std::string(report.status.message()));
  const Done done = std::move(done_);
  done(report);
}

}  // namespace crossfade
