#include "proxy/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "proxy/disk.h"

namespace crossfade {
namespace {

using testing::HasSubstr;

constexpr size_t kMaxBytes = 4 << 20;

// The real files.
class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    char name[] = "/tmp/crossfade_journal_test_XXXXXX";
    directory_ = mkdtemp(name);
    Restart();
  }
  ~JournalTest() override { std::filesystem::remove_all(directory_); }

  // The process dies without a word, and another begins.
  Journal::Left Restart() {
    dirty_ = std::make_unique<DirtySet>(100);
    journal_.reset();
    auto opened = Journal::Open(&disk_, directory_, kMaxBytes);
    EXPECT_TRUE(opened.ok()) << opened.status();
    journal_ = std::move(*opened);
    return journal_->Recover(dirty_.get());
  }
  KeyLog::Place Begin(std::string_view name) {
    const KeyLog::Key key{0, name};
    return journal_->in_flight()->Append({&key, 1}, 0);
  }
  void Truncate(const char* file, size_t size) { std::filesystem::resize_file(directory_ + "/" + file, size); }

  Disk disk_;
  std::string directory_;
  std::unique_ptr<DirtySet> dirty_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, I8WritesInFlightAreDirtyAfterACrash) {
  Begin("a");
  journal_->in_flight()->Erase(Begin("b"));
  Begin("c");
  const Journal::Left left = Restart();
  EXPECT_FALSE(left.fresh);
  EXPECT_EQ(left.useless, "");
  EXPECT_EQ(left.in_flight, 2u);
  EXPECT_EQ(dirty_->size(), 2u);
  EXPECT_TRUE(dirty_->Remembers(0, "a") && dirty_->Remembers(0, "c"));
  EXPECT_EQ(dirty_->marked(DirtyCause::kUnknownOutcome), 2u);
  EXPECT_EQ(Restart().in_flight, 0u);
  EXPECT_EQ(dirty_->size(), 2u) << "dirty until repaired, over any number of crashes";
}

TEST_F(JournalTest, I2DirtyKeysAreDirtyUntilRepaired) {
  dirty_->Mark(3, "a", DirtyCause::kRefused, 5);
  dirty_->Mark(0, "b", DirtyCause::kQueueFull, 6);
  EXPECT_TRUE(dirty_->CopyDone({0, "b"}, 7));
  EXPECT_EQ(Restart().dirty, 1u);
  EXPECT_TRUE(dirty_->Remembers(3, "a"));
  EXPECT_EQ(dirty_->marked(DirtyCause::kRefused), 1u) << "with its cause";
  DirtySet::Key key;
  ASSERT_TRUE(dirty_->TakeForRepair(0, &key));
  EXPECT_TRUE(dirty_->CopyDone(key, 1));
  Restart();
  EXPECT_TRUE(dirty_->clean());
}

TEST_F(JournalTest, EverythingDirtyIsKeptUntilASweep) {
  for (int i = 0; i < 200; ++i) dirty_->Mark(0, "k" + std::to_string(i), DirtyCause::kQueueFull, 5);
  EXPECT_TRUE(dirty_->everything());
  Restart();
  EXPECT_TRUE(dirty_->everything());
  EXPECT_TRUE(dirty_->SweepDone(9));
  Restart();
  EXPECT_FALSE(dirty_->everything());
}

TEST_F(JournalTest, ATruncatedJournalMakesEverythingDirty) {
  for (const char* file : {"journal", "dirty"}) {
    Begin("a");
    Truncate(file, 1000);
    EXPECT_THAT(Restart().useless, HasSubstr("cut off")) << file;
    EXPECT_TRUE(dirty_->everything()) << file;
    EXPECT_EQ(Restart().useless, "");
    EXPECT_TRUE(dirty_->everything()) << "still";
    EXPECT_TRUE(dirty_->SweepDone(9));
  }
}

TEST_F(JournalTest, AMissingJournalIsSaidToBeFresh) {
  std::filesystem::remove(directory_ + "/journal");
  EXPECT_TRUE(Restart().fresh);
}

TEST_F(JournalTest, TheTooManyOfALoweredLimitAreEverything) {
  for (int i = 0; i < 50; ++i) dirty_->Mark(0, "k" + std::to_string(i), DirtyCause::kQueueFull, 5);
  journal_.reset();
  DirtySet few(10);
  journal_ = *Journal::Open(&disk_, directory_, kMaxBytes);
  journal_->Recover(&few);
  EXPECT_TRUE(few.everything());
}

TEST_F(JournalTest, BeyondTheLimitKeysAreCounted) {
  for (int i = 0; i < 300; ++i) Begin(std::string(30'000, 'k'));
  EXPECT_GT(journal_->in_flight()->unlogged(), 0u);
  EXPECT_THAT(journal_->in_flight()->trouble(), HasSubstr("may not be longer"));
  EXPECT_THAT(Restart().useless, HasSubstr("name no keys"));
  EXPECT_TRUE(dirty_->everything());
}

TEST_F(JournalTest, ADirtySetThatCameAndWentLeavesNoLargeFile) {
  DirtySet many(1'000'000);
  many.set_log(nullptr);
  journal_.reset();
  journal_ = *Journal::Open(&disk_, directory_, 64 << 20);
  journal_->Recover(&many);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 20'000; ++i)
      many.Mark(0, "round:" + std::to_string(round) + ":" + std::to_string(i), DirtyCause::kQueueFull, 1);
    for (int i = 0; i < 20'000; ++i) {
      if (i % 1000 != 0) many.CopyDone({0, "round:" + std::to_string(round) + ":" + std::to_string(i)}, 2);
    }
  }
  EXPECT_EQ(many.size(), 400u);
  EXPECT_LT(journal_->dirty().size_bytes(), 8u << 20);
  DirtySet after(1000);
  journal_.reset();
  journal_ = *Journal::Open(&disk_, directory_, 64 << 20);
  EXPECT_EQ(journal_->Recover(&after).dirty, 400u);
  EXPECT_TRUE(after.Remembers(0, "round:7:3000"));
}

TEST_F(JournalTest, OneProcessHoldsTheDirectory) {
  auto held = disk_.Hold(directory_);
  ASSERT_TRUE(held.ok());
  Disk other;
  EXPECT_THAT(std::string(other.Hold(directory_).status().message()), HasSubstr("another crossfade"));
  held->reset();
  EXPECT_TRUE(other.Hold(directory_).ok());
}

}  // namespace
}  // namespace crossfade
