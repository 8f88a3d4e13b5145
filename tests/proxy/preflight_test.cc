#include "proxy/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/proxy/fake_backend.h"
#include "tests/proxy/fake_io.h"

namespace crossfade {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr uint16_t kPorts[2] = {1001, 1002};

// Two stores that answer as the test says, to every connection.
class PreflightTest : public testing::Test {
 protected:
  using Answer = std::function<std::string(const std::string& command)>;  // "" is silence

  PreflightTest() {
    for (int side : {0, 1}) {
      config_.backends[side].address = {"store", kPorts[side]};
      answers_[side] = Plain;
    }
  }

  static std::string Plain(const std::string& command) {
    if (command == "PING") return "+PONG\r\n";
    if (command == "MULTI") return "+OK\r\n";
    if (command.starts_with("INFO")) return Bulk("redis_version:7.0.15\r\nrun_id:x\r\n");
    if (command.starts_with("PTTL")) return ":60000\r\n";
    if (command.starts_with("DUMP")) return Bulk("payload-and-footer");
    return "+OK\r\n";
  }

  // Lets time pass until the report is there, at most so long.
  void Run(int64_t most_ms) {
    preflight_.Run([this](const Preflight::Report& report) { report_ = report; });
    for (int64_t ms = 0; ms < most_ms && !report_; ms += 10) {
      Serve();
      io_.clock()->Advance(10);
    }
    ASSERT_TRUE(report_.has_value());
  }
  void Serve() {
    for (int side : {0, 1}) {
      if (const auto connect = io_.NextConnect(kPorts[side]); connect != nullptr) {
        peers_[side].push_back({connect->Succeed(), ""});
      }
      for (size_t i = 0; i < peers_[side].size(); ++i) {
        auto& [peer, bytes] = peers_[side][i];
        bytes += peer->TakeWritten();
        const int64_t now_ms = io_.clock()->NowUs() / 1000;
        if (side == 1 && !bytes.empty() && now_ms - answered_ms_ < late_ms_) continue;
        if (side == 1) answered_ms_ = now_ms;
        std::string out;
        for (const std::string& command : TakeCommands(&bytes)) {
          sent_[side].push_back(command);
          out += answers_[side](command);
        }
        const FakePeerPtr kept = peer;
        if (kept->open && !out.empty()) kept->Deliver(out);
      }
    }
  }
  Finding Of(const std::string& name) {
    for (const Finding& finding : report_->findings) {
      if (finding.name == name) return finding;
    }
    return {};
  }

  FakeIo io_;
  Config config_;
  int64_t late_ms_ = 0, answered_ms_ = 0;  // of new
  Answer answers_[2];
  std::vector<std::pair<FakePeerPtr, std::string>> peers_[2];
  std::vector<std::string> sent_[2];
  Preflight preflight_{&io_, &config_};
  std::optional<Preflight::Report> report_;
};

TEST_F(PreflightTest, RemovesWhatItMakes) {
  Run(1000);
  for (int side : {0, 1}) {
    EXPECT_THAT(sent_[side].back(), StartsWith("DEL __crossfade:check:"));
    EXPECT_TRUE(peers_[side][0].first->destroyed);
  }
  EXPECT_THAT(sent_[0], Contains(StartsWith("SET __crossfade:check:")));
  EXPECT_FALSE(report_->unreachable);
  EXPECT_FALSE(preflight_.running());
}

TEST_F(PreflightTest, AStoreThatTakesBytesAndNeverAnswersEndsIt) {
  answers_[1] = [](const std::string&) { return ""; };
  Run(Preflight::kAnswerMs + 1000);
  EXPECT_TRUE(report_->unreachable);
  EXPECT_THAT(Of("new is reached").found, HasSubstr("can't be reached: no reply in time"));
  EXPECT_EQ(Of("old is reached").status, CheckStatus::kPass);
  EXPECT_THAT(sent_[0], Not(Contains(StartsWith("SET"))));
}

TEST_F(PreflightTest, AStoreThatFallsSilentOnTheWayIsToldAsThat) {
  answers_[0] = [](const std::string& command) { return command == "INFO" ? "" : Plain(command); };
  Run(Preflight::kAnswerMs + 1000);
  EXPECT_TRUE(report_->unreachable);
  EXPECT_THAT(Of("old is reached").found, HasSubstr("stopped answering"));
}

// By the code that stands for an answer which never came, and with nothing behind it.
TEST_F(PreflightTest, AStoreThatSaysThatItIsLostIsLost) {
  for (int side : {0, 1}) {
    SCOPED_TRACE(side);
    report_.reset();
    for (Answer& answer : answers_) answer = Plain;
    answers_[side] = [](const std::string& command) {
      return command.starts_with("SET __") || command.starts_with("RESTORE") ? "-LOST \r\n" : Plain(command);
    };
    Run(1000);
    EXPECT_THAT(Of(side == 0 ? "old is reached" : "new is reached").found, HasSubstr("stopped answering"));
  }
}

// Each answer comes just in time: only the deadline of the whole ends it.
TEST_F(PreflightTest, EndsInItsTimeWithAStoreThatIsAlwaysLate) {
  late_ms_ = Preflight::kAnswerMs - 200;
  Run(Preflight::kWholeMs + Preflight::kAnswerMs + 1000);
  EXPECT_TRUE(report_->unreachable);
  EXPECT_THAT(Of("new is reached").found, HasSubstr("stopped answering: no answer in time"));
}

TEST_F(PreflightTest, NothingIsQueuedUnlessMultiWasGranted) {
  for (Answer& answer : answers_) {
    answer = [](const std::string& command) { return command == "MULTI" ? "-NOPERM multi\r\n" : Plain(command); };
  }
  Run(1000);
  for (int side : {0, 1}) {
    EXPECT_EQ(sent_[side].back(), "MULTI");
    EXPECT_THAT(sent_[side], Not(Contains(StartsWith("DEL"))));
  }
  EXPECT_THAT(Of("rights on new").found, HasSubstr("MULTI: NOPERM multi"));
}

TEST_F(PreflightTest, TestKeysAreRemovedOnNewConnectionsWhenTheOldOnesBreak) {
  // New falls silent at RESTORE; nothing but DEL is asked afterwards.
  answers_[1] = [](const std::string& command) { return command.starts_with("RESTORE") ? "" : Plain(command); };
  Run(2 * Preflight::kAnswerMs + 1000);
  ASSERT_EQ(peers_[1].size(), 2u);
  EXPECT_THAT(sent_[1].back(), StartsWith("DEL __crossfade:check:"));
  EXPECT_THAT(sent_[0].back(), StartsWith("DEL __crossfade:check:"));
  EXPECT_THAT(Of("new is reached").found, HasSubstr("stopped answering: no reply in time"));
}

TEST_F(PreflightTest, WhoAsksMeanwhileGetsTheSameReport) {
  int told = 0;
  preflight_.Run([&told](const Preflight::Report&) { ++told; });
  preflight_.Run([&told](const Preflight::Report&) { ++told; });
  Run(1000);
  EXPECT_EQ(told, 2);
  EXPECT_EQ(peers_[0].size(), 1u);
}

TEST_F(PreflightTest, MayBeGivenUpAtAnyMoment) {
  for (int turns = 0; turns < 30; ++turns) {
    bool told = false;
    {
      Preflight preflight(&io_, &config_);
      preflight.Run([&told](const Preflight::Report&) { told = true; });
      for (int i = 0; i < turns; ++i) Serve();
    }
    EXPECT_FALSE(told);
    EXPECT_EQ(io_.clock()->pending_timers(), 0u);
    for (auto& peers : peers_) peers.clear();
  }
}

// Whatever a store says, it ends.
TEST_F(PreflightTest, AnyAnswerIsBorneWith) {
  for (const char* answer :
       {"+OK\r\n", ":-1\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "-ERR no\r\n", "*2\r\n:1\r\n*1\r\n+x\r\n", "$0\r\n\r\n",
        "*1\r\n*2\r\n$4\r\nname\r\n*0\r\n", "nonsense"}) {
    for (int spoiled : {0, 1, 2}) {
      report_.reset();
      for (int side : {0, 1}) {
        answers_[side] = [answer, spoilt = spoiled == side || spoiled == 2](const std::string& command) {
          const bool needed = command == "PING" || command == "MULTI" || command == "DISCARD";
          return spoilt && !needed ? answer : Plain(command);
        };
      }
      Run(Preflight::kWholeMs + Preflight::kAnswerMs + 1000);
      EXPECT_FALSE(report_->findings.empty());
    }
  }
}

}  // namespace
}  // namespace crossfade
