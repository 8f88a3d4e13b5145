// Whatever a store says of itself when it is asked who it is (INFO, TIME) is understood without harm.
// The first input byte chooses the proxy's clock; a zero byte ends INFO's text and begins TIME's reply.
#include <algorithm>
#include <cstdint>
#include <string>

#include "protocol/resp_parser.h"
#include "proxy/server_info.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace crossfade;
  if (size == 0) return 0;
  const int64_t wall_ms = 1'700'000'000'000 + (int64_t{data[0]} << 32);
  const ExactBlock input(InputText(data + 1, size - 1));
  const size_t end = std::min(input.view().find('\0'), input.view().size());
  const ExactBlock text(input.view().substr(0, end));
  ServerInfo info;
  ParseInfo(text.view(), wall_ms, &info);
  Require(info.product == "redis" || info.product == "valkey" || info.product == "dragonfly", "a product is known");
  Require(info.version.size() + info.run_id.size() <= 2 * text.view().size(), "nothing is invented");
  Require(info.keys >= 0, "keys are counted");
  Require(info.started_ms <= wall_ms, "it has been started before now");
  Require(SameProcess(info, info), "it is the same as itself");
  ServerInfo other;
  Require(SameProcess(info, other) == SameProcess(other, info), "being the same is mutual");

  std::string_view rest = input.view().substr(end);
  if (rest.empty()) return 0;
  rest.remove_prefix(1);
  ReplyParser parser;
  size_t consumed = 0;
  while (!rest.empty() && parser.Parse(rest, &consumed) == ParseResult::kDone) {
    const ExactBlock reply(rest.substr(0, consumed));
    ClockReading reading;
    if (ReadClock(reply.view(), wall_ms - data[0], wall_ms, &reading)) {
      Require(reading.uncertainty_ms >= 0, "a reading is at most certain");
    }
    rest.remove_prefix(consumed);
  }
  return 0;
}
