#include "proxy/tracking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/lane_world.h"

namespace crossfade {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kEverything = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

std::string Told(std::initializer_list<std::string> keys) {
  std::string out = ">2\r\n$10\r\ninvalidate\r\n";
  AppendArrayHeader(&out, keys.size());
  for (const std::string& key : keys) AppendBulk(&out, key);
  return out;
}

Config SmallConfig() {
  Config config = TestConfig();
  config.limits.tracking_keys = 4;
  return config;
}

// Real clients and sessions; their reads go nowhere, and are answered by the test.
class TrackingTest : public testing::Test, public Client::Owner {
 protected:
  TrackingTest() {
    world_.old_store.resp3 = true;
    world_.Start();
    pool_ = std::make_unique<PrivatePool>(&world_.io, &world_.config, world_.lane.get(), &logins_);
    tracking_ = std::make_unique<Tracking>(&world_.io, &world_.config, world_.lane.get(), pool_.get(), &clients_);
    listening_ = *world_.io.Listen({"127.0.0.1", 6400}, [this](std::unique_ptr<Stream> stream) {
      const uint64_t id = ++last_client_;
      clients_[id] = std::make_unique<Client>(id, std::move(stream), &world_.config.limits, &world_.facts,
                                              static_cast<Client::Owner*>(this));
    });
  }
  ~TrackingTest() override { tracking_.reset(); }

  // A new client, its number is last_client_.
  FakePeerPtr Accept(int protocol = 3) {
    FakePeerPtr peer = world_.io.Dial(6400);
    if (protocol == 3) Send(peer, {"HELLO", "3"});
    peer->TakeWritten();
    return peer;
  }
  static void Send(const FakePeerPtr& peer, std::initializer_list<std::string_view> args) {
    std::string command;
    AppendCommand(&command, args);
    peer->Deliver(command);
  }
  // The hub's connection is made; what it is asked for is not answered yet.
  void Connect() {
    auto connect = world_.io.NextConnect(kOldPort);
    ASSERT_NE(connect, nullptr);
    hub_ = connect->Succeed();
    std::string bytes = hub_->TakeWritten();
    EXPECT_THAT(TakeCommands(&bytes), ElementsAre("HELLO 3", "CLIENT TRACKING ON BCAST"));
  }
  void Confirm() { hub_->Deliver("%0\r\n" + kOk); }
  FakePeerPtr Tracker(std::initializer_list<std::string_view> options = {}, int protocol = 3) {
    FakePeerPtr peer = Accept(protocol);
    std::vector<std::string_view> args{"CLIENT", "TRACKING", "ON"};
    args.insert(args.end(), options);
    std::string command;
    AppendCommand(&command, args);
    peer->Deliver(command);
    if (hub_ == nullptr) {
      Connect();
      Confirm();
    }
    EXPECT_EQ(peer->TakeWritten(), kOk);
    return peer;
  }
  // The oldest request that nobody has answered.
  void Answer(std::string_view reply = "_\r\n") {
    ASSERT_FALSE(requests_.empty());
    const ReplyTo to = requests_.front();
    requests_.erase(requests_.begin());
    clients_.at(to.client)->Answer(to.sequence, reply);
  }
  void Read(const FakePeerPtr& peer, std::string_view key) {
    Send(peer, {"GET", key});
    Answer();
    EXPECT_EQ(peer->TakeWritten(), "_\r\n");
  }

  void OnRequest(Client* client, const Plan& plan, RequestView request, ReplyTo to) override {
    if (plan.row->name == "client|tracking") return tracking_->Track(client, request, to);
    if (client->session().tracking().on) tracking_->OnRequest(client, plan, request, to.sequence);
    if (plan.act == Plan::Act::kTransaction) client->session().TakeTransaction();
    requests_.push_back(to);
  }
  void OnQueued(Client* client, const Plan&, RequestView, ReplyTo to, const std::string& reply) override {
    client->Answer(to.sequence, reply);
  }
  bool Holding() const override { return false; }
  bool MustWait(Client*, const CommandRow*, RequestView) override { return false; }
  void OnUnwatched(Client*) override {}
  void OnUnsubscribed(Client*) override {}
  void OnUntracked(Client* client) override { tracking_->End(client->id()); }
  void OnFencePassed(Client* client) override { tracking_->OnFencePassed(client); }
  std::string InfoSection() const override { return {}; }
  void OnPaused(Client*) override {}
  void OnGone(Client* client) override { tracking_->End(client->id()); }

  LaneWorld world_{SmallConfig()};
  Logins logins_;
  std::unique_ptr<PrivatePool> pool_;
  Tracking::Clients clients_;
  std::unique_ptr<Tracking> tracking_;
  std::unique_ptr<Listening> listening_;
  FakePeerPtr hub_;
  std::vector<ReplyTo> requests_;
  uint64_t last_client_ = 0;
};

TEST_F(TrackingTest, IsAnsweredOnceTheHubIsThereAndLeavesNothingBehind) {
  FakePeerPtr one = Accept(), two = Accept();
  Send(one, {"CLIENT", "TRACKING", "ON"});
  Send(two, {"CLIENT", "TRACKING", "ON", "BCAST"});
  Connect();
  EXPECT_EQ(one->TakeWritten(), "");
  Confirm();
  EXPECT_EQ(one->TakeWritten() + two->TakeWritten(), kOk + kOk);
  EXPECT_EQ(world_.io.NextConnect(kOldPort), nullptr) << "one for all";
  Read(one, "k");
  Send(one, {"RESET"});
  EXPECT_FALSE(hub_->destroyed);
  Send(two, {"CLIENT", "TRACKING", "OFF"});
  EXPECT_TRUE(hub_->destroyed);
  EXPECT_EQ(tracking_->keys(), 0u);
  EXPECT_EQ(tracking_->size(), 0u);
}

TEST_F(TrackingTest, WhoOnlyWaitedForTheHubIsToldWhyThereIsNone) {
  FakePeerPtr peer = Accept();
  Send(peer, {"CLIENT", "TRACKING", "ON"});
  Connect();
  hub_->Deliver("%0\r\n-NOPERM no\r\n");
  EXPECT_THAT(peer->TakeWritten(), HasSubstr("announce changed keys: NOPERM no"));
  EXPECT_TRUE(hub_->destroyed);
  Send(peer, {"CLIENT", "TRACKING", "ON"});
  world_.io.NextConnect(kOldPort)->Fail(absl::UnavailableError("refused"));
  EXPECT_THAT(peer->TakeWritten(), HasSubstr("refused"));
  world_.Advance(1000);
  EXPECT_EQ(world_.io.NextConnect(kOldPort), nullptr) << "nobody tracks";
}

TEST_F(TrackingTest, AReaderIsToldOnceOfWhatItHasRead) {
  FakePeerPtr reader = Tracker(), other = Tracker();
  Read(reader, "a");
  Read(reader, "b");
  hub_->Deliver(Told({"a", "b", "c"}));
  EXPECT_EQ(reader->TakeWritten(), Told({"a"}) + Told({"b"}));
  hub_->Deliver(Told({"a"}));
  EXPECT_EQ(reader->TakeWritten() + other->TakeWritten(), "");
}

TEST_F(TrackingTest, PrefixesAreToldOfWithoutReading) {
  FakePeerPtr some = Tracker({"BCAST", "PREFIX", "a", "PREFIX", "b"}), every = Tracker({"BCAST"});
  hub_->Deliver(Told({"a1", "a2", "b", "c"}));
  EXPECT_EQ(some->TakeWritten(), Told({"a1", "a2"}) + Told({"b"}));
  EXPECT_EQ(every->TakeWritten(), Told({"a1", "a2", "b", "c"}));
  hub_->Deliver(kEverything);
  EXPECT_EQ(some->TakeWritten() + every->TakeWritten(), kEverything + kEverything);
}

TEST_F(TrackingTest, AnAnswerOnItsWayComesFirst) {
  FakePeerPtr peer = Tracker();
  Send(peer, {"GET", "a"});
  Send(peer, {"GET", "b"});
  hub_->Deliver(Told({"a"}));  // GET a may have run before the change
  Send(peer, {"GET", "a"});    // this runs after it
  EXPECT_EQ(peer->TakeWritten(), "");
  Answer("+old\r\n");
  EXPECT_EQ(peer->TakeWritten(), "+old\r\n");
  Answer("+b\r\n");
  EXPECT_EQ(peer->TakeWritten(), "+b\r\n" + Told({"a"}));
  Answer("+new\r\n");
  EXPECT_EQ(peer->TakeWritten(), "+new\r\n");
  hub_->Deliver(Told({"a"}));
  EXPECT_EQ(peer->TakeWritten(), Told({"a"})) << "read again, so it is told again";
}

TEST_F(TrackingTest, AnswersThatOvertakeOneAnotherDoNotLetItPass) {
  FakePeerPtr peer = Tracker({"BCAST"});
  Send(peer, {"GET", "a"});
  Send(peer, {"GET", "b"});
  hub_->Deliver(Told({"b"}));
  Send(peer, {"GET", "b"});
  const std::vector<ReplyTo> to = std::exchange(requests_, {});
  clients_.at(1)->Answer(to[2].sequence, "+new\r\n");
  clients_.at(1)->Answer(to[1].sequence, "+old\r\n");
  EXPECT_EQ(peer->TakeWritten(), "");
  clients_.at(1)->Answer(to[0].sequence, "+a\r\n");
  EXPECT_EQ(peer->TakeWritten(), "+a\r\n+old\r\n" + Told({"b"}) + "+new\r\n");
}

TEST_F(TrackingTest, WhoBlocksIsToldAtOnceAndAgainIfItReads) {
  FakePeerPtr pops = Tracker({"BCAST"}), reads = Tracker({"BCAST"});
  Send(pops, {"BLPOP", "l", "0"});
  Send(reads, {"XREAD", "BLOCK", "0", "STREAMS", "s", "0"});
  hub_->Deliver(Told({"s"}));
  EXPECT_EQ(pops->TakeWritten(), Told({"s"}));
  EXPECT_EQ(reads->TakeWritten(), Told({"s"}));
  Answer("+popped\r\n");
  Answer("+old\r\n");
  EXPECT_EQ(pops->TakeWritten(), "+popped\r\n");
  EXPECT_EQ(reads->TakeWritten(), "+old\r\n" + Told({"s"}));
}

TEST_F(TrackingTest, CachingChoosesOneCommandOrOneBlock) {
  FakePeerPtr optin = Tracker({"OPTIN"});
  Read(optin, "a");
  EXPECT_EQ(tracking_->keys(), 0u);
  Send(optin, {"CLIENT", "CACHING", "YES"});
  EXPECT_EQ(optin->TakeWritten(), kOk);
  Read(optin, "b");
  Read(optin, "c");
  EXPECT_EQ(tracking_->keys(), 1u);
  for (auto args : {std::initializer_list<std::string_view>{"CLIENT", "CACHING", "YES"},
                    {"MULTI"},
                    {"GET", "d"},
                    {"GET", "e"},
                    {"SET", "f", "v"},
                    {"EXEC"},
                    {"GET", "g"}}) {
    Send(optin, args);
  }
  EXPECT_EQ(tracking_->keys(), 3u) << "b, d and e";
}

TEST_F(TrackingTest, WhatIsReadWithoutAHubIsTakenBackWithItsAnswer) {
  FakePeerPtr peer = Tracker(), every = Tracker({"BCAST", "PREFIX", "x"});
  Read(peer, "a");
  hub_->CloseByPeer();
  EXPECT_EQ(peer->TakeWritten() + every->TakeWritten(), kEverything + kEverything);
  EXPECT_EQ(tracking_->keys(), 0u);
  Send(peer, {"GET", "a"});
  Send(peer, {"GET", "b"});
  Answer("+a\r\n");
  EXPECT_EQ(peer->TakeWritten(), "+a\r\n" + Told({"a"}));
  world_.Advance(1000);
  Connect();
  Confirm();
  EXPECT_EQ(every->TakeWritten(), kEverything);
  Answer("+b\r\n");
  EXPECT_EQ(peer->TakeWritten(), "+b\r\n" + Told({"b"}) + kEverything);
  Read(peer, "a");
  EXPECT_EQ(tracking_->keys(), 1u);
}

TEST_F(TrackingTest, WhoAsksMeanwhileNeedsNoOtherHub) {
  FakePeerPtr first = Tracker(), second = Accept();
  hub_->CloseByPeer();
  Send(second, {"CLIENT", "TRACKING", "ON"});
  Connect();
  Confirm();
  EXPECT_EQ(second->TakeWritten(), kOk);
  world_.Advance(1000);
  EXPECT_EQ(world_.io.NextConnect(kOldPort), nullptr);
  EXPECT_FALSE(hub_->destroyed);
  Read(second, "k");
  hub_->Deliver(Told({"k"}));
  EXPECT_EQ(second->TakeWritten(), Told({"k"}));
  EXPECT_EQ(first->TakeWritten(), kEverything + kEverything);
}

TEST_F(TrackingTest, AnotherPrimaryIsAnotherHub) {
  FakePeerPtr peer = Tracker();
  Read(peer, "a");
  tracking_->PrimaryChanged();
  EXPECT_TRUE(hub_->destroyed);
  EXPECT_EQ(peer->TakeWritten(), kEverything);
  Connect();
  Confirm();
  EXPECT_EQ(peer->TakeWritten(), kEverything);
  hub_->Deliver(Told({"a"}));
  EXPECT_EQ(peer->TakeWritten(), "") << "it knows already";
}

TEST_F(TrackingTest, AHubThatFallsSilentIsLost) {
  FakePeerPtr peer = Tracker();
  tracking_->Tick();
  tracking_->Tick();
  std::string bytes = hub_->TakeWritten();
  EXPECT_THAT(TakeCommands(&bytes), ElementsAre("PING"));
  hub_->Deliver("+PONG\r\n");
  tracking_->Tick();
  world_.Advance(world_.config.timeouts.response_ms + 200);
  EXPECT_TRUE(hub_->destroyed);
  EXPECT_EQ(peer->TakeWritten(), kEverything);
}

TEST_F(TrackingTest, BeyondTheLimitWhoHasMostForgetsEverything) {
  FakePeerPtr much = Tracker(), little = Tracker();
  for (std::string_view key : {"a", "b", "c"}) Read(much, key);
  Read(little, "a");
  Send(little, {"GET", "b"});
  EXPECT_EQ(much->TakeWritten(), kEverything);
  EXPECT_EQ(tracking_->keys(), 2u);
  Answer();
  EXPECT_EQ(little->TakeWritten(), "_\r\n");
  hub_->Deliver(Told({"a", "b"}));
  EXPECT_EQ(much->TakeWritten(), "");
  EXPECT_EQ(little->TakeWritten(), Told({"a"}) + Told({"b"}));
}

TEST_F(TrackingTest, WhoReadsTooMuchForgetsWhatCameBeforeOrIfNeedBeAll) {
  FakePeerPtr peer = Tracker();
  for (std::string_view key : {"a", "b", "c"}) Read(peer, key);
  Send(peer, {"GET", "a"});
  Send(peer, {"MGET", "d", "e"});
  Answer("+a\r\n");
  EXPECT_EQ(peer->TakeWritten(), "+a\r\n" + kEverything);
  Answer("+de\r\n");
  EXPECT_EQ(peer->TakeWritten(), "+de\r\n") << "this it may keep";
  EXPECT_EQ(tracking_->keys(), 2u);
  Send(peer, {"MGET", "1", "2", "3", "4", "5"});
  EXPECT_EQ(peer->TakeWritten(), kEverything);
  Answer("+12345\r\n");
  EXPECT_EQ(peer->TakeWritten(), "+12345\r\n" + kEverything);
}

TEST_F(TrackingTest, TooMuchHeldBecomesEverythingAndIsToldWhileMoreComes) {
  FakePeerPtr peer = Tracker({"BCAST"});
  const std::string change = Told({std::string(1000, 'k')});
  const auto has_everything = [&] { return peer->TakeWritten().find(kEverything) != std::string::npos; };
  for (int i = 0; i < 100; ++i) Read(peer, "k");  // its answers are known to be small, so many may be on their way
  for (int i = 0; i < 200; ++i) {
    Send(peer, {"GET", "k"});
    hub_->Deliver(change + change);
  }
  EXPECT_FALSE(has_everything());
  int told = 0;
  for (int i = 0; i < 1000; ++i) {  // there are always 200 on their way
    Send(peer, {"GET", "k"});
    hub_->Deliver(change + change);
    Answer("+v\r\n");
    if (has_everything()) ++told;
  }
  EXPECT_GE(told, 5);
  EXPECT_LE(told, 20);
  while (requests_.size() > 1) Answer("+v\r\n");
  peer->TakeWritten();
  Answer("+v\r\n");
  EXPECT_EQ(peer->TakeWritten(), "+v\r\n" + kEverything);
}

TEST_F(TrackingTest, ARedirectIsFollowedUntilItBreaks) {
  FakePeerPtr listener = Accept(2);
  FakePeerPtr reader = Tracker({"REDIRECT", "1"});
  Read(reader, "a");
  hub_->Deliver(Told({"a"}));
  EXPECT_EQ(listener->TakeWritten(), "") << "not subscribed";
  clients_.at(1)->session().set_subscriptions({.channels = 1});
  Send(reader, {"GET", "a"});
  hub_->Deliver(Told({"a"}));
  EXPECT_EQ(listener->TakeWritten(), "") << "the reader has no answer yet";
  Answer();
  EXPECT_EQ(reader->TakeWritten(), "_\r\n");
  EXPECT_EQ(listener->TakeWritten(), "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\na\r\n");
  hub_->Deliver(kEverything);
  EXPECT_EQ(listener->TakeWritten(), "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n$-1\r\n");
  clients_.erase(1);
  hub_->Deliver(kEverything);
  EXPECT_EQ(reader->TakeWritten(), ">2\r\n$21\r\ntracking-redir-broken\r\n:1\r\n");
  EXPECT_TRUE(clients_.at(2)->session().tracking().broken_redirect);
}

}  // namespace
}  // namespace crossfade
