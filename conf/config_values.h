// The text forms of single values, in files, flags and URLs: addresses, backend URLs, sizes, durations. Pure functions.
// Every error is an InvalidArgument that says what was expected and what was got, and never repeats a password: nothing
// of a URL is quoted, and QuoteForError hides any text that might be one.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "conf/config.h"

namespace crossfade {

// "redis://[[user]:password@]host[:port]", percent-decoded; IPv6 in brackets; port 6379 unless given. A user without a
// password, a /db, a query or another scheme is refused with the reason.
absl::StatusOr<BackendConfig> ParseBackendUrl(const std::string& url);

// "host:port", ":port" (127.0.0.1), "[::1]:port". Port 0 is allowed: a free one is picked.
absl::StatusOr<Address> ParseAddress(const std::string& text);

// "64MiB", "1GB", "512KiB", "1048576": bytes. KB is 1000, KiB is 1024; the case of the letters does not matter.
absl::StatusOr<int64_t> ParseBytes(const std::string& text);

// "100ms", "2s", "5m", "1h": milliseconds.
absl::StatusOr<int64_t> ParseDuration(const std::string& text);

// The inverse, in the largest unit that leaves a whole number: "64MiB", "100ms".
std::string FormatBytes(int64_t bytes);
std::string FormatDuration(int64_t ms);

// True for 127.0.0.0/8, ::1 and localhost.
bool IsLoopback(const std::string& host);

// Whether both surely name the same server: case, the forms of one IPv6 address, and localhost for 127.0.0.1 are seen
// through; names are not resolved.
bool SameAddress(const Address& a, const Address& b);

// `text` in quotes on one line, long ones cut; hidden when it holds an '@' or "://".
std::string QuoteForError(const std::string& text);

}  // namespace crossfade
