// A store that says anything: any bytes as the answers to the handshake and to the commands of a fixed mix of clients,
// with the other store well behaved. tests/fuzz/proxy_world.h says what must hold; at the end the store is well again.
//
// The first input byte says which store is hostile, the second how much of the handshake it does well, the third in
// what pieces it speaks. The rest is what it says; a zero byte ends the connection, 0x01 lets it answer one command as
// a server would, 0x02 to 0x04 let time pass.
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/fuzz/proxy_world.h"
#include "tests/fuzz/require.h"

namespace crossfade {
namespace {

constexpr std::string_view kCommands[] = {
    "SET a 1",
    "GET a",
    "INCR a",
    "SPOP a",
    "SPOP a 2",
    "XADD a * f v",
    "XADD a MAXLEN ~ 10 * f v",
    "XREADGROUP GROUP g c STREAMS a >",
    "XAUTOCLAIM a g c 0 0",
    "ZPOPMIN a 2",
    "LMPOP 1 a LEFT",
    "HEXPIRE a 10 FIELDS 1 f",
    "SET a 1 NX GET PX 100",
    "GETEX a EX 10",
    "BLPOP a 0",
    "SUBSCRIBE c",
    "SORT a STORE b",
    "EVAL return 1 a",
    "EVAL return 1 1 a",
    "BITFIELD a INCRBY u8 0 1",
    "MGET a b",
    "HGETALL a",
    "PUBLISH c m",
    "SCAN 0",
    "WATCH a",
    "MULTI",
    "SET a 1",
    "SPOP a",
    "EXEC",
    "HELLO 3",
    "CLIENT TRACKING ON",
    "GET a",
    "mod.set a b",
    "MONITOR",
};

void Say(ProxyWorld* world, ToyStore* store, std::string_view bytes, size_t piece) {
  while (!bytes.empty()) {
    store->Say(store->connections() - 1, bytes.substr(0, piece));
    world->Turn();
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
}

void Run(const uint8_t* data, size_t size) {
  const size_t side = data[0] & 1;
  ProxyWorld world(uint32_t{data[0]} << 1);
  ToyStore& hostile = world.store(side);
  ToyStore& other = world.store(1 - side);
  hostile.resp3 = (data[1] & 128) == 0;
  const size_t piece = data[2] == 0 ? size : data[2];
  const auto answer_other = [&] {
    other.TakeConnections(true);
    other.AnswerAll();
    world.Turn();
  };
  world.Advance(0);
  hostile.TakeConnections(true);
  answer_other();
  for (int left = data[1] % 128; left > 0 && hostile.Answer(0, 0); --left) continue;

  std::string_view rest = InputText(data + 3, size - 3);
  size_t next = 0;
  int pauses = 0;
  for (int steps = 0; !rest.empty() && steps < 200; ++steps) {
    const std::string_view command = kCommands[next++ % std::size(kCommands)];
    world.SendCommand(next / 5, command);
    const size_t end = std::min(rest.find_first_of(std::string_view("\0\1\2\3\4", 5)), rest.size());
    Say(&world, &hostile, rest.substr(0, end), piece);
    answer_other();
    if (end == rest.size()) break;
    switch (rest[end]) {
      case 0:
        hostile.Close(hostile.connections() - 1);
        break;
      case 1:
        hostile.Answer(hostile.connections() - 1, 0);
        break;
      default:
        pauses += rest[end] == 4 ? 6 : 1;  // so that no input takes long
        world.Advance(rest[end] == 2 || pauses > 40 ? 30 : rest[end] == 3 ? 1100 : 6000);
        hostile.TakeConnections(true);
        break;
    }
    world.Turn();
    rest.remove_prefix(end + 1);
  }
  world.Finish();
}

}  // namespace
}  // namespace crossfade

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  crossfade::Run(data, size);
  return 0;
}
