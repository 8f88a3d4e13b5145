// Rewrite, strings and expiries. Collections: rewrite_collection_test.cc. Streams: rewrite_stream_test.cc.
#include "routing/rewrite.h"

#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kUnknown[] = "unknown";

// The windows of a follow, as "key from to" or "key > inheritor db".
std::vector<std::string> Notes(const Follow& follow) {
  std::vector<std::string> notes;
  for (const ExpiryNote& note : follow.expiries) {
    notes.push_back(note.kind == ExpiryNote::Kind::kSet
                        ? fmt::format("{} {} {}", note.key, note.window.from_ms, note.window.to_ms)
                        : fmt::format("{} > {} {}", note.key, note.inheritor, note.inheritor_db));
  }
  return notes;
}

TEST(RewriteSet, Plain) {
  EXPECT_THAT(Emitted("SET k v", kOk), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("set k v keepttl", kOk), ElementsAre("SET k v KEEPTTL => ok"));
  EXPECT_THAT(Emitted("SET k nx", kOk), ElementsAre("SET k nx => ok"));
}

TEST(RewriteSet, ConditionsThatFiredAreDropped) {
  for (const char* condition : {"NX", "XX", "nx", "Xx"}) {
    const std::string command = std::string("SET k v ") + condition;
    EXPECT_THAT(Emitted(command, kOk), ElementsAre("SET k v => ok")) << condition;
    EXPECT_THAT(Emitted(command, kNil), IsEmpty()) << condition;
    EXPECT_THAT(Emitted(command, kNil3), IsEmpty()) << condition;
  }
}

// With GET the reply is the old value, and says in another way whether the SET was applied.
TEST(RewriteSet, GetTellsByTheOldValue) {
  const std::string old = Bulk("old");
  EXPECT_THAT(Emitted("SET k v GET", old), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("SET k v GET", kNil), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("SET k v XX GET", old), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("SET k v XX GET", kNil), IsEmpty());
  EXPECT_THAT(Emitted("SET k v GET NX", old), IsEmpty());
  EXPECT_THAT(Emitted("SET k v GET NX", kNil), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("SET k v GET NX", kNil3), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("SET k v GET KEEPTTL", old), ElementsAre("SET k v KEEPTTL => ok"));
  EXPECT_THAT(Emitted("SET k v GET", Bulk("")), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("SET k v XX GET", Bulk("")), ElementsAre("SET k v => ok"));
}

TEST(RewriteSet, ExpiriesBecomeMomentsOnTheSecondarysClock) {
  EXPECT_THAT(Emitted("SET k v EX 10", kOk), ElementsAre("SET k v PXAT 1010510 => ok"));
  EXPECT_THAT(Emitted("SET k v px 10", kOk), ElementsAre("SET k v PXAT 1000520 => ok"));
  EXPECT_THAT(Emitted("SET k v EXAT 2000", kOk), ElementsAre("SET k v PXAT 2000000 => ok"));
  EXPECT_THAT(Emitted("SET k v PXAT 2000001", kOk), ElementsAre("SET k v PXAT 2000001 => ok"));
}

TEST(RewriteSet, ConditionAndExpiryInAnyOrder) {
  EXPECT_THAT(Emitted("SET k v NX EX 10", kOk), ElementsAre("SET k v PXAT 1010510 => ok"));
  EXPECT_THAT(Emitted("SET k v PX 10 XX", kOk), ElementsAre("SET k v PXAT 1000520 => ok"));
  EXPECT_THAT(Emitted("SET k v EX 10 GET XX", Bulk("old")), ElementsAre("SET k v PXAT 1010510 => ok"));
  EXPECT_THAT(Emitted("SET k v EX 10 GET XX", kNil), IsEmpty());
  EXPECT_THAT(Emitted("SET k v NX EX 10", kNil), IsEmpty());
}

TEST(RewriteSet, PastOnTheSecondarysClockIsADel) {
  EXPECT_THAT(Emitted("SET k v EXAT 1", kOk), ElementsAre("DEL k => no error"));
  EXPECT_THAT(Emitted("SET k v PXAT 1000510", kOk), ElementsAre("DEL k => no error"));
  EXPECT_THAT(Emitted("SET k v PXAT 1000511", kOk), ElementsAre("SET k v PXAT 1000511 => ok"));
}

TEST(RewriteSet, OptionsNotKnownAreUnknown) {
  EXPECT_THAT(Emitted("SET k v IFLESS x", kOk), ElementsAre(kUnknown));
  EXPECT_THAT(Emitted("SET k v EX", kOk), ElementsAre(kUnknown));
  EXPECT_THAT(Emitted("SET k v STICK", kOk), ElementsAre(kUnknown));
}

// Dragonfly reads numbers that Redis refuses. The key must not become immortal on the secondary.
TEST(RewriteSet, ExpiriesNotUnderstoodAreUnknown) {
  EXPECT_THAT(Emitted("SET k v EX +10", kOk), ElementsAre(kUnknown));
  EXPECT_THAT(Emitted("SET k v NX PX 010", kNil), IsEmpty());
  EXPECT_THAT(Emitted("SET k v EX 9223372036854775807", kOk), ElementsAre(kUnknown));
  EXPECT_THAT(Emitted("SETEX k 010 v", kOk), ElementsAre(kUnknown));
}

TEST(Rewrite, SetExPsetEx) {
  EXPECT_THAT(Emitted("SETEX k 10 v", kOk), ElementsAre("SET k v PXAT 1010510 => ok"));
  EXPECT_THAT(Emitted("PSETEX k 10 v", kOk), ElementsAre("SET k v PXAT 1000520 => ok"));
}

TEST(Rewrite, SetNx) {
  EXPECT_THAT(Emitted("SETNX k v", ":1\r\n"), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("SETNX k v", ":0\r\n"), IsEmpty());
}

TEST(Rewrite, GetSetGetDel) {
  EXPECT_THAT(Emitted("GETSET k v", kNil), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("GETSET k v", Bulk("old")), ElementsAre("SET k v => ok"));
  EXPECT_THAT(Emitted("GETDEL k", Bulk("old")), ElementsAre("DEL k => 1"));
  EXPECT_THAT(Emitted("GETDEL k", kNil), IsEmpty());
  EXPECT_THAT(Emitted("GETDEL k", kNil3), IsEmpty());
}

TEST(Rewrite, GetEx) {
  const std::string value = Bulk("v");
  EXPECT_THAT(Emitted("GETEX k", value), IsEmpty());
  EXPECT_THAT(Emitted("GETEX k EX 10", kNil), IsEmpty());
  EXPECT_THAT(Emitted("GETEX k EX 10", value), ElementsAre("PEXPIREAT k 1010510 => 1"));
  EXPECT_THAT(Emitted("GETEX k px 10", value), ElementsAre("PEXPIREAT k 1000520 => 1"));
  EXPECT_THAT(Emitted("GETEX k EXAT 2000", value), ElementsAre("PEXPIREAT k 2000000 => 1"));
  EXPECT_THAT(Emitted("GETEX k PXAT 2000001", value), ElementsAre("PEXPIREAT k 2000001 => 1"));
  EXPECT_THAT(Emitted("GETEX k EXAT 1", value), ElementsAre("DEL k => 1"));
  EXPECT_THAT(Emitted("GETEX k persist", value), ElementsAre("PERSIST k => no error"));
  EXPECT_THAT(Emitted("GETEX k SOON", value), ElementsAre(kUnknown));
  EXPECT_THAT(Emitted("GETEX k EX 010", value), ElementsAre(kUnknown));
}

TEST(Rewrite, ExpireFamily) {
  EXPECT_THAT(Emitted("EXPIRE k 10", ":1\r\n"), ElementsAre("PEXPIREAT k 1010510 => 1"));
  EXPECT_THAT(Emitted("PEXPIRE k 10", ":1\r\n"), ElementsAre("PEXPIREAT k 1000520 => 1"));
  EXPECT_THAT(Emitted("EXPIREAT k 2000", ":1\r\n"), ElementsAre("PEXPIREAT k 2000000 => 1"));
  EXPECT_THAT(Emitted("PEXPIREAT k 2000001", ":1\r\n"), ElementsAre("PEXPIREAT k 2000001 => 1"));
}

TEST(Rewrite, ExpireThatDidNothing) {
  for (const char* command : {"EXPIRE k 10", "PEXPIRE k 10 NX", "EXPIREAT k 1", "PEXPIREAT k 2000001 GT"}) {
    EXPECT_THAT(Emitted(command, ":0\r\n"), IsEmpty()) << command;
  }
}

TEST(Rewrite, ExpireConditionsAreDropped) {
  for (const char* condition : {"NX", "XX", "GT", "lt"}) {
    EXPECT_THAT(Emitted(std::string("EXPIRE k 10 ") + condition, ":1\r\n"), ElementsAre("PEXPIREAT k 1010510 => 1"));
  }
}

TEST(Rewrite, ExpireInThePastIsADel) {
  for (const char* command : {"EXPIRE k 0", "EXPIRE k -1", "PEXPIRE k 0", "PEXPIRE k -5", "EXPIREAT k 0",
                              "EXPIREAT k -7", "EXPIREAT k 1000", "PEXPIREAT k 1000510"}) {
    EXPECT_THAT(Emitted(command, ":1\r\n"), ElementsAre("DEL k => 1")) << command;
  }
  EXPECT_THAT(Emitted("PEXPIREAT k 1000511", ":1\r\n"), ElementsAre("PEXPIREAT k 1000511 => 1"));
  EXPECT_THAT(Emitted("EXPIRE k +10", ":1\r\n"), ElementsAre(kUnknown));
}

// A server takes any expiry that is within 64 bits by its own clock.
TEST(Rewrite, ExpireAtTheEndOfTime) {
  constexpr char kLast[] = "9223372036854775807";
  EXPECT_THAT(Emitted(std::string("PEXPIREAT k ") + kLast, ":1\r\n"),
              ElementsAre("PEXPIREAT k 9223372036854775807 => 1"));
  EXPECT_THAT(Emitted(std::string("PEXPIRE k ") + kLast, ":1\r\n"),
              ElementsAre("PEXPIREAT k 9223372036854775807 => 1"));
  const Follow follow = FollowOf(std::string("PEXPIREAT k ") + kLast, ":1\r\n");
  ASSERT_EQ(follow.expiries.size(), 1u);
  EXPECT_GT(follow.expiries[0].window.from_ms, std::numeric_limits<int64_t>::max() - 1000);
  EXPECT_EQ(follow.expiries[0].window.to_ms, std::numeric_limits<int64_t>::max());
}

TEST(Rewrite, PersistOnlyIfItDid) {
  EXPECT_THAT(Emitted("PERSIST k", ":1\r\n"), ElementsAre("PERSIST k => same"));
  EXPECT_THAT(Emitted("PERSIST k", ":0\r\n"), IsEmpty());
}

TEST(Rewrite, MsetNx) {
  EXPECT_THAT(Emitted("MSETNX a 1 b 2", ":1\r\n"), ElementsAre("MSET a 1 b 2 => ok"));
  EXPECT_THAT(Emitted("MSETNX a 1 b 2", ":0\r\n"), IsEmpty());
}

TEST(Rewrite, IncrByFloat) {
  EXPECT_THAT(Emitted("INCRBYFLOAT k 0.5", Bulk("3.5")), ElementsAre("SET k 3.5 KEEPTTL GET => number:3"));
  EXPECT_THAT(Emitted("INCRBYFLOAT k -2", Bulk("-2")), ElementsAre("SET k -2 KEEPTTL GET => number:0"));
  EXPECT_THAT(Emitted("INCRBYFLOAT k 1e3", Bulk("1001.5")), ElementsAre("SET k 1001.5 KEEPTTL GET => number:1.5"));
  EXPECT_THAT(Emitted("INCRBYFLOAT k 0x10", Bulk("17")), ElementsAre("SET k 17 KEEPTTL GET => no error"));
}

TEST(Rewrite, Bitfield) {
  EXPECT_THAT(Emitted("BITFIELD k GET u8 0", "*1\r\n:0\r\n"), IsEmpty());
  EXPECT_THAT(Emitted("BITFIELD k", "*0\r\n"), IsEmpty());
  EXPECT_THAT(Emitted("BITFIELD set GET u8 0", "*1\r\n:0\r\n"), IsEmpty());
  EXPECT_THAT(Emitted("BITFIELD k GET u8 0 set u8 0 1", "*2\r\n:0\r\n:0\r\n"),
              ElementsAre("BITFIELD k GET u8 0 set u8 0 1 => same"));
  EXPECT_THAT(Emitted("BITFIELD k OVERFLOW FAIL INCRBY u2 0 9", "*1\r\n$-1\r\n"),
              ElementsAre("BITFIELD k OVERFLOW FAIL INCRBY u2 0 9 => same"));
}

TEST(Rewrite, VerbatimKeepsEveryByte) {
  const std::string value("a b\r\n\0c", 8);
  const std::vector<std::string_view> words = {"append", "", value};
  const Follow follow = FollowOf(words, ":8\r\n");
  EXPECT_EQ(follow.bytes, MakeRequest(words).view().bytes());
  EXPECT_THAT(Emitted("DEL a b", ":0\r\n"), ElementsAre("DEL a b => same"));
  EXPECT_THAT(Emitted("PFCOUNT a", ":0\r\n"), ElementsAre("PFCOUNT a => same"));
  EXPECT_THAT(Emitted("FLUSHALL", kOk), ElementsAre("FLUSHALL => same"));
}

TEST(Rewrite, AppendsToWhatIsThere) {
  Follow follow = FollowOf("SET a 1", kOk);
  const Request request = MakeRequest({"DEL", "b"});
  Rewrite({*FindCommandByName("del"), request.view(), ":1\r\n", {}, kTimes}, &follow);
  EXPECT_THAT(Described(follow), ElementsAre("SET a 1 => ok", "DEL b => same"));
  follow.unknown = true;
  follow.Clear();
  EXPECT_THAT(Described(follow), IsEmpty());
  EXPECT_THAT(follow.expiries, IsEmpty());
}

// In a block, an element that can't be told doesn't hide those behind it.
TEST(Rewrite, AnEarlierUnknownHidesNothing) {
  Follow follow = FollowOf("SET a 1 STICK", kOk);
  const Request request = MakeRequest({"SET", "b", "2"});
  Rewrite({*FindCommandByName("set"), request.view(), kOk, {}, kTimes}, &follow);
  EXPECT_THAT(Described(follow), ElementsAre("SET b 2 => ok", kUnknown));
}

TEST(RewriteRestore, Times) {
  EXPECT_THAT(Emitted("RESTORE k 0 P", kOk), ElementsAre("RESTORE k 0 P REPLACE ABSTTL => ok"));
  EXPECT_THAT(Emitted("RESTORE k 10 P REPLACE", kOk), ElementsAre("RESTORE k 1000520 P REPLACE ABSTTL => ok"));
  EXPECT_THAT(Emitted("RESTORE k 2000000 P absttl", kOk), ElementsAre("RESTORE k 2000000 P REPLACE ABSTTL => ok"));
  EXPECT_THAT(Emitted("RESTORE k 0 P ABSTTL", kOk), ElementsAre("RESTORE k 0 P REPLACE ABSTTL => ok"));
  EXPECT_THAT(Emitted("RESTORE k 1000 P ABSTTL", kOk), ElementsAre("DEL k => no error"));
  EXPECT_THAT(Emitted("RESTORE k 010 P", kOk), ElementsAre(kUnknown));
}

TEST(RewriteRestore, OtherOptionsStay) {
  EXPECT_THAT(Emitted("RESTORE k 10 P IDLETIME 7 REPLACE FREQ 3", kOk),
              ElementsAre("RESTORE k 1000520 P REPLACE ABSTTL IDLETIME 7 FREQ 3 => ok"));
}

TEST(RewriteNames, RenameNxAndCopyAndMove) {
  EXPECT_THAT(Emitted("RENAMENX a b", ":1\r\n"), ElementsAre("RENAME a b => ok"));
  EXPECT_THAT(Emitted("RENAMENX a b", ":0\r\n"), IsEmpty());
  EXPECT_THAT(Emitted("COPY a b", ":1\r\n"), ElementsAre("COPY a b REPLACE => 1"));
  EXPECT_THAT(Emitted("COPY a b replace db 3", ":1\r\n"), ElementsAre("COPY a b DB 3 REPLACE => 1"));
  EXPECT_THAT(Emitted("COPY a db DB 3 REPLACE", ":1\r\n"), ElementsAre("COPY a db DB 3 REPLACE => 1"));
  EXPECT_THAT(Emitted("COPY a b REPLACE", ":0\r\n"), IsEmpty());
  EXPECT_THAT(Emitted("MOVE a 2", ":1\r\n"), ElementsAre("MOVE a 2 => same"));
  EXPECT_THAT(Emitted("MOVE a 2", ":0\r\n"), IsEmpty());
}

TEST(ExpiryNotes, RelativeExpiriesAreCountedFromSentToRead) {
  for (const char* command : {"SET k v PX 1000", "SETEX k 1 v", "PSETEX k 1000 v", "RESTORE k 1000 P"}) {
    EXPECT_THAT(Notes(FollowOf(command, kOk)), ElementsAre("k 1000995 1001015")) << command;
  }
  EXPECT_THAT(Notes(FollowOf("EXPIRE k 1", ":1\r\n")), ElementsAre("k 1000995 1001015"));
  EXPECT_THAT(Notes(FollowOf("GETEX k EX 1", Bulk("v"))), ElementsAre("k 1000995 1001015"));
}

// Each server's clock says when: the one that is ahead (here by 500 ms) is done first, the one behind (200 ms) last.
TEST(ExpiryNotes, AbsoluteExpiriesAreByBothClocks) {
  for (const char* command : {"SET k v PXAT 2000000", "SET k v EXAT 2000", "RESTORE k 2000000 P ABSTTL"}) {
    EXPECT_THAT(Notes(FollowOf(command, kOk)), ElementsAre("k 1999495 2000205")) << command;
  }
  EXPECT_THAT(Notes(FollowOf("PEXPIREAT k 2000000", ":1\r\n")), ElementsAre("k 1999495 2000205"));
  RewriteOptions swapped;
  std::swap(swapped.times.primary_offset_ms, swapped.times.secondary_offset_ms);
  EXPECT_THAT(Notes(FollowOf("PEXPIREAT k 2000000", ":1\r\n", swapped)), ElementsAre("k 1999495 2000205"));
}

// What is past on the secondary's clock is deleted there, and lives on where the clock is behind.
TEST(ExpiryNotes, PastOnOneSideOnly) {
  EXPECT_THAT(Notes(FollowOf("PEXPIREAT k 1000400", ":1\r\n")), ElementsAre("k 999895 1000605"));
  EXPECT_THAT(Notes(FollowOf("SET k v PXAT 1000400", kOk)), ElementsAre("k 999895 1000605"));
  EXPECT_THAT(Notes(FollowOf("GETEX k PXAT 1000400", Bulk("v"))), ElementsAre("k 999895 1000605"));
  EXPECT_THAT(Notes(FollowOf("RESTORE k 1000400 P ABSTTL", kOk)), ElementsAre("k 999895 1000605"));
}

TEST(ExpiryNotes, NoneWithoutAnExpiry) {
  for (const char* command : {"SET k v", "SET k v KEEPTTL", "RESTORE k 0 P"}) {
    EXPECT_THAT(Notes(FollowOf(command, kOk)), IsEmpty()) << command;
  }
  EXPECT_THAT(Notes(FollowOf("SET k v NX PX 1000", kNil)), IsEmpty());
  EXPECT_THAT(Notes(FollowOf("EXPIRE k 1", ":0\r\n")), IsEmpty());
}

TEST(ExpiryNotes, AnotherNameInheritsIt) {
  EXPECT_THAT(Notes(FollowOf("RENAME a b", kOk)), ElementsAre("a > b -1"));
  EXPECT_THAT(Notes(FollowOf("RENAMENX a b", ":1\r\n")), ElementsAre("a > b -1"));
  EXPECT_THAT(Notes(FollowOf("RENAMENX a b", ":0\r\n")), IsEmpty());
  EXPECT_THAT(Notes(FollowOf("COPY a b", ":1\r\n")), ElementsAre("a > b -1"));
  EXPECT_THAT(Notes(FollowOf("COPY a b DB 3", ":1\r\n")), ElementsAre("a > b 3"));
  EXPECT_THAT(Notes(FollowOf("MOVE a 2", ":1\r\n")), ElementsAre("a > a 2"));
  EXPECT_THAT(Notes(FollowOf("MOVE a 2", ":0\r\n")), IsEmpty());
}

}  // namespace
}  // namespace crossfade
