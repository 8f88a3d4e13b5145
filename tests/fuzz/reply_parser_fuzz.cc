// Any bytes, parsed as replies whole, byte by byte and in pieces of a random size, give the same messages and the same
// error. Every reply found is understood, and agrees under every rule with itself, with itself in RESP2, and with
// others as they agree with it. The first input byte chooses the pieces' size, the second the request.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "protocol/reply.h"
#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"
#include "routing/comparer.h"

namespace crossfade {
namespace {

void Require(bool holds) {
  if (!holds) abort();
}

struct Outcome {
  std::vector<std::string> messages;
  std::string error;
  size_t left = 0;

  bool operator==(const Outcome&) const = default;
};

Outcome ParseInPieces(std::string_view stream, size_t piece) {
  ReplyParser parser;
  Outcome outcome;
  size_t start = 0;
  for (size_t end = std::min(piece, stream.size()); start < stream.size(); end = std::min(end + piece, stream.size())) {
    while (start < end) {
      const size_t size = end - start;
      const std::unique_ptr<char[]> block(new char[size]);  // of exactly that size: AddressSanitizer sees over-reads
      memcpy(block.get(), stream.data() + start, size);
      size_t consumed = 0;
      const ParseResult result = parser.Parse(std::string_view(block.get(), size), &consumed);
      if (result == ParseResult::kError) {
        outcome.error = parser.error();
        return outcome;
      }
      if (result == ParseResult::kNeedMore) {
        Require(parser.wanted_bytes() > size);
        break;
      }
      Require(consumed > 0 && consumed <= size);
      outcome.messages.emplace_back(block.get(), consumed);
      start += consumed;
    }
    if (end == stream.size()) break;
  }
  outcome.left = stream.size() - start;
  return outcome;
}

// The reply as a server would have sent it in RESP2.
void AppendInResp2(const Reply& reply, std::string* out) {
  if (reply.is_aggregate()) {
    AppendArrayHeader(out, reply.items.size());
    for (const Reply& item : reply.items) AppendInResp2(item, out);
  } else if (reply.is_null()) {
    out->append("*-1\r\n");
  } else if (reply.is_error()) {
    AppendError(out, reply.text);
  } else if (reply.type == ReplyType::kInteger) {
    out->append(":").append(reply.text).append("\r\n");  // as sent: the parser lets any line through
  } else if (reply.type == ReplyType::kBoolean) {
    AppendInteger(out, reply.integer);
  } else {
    AppendBulk(out, reply.text);
  }
}

// AppendError puts a space for a line's end, which may end a first word.
bool HasErrorOfManyLines(const Reply& reply) {
  if (reply.is_error()) return reply.text.find_first_of("\r\n") != std::string_view::npos;
  return std::any_of(reply.items.begin(), reply.items.end(), HasErrorOfManyLines);
}

Request ChooseRequest(uint8_t choice) {
  switch (choice % 16) {
    case 0:
      return MakeRequest({"GET", "k"});
    case 1:
      return MakeRequest({"ZRANGE", "k", "0", "-1", "WITHSCORES"});
    case 2:
      return MakeRequest({"ZRANGE", "k", "0", "-1"});
    case 3:
      return MakeRequest({"ZMPOP", "1", "k", "MIN"});
    case 4:
      return MakeRequest({"BZPOPMIN", "k", "0"});
    case 5:
      return MakeRequest({"ZUNION", "9", "k"});
    case 6:
      return MakeRequest({"GEODIST", "k", "a", "b"});
    case 7:
      return MakeRequest({"GEOSEARCH", "k", "FROMMEMBER", "a", "BYRADIUS", "1", "m", "WITHDIST"});
    case 8:
      return MakeRequest({"GEOSEARCH", "k", "FROMMEMBER", "a", "BYRADIUS", "1", "m", "COUNT", "2", "WITHDIST"});
    case 9:
      return MakeRequest({"SORT", "k", "BY", "nosort", "GET", "#", "GET", "x*"});
    case 10:
      return MakeRequest({"SORT", "k", "LIMIT", "BY"});
    case 11:
      return MakeRequest({"XINFO", "STREAM", "k", "FULL"});
    case 12:
      return MakeRequest({"XINFO", "GROUPS", "k"});
    case 13:
      return MakeRequest({"XPENDING", "k", "g", "-", "+", "10"});
    case 14:
      return MakeRequest({"XPENDING", "k", "g"});
    default:
      return Request();
  }
}

void RequireAgreement(RequestView request, const std::vector<std::string>& replies) {
  for (int i = 0; i <= static_cast<int>(CompareRule::kNever); ++i) {
    const auto rule = static_cast<CompareRule>(i);
    for (size_t j = 0; j < replies.size(); ++j) {
      const Reply reply = ParseReply(replies[j]);
      std::string in_resp2;
      AppendInResp2(reply, &in_resp2);
      Require(RepliesAgree(rule, request, replies[j], replies[j], 0));
      if (!HasErrorOfManyLines(reply)) Require(RepliesAgree(rule, request, replies[j], in_resp2, 0));
      const std::string& other = replies[(j + 1) % replies.size()];
      Require(RepliesAgree(rule, request, replies[j], other, 50) == RepliesAgree(rule, request, other, replies[j], 50));
    }
  }
}

}  // namespace
}  // namespace crossfade

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 2, size - 2);
  const crossfade::Outcome whole = crossfade::ParseInPieces(stream, size);
  crossfade::Require(crossfade::ParseInPieces(stream, 1) == whole);
  crossfade::Require(crossfade::ParseInPieces(stream, 2 + data[0] % 64) == whole);
  crossfade::RequireAgreement(crossfade::ChooseRequest(data[1]).view(), whole.messages);
  return 0;
}
