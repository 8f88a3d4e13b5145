#include "proxy/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"
#include "proxy/ledger_json.h"
#include "tests/fuzz/memory_storage.h"
#include "tests/proxy/fake_io.h"

namespace crossfade {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kPath[] = "/state/ledger.json";

// What a proxy would show, and a Ledger over it that can be killed and started anew.
class LedgerTest : public testing::Test {
 protected:
  LedgerTest() { Start(false); }

  void Start(bool awaited = true, const std::string& instance = "cafe") {
    ledger_ = std::make_unique<Ledger>(&io_, &storage_, "/state", [this] { return Look(); });
    ledger_->Load(instance, awaited);
  }
  // A new process counts from nothing.
  void Forget() {
    counters_ = {};
    coverage_ = {};
    mismatches_.clear();
    for (auto& of_side : latency_) {
      for (LatencyHistogram& histogram : of_side) histogram = {};
    }
  }
  void Kill() {
    ledger_.reset();
    Forget();
    Start();
  }
  LedgerLook Look() {
    LedgerLook look;
    look.counters = &counters_;
    look.coverage = &coverage_;
    look.verify = &verify_;
    look.mismatches = &mismatches_;
    look.synced = synced_;
    look.unsynced_why = "why not";
    look.following = following_;
    look.everything_dirty = everything_;
    look.config_hash = "hash";
    for (int side : {0, 1}) {
      look.up[side] = up_[side];
      for (size_t what = 0; what < 2; ++what) look.latency[side][what] = &latency_[side][what];
    }
    return look;
  }
  // So long, with a look every 100 ms.
  void Pass(int64_t ms) {
    for (; ms > 0; ms -= 100) {
      io_.clock()->Advance(std::min<int64_t>(ms, 100));
      ledger_->Tick();
    }
  }
  void SawMismatch(const std::string& key) {
    ++counters_.reads_mismatched;
    Mismatch one;
    one.at_ms = io_.clock()->WallMs();
    one.command = "get";
    one.key = key;
    one.primary_digest = 1;
    one.secondary_digest = 2;
    mismatches_.push_back(one);
  }
  const std::string& file() { return storage_.files[kPath]; }

  FakeIo io_;
  MemoryStorage storage_;
  Counters counters_;
  Coverage coverage_;
  LatencyHistogram latency_[2][2];
  VerifyResult verify_;
  std::deque<Mismatch> mismatches_;
  Synced synced_ = Synced::kNo;
  bool following_ = true, everything_ = false, up_[2] = {true, true};
  std::unique_ptr<Ledger> ledger_;
};

TEST(LedgerFigures, EveryCounterIsKept) {
  EXPECT_EQ(CounterFields().size() * sizeof(uint64_t), sizeof(Counters)) << "a counter is missing in CounterFields";
  Counters counters;
  std::set<uint64_t*> seen;
  for (const CounterField& field : CounterFields()) EXPECT_TRUE(seen.insert(&field.of(counters)).second) << field.name;
}

TEST_F(LedgerTest, FiguresAddUpOverRestarts) {
  synced_ = Synced::kYes;
  Pass(100);
  counters_.reads_compared = 100;
  counters_.reads[1] = 7;
  coverage_.Count({.compared = 1}, "get", "user:1", false);
  latency_[0][0].Record(100);
  latency_[1][1].Record(5000);
  Pass(Ledger::kSaveMs);
  Kill();
  counters_.reads_compared = 20;
  coverage_.Count({.compared = 1}, "get", "user:2", false);
  coverage_.Count({.reads = 1}, "set", "x", false);
  latency_[0][0].Record(100);
  Pass(100);
  const LedgerFigures& figures = ledger_->Take();
  EXPECT_EQ(figures.all.reads_compared, 120u);
  EXPECT_EQ(figures.agreed.reads_compared, 120u);
  EXPECT_EQ(figures.all.reads[1], 7u);
  EXPECT_EQ(figures.commands.at("get").compared, 2u);
  EXPECT_EQ(figures.prefixes.at("user:").compared, 2u);
  EXPECT_EQ(figures.agreed_commands.at("get").compared, 2u);
  EXPECT_EQ(figures.latency_of(Side::kOld, LatencyClass::kRead).count(), 2u);
  EXPECT_EQ(figures.latency_of(Side::kOld, LatencyClass::kRead).sum_us(), 200);
  EXPECT_EQ(figures.latency_of(Side::kNew, LatencyClass::kWrite).count(), 1u);
  EXPECT_EQ(figures.runs.items.size(), 2u);
  // Asked twice, nothing is counted twice.
  EXPECT_EQ(ledger_->Take().all.reads_compared, 120u);
  EXPECT_EQ(ledger_->Take().commands.at("get").compared, 2u);
}

TEST_F(LedgerTest, WhatWasCountedBeforeTheStoresAgreedIsKeptApart) {
  counters_.writes_diverged = 5;
  coverage_.Count({.compared = 1}, "get", "a", false);
  Pass(100);
  ledger_->Tick();  // as right before the proxy says that they are synced
  synced_ = Synced::kYes;
  ledger_->Tick();
  counters_.writes_diverged = 6;
  coverage_.Count({.compared = 1}, "get", "a", false);
  Pass(100);
  const LedgerFigures& figures = ledger_->Take();
  EXPECT_EQ(figures.all.writes_diverged, 6u);
  EXPECT_EQ(figures.agreed.writes_diverged, 1u);
  EXPECT_EQ(figures.commands.at("get").compared, 2u);
  EXPECT_EQ(figures.agreed_commands.at("get").compared, 1u);
  EXPECT_EQ(figures.doubted_ms, 0);
}

// What ended the agreement happened while it lasted, although it is seen afterwards only.
TEST_F(LedgerTest, WhatEndedTheAgreementCounts) {
  synced_ = Synced::kYes;
  Pass(100);
  counters_.writes_diverged = 3;
  synced_ = Synced::kNo;
  Pass(100);
  counters_.writes_diverged = 10;
  Pass(100);
  const LedgerFigures& figures = ledger_->Take();
  EXPECT_EQ(figures.agreed.writes_diverged, 3u);
  EXPECT_EQ(figures.all.writes_diverged, 10u);
  EXPECT_EQ(figures.doubted_ms, io_.clock()->WallMs() - 100);
}

// A backfill of stores that agree makes no excuse for what differs meanwhile.
TEST_F(LedgerTest, CopyingOnceMoreIsNoDoubt) {
  synced_ = Synced::kYes;
  Pass(100);
  synced_ = Synced::kCopying;
  Pass(100);
  counters_.writes_diverged = 1;
  Pass(100);
  EXPECT_EQ(ledger_->Take().agreed.writes_diverged, 1u);
  EXPECT_EQ(ledger_->Take().doubted_ms, 0);
}

TEST_F(LedgerTest, ObservedIsWhenAllIsAsItMustBe) {
  Pass(1000);
  synced_ = Synced::kYes;
  ledger_->Tick();
  Pass(2000);
  up_[1] = false;
  Pass(100);  // as far as anybody knew it was up
  Pass(5000);
  up_[1] = true;
  following_ = false;
  Pass(3000);
  following_ = true;
  ledger_->Tick();
  Pass(1000);
  EXPECT_EQ(ledger_->Take().observed_ms, 2000 + 100 + 1000);
  EXPECT_EQ(ledger_->Take().running_ms, 1000 + 2000 + 5100 + 3000 + 1000);
  io_.clock()->Advance(3'600'000);  // the proxy was stopped
  EXPECT_EQ(ledger_->Take().observed_ms, 2000 + 100 + 1000 + 1000);
}

TEST_F(LedgerTest, ACrashIsCountedAndItsGapTold) {
  Pass(Ledger::kSaveMs);
  const int64_t saved_ms = ledger_->Take().saved_ms;
  counters_.reads_compared = 9;
  Pass(1000);
  io_.clock()->Advance(60'000);
  Kill();
  const LedgerFigures& figures = ledger_->Take();
  EXPECT_EQ(figures.crashes, 1u);
  ASSERT_EQ(figures.gaps.items.size(), 1u);
  EXPECT_EQ(figures.gaps.items[0].from_ms, saved_ms);
  EXPECT_EQ(figures.gaps.items[0].to_ms, io_.clock()->WallMs());
  EXPECT_FALSE(figures.gaps.items[0].in_order);
  EXPECT_EQ(figures.gaps_ms, 61'000u);
  EXPECT_EQ(figures.all.reads_compared, 0u);  // that is what was lost
}

TEST_F(LedgerTest, AnOrderlyEndLosesNothing) {
  counters_.reads_compared = 9;
  Pass(300);
  ledger_->Close();
  counters_.reads_compared = 10;  // nobody counts any more
  ledger_->Tick();
  io_.clock()->Advance(10'000);
  Kill();
  const LedgerFigures& figures = ledger_->Take();
  EXPECT_EQ(figures.all.reads_compared, 9u);
  EXPECT_EQ(figures.crashes, 0u);
  EXPECT_EQ(figures.gaps_ms, 10'000u);
  EXPECT_TRUE(figures.gaps.items[0].in_order);
  EXPECT_TRUE(figures.runs.items[0].in_order);
  EXPECT_FALSE(figures.runs.items[1].in_order);
}

// A mismatch must not be lost with the proxy that found it.
TEST_F(LedgerTest, WhatDiffersIsSavedSoon) {
  synced_ = Synced::kYes;
  Pass(Ledger::kSaveMs + 100);
  SawMismatch("evil\n<key>\xff");
  Pass(Ledger::kUrgentMs + 100);
  Kill();
  const LedgerFigures& figures = ledger_->Take();
  EXPECT_EQ(figures.agreed.reads_mismatched, 1u);
  ASSERT_EQ(figures.mismatches.items.size(), 1u);
  EXPECT_EQ(figures.mismatches.items[0].key, "evil\\x0a<key>\\xff");
  EXPECT_EQ(figures.mismatches.items[0].old_digest, "0000000000000001");
}

TEST_F(LedgerTest, ATornFileIsPutAsideAndTold) {
  counters_.reads_compared = 9;
  Pass(Ledger::kSaveMs);
  const std::string whole = file();
  for (const std::string& torn : {whole.substr(0, whole.size() / 2), std::string(), std::string("[]"),
                                  std::string("{\"format\": 2, \"instance\": \"cafe\"}"),
                                  [&] {
                                    nlohmann::json json = nlohmann::json::parse(whole);
                                    json["format"] = 1;
                                    return json.dump();
                                  }(),
                                  [&] {
                                    nlohmann::json json = nlohmann::json::parse(whole);
                                    json["counters"]["agreed"]["reads_mismatched"] = "none";
                                    return json.dump();
                                  }()}) {
    storage_.files[kPath] = torn;
    Kill();
    const LedgerFigures& figures = ledger_->Take();
    EXPECT_EQ(figures.lost_ledgers, 1u) << torn.substr(0, 50);
    EXPECT_EQ(figures.all.reads_compared, 0u);
    EXPECT_EQ(figures.began_ms, io_.clock()->WallMs());
    EXPECT_EQ(storage_.files[std::string(kPath) + ".unread"], torn);
    // And it goes on from there, still saying so.
    ledger_->Close();
    Kill();
    EXPECT_EQ(ledger_->Take().lost_ledgers, 1u);
    EXPECT_EQ(ledger_->Take().crashes, 0u);
  }
}

TEST_F(LedgerTest, AMissingFileIsALossIfThereWasARun) {
  storage_.files.clear();
  Kill();
  EXPECT_EQ(ledger_->Take().lost_ledgers, 1u);
}

TEST_F(LedgerTest, FiguresOfOtherStoresAreNotThese) {
  counters_.reads_compared = 9;
  Pass(Ledger::kSaveMs);
  ledger_.reset();
  Forget();
  Start(false, "beef");
  EXPECT_EQ(ledger_->Take().all.reads_compared, 0u);
  EXPECT_EQ(ledger_->Take().lost_ledgers, 0u);
}

TEST_F(LedgerTest, SpellsBeginAndEnd) {
  synced_ = Synced::kYes;
  Pass(100);
  up_[0] = false;
  Pass(300);
  up_[0] = true;
  everything_ = true;
  Pass(200);
  const LedgerFigures figures = ledger_->Take();
  ASSERT_EQ(figures.spells.items.size(), 2u);
  EXPECT_EQ(figures.spells.items[0].what, "old out of reach");
  EXPECT_EQ(figures.spells.items[0].to_ms - figures.spells.items[0].from_ms, 300);
  EXPECT_EQ(figures.spells.items[1].what, "everything dirty");
  EXPECT_EQ(figures.spells.items[1].to_ms, 0);
  Pass(Ledger::kSaveMs);
  const int64_t saved_ms = ledger_->Take().saved_ms;
  Kill();
  EXPECT_EQ(ledger_->Take().spells.items[1].to_ms, saved_ms);  // nobody knows of later
}

TEST_F(LedgerTest, VerificationsAreKeptOnce) {
  verify_.state = VerifyState::kRunning;
  verify_.started_ms = 5;
  Pass(200);
  EXPECT_TRUE(ledger_->Take().verifications.items.empty());
  verify_.state = VerifyState::kDone;
  verify_.ended_ms = 9;
  verify_.keys_checked = verify_.equal = 42;
  Pass(1000);
  Kill();
  Pass(1000);
  const LedgerFigures& figures = ledger_->Take();
  ASSERT_EQ(figures.verifications.items.size(), 1u);
  EXPECT_EQ(figures.verifications.items[0].checked, 42u);
  EXPECT_TRUE(figures.verifications.items[0].full);
}

TEST_F(LedgerTest, TheLastCheckIsKeptAndItsWorstFindings) {
  std::vector<Finding> findings(LedgerFigures::kMostFindings, {"fine", CheckStatus::kPass, std::string(5000, 'x'), ""});
  findings.push_back({"bad", CheckStatus::kFail, "found", "do"});
  ledger_->NotePreflight(findings);
  Pass(Ledger::kUrgentMs);
  Kill();
  const auto& preflight = ledger_->Take().preflight;
  ASSERT_TRUE(preflight.has_value());
  EXPECT_EQ(preflight->findings.size(), LedgerFigures::kMostFindings);
  EXPECT_EQ(preflight->findings[0].name, "bad");
  EXPECT_EQ(preflight->findings[0].status, CheckStatus::kFail);
  EXPECT_LE(preflight->findings[1].found.size(), LedgerFigures::kMostTextBytes);
}

TEST_F(LedgerTest, TheFileIsBounded) {
  synced_ = Synced::kYes;
  constexpr int kLives = 70;
  for (int life = 1; life <= kLives; ++life) {
    for (int i = 0; i < 10; ++i) {
      const std::string name = "command" + std::to_string(10 * life + i) + std::string(40, '\xff');
      coverage_.Count({.reads = 1}, name, name + ":", false);
      SawMismatch(std::string(1000, '\x01'));
    }
    for (const int64_t ms : {int64_t{100}, Ledger::kUrgentMs}) {  // two spells
      up_[0] = false;
      Pass(100);
      up_[0] = true;
      Pass(ms);
    }
    if (life < kLives) Kill();
  }
  ledger_->Close();
  const LedgerFigures& figures = ledger_->Take();
  EXPECT_LT(file().size(), 1u << 20);
  EXPECT_LE(figures.commands.size(), LedgerFigures::kMostTallies + 1);
  EXPECT_GT(figures.commands.at("(other)").reads, 0u);
  EXPECT_EQ(figures.spells.items.size(), 100u);
  EXPECT_GT(figures.spells.forgotten, 0u);
  EXPECT_EQ(figures.gaps.items.size(), 69u);
  EXPECT_EQ(figures.mismatches.items.size(), 100u);
  EXPECT_EQ(figures.runs.all(), 70u);
}

TEST_F(LedgerTest, AFullDiskHarmsNothing) {
  storage_.full = true;
  counters_.reads_compared = 9;
  Pass(3 * Ledger::kSaveMs);
  EXPECT_EQ(ledger_->Take().all.reads_compared, 9u);
  storage_.full = false;
  Pass(Ledger::kSaveMs);
  Kill();
  EXPECT_EQ(ledger_->Take().all.reads_compared, 9u);
}

TEST_F(LedgerTest, WhatIsReadIsWhatWasWritten) {
  synced_ = Synced::kYes;
  for (const CounterField& field : CounterFields()) field.of(counters_) = 3 + (&field - CounterFields().data());
  for (int us = 1; us < 2'000'000'000; us = us * 2 + 1) {
    latency_[0][0].Record(us);
    latency_[1][1].Record(us);
  }
  Pass(Ledger::kSaveMs + 100);
  const auto read = ReadLedgerText(file());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(LedgerText(*read), file());
}

// Figures with which nothing could be computed any more are cut.
TEST_F(LedgerTest, FiguresThatMakeNoSenseAreCut) {
  Pass(Ledger::kSaveMs);
  nlohmann::json json = nlohmann::json::parse(file());
  json["counters"]["all"]["reads_compared"] = UINT64_MAX;
  json["running_ms"] = -5;
  json["gaps"] = {{"forgotten", UINT64_MAX}, {"items", {{{"from_ms", 10}, {"to_ms", 5}}, 7, nullptr}}};
  json["latency"]["old"]["reads"]["buckets"] = {{99, UINT64_MAX}, {99, UINT64_MAX}, {-1, 5}, "x"};
  json["commands"]["get"] = {1, 2, 3};
  const auto read = ReadLedgerText(json.dump());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->all.reads_compared, LedgerFigures::kMostFigure);
  EXPECT_EQ(read->running_ms, 0);
  ASSERT_EQ(read->gaps.items.size(), 1u);
  EXPECT_EQ(read->gaps.items[0].to_ms, 10);
  EXPECT_LE(read->latency[0][0].count(), LedgerFigures::kMostFigure);
  EXPECT_FALSE(read->commands.contains("get"));
}

}  // namespace
}  // namespace crossfade
