// What the journal costs a write: its key is appended before the primary is asked, and erased once the secondary has
// it. On a real file, with so many writes in flight. Time per write; the goal is under 100 ns.
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "protocol/check.h"
#include "proxy/disk.h"
#include "proxy/journal.h"

namespace crossfade {
namespace {

void BM_JournalWrite(benchmark::State& state) {
  const size_t key_bytes = static_cast<size_t>(state.range(0));
  const size_t in_flight = static_cast<size_t>(state.range(1));
  char directory[] = "/tmp/crossfade_benchmark_XXXXXX";
  CHECK(mkdtemp(directory) != nullptr);
  {
    Disk disk;
    auto journal = Journal::Open(&disk, directory, 1 << 30);
    CHECK(journal.ok());
    std::vector<std::string> names;
    for (size_t i = 0; i < 1000; ++i) {
      names.push_back("key:" + std::to_string(i));
      names.back().resize(key_bytes, 'x');
    }
    std::vector<KeyLog::Place> places(in_flight, KeyLog::kNowhere);
    size_t turn = 0;
    for (auto _ : state) {
      KeyLog::Place& place = places[turn % in_flight];
      (*journal)->in_flight()->Erase(place);
      const KeyLog::Key key{0, names[turn++ % names.size()]};
      place = (*journal)->in_flight()->Append({&key, 1}, 0);
    }
    CHECK((*journal)->in_flight()->unlogged() == 0);
  }
  state.SetItemsProcessed(state.iterations());
  std::filesystem::remove_all(directory);
}
BENCHMARK(BM_JournalWrite)->ArgNames({"key_bytes", "in_flight"})->ArgsProduct({{16, 64, 256}, {1, 1000, 100'000}});

}  // namespace
}  // namespace crossfade

BENCHMARK_MAIN();
