#include "routing/key_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/routing/memory.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr size_t kSegmentBytes = 256 << 10;

class KeyLogTest : public testing::Test {
 protected:
  KeyLogTest() { Reopen(); }
  // The process dies, and another one opens the log.
  KeyLog::Found Reopen(std::string_view boot_id = "boot-1") {
    KeyLog::Found found;
    log_ = std::make_unique<KeyLog>(&memory_);
    status_ = log_->Open(boot_id, &found);
    return found;
  }
  KeyLog::Place Add(std::string_view name, int db = 0, uint8_t tag = 0) {
    const KeyLog::Key key{db, name};
    return log_->Append({&key, 1}, tag);
  }

  TestMemory memory_;
  std::unique_ptr<KeyLog> log_;
  absl::Status status_;
};

TEST_F(KeyLogTest, I8WhatWasNotErasedIsFoundAfterACrash) {
  Add("a");
  const KeyLog::Place b = Add("b", 3);
  Add("c", 15, 7);
  log_->Erase(b);
  const KeyLog::Found found = Reopen();
  EXPECT_FALSE(found.fresh);
  EXPECT_EQ(found.useless, "");
  EXPECT_THAT(Contents(log_.get()), ElementsAre("0:a", "15:c"));
  uint8_t last_tag = 0;
  log_->Visit([&](KeyLog::Place, uint8_t tag, std::span<const KeyLog::Key>) { last_tag = tag; });
  EXPECT_EQ(last_tag, 7);
}

TEST_F(KeyLogTest, KeysOfOneWriteAreKeptTogether) {
  const std::string binary("\0\r\n\xff", 4);
  const KeyLog::Key keys[] = {{0, "x"}, {1, ""}, {65535, binary}};
  const KeyLog::Place place = log_->Append(keys, 0);
  Reopen();
  EXPECT_THAT(Contents(log_.get()), ElementsAre("0:x 1: 65535:" + binary));
  log_->Erase(place);  // places are good over a crash
  EXPECT_THAT(Contents(log_.get()), IsEmpty());
}

TEST_F(KeyLogTest, AnEmptyLogIsFilledFromItsBeginningAgain) {
  for (int i = 0; i < 100'000; ++i) log_->Erase(Add("key:" + std::to_string(i)));
  EXPECT_LT(memory_.size(), 2 * kSegmentBytes);
  EXPECT_EQ(log_->live_bytes(), 0u);
}

TEST_F(KeyLogTest, ItGrowsAndUsesItsSegmentsAgain) {
  std::vector<KeyLog::Place> places;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20'000; ++i) places.push_back(Add("a key of some length:" + std::to_string(i)));
    for (KeyLog::Place place : places) log_->Erase(place);
    places.clear();
  }
  EXPECT_LT(memory_.size(), 6 * kSegmentBytes);
  EXPECT_EQ(log_->unlogged(), 0u);
}

TEST_F(KeyLogTest, I2WithoutRoomKeysAreCounted) {
  memory_.limit = memory_.size();  // the disk is full
  std::vector<KeyLog::Place> places;
  for (int i = 0; i < 20'000; ++i) places.push_back(Add("a key of some length:" + std::to_string(i)));
  EXPECT_GT(log_->unlogged(), 0u);
  EXPECT_EQ(log_->trouble(), "no space left");
  EXPECT_THAT(Reopen().useless, HasSubstr("name no keys"));
  EXPECT_TRUE(log_->everything());
  EXPECT_THAT(Contents(log_.get()), IsEmpty());
}

TEST_F(KeyLogTest, WhenTheCountedAreOverTheRestCountsAgain) {
  memory_.limit = memory_.size();
  std::vector<KeyLog::Place> places;
  for (int i = 0; i < 20'000; ++i) places.push_back(Add("a key of some length:" + std::to_string(i)));
  for (KeyLog::Place place : places) log_->Erase(place);
  EXPECT_EQ(log_->unlogged(), 0u);
  Add("later");
  EXPECT_EQ(Reopen().useless, "");
  EXPECT_THAT(Contents(log_.get()), ElementsAre("0:later"));
}

TEST_F(KeyLogTest, RoomThatIsThereAgainIsTakenAfterRetry) {
  memory_.limit = memory_.size();
  const std::string name(1000, 'k');
  while (log_->unlogged() == 0) Add(name);
  memory_.limit = TestMemory::kMax;
  Add(name);
  EXPECT_EQ(log_->unlogged(), 2u);
  log_->Retry();
  Add(name);
  EXPECT_EQ(log_->unlogged(), 2u);
  EXPECT_EQ(log_->trouble(), "");
}

TEST_F(KeyLogTest, AVeryLongKeyIsCounted) {
  const KeyLog::Place place = Add(std::string(100'000, 'k'));
  EXPECT_EQ(log_->unlogged(), 1u);
  EXPECT_NE(Reopen().useless, "");
  const KeyLog::Place unknown = log_->AppendUnknown();
  EXPECT_EQ(log_->unlogged(), 1u);
  log_->Erase(unknown);
  EXPECT_EQ(log_->unlogged(), 0u);
  EXPECT_EQ(place, unknown);
}

TEST_F(KeyLogTest, EverythingIsKeptUntilTakenBack) {
  log_->SetEverything(true);
  Reopen();
  EXPECT_TRUE(log_->everything());
  log_->SetEverything(false);
  Reopen();
  EXPECT_FALSE(log_->everything());
}

// --- What can't be relied on -----------------------------------------------------------------------------------------

TEST_F(KeyLogTest, I8AStartOfTheMachineMakesItUseless) {
  Add("a");
  EXPECT_THAT(Reopen("boot-2").useless, HasSubstr("started anew"));
  EXPECT_TRUE(log_->everything());
  EXPECT_EQ(Reopen("boot-2").useless, "") << "said once";
  EXPECT_TRUE(log_->everything()) << "and kept";
}

TEST_F(KeyLogTest, AfterAnOrderlyEndTheMachineMayStartAnew) {
  Add("dirty");
  ASSERT_TRUE(log_->Close().ok());
  EXPECT_EQ(memory_.syncs, 2);
  EXPECT_EQ(Reopen("boot-2").useless, "");
  EXPECT_THAT(Contents(log_.get()), ElementsAre("0:dirty"));
  EXPECT_NE(Reopen("boot-3").useless, "") << "it was opened since, and not closed";
}

// Found by the simulator: the log of the orderly end was still on the disk, and nothing of what came after it.
TEST_F(KeyLogTest, I8ACrashOfTheMachineDoesNotLeaveTheLogOfAnEarlierOrderlyEnd) {
  Add("dirty");
  ASSERT_TRUE(log_->Close().ok());
  ASSERT_EQ(Reopen("boot-1").useless, "");
  Add("written since");
  memory_.LoseUnsynced();
  EXPECT_THAT(Reopen("boot-2").useless, HasSubstr("started anew"));
}

TEST_F(KeyLogTest, WhatIsAppendedAfterTheEndEndsIt) {
  ASSERT_TRUE(log_->Close().ok());
  Add("late");
  EXPECT_NE(Reopen("boot-2").useless, "");
}

TEST_F(KeyLogTest, AnotherVersionIsUseless) {
  memory_.data()[8] ^= 2;
  EXPECT_THAT(Reopen().useless, HasSubstr("another version"));
}

TEST_F(KeyLogTest, AnotherFileIsUseless) {
  memcpy(memory_.data(), "nonsense", 8);
  EXPECT_THAT(Reopen().useless, HasSubstr("no key log"));
}

TEST_F(KeyLogTest, ATruncatedFileIsUseless) {
  for (size_t size : {size_t{1}, size_t{4000}, size_t{4096 + 5}, 4096 + kSegmentBytes - 1}) {
    Add("a");
    memory_.Cut(size);
    EXPECT_THAT(Reopen().useless, HasSubstr("cut off")) << size;
    EXPECT_TRUE(status_.ok());
    EXPECT_TRUE(log_->everything());
    EXPECT_THAT(Contents(log_.get()), IsEmpty());
  }
}

TEST_F(KeyLogTest, AnyDamageToARecordIsSeen) {
  Add("the only key");
  const size_t begin = 4096, end = 4096 + 8 + 40;
  int harmless = 0;
  for (size_t at = begin; at < end; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      const std::string before(memory_.data(), memory_.size());
      memory_.data()[at] = static_cast<char>(memory_.data()[at] ^ 1 << bit);
      const KeyLog::Found found = Reopen();
      // A record that looks erased, a segment that looks unused, and four bytes that nobody reads.
      if (found.useless.empty()) ++harmless;
      memcpy(memory_.data(), before.data(), before.size());
    }
  }
  EXPECT_LE(harmless, 1 + 32) << "one bit says that the record is alive; 32 are not used";
  Reopen();
  EXPECT_THAT(Contents(log_.get()), ElementsAre("0:the only key"));
}

TEST_F(KeyLogTest, WithoutRoomForAnEmptyLogItIsNotOpened) {
  TestMemory none;
  none.limit = 100;
  KeyLog log(&none);
  KeyLog::Found found;
  EXPECT_FALSE(log.Open("boot-1", &found).ok());
}

// --- Tidying up ------------------------------------------------------------------------------------------------------

TEST_F(KeyLogTest, AFewKeysDontHoldTheWholeFile) {
  std::map<KeyLog::Place, std::string> kept;
  for (int i = 0; i < 200'000; ++i) {
    const std::string name = "a key of some length:" + std::to_string(i);
    const KeyLog::Place place = Add(name);
    if (i % 2000 == 0) {
      kept[place] = name;
    } else {
      log_->Erase(place);
    }
    while (log_->sparse()) {
      log_->VisitSparse([&](KeyLog::Place from, uint8_t tag, std::span<const KeyLog::Key> keys) {
        kept[log_->Append(keys, tag)] = kept[from];
        kept.erase(from);
        log_->Erase(from);
      });
    }
  }
  EXPECT_LT(memory_.size(), 8 * kSegmentBytes);
  Reopen();
  std::vector<std::string> wanted;
  for (const auto& [place, name] : kept) wanted.push_back("0:" + name);
  EXPECT_THAT(Contents(log_.get()), testing::UnorderedElementsAreArray(wanted));
  EXPECT_EQ(kept.size(), 100u);
}

// Against a model, with crashes at any time.
TEST_F(KeyLogTest, AnythingInAnyOrder) {
  std::mt19937 random(7);
  std::map<KeyLog::Place, std::string> model;
  for (int step = 0; step < 60'000; ++step) {
    const uint32_t dice = random() % 100;
    if (dice < 55) {
      const std::string name(random() % 300, static_cast<char>('a' + random() % 26));
      model[Add(name, static_cast<int>(random() % 16))] = name;
    } else if (dice < 99 && !model.empty()) {
      const auto chosen = std::next(model.begin(), static_cast<long>(random() % std::min<size_t>(model.size(), 50)));
      log_->Erase(chosen->first);
      model.erase(chosen);
    } else if (random() % 20 == 0) {
      ASSERT_EQ(Reopen().useless, "");
      size_t found = 0;
      log_->Visit([&](KeyLog::Place place, uint8_t, std::span<const KeyLog::Key> keys) {
        ASSERT_TRUE(model.contains(place));
        EXPECT_EQ(keys[0].name, model[place]);
        ++found;
      });
      ASSERT_EQ(found, model.size());
    } else if (random() % 50 == 0) {
      log_->Clear();
      model.clear();
    }
  }
}

}  // namespace
}  // namespace crossfade
