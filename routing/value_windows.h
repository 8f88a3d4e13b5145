// Comparing one large value piece by piece: what both stores are asked next, and what their answers say. Pure: replies
// in, commands and verdicts out. proxy/window_check asks, for verification.
//
// What always holds: the two answers that are compared are of one logical instant, so a window that differs is a
// difference, whatever was written between the windows. And a difference that stays there is in some window: strings
// don't shift; members and fields are found by a SCAN of the primary, those that only the secondary has by the number
// of them all; streams are read by ids; and of a list that was written to, as much is read again as may have moved
// towards its head (ListWindows in the .cc file).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "protocol/request.h"
#include "routing/rebuild_commands.h"

namespace crossfade {

// What is asked next, of the primary alone or of both.
struct WindowQuestion {
  CommandBatch commands;
  bool primary_only = false;
};

enum class WindowVerdict : uint8_t {
  kGoOn,     // no difference so far; more is asked, unless done()
  kDiffers,  // in the value
  kTtl,      // in the time to live of a field
  kChanged,  // it became another value meanwhile: begin again
  kRefused,  // a server answered an error
};

// How far two moments of expiry may be apart. Each is by its own server's clock, or was chosen by a client.
struct ExpiryTolerance {
  static constexpr int64_t kLeastMs = 100;  // beside what is known of the delay and of the clocks

  int64_t tolerance_ms = 0;
  int64_t clock_difference_ms = 0;  // how far the primary's clock is ahead
};

class ValueWindows {
 public:
  virtual ~ValueWindows() = default;
  virtual bool done() const = 0;
  // REQUIRES: !done().
  virtual WindowQuestion Next() = 0;
  // One answer for each command that Next gave, of each side that was asked.
  virtual WindowVerdict Take(std::span<const std::string> primary, std::span<const std::string> secondary,
                             const ExpiryTolerance& tolerance) = 0;
  // The primary has accepted a write to it. `name` as in the command table.
  virtual void OnWritten(std::string_view name, RequestView request);
};

// Null for what can't be read so: kNone and kModule. `field_expiry`: fields may expire, on both servers.
std::unique_ptr<ValueWindows> MakeValueWindows(ValueType type, std::string_view key, const PieceLimits& limits,
                                               bool field_expiry);

// For streams (routing/value_windows_stream.cc).
std::unique_ptr<ValueWindows> MakeStreamWindows(std::string_view key, const PieceLimits& limits);
// Is there an error among the answers of either side, and what does it mean? kGoOn when there is none.
WindowVerdict JudgeErrors(std::span<const std::string> primary, std::span<const std::string> secondary);

// Two replies to HPEXPIRETIME for the same fields. An error on one side is a difference, on both it is none.
bool FieldExpiriesAgree(std::string_view primary, std::string_view secondary, const ExpiryTolerance& tolerance);
// HPEXPIRETIME for these fields. REQUIRES: there is one.
void AddFieldExpiries(std::string_view key, std::span<const std::string> fields, CommandBatch* out);

}  // namespace crossfade
