#include "routing/migration.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace crossfade {
namespace {

using ::testing::HasSubstr;

TEST(WhyNotReadable, SyncedAndFollowingMayBeRead) {
  Migration migration;
  migration.synced = Synced::kYes;
  EXPECT_EQ(migration.WhyNotReadable(false), "");
  migration.routing.primary = Side::kNew;
  EXPECT_EQ(migration.WhyNotReadable(false), "");
  EXPECT_EQ(migration.secondary(), Side::kOld);
}

TEST(WhyNotReadable, NotSyncedOnlyWhenCold) {
  Migration migration;
  migration.unsynced_why = "somebody pulled the plug";
  for (Synced synced : {Synced::kNo, Synced::kCopying}) {
    migration.synced = synced;
    EXPECT_THAT(migration.WhyNotReadable(false), HasSubstr(Name(synced)));
    EXPECT_THAT(migration.WhyNotReadable(false), HasSubstr("somebody pulled the plug"));
    EXPECT_EQ(migration.WhyNotReadable(true), "");
  }
}

TEST(WhyNotReadable, ColdDoesNotHelpAgainstDistrustOrNotFollowing) {
  Migration migration;
  migration.synced = Synced::kYes;
  for (SecondaryMode mode : {SecondaryMode::kJournal, SecondaryMode::kOff, SecondaryMode::kReplica}) {
    migration.routing.secondary = mode;
    EXPECT_THAT(migration.WhyNotReadable(true), HasSubstr(Name(mode)));
  }
  migration.routing.secondary = SecondaryMode::kFollow;
  migration.distrust = "the primary came back empty";
  EXPECT_EQ(migration.WhyNotReadable(true), "the primary came back empty");
}

}  // namespace
}  // namespace crossfade
