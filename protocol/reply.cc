#include "protocol/reply.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "protocol/resp_writer.h"

namespace crossfade {

namespace {

// Reads values off the front of bytes that ReplyParser has already found to be whole.
class Walker {
 public:
  explicit Walker(std::string_view bytes) : rest_(bytes) {}

  Reply Take() {
    Reply reply;
    TakeInto(&reply);
    return reply;
  }

 private:
  void TakeInto(Reply* reply) {
    char type = rest_.front();
    std::string_view line = TakeLine();
    while (type == '|') {  // a loop, because a value may have any number of attributes
      for (int64_t i = 0, n = 2 * Number(line); i < n; ++i) Take();
      type = rest_.front();
      line = TakeLine();
    }
    switch (type) {
      case '+':
        reply->type = ReplyType::kSimple;
        break;
      case '-':
        reply->type = ReplyType::kError;
        break;
      case ':':
        reply->type = ReplyType::kInteger;
        break;
      case ',':
        reply->type = ReplyType::kDouble;
        break;
      case '(':
        reply->type = ReplyType::kBigNumber;
        break;
      case '#':
        reply->type = ReplyType::kBoolean;
        reply->integer = line == "t";
        break;
      case '$':
      case '!':
      case '=':
        TakeString(type, Number(line), reply);
        return;
      case '*':
        TakeItems(ReplyType::kArray, Number(line), reply);
        return;
      case '~':
        TakeItems(ReplyType::kSet, Number(line), reply);
        return;
      case '>':
        TakeItems(ReplyType::kPush, Number(line), reply);
        return;
      case '%':
        TakeItems(ReplyType::kMap, 2 * Number(line), reply);
        return;
      default:
        return;  // '_'
    }
    reply->text = line;
    if (reply->type == ReplyType::kInteger) reply->integer = Number(line);
  }

  static int64_t Number(std::string_view text) { return ParseInt64(text).value_or(0); }

  std::string_view TakeLine() {
    const size_t lf = rest_.find('\n');
    const std::string_view line = rest_.substr(1, lf - 2);
    rest_.remove_prefix(lf + 1);
    return line;
  }

  void TakeString(char type, int64_t size, Reply* reply) {
    if (size < 0) return;
    reply->type = type == '!' ? ReplyType::kError : ReplyType::kBulk;
    reply->text = rest_.substr(0, static_cast<size_t>(size));
    if (type == '=' && reply->text.size() >= 4) reply->text.remove_prefix(4);
    rest_.remove_prefix(static_cast<size_t>(size) + 2);
  }

  void TakeItems(ReplyType type, int64_t count, Reply* reply) {
    if (count < 0) return;
    reply->type = type;
    reply->items.reserve(static_cast<size_t>(count));  // they are all there
    for (int64_t i = 0; i < count; ++i) TakeInto(&reply->items.emplace_back());
  }

  std::string_view rest_;
};

}  // namespace

Reply ParseReply(std::string_view bytes) {
  return Walker(bytes).Take();
}

void AppendReply(std::string* out, const Reply& reply) {
  const auto line = [out](char type, std::string_view text) {
    out->push_back(type);
    out->append(text);
    out->append("\r\n", 2);
  };
  const auto items = [&](char type, size_t count) {
    line(type, std::to_string(count));
    for (const Reply& item : reply.items) AppendReply(out, item);
  };
  switch (reply.type) {
    case ReplyType::kNull:
      return line('_', "");
    case ReplyType::kError:
      return AppendError(out, reply.text);
    case ReplyType::kSimple:
      return AppendSimple(out, reply.text);
    case ReplyType::kInteger:
      return AppendInteger(out, reply.integer);
    case ReplyType::kBoolean:
      return line('#', reply.integer != 0 ? "t" : "f");
    case ReplyType::kBulk:
      return AppendBulk(out, reply.text);
    case ReplyType::kDouble:
      return line(',', reply.text);
    case ReplyType::kBigNumber:
      return line('(', reply.text);
    case ReplyType::kArray:
      return items('*', reply.items.size());
    case ReplyType::kMap:
      return items('%', reply.items.size() / 2);
    case ReplyType::kSet:
      return items('~', reply.items.size());
    case ReplyType::kPush:
      return items('>', reply.items.size());
  }
}

std::optional<int64_t> IntegerReply(std::string_view bytes) {
  if (bytes.size() < 4 || bytes[0] != ':') return std::nullopt;
  return ParseInt64(bytes.substr(1, bytes.size() - 3));
}

std::string_view ErrorCode(std::string_view bytes) {
  if (!IsErrorReply(bytes)) return {};
  const Reply reply = ParseReply(bytes);
  return reply.text.substr(0, reply.text.find(' '));
}

std::optional<int64_t> ParseInt64(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text[0] == '0') || text.substr(0, 2) == "-0") return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> ParseDouble(std::string_view text) {
  if (!text.empty() && text[0] == '+' && text.substr(1, 1) != "-") text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end != text.data() + text.size() || std::isnan(value)) return std::nullopt;
  if (error == std::errc::result_out_of_range) return std::nullopt;
  return error == std::errc() ? std::optional<double>(value) : std::nullopt;
}

}  // namespace crossfade
