#include "proxy/http_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace crossfade {
namespace {

using Result = HttpParser::Result;
using Kind = HttpParser::Kind;

// What came out of a connection's bytes.
struct Outcome {
  std::vector<HttpRequest> requests;
  int error_status = 0;
  std::string error;
};

// Feeds `bytes` in pieces of `piece`, each in a block of exactly its size.
Outcome Parse(const std::string& bytes, size_t piece = SIZE_MAX) {
  Outcome outcome;
  HttpParser parser(Kind::kRequests);
  for (size_t at = 0; at < bytes.size();) {
    std::vector<char> block(bytes.begin() + at, bytes.begin() + at + std::min(piece, bytes.size() - at));
    size_t consumed = 0;
    Result result = parser.Feed(std::string_view(block.data(), block.size()), &consumed);
    if (result == Result::kError) {
      outcome.error_status = parser.error_status();
      outcome.error = parser.error();
      break;
    }
    if (result == Result::kDone) outcome.requests.push_back(parser.request());
    EXPECT_LE(consumed, block.size());
    EXPECT_TRUE(result == Result::kDone || consumed == block.size());
    at += consumed;
  }
  return outcome;
}

// Every way of splitting gives the same; returns the whole-block outcome.
Outcome ParseAllWays(const std::string& bytes) {
  Outcome whole = Parse(bytes);
  for (size_t piece : {1, 2, 3, 7, 64, 1000}) {
    Outcome split = Parse(bytes, piece);
    EXPECT_EQ(split.error_status, whole.error_status) << "pieces of " << piece;
    EXPECT_EQ(split.error, whole.error) << "pieces of " << piece;
    EXPECT_EQ(split.requests.size(), whole.requests.size()) << "pieces of " << piece;
    for (size_t i = 0; i < std::min(split.requests.size(), whole.requests.size()); ++i) {
      EXPECT_EQ(split.requests[i].method, whole.requests[i].method);
      EXPECT_EQ(split.requests[i].path, whole.requests[i].path);
      EXPECT_EQ(split.requests[i].query, whole.requests[i].query);
      EXPECT_EQ(split.requests[i].headers, whole.requests[i].headers);
      EXPECT_EQ(split.requests[i].body, whole.requests[i].body);
      EXPECT_EQ(split.requests[i].keep_alive, whole.requests[i].keep_alive);
    }
  }
  return whole;
}

TEST(HttpParserTest, Request) {
  Outcome outcome = ParseAllWays(
      "PATCH /api/v1/routing?a=1&b=two%20words&a=3&flag&=x&c=p+q HTTP/1.1\r\nHost: h\r\nX-A: one  \r\nx-a: two\r\n"
      "Content-Length: 5\r\n\r\nhello");
  ASSERT_EQ(outcome.requests.size(), 1u) << outcome.error;
  const HttpRequest& request = outcome.requests[0];
  EXPECT_EQ(request.method, "PATCH");
  EXPECT_EQ(request.path, "/api/v1/routing");
  EXPECT_THAT(request.query,
              testing::ElementsAre(testing::Pair("", "x"), testing::Pair("a", "3"), testing::Pair("b", "two words"),
                                   testing::Pair("c", "p+q"), testing::Pair("flag", "")));
  EXPECT_EQ(request.headers.at("x-a"), "one, two");
  EXPECT_EQ(request.body, "hello");
  EXPECT_TRUE(request.keep_alive);
}

TEST(HttpParserTest, KeepAliveByVersionAndHeader) {
  EXPECT_TRUE(Parse("GET / HTTP/1.1\r\n\r\n").requests.at(0).keep_alive);
  EXPECT_FALSE(Parse("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").requests.at(0).keep_alive);
  EXPECT_FALSE(Parse("GET / HTTP/1.0\r\n\r\n").requests.at(0).keep_alive);
  EXPECT_TRUE(Parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").requests.at(0).keep_alive);
}

TEST(HttpParserTest, PipelinedMessagesComeOneByOne) {
  Outcome outcome = ParseAllWays(
      "GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\ncontent-length: 3\r\n\r\nxyz\r\nGET /c?d HTTP/1.1\r\nx: y\r\n\r\n"
      "POST /e HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\ntrailer: t\r\n\r\n"
      "GET /f HTTP/1.1\r\n\r\n");
  ASSERT_EQ(outcome.requests.size(), 5u) << outcome.error;
  EXPECT_EQ(outcome.requests[0].path, "/a");
  EXPECT_EQ(outcome.requests[1].body, "xyz");
  EXPECT_EQ(outcome.requests[2].path, "/c");
  EXPECT_TRUE(outcome.requests[2].body.empty());
  EXPECT_EQ(outcome.requests[3].body, "abcde");
  EXPECT_EQ(outcome.requests[3].headers.count("trailer"), 0u);
  EXPECT_EQ(outcome.requests[4].path, "/f");
}

TEST(HttpParserTest, EndsWithTheMessage) {
  HttpParser parser(Kind::kRequests);
  std::string first = "GET / HTTP/1.1\r\n\r\n", second = "GET /2 HTTP/1.1\r\n\r\n";
  size_t consumed = 0;
  EXPECT_EQ(parser.Feed(first + second, &consumed), Result::kDone);
  EXPECT_EQ(consumed, first.size());
  EXPECT_EQ(parser.Feed(second, &consumed), Result::kDone);
  EXPECT_EQ(consumed, second.size());
  EXPECT_EQ(parser.request().path, "/2");
}

TEST(HttpParserTest, Targets) {
  EXPECT_EQ(Parse("GET /%41%2f%c3%A9 HTTP/1.1\r\n\r\n").requests.at(0).path, "/A/\xc3\xa9");
  EXPECT_EQ(Parse("GET http://h:1/p?q=1 HTTP/1.1\r\n\r\n").requests.at(0).path, "/p");
  EXPECT_EQ(Parse("GET http://h:1/p?q=1 HTTP/1.1\r\n\r\n").requests.at(0).query.at("q"), "1");
  EXPECT_EQ(Parse("GET http://h HTTP/1.1\r\n\r\n").requests.at(0).path, "/");
  EXPECT_EQ(Parse("OPTIONS * HTTP/1.1\r\n\r\n").requests.at(0).path, "*");
  EXPECT_EQ(Parse("GET /a?u=http://x/y HTTP/1.1\r\n\r\n").requests.at(0).query.at("u"), "http://x/y");
  for (std::string target : {"/%", "/%4", "/%zz", "/a?b=%1", "/a?%=1", "/a?x=1&y=%g0"}) {
    EXPECT_EQ(ParseAllWays("GET " + target + " HTTP/1.1\r\n\r\n").error_status, 400) << target;
  }
}

TEST(HttpParserTest, OffersOfAnotherProtocolAreDeclined) {
  Outcome outcome = ParseAllWays(
      "GET /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
      "GET /b HTTP/1.1\r\n\r\n");
  ASSERT_EQ(outcome.requests.size(), 2u) << outcome.error;
  EXPECT_EQ(outcome.requests[1].path, "/b");
}

TEST(HttpParserTest, GarbageIs400) {
  for (std::string bytes : {"PING\r\n",
                            "*1\r\n$4\r\nPING\r\n",
                            "\r\nPING\r\n",
                            "GET\r\n",
                            "GET foo\r\n",
                            "GET /\r\n\r\n",
                            "SET a b\r\n",
                            "GET / HTTP/2.0\r\n\r\n",
                            "GET / HTTP/1.7\r\n\r\n",
                            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                            "\x16\x03\x01\x02",
                            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
                            "GET / HTTP/1.1\r\na b: c\r\n\r\n",
                            "GET / HTTP/1.1\r\n: c\r\n\r\n",
                            "GET / HTTP/1.1\r\nx : c\r\n\r\n",
                            "POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
                            "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
                            "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
                            "POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
                            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
                            "POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n",
                            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
                            "POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"}) {
    Outcome outcome = ParseAllWays(bytes);
    EXPECT_EQ(outcome.error_status, 400) << bytes;
    EXPECT_FALSE(outcome.error.empty()) << bytes;
    EXPECT_TRUE(outcome.requests.empty()) << bytes;
  }
}

TEST(HttpParserTest, AnErrorStays) {
  HttpParser parser(Kind::kRequests);
  size_t consumed = 0;
  EXPECT_EQ(parser.Feed("PING\r\n", &consumed), Result::kError);
  EXPECT_EQ(parser.Feed("GET / HTTP/1.1\r\n\r\n", &consumed), Result::kError);
  EXPECT_EQ(consumed, 0u);
  EXPECT_EQ(parser.error_status(), 400);
}

TEST(HttpParserTest, RandomBytesNeverConfuseIt) {
  std::mt19937 random(20240607);
  const std::string parts[] = {"GET ", "/", " HTTP/1.1", "\r\n", "\r\n\r\n", "content-length: 3",
                               "%",    ":", "abc",       "\n"};
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (int i = 0; i < 12; ++i) {
      bytes += random() % 4 == 0 ? std::string(1, static_cast<char>(random())) : parts[random() % std::size(parts)];
    }
    Outcome whole = Parse(bytes), split = Parse(bytes, 1);
    ASSERT_EQ(whole.requests.size(), split.requests.size()) << testing::PrintToString(bytes);
    ASSERT_EQ(whole.error_status, split.error_status) << testing::PrintToString(bytes);
  }
}

TEST(HttpParserTest, HeadLimit) {
  std::string start = "GET / HTTP/1.1\r\nx: ", end = "\r\n\r\n";
  std::string fits = start + std::string(kMaxHttpHeadBytes - start.size() - end.size(), 'a') + end;
  ASSERT_EQ(fits.size(), kMaxHttpHeadBytes);
  EXPECT_EQ(ParseAllWays(fits).requests.size(), 1u);
  EXPECT_EQ(ParseAllWays(start + "a" + fits.substr(start.size())).error_status, 431);
  EXPECT_EQ(ParseAllWays("GET /" + std::string(1 << 20, 'a')).error_status, 431);
  EXPECT_EQ(ParseAllWays(std::string(1 << 20, '\n')).error_status, 431);

  std::string many = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 10000; ++i) many += "a:b\r\n";
  EXPECT_EQ(ParseAllWays(many).error_status, 431);
  // Each message has its own limit.
  EXPECT_EQ(Parse(fits + fits + fits).requests.size(), 3u);
}

TEST(HttpParserTest, BodyLimit) {
  std::string head = "POST / HTTP/1.1\r\ncontent-length: ";
  std::string body(kMaxHttpBodyBytes, 'b');
  Outcome fits = Parse(head + std::to_string(body.size()) + "\r\n\r\n" + body);
  ASSERT_EQ(fits.requests.size(), 1u) << fits.error;
  EXPECT_EQ(fits.requests[0].body, body);
  // Refused by its length alone, before a byte of it has come.
  Outcome declared = ParseAllWays(head + std::to_string(body.size() + 1) + "\r\n\r\n");
  EXPECT_EQ(declared.error_status, 413);

  std::string chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
  Outcome whole = Parse(chunked + "100000\r\n" + body + "\r\n0\r\n\r\n");
  ASSERT_EQ(whole.requests.size(), 1u) << whole.error;
  EXPECT_EQ(whole.requests[0].body.size(), body.size());
  EXPECT_EQ(Parse(chunked + "100000\r\n" + body + "\r\n1\r\nb\r\n0\r\n\r\n").error_status, 413);
  EXPECT_EQ(Parse(chunked + "ffffffffff\r\n" + body + body).error_status, 413);
}

TEST(HttpParserTest, FramingIsBoundedToo) {
  std::string chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
  EXPECT_EQ(Parse(chunked + "1;" + std::string(8 << 20, 'e')).error_status, 413);
  EXPECT_EQ(Parse(chunked + "0\r\nt: " + std::string(8 << 20, 'e'), 64 << 10).error_status, 413);
}

TEST(HttpParserTest, Response) {
  HttpParser parser(Kind::kResponses);
  size_t consumed = 0;
  std::string bytes = "HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\n{}";
  EXPECT_EQ(parser.Feed(bytes, &consumed), Result::kDone);
  EXPECT_EQ(consumed, bytes.size());
  EXPECT_EQ(parser.response_status(), 409);
  EXPECT_EQ(parser.response_body(), "{}");
}

TEST(HttpParserTest, ResponseWithoutLengthEndsWithTheConnection) {
  HttpParser parser(Kind::kResponses);
  size_t consumed = 0;
  EXPECT_EQ(parser.Feed("HTTP/1.1 200 OK\r\n\r\nab", &consumed), Result::kNeedMore);
  EXPECT_EQ(parser.Feed("cd", &consumed), Result::kNeedMore);
  EXPECT_EQ(parser.Finish(), Result::kDone);
  EXPECT_EQ(parser.response_status(), 200);
  EXPECT_EQ(parser.response_body(), "abcd");
}

TEST(HttpParserTest, UnfinishedIsAnError) {
  for (std::string bytes : {"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
                            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"}) {
    HttpParser parser(Kind::kResponses);
    size_t consumed = 0;
    EXPECT_EQ(parser.Feed(bytes, &consumed), Result::kNeedMore) << bytes;
    EXPECT_EQ(parser.Finish(), Result::kError) << bytes;
    EXPECT_FALSE(parser.error().empty());
  }
  HttpParser resp(Kind::kResponses);
  size_t consumed = 0;
  EXPECT_EQ(resp.Feed("-ERR unknown command 'GET'\r\n", &consumed), Result::kError);
}

TEST(RenderResponseTest, RoundTrip) {
  HttpResponse response;
  response.status = 409;
  response.body = "{\"a\":1}";
  response.headers["x-evil"] = "a\r\nset-cookie: b";
  std::string bytes = RenderResponse(response, true);
  EXPECT_EQ(bytes,
            "HTTP/1.1 409 Conflict\r\ncontent-type: application/json\r\ncontent-length: 7\r\nconnection: keep-alive\r\n"
            "x-evil: a  set-cookie: b\r\n\r\n{\"a\":1}");
  HttpParser parser(Kind::kResponses);
  size_t consumed = 0;
  ASSERT_EQ(parser.Feed(bytes, &consumed), Result::kDone);
  EXPECT_EQ(parser.response_body(), response.body);

  response = HttpResponse();
  response.status = 204;
  EXPECT_EQ(RenderResponse(response, false), "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
}

TEST(HttpErrorTest, IsJson) {
  EXPECT_EQ(HttpError(404, "no \"such\" path").body, R"({"error":"no \"such\" path"})");
  EXPECT_EQ(HttpError(404, "x").status, 404);
  EXPECT_EQ(HttpError(400, "bad \xff byte").body, "{\"error\":\"bad \xef\xbf\xbd byte\"}");
}

}  // namespace
}  // namespace crossfade
