// Whatever two stores answer to a preflight, or while functions or users are copied from one to the other: it comes to
// its end with one report that makes sense, nothing is written but canaries (or what is copied), nothing follows a
// MULTI that was refused or undoes it, Crossfade's own user is let alone, and no hash of a password is told.
//
// The first input byte chooses the job, the second how many questions are answered in the usual way at first, the third
// what the stores are. The rest is answers, one after another, to old and new in turn: replies, of which "+usual",
// "+late" and "+close" mean what they say. In the end everything is answered as usual.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/reply.h"
#include "protocol/resp_parser.h"
#include "proxy/copy_objects.h"
#include "proxy/preflight.h"
#include "routing/acl_rules.h"
#include "routing/canaries.h"
#include "routing/command_table.h"
#include "spdlog/spdlog.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/toy_store.h"

namespace crossfade {
namespace {

enum class Job : uint8_t { kPreflight, kFunctions, kUsers };
using Command = std::vector<std::string>;

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// One of the two, with what it may be sent.
class Store {
 public:
  Store(FakeIo* io, uint16_t port, Job job, bool secondary) : toy(io, port), job_(job), secondary_(secondary) {
    toy.on_command = [this](const Command& command) { OnCommand(command); };
  }

  // `reply` empty: as usual.
  void Answer(const std::string& reply) {
    const Command command = toy.NextCommand(0);
    if (Lower(command[0]) == "multi") granted_ = reply.empty() || reply == "+OK\r\n";
    if (Lower(command.back()) == "whoami" && !reply.empty()) own_ = ParseReply(reply).text;
    reply.empty() ? toy.Answer(0, 0) : toy.AnswerWith(0, reply);
  }

  ToyStore toy;

 private:
  void OnCommand(const Command& command) {
    const std::string name = Lower(command[0]);
    job_ == Job::kPreflight ? MayBeAsked(name, command) : MayBeCopied(name, command);
  }
  void MayBeAsked(const std::string& name, const Command& command) {
    if (name == "multi") {
      Require(command.size() == 1 && !multi_, "one MULTI");
      multi_ = true;
      granted_ = false;
      return;
    }
    if (multi_) {
      Require(granted_, "nothing follows a MULTI that was not granted");
      if (name == "discard") {
        Require(command.size() == 1, "DISCARD comes once, at the end");
        multi_ = false;
      }
      for (const char* not_queued : {"exec", "watch", "unwatch", "quit", "reset", "hello"}) {
        Require(name != not_queued, "what is asked about is not run");
      }
      return;
    }
    const std::vector<std::string_view> args(command.begin(), command.end());
    const Request request = MakeRequest(args);
    const CommandRow* row = FindCommand(request.view());
    Require(row != nullptr, "what is asked is known");
    if (row->route != Route::kWrite) return;
    for (uint32_t key : FindKeys(*row, request.view())) {
      Require(command[key].starts_with(kCanaryPrefix), "only canaries are written");
    }
  }
  void MayBeCopied(const std::string& name, const Command& command) const {
    if (name == "ping" || name == "auth") return;
    Require(name == (job_ == Job::kUsers ? "acl" : "function") && command.size() > 1, "only that is copied");
    const std::string what = Lower(command[1]);
    if (what == "list" || what == "dump" || what == "whoami") return;
    Require(secondary_, "the primary is only read");
    if (what != "setuser") return Require(what == "restore" || what == "load", "nothing is removed");
    Require(command.size() > 3 && command[3] == "reset", "a user is made as a whole");
    Require(command[2] != own_, "Crossfade's own user is let alone");
  }

  const Job job_;
  const bool secondary_;
  bool multi_ = false, granted_ = false;
  std::string own_;
};

void JudgeReport(const Preflight::Report& report) {
  Require(report.findings.size() >= 2, "each store has a line at least");
  for (const Finding& finding : report.findings) {
    Require(!finding.name.empty() && !finding.found.empty(), "a finding says what");
    Require((finding.status == CheckStatus::kPass) == finding.remedy.empty(), "what is not well has a remedy");
  }
}

bool TellsHash(std::string_view text) {
  for (size_t at = text.find('#'); at != std::string_view::npos; at = text.find('#', at + 1)) {
    const std::string_view after = text.substr(at + 1);
    if (std::min(after.find_first_not_of("0123456789abcdefABCDEF"), after.size()) > 8) return true;
  }
  return false;
}

void JudgeReport(const CopyReport& report, Job job) {
  std::set<std::string> names;
  const auto add = [&names](const std::string& name) { Require(names.insert(name).second, "each is told once"); };
  for (const auto* list : {&report.copied, &report.equal, &report.only_on_secondary}) {
    for (const std::string& name : *list) add(name);
  }
  for (const auto* list : {&report.skipped, &report.refused}) {
    for (const CopyReport::Exception& one : *list) {
      add(one.name);
      Require(!one.why.empty(), "with a reason");
      if (job == Job::kUsers) Require(!TellsHash(one.why), "no hash is told");
    }
  }
}

// What can be asked of one answer alone.
void Read(const std::string& reply) {
  static const std::vector<Canary> canaries = MakeCanaries(1);
  const int version = RdbVersion(reply);
  Require(version >= 0 && version <= 0xffff, "a version is two bytes");
  for (const Canary& canary : canaries) {
    const std::vector<std::string> same(canary.read.size(), reply);
    std::string what;
    const bool agree = ReadingsAgree(canary, same, same, 0, &what);
    Require(agree != IsErrorReply(reply) || what.empty(), "a reading agrees with itself");
  }
  const Reply list = ParseReply(reply);
  for (const Reply& line : list.items) {
    Require(!TellsHash(WithoutHashes(line.text)), "hashes are left out");
    const auto user = ParseAclUser(line.text);
    if (!user) continue;
    std::string text = "user " + user->name;
    for (const std::string& rule : user->rules) text += ' ' + rule;
    const auto again = ParseAclUser(text);
    Require(again && again->name == user->name && again->rules == user->rules, "a user's rules are the same rules");
    WhyNotPortable(*user);
  }
}

class Run {
 public:
  Run(Job job, uint8_t usual, uint8_t stores) : job_(job), usual_(usual) {
    spdlog::default_logger()->sinks().clear();
    config_.backends[0].address = {"old", 1};
    config_.backends[1].address = {"new", 2};
    if (stores & 64) config_.backends[1].user = "joe", config_.backends[1].password = "pw";
    config_.admin_commands = (stores & 128) != 0;
    for (int side : {0, 1}) {
      stores_[side].toy.resp3 = (stores >> side & 1) == 0;
      stores_[side].toy.empty = (stores >> (2 + side) & 1) != 0;
      stores_[side].toy.version = stores >> 4 & 3;
      stores_[side].toy.generation = static_cast<uint64_t>(side);
    }
  }

  void All(std::string_view rest) {
    Preflight preflight(&io_, &config_);
    ObjectCopy copy(&io_, &config_);
    int reports = 0;
    if (job_ == Job::kPreflight) {
      preflight.Run([&](const Preflight::Report& report) { JudgeReport(report), ++reports; });
    } else {
      const auto what = job_ == Job::kUsers ? ObjectCopy::What::kUsers : ObjectCopy::What::kFunctions;
      copy.Run(what, Side::kOld, [&](const CopyReport& report) { JudgeReport(report, job_), ++reports; });
    }
    for (int step = 0; step < kMostSteps && reports == 0; ++step) {
      bool any = false;
      for (Store& store : stores_) {
        store.toy.TakeConnections(true);
        if (store.toy.Receive() == 0) continue;
        any = true;
        Answer(&store, &rest);
      }
      io_.clock()->Advance(any ? 0 : 100);
    }
    io_.clock()->Advance(Preflight::kWholeMs + Preflight::kAnswerMs + 1000);
    Require(reports == 1, "there is one report");
  }

 private:
  static constexpr int kMostSteps = 2000;

  void Answer(Store* store, std::string_view* rest) {
    ReplyParser parser;
    size_t consumed = 0;
    if (usual_ > 0) {
      --usual_;
      return store->Answer("");
    }
    if (rest->empty() || parser.Parse(*rest, &consumed) != ParseResult::kDone) {
      *rest = {};
      return store->Answer("");
    }
    const std::string reply(rest->substr(0, consumed));
    rest->remove_prefix(consumed);
    if (reply == "+usual\r\n") return store->Answer("");
    if (reply == "+late\r\n") return io_.clock()->Advance(6000);
    if (reply == "+close\r\n") return store->toy.Close(0);
    Read(reply);
    store->Answer(reply);
  }

  FakeIo io_;
  Config config_;
  const Job job_;
  int usual_;
  std::array<Store, 2> stores_{Store(&io_, 1, job_, false), Store(&io_, 2, job_, true)};
};

}  // namespace
}  // namespace crossfade

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace crossfade;
  if (size < 3) return 0;
  Run(static_cast<Job>(data[0] % 3), data[1], data[2]).All(InputText(data + 3, size - 3));
  return 0;
}
