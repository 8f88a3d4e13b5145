#include "routing/script_book.h"

#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "protocol/sha1.h"

namespace crossfade {
namespace {

constexpr size_t kRoom = 1 << 20;
constexpr char kSet[] = "return redis.call('SET', KEYS[1], ARGV[1])";
constexpr char kPop[] = "return redis.call('SPOP', KEYS[1])";

class ScriptBookTest : public testing::Test {
 protected:
  ScriptPlan Eval(std::string_view body, std::string_view keys = "1") { return Plan("eval", body, keys, true); }
  ScriptPlan EvalSha(std::string_view sha, std::string_view keys = "1") { return Plan("evalsha", sha, keys, true); }
  ScriptPlan Call(std::string_view name, bool has_functions = true, std::string_view keys = "1") {
    return Plan("fcall", name, keys, has_functions);
  }
  ScriptPlan Plan(std::string_view command, std::string_view subject, std::string_view keys, bool has_functions) {
    const Request request = MakeRequest({command, subject, keys, "k"});
    return book_.PlanFor(command, request.view(), has_functions);
  }
  // A book with other settings.
  void Configure(ScriptMode mode, std::vector<ScriptRule> rules, size_t max_bytes = kRoom) {
    config_ = {mode, std::move(rules)};
    book_ = ScriptBook(&config_, max_bytes);
  }

  ScriptsConfig config_;
  ScriptBook book_{&config_, kRoom};
};

TEST_F(ScriptBookTest, UnrepeatableBodiesAreRecognised) {
  for (const char* body :
       {"redis.call('TIME')", "redis.call(\"time\")", "local t = redis.pcall( 'Time' )[1]", "x=math.random(3)",
        "math['random'](1)", kPop, "redis.call('srandmember',KEYS[1])", "return redis.call('RANDOMKEY')",
        "redis.call('HRANDFIELD', KEYS[1])", "redis.call('zrandmember', KEYS[1])", "redis.call('SCAN', 0)",
        "redis.call('sscan', KEYS[1], 0)", "redis.call('HSCAN', KEYS[1], 0)", "redis.call('zscan', KEYS[1], 0)",
        "redis.call('XADD', KEYS[1], '*', 'a', 1)", "os.clock()", "TIME"}) {
    EXPECT_TRUE(ScriptBook::MentionsUnrepeatable(body)) << body;
    EXPECT_TRUE(Eval(body).copy) << body;
  }
  for (const char* body : {kSet, "", "local timestamp = ARGV[1]", "redis.call('SCARD', KEYS[1])",
                           "local times, at_time", "redis.call('EXPIRETIME', KEYS[1])", "randomized = 1"}) {
    EXPECT_FALSE(ScriptBook::MentionsUnrepeatable(body)) << body;
    EXPECT_FALSE(Eval(body).copy) << body;
  }
}

TEST_F(ScriptBookTest, AnEvalShaGoesByItsBody) {
  const std::string pop = book_.Learn(kPop);
  const std::string set = book_.Learn(kSet);
  EXPECT_EQ(pop, Sha1Hex(kPop));
  EXPECT_TRUE(EvalSha(pop).copy);
  EXPECT_FALSE(EvalSha(set).copy);
  EXPECT_TRUE(EvalSha(absl::AsciiStrToUpper(pop)).copy);
  EXPECT_EQ(EvalSha(absl::AsciiStrToUpper(pop)).sha, pop);
  EXPECT_EQ(Eval(kPop).sha, pop);
  ASSERT_NE(book_.Body(pop), nullptr);
  EXPECT_EQ(*book_.Body(absl::AsciiStrToUpper(pop)), kPop);
  EXPECT_EQ(book_.Body(Sha1Hex("another")), nullptr);
}

TEST_F(ScriptBookTest, AnUnknownBodyIsVerbatimUntilTheSecondaryLacksIt) {
  const std::string sha = Sha1Hex(kSet);
  EXPECT_FALSE(EvalSha(sha).copy);
  book_.MissingUnknown(absl::AsciiStrToUpper(sha));
  EXPECT_TRUE(EvalSha(sha).copy);
  EXPECT_FALSE(EvalSha(Sha1Hex("another")).copy);
  book_.Learn(kSet);
  EXPECT_FALSE(EvalSha(sha).copy);
  book_.MissingUnknown(sha);  // too late: the body is known
  EXPECT_FALSE(EvalSha(sha).copy);
}

TEST_F(ScriptBookTest, I9TooManyMissingMeanThatAllUnknownAreCopied) {
  for (int i = 0; i < 10'000; ++i) book_.MissingUnknown(Sha1Hex(std::to_string(i)));
  EXPECT_TRUE(EvalSha(Sha1Hex("9999")).copy);
  EXPECT_FALSE(EvalSha(Sha1Hex("10001")).copy);
  book_.MissingUnknown(Sha1Hex("10000"));
  EXPECT_TRUE(EvalSha(Sha1Hex("10001")).copy);
  book_.Learn(kSet);
  EXPECT_FALSE(EvalSha(Sha1Hex(kSet)).copy);
  book_.Forget();
  EXPECT_FALSE(EvalSha(Sha1Hex("10001")).copy);
}

TEST_F(ScriptBookTest, AFunctionIsCopiedWhereTheSecondaryHasNone) {
  EXPECT_FALSE(Call("f").copy);
  EXPECT_TRUE(Call("f", false).copy);
  EXPECT_EQ(Call("f").sha, "");
  EXPECT_FALSE(Call("time").copy);  // a name says nothing
}

TEST_F(ScriptBookTest, RulesWinOverTheModeAndTheModeOverTheBody) {
  Configure(ScriptMode::kCopy, {});
  EXPECT_TRUE(Eval(kSet).copy);
  EXPECT_TRUE(Call("f").copy);
  Configure(ScriptMode::kVerbatim, {});
  EXPECT_FALSE(Eval(kPop).copy);
  EXPECT_TRUE(Call("f", false).copy);  // it can't be run there
  Configure(ScriptMode::kVerbatim,
            {{absl::AsciiStrToUpper(Sha1Hex(kSet)), ScriptMode::kCopy}, {"My_Function", ScriptMode::kCopy}});
  EXPECT_TRUE(Eval(kSet).copy);
  EXPECT_TRUE(EvalSha(Sha1Hex(kSet)).copy);
  EXPECT_TRUE(Call("my_function").copy);
  EXPECT_FALSE(Call("other").copy);
  Configure(ScriptMode::kCopy, {{Sha1Hex(kPop), ScriptMode::kVerbatim}, {Sha1Hex(kSet), ScriptMode::kAuto}});
  EXPECT_FALSE(Eval(kPop).copy);
  EXPECT_TRUE(Eval(kSet).copy);  // "auto" in a rule: as the mode says
}

TEST_F(ScriptBookTest, WithoutKeysThereIsNothingToCopy) {
  for (const char* keys : {"0", "-1", "many"}) {
    EXPECT_TRUE(Eval(kPop, keys).unnamed_keys) << keys;
    EXPECT_FALSE(Eval(kPop, keys).copy) << keys;
  }
  EXPECT_TRUE(Call("f", false, "0").unnamed_keys);
  EXPECT_FALSE(Call("f", false, "0").copy);
  EXPECT_FALSE(Eval(kPop, "1").unnamed_keys);
}

TEST_F(ScriptBookTest, NoWritesMakesARead) {
  for (const char* line : {"#!lua flags=no-writes", "#!lua  flags=allow-stale,no-writes", "#!lua\tflags=no-writes",
                           "#!lua flags=no-writes\r"}) {
    const std::string body = std::string(line) + "\nreturn redis.call('TIME')";
    EXPECT_TRUE(ScriptBook::IsReadOnly(body)) << line;
    EXPECT_TRUE(Eval(body, "0").reads_only) << line;
    EXPECT_FALSE(Eval(body).copy) << line;
    EXPECT_FALSE(Eval(body, "0").unnamed_keys) << line;
    EXPECT_TRUE(EvalSha(book_.Learn(body)).reads_only) << line;
  }
  for (const char* body :
       {"#!lua\nflags=no-writes", "#!lua flags=allow-oom\n--no-writes", "-- #!lua flags=no-writes\n", "flags=no-writes",
        "#!lua xflags=no-writes\n", "#!lua flags=no-writesx\n", "#!lua flags=\n", "#!", ""}) {
    EXPECT_FALSE(ScriptBook::IsReadOnly(body)) << body;
  }
}

TEST_F(ScriptBookTest, AKnownBodyIsLoadedOncePerStore) {
  const std::string sha = Sha1Hex(kSet);
  EXPECT_FALSE(book_.NeedsLoading(Side::kNew, sha));  // there is no body to load
  book_.Loaded(Side::kNew, sha);
  book_.Learn(kSet);
  EXPECT_TRUE(book_.NeedsLoading(Side::kNew, sha));
  EXPECT_TRUE(book_.NeedsLoading(Side::kOld, sha));
  book_.Loaded(Side::kNew, absl::AsciiStrToUpper(sha));
  EXPECT_FALSE(book_.NeedsLoading(Side::kNew, sha));
  EXPECT_TRUE(book_.NeedsLoading(Side::kOld, sha));
  book_.Learn(kSet);  // again: nothing changes
  EXPECT_FALSE(book_.NeedsLoading(Side::kNew, sha));
  book_.Loaded(Side::kOld, sha);
  book_.StoreRestarted(Side::kNew);
  EXPECT_TRUE(book_.NeedsLoading(Side::kNew, sha));
  EXPECT_FALSE(book_.NeedsLoading(Side::kOld, sha));
  book_.Unloaded(Side::kOld, sha);
  EXPECT_TRUE(book_.NeedsLoading(Side::kOld, sha));
}

TEST_F(ScriptBookTest, AFlushForgetsBodiesAndWhereTheyAre) {
  const std::string sha = book_.Learn(kPop);
  book_.Loaded(Side::kNew, sha);
  book_.Forget();
  EXPECT_EQ(book_.Body(sha), nullptr);
  EXPECT_EQ(book_.size(), 0u);
  EXPECT_EQ(book_.bytes(), 0u);
  EXPECT_FALSE(EvalSha(sha).copy);
  book_.Learn(kPop);
  EXPECT_TRUE(book_.NeedsLoading(Side::kNew, sha));
}

TEST_F(ScriptBookTest, I9TheLeastRecentlyUsedBodiesGo) {
  Configure(ScriptMode::kAuto, {}, 4000);
  const std::string large(1000, '-');
  const std::string a = book_.Learn("--a" + large);
  const std::string b = book_.Learn("--b" + large);
  const std::string c = book_.Learn("--c" + large);
  EXPECT_EQ(book_.size(), 3u);
  EvalSha(a);  // used: b is the oldest now
  const std::string d = book_.Learn("--d" + large);
  EXPECT_LE(book_.bytes(), 4000u);
  EXPECT_NE(book_.Body(a), nullptr);
  EXPECT_EQ(book_.Body(b), nullptr);
  EXPECT_NE(book_.Body(c), nullptr);
  EXPECT_NE(book_.Body(d), nullptr);
  const std::string huge = book_.Learn(std::string(4000, '-'));
  EXPECT_EQ(book_.Body(huge), nullptr);  // too large to remember, and nothing else went for it
  EXPECT_EQ(book_.size(), 3u);
}

TEST_F(ScriptBookTest, ANewConfigurationCountsAtOnceForWhatIsKnown) {
  const std::string set = book_.Learn(kSet);
  EXPECT_FALSE(EvalSha(set).copy);
  config_.rules = {{set, ScriptMode::kCopy}};
  book_.ConfigChanged(kRoom);
  EXPECT_TRUE(EvalSha(set).copy);
  config_.rules.clear();
  book_.ConfigChanged(kRoom);
  EXPECT_FALSE(EvalSha(set).copy);
  EXPECT_EQ(book_.forgotten(), 0u);
  book_.ConfigChanged(100);  // less room than it takes
  EXPECT_EQ(book_.Body(set), nullptr);
  EXPECT_EQ(book_.bytes(), 0u);
  EXPECT_EQ(book_.forgotten(), 1u);
}

}  // namespace
}  // namespace crossfade
