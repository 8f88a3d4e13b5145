// Copying a key by its type, for what DUMP and RESTORE can't bring over, or not in one piece: what the primary is
// asked, and what the secondary is told for its answers. Pure: replies in, commands out. proxy/lane carries a value
// that is small enough for one slot (AppendWholeRead, RewriteWhole), proxy/rebuild one that goes in pieces
// (PieceReader).
//
// What always holds: the secondary's key ends as the primary's was, byte for byte: order of lists, scores of sorted
// sets (17 digits, or what reads back as the same double), ids, groups and pending entries of streams, times to live.
// What no command can set is left out: LFU and LRU counters, and when a stream's consumers were last seen. In pieces a
// value may be read only while nothing writes to it: SCAN's guarantees and the windows need that.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "routing/rewrite.h"

namespace crossfade {

// As TYPE names them; kModule for every other word.
enum class ValueType : uint8_t { kNone, kString, kList, kSet, kHash, kZset, kStream, kModule };
ValueType ParseValueType(std::string_view type);
// What says how many elements (of a string: bytes) it has. Empty for those that have none to count.
std::string_view LengthCommand(ValueType type);

// Names under which values are put together on the secondary. A key that begins so is nobody's data: sweeps and
// verifications pass over it. It expires by itself soon after its builder is gone.
inline constexpr std::string_view kTemporaryPrefix = "__crossfade:copy:";
std::string MakeTemporaryName(uint64_t random);
// Those of the keys by which a preflight finds out what can be copied (routing/canaries). They are nobody's data
// either.
inline constexpr std::string_view kCanaryPrefix = "__crossfade:check:";
inline bool IsTemporaryName(std::string_view key) {
  return key.starts_with(kTemporaryPrefix) || key.starts_with(kCanaryPrefix);
}

// Why a copy by DUMP and RESTORE was refused, as far as it matters for what to do next.
enum class CopyRefusal : uint8_t {
  kPassing,  // time may mend it (OOM, LOADING, READONLY …)
  kThisKey,  // the secondary doesn't understand this value
  kEveryKey  // it understands none, or won't let us: version of the format, rights, no such command
};
CopyRefusal JudgeRefusal(std::string_view error);

// What the two servers know.
struct CopyServers {
  bool field_expiry = false;     // fields of a hash may expire, on both
  bool stream_counters = false;  // the secondary takes ENTRIESADDED, MAXDELETEDID and ENTRIESREAD
};

// Some commands, one after another.
struct CommandBatch {
  std::string bytes;
  int count = 0;
  void Add(std::initializer_list<std::string_view> args);
  void Add(std::span<const std::string_view> args);
};

// --- In one slot ---------------------------------------------------------------------------------------------------

// Can one command read it all? Not the fields' times to live of a hash.
bool CanCopyWhole(ValueType type, bool field_expiry);
// What is asked of the primary beside PTTL. REQUIRES: CanCopyWhole.
void AppendWholeRead(ValueType type, std::string_view key, std::string* out);
// The commands that make the secondary's key equal, from the replies to PTTL and to that. Sets follow->unknown when
// they make no sense (as when the key is of another type by now).
void RewriteWhole(ValueType type, std::string_view key, std::string_view pttl, std::string_view value,
                  bool stream_counters, const WriteTimes& times, Follow* follow);

// --- In pieces -------------------------------------------------------------------------------------------------------

// Reads one value of the primary piece by piece, and puts it together under another name on the secondary.
class PieceReader {
 public:
  virtual ~PieceReader() = default;
  // What to ask the primary next. Nothing (count is 0) once it has read everything.
  virtual CommandBatch Next() = 0;
  // One answer for each command asked. Appends what the secondary is told, perhaps nothing.
  // Not OK when the primary refused, or the answers make no sense.
  virtual absl::Status Take(std::span<const std::string> replies, const WriteTimes& times, CommandBatch* out) = 0;
};

struct PieceLimits {
  size_t bytes = 256 << 10;  // of one piece, as far as can be foreseen from the last
  size_t items = 4096;
};

// Null for what can't be read so: kNone and kModule.
std::unique_ptr<PieceReader> MakePieceReader(ValueType type, std::string_view key, std::string_view temporary,
                                             const PieceLimits& limits, const CopyServers& servers);

// Grows and shrinks with the size of what came, so that a piece is about as large as wanted.
class PieceSize {
 public:
  explicit PieceSize(const PieceLimits& limits) : limits_(limits) {}
  size_t items() const { return items_; }
  void Came(size_t items, size_t bytes);

 private:
  static constexpr size_t kFirst = 8;
  static constexpr size_t kGrowth = 4;
  const PieceLimits limits_;
  size_t items_ = kFirst;
};

}  // namespace crossfade
