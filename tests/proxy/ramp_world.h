// A ramp with a real Keeper on a real directory, which dies and starts again when the test says so. The figures of the
// stores are the test's own.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "proxy/disk.h"
#include "proxy/ramp.h"
#include "tests/proxy/lane_world.h"

namespace crossfade {

inline constexpr int64_t kEvery = 10'000;

class RampTest : public testing::Test {
 protected:
  RampTest() {
    char name[] = "/tmp/crossfade_ramp_test_XXXXXX";
    directory_ = mkdtemp(name);
    Restart();
    See(Side::kOld, "o");
    See(Side::kNew, "n");
    reading_.new_reachable = true;
    RoutingChange change;
    change.compare = 10;
    EXPECT_TRUE(keeper_->Change(change, 1).ok());
  }
  ~RampTest() override { std::filesystem::remove_all(directory_); }

  void See(Side side, const std::string& run_id) {
    ServerInfo info;
    info.product = "redis";
    info.run_id = run_id;
    keeper_->OnSeen(side, info, 1);
  }
  // The proxy dies, and starts again with the same directory.
  void Restart() {
    ramp_.reset();
    keeper_.reset();
    file_.reset();
    file_ = *StateFile::Open(&disk_, directory_);
    dirty_ = std::make_unique<DirtySet>(100);
    keeper_ = std::make_unique<Keeper>(&io_, config_, file_.get(), dirty_.get(), &counters_);
    ASSERT_TRUE(keeper_->Load({}).ok());
    const bool reachable = reading_.new_reachable;
    reading_ = RampReading();
    reading_.new_reachable = reachable;
    ramp_ = std::make_unique<Ramp>(Ramp::Parts{&io_, &disk_, directory_, &limits_, keeper_.get(),
                                               [this] { return reading_; }, [] { return uint64_t{1}; },
                                               [this] { return busy_; }});
    ramp_->Load();
  }
  absl::Status Start(std::vector<double> steps = {1, 25, 100}) {
    RampOptions options;
    options.steps = std::move(steps);
    options.every_ms = kEvery;
    return ramp_->Start(options);
  }
  // Traffic that is well, a hundred reads a second, for so long.
  void GoodFor(int64_t ms) {
    for (int64_t passed = 0; passed < ms; passed += 100) {
      reading_.compared += 10;
      reading_.answered += 10;
      for (int i = 0; i < 10; ++i) {
        reading_.old_reads.Record(1000);
        reading_.new_reads.Record(1200);
      }
      io_.clock()->Advance(100);
    }
  }
  void Advance(int64_t ms) { io_.clock()->Advance(ms); }
  void SetReads(double percent) {
    RoutingChange change;
    change.reads_new = percent;
    ASSERT_TRUE(keeper_->Change(change, 1).ok());
  }
  double reads() const { return keeper_->migration().routing.reads_new; }
  std::string state() const { return ramp_->record() ? Name(ramp_->record()->state) : "idle"; }
  const RampEntry& last() const { return ramp_->record()->entries.back(); }
  std::vector<std::string> Decisions() const {
    std::vector<std::string> names;
    for (const RampEntry& entry : ramp_->record()->entries) names.push_back(entry.decision);
    return names;
  }
  std::string SavedText(const std::string& file) const {
    std::ostringstream text;
    text << std::ifstream(directory_ + "/" + file).rdbuf();
    return text.str();
  }
  void BreakDisk(const std::string& file) { std::filesystem::create_directory(directory_ + "/" + file + ".new"); }
  void MendDisk(const std::string& file) { std::filesystem::remove(directory_ + "/" + file + ".new"); }

  FakeIo io_;
  Disk disk_;
  Config config_ = TestConfig();
  RampConfig limits_;
  std::string directory_, busy_;
  std::unique_ptr<StateFile> file_;
  std::unique_ptr<DirtySet> dirty_;
  Counters counters_;
  std::unique_ptr<Keeper> keeper_;
  RampReading reading_;
  std::unique_ptr<Ramp> ramp_;
};

}  // namespace crossfade
