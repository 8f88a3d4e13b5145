#include "proxy/admin_guard.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace crossfade {
namespace {

using Headers = std::map<std::string, std::string>;

const Address kLoopback{"127.0.0.1", 6401};

// The status of the refusal; 0: none.
int Asked(const Headers& headers, bool has_token = false, std::string body = "", Address admin = kLoopback) {
  HttpRequest request;
  request.method = "POST";
  request.path = "/api/v1/flip";
  request.headers = headers;
  request.body = std::move(body);
  const auto refusal = RefuseForeign(request, admin, has_token);
  return refusal ? refusal->status : 0;
}

TEST(AdminGuardTest, CommandLinesPass) {
  EXPECT_EQ(Asked({}), 0);
  EXPECT_EQ(Asked({{"host", "127.0.0.1:6401"}}), 0);
  EXPECT_EQ(Asked({{"host", "127.0.0.1:6401"}, {"content-type", "application/x-www-form-urlencoded"}}, false, "{}"), 0);
}

TEST(AdminGuardTest, WithoutATokenTheHostIsALoopbackName) {
  for (const char* host : {"localhost", "LocalHost:80", "127.0.0.1", "127.1.2.3:6401", "[::1]", "[::1]:6401"})
    EXPECT_EQ(Asked({{"host", host}}), 0) << host;
  for (const char* host : {"evil.example", "evil.example:6401", "127.0.0.1.evil.example", "localhost.evil.example",
                           "10.0.0.1", "[fe80::1]", "[", "[]", ":6401", "localhost@evil.example"}) {
    EXPECT_EQ(Asked({{"host", host}}), 403) << host;
    EXPECT_EQ(Asked({{"host", host}}, true), 0) << host << ", which has no token";
  }
  EXPECT_EQ(Asked({{"host", "console.internal:6401"}}, false, "", {"console.internal", 6401}), 0);
}

// A rebound name is the page's own origin: only Host shows it.
TEST(AdminGuardTest, ReboundNamesAreRefused) {
  const Headers rebound = {{"host", "evil.example:6401"}, {"origin", "http://evil.example:6401"}};
  EXPECT_EQ(Asked(rebound), 403);
}

TEST(AdminGuardTest, OtherSitesPagesAreRefused) {
  const std::string host = "127.0.0.1:6401";
  for (bool token : {false, true}) {
    EXPECT_EQ(Asked({{"host", host}, {"origin", "http://127.0.0.1:6401"}}, token), 0);
    for (const char* origin : {"http://evil.example", "null", "http://127.0.0.1:9000", "http://127.0.0.1",
                               "http://127.0.0.1:64011", "ftp://127.0.0.1:6401", "127.0.0.1:6401", "http://"})
      EXPECT_EQ(Asked({{"host", host}, {"origin", origin}}, token), 403) << origin;
    for (const char* site : {"cross-site", "same-site", "", "same-origin, cross-site"}) {
      const int expected = *site == '\0' ? 0 : 403;
      EXPECT_EQ(Asked({{"host", host}, {"sec-fetch-site", site}}, token), expected) << site;
    }
    EXPECT_EQ(Asked({{"host", host}, {"sec-fetch-site", "none"}}, token), 0);
  }
}

// TLS ends before the proxy, which may be given another name in Host as well.
TEST(AdminGuardTest, ReverseProxiesWork) {
  EXPECT_EQ(Asked({{"host", "fade.example"}, {"origin", "https://fade.example"}}, true), 0);
  EXPECT_EQ(Asked({{"host", "127.0.0.1:6401"}, {"origin", "https://fade.example"}, {"sec-fetch-site", "same-origin"}}),
            0);
}

TEST(AdminGuardTest, APagesBodyIsJson) {
  Headers headers = {{"host", "localhost"}, {"origin", "http://localhost"}};
  EXPECT_EQ(Asked(headers, false, "{}"), 415);
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"}) {
    headers["content-type"] = type;
    EXPECT_EQ(Asked(headers, false, "{}"), 415) << type;
    EXPECT_EQ(Asked(headers, false, ""), 0) << type;
  }
  for (const char* type : {"application/json", "application/json; charset=utf-8", "application/json ;x"}) {
    headers["content-type"] = type;
    EXPECT_EQ(Asked(headers, false, "{}"), 0) << type;
  }
}

TEST(AdminGuardTest, SafetyHeadersLeaveAloneWhatIsThere) {
  HttpResponse data, page, own;
  page.content_type = "text/html; charset=utf-8";
  own.headers["Content-Security-Policy"] = "default-src 'self'";
  AddSafetyHeaders(&data);
  AddSafetyHeaders(&page);
  AddSafetyHeaders(&own);
  EXPECT_EQ(data.headers["Content-Security-Policy"], "default-src 'none'; frame-ancestors 'none'");
  EXPECT_EQ(data.headers["X-Content-Type-Options"], "nosniff");
  EXPECT_EQ(data.headers["Cache-Control"], "no-store");
  EXPECT_NE(page.headers["Content-Security-Policy"].find("style-src 'unsafe-inline'"), std::string::npos);
  EXPECT_EQ(page.headers["Content-Security-Policy"].find("script"), std::string::npos);
  EXPECT_EQ(own.headers["Content-Security-Policy"], "default-src 'self'");
}

}  // namespace
}  // namespace crossfade
