#include "proxy/state_file.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/fuzz/memory_storage.h"

namespace crossfade {
namespace {

constexpr char kStatePath[] = "d/state.json";

class StateFileTest : public testing::Test {
 protected:
  StateFileTest() : file_(*StateFile::Open(&storage_, "d")) {
    EXPECT_TRUE(file_->Save({}).ok());
    saved_ = storage_.files[kStatePath];
  }

  // What is read when `from` stands as `to` in a file that was saved.
  absl::Status LoadWith(const std::string& from, const std::string& to) {
    std::string text = saved_;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from << " is not in " << text;
    storage_.files[kStatePath] = text.replace(at, from.size(), to);
    return file_->Load().status();
  }

  MemoryStorage storage_;
  std::unique_ptr<StateFile> file_;
  std::string saved_;
};

TEST_F(StateFileTest, WhatWasSavedIsRead) {
  const auto state = file_->Load();
  ASSERT_TRUE(state.ok() && state->has_value());
  EXPECT_EQ((*state)->migration.epoch, 1u);
  EXPECT_TRUE(LoadWith("\"epoch\": 1", "\"epoch\": 7").ok());
}

TEST_F(StateFileTest, APartOfAnotherTypeIsRefused) {
  const std::string from = "\"identities\": {";
  EXPECT_EQ(LoadWith(from, "\"identities\": [], \"x\": {").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(LoadWith(from, "\"identities\": 5, \"x\": {").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(LoadWith("\"flips\": []", "\"flips\": 5").code(), absl::StatusCode::kDataLoss);
}

TEST_F(StateFileTest, ANumberThatCannotBeIsRefused) {
  for (const char* epoch : {"1e300", "-1", "1.5", "18446744073709551616"}) {
    EXPECT_EQ(LoadWith("\"epoch\": 1", std::string("\"epoch\": ") + epoch).code(), absl::StatusCode::kDataLoss)
        << epoch;
  }
  EXPECT_EQ(LoadWith("\"reads_new\": 0.0", "\"reads_new\": 100.5").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(LoadWith("\"compare\": 0.0", "\"compare\": -1").code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace crossfade
