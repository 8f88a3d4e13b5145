// The parsers beside hiredis's reader (which builds a tree of every reply, as ParseReply does; ReplyParser only finds
// where replies end, which is all that forwarding needs). Streams arrive in reads of 16 KiB, as from a socket.
// bytes_per_second is of RESP; items_per_second counts commands or replies.
#include <hiredis/hiredis.h>
#include <hiredis/read.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "benchmark/benchmark.h"
#include "protocol/input_buffer.h"
#include "protocol/reply.h"
#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"

namespace crossfade {
namespace {

constexpr size_t kReadBytes = 16 << 10;
constexpr size_t kMessages = 1000;

// kMessages commands each: GETs and SETs of 16-byte keys, ten to one as in the goals, with values of `value_bytes`.
std::string Commands(size_t value_bytes) {
  const std::string value(value_bytes, 'v');
  std::string out;
  for (size_t i = 0; i < kMessages; ++i) {
    char key[32];
    snprintf(key, sizeof(key), "key:%012zu", i);
    if (i % 11 == 0) {
      AppendCommand(&out, {"SET", key, value});
    } else {
      AppendCommand(&out, {"GET", key});
    }
  }
  return out;
}

// Every command a SET, so that values are most of the bytes.
std::string Sets(size_t value_bytes) {
  const std::string value(value_bytes, 'v');
  std::string out;
  for (size_t i = 0; i < kMessages; ++i) AppendCommand(&out, {"SET", "key:000000000001", value});
  return out;
}

std::string Values(size_t value_bytes) {
  const std::string value(value_bytes, 'v');
  std::string out;
  for (size_t i = 0; i < kMessages; ++i) {
    if (i % 11 == 0) {
      AppendSimple(&out, "OK");
    } else {
      AppendBulk(&out, value);
    }
  }
  return out;
}

// As XRANGE answers: ten entries of an id and four strings each.
std::string NestedArrays() {
  std::string out;
  for (size_t i = 0; i < kMessages; ++i) {
    AppendArrayHeader(&out, 10);
    for (int entry = 0; entry < 10; ++entry) {
      AppendArrayHeader(&out, 2);
      AppendBulk(&out, "1526919030474-55");
      AppendArrayHeader(&out, 4);
      for (const char* text : {"field", "value", "another", "12345678"}) AppendBulk(&out, text);
    }
  }
  return out;
}

void Count(benchmark::State& state, const std::string& stream) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kMessages));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * stream.size()));
}

void RequireAll(size_t messages) {
  if (messages != kMessages) abort();
}

// Feeds the stream as reads and hands each message that Parser finds to `use`.
template <typename Use>
void FeedReplies(const std::string& stream, Use use) {
  ReplyParser parser;
  InputBuffer buffer;
  for (size_t at = 0; at < stream.size(); at += kReadBytes) {
    std::string_view unread = buffer.Join(std::string_view(stream).substr(at, kReadBytes));
    size_t consumed = 0;
    while (!unread.empty() && parser.Parse(unread, &consumed) == ParseResult::kDone) {
      use(unread.substr(0, consumed));
      unread.remove_prefix(consumed);
    }
    buffer.Keep(unread, parser.wanted_bytes());
  }
}

void Requests(benchmark::State& state, const std::string& stream) {
  for (auto _ : state) {
    RequestParser parser;
    InputBuffer buffer;
    RequestView request;
    size_t messages = 0;
    for (size_t at = 0; at < stream.size(); at += kReadBytes) {
      std::string_view unread = buffer.Join(std::string_view(stream).substr(at, kReadBytes));
      size_t consumed = 0;
      while (!unread.empty() && parser.Parse(unread, &request, &consumed) == ParseResult::kDone) {
        benchmark::DoNotOptimize(request);
        unread.remove_prefix(consumed);
        ++messages;
      }
      buffer.Keep(unread, parser.wanted_bytes());
    }
    RequireAll(messages);
  }
  Count(state, stream);
}

void ScanReplies(benchmark::State& state, const std::string& stream) {
  for (auto _ : state) {
    size_t messages = 0;
    FeedReplies(stream, [&](std::string_view reply) {
      benchmark::DoNotOptimize(reply);
      ++messages;
    });
    RequireAll(messages);
  }
  Count(state, stream);
}

void TreeOfReplies(benchmark::State& state, const std::string& stream) {
  for (auto _ : state) {
    size_t messages = 0;
    FeedReplies(stream, [&](std::string_view bytes) {
      const Reply reply = ParseReply(bytes);
      benchmark::DoNotOptimize(reply);
      ++messages;
    });
    RequireAll(messages);
  }
  Count(state, stream);
}

// The reader reads any RESP2, so that it serves for requests too.
void Hiredis(benchmark::State& state, const std::string& stream) {
  for (auto _ : state) {
    redisReader* reader = redisReaderCreate();
    size_t messages = 0;
    for (size_t at = 0; at < stream.size(); at += kReadBytes) {
      const std::string_view read = std::string_view(stream).substr(at, kReadBytes);
      if (redisReaderFeed(reader, read.data(), read.size()) != REDIS_OK) abort();
      void* reply = nullptr;
      while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != nullptr) {
        freeReplyObject(reply);
        ++messages;
      }
    }
    redisReaderFree(reader);
    RequireAll(messages);
  }
  Count(state, stream);
}

using Run = void (*)(benchmark::State&, const std::string&);

void Register(const char* name, Run run, const std::string& stream) {
  benchmark::RegisterBenchmark(name, [run, stream](benchmark::State& state) { run(state, stream); });
}

}  // namespace
}  // namespace crossfade

int main(int argc, char** argv) {
  using namespace crossfade;
  Register("commands/get_set_64B/RequestParser", Requests, Commands(64));
  Register("commands/get_set_64B/hiredis", Hiredis, Commands(64));
  Register("commands/set_1KiB/RequestParser", Requests, Sets(1024));
  Register("commands/set_1KiB/hiredis", Hiredis, Sets(1024));
  Register("replies/64B/ReplyParser", ScanReplies, Values(64));
  Register("replies/64B/ParseReply", TreeOfReplies, Values(64));
  Register("replies/64B/hiredis", Hiredis, Values(64));
  Register("replies/1KiB/ReplyParser", ScanReplies, Values(1024));
  Register("replies/1KiB/ParseReply", TreeOfReplies, Values(1024));
  Register("replies/1KiB/hiredis", Hiredis, Values(1024));
  Register("replies/nested_arrays/ReplyParser", ScanReplies, NestedArrays());
  Register("replies/nested_arrays/ParseReply", TreeOfReplies, NestedArrays());
  Register("replies/nested_arrays/hiredis", Hiredis, NestedArrays());
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
