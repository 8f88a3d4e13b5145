// Any bytes, parsed as requests whole, byte by byte and in pieces of a random size, give the same messages and the same
// error; and each message's own bytes parse back to its arguments. The first input byte chooses the pieces' size.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "protocol/request.h"
#include "protocol/resp_parser.h"

namespace crossfade {
namespace {

void Require(bool holds) {
  if (!holds) abort();
}

struct Outcome {
  std::vector<std::vector<std::string>> messages;
  std::string error;
  size_t left = 0;

  bool operator==(const Outcome&) const = default;
};

// What is sent on to a server must say what was understood.
void RequireReadsBack(RequestView request, const std::vector<std::string>& args) {
  RequestParser parser;
  RequestView again;
  size_t consumed = 0;
  Require(parser.Parse(request.bytes(), &again, &consumed) == ParseResult::kDone);
  Require(consumed == request.bytes().size() && again.argc() == args.size());
  for (size_t i = 0; i < args.size(); ++i) Require(again.arg(i) == args[i]);
}

Outcome ParseInPieces(std::string_view stream, size_t piece) {
  RequestParser parser;
  Outcome outcome;
  size_t start = 0;
  for (size_t end = std::min(piece, stream.size()); start < stream.size(); end = std::min(end + piece, stream.size())) {
    while (start < end) {
      const size_t size = end - start;
      const std::unique_ptr<char[]> block(new char[size]);  // of exactly that size: AddressSanitizer sees over-reads
      memcpy(block.get(), stream.data() + start, size);
      RequestView request;
      size_t consumed = 0;
      const ParseResult result = parser.Parse(std::string_view(block.get(), size), &request, &consumed);
      if (result == ParseResult::kError) {
        Require(parser.error().starts_with("ERR Protocol error: "));
        outcome.error = parser.error();
        return outcome;
      }
      if (result == ParseResult::kNeedMore) {
        Require(parser.wanted_bytes() > size);
        break;
      }
      Require(consumed > 0 && consumed <= size);
      std::vector<std::string>& args = outcome.messages.emplace_back();
      for (size_t i = 0; i < request.argc(); ++i) args.emplace_back(request.arg(i));
      if (!args.empty()) RequireReadsBack(request, args);
      start += consumed;
    }
    if (end == stream.size()) break;
  }
  outcome.left = stream.size() - start;
  return outcome;
}

}  // namespace
}  // namespace crossfade

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  const crossfade::Outcome whole = crossfade::ParseInPieces(stream, size);
  crossfade::Require(crossfade::ParseInPieces(stream, 1) == whole);
  crossfade::Require(crossfade::ParseInPieces(stream, 2 + data[0] % 64) == whole);
  return 0;
}
