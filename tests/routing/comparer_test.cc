#include "routing/comparer.h"

#include <chrono>
#include <string>

#include "gtest/gtest.h"
#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"
#include "tests/routing/agree.h"

namespace crossfade {
namespace {

constexpr CompareRule kAllRules[] = {CompareRule::kExact,     CompareRule::kMultiset,   CompareRule::kMapPairs,
                                     CompareRule::kFloat,     CompareRule::kGeo,        CompareRule::kGeoSearch,
                                     CompareRule::kSort,      CompareRule::kTtlSeconds, CompareRule::kTtlMillis,
                                     CompareRule::kStreamInfo};

TEST(Comparer, EveryRuleSeesEqualBytesAndOtherTypes) {
  for (CompareRule rule : kAllRules) {
    SCOPED_TRACE(static_cast<int>(rule));
    EXPECT_TRUE(Agree(rule, {"GET", "k"}, "$1\r\na\r\n", "$1\r\na\r\n"));
    EXPECT_FALSE(Agree(rule, {"GET", "k"}, "$1\r\na\r\n", "$1\r\nb\r\n"));
    EXPECT_FALSE(Agree(rule, {"GET", "k"}, "$1\r\na\r\n", "$-1\r\n"));
    EXPECT_FALSE(Agree(rule, {"GET", "k"}, "*0\r\n", "$-1\r\n"));
    EXPECT_FALSE(Agree(rule, {"GET", "k"}, Bulks({"a"}), Bulks({"a", "b"})));
    EXPECT_FALSE(Agree(rule, {"GET", "k"}, Bulks({"a"}), "$1\r\na\r\n"));
    EXPECT_TRUE(Agree(rule, {"GET", "k"}, "$-1\r\n", "_\r\n"));
    EXPECT_TRUE(Agree(rule, {"GET", "k"}, "*-1\r\n", "$-1\r\n"));
  }
}

TEST(Comparer, ErrorsByTheirFirstWord) {
  for (CompareRule rule : kAllRules) {
    EXPECT_TRUE(Agree(rule, {"GET", "k"}, "-ERR a\r\n", "-ERR unknown command\r\n"));
    EXPECT_TRUE(Agree(rule, {"GET", "k"}, "-ERR a\r\n", "!5\r\nERR b\r\n"));
    EXPECT_FALSE(Agree(rule, {"GET", "k"}, "-ERR a\r\n", "-WRONGTYPE a\r\n"));
    EXPECT_FALSE(Agree(rule, {"GET", "k"}, "-ERR a\r\n", "+ERR a\r\n"));
    EXPECT_FALSE(Agree(rule, {"GET", "k"}, "-ERR a\r\n", "*0\r\n"));
    EXPECT_FALSE(Agree(rule, {"GET", "k"}, "-ERR a\r\n", "$-1\r\n"));
  }
  EXPECT_TRUE(Agree(CompareRule::kExact, {"EXEC"}, "*2\r\n:1\r\n-ERR a\r\n", "*2\r\n:1\r\n-ERR b\r\n"));
  EXPECT_FALSE(Agree(CompareRule::kExact, {"EXEC"}, "*2\r\n:1\r\n-ERR a\r\n", "*2\r\n:1\r\n-BUSY b\r\n"));
}

TEST(Comparer, ErrorsOnlyAndNever) {
  EXPECT_TRUE(Agree(CompareRule::kErrorsOnly, {"X"}, ":1\r\n", "$1\r\nb\r\n"));
  EXPECT_TRUE(Agree(CompareRule::kErrorsOnly, {"X"}, "-ERR a\r\n", "-WRONGTYPE b\r\n"));
  EXPECT_FALSE(Agree(CompareRule::kErrorsOnly, {"X"}, ":1\r\n", "-ERR b\r\n"));
  EXPECT_TRUE(Agree(CompareRule::kNever, {"X"}, ":1\r\n", "-ERR b\r\n"));
}

TEST(Comparer, ShapesOfTwoProtocols) {
  const auto exact = [](const std::string& a, const std::string& b) {
    return Agree(CompareRule::kExact, {"ANY", "k"}, a, b);
  };
  EXPECT_TRUE(exact("+OK\r\n", "$2\r\nOK\r\n"));
  EXPECT_FALSE(exact("+OK\r\n", "$2\r\nok\r\n"));
  EXPECT_TRUE(exact("=6\r\ntxt:ab\r\n", "$2\r\nab\r\n"));
  EXPECT_TRUE(exact("#t\r\n", ":1\r\n"));
  EXPECT_TRUE(exact("#f\r\n", ":0\r\n"));
  EXPECT_FALSE(exact("#t\r\n", ":0\r\n"));
  EXPECT_TRUE(exact(",3.1\r\n", "$3\r\n3.1\r\n"));
  EXPECT_TRUE(exact(",3.1\r\n", "$18\r\n3.1000000000000001\r\n"));
  EXPECT_FALSE(exact(",3.1\r\n", "$3\r\n3.2\r\n"));
  EXPECT_TRUE(exact(",inf\r\n", "$3\r\ninf\r\n"));
  EXPECT_TRUE(exact("(12345678901234567890\r\n", "$20\r\n12345678901234567890\r\n"));
  EXPECT_FALSE(exact(":1\r\n", "$1\r\n1\r\n"));
  EXPECT_TRUE(exact(List('%', {Bulk("a"), ":1\r\n", Bulk("b"), ":2\r\n"}),
                    List('*', {Bulk("a"), ":1\r\n", Bulk("b"), ":2\r\n"})));
  EXPECT_TRUE(exact(List('~', {Bulk("a"), Bulk("b")}), Bulks({"a", "b"})));
  EXPECT_FALSE(exact(List('~', {Bulk("a"), Bulk("b")}), Bulks({"b", "a"})));
  EXPECT_TRUE(exact("%0\r\n", "*0\r\n"));
  EXPECT_TRUE(exact("|1\r\n+a\r\n+b\r\n$1\r\nx\r\n", "$1\r\nx\r\n"));
  // Texts that look like numbers are still texts.
  EXPECT_FALSE(exact(Bulk("1.0"), Bulk("1")));
}

TEST(Comparer, XreadIsAMapOrAnArrayOfPairs) {
  const std::string entries = List('*', {List('*', {Bulk("1-1"), Bulks({"f", "v"})})});
  const std::string map = List('%', {Bulk("s1"), entries, Bulk("s2"), "*0\r\n"});
  const std::string pairs = List('*', {List('*', {Bulk("s1"), entries}), List('*', {Bulk("s2"), "*0\r\n"})});
  const Args read = {"XREAD", "STREAMS", "s1", "s2", "0", "0"};
  EXPECT_TRUE(Agree(CompareRule::kExact, read, map, pairs));
  EXPECT_FALSE(Agree(CompareRule::kExact, read, map, List('*', {List('*', {Bulk("s1"), entries})})));
  const std::string other = List('*', {List('*', {Bulk("s1"), entries}), List('*', {Bulk("s3"), "*0\r\n"})});
  EXPECT_FALSE(Agree(CompareRule::kExact, read, map, other));
  EXPECT_TRUE(Agree(CompareRule::kExact, read, "_\r\n", "*-1\r\n"));
}

TEST(Comparer, NestedPairsOnlyWhereAProtocolNestsThem) {
  const std::string flat = Bulks({"a", "1", "b", "2"});
  const std::string nested = List('*', {Bulks({"a", "1"}), Bulks({"b", "2"})});
  const Args kWithPairs[] = {
      {"ZRANGE", "k", "0", "-1", "WITHSCORES"}, {"zpopmin", "k", "2"},
      {"HRANDFIELD", "k", "2", "withvalues"},   {"ZUNION", "2", "k", "withscores", "WITHSCORES"},
      {"ZRANDMEMBER", "k", "2", "WITHSCORES"},  {"ZREVRANGEBYSCORE", "k", "9", "0", "withscores"}};
  for (const Args& args : kWithPairs) {
    for (CompareRule rule : {CompareRule::kExact, CompareRule::kFloat}) {
      EXPECT_TRUE(Agree(rule, args, flat, nested)) << args.begin()[0];
      EXPECT_FALSE(Agree(rule, args, flat, List('*', {Bulks({"a", "1"}), Bulks({"b", "3"})})));
      EXPECT_FALSE(Agree(rule, args, flat, List('*', {Bulks({"a", "1"})})));
    }
  }
  for (const Args& args : {Args{"EVAL_RO", "return 1", "0"}, Args{"ZUNION", "2", "k", "withscores"},
                           Args{"ZRANGE", "withscores", "0", "-1"}}) {
    EXPECT_FALSE(Agree(CompareRule::kExact, args, flat, nested));
  }
}

TEST(Comparer, HyperLogLogsAreNotComparedByBytes) {
  std::string a = std::string("HYLL\x01\0\0\0", 8) + std::string(8, '\0') + "abc";
  std::string b = a;
  b[15] = '\x80';
  EXPECT_TRUE(Agree(CompareRule::kExact, {"GET", "k"}, Bulk(a), Bulk(b)));
  EXPECT_TRUE(Agree(CompareRule::kExact, {"MGET", "k", "l"}, Bulks({a, "x"}), Bulks({b, "x"})));
  EXPECT_FALSE(Agree(CompareRule::kExact, {"MGET", "k", "l"}, Bulks({a, "x"}), Bulks({b, "y"})));
  EXPECT_FALSE(Agree(CompareRule::kExact, {"LINDEX", "k", "0"}, Bulk(a), Bulk(b)));
  EXPECT_FALSE(Agree(CompareRule::kExact, {"GET", "k"}, Bulk(a), Bulk("HYLL")));
  b[4] = 0;  // dense, but not of the dense form's size
  EXPECT_FALSE(Agree(CompareRule::kExact, {"GET", "k"}, Bulk(a), Bulk(b)));
}

TEST(Comparer, Multisets) {
  const auto agree = [](const std::string& a, const std::string& b) {
    return Agree(CompareRule::kMultiset, {"SMEMBERS", "k"}, a, b);
  };
  EXPECT_TRUE(agree(Bulks({"a", "b", "c"}), Bulks({"c", "a", "b"})));
  EXPECT_TRUE(agree(List('~', {Bulk("a"), Bulk("b")}), Bulks({"b", "a"})));
  EXPECT_TRUE(agree("~0\r\n", "*0\r\n"));
  EXPECT_FALSE(agree(Bulks({"a", "a", "b"}), Bulks({"a", "b", "b"})));
  EXPECT_FALSE(agree(Bulks({"ab", "c"}), Bulks({"a", "bc"})));
  EXPECT_TRUE(agree(List('*', {Bulks({"a"}), Bulks({"b"})}), List('*', {Bulks({"b"}), Bulks({"a"})})));
  EXPECT_FALSE(
      agree(List('*', {Bulks({"a", "b"}), Bulks({"b", "a"})}), List('*', {Bulks({"b", "b"}), Bulks({"a", "a"})})));
}

TEST(Comparer, MapPairs) {
  const auto agree = [](const std::string& a, const std::string& b) {
    return Agree(CompareRule::kMapPairs, {"HGETALL", "k"}, a, b);
  };
  EXPECT_TRUE(agree(Bulks({"f", "1", "g", "2"}), Bulks({"g", "2", "f", "1"})));
  EXPECT_TRUE(agree(List('%', {Bulk("f"), Bulk("1"), Bulk("g"), Bulk("2")}), Bulks({"g", "2", "f", "1"})));
  EXPECT_FALSE(agree(Bulks({"f", "1", "g", "2"}), Bulks({"f", "2", "g", "1"})));
  EXPECT_FALSE(agree(Bulks({"f", "1", "g", "2"}), Bulks({"1", "f", "g", "2"})));
  EXPECT_FALSE(agree(Bulks({"f", "1", "g"}), Bulks({"g", "1", "f"})));
}

TEST(Comparer, Floats) {
  const auto score = [](const std::string& a, const std::string& b) {
    return Agree(CompareRule::kFloat, {"ZSCORE", "k", "m"}, a, b);
  };
  EXPECT_TRUE(score(Bulk("3.1000000000000001"), Bulk("3.1")));
  EXPECT_TRUE(score(",3.1000000000000001\r\n", Bulk("3.1")));
  EXPECT_TRUE(score(Bulk("inf"), Bulk("inf")));
  EXPECT_FALSE(score(Bulk("inf"), Bulk("-inf")));
  EXPECT_FALSE(score(Bulk("3.1"), Bulk("3.1000000000000005")));
  EXPECT_FALSE(score(Bulk("3.1"), "$-1\r\n"));
  EXPECT_TRUE(Agree(CompareRule::kFloat, {"ZMSCORE", "k", "a", "b"}, List('*', {Bulk("3.1000000000000001"), "$-1\r\n"}),
                    List('*', {",3.1\r\n", "_\r\n"})));
  EXPECT_TRUE(
      Agree(CompareRule::kFloat, {"ZRANK", "k", "a", "WITHSCORE"}, "*2\r\n:3\r\n$3\r\n1.0\r\n", "*2\r\n:3\r\n,1\r\n"));
  EXPECT_FALSE(
      Agree(CompareRule::kFloat, {"ZRANK", "k", "a", "WITHSCORE"}, "*2\r\n:3\r\n$3\r\n1.0\r\n", "*2\r\n:4\r\n,1\r\n"));
}

TEST(Comparer, MembersAreNoNumbers) {
  const Args with_scores = {"ZRANGE", "k", "0", "-1", "WITHSCORES"};
  EXPECT_TRUE(Agree(CompareRule::kFloat, with_scores, Bulks({"1.0", "2.0"}), Bulks({"1.0", "2"})));
  EXPECT_FALSE(Agree(CompareRule::kFloat, with_scores, Bulks({"1.0", "2"}), Bulks({"1", "2"})));
  EXPECT_FALSE(Agree(CompareRule::kFloat, with_scores, Bulks({"a", "1", "b", "1"}), Bulks({"b", "1", "a", "1"})));
  EXPECT_FALSE(Agree(CompareRule::kFloat, {"ZRANGE", "k", "0", "-1"}, Bulks({"1.0"}), Bulks({"1"})));
  EXPECT_FALSE(Agree(CompareRule::kFloat, {"ZRANGEBYLEX", "k", "-", "+"}, Bulks({"1.0"}), Bulks({"1"})));

  EXPECT_TRUE(Agree(CompareRule::kFloat, {"ZPOPMIN", "k"}, Bulks({"m", "1.0"}), List('*', {Bulk("m"), ",1\r\n"})));
  EXPECT_FALSE(Agree(CompareRule::kFloat, {"ZPOPMIN", "k"}, Bulks({"1.0", "1"}), Bulks({"1", "1"})));

  const Args pop = {"ZMPOP", "1", "k", "MIN"};
  const auto popped = [](std::string_view key, std::string_view member, std::string_view score) {
    return List('*', {Bulk(key), List('*', {Bulks({member, score})})});
  };
  EXPECT_TRUE(Agree(CompareRule::kFloat, pop, popped("k", "1", "2.0"), popped("k", "1", "2")));
  EXPECT_FALSE(Agree(CompareRule::kFloat, pop, popped("k", "1.0", "2"), popped("k", "1", "2")));
  EXPECT_FALSE(Agree(CompareRule::kFloat, pop, popped("1.0", "m", "2"), popped("1", "m", "2")));
  EXPECT_TRUE(Agree(CompareRule::kFloat, {"BZPOPMIN", "k", "1"}, Bulks({"k", "1", "2.0"}), Bulks({"k", "1", "2"})));
  EXPECT_FALSE(Agree(CompareRule::kFloat, {"BZPOPMIN", "k", "1"}, Bulks({"k", "1.0", "2"}), Bulks({"k", "1", "2"})));
}

TEST(Comparer, Geo) {
  const Args dist = {"GEODIST", "k", "a", "b"};
  EXPECT_TRUE(Agree(CompareRule::kGeo, dist, Bulk("166274.1516"), Bulk("166274.1517")));
  EXPECT_FALSE(Agree(CompareRule::kGeo, dist, Bulk("166274.1516"), Bulk("166274.1519")));
  const Args pos = {"GEOPOS", "k", "a", "b"};
  const std::string long_form = List('*', {Bulks({"13.36138933897018433", "38.11555639549629859"}), "*-1\r\n"});
  const std::string short_form = List('*', {List('*', {",13.361389338970184\r\n", ",38.1155563954963\r\n"}), "_\r\n"});
  EXPECT_TRUE(Agree(CompareRule::kGeo, pos, long_form, short_form));
  const std::string elsewhere = List('*', {Bulks({"13.36139933897018433", "38.11555639549629859"}), "*-1\r\n"});
  EXPECT_FALSE(Agree(CompareRule::kGeo, pos, long_form, elsewhere));
}

std::string Place(std::string_view name, std::string_view distance) {
  return Bulks({name, distance});
}

TEST(Comparer, GeoSearchHasNoOrderUnlessAskedFor) {
  const std::string a = Bulks({"x", "y", "z"});
  const std::string b = Bulks({"z", "x", "y"});
  const auto agree = [&](Args args) { return Agree(CompareRule::kGeoSearch, args, a, b); };
  EXPECT_TRUE(agree({"GEOSEARCH", "k", "FROMMEMBER", "x", "BYRADIUS", "1", "km"}));
  EXPECT_TRUE(agree({"GEOSEARCH", "k", "FROMMEMBER", "asc", "BYRADIUS", "1", "km"}));
  EXPECT_TRUE(agree({"GEORADIUSBYMEMBER_RO", "asc", "count", "1", "km"}));
  EXPECT_TRUE(agree({"GEORADIUS", "asc", "1", "2", "1", "km"}));
  EXPECT_FALSE(agree({"GEOSEARCH", "k", "FROMMEMBER", "x", "BYRADIUS", "1", "km", "ASC"}));
  EXPECT_FALSE(agree({"GEOSEARCH", "k", "FROMLONLAT", "1", "1", "BYBOX", "1", "1", "km", "desc"}));
  EXPECT_FALSE(agree({"GEORADIUS", "k", "1", "2", "1", "km", "COUNT", "3"}));
  EXPECT_FALSE(agree({"GEORADIUSBYMEMBER", "k", "m", "1", "km", "count", "3"}));
  EXPECT_TRUE(agree({"GEORADIUSBYMEMBER", "k", "m", "1", "km", "count", "3", "any"}));
  const Args search = {"GEOSEARCH", "k", "FROMMEMBER", "x", "BYRADIUS", "1", "km"};
  EXPECT_FALSE(Agree(CompareRule::kGeoSearch, search, a, Bulks({"x", "y", "w"})));
  EXPECT_FALSE(Agree(CompareRule::kGeoSearch, search, a, Bulks({"x", "y"})));
}

TEST(Comparer, GeoSearchComparesWhatIsShownOfAPlace) {
  const Args search = {"GEOSEARCH", "k", "FROMMEMBER", "x", "BYRADIUS", "1", "km", "WITHDIST", "WITHHASH", "WITHCOORD"};
  const auto places = [](const char* distance, const char* hash, const char* longitude) {
    const std::string x = List('*', {Bulk("x"), Bulk("0.0000"), ":1\r\n", Bulks({"1", "2"})});
    const std::string y = List('*', {Bulk("y"), Bulk(distance), hash, Bulks({longitude, "2"})});
    return std::make_pair(List('*', {x, y}), List('*', {y, x}));
  };
  const auto [a, a_turned] = places("1.2345", ":2\r\n", "3.25");
  EXPECT_TRUE(Agree(CompareRule::kGeoSearch, search, a, a_turned));
  EXPECT_TRUE(Agree(CompareRule::kGeoSearch, search, a, places("1.2346", ":2\r\n", "3.2500001").second));
  EXPECT_FALSE(Agree(CompareRule::kGeoSearch, search, a, places("1.2348", ":2\r\n", "3.25").second));
  EXPECT_FALSE(Agree(CompareRule::kGeoSearch, search, a, places("1.2345", ":3\r\n", "3.25").second));
  EXPECT_FALSE(Agree(CompareRule::kGeoSearch, search, a, places("1.2345", ":2\r\n", "3.26").second));
}

TEST(Comparer, GeoSearchTiesHaveNoOrder) {
  const Args sorted = {"GEOSEARCH", "k", "FROMMEMBER", "x", "BYRADIUS", "1", "km", "ASC", "WITHDIST"};
  const std::string a = List('*', {Place("a", "1.0"), Place("b", "2.0"), Place("c", "2.0"), Place("d", "3.0")});
  EXPECT_TRUE(Agree(CompareRule::kGeoSearch, sorted, a,
                    List('*', {Place("a", "1.0"), Place("c", "2.0"), Place("b", "2.0"), Place("d", "3.0")})));
  EXPECT_FALSE(Agree(CompareRule::kGeoSearch, sorted, a,
                     List('*', {Place("b", "2.0"), Place("a", "1.0"), Place("c", "2.0"), Place("d", "3.0")})));
  EXPECT_FALSE(Agree(CompareRule::kGeoSearch, sorted, a,
                     List('*', {Place("a", "1.0"), Place("b", "2.0"), Place("c", "2.0"), Place("e", "3.0")})));
  // COUNT may cut through a tie: which of it is kept is the server's choice, how far away they are is not.
  const Args cut = {"GEOSEARCH", "k", "FROMMEMBER", "x", "BYRADIUS", "1", "km", "COUNT", "2", "WITHDIST"};
  const std::string kept_b = List('*', {Place("a", "1.0"), Place("b", "2.0")});
  EXPECT_TRUE(Agree(CompareRule::kGeoSearch, cut, kept_b, List('*', {Place("a", "1.0"), Place("c", "2.0")})));
  EXPECT_FALSE(Agree(CompareRule::kGeoSearch, cut, kept_b, List('*', {Place("a", "1.0"), Place("c", "2.5")})));
  EXPECT_FALSE(Agree(CompareRule::kGeoSearch, cut, kept_b, List('*', {Place("e", "1.0"), Place("b", "2.0")})));
}

TEST(Comparer, Sort) {
  const std::string a = Bulks({"x", "y", "z", "w"});
  const std::string b = Bulks({"z", "w", "x", "y"});
  const auto agree = [&](Args args) { return Agree(CompareRule::kSort, args, a, b); };
  EXPECT_FALSE(agree({"SORT", "k", "ALPHA"}));
  EXPECT_FALSE(agree({"SORT_RO", "k", "BY", "weight_*"}));
  EXPECT_FALSE(agree({"SORT", "by"}));
  EXPECT_FALSE(agree({"SORT", "k", "GET", "by", "GET", "#"}));
  EXPECT_FALSE(agree({"SORT", "k", "by"}));
  EXPECT_TRUE(agree({"SORT", "k", "BY", "nosort"}));
  EXPECT_TRUE(agree({"sort", "k", "by", "nosort", "GET", "#", "get", "v_*"}));
  const std::string torn = Bulks({"x", "z", "y", "w"});
  EXPECT_FALSE(Agree(CompareRule::kSort, {"SORT", "k", "BY", "nosort", "GET", "#", "GET", "v_*"}, a, torn));
  EXPECT_FALSE(Agree(CompareRule::kSort, {"SORT", "k", "BY", "nosort"}, a, Bulks({"x", "y", "z", "z"})));
  const Args part = {"SORT", "k", "BY", "nosort", "LIMIT", "0", "4"};
  EXPECT_TRUE(Agree(CompareRule::kSort, part, a, Bulks({"p", "q", "r", "s"})));
  EXPECT_FALSE(Agree(CompareRule::kSort, part, a, Bulks({"x", "y", "z"})));
}

TEST(Comparer, Ttls) {
  const auto seconds = [](int64_t a, int64_t b, int64_t tolerance_ms) {
    return Agree(CompareRule::kTtlSeconds, {"TTL", "k"}, Integer(a), Integer(b), tolerance_ms);
  };
  EXPECT_TRUE(seconds(100, 101, 0));
  EXPECT_FALSE(seconds(100, 102, 0));
  EXPECT_TRUE(seconds(100, 102, 1));
  EXPECT_TRUE(seconds(100, 103, 2000));
  EXPECT_FALSE(seconds(100, 104, 2000));
  EXPECT_TRUE(seconds(0, -2, 0));
  EXPECT_TRUE(seconds(1, -2, 0));
  EXPECT_FALSE(seconds(2, -2, 0));
  EXPECT_FALSE(seconds(0, -1, 1000));
  EXPECT_FALSE(seconds(-1, -2, 1000));
  EXPECT_FALSE(seconds(-1, 100, 1000));
  EXPECT_FALSE(seconds(100, -2, 1000));
  EXPECT_FALSE(seconds(INT64_MIN, INT64_MAX, INT64_MAX));
  EXPECT_TRUE(seconds(5, 6, INT64_MIN));

  const auto millis = [](int64_t a, int64_t b, int64_t tolerance_ms) {
    return Agree(CompareRule::kTtlMillis, {"PTTL", "k"}, Integer(a), Integer(b), tolerance_ms);
  };
  EXPECT_TRUE(millis(5000, 5100, 0));
  EXPECT_FALSE(millis(5000, 5101, 0));
  EXPECT_TRUE(millis(5000, 5150, 50));
  EXPECT_TRUE(millis(150, -2, 50));
  EXPECT_FALSE(millis(151, -2, 50));
  EXPECT_FALSE(millis(10, -1, 50));

  const Args fields = {"HTTL", "k", "FIELDS", "3", "a", "b", "c"};
  EXPECT_TRUE(Agree(CompareRule::kTtlSeconds, fields, "*3\r\n:10\r\n:-1\r\n:-2\r\n", "*3\r\n:11\r\n:-1\r\n:0\r\n"));
  EXPECT_FALSE(Agree(CompareRule::kTtlSeconds, fields, "*3\r\n:10\r\n:-1\r\n:-2\r\n", "*3\r\n:12\r\n:-1\r\n:0\r\n"));
  EXPECT_FALSE(Agree(CompareRule::kTtlSeconds, fields, "*1\r\n:10\r\n", "*2\r\n:10\r\n:1\r\n"));
}

// Unordered rules must not be quadratic, and no rule may spend the stack on a reply that the parser lets through.
TEST(Comparer, LargeAndDeepReplies) {
  constexpr int kSize = 200000;
  std::string a = "*" + std::to_string(kSize) + "\r\n";
  std::string b = a;
  for (int i = 0; i < kSize; ++i) AppendBulk(&a, "element" + std::to_string(i));
  for (int i = kSize - 1; i >= 0; --i) AppendBulk(&b, "element" + std::to_string(i));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(RepliesAgree(CompareRule::kMultiset, MakeRequest({"SMEMBERS", "k"}).view(), a, b, 0));
  EXPECT_FALSE(RepliesAgree(CompareRule::kMapPairs, MakeRequest({"HGETALL", "k"}).view(), a, b, 0));
  EXPECT_TRUE(RepliesAgree(CompareRule::kGeoSearch, MakeRequest({"GEOSEARCH", "k"}).view(), a, b, 0));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));  // quadratic: many minutes

  std::string deep;
  for (size_t i = 0; i < kMaxNesting; ++i) deep += i % 2 == 0 ? "*1\r\n" : "~1\r\n";
  for (CompareRule rule : kAllRules) {
    EXPECT_TRUE(Agree(rule, {"ANY"}, deep + "$1\r\na\r\n", deep + "+a\r\n"));
    EXPECT_FALSE(Agree(rule, {"ANY"}, deep + "$1\r\na\r\n", deep + "+b\r\n"));
  }
}

}  // namespace
}  // namespace crossfade
