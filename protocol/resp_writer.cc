#include "protocol/resp_writer.h"

#include <charconv>

namespace crossfade {

namespace {
void AppendHeader(std::string* out, char type, int64_t value) {
  char line[24];
  line[0] = type;
  char* end = std::to_chars(line + 1, line + sizeof(line) - 2, value).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out->append(line, end);
}
}  // namespace

void AppendInteger(std::string* out, int64_t value) {
  AppendHeader(out, ':', value);
}

void AppendBulk(std::string* out, std::string_view text) {
  AppendHeader(out, '$', static_cast<int64_t>(text.size()));
  out->append(text);
  out->append("\r\n", 2);
}

void AppendSimple(std::string* out, std::string_view text) {
  out->push_back('+');
  out->append(text);
  out->append("\r\n", 2);
}

void AppendArrayHeader(std::string* out, size_t count) {
  AppendHeader(out, '*', static_cast<int64_t>(count));
}

void AppendMapHeader(std::string* out, size_t pairs, int protocol) {
  if (protocol >= 3) {
    AppendHeader(out, '%', static_cast<int64_t>(pairs));
  } else {
    AppendHeader(out, '*', static_cast<int64_t>(2 * pairs));
  }
}

void AppendNull(std::string* out, int protocol) {
  out->append(protocol >= 3 ? "_\r\n" : "$-1\r\n");
}

void AppendNullArray(std::string* out, int protocol) {
  out->append(protocol >= 3 ? "_\r\n" : "*-1\r\n");
}

void AppendError(std::string* out, std::string_view text) {
  out->push_back('-');
  for (char c : text) out->push_back(c == '\r' || c == '\n' ? ' ' : c);
  out->append("\r\n", 2);
}

void AppendCommand(std::string* out, std::span<const std::string_view> args) {
  AppendArrayHeader(out, args.size());
  for (std::string_view arg : args) AppendBulk(out, arg);
}

void AppendCommand(std::string* out, std::initializer_list<std::string_view> args) {
  AppendCommand(out, std::span<const std::string_view>(args.begin(), args.size()));
}

}  // namespace crossfade
