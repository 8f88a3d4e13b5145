#include "protocol/sha1.h"

#include <gtest/gtest.h>

namespace crossfade {
namespace {

// FIPS 180 and RFC 3174; the last is what redis-server answers to SCRIPT LOAD "return 7".
TEST(Sha1, KnownVectors) {
  EXPECT_EQ(Sha1Hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(Sha1Hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(Sha1Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(Sha1Hex(std::string(1'000'000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  EXPECT_EQ(Sha1Hex("return 7"), "59b6ab2fbe0ee4b25733de0f62e6cda4899ef8e9");
}

TEST(Sha1, ZeroBytesCount) {
  EXPECT_EQ(Sha1Hex(std::string_view("\0", 1)), "5ba93c9db0cff93f52b521d7420e43f6eda2784f");
}

}  // namespace
}  // namespace crossfade
