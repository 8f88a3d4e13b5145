#include "conf/config_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace crossfade {
namespace {

using ::testing::HasSubstr;

TEST(BackendUrl, Forms) {
  struct {
    const char* url;
    BackendConfig expected;
  } const cases[] = {
      {"redis://h", {{"h", 6379}, "", ""}},
      {"redis://h/", {{"h", 6379}, "", ""}},
      {"REDIS://h:1", {{"h", 1}, "", ""}},
      {"redis://10.0.0.1:65535", {{"10.0.0.1", 65535}, "", ""}},
      {"redis://my-redis_1.example.:7", {{"my-redis_1.example.", 7}, "", ""}},
      {"redis://:p@h", {{"h", 6379}, "", "p"}},
      {"redis://u:p@h:1", {{"h", 1}, "u", "p"}},
      {"redis://u:p:q@h", {{"h", 6379}, "u", "p:q"}},
      {"redis://u:p@q@h", {{"h", 6379}, "u", "p@q"}},
      {"redis://u%3a:%70%2F%3F%23%40%25%C3%A9@h", {{"h", 6379}, "u:", "p/?#@%é"}},
      {"redis://[::1]", {{"::1", 6379}, "", ""}},
      {"redis://u:p@[2001:DB8:0::1]:70", {{"2001:db8::1", 70}, "u", "p"}},
  };
  for (const auto& c : cases) {
    absl::StatusOr<BackendConfig> backend = ParseBackendUrl(c.url);
    ASSERT_TRUE(backend.ok()) << c.url << ": " << backend.status();
    EXPECT_EQ(backend->address.ToString(), c.expected.address.ToString());
    EXPECT_EQ(backend->user, c.expected.user);
    EXPECT_EQ(backend->password, c.expected.password);
  }
}

TEST(BackendUrl, RefusedWithTheReason) {
  struct {
    const char* url;
    const char* reason;
  } const cases[] = {
      {"", "expected redis://"},
      {"127.0.0.1:6379", "expected redis://"},
      {"http://h", "another scheme"},
      {"unix:///tmp/s", "another scheme"},
      {"rediss://h", "TLS to backends is not built yet"},
      {"redis://", "the host is missing"},
      {"redis://:6379", "the host is missing"},
      {"redis://u:p@", "the host is missing"},
      {"redis://u:p@:1", "the host is missing"},
      {"redis://h:", "the port must be 1 to 65535"},
      {"redis://h:0", "the port must be 1 to 65535"},
      {"redis://h:65536", "the port must be 1 to 65535"},
      {"redis://h:99999999999999999999", "the port must be 1 to 65535"},
      {"redis://h:+1", "the port must be 1 to 65535"},
      {"redis://h:1x", "the port must be 1 to 65535"},
      {"redis://h/0", "SELECT belongs to the application"},
      {"redis://h/x", "SELECT belongs to the application"},
      {"redis://h?db=1", "a '?' part after the host"},
      {"redis://h#1", "a '#' part after the host"},
      {"redis://u@h", "the password is missing"},
      {"redis://@h", "the password is missing"},
      {"redis://u:@h", "the password is missing"},
      {"redis://u:p/q@h", "%2F"},
      {"redis://u:%@h", "two hexadecimal digits"},
      {"redis://u:%4@h", "two hexadecimal digits"},
      {"redis://%zz:p@h", "two hexadecimal digits"},
      {"redis://::1", "in brackets"},
      {"redis://[::1", "a ']' is missing"},
      {"redis://[::1]6379", "only :port"},
      {"redis://[h]", "not an IPv6 address"},
      {"redis://a b", "no host name"},
      {"redis://1.2.3", "no host name"},
      {"redis://300.1.1.1", "no host name"},
      {"redis://h\n", "no host name"},
  };
  for (const auto& c : cases) {
    absl::StatusOr<BackendConfig> backend = ParseBackendUrl(c.url);
    ASSERT_FALSE(backend.ok()) << c.url;
    EXPECT_THAT(std::string(backend.status().message()), HasSubstr(c.reason)) << c.url;
  }
  EXPECT_FALSE(ParseBackendUrl(std::string("redis://[::1\0]", 14)).ok());
  EXPECT_FALSE(ParseBackendUrl("redis://" + std::string(254, 'h')).ok());
}

TEST(AddressText, Forms) {
  struct {
    const char* text;
    const char* expected;  // "" when refused
  } const cases[] = {
      {"h:1", "h:1"},
      {":6400", "127.0.0.1:6400"},
      {"[::1]:5", "[::1]:5"},
      {"0.0.0.0:0", "0.0.0.0:0"},
      {"[::]:65535", "[::]:65535"},
      {"", ""},
      {"h", ""},
      {"h:", ""},
      {"6400", ""},
      {"h:65536", ""},
      {"h:-1", ""},
      {"::1:5", ""},
      {"[::1]", ""},
      {"[]:5", ""},
      {"a b:5", ""},
      {"h:5 ", ""},
  };
  for (const auto& c : cases) {
    absl::StatusOr<Address> address = ParseAddress(c.text);
    EXPECT_EQ(address.ok() ? address->ToString() : "", c.expected) << c.text;
  }
}

TEST(BytesText, Forms) {
  struct {
    const char* text;
    int64_t expected;  // -1 when refused
  } const cases[] = {
      {"0", 0},
      {"1048576", 1 << 20},
      {"64MiB", 64 << 20},
      {"1GB", 1'000'000'000},
      {"5B", 5},
      {"512KiB", 512 << 10},
      {"3KB", 3000},
      {"2MB", 2'000'000},
      {"1TiB", 1LL << 40},
      {"1TB", 1'000'000'000'000},
      {"64 mib", 64 << 20},
      {"8388607TiB", 8388607LL << 40},
      {"8388608TiB", -1},
      {"9223372036854775807", INT64_MAX},
      {"9223372036854775808", -1},
      {"", -1},
      {"MiB", -1},
      {"-1", -1},
      {"1.5GiB", -1},
      {"64M", -1},
      {"64MiB ", -1},
      {" 64MiB", -1},
      {"1_000", -1},
  };
  for (const auto& c : cases) EXPECT_EQ(ParseBytes(c.text).value_or(-1), c.expected) << c.text;
  EXPECT_EQ(ParseBytes("64M").status().message(), "expected a size such as \"64MiB\" or \"1GB\", got \"64M\"");
}

TEST(DurationText, Forms) {
  struct {
    const char* text;
    int64_t expected;  // -1 when refused
  } const cases[] = {
      {"100ms", 100},  {"2s", 2000},
      {"5m", 300'000}, {"1h", 3'600'000},
      {"0ms", 0},      {"1 S", 1000},
      {"100", -1},     {"", -1},
      {"s", -1},       {"-1s", -1},
      {"1.5s", -1},    {"1d", -1},
      {"1us", -1},     {"9223372036854775807s", -1},
  };
  for (const auto& c : cases) EXPECT_EQ(ParseDuration(c.text).value_or(-1), c.expected) << c.text;
}

TEST(ValueText, FormatsRoundTrip) {
  for (int64_t value : {int64_t{1}, int64_t{1000}, int64_t{1024}, int64_t{64} << 20, int64_t{1} << 40, int64_t{1001}}) {
    EXPECT_EQ(ParseBytes(FormatBytes(value)).value_or(-1), value);
    EXPECT_EQ(ParseDuration(FormatDuration(value)).value_or(-1), value);
  }
  EXPECT_EQ(FormatBytes(64 << 20), "64MiB");
  EXPECT_EQ(FormatBytes(0), "0B");
  EXPECT_EQ(FormatDuration(60'000), "1m");
  EXPECT_EQ(FormatDuration(0), "0ms");
}

TEST(ValueText, QuotedForErrors) {
  EXPECT_EQ(QuoteForError("a\"\\\n\x7f é"), "\"a\\\"\\\\\\x0a\\x7f é\"");
  EXPECT_EQ(QuoteForError("user:hunter2@h"), "a text that may hold a password");
  EXPECT_EQ(QuoteForError(std::string(59, 'x') + "é"), "\"" + std::string(59, 'x') + "…\"");  // not half a letter
}

TEST(Loopback, Forms) {
  for (const char* host : {"127.0.0.1", "127.255.0.9", "::1", "0:0:0:0:0:0:0:1", "localhost", "LocalHost"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host : {"", "0.0.0.0", "128.0.0.1", "::", "127.0.0.1.example", "localhost.example", "10.0.0.1"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

}  // namespace
}  // namespace crossfade
