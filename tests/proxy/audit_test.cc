#include "proxy/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"
#include "proxy/admin_tokens.h"
#include "proxy/audit_watch.h"
#include "tests/fuzz/memory_storage.h"
#include "tests/proxy/fake_io.h"

namespace crossfade {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kFile[] = "/state/audit.jsonl";

class AuditTest : public testing::Test {
 protected:
  std::unique_ptr<Audit> Open(size_t max_bytes = Audit::kMaxFileBytes) {
    auto audit = std::make_unique<Audit>(&storage_, io_.clock(), "/state", max_bytes);
    audit->Load();
    return audit;
  }
  static AuditEntry Change(int n) {
    return {.who = "token ci@127.0.0.1", .what = "reads_new", .from = std::to_string(n), .to = std::to_string(n + 1)};
  }

  FakeIo io_;
  MemoryStorage storage_;
};

TEST_F(AuditTest, AnEntryIsOnTheDiskAtOnceAndReadAgain) {
  Open()->Record(Change(1));
  const auto json = nlohmann::json::parse(storage_.files[kFile]);
  EXPECT_EQ(json["who"], "token ci@127.0.0.1");
  EXPECT_EQ(json["outcome"], "done");
  const auto again = Open();
  ASSERT_EQ(again->entries().size(), 1u);
  EXPECT_EQ(again->entries()[0].what, "reads_new");
  EXPECT_EQ(again->entries()[0].to, "2");
  EXPECT_EQ(again->entries()[0].at_ms, json["at_ms"]);
  EXPECT_EQ(again->recorded(), 0u);
}

TEST_F(AuditTest, ALineThatACrashHasTornIsPassedOverAndTheNextBeginsALineOfItsOwn) {
  Open()->Record(Change(1));
  storage_.files[kFile] += "{\"at_ms\": 5, \"who\": \"tok";
  const auto audit = Open();
  EXPECT_EQ(audit->entries().size(), 1u);
  EXPECT_FALSE(audit->last_run_ended());
  audit->Record(Change(2));
  const auto again = Open();
  ASSERT_EQ(again->entries().size(), 2u);
  EXPECT_EQ(again->entries()[1].from, "2");
}

TEST_F(AuditTest, WhetherTheLastRunHasSaidThatItStopped) {
  EXPECT_TRUE(Open()->last_run_ended());
  Open()->Record({.who = "proxy", .what = "start"});
  EXPECT_FALSE(Open()->last_run_ended());
  Open()->Record({.who = "proxy", .what = "stop"});
  EXPECT_TRUE(Open()->last_run_ended());
}

TEST_F(AuditTest, I9AFullDiskKeepsEntriesInMemoryUntilThereIsRoom) {
  const auto audit = Open();
  audit->Record(Change(1));
  storage_.full = true;
  for (int i = 2; i < 2 + static_cast<int>(Audit::kMaxUnsaved); ++i) audit->Record(Change(i));
  EXPECT_EQ(audit->unsaved(), Audit::kMaxUnsaved);
  EXPECT_THAT(audit->trouble(), HasSubstr("full"));
  audit->Record(Change(5000));
  EXPECT_EQ(audit->unsaved(), Audit::kMaxUnsaved);
  EXPECT_EQ(audit->lost(), 1u);
  EXPECT_EQ(audit->entries().back().from, "5000");
  storage_.full = false;
  audit->Retry();
  EXPECT_EQ(audit->unsaved(), 0u);
  EXPECT_EQ(audit->trouble(), "");
  EXPECT_EQ(Open()->entries().back().from, "5000");
}

TEST_F(AuditTest, I9TheFileIsBoundedAndTheOldestGo) {
  constexpr size_t kMax = 4000;
  const auto audit = Open(kMax);
  for (int i = 0; i < 500; ++i) {
    audit->Record(Change(i));
    ASSERT_LE(storage_.files[kFile].size(), kMax);
  }
  EXPECT_GT(storage_.files[kFile].size(), kMax / 3);
  const auto again = Open(kMax);
  EXPECT_EQ(again->entries().back().from, "499");
  for (size_t i = 1; i < again->entries().size(); ++i) {
    EXPECT_EQ(again->entries()[i].from, again->entries()[i - 1].to);  // none is missing in between
  }
}

TEST_F(AuditTest, TextsAreCutAndStayText) {
  const auto audit = Open();
  std::string umlauts;
  for (int i = 0; i < 400; ++i) umlauts += "ä";
  audit->Record({.who = "w", .what = "x", .reason = "a" + umlauts});
  EXPECT_LE(audit->entries().back().reason.size(), Audit::kMaxTextBytes + 3);
  audit->Record({.who = "w", .what = "x", .reason = "\xff\n"});
  EXPECT_EQ(Open()->entries().size(), 2u);
}

TEST_F(AuditTest, WhatHappensByItselfIsNotedWhenItChanges) {
  const auto audit = Open();
  AuditWatch watch(audit.get());
  watch.Look({{"breaker", "closed", ""}}, 0);
  watch.Look({{"breaker", "closed", ""}}, 1000);
  EXPECT_EQ(audit->entries().size(), 0u);
  watch.Look({{"breaker", "open", "OOM"}}, 2000);
  watch.Look({{"breaker", "open", "OOM again"}}, 3000);
  ASSERT_EQ(audit->entries().size(), 1u);
  EXPECT_EQ(audit->entries()[0].who, "proxy");
  EXPECT_EQ(audit->entries()[0].from, "closed");
  EXPECT_EQ(audit->entries()[0].to, "open");
  EXPECT_EQ(audit->entries()[0].reason, "OOM");
  watch.Look({{"breaker", "closed", ""}}, 4000);
  EXPECT_EQ(audit->entries().size(), 2u);
}

TEST_F(AuditTest, TroubleAtTheFirstLookIsNoted) {
  const auto audit = Open();
  AuditWatch watch(audit.get());
  watch.Look({{"new", "down", "refused"}, {"old", "up", ""}, {"synced", "no", ""}, {"everything dirty", "yes", ""}}, 0);
  ASSERT_EQ(audit->entries().size(), 2u);
  EXPECT_EQ(audit->entries()[0].what, "new");
  EXPECT_EQ(audit->entries()[0].from, "");
  EXPECT_EQ(audit->entries()[1].what, "everything dirty");
}

TEST_F(AuditTest, I9WhatMovesToAndFroCantFillTheTrail) {
  const auto audit = Open();
  AuditWatch watch(audit.get());
  for (int second = 0; second <= 3600; ++second) watch.Look({{"new", second % 2 ? "up" : "down", ""}}, second * 1000);
  EXPECT_GE(audit->entries().size(), 60u);
  EXPECT_LE(audit->entries().size(), 75u);
  EXPECT_THAT(audit->entries().back().reason, HasSubstr("changes in between are left out"));
  const size_t before = audit->entries().size();
  const std::string last = audit->entries().back().to;
  const std::string other = last == "up" ? "down" : "up";
  watch.Look({{"new", other, ""}}, 10'000'000);  // calm again
  EXPECT_EQ(audit->entries().size(), before + 1);
}

TEST(AdminTokensTest, ABareTokenAndNamedOnes) {
  const auto tokens = ParseAdminTokens("secret\n\n  ci  other-secret \nanna third\n");
  ASSERT_TRUE(tokens.ok());
  ASSERT_EQ(tokens->size(), 3u);
  EXPECT_EQ((*tokens)[0].name, "token");
  EXPECT_EQ((*tokens)[1].name, "ci");
  EXPECT_EQ((*tokens)[1].token, "other-secret");
  EXPECT_EQ(DescribeTokens(*tokens), "tokens of token, ci, anna");
  HttpRequest request;
  request.peer = "[::1]:1234";
  EXPECT_EQ(FindToken(*tokens, request), nullptr);
  EXPECT_EQ(WhoAsks(*tokens, request), "[::1]");
  request.headers["authorization"] = "Bearer other-secret";
  ASSERT_NE(FindToken(*tokens, request), nullptr);
  EXPECT_EQ(WhoAsks(*tokens, request), "token ci@[::1]");
  for (const char* wrong : {"Bearer other-secre", "Bearer other-secrets", "Bearer ci", "other-secret", "Bearer "}) {
    request.headers["authorization"] = wrong;
    EXPECT_EQ(FindToken(*tokens, request), nullptr) << wrong;
  }
}

TEST(AdminTokensTest, WhatIsWrongIsSaidWithoutTheToken) {
  for (const char* text : {"a b c", "a s3cret\na s3cret2", "a s3cret\nb s3cret", "a@b s3cret", "a\x01 s3cret"}) {
    const auto tokens = ParseAdminTokens(text);
    ASSERT_FALSE(tokens.ok()) << text;
    EXPECT_THAT(std::string(tokens.status().message()), HasSubstr("line "));
    EXPECT_THAT(std::string(tokens.status().message()), Not(HasSubstr("s3cret")));
  }
}

}  // namespace
}  // namespace crossfade
