// A store's name is looked up for each attempt to connect: after a failover it may stand for another address. The
// resolver here is this file's own getaddrinfo, which libuv finds before the C library's.
#include "proxy/uv_io.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include <atomic>
#include <cstring>
#include <string>

namespace {
std::atomic<int> lookups{0};
std::atomic<const char*> store_address{"127.0.0.1"};
constexpr char kStoreName[] = "store.example";
}  // namespace

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** found) {
  using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (node != nullptr && strcmp(node, kStoreName) == 0) {
    ++lookups;
    node = store_address;
  }
  return real(node, service, hints, found);
}

namespace crossfade {
namespace {

TEST(UvIoTest, ANameIsLookedUpForEachConnection) {
  UvIo io;
  int accepted[2] = {0, 0};
  auto first = io.Listen({"127.0.0.1", 0}, [&](std::unique_ptr<Stream>) { ++accepted[0]; });
  ASSERT_TRUE(first.ok()) << first.status();
  const uint16_t port = (*first)->address().port;
  auto second = io.Listen({"127.0.0.2", port}, [&](std::unique_ptr<Stream>) { ++accepted[1]; });
  ASSERT_TRUE(second.ok()) << second.status();

  const auto connect = [&] {
    absl::Status status = absl::UnknownError("not called");
    const auto connecting = io.Connect(
        {kStoreName, port}, 5000, [&](absl::StatusOr<std::unique_ptr<Stream>> stream) { status = stream.status(); });
    // One more turn, so that the listener has seen it too.
    const auto timer = io.clock()->MakeTimer([&] {
      if (absl::IsUnknown(status)) return;
      io.Stop();
    });
    timer->Start(20, 20);
    io.Run();
    return status;
  };
  EXPECT_TRUE(connect().ok());
  EXPECT_TRUE(connect().ok());
  EXPECT_EQ(accepted[0], 2);
  store_address = "127.0.0.2";
  EXPECT_TRUE(connect().ok());
  EXPECT_EQ(accepted[0], 2);
  EXPECT_EQ(accepted[1], 1);
  EXPECT_EQ(lookups, 3);

  (*second).reset();  // it has moved, and nobody is there yet
  EXPECT_FALSE(connect().ok());
  store_address = "127.0.0.1";
  EXPECT_TRUE(connect().ok());
  EXPECT_EQ(accepted[0], 3);
  EXPECT_EQ(lookups, 5);
}

}  // namespace
}  // namespace crossfade
