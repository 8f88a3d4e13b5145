#include "routing/tracking_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"
#include "routing/plan.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Every error text, and what follows which, tests/integration/tracking_test.py asks of a real server.
std::string Track(TrackingOptions* options, std::vector<std::string_view> words) {
  words.insert(words.begin(), {"CLIENT", "TRACKING"});
  std::string bytes;
  AppendCommand(&bytes, words);
  RequestParser parser;
  RequestView request;
  size_t consumed = 0;
  EXPECT_EQ(parser.Parse(bytes, &request, &consumed), ParseResult::kDone);
  return ParseTracking(
      request, [](int64_t id) { return id == 7; }, options);
}

TEST(TrackingOptionsTest, AnErrorChangesNothing) {
  TrackingOptions options;
  EXPECT_EQ(Track(&options, {"ON", "BCAST", "PREFIX", "a", "PREFIX", "b"}), "");
  EXPECT_THAT(Track(&options, {"ON", "BCAST", "PREFIX", "c", "PREFIX", "ab"}), HasSubstr("existing prefix 'a'"));
  EXPECT_THAT(Track(&options, {"ON", "BCAST", "PREFIX", "c", "PREFIX", "d", "PREFIX", "dd"}),
              HasSubstr("another provided prefix 'dd'"));
  EXPECT_THAT(options.prefixes, ElementsAre("a", "b"));
  EXPECT_EQ(Track(&options, {"ON", "BCAST", "PREFIX", "c"}), "");
  EXPECT_THAT(options.prefixes, ElementsAre("a", "b", "c"));
  EXPECT_EQ(Track(&options, {"OFF"}), "");
  EXPECT_FALSE(options.on);
  EXPECT_THAT(options.prefixes, ElementsAre());
}

TEST(TrackingOptionsTest, OneRedirectToSomebodyWhoIsThere) {
  TrackingOptions options;
  EXPECT_THAT(Track(&options, {"ON", "REDIRECT", "8"}), HasSubstr("does not exist"));
  EXPECT_THAT(Track(&options, {"ON", "REDIRECT", "7", "REDIRECT", "7"}), HasSubstr("single other client"));
  EXPECT_EQ(Track(&options, {"ON", "REDIRECT", "7", "NOLOOP"}), "");
  EXPECT_EQ(options.redirect, 7u);
  EXPECT_TRUE(options.noloop);
  EXPECT_EQ(Track(&options, {"ON"}), "");
  EXPECT_EQ(options.redirect, 0u) << "what is not said again is gone";
}

TEST(TrackingOptionsTest, ReadsOfATrackingClientAreThePrimarys) {
  ServiceFacts facts;
  Session session(1, "client", &facts);
  std::string bytes, reply;
  AppendCommand(&bytes, {"GET", "k"});
  RequestParser parser;
  RequestView request;
  size_t consumed = 0;
  ASSERT_EQ(parser.Parse(bytes, &request, &consumed), ParseResult::kDone);
  EXPECT_FALSE(MakePlan(request, &session, &reply).primary_only);
  session.mutable_tracking()->on = true;
  EXPECT_TRUE(MakePlan(request, &session, &reply).primary_only);
}

}  // namespace
}  // namespace crossfade
