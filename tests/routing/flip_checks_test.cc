#include "routing/flip_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace crossfade {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using Veto = FlipCheck::Kind;

class FlipChecksTest : public testing::Test {
 protected:
  FlipChecksTest() {
    migration_.synced = Synced::kYes;
    migration_.unsynced_why.clear();
    facts_.migration = &migration_;
    facts_.target_up = facts_.primary_up = true;
    facts_.probe.state = FlipProbe::State::kAnswered;
    facts_.most_lag_slots = 10;
    facts_.most_dirty_keys = 5;
  }
  // The names of the checks that stand in the way.
  std::vector<std::string> Open(bool cold = false, bool force = false) const {
    std::vector<std::string> names;
    for (const FlipCheck& check : CheckFlip(facts_)) {
      EXPECT_EQ(check.ok, check.reason.empty()) << check.name;
      EXPECT_FALSE(check.found.empty()) << check.name;
      if (check.Stands(cold, force)) names.emplace_back(check.name);
    }
    EXPECT_EQ(names.empty(), ReadyToFlip(CheckFlip(facts_), cold, force));
    return names;
  }
  FlipCheck Find(const std::string& name) const {
    for (const FlipCheck& check : CheckFlip(facts_)) {
      if (check.name == name) return check;
    }
    ADD_FAILURE() << "no check " << name;
    return {};
  }

  Migration migration_;
  FlipFacts facts_;
};

TEST_F(FlipChecksTest, NothingStandsInTheWayOfTwoEqualStores) {
  EXPECT_THAT(Open(), IsEmpty());
  std::set<std::string> names;
  for (const FlipCheck& check : CheckFlip(facts_)) EXPECT_TRUE(names.insert(check.name).second) << check.name;
  for (const char* wanted : {"target", "target_up", "target_writable", "primary_up", "trust", "synced", "clean", "lag",
                             "breaker", "way_back", "preflight", "subscribers", "clients", "jobs"}) {
    EXPECT_TRUE(names.contains(wanted)) << wanted;
  }
}

TEST_F(FlipChecksTest, EachThingThatStandsInTheWayIsNamedAlone) {
  struct Case {
    const char* check;
    std::function<void(FlipFacts*, Migration*)> change;
    Veto kind;
    bool by_force;
    const char* reason;
  };
  const Case cases[] = {
      {"target", [](FlipFacts* f, Migration*) { f->to = Side::kOld; }, Veto::kNever, false,
       "old is the primary already"},
      {"target_up",
       [](FlipFacts* f, Migration*) {
         f->target_up = false;
         f->target_error = "refused";
       },
       Veto::kNever, false, "new is unreachable: refused"},
      {"target_writable", [](FlipFacts* f, Migration*) { f->probe.target_error = "READONLY"; }, Veto::kNever, true,
       "new refuses writes: READONLY"},
      {"primary_up", [](FlipFacts* f, Migration*) { f->primary_up = false; }, Veto::kNever, true,
       "the primary (old) is unreachable"},
      {"answers",
       [](FlipFacts* f, Migration*) {
         f->probe.state = FlipProbe::State::kUnanswered;
         f->probe.why = "silence";
       },
       Veto::kWait, true, "silence"},
      {"trust", [](FlipFacts*, Migration* m) { m->distrust = "came back empty"; }, Veto::kNever, true,
       "came back empty"},
      {"no_replica", [](FlipFacts* f, Migration*) { f->target_is_replica = true; }, Veto::kNever, true, "is a replica"},
      {"following", [](FlipFacts*, Migration* m) { m->routing.secondary = SecondaryMode::kJournal; }, Veto::kNever,
       true, "does not follow"},
      {"synced",
       [](FlipFacts*, Migration* m) {
         m->synced = Synced::kCopying;
         m->unsynced_why = "half";
       },
       Veto::kNever, true, "not synced (copying): half"},
      {"clean", [](FlipFacts* f, Migration*) { f->dirty_keys = 1; }, Veto::kWait, true, "1 keys are dirty"},
      {"clean", [](FlipFacts* f, Migration*) { f->everything_dirty = true; }, Veto::kWait, true, "everything is dirty"},
      {"queue", [](FlipFacts* f, Migration*) { f->shedding = true; }, Veto::kWait, true, "overflowed"},
      {"breaker",
       [](FlipFacts* f, Migration*) {
         f->breaker_closed = false;
         f->breaker_reason = "OOM";
       },
       Veto::kWait, true, "OOM"},
      {"lag", [](FlipFacts* f, Migration*) { f->lag_slots = 11; }, Veto::kWait, true, "lags by 11 slots"},
      {"subscribers", [](FlipFacts* f, Migration*) { f->subscribers_missing = "2 are missing"; }, Veto::kWait, true,
       "2 are missing"},
      {"way_back", [](FlipFacts* f, Migration*) { f->probe.primary_error = "MISCONF"; }, Veto::kNever, true,
       "no way back"},
      {"preflight",
       [](FlipFacts* f, Migration*) {
         f->preflight_known = true;
         f->preflight_failed = "scripts: none";
       },
       Veto::kNever, true, "scripts: none"},
  };
  const FlipFacts good = facts_;
  const Migration trusted = migration_;
  for (const Case& one : cases) {
    facts_ = good;
    migration_ = trusted;
    one.change(&facts_, &migration_);
    EXPECT_EQ(Open(), std::vector<std::string>{one.check}) << one.reason;
    const FlipCheck check = Find(one.check);
    EXPECT_THAT(check.reason, HasSubstr(one.reason));
    EXPECT_EQ(check.kind, one.kind) << one.check;
    EXPECT_EQ(Open(false, true).empty(), one.by_force) << one.check;
    EXPECT_EQ(Open(true, false).empty(), std::string(one.check) == "synced") << one.check;
    const FlipCheck* first = FirstInTheWay(CheckFlip(facts_), one.kind, false, false);
    ASSERT_NE(first, nullptr);
  }
}

TEST_F(FlipChecksTest, AColdMigrationNeedNotBeSynced) {
  migration_.synced = Synced::kNo;
  migration_.cold = true;
  EXPECT_THAT(Open(), IsEmpty());
}

TEST_F(FlipChecksTest, AReplicaNeedsItsOwnThings) {
  migration_.routing.secondary = SecondaryMode::kReplica;
  facts_.target_is_replica = true;
  facts_.dirty_keys = 5;  // copied with requests held
  EXPECT_THAT(Open(), IsEmpty());
  facts_.dirty_keys = 6;
  EXPECT_THAT(Find("clean").reason, HasSubstr("replication does not carry exactly"));
  facts_.dirty_keys = 0;
  facts_.replication_not_near = "lags by a lot";
  EXPECT_EQ(Open(), std::vector<std::string>{"in_step"});
  facts_.replication_not_near.clear();
  facts_.replication_never = "it is elsewhere";
  EXPECT_EQ(Open(), std::vector<std::string>{"replication"});
}

TEST_F(FlipChecksTest, OnlyARecentPreflightOfTheMoveToNewCounts) {
  facts_.preflight_known = true;
  facts_.preflight_failed = "role of new: a Sentinel";
  EXPECT_EQ(Open(), std::vector<std::string>{"preflight"});
  facts_.preflight_age_ms = kPreflightFreshMs + 1;
  EXPECT_THAT(Open(), IsEmpty());
  facts_.preflight_age_ms = 0;
  migration_.routing.primary = Side::kNew;
  facts_.to = Side::kOld;
  EXPECT_THAT(Open(), IsEmpty());
}

}  // namespace
}  // namespace crossfade
