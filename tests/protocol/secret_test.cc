#include "protocol/secret.h"

#include "gtest/gtest.h"

namespace crossfade {
namespace {

TEST(SecretTest, OnlyTheSameIsEqual) {
  EXPECT_TRUE(SecretsEqual("", ""));
  EXPECT_TRUE(SecretsEqual("s3cret", "s3cret"));
  EXPECT_FALSE(SecretsEqual("s3cret", "s3creT"));
  EXPECT_FALSE(SecretsEqual("s3cret", "s3cre"));
  EXPECT_FALSE(SecretsEqual("s3cre", "s3cret"));
  EXPECT_FALSE(SecretsEqual("abab", "ab"));
  EXPECT_FALSE(SecretsEqual("ab", "abab"));
  EXPECT_FALSE(SecretsEqual("x", ""));
  EXPECT_FALSE(SecretsEqual("", "x"));
}

}  // namespace
}  // namespace crossfade
