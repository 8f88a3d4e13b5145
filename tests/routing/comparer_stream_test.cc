// XINFO and XPENDING: what is told of a stream beside what is each server's own affair.
#include "gtest/gtest.h"
#include "routing/comparer.h"
#include "tests/routing/agree.h"

namespace crossfade {
namespace {

std::string StreamInfo(char type, int64_t length, int64_t nodes, std::string_view last_id) {
  return List(type, {Bulk("length"), Integer(length), Bulk("radix-tree-keys"), Integer(nodes), Bulk("radix-tree-nodes"),
                     Integer(nodes + 1), Bulk("last-generated-id"), Bulk(last_id), Bulk("groups"), Integer(1)});
}

TEST(Comparer, XinfoStream) {
  const Args info = {"XINFO", "STREAM", "s"};
  const std::string a = StreamInfo('*', 5, 1, "1-1");
  EXPECT_TRUE(Agree(CompareRule::kStreamInfo, info, a, StreamInfo('%', 5, 9, "1-1")));
  EXPECT_FALSE(Agree(CompareRule::kStreamInfo, info, a, StreamInfo('%', 6, 1, "1-1")));
  EXPECT_FALSE(Agree(CompareRule::kStreamInfo, info, a, StreamInfo('*', 5, 1, "1-2")));
  // Another version knows other fields, and orders them otherwise.
  const std::string newer = List(
      '%', {Bulk("last-generated-id"), Bulk("1-1"), Bulk("idmp-duration"), Integer(100), Bulk("length"), Integer(5)});
  EXPECT_TRUE(Agree(CompareRule::kStreamInfo, info, a, newer));
  EXPECT_FALSE(Agree(CompareRule::kStreamInfo, info, a, List('%', {Bulk("size"), Integer(5)})));
  EXPECT_FALSE(Agree(CompareRule::kStreamInfo, info, a, "*0\r\n"));
}

std::string FullInfo(int64_t time, int64_t deliveries, std::string_view consumer) {
  const std::string group_entry = List('*', {Bulk("1-1"), Bulk(consumer), Integer(time), Integer(deliveries)});
  const std::string own_entry = List('*', {Bulk("1-1"), Integer(time), Integer(deliveries)});
  const std::string reader = List('*', {Bulk("name"), Bulk(consumer), Bulk("seen-time"), Integer(time),
                                        Bulk("pel-count"), Integer(1), Bulk("pel"), List('*', {own_entry})});
  const std::string group =
      List('*', {Bulk("name"), Bulk("g"), Bulk("lag"), Integer(time), Bulk("entries-read"), Integer(time), Bulk("pel"),
                 List('*', {group_entry}), Bulk("consumers"), List('*', {reader})});
  return List('*', {Bulk("length"), Integer(1), Bulk("entries"), "*0\r\n", Bulk("groups"), List('*', {group})});
}

TEST(Comparer, XinfoStreamFull) {
  const Args full = {"XINFO", "STREAM", "s", "FULL"};
  EXPECT_TRUE(Agree(CompareRule::kStreamInfo, full, FullInfo(1000, 1, "c"), FullInfo(2000, 1, "c")));
  EXPECT_FALSE(Agree(CompareRule::kStreamInfo, full, FullInfo(1000, 1, "c"), FullInfo(1000, 2, "c")));
  EXPECT_FALSE(Agree(CompareRule::kStreamInfo, full, FullInfo(1000, 1, "c"), FullInfo(1000, 1, "d")));
}

TEST(Comparer, XinfoGroupsAndConsumers) {
  const auto group = [](char type, std::string_view name, int64_t pending, int64_t lag) {
    return List(type, {Bulk("name"), Bulk(name), Bulk("pending"), Integer(pending), Bulk("lag"), Integer(lag)});
  };
  const std::string a = List('*', {group('*', "g", 1, 5), group('*', "h", 2, 6)});
  for (const Args& args : {Args{"XINFO", "GROUPS", "s"}, Args{"xinfo", "consumers", "s", "g"}}) {
    EXPECT_TRUE(Agree(CompareRule::kStreamInfo, args, a, List('*', {group('%', "h", 2, 0), group('%', "g", 1, 0)})));
    EXPECT_FALSE(Agree(CompareRule::kStreamInfo, args, a, List('*', {group('%', "h", 1, 0), group('%', "g", 2, 0)})));
    EXPECT_FALSE(Agree(CompareRule::kStreamInfo, args, a, List('*', {group('%', "g", 1, 0)})));
  }
}

TEST(Comparer, Xpending) {
  const auto entry = [](std::string_view consumer, int64_t idle, int64_t count) {
    return List('*', {List('*', {Bulk("1-1"), Bulk(consumer), Integer(idle), Integer(count)})});
  };
  const Args extended = {"XPENDING", "s", "g", "-", "+", "10"};
  EXPECT_TRUE(Agree(CompareRule::kStreamInfo, extended, entry("c", 10, 1), entry("c", 99, 1)));
  EXPECT_FALSE(Agree(CompareRule::kStreamInfo, extended, entry("c", 10, 1), entry("c", 10, 2)));
  EXPECT_FALSE(Agree(CompareRule::kStreamInfo, extended, entry("c", 10, 1), entry("d", 10, 1)));
  EXPECT_FALSE(Agree(CompareRule::kStreamInfo, extended, entry("c", 10, 1), "*0\r\n"));
  const Args idle = {"XPENDING", "s", "g", "IDLE", "50", "-", "+", "10"};
  EXPECT_TRUE(Agree(CompareRule::kStreamInfo, idle, entry("c", 51, 1), "*0\r\n"));
  EXPECT_FALSE(Agree(CompareRule::kStreamInfo, idle, entry("c", 51, 1), "-NOGROUP x\r\n"));

  const Args summary = {"XPENDING", "s", "g"};
  const auto total = [](int64_t count) {
    return List('*', {Integer(count), Bulk("1-1"), Bulk("1-9"), List('*', {Bulks({"c", std::to_string(count)})})});
  };
  EXPECT_FALSE(Agree(CompareRule::kStreamInfo, summary, total(2), total(3)));
  EXPECT_TRUE(
      Agree(CompareRule::kStreamInfo, summary, "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n", "*4\r\n:0\r\n_\r\n_\r\n_\r\n"));
}

}  // namespace
}  // namespace crossfade
