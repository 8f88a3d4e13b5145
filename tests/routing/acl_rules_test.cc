#include "routing/acl_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace crossfade {
namespace {

using testing::ElementsAre;

TEST(AclRules, ALineIsAUserWithItsRules) {
  const auto user =
      ParseAclUser("user ann on sanitize-payload #2d ~a* %R~b*  resetchannels &c* +@all (~z* -@all +get)");
  ASSERT_TRUE(user);
  EXPECT_EQ(user->name, "ann");
  EXPECT_THAT(user->rules,
              ElementsAre("on", "#2d", "~a*", "%R~b*", "resetchannels", "&c*", "+@all", "(~z* -@all +get)"));
  EXPECT_TRUE(ParseAclUser("user bob")->rules.empty());
  EXPECT_THAT(ParseAclUser("user bob (unclosed +get")->rules, ElementsAre("(unclosed +get"));
}

TEST(AclRules, OtherLinesAreNone) {
  EXPECT_FALSE(ParseAclUser(""));
  EXPECT_FALSE(ParseAclUser("user "));
  EXPECT_FALSE(ParseAclUser("someone ann on"));
}

TEST(AclRules, OnlyWholeHashesCanBeSetElsewhere) {
  const std::string whole(64, 'a');
  EXPECT_EQ(WhyNotPortable({"ann", {"on", "#" + whole, "~*"}}), "");
  EXPECT_NE(WhyNotPortable({"ann", {"on", "#" + whole.substr(1), "~*"}}), "");
  EXPECT_NE(WhyNotPortable({"ann", {"#" + whole.substr(1) + "x"}}), "");
  EXPECT_EQ(WhyNotPortable({"ann", {"on", "nopass"}}), "");
}

TEST(AclRules, ErrorsLoseTheirHashes) {
  EXPECT_EQ(WithoutHashes("Error in modifier '#" + std::string(64, 'a') + "': no"), "Error in modifier '#…': no");
  EXPECT_EQ(WithoutHashes("no # here, nor #12"), "no # here, nor #12");
}

}  // namespace
}  // namespace crossfade
