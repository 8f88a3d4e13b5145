#include "routing/rebuild_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"
#include "routing/rebuild_stream.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Commands(std::string bytes) {
  std::vector<std::string> commands;
  RequestParser parser;
  RequestView request;
  size_t consumed = 0;
  while (!bytes.empty() && parser.Parse(bytes, &request, &consumed) == ParseResult::kDone) {
    std::string text;
    for (size_t i = 0; i < request.argc(); ++i) text.append(i == 0 ? "" : " ").append(request.arg(i));
    commands.push_back(std::move(text));
    bytes.erase(0, consumed);
  }
  EXPECT_EQ(bytes, "");
  return commands;
}

std::string Bulk(std::string_view text) {
  std::string out;
  AppendBulk(&out, text);
  return out;
}
std::string Int(int64_t value) {
  std::string out;
  AppendInteger(&out, value);
  return out;
}
std::string Array(const std::vector<std::string>& items) {
  std::string out;
  AppendArrayHeader(&out, items.size());
  for (const std::string& item : items) out += item;
  return out;
}
std::string Bulks(const std::vector<std::string>& texts) {
  std::vector<std::string> items;
  for (const std::string& text : texts) items.push_back(Bulk(text));
  return Array(items);
}

const WriteTimes kRebuildTimes = {.sent_ms = 1000, .read_ms = 1010, .primary_offset_ms = 5, .secondary_offset_ms = 100};

// --- In one slot -----------------------------------------------------------------------------------------------------

std::vector<std::string> Whole(ValueType type, const std::string& pttl, const std::string& value) {
  Follow follow;
  RewriteWhole(type, "k", pttl, value, true, kRebuildTimes, &follow);
  if (follow.unknown) return {"unknown"};
  const std::vector<std::string> commands = Commands(follow.bytes);
  EXPECT_EQ(follow.expectations.size(), commands.size());
  return commands;
}

std::string WholeRead(ValueType type) {
  std::string bytes;
  AppendWholeRead(type, "k", &bytes);
  return Commands(bytes)[0];
}

TEST(RebuildWhole, IsReadByOneCommand) {
  EXPECT_EQ(WholeRead(ValueType::kString), "GET k");
  EXPECT_EQ(WholeRead(ValueType::kList), "LRANGE k 0 -1");
  EXPECT_EQ(WholeRead(ValueType::kSet), "SMEMBERS k");
  EXPECT_EQ(WholeRead(ValueType::kHash), "HGETALL k");
  EXPECT_EQ(WholeRead(ValueType::kZset), "ZRANGE k 0 -1 WITHSCORES");
  EXPECT_EQ(WholeRead(ValueType::kStream), "XINFO STREAM k FULL COUNT 0");
  EXPECT_TRUE(CanCopyWhole(ValueType::kHash, false));
  EXPECT_FALSE(CanCopyWhole(ValueType::kHash, true));  // its fields' times to live would be lost
  EXPECT_FALSE(CanCopyWhole(ValueType::kModule, false));
  EXPECT_FALSE(CanCopyWhole(ValueType::kNone, false));
}

TEST(RebuildWhole, EachType) {
  EXPECT_THAT(Whole(ValueType::kString, Int(-1), Bulk("")), ElementsAre("UNLINK k", "SET k "));
  EXPECT_THAT(Whole(ValueType::kList, Int(-1), Bulks({"b", "a"})), ElementsAre("UNLINK k", "RPUSH k b a"));
  EXPECT_THAT(Whole(ValueType::kSet, Int(-1), "~1\r\n$1\r\na\r\n"), ElementsAre("UNLINK k", "SADD k a"));
  EXPECT_THAT(Whole(ValueType::kHash, Int(-1), "%1\r\n$1\r\nf\r\n$1\r\nv\r\n"), ElementsAre("UNLINK k", "HSET k f v"));
  EXPECT_THAT(Whole(ValueType::kZset, Int(-1), Bulks({"m", "0.10000000000000001", "n", "inf"})),
              ElementsAre("UNLINK k", "ZADD k 0.10000000000000001 m inf n"));
  EXPECT_THAT(Whole(ValueType::kZset, Int(-1), "*1\r\n*2\r\n$1\r\nm\r\n,1.5\r\n"),  // RESP3: pairs
              ElementsAre("UNLINK k", "ZADD k 1.5 m"));
}

TEST(RebuildWhole, AnExpiryIsAMomentOfTheSecondarysClock) {
  EXPECT_THAT(Whole(ValueType::kString, Int(50), Bulk("v")), ElementsAre("UNLINK k", "SET k v", "PEXPIREAT k 1160"));
  EXPECT_THAT(Whole(ValueType::kString, Int(0), Bulk("v")), ElementsAre("UNLINK k", "SET k v", "PEXPIREAT k 1111"));
}

TEST(RebuildWhole, WhatIsGoneIsRemoved) {
  EXPECT_THAT(Whole(ValueType::kString, Int(-2), "$-1\r\n"), ElementsAre("UNLINK k"));
  EXPECT_THAT(Whole(ValueType::kList, Int(-2), "*0\r\n"), ElementsAre("UNLINK k"));
  EXPECT_THAT(Whole(ValueType::kHash, Int(5), "*0\r\n"), ElementsAre("UNLINK k"));  // expired between the two
  EXPECT_THAT(Whole(ValueType::kStream, Int(-2), "-ERR no such key\r\n"), ElementsAre("UNLINK k"));
}

TEST(RebuildWhole, WhatMakesNoSenseIsUnknown) {
  const auto unknown = ElementsAre("unknown");
  EXPECT_THAT(Whole(ValueType::kList, Int(-1), "-WRONGTYPE x\r\n"), unknown);
  EXPECT_THAT(Whole(ValueType::kString, "-NOPERM x\r\n", Bulk("v")), unknown);
  EXPECT_THAT(Whole(ValueType::kString, Int(-2), Bulk("v")), unknown);  // it has come into being in between
  EXPECT_THAT(Whole(ValueType::kHash, Int(-1), Bulks({"f", "v", "g"})), unknown);
  EXPECT_THAT(Whole(ValueType::kStream, Int(-1), Bulks({"length", "1"})), unknown);
}

TEST(RebuildWhole, ManyElementsAreManyCommands) {
  const std::vector<std::string> items(10'000, "x");
  const std::vector<std::string> commands = Whole(ValueType::kList, Int(-1), Bulks(items));
  EXPECT_EQ(commands.size(), 4u);
}

// --- In pieces -------------------------------------------------------------------------------------------------------

class Pieces {
 public:
  explicit Pieces(ValueType type, PieceLimits limits = {}, CopyServers servers = {false, true})
      : reader_(MakePieceReader(type, "k", "t", limits, servers)) {}
  std::vector<std::string> Next() { return Commands(reader_->Next().bytes); }
  std::vector<std::string> Take(const std::vector<std::string>& replies) {
    CommandBatch out;
    const absl::Status taken = reader_->Take(replies, kRebuildTimes, &out);
    if (!taken.ok()) return {std::string(taken.message())};
    const std::vector<std::string> commands = Commands(out.bytes);
    EXPECT_EQ(static_cast<size_t>(out.count), commands.size());
    return commands;
  }

 private:
  std::unique_ptr<PieceReader> reader_;
};

TEST(RebuildPieces, AString) {
  Pieces pieces(ValueType::kString, {.bytes = 4});
  EXPECT_THAT(pieces.Next(), ElementsAre("GETRANGE k 0 3"));
  EXPECT_THAT(pieces.Take({Bulk("abcd")}), ElementsAre("SET t abcd"));
  EXPECT_THAT(pieces.Next(), ElementsAre("GETRANGE k 4 7"));
  EXPECT_THAT(pieces.Take({Bulk("ef")}), ElementsAre("APPEND t ef"));
  EXPECT_THAT(pieces.Next(), IsEmpty());
}

TEST(RebuildPieces, AStringThatEndsWithItsPiece) {
  Pieces pieces(ValueType::kString, {.bytes = 2});
  pieces.Next();
  EXPECT_THAT(pieces.Take({Bulk("ab")}), ElementsAre("SET t ab"));
  EXPECT_THAT(pieces.Next(), ElementsAre("GETRANGE k 2 3"));
  EXPECT_THAT(pieces.Take({Bulk("")}), IsEmpty());
  EXPECT_THAT(pieces.Next(), IsEmpty());
}

TEST(RebuildPieces, AListInWindowsThatGrow) {
  Pieces pieces(ValueType::kList);
  EXPECT_THAT(pieces.Next(), ElementsAre("LRANGE k 0 7"));
  EXPECT_THAT(pieces.Take({Bulks({"0", "1", "2", "3", "4", "5", "6", "7"})}), ElementsAre("RPUSH t 0 1 2 3 4 5 6 7"));
  EXPECT_THAT(pieces.Next(), ElementsAre("LRANGE k 8 39"));
  EXPECT_THAT(pieces.Take({Bulks({"8"})}), ElementsAre("RPUSH t 8"));
  EXPECT_THAT(pieces.Next(), IsEmpty());
}

TEST(RebuildPieces, LargeElementsComeInFewAtATime) {
  Pieces pieces(ValueType::kList, {.bytes = 1000});
  pieces.Next();
  pieces.Take({Bulks(std::vector<std::string>(8, std::string(400, 'x')))});
  EXPECT_THAT(pieces.Next(), ElementsAre("LRANGE k 8 9"));
}

TEST(RebuildPieces, AScanOfEachKind) {
  Pieces set(ValueType::kSet);
  EXPECT_THAT(set.Next(), ElementsAre("SSCAN k 0 COUNT 8"));
  EXPECT_THAT(set.Take({Array({Bulk("17"), Bulks({"a", "b"})})}), ElementsAre("SADD t a b"));
  EXPECT_THAT(set.Next(), ElementsAre("SSCAN k 17 COUNT 32"));
  EXPECT_THAT(set.Take({Array({Bulk("0"), Bulks({})})}), IsEmpty());
  EXPECT_THAT(set.Next(), IsEmpty());

  Pieces zset(ValueType::kZset);
  EXPECT_THAT(zset.Next(), ElementsAre("ZSCAN k 0 COUNT 8"));
  EXPECT_THAT(zset.Take({Array({Bulk("0"), Bulks({"m", "-0", "n", "1e+300"})})}), ElementsAre("ZADD t -0 m 1e+300 n"));

  Pieces hash(ValueType::kHash);
  EXPECT_THAT(hash.Next(), ElementsAre("HSCAN k 0 COUNT 8"));
  EXPECT_THAT(hash.Take({Array({Bulk("0"), Bulks({"f", "v"})})}), ElementsAre("HSET t f v"));
}

TEST(RebuildPieces, FieldsThatExpire) {
  Pieces hash(ValueType::kHash, {}, {.field_expiry = true, .stream_counters = true});
  hash.Next();
  EXPECT_THAT(hash.Take({Array({Bulk("5"), Bulks({"a", "1", "b", "2", "c", "3", "d", "4"})})}), IsEmpty());
  EXPECT_THAT(hash.Next(), ElementsAre("HPTTL k FIELDS 4 a b c d"));
  EXPECT_THAT(hash.Take({Array({Int(-1), Int(40), Int(-2), Int(40)})}),
              ElementsAre("HSET t a 1 b 2 d 4", "HPEXPIREAT t 1150 FIELDS 2 b d"));
  EXPECT_THAT(hash.Next(), ElementsAre("HSCAN k 5 COUNT 32"));
  EXPECT_THAT(hash.Take({Array({Bulk("0"), Bulks({"gone", "x"})})}), IsEmpty());
  hash.Next();
  EXPECT_THAT(hash.Take({Array({Int(-2)})}), IsEmpty());
  EXPECT_THAT(hash.Next(), IsEmpty());
}

TEST(RebuildPieces, WhatThePrimaryRefuses) {
  Pieces set(ValueType::kSet);
  set.Next();
  EXPECT_THAT(set.Take({"-NOPERM no\r\n"}), ElementsAre("SSCAN answered NOPERM no"));
  Pieces list(ValueType::kList);
  list.Next();
  EXPECT_THAT(list.Take({"-WRONGTYPE no\r\n"}), ElementsAre("LRANGE answered WRONGTYPE no"));
  EXPECT_EQ(MakePieceReader(ValueType::kModule, "k", "t", {}, {}), nullptr);
}

// --- Streams ---------------------------------------------------------------------------------------------------------

const std::string kStreamInfo = Array({Bulk("length"), Int(2), Bulk("last-generated-id"), Bulk("9-0"),
                                       Bulk("max-deleted-entry-id"), Bulk("2-0"), Bulk("entries-added"), Int(5)});

std::string GroupInfo(const std::string& name, int consumers, int pending, const std::string& read) {
  return Array({Bulk("name"), Bulk(name), Bulk("consumers"), Int(consumers), Bulk("pending"), Int(pending),
                Bulk("last-delivered-id"), Bulk("3-0"), Bulk("entries-read"), read});
}

TEST(RebuildStream, InPieces) {
  Pieces stream(ValueType::kStream);
  EXPECT_THAT(stream.Next(), ElementsAre("XINFO STREAM k", "XINFO GROUPS k"));
  EXPECT_THAT(stream.Take({kStreamInfo, Array({GroupInfo("idle", 0, 0, "$-1\r\n"), GroupInfo("g", 1, 2, Int(3))})}),
              ElementsAre("XGROUP CREATE t crossfade 0 MKSTREAM", "XGROUP DESTROY t crossfade",
                          "XGROUP CREATE t idle 3-0", "XGROUP CREATE t g 3-0 ENTRIESREAD 3"));
  EXPECT_THAT(stream.Next(), ElementsAre("XINFO CONSUMERS k g"));
  EXPECT_THAT(stream.Take({Array({Array({Bulk("name"), Bulk("c"), Bulk("pending"), Int(2)})})}),
              ElementsAre("XGROUP CREATECONSUMER t g c"));
  EXPECT_THAT(stream.Next(), ElementsAre("XPENDING k g - + 1000"));
  EXPECT_THAT(
      stream.Take({Array(
          {Array({Bulk("1-0"), Bulk("c"), Int(10), Int(1)}), Array({Bulk("2-0"), Bulk("c"), Int(20), Int(7)})})}),
      ElementsAre("XADD t 1-0  ", "XADD t 2-0  ", "XCLAIM t g c 0 1-0 TIME 1100 RETRYCOUNT 1 FORCE JUSTID",
                  "XCLAIM t g c 0 2-0 TIME 1090 RETRYCOUNT 7 FORCE JUSTID", "XTRIM t MAXLEN 0", "XSETID t 0-0"));
  EXPECT_THAT(stream.Next(), ElementsAre("XRANGE k - + COUNT 8"));
  EXPECT_THAT(
      stream.Take({Array({Array({Bulk("1-0"), Bulks({"f", "v", "f", ""})}), Array({Bulk("3-0"), Bulks({"f", "w"})})})}),
      ElementsAre("XADD t 1-0 f v f ", "XADD t 3-0 f w", "XSETID t 9-0 ENTRIESADDED 5 MAXDELETEDID 2-0"));
  EXPECT_THAT(stream.Next(), IsEmpty());
}

TEST(RebuildStream, ManyPendingEntriesAndManyEntries) {
  Pieces stream(ValueType::kStream, {.bytes = 1 << 20, .items = 2});
  stream.Next();
  stream.Take({kStreamInfo, Array({GroupInfo("g", 1, 3, Int(3))})});
  stream.Next();
  stream.Take({Array({Array({Bulk("name"), Bulk("c")})})});
  EXPECT_THAT(stream.Next(), ElementsAre("XPENDING k g - + 2"));
  stream.Take(
      {Array({Array({Bulk("1-0"), Bulk("c"), Int(1), Int(1)}), Array({Bulk("2-5"), Bulk("c"), Int(1), Int(1)})})});
  EXPECT_THAT(stream.Next(), ElementsAre("XPENDING k g 2-6 + 2"));
  EXPECT_THAT(stream.Take({"*0\r\n"}), ElementsAre("XSETID t 0-0"));
  EXPECT_THAT(stream.Next(), ElementsAre("XRANGE k - + COUNT 8"));
}

TEST(RebuildStream, WithoutCounters) {
  Pieces stream(ValueType::kStream, {}, {});
  stream.Next();
  stream.Take({kStreamInfo, "*0\r\n"});
  stream.Next();
  EXPECT_THAT(stream.Take({"*0\r\n"}), ElementsAre("XSETID t 9-0"));
}

TEST(RebuildStream, Whole) {
  const std::string group =
      Array({Bulk("name"), Bulk("g"), Bulk("last-delivered-id"), Bulk("3-0"), Bulk("entries-read"), Int(3),
             Bulk("pending"), Array({Array({Bulk("2-0"), Bulk("c"), Int(500), Int(4)})}), Bulk("consumers"),
             Array({Array({Bulk("name"), Bulk("c")}), Array({Bulk("name"), Bulk("idle")})})});
  const std::string full = Array({Bulk("last-generated-id"), Bulk("9-0"), Bulk("max-deleted-entry-id"), Bulk("2-0"),
                                  Bulk("entries-added"), Int(5), Bulk("entries"),
                                  Array({Array({Bulk("1-0"), Bulks({"f", "v"})})}), Bulk("groups"), Array({group})});
  EXPECT_THAT(Whole(ValueType::kStream, Int(-1), full),
              ElementsAre("UNLINK k", "XGROUP CREATE k crossfade 0 MKSTREAM", "XGROUP DESTROY k crossfade",
                          "XGROUP CREATE k g 3-0 ENTRIESREAD 3", "XGROUP CREATECONSUMER k g c",
                          "XGROUP CREATECONSUMER k g idle", "XADD k 2-0  ",
                          // Delivered at 500 by the primary's clock, which is 95 ms behind the secondary's.
                          "XCLAIM k g c 0 2-0 TIME 595 RETRYCOUNT 4 FORCE JUSTID", "XTRIM k MAXLEN 0", "XSETID k 0-0",
                          "XADD k 1-0 f v", "XSETID k 9-0 ENTRIESADDED 5 MAXDELETEDID 2-0"));
}

// Redis 7.0 lets XSETID set the last id behind what was deleted, but not with MAXDELETEDID.
TEST(RebuildStream, LastIdBehindADeletedEntry) {
  const std::string full =
      Array({Bulk("last-generated-id"), Bulk("9-0"), Bulk("max-deleted-entry-id"), Bulk("10-0"), Bulk("entries-added"),
             Int(5), Bulk("entries"), Array({Array({Bulk("1-0"), Bulks({"f", "v"})})}), Bulk("groups"), Array({})});
  EXPECT_THAT(Whole(ValueType::kStream, Int(-1), full),
              ElementsAre("UNLINK k", "XGROUP CREATE k crossfade 0 MKSTREAM", "XGROUP DESTROY k crossfade",
                          "XADD k 1-0 f v", "XADD k 10-0  ", "XDEL k 10-0", "XSETID k 9-0 ENTRIESADDED 5"));
}

TEST(RebuildStream, NextId) {
  EXPECT_EQ(NextStreamId("1-2"), "1-3");
  EXPECT_EQ(NextStreamId("1-18446744073709551615"), "2-0");
  EXPECT_EQ(NextStreamId("18446744073709551615-18446744073709551615"), "");
  EXPECT_EQ(NextStreamId("1"), "");
  EXPECT_EQ(NextStreamId("x-1"), "");
}

// --- Names and refusals ----------------------------------------------------------------------------------------------

TEST(RebuildNames, AreTheirOwn) {
  EXPECT_EQ(MakeTemporaryName(255), "__crossfade:copy:00000000000000ff");
  EXPECT_TRUE(IsTemporaryName(MakeTemporaryName(7)));
  EXPECT_TRUE(IsTemporaryName("__crossfade:check:00000000000000ff:list"));
  EXPECT_FALSE(IsTemporaryName("__crossfade"));
  EXPECT_FALSE(IsTemporaryName("__crossfade:checks"));
}

TEST(RebuildRefusals, ByWhatTimeMends) {
  EXPECT_EQ(JudgeRefusal("-OOM command not allowed\r\n"), CopyRefusal::kPassing);
  EXPECT_EQ(JudgeRefusal("-READONLY x\r\n"), CopyRefusal::kPassing);
  EXPECT_EQ(JudgeRefusal("-ERR Bad data format\r\n"), CopyRefusal::kThisKey);
  EXPECT_EQ(JudgeRefusal("-ERR DUMP payload version or checksum are wrong\r\n"), CopyRefusal::kEveryKey);
  EXPECT_EQ(JudgeRefusal("-NOPERM this user has no permissions to run the 'restore' command\r\n"),
            CopyRefusal::kEveryKey);
  EXPECT_EQ(JudgeRefusal("-ERR unknown command 'RESTORE', with args beginning with: \r\n"), CopyRefusal::kEveryKey);
}

}  // namespace
}  // namespace crossfade
