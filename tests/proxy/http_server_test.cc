#include "proxy/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/proxy/fake_io.h"

namespace crossfade {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr uint16_t kPort = 6401;
const char kGet[] = "GET /status HTTP/1.1\r\n\r\n";

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    auto server = HttpServer::Start(&io_, Address{"127.0.0.1", kPort}, &limits_,
                                    [this](const HttpRequest& request, auto respond) {
                                      requests_.push_back(request);
                                      if (answer_at_once_) return respond(Ok(request.path));
                                      responders_.push_back(respond);
                                    });
    server_ = *std::move(server);
  }

  static HttpResponse Ok(std::string body) {
    HttpResponse response;
    response.content_type = "text/plain";
    response.body = std::move(body);
    return response;
  }
  static HttpResponse Stream(std::string body) {
    HttpResponse response = Ok(std::move(body));
    response.stream = true;
    return response;
  }
  static std::string Rendered(std::string body, bool keep_alive = true) {
    return RenderResponse(Ok(std::move(body)), keep_alive);
  }

  FakePeerPtr Dial() { return io_.Dial(kPort); }

  // Lets a close that was asked for happen.
  void ExpectCloses(const FakePeerPtr& peer) {
    EXPECT_TRUE(peer->close_after_flush);
    peer->Pump();
    io_.clock()->Advance(0);
    EXPECT_TRUE(peer->destroyed);
  }

  FakeIo io_;
  LimitsConfig limits_;
  bool answer_at_once_ = true;
  std::vector<HttpRequest> requests_;
  std::vector<HttpServer::Responder> responders_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  auto peer = Dial();
  for (int i = 0; i < 3; ++i) {
    peer->Deliver(kGet);
    EXPECT_EQ(peer->TakeWritten(), Rendered("/status"));
    EXPECT_TRUE(peer->open);
  }
}

TEST_F(HttpServerTest, TellsWhatListeningFailedOf) {
  io_.listen_error = absl::UnavailableError("address already in use");
  auto server = HttpServer::Start(&io_, Address{"127.0.0.1", 1}, &limits_, [](const HttpRequest&, auto) {});
  EXPECT_EQ(server.status(), io_.listen_error);
  EXPECT_EQ(server_->address().port, kPort);
}

TEST_F(HttpServerTest, ByteAtATimeGivesTheSame) {
  std::string bytes =
      "POST /a?b=c HTTP/1.1\r\ncontent-length: 2\r\n\r\nhiGET /d HTTP/1.1\r\n\r\n"
      "GET /e HTTP/1.1\r\nconnection: close\r\n\r\n";
  auto whole = Dial(), split = Dial();
  whole->Deliver(bytes);
  split->DeliverByteByByte(bytes);
  EXPECT_EQ(whole->written, Rendered("/a") + Rendered("/d") + Rendered("/e", false));
  EXPECT_EQ(split->written, whole->written);
  EXPECT_EQ(requests_.size(), 6u);
  EXPECT_EQ(requests_[3].body, "hi");
  ExpectCloses(whole);
  ExpectCloses(split);
}

TEST_F(HttpServerTest, ClosesAfterTheAnswerWhenAsked) {
  auto peer = Dial();
  peer->Deliver("GET / HTTP/1.0\r\n\r\nGET /never HTTP/1.1\r\n\r\n");
  EXPECT_EQ(peer->written, Rendered("/", false));
  EXPECT_EQ(requests_.size(), 1u);
  ExpectCloses(peer);
}

TEST_F(HttpServerTest, HeadIsGetWithoutTheBody) {
  auto peer = Dial();
  peer->Deliver("HEAD /status HTTP/1.1\r\n\r\n");
  EXPECT_EQ(requests_[0].method, "GET");
  EXPECT_THAT(peer->written, HasSubstr("content-length: 7\r\n"));
  EXPECT_THAT(peer->TakeWritten(), EndsWith("\r\n\r\n"));
  peer->Deliver(kGet);
  EXPECT_EQ(peer->written, Rendered("/status"));
}

TEST_F(HttpServerTest, PipelinedRequestsWaitForTheirTurn) {
  answer_at_once_ = false;
  auto peer = Dial();
  peer->Deliver("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n");
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_FALSE(peer->reading);
  peer->Deliver("GET /4 HTTP/1.1\r\n\r\n");  // stays in the kernel
  EXPECT_EQ(peer->undelivered_bytes(), 19u);
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(responders_.size(), i + 1);
    responders_[i](Ok("answer"));
  }
  EXPECT_TRUE(peer->reading);
  peer->Pump();
  ASSERT_EQ(responders_.size(), 4u);
  responders_[3](Ok("answer"));
  EXPECT_EQ(requests_[3].path, "/4");
  EXPECT_EQ(peer->written, Rendered("answer") + Rendered("answer") + Rendered("answer") + Rendered("answer"));
}

TEST_F(HttpServerTest, OnlyTheFirstAnswerCounts) {
  answer_at_once_ = false;
  auto peer = Dial();
  peer->Deliver("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
  responders_[0](Ok("first"));
  responders_[0](Ok("again"));  // must not answer /2
  EXPECT_EQ(peer->TakeWritten(), Rendered("first"));
  responders_[1](Ok("second"));
  EXPECT_EQ(peer->TakeWritten(), Rendered("second"));
}

TEST_F(HttpServerTest, AnswerAfterTheConnectionOrTheServerIsGone) {
  answer_at_once_ = false;
  auto failed = Dial(), left = Dial();
  failed->Deliver("GET /1 HTTP/1.1\r\nconnection: close\r\n\r\n");
  left->Deliver(kGet);
  // The write fails: the connection dies with the answer on its way.
  responders_[0](Ok("x"));
  ExpectCloses(failed);
  responders_[0](Ok("again"));
  server_.reset();
  EXPECT_TRUE(left->destroyed);
  responders_[1](Ok("y"));
  EXPECT_EQ(left->written, "");
  EXPECT_EQ(io_.clock()->pending_timers(), 0u);
}

TEST_F(HttpServerTest, PeerThatLeavesIsForgotten) {
  auto idle = Dial(), midway = Dial();
  midway->Deliver("GET / HT");
  idle->CloseByPeer();
  midway->CloseByPeer(absl::UnavailableError("reset"));
  io_.clock()->Advance(0);
  EXPECT_TRUE(idle->destroyed);
  EXPECT_TRUE(midway->destroyed);
  EXPECT_EQ(idle->written + midway->written, "");
  EXPECT_EQ(io_.clock()->pending_timers(), 0u);
}

TEST_F(HttpServerTest, GarbageGets400AndAClose) {
  for (std::string bytes :
       {"PING\r\n", "*1\r\n$4\r\nPING\r\n", "*1000000\r\n", "\x16\x03\x01", "GET / HTTP/1.1\r\nx\r\n"}) {
    auto peer = Dial();
    peer->Deliver(bytes);
    EXPECT_THAT(peer->written, StartsWith("HTTP/1.1 400 Bad Request\r\n")) << bytes;
    EXPECT_THAT(peer->written, HasSubstr("connection: close")) << bytes;
    EXPECT_THAT(peer->written, HasSubstr("{\"error\":")) << bytes;
    peer->Deliver("GET / HTTP/1.1\r\n\r\n");
    ExpectCloses(peer);
  }
  EXPECT_TRUE(requests_.empty());
  EXPECT_EQ(io_.clock()->pending_timers(), 0u);
}

TEST_F(HttpServerTest, GarbageAfterAGoodRequest) {
  auto peer = Dial();
  peer->Deliver(std::string(kGet) + "PING\r\n");
  EXPECT_THAT(peer->written, StartsWith(Rendered("/status") + "HTTP/1.1 400 Bad Request\r\n"));
  ExpectCloses(peer);
}

TEST_F(HttpServerTest, SizeLimits) {
  auto head = Dial(), body = Dial();
  head->Deliver("GET /" + std::string(kMaxHttpHeadBytes, 'a'));
  EXPECT_THAT(head->written, StartsWith("HTTP/1.1 431 "));
  ExpectCloses(head);
  body->Deliver("POST / HTTP/1.1\r\ncontent-length: 1048577\r\n\r\n");
  EXPECT_THAT(body->written, StartsWith("HTTP/1.1 413 "));
  ExpectCloses(body);
}

TEST_F(HttpServerTest, SlowSenderIsCutOff) {
  auto peer = Dial();
  io_.clock()->Advance(kHttpRequestTimeoutMs - 1);
  // However steadily it drips, the whole request has one deadline.
  for (char c : std::string("GET /slow")) {
    peer->Deliver(std::string(1, c));
    io_.clock()->Advance(kHttpRequestTimeoutMs / 10);
  }
  EXPECT_EQ(peer->written, "");
  io_.clock()->Advance(kHttpRequestTimeoutMs / 10);
  EXPECT_THAT(peer->written, StartsWith("HTTP/1.1 408 Request Timeout\r\n"));
  ExpectCloses(peer);
}

TEST_F(HttpServerTest, SlowBodyIsCutOff) {
  auto peer = Dial();
  peer->Deliver("POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\n12345");
  io_.clock()->Advance(kHttpRequestTimeoutMs);
  EXPECT_THAT(peer->written, StartsWith("HTTP/1.1 408 "));
  ExpectCloses(peer);
}

TEST_F(HttpServerTest, IdleConnectionIsClosedWithoutAWord) {
  auto silent = Dial(), kept = Dial();
  io_.clock()->Advance(kHttpRequestTimeoutMs - 1);
  kept->Deliver(kGet);
  kept->TakeWritten();
  io_.clock()->Advance(1);
  EXPECT_TRUE(silent->destroyed);
  EXPECT_FALSE(kept->destroyed);
  io_.clock()->Advance(kHttpRequestTimeoutMs);
  EXPECT_TRUE(kept->destroyed);
  EXPECT_EQ(silent->written + kept->written, "");
}

TEST_F(HttpServerTest, HandlerMayTakeItsTime) {
  answer_at_once_ = false;
  auto peer = Dial();
  peer->Deliver(kGet);
  io_.clock()->Advance(10 * kHttpRequestTimeoutMs);
  responders_[0](Ok("late"));
  EXPECT_EQ(peer->written, Rendered("late"));
}

TEST_F(HttpServerTest, UnreadAnswersStopTheReading) {
  auto peer = Dial();
  peer->stalled = true;
  std::string many;
  for (int i = 0; i < 5000; ++i) many += kGet;
  peer->Deliver(many);
  size_t answered = requests_.size();
  EXPECT_LT(answered, 1000u);
  EXPECT_LT(peer->unsent_bytes(), (64u << 10) + 1000);
  EXPECT_FALSE(peer->reading);
  peer->Drain(peer->unsent_bytes() - 1);  // all but nothing taken: it goes on, up to the bound again
  EXPECT_GT(requests_.size(), answered);
  for (int i = 0; i < 100 && requests_.size() < 5000; ++i) {
    peer->stalled = true;
    peer->Drain();
  }
  EXPECT_EQ(requests_.size(), 5000u);
  EXPECT_TRUE(peer->reading);
}

TEST_F(HttpServerTest, PeerThatNeverReadsIsCutOff) {
  answer_at_once_ = false;
  auto stuck = Dial(), slow = Dial(), refused = Dial();
  stuck->stalled = slow->stalled = refused->stalled = true;
  stuck->Deliver(kGet);
  slow->Deliver(kGet);
  refused->Deliver("PING\r\n");
  for (auto& respond : responders_) respond(Ok(std::string(1 << 20, 'x')));
  for (int i = 0; i < 12; ++i) {
    slow->Drain(1000);
    io_.clock()->Advance(kHttpRequestTimeoutMs / 10);
  }
  EXPECT_TRUE(stuck->destroyed);
  EXPECT_TRUE(refused->destroyed);
  EXPECT_FALSE(slow->destroyed);
  slow->Drain();
  EXPECT_TRUE(slow->reading);
}

TEST_F(HttpServerTest, ConnectionLimit) {
  std::vector<FakePeerPtr> peers;
  limits_.admin_connections = 40;
  for (int i = 0; i < 40; ++i) peers.push_back(Dial());
  for (auto& peer : peers) EXPECT_TRUE(peer->reading);
  auto refused = Dial();
  EXPECT_THAT(refused->written, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  ExpectCloses(refused);
  // Refused ones that don't read their 503 are bounded as well.
  std::vector<FakePeerPtr> stuck;
  stuck.reserve(100);
  for (int i = 0; i < 100; ++i) stuck.push_back(Dial());
  EXPECT_FALSE(stuck.front()->destroyed);
  EXPECT_TRUE(stuck.back()->destroyed);
  EXPECT_EQ(stuck.back()->written, "");
  for (auto& peer : stuck) peer->Pump();
  peers.back()->CloseByPeer();
  io_.clock()->Advance(0);
  auto accepted = Dial();
  accepted->Deliver(kGet);
  EXPECT_EQ(accepted->written, Rendered("/status"));
}

TEST_F(HttpServerTest, StreamGoesOnUntilThePeerLeaves) {
  answer_at_once_ = false;
  auto peer = Dial(), plain = Dial();
  peer->Deliver(kGet);
  plain->Deliver(kGet);
  responders_[0](Stream("begin;"));
  responders_[1](Ok("plain"));
  EXPECT_THAT(peer->written, StartsWith("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n"));
  EXPECT_THAT(peer->written, testing::Not(HasSubstr("content-length")));
  EXPECT_EQ(server_->streams(), 1u);
  peer->TakeWritten();
  server_->Publish("one;");
  io_.clock()->Advance(10 * kHttpRequestTimeoutMs);
  server_->Publish("two;");
  EXPECT_EQ(peer->written, "one;two;");
  EXPECT_EQ(plain->written, Rendered("plain"));
  EXPECT_EQ(server_->pieces_lost(), 0u);
  peer->CloseByPeer();
  io_.clock()->Advance(0);
  EXPECT_TRUE(peer->destroyed);
  EXPECT_EQ(server_->streams(), 0u);
  server_->Publish("nobody hears it");
}

TEST_F(HttpServerTest, StreamEndsWithTheServer) {
  answer_at_once_ = false;
  auto peer = Dial();
  peer->Deliver(kGet);
  responders_[0](Stream("begin;"));
  server_.reset();
  EXPECT_TRUE(peer->destroyed);
  EXPECT_EQ(io_.clock()->pending_timers(), 0u);
}

TEST_F(HttpServerTest, NothingIsAskedOnAStream) {
  answer_at_once_ = false;
  auto peer = Dial();
  peer->Deliver(std::string(kGet) + kGet);
  responders_[0](Stream("begin;"));
  for (int i = 0; i < 1000; ++i) peer->Deliver(kGet);
  EXPECT_EQ(requests_.size(), 1u);
  EXPECT_EQ(server_->streams(), 1u);
}

TEST_F(HttpServerTest, SlowReaderOfAStreamLosesPiecesNotMemory) {
  answer_at_once_ = false;
  auto slow = Dial(), quick = Dial();
  for (auto& peer : {slow, quick}) peer->Deliver(kGet);
  for (auto& respond : responders_) respond(Stream(""));
  slow->TakeWritten();
  slow->stalled = true;
  const std::string piece(1000, 'x');
  for (int i = 0; i < 1000; ++i) server_->Publish(piece);
  EXPECT_LE(slow->unsent_bytes(), 64u << 10);
  EXPECT_EQ(slow->written.size() % piece.size(), 0u);  // whole ones
  EXPECT_EQ(server_->pieces_lost(), 1000 - slow->written.size() / piece.size());
  EXPECT_GT(quick->written.size(), 1000 * piece.size());
  // It has caught up: it hears what comes next, and lives as long as it takes something.
  slow->Drain();
  slow->TakeWritten();
  server_->Publish("next");
  EXPECT_EQ(slow->written, "next");
  slow->stalled = true;
  for (int i = 0; i < 30; ++i) {
    server_->Publish(piece);
    slow->Drain(1);
    io_.clock()->Advance(kHttpRequestTimeoutMs / 5);
  }
  EXPECT_FALSE(slow->destroyed);
}

TEST_F(HttpServerTest, PeerThatNeverReadsItsStreamIsCutOff) {
  answer_at_once_ = false;
  auto peer = Dial();
  peer->stalled = true;
  peer->Deliver(kGet);
  responders_[0](Stream("begin;"));
  for (int i = 0; i < 12; ++i) {
    server_->Publish("more;");
    io_.clock()->Advance(kHttpRequestTimeoutMs / 10);
  }
  EXPECT_TRUE(peer->destroyed);
  EXPECT_EQ(server_->streams(), 0u);
}

TEST_F(HttpServerTest, StreamsLeaveRoomForPlainRequests) {
  answer_at_once_ = false;
  limits_.admin_connections = 5;
  std::vector<FakePeerPtr> peers;
  for (size_t i = 0; i < 4; ++i) {
    peers.push_back(Dial());
    peers.back()->Deliver(kGet);
    responders_[i](Stream("begin;"));
  }
  EXPECT_EQ(server_->streams(), 2u);
  EXPECT_THAT(peers[2]->written, StartsWith("HTTP/1.1 503 "));
  ExpectCloses(peers[2]);
  ExpectCloses(peers[3]);
  auto plain = Dial();
  plain->Deliver(kGet);
  responders_[4](Ok("plain"));
  EXPECT_EQ(plain->written, Rendered("plain"));
}

TEST_F(HttpServerTest, HeadOfAStreamIsOnlyThat) {
  answer_at_once_ = false;
  auto peer = Dial();
  peer->Deliver("HEAD /events HTTP/1.1\r\n\r\n");
  responders_[0](Stream("begin;"));
  EXPECT_THAT(peer->written, EndsWith("connection: close\r\n\r\n"));
  EXPECT_EQ(server_->streams(), 0u);
  ExpectCloses(peer);
}

}  // namespace
}  // namespace crossfade
