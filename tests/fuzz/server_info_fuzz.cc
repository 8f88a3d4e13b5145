// Whatever a store says of itself when it is asked who it is (INFO, TIME), whom it follows and when it took its latest
// snapshot is understood without harm.
// The first input byte chooses the proxy's clock; a zero byte ends INFO's text and begins TIME's reply.
#include <algorithm>
#include <cstdint>
#include <string>

#include "protocol/resp_parser.h"
#include "proxy/server_info.h"
#include "proxy/snapshot_check.h"
#include "tests/fuzz/require.h"

namespace crossfade {
namespace {

void ReadReplication(std::string_view text) {
  const ReplicationInfo info = ParseReplication(text);
  Require(info.offset >= 0 && info.down_s >= 0, "figures are not negative");
  Require(info.replica || (info.master.empty() && !info.link_up && !info.syncing), "only a replica has a primary");
  Require(info.master.size() + info.replid.size() <= 2 * text.size() + 3, "nothing is invented");
}

void ReadSnapshot(std::string_view text, int64_t wall_ms) {
  const SnapshotFacts facts = ReadSnapshotFacts(text);
  Require(facts.keys >= 0, "keys are counted");
  for (const int64_t since_ms : {int64_t{0}, wall_ms}) {
    for (const bool elsewhere : {false, true}) {
      const absl::Status status = JudgeSnapshot(facts, facts, since_ms, elsewhere);
      Require(status.ok() || !status.message().empty(), "a refusal has its reason");
      const bool newer = facts.begun_s > since_ms / 1000;
      if (status.ok()) Require(!facts.loading && (elsewhere || newer), "an older one is refused");
    }
  }
  for (const int db : {0, 3}) {
    const int64_t keys = KeysInInfo(text, db);
    Require(keys >= 0, "keys of a database are counted");
  }
}

}  // namespace
}  // namespace crossfade

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
  ReadReplication(text.view());
  ReadSnapshot(text.view(), wall_ms);

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
