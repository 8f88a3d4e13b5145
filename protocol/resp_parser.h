// Finds where messages end in a stream of RESP bytes, in RESP2 and RESP3, for requests and for replies.
//
// A parser is shown the unread bytes again and again, always from the first byte of the current message; it remembers
// how far it has looked, so that no byte is examined twice however the network cut them. It copies nothing and owns no
// input: the same bytes in any split give the same messages, or the same error at the same message.
// It holds at most one entry per argument that has *arrived*, and one per level of nesting, so a header that promises
// a million elements costs nothing until they come.
//
// Limits are the server's (Redis 7.0 networking.c, server.h): see the constants. After kError the stream is lost:
// no further call is allowed until Reset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/request.h"

namespace crossfade {

inline constexpr int64_t kMaxBulkBytes = 512LL << 20;   // proto-max-bulk-len
inline constexpr int64_t kMaxArguments = 1 << 20;       // elements of one request
inline constexpr size_t kMaxInlineBytes = 64 << 10;     // an inline command, or a count or length line
inline constexpr size_t kMaxReplyLineBytes = 1 << 20;   // a simple string or an error (ours: servers name none)
inline constexpr size_t kMaxRequestBytes = 1ULL << 30;  // client-query-buffer-limit
inline constexpr int64_t kMaxElements = 0xffffffff;     // of one aggregate in a reply: a list holds no more
inline constexpr size_t kMaxNesting = 128;              // levels of aggregates in one reply

enum class ParseResult { kNeedMore, kDone, kError };

// Requests: RESP arrays of bulk strings, and inline commands (a line of words, quoted as redis-cli quotes them).
class RequestParser {
 public:
  // `unread` begins at the first byte of the current message and only ever grows until kDone.
  // kDone: *consumed bytes are one message. *request is valid until the next call, and until `unread` changes; it has
  //   no arguments for what a server ignores (an empty line, "*0", "*-1").
  // kNeedMore: nothing was consumed; call again with more bytes.
  // kError: error() is the text that a server answers before it closes the connection.
  ParseResult Parse(std::string_view unread, RequestView* request, size_t* consumed);

  // After kNeedMore: how long `unread` must at least be before another call can get further. A hint for buffers.
  size_t wanted_bytes() const { return wanted_; }
  // Without the leading '-': "ERR Protocol error: …".
  const std::string& error() const { return error_; }
  void Reset();

 private:
  ParseResult ParseArray(std::string_view unread, RequestView* request, size_t* consumed);
  ParseResult ParseInline(std::string_view unread, RequestView* request, size_t* consumed);
  ParseResult Fail(std::string_view reason);
  void ForgetLast();

  size_t pos_ = 0;           // bytes of the current message that are understood
  size_t scanned_ = 0;       // up to where a line's end was already looked for
  int64_t remaining_ = -1;   // arguments still to come; -1 before the header
  int64_t bulk_bytes_ = -1;  // size of the argument being read; -1 before its header
  size_t wanted_ = 0;
  std::vector<ArgSpan> args_;
  std::string inline_bytes_;  // an inline command, re-encoded
  std::string error_;
};

// Replies: any RESP2 or RESP3 value, found as a whole and forwarded without being understood.
class ReplyParser {
 public:
  // As RequestParser::Parse; on kDone the first *consumed bytes of `unread` are one reply, attributes included.
  ParseResult Parse(std::string_view unread, size_t* consumed);

  size_t wanted_bytes() const { return wanted_; }
  const std::string& error() const { return error_; }
  void Reset();

 private:
  ParseResult ParseValue(std::string_view unread);
  ParseResult ParseHeader(std::string_view unread);
  ParseResult BeginSized(char type, int64_t size);
  ParseResult Fail(std::string_view reason);

  size_t pos_ = 0;
  size_t scanned_ = 0;
  int64_t bulk_bytes_ = -1;  // size of the string being skipped; -1 at a value's header
  size_t wanted_ = 0;
  std::vector<uint64_t> remaining_;  // values still to come, outermost level first
  std::string error_;
};

}  // namespace crossfade
