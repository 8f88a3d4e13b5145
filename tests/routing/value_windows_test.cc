#include "routing/value_windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <deque>
#include <set>
#include <vector>

#include "protocol/reply.h"
#include "tests/routing/agree.h"

namespace crossfade {
namespace {

using Replies = std::vector<std::string>;

std::string Number(int64_t number) {
  return ":" + std::to_string(number) + "\r\n";
}

std::string Items(const std::vector<std::string>& items) {
  std::string out = "*" + std::to_string(items.size()) + "\r\n";
  for (const std::string& item : items) out += item;
  return out;
}

std::string Texts(const std::vector<std::string>& texts) {
  std::vector<std::string> items;
  for (const std::string& text : texts) items.push_back(Bulk(text));
  return Items(items);
}

// The arguments of the question's commands, each joined by spaces.
std::vector<std::string> Commands(const WindowQuestion& question) {
  std::vector<std::string> commands;
  std::string_view left = question.commands.bytes;
  while (!left.empty()) {
    const size_t end = left.find("\r\n*", 1);
    const std::string_view one = end == std::string_view::npos ? left : left.substr(0, end + 2);
    std::string words;
    for (const Reply& arg : ParseReply(one).items) words += (words.empty() ? "" : " ") + std::string(arg.text);
    commands.push_back(words);
    left.remove_prefix(one.size());
  }
  return commands;
}

WindowVerdict TakeBoth(ValueWindows* windows, const Replies& replies) {
  return windows->Take(replies, replies, {});
}

TEST(StringWindows, GoThroughAllBytes) {
  const auto windows = MakeValueWindows(ValueType::kString, "k", {10, 8}, false);
  EXPECT_THAT(Commands(windows->Next()), testing::ElementsAre("STRLEN k", "GETRANGE k 0 9"));
  EXPECT_EQ(TakeBoth(windows.get(), {Number(15), Bulk("0123456789")}), WindowVerdict::kGoOn);
  EXPECT_FALSE(windows->done());
  EXPECT_THAT(Commands(windows->Next()), testing::ElementsAre("STRLEN k", "GETRANGE k 10 19"));
  EXPECT_EQ(TakeBoth(windows.get(), {Number(15), Bulk("01234")}), WindowVerdict::kGoOn);
  EXPECT_TRUE(windows->done());
}

TEST(StringWindows, ADifferentByteOrLengthIsADifference) {
  const auto windows = MakeValueWindows(ValueType::kString, "k", {10, 8}, false);
  const Replies one = {Number(3), Bulk("abc")}, other = {Number(3), Bulk("abd")}, longer = {Number(9), Bulk("abc")};
  EXPECT_EQ(windows->Take(one, other, {}), WindowVerdict::kDiffers);
  EXPECT_EQ(windows->Take(one, longer, {}), WindowVerdict::kDiffers);
  const std::string wrong = "-WRONGTYPE x\r\n", refused = "-NOPERM x\r\n";
  EXPECT_EQ(TakeBoth(windows.get(), {wrong, wrong}), WindowVerdict::kChanged);
  EXPECT_EQ(windows->Take(one, Replies{refused, refused}, {}), WindowVerdict::kRefused);
}

TEST(StringWindows, LessThanThereMustBeBeginsAgain) {
  const auto windows = MakeValueWindows(ValueType::kString, "k", {10, 8}, false);
  EXPECT_EQ(TakeBoth(windows.get(), {Number(INT64_MAX), Bulk("abc")}), WindowVerdict::kChanged);
}

// A list that is written to between the windows; every element that is there from the beginning must be looked at.
class ListWindowsTest : public testing::Test {
 protected:
  void Write(const std::string& command, const std::vector<std::string>& args = {"k"}) {
    std::vector<std::string_view> all = {command};
    all.insert(all.end(), args.begin(), args.end());
    const Request request = MakeRequest(all);
    windows_->OnWritten(command, request.view());
  }
  void PushTail(int count) {
    for (int i = 0; i < count; ++i) list_.push_back("new");
    std::vector<std::string> args(static_cast<size_t>(count) + 1, "x");
    Write("rpush", args);
  }
  void PopHead(int count) {
    for (int i = 0; i < count && !list_.empty(); ++i) list_.pop_front();
    Write("lpop");
  }
  WindowVerdict Window() {
    const std::vector<std::string> commands = Commands(windows_->Next());
    size_t from = 0, to = 0;
    EXPECT_EQ(sscanf(commands[1].c_str(), "LRANGE k %zu %zu", &from, &to), 2) << commands[1];
    std::vector<std::string> items;
    for (size_t i = from; i <= to && i < list_.size(); ++i) {
      items.push_back(list_[i]);
      seen_.insert(list_[i]);
    }
    ++asked_;
    return TakeBoth(windows_.get(), {Number(static_cast<int64_t>(list_.size())), Texts(items)});
  }
  void Fill(int count) {
    for (int i = 0; i < count; ++i) list_.push_back(std::to_string(i));
  }

  std::unique_ptr<ValueWindows> windows_ = MakeValueWindows(ValueType::kList, "k", {1 << 20, 16}, false);
  std::deque<std::string> list_;
  std::set<std::string> seen_;
  int asked_ = 0;
};

TEST_F(ListWindowsTest, AQuietListIsReadOnce) {
  Fill(100);
  while (!windows_->done()) EXPECT_EQ(Window(), WindowVerdict::kGoOn);
  EXPECT_EQ(seen_.size(), 100u);
  EXPECT_LE(asked_, 8);
}

TEST_F(ListWindowsTest, WhatMovesTowardsTheHeadIsNotMissed) {
  Fill(2000);
  int popped = 0;
  while (!windows_->done()) {
    ASSERT_EQ(Window(), WindowVerdict::kGoOn);
    if (popped < 600) {  // a queue: its length stays
      PopHead(3);
      PushTail(3);
      popped += 3;
    }
  }
  for (int i = popped; i < 2000; ++i) EXPECT_TRUE(seen_.contains(std::to_string(i))) << i;
}

TEST_F(ListWindowsTest, ManyRemovedAtOnceAreMadeUpFor) {
  Fill(3000);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(Window(), WindowVerdict::kGoOn);
  for (int i = 0; i < 250; ++i) list_.pop_front();
  Write("ltrim");
  while (!windows_->done()) ASSERT_EQ(Window(), WindowVerdict::kGoOn);
  for (int i = 250; i < 3000; ++i) EXPECT_TRUE(seen_.contains(std::to_string(i))) << i;
}

TEST_F(ListWindowsTest, AWriteOfUnknownEffectBeginsAgain) {
  Fill(100);
  ASSERT_EQ(Window(), WindowVerdict::kGoOn);
  Write("expire");
  ASSERT_EQ(Window(), WindowVerdict::kGoOn);
  Write("evalsha");
  EXPECT_EQ(Window(), WindowVerdict::kChanged);
}

TEST_F(ListWindowsTest, WhatMovesFasterThanWeReadIsGivenUp) {
  Fill(2000);
  WindowVerdict verdict = WindowVerdict::kGoOn;
  for (int i = 0; i < 5000 && verdict == WindowVerdict::kGoOn && !windows_->done(); ++i) {
    verdict = Window();
    PopHead(200);
    PushTail(200);
  }
  EXPECT_EQ(verdict, WindowVerdict::kChanged);
}

TEST_F(ListWindowsTest, ALengthThatCannotBeBeginsAgain) {
  for (const int64_t length : {INT64_MIN, INT64_MAX}) {
    const auto windows = MakeValueWindows(ValueType::kList, "k", {1 << 20, 16}, false);
    windows->Next();
    EXPECT_EQ(TakeBoth(windows.get(), {Number(100), Texts(std::vector<std::string>(8, "x"))}), WindowVerdict::kGoOn);
    windows->Next();
    EXPECT_EQ(TakeBoth(windows.get(), {Number(length), Texts({"x"})}), WindowVerdict::kChanged);
  }
}

TEST(ScannedWindows, AScanThatGoesInCirclesIsGivenUp) {
  const auto windows = MakeValueWindows(ValueType::kSet, "k", {10, 8}, false);
  WindowVerdict verdict = WindowVerdict::kGoOn;
  int pages = 0;
  for (; verdict == WindowVerdict::kGoOn && pages < 20; ++pages) {
    windows->Next();
    verdict = windows->Take(Replies{Items({Bulk(pages % 3 == 0   ? "5"
                                                : pages % 3 == 1 ? "7"
                                                                 : "6"),
                                           Items({})})},
                            {}, {});
  }
  EXPECT_EQ(verdict, WindowVerdict::kRefused);
}

TEST(ScannedWindows, MomentsThatCannotBeAreFarApart) {
  EXPECT_FALSE(FieldExpiriesAgree(Items({Number(0)}), Items({Number(INT64_MAX)}), {1000, 100'000'000'000}));
}

TEST(ScannedWindows, NamesOfThePrimaryAreAskedOfBoth) {
  const auto windows = MakeValueWindows(ValueType::kHash, "k", {1 << 20, 16}, false);
  WindowQuestion question = windows->Next();
  EXPECT_TRUE(question.primary_only);
  EXPECT_THAT(Commands(question), testing::ElementsAre("HSCAN k 0 COUNT 8"));
  EXPECT_EQ(windows->Take(Replies{Items({Bulk("7"), Texts({"a", "1", "b", "2"})})}, {}, {}), WindowVerdict::kGoOn);
  question = windows->Next();
  EXPECT_FALSE(question.primary_only);
  EXPECT_THAT(Commands(question), testing::ElementsAre("HLEN k", "HMGET k a b"));
  EXPECT_EQ(TakeBoth(windows.get(), {Number(3), Texts({"1", "2"})}), WindowVerdict::kGoOn);
  EXPECT_EQ(windows->Next().commands.count, 1);
  EXPECT_EQ(windows->Take(Replies{Items({Bulk("0"), Texts({"c", "3"})})}, {}, {}), WindowVerdict::kGoOn);
  EXPECT_FALSE(windows->done());
  const Replies one = {Number(3), Texts({"3"})}, other = {Number(3), Texts({"4"})}, more = {Number(4), Texts({"3"})};
  EXPECT_EQ(windows->Take(one, other, {}), WindowVerdict::kDiffers);
  EXPECT_EQ(windows->Take(one, more, {}), WindowVerdict::kDiffers);  // a field that only one side has
  EXPECT_EQ(TakeBoth(windows.get(), one), WindowVerdict::kGoOn);
  EXPECT_TRUE(windows->done());
}

TEST(ScannedWindows, ScoresAreNumbersAndOldServersAreAskedOneByOne) {
  const auto windows = MakeValueWindows(ValueType::kZset, "k", {1 << 20, 16}, false);
  windows->Next();
  EXPECT_EQ(windows->Take(Replies{Items({Bulk("0"), Texts({"a", "1.5", "b", "2"})})}, {}, {}), WindowVerdict::kGoOn);
  EXPECT_THAT(Commands(windows->Next()), testing::ElementsAre("ZCARD k", "ZMSCORE k a b"));
  const std::string unknown = "-ERR unknown command `ZMSCORE`, with args\r\n";
  EXPECT_EQ(windows->Take(Replies{Number(2), unknown}, Replies{Number(2), Texts({"1.5", "2"})}, {}),
            WindowVerdict::kGoOn);
  EXPECT_THAT(Commands(windows->Next()), testing::ElementsAre("ZCARD k", "ZSCORE k a", "ZSCORE k b"));
  EXPECT_EQ(windows->Take(Replies{Number(2), Bulk("1.5"), Bulk("2")}, Replies{Number(2), Bulk("1.50"), Bulk("3")}, {}),
            WindowVerdict::kDiffers);
  EXPECT_EQ(windows->Take(Replies{Number(2), Bulk("1.5"), Bulk("2")}, Replies{Number(2), Bulk("1.50"), Bulk("2")}, {}),
            WindowVerdict::kGoOn);
  EXPECT_TRUE(windows->done());
}

// Redis 7.0, which the integration tests run with, has no times to live of fields.
TEST(ScannedWindows, FieldsMayExpire) {
  const auto windows = MakeValueWindows(ValueType::kHash, "k", {1 << 20, 16}, true);
  windows->Next();
  EXPECT_EQ(windows->Take(Replies{Items({Bulk("0"), Texts({"a", "1"})})}, {}, {}), WindowVerdict::kGoOn);
  EXPECT_THAT(Commands(windows->Next()), testing::ElementsAre("HLEN k", "HMGET k a", "HPEXPIRETIME k FIELDS 1 a"));
  const auto replies = [](int64_t at) { return Replies{Number(1), Texts({"1"}), Items({Number(at)})}; };
  const ExpiryTolerance tolerance = {100, 5000};  // the primary's clock is 5 s ahead
  EXPECT_EQ(windows->Take(replies(1'000'000), replies(999'000), tolerance), WindowVerdict::kTtl);
  EXPECT_EQ(windows->Take(replies(1'000'000), replies(-1), tolerance), WindowVerdict::kTtl);
  EXPECT_EQ(windows->Take(replies(1'000'000), replies(995'050), tolerance), WindowVerdict::kGoOn);
  EXPECT_TRUE(windows->done());
  EXPECT_TRUE(FieldExpiriesAgree(Items({Number(-1)}), Items({Number(-1)}), tolerance));
  EXPECT_TRUE(FieldExpiriesAgree("-ERR no\r\n", "-ERR no\r\n", tolerance));
  EXPECT_FALSE(FieldExpiriesAgree("-ERR no\r\n", Items({Number(-1)}), tolerance));
}

class StreamWindowsTest : public testing::Test {
 protected:
  static std::string Entry(const std::string& id) { return Items({Bulk(id), Texts({"f", "v"})}); }
  static std::string Info(int64_t length) { return Items({Bulk("length"), Number(length)}); }
  static std::string Pending(const std::string& id, int64_t idle, int64_t deliveries) {
    return Items({Bulk(id), Bulk("alice"), Number(idle), Number(deliveries)});
  }
  static std::string Consumers(int64_t idle) {
    return Items({Items({Bulk("name"), Bulk("alice"), Bulk("pending"), Number(1), Bulk("idle"), Number(idle)})});
  }
  void ReachGroup() {
    EXPECT_THAT(Commands(windows_->Next()), testing::ElementsAre("XINFO STREAM k", "XRANGE k - + COUNT 8"));
    std::vector<std::string> entries;
    for (int i = 1; i <= 8; ++i) entries.push_back(Entry(std::to_string(i) + "-1"));
    EXPECT_EQ(TakeBoth(windows_.get(), {Info(9), Items(entries)}), WindowVerdict::kGoOn);
    EXPECT_THAT(Commands(windows_->Next())[1], "XRANGE k 8-2 + COUNT 2");
    EXPECT_EQ(TakeBoth(windows_.get(), {Info(9), Items({Entry("9-1")})}), WindowVerdict::kGoOn);
    EXPECT_THAT(Commands(windows_->Next()), testing::ElementsAre("XINFO GROUPS k"));
    EXPECT_EQ(TakeBoth(windows_.get(), {Items({Items({Bulk("name"), Bulk("g"), Bulk("pending"), Number(2)})})}),
              WindowVerdict::kGoOn);
    EXPECT_THAT(Commands(windows_->Next()), testing::ElementsAre("XINFO CONSUMERS k g", "XPENDING k g - + 2"));
  }
  std::unique_ptr<ValueWindows> windows_ = MakeValueWindows(ValueType::kStream, "k", {1 << 20, 2}, false);
};

TEST_F(StreamWindowsTest, EntriesGroupsAndWhatIsPending) {
  ReachGroup();
  EXPECT_EQ(windows_->Take(Replies{Consumers(5), Items({Pending("1-1", 7, 1), Pending("2-1", 9, 1)})},
                           Replies{Consumers(6), Items({Pending("1-1", 8, 1), Pending("2-1", 0, 1)})}, {}),
            WindowVerdict::kGoOn);
  EXPECT_THAT(Commands(windows_->Next())[1], "XPENDING k g 2-2 + 2");
  EXPECT_EQ(TakeBoth(windows_.get(), {Consumers(5), Items({})}), WindowVerdict::kGoOn);
  EXPECT_TRUE(windows_->done());
}

TEST_F(StreamWindowsTest, ADeliveryMoreOrAnEntryLessDiffers) {
  ReachGroup();
  const Replies one = {Consumers(5), Items({Pending("1-1", 7, 1)})};
  EXPECT_EQ(windows_->Take(one, Replies{Consumers(5), Items({Pending("1-1", 7, 2)})}, {}), WindowVerdict::kDiffers);
  EXPECT_EQ(windows_->Take(one, Replies{Consumers(5), Items({})}, {}), WindowVerdict::kDiffers);
  const std::string gone = "-NOGROUP x\r\n";
  EXPECT_EQ(windows_->Take(one, Replies{gone, gone}, {}), WindowVerdict::kDiffers);
  EXPECT_EQ(TakeBoth(windows_.get(), {gone, gone}), WindowVerdict::kGoOn);
  EXPECT_TRUE(windows_->done());
}

TEST(StreamWindows, IdsThatLeadNoFurtherAreGivenUp) {
  const auto windows = MakeValueWindows(ValueType::kStream, "k", {1 << 20, 8}, false);
  const std::string entry = Items({Bulk("1-1"), Texts({"f", "v"})});
  const Replies window = {Items({Bulk("length"), Number(1)}), Items(std::vector<std::string>(8, entry))};
  windows->Next();
  EXPECT_EQ(TakeBoth(windows.get(), window), WindowVerdict::kGoOn);
  windows->Next();
  EXPECT_EQ(TakeBoth(windows.get(), window), WindowVerdict::kRefused);
}

}  // namespace
}  // namespace crossfade
