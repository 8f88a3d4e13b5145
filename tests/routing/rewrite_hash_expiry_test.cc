// Rewrite, fields of hashes that expire. On the secondary's clock it is 1'000'510.
#include "routing/rewrite_hash_expiry.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/routing/agree.h"
#include "tests/routing/rewriting.h"

namespace crossfade {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Codes(std::initializer_list<int> codes) {
  std::string reply = "*" + std::to_string(codes.size()) + "\r\n";
  for (int code : codes) reply += Integer(code);
  return reply;
}

TEST(RewriteHexpire, TheTimeIsTheSecondarys) {
  const std::string set = "HPEXPIREAT k 1100510 FIELDS 2 f g => reply:*2/:1/:1/";
  EXPECT_THAT(Emitted("HEXPIRE k 100 FIELDS 2 f g", Codes({1, 1})), ElementsAre(set));
  EXPECT_THAT(Emitted("hpexpire k 100000 fields 2 f g", Codes({1, 1})), ElementsAre(set));
  EXPECT_THAT(Emitted("HEXPIREAT k 1100 FIELDS 1 f", Codes({1})),
              ElementsAre("HPEXPIREAT k 1100000 FIELDS 1 f => reply:*1/:1/"));
  EXPECT_THAT(Emitted("HPEXPIREAT k 1100001 FIELDS 1 f", Codes({1})),
              ElementsAre("HPEXPIREAT k 1100001 FIELDS 1 f => reply:*1/:1/"));
}

TEST(RewriteHexpire, FieldByField) {
  EXPECT_THAT(Emitted("HEXPIRE k 100 NX FIELDS 5 a b c d e", Codes({1, 0, -2, 1, 2})),
              ElementsAre("HPEXPIREAT k 1100510 FIELDS 2 a d => reply:*2/:1/:1/", "HDEL k e => 1"));
  EXPECT_THAT(Emitted("HEXPIRE k 100 GT FIELDS 2 a b", Codes({0, -2})), IsEmpty());
  EXPECT_THAT(Emitted("HEXPIRE k 100 FIELDS 1 a LT", Codes({1})),
              ElementsAre("HPEXPIREAT k 1100510 FIELDS 1 a => reply:*1/:1/"));
  // A field may be called as an option is.
  EXPECT_THAT(Emitted("HEXPIRE k 100 FIELDS 2 FIELDS NX", Codes({0, 1})),
              ElementsAre("HPEXPIREAT k 1100510 FIELDS 1 NX => reply:*1/:1/"));
}

TEST(RewriteHexpire, PastTimesDelete) {
  EXPECT_THAT(Emitted("HEXPIRE k 0 FIELDS 2 a b", Codes({2, 2})), ElementsAre("HDEL k a b => 2"));
  EXPECT_THAT(Emitted("HPEXPIREAT k 1 FIELDS 2 a b", Codes({2, -2})), ElementsAre("HDEL k a => 1"));
  // The primary's clock is behind the secondary's.
  EXPECT_THAT(Emitted("HPEXPIREAT k 1000300 FIELDS 2 a b", Codes({1, 1})), ElementsAre("HDEL k a b => 2"));
  EXPECT_THAT(Emitted("HPEXPIREAT k 1000511 FIELDS 1 a", Codes({1})),
              ElementsAre("HPEXPIREAT k 1000511 FIELDS 1 a => reply:*1/:1/"));
}

TEST(RewriteHexpire, NoKey) {
  for (std::string_view none : {"*0\r\n", kNil, kNil3, kNilArray}) {
    EXPECT_THAT(Emitted("HEXPIRE k 100 FIELDS 1 f", none), IsEmpty());
    EXPECT_THAT(Emitted("HPERSIST k FIELDS 1 f", none), IsEmpty());
  }
  EXPECT_THAT(Emitted("HEXPIRE k 100 FIELDS 1 f", Codes({-2})), IsEmpty());
}

TEST(RewriteHexpire, WhatIsNotUnderstoodIsUnknown) {
  EXPECT_THAT(Emitted("HEXPIRE k +100 FIELDS 1 f", Codes({1})), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HEXPIRE k 9223372036854775807 FIELDS 1 f", Codes({1})), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HEXPIRE k 100 SOON FIELDS 1 f", Codes({1})), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HEXPIRE k 100 FIELDS 2 f g", Codes({1})), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HEXPIRE k 100 FIELDS 3 f g", Codes({1, 1, 1})), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HEXPIRE k 100 FIELDS -1 f", Codes({1})), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HEXPIRE k 100 FIELDS 9223372036854775807 f", Codes({1})), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HEXPIRE k 100 NX NX NX", Codes({1})), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HEXPIRE k 100 FIELDS 1 f", "+OK\r\n"), ElementsAre("unknown"));
}

TEST(RewriteHpersist, OnlyWhatLostItsExpiry) {
  EXPECT_THAT(Emitted("HPERSIST k FIELDS 3 a b c", Codes({1, -1, 1})),
              ElementsAre("HPERSIST k FIELDS 2 a c => reply:*2/:1/:1/"));
  EXPECT_THAT(Emitted("HPERSIST k FIELDS 2 a b", Codes({-1, -2})), IsEmpty());
  EXPECT_THAT(Emitted("HPERSIST k FIELDS 2 a b", Codes({1})), ElementsAre("unknown"));
}

TEST(RewriteHsetex, AllOrNothing) {
  EXPECT_THAT(Emitted("HSETEX k FIELDS 2 f v g w", ":1\r\n"), ElementsAre("HSET k f v g w => no error"));
  EXPECT_THAT(Emitted("HSETEX k FNX FIELDS 1 f v", ":1\r\n"), ElementsAre("HSET k f v => no error"));
  EXPECT_THAT(Emitted("HSETEX k FNX EX 100 FIELDS 1 f v", ":0\r\n"), IsEmpty());
}

TEST(RewriteHsetex, Expiries) {
  EXPECT_THAT(Emitted("HSETEX k FXX EX 100 FIELDS 2 f v g w", ":1\r\n"),
              ElementsAre("HSETEX k PXAT 1100510 FIELDS 2 f v g w => 1"));
  EXPECT_THAT(Emitted("HSETEX k FIELDS 1 EX 5 px 100", ":1\r\n"),
              ElementsAre("HSETEX k PXAT 1000610 FIELDS 1 EX 5 => 1"));
  EXPECT_THAT(Emitted("HSETEX k EXAT 1100 FIELDS 1 f v", ":1\r\n"),
              ElementsAre("HSETEX k PXAT 1100000 FIELDS 1 f v => 1"));
  EXPECT_THAT(Emitted("HSETEX k KEEPTTL FIELDS 1 f v", ":1\r\n"), ElementsAre("HSETEX k KEEPTTL FIELDS 1 f v => 1"));
  EXPECT_THAT(Emitted("HSETEX k PXAT 1000510 FIELDS 2 f v g w", ":1\r\n"), ElementsAre("HDEL k f g => no error"));
  EXPECT_THAT(Emitted("HSETEX k EX +5 FIELDS 1 f v", ":1\r\n"), ElementsAre("unknown"));
}

TEST(RewriteHsetex, DragonflysOwnFormIsUnknown) {
  EXPECT_THAT(Emitted("HSETEX k 100 f v", ":1\r\n"), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HSETEX k NX 100 f v", ":0\r\n"), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HSETEX k FIELDS 2 f v g", ":1\r\n"), ElementsAre("unknown"));
}

TEST(RewriteHgetex, WhatWasThere) {
  const std::string some = List('*', {Bulk("v"), kNil, Bulk("w")});
  const std::string some3 = List('*', {Bulk("v"), kNil3, Bulk("w")});
  for (const std::string& reply : {some, some3}) {
    EXPECT_THAT(Emitted("HGETEX k EX 100 FIELDS 3 f g h", reply),
                ElementsAre("HPEXPIREAT k 1100510 FIELDS 2 f h => reply:*2/:1/:1/"));
    EXPECT_THAT(Emitted("HGETEX k PERSIST FIELDS 3 f g h", reply), ElementsAre("HPERSIST k FIELDS 2 f h => no error"));
    EXPECT_THAT(Emitted("HGETEX k PXAT 7 FIELDS 3 f g h", reply), ElementsAre("HDEL k f h => 2"));
    EXPECT_THAT(Emitted("HGETEX k FIELDS 3 f g h", reply), IsEmpty());
    EXPECT_THAT(Emitted("HGETDEL k FIELDS 3 f g h", reply), ElementsAre("HDEL k f h => 2"));
  }
}

TEST(RewriteHgetex, NothingThere) {
  for (std::string_view reply : {std::string_view("*2\r\n$-1\r\n$-1\r\n"), std::string_view("*2\r\n_\r\n_\r\n"),
                                 std::string_view(kNilArray), std::string_view(kNil3)}) {
    EXPECT_THAT(Emitted("HGETEX k EX 100 FIELDS 2 f g", reply), IsEmpty());
    EXPECT_THAT(Emitted("HGETDEL k FIELDS 2 f g", reply), IsEmpty());
  }
}

TEST(RewriteHgetex, WhatIsNotUnderstoodIsUnknown) {
  EXPECT_THAT(Emitted("HGETEX k EX x FIELDS 1 f", Bulks({"v"})), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HGETEX k FIELDS 2 f g", Bulks({"v"})), ElementsAre("unknown"));
  EXPECT_THAT(Emitted("HGETDEL k LATER FIELDS 1 f", Bulks({"v"})), ElementsAre("unknown"));
}

// Repeated as they are also where fields expire: what they answer shows a field that has gone on one side only, and
// nothing else would.
TEST(RewriteHincrby, ShowsADrift) {
  const RewriteOptions expiring = {.companions = {}, .field_expiry = true};
  EXPECT_THAT(Emitted("HINCRBY k f 5", ":7\r\n", expiring), ElementsAre("HINCRBY k f 5 => same"));
  EXPECT_THAT(Emitted("HINCRBYFLOAT k f 5", Bulk("7"), expiring), ElementsAre("HINCRBYFLOAT k f 5 => same"));
  EXPECT_THAT(Emitted("HINCRBYFLOAT k f 5", Bulk("7")), ElementsAre("HSET k f 7 => no error"));
}

}  // namespace
}  // namespace crossfade
