#include "protocol/resp_parser.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

namespace {

constexpr size_t kNoLine = std::string_view::npos;
constexpr int64_t kNoNumber = INT64_MAX;  // above every limit
constexpr size_t kKeptInlineBytes = 1024;

// The end of the line that begins at `from` (the index of its CR), looking only at bytes not looked at before.
// kNoLine when it isn't there yet; *scanned remembers.
size_t FindLineEnd(std::string_view unread, size_t from, size_t* scanned) {
  const size_t start = std::max(from, *scanned);
  const void* lf = start < unread.size() ? memchr(unread.data() + start, '\n', unread.size() - start) : nullptr;
  if (lf == nullptr) {
    *scanned = unread.size();
    return kNoLine;
  }
  return static_cast<const char*>(lf) - unread.data();
}

// The text of a RESP line, without CR LF. False when the line doesn't end in CR LF.
bool LineText(std::string_view unread, size_t from, size_t lf, std::string_view* text) {
  if (lf == from || unread[lf - 1] != '\r') return false;
  *text = unread.substr(from, lf - 1 - from);
  return true;
}

// A number in a header, and where its line ends (after the LF).
struct Number {
  int64_t value;
  size_t end;
};

// The usual header, "n\r\n" with up to nine digits at `from`, in one pass. nullopt for everything else, which includes
// what isn't whole and what is wrong: that is for the careful way to tell.
std::optional<Number> TakeShortNumber(std::string_view unread, size_t from) {
  constexpr size_t kDigits = 9;
  if (from + kDigits + 2 > unread.size()) return std::nullopt;
  const char* const digits = unread.data() + from;
  int64_t value = 0;
  size_t i = 0;
  for (; i < kDigits && digits[i] >= '0' && digits[i] <= '9'; ++i) value = value * 10 + (digits[i] - '0');
  const bool has_leading_zero = i > 1 && digits[0] == '0';
  if (i == 0 || has_leading_zero || digits[i] != '\r' || digits[i + 1] != '\n') return std::nullopt;
  return Number{value, from + i + 2};
}

// Replies whose first line is a length, and replies that are one line.
bool HasLength(char type) {
  switch (type) {
    case '$':
    case '!':
    case '=':
    case '*':
    case '%':
    case '~':
    case '>':
    case '|':
      return true;
    default:
      return false;
  }
}
bool IsOneLine(char type) {
  switch (type) {
    case '+':
    case '-':
    case ':':
    case '_':
    case ',':
    case '#':
    case '(':
      return true;
    default:
      return false;
  }
}

bool IsSpace(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// One escape of a double-quoted word; *i is at the backslash and is left at its last character.
char Unescape(std::string_view line, size_t* i) {
  if (*i + 3 < line.size() && line[*i + 1] == 'x') {
    const int high = HexValue(line[*i + 2]);
    const int low = HexValue(line[*i + 3]);
    if (high >= 0 && low >= 0) {
      *i += 3;
      return static_cast<char>(high * 16 + low);
    }
  }
  *i += 1;
  switch (line[*i]) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return line[*i];
  }
}

// The word that begins at line[*i], with quotes as Redis's sdssplitargs reads them. False: unbalanced quotes.
bool TakeWord(std::string_view line, size_t* i, std::string* word) {
  char quote = 0;
  for (; *i < line.size(); ++*i) {
    const char c = line[*i];
    if (quote == 0) {
      if (IsSpace(c)) return true;
      if (c == '"' || c == '\'') {
        quote = c;
      } else {
        word->push_back(c);
      }
    } else if (c == quote) {
      ++*i;
      return *i == line.size() || IsSpace(line[*i]);
    } else if (quote == '"' && c == '\\' && *i + 1 < line.size()) {
      word->push_back(Unescape(line, i));
    } else if (quote == '\'' && c == '\\' && *i + 1 < line.size() && line[*i + 1] == '\'') {
      word->push_back('\'');
      ++*i;
    } else {
      word->push_back(c);
    }
  }
  return quote == 0;
}

bool SplitWords(std::string_view line, std::vector<std::string>* words) {
  size_t i = 0;
  while (true) {
    while (i < line.size() && IsSpace(line[i])) ++i;
    if (i == line.size()) return true;
    if (!TakeWord(line, &i, &words->emplace_back())) return false;
  }
}

}  // namespace

void RequestParser::Reset() {
  pos_ = scanned_ = wanted_ = 0;
  remaining_ = bulk_bytes_ = -1;
  ForgetLast();
}

// What the last message handed out. A client that once sent a large command doesn't keep its memory.
void RequestParser::ForgetLast() {
  ClearArgs(&args_);
  if (inline_bytes_.capacity() > kKeptInlineBytes) std::string().swap(inline_bytes_);
}

ParseResult RequestParser::Fail(std::string_view reason) {
  error_ = "ERR Protocol error: " + std::string(reason);
  return ParseResult::kError;
}

ParseResult RequestParser::Parse(std::string_view unread, RequestView* request, size_t* consumed) {
  wanted_ = unread.size() + 1;
  if (unread.empty()) return ParseResult::kNeedMore;
  if (remaining_ < 0 && pos_ == 0 && scanned_ == 0) ForgetLast();
  return unread[0] == '*' ? ParseArray(unread, request, consumed) : ParseInline(unread, request, consumed);
}

ParseResult RequestParser::ParseArray(std::string_view unread, RequestView* request, size_t* consumed) {
  std::string_view line;
  while (remaining_ != 0) {
    if (bulk_bytes_ < 0) {  // a header: the count of arguments, or the size of the next one
      const bool is_count = remaining_ < 0;
      if (!is_count && pos_ < unread.size() && unread[pos_] != '$') {
        return Fail(std::string("expected '$', got '") + unread[pos_] + "'");
      }
      std::optional<Number> number = TakeShortNumber(unread, pos_ + 1);
      if (!number) {
        const size_t lf = FindLineEnd(unread, pos_, &scanned_);
        if ((lf == kNoLine ? unread.size() : lf) - pos_ > kMaxInlineBytes) {
          return Fail(is_count ? "too big mbulk count string" : "too big bulk count string");
        }
        if (lf == kNoLine) return ParseResult::kNeedMore;
        const bool is_line = LineText(unread, pos_ + 1, lf, &line);
        number = Number{is_line ? ParseInt64(line).value_or(kNoNumber) : kNoNumber, lf + 1};
      }
      const int64_t value = number->value;
      if (is_count && value > kMaxArguments) return Fail("invalid multibulk length");
      if (!is_count && (value < 0 || value > kMaxBulkBytes)) return Fail("invalid bulk length");
      pos_ = scanned_ = number->end;
      (is_count ? remaining_ : bulk_bytes_) = std::max<int64_t>(value, 0);
      if (!is_count && pos_ + bulk_bytes_ + 2 > kMaxRequestBytes) return Fail("too big request");
    } else {
      const size_t end = pos_ + static_cast<size_t>(bulk_bytes_);
      if (unread.size() < end + 2) {
        wanted_ = end + 2;
        return ParseResult::kNeedMore;
      }
      if (unread[end] != '\r' || unread[end + 1] != '\n') return Fail("expected CRLF after a bulk string");
      args_.push_back({static_cast<uint32_t>(pos_), static_cast<uint32_t>(bulk_bytes_)});
      pos_ = scanned_ = end + 2;
      bulk_bytes_ = -1;
      --remaining_;
    }
  }
  *consumed = pos_;
  *request = RequestView(unread.substr(0, pos_), args_);
  pos_ = scanned_ = 0;
  remaining_ = -1;
  return ParseResult::kDone;
}

ParseResult RequestParser::ParseInline(std::string_view unread, RequestView* request, size_t* consumed) {
  const size_t lf = FindLineEnd(unread, 0, &scanned_);
  if (lf == kNoLine) {
    return unread.size() > kMaxInlineBytes ? Fail("too big inline request") : ParseResult::kNeedMore;
  }
  if (lf > kMaxInlineBytes) return Fail("too big inline request");
  std::string_view line = unread.substr(0, lf);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  std::vector<std::string> words;
  if (!SplitWords(line, &words)) return Fail("unbalanced quotes in request");
  inline_bytes_.clear();
  args_.clear();
  AppendArrayHeader(&inline_bytes_, words.size());
  for (const std::string& word : words) {
    AppendBulk(&inline_bytes_, word);
    args_.push_back(
        {static_cast<uint32_t>(inline_bytes_.size() - 2 - word.size()), static_cast<uint32_t>(word.size())});
  }
  *consumed = lf + 1;
  *request = RequestView(inline_bytes_, args_);
  scanned_ = 0;
  return ParseResult::kDone;
}

void ReplyParser::Reset() {
  pos_ = scanned_ = wanted_ = 0;
  bulk_bytes_ = -1;
  remaining_.clear();
}

ParseResult ReplyParser::Fail(std::string_view reason) {
  error_ = "not RESP: " + std::string(reason);
  return ParseResult::kError;
}

ParseResult ReplyParser::Parse(std::string_view unread, size_t* consumed) {
  wanted_ = unread.size() + 1;
  if (remaining_.empty()) remaining_.push_back(1);
  while (!remaining_.empty()) {
    if (remaining_.back() == 0) {
      remaining_.pop_back();
      continue;
    }
    const ParseResult result = ParseValue(unread);
    if (result != ParseResult::kDone) return result;
  }
  *consumed = pos_;
  pos_ = scanned_ = 0;
  return ParseResult::kDone;
}

// Passes one value, or one aggregate's header (whose elements then count as values still to come).
ParseResult ReplyParser::ParseValue(std::string_view unread) {
  if (bulk_bytes_ < 0) {
    const ParseResult result = ParseHeader(unread);
    if (result != ParseResult::kDone || bulk_bytes_ < 0) return result;
  }
  const size_t end = pos_ + static_cast<size_t>(bulk_bytes_);
  if (unread.size() < end + 2) {
    wanted_ = end + 2;
    return ParseResult::kNeedMore;
  }
  if (unread[end] != '\r' || unread[end + 1] != '\n') return Fail("a string that does not end where it said");
  pos_ = scanned_ = end + 2;
  bulk_bytes_ = -1;
  --remaining_.back();
  return ParseResult::kDone;
}

// Passes a value's first line, which is all there is of many. A string's size is left in bulk_bytes_.
ParseResult ReplyParser::ParseHeader(std::string_view unread) {
  const char type = pos_ < unread.size() ? unread[pos_] : '\0';
  const bool has_length = HasLength(type);
  if (has_length) {
    if (const std::optional<Number> number = TakeShortNumber(unread, pos_ + 1)) {
      pos_ = scanned_ = number->end;
      return BeginSized(type, number->value);
    }
  }
  const size_t lf = FindLineEnd(unread, pos_, &scanned_);
  if ((lf == kNoLine ? unread.size() : lf) - pos_ > kMaxReplyLineBytes) return Fail("a line without an end");
  if (lf == kNoLine) return ParseResult::kNeedMore;
  std::string_view line;
  if (lf == pos_ || !LineText(unread, pos_ + 1, lf, &line)) return Fail("a line that does not end in CR LF");
  if (!has_length && !IsOneLine(type)) return Fail("an unknown type byte");
  pos_ = scanned_ = lf + 1;
  const std::optional<int64_t> size = has_length ? ParseInt64(line) : std::nullopt;
  const bool is_null = size == -1 && (type == '$' || type == '*');
  if (!has_length || is_null) {
    --remaining_.back();
    return ParseResult::kDone;
  }
  if (!size || *size < 0) return Fail("a bad length");
  return BeginSized(type, *size);
}

ParseResult ReplyParser::BeginSized(char type, int64_t size) {
  if (type == '$' || type == '!' || type == '=') {
    if (size > kMaxBulkBytes) return Fail("a string longer than 512 MiB");
    bulk_bytes_ = size;
    return ParseResult::kDone;
  }
  if (size > kMaxElements) return Fail("a bad length");
  // An attribute is no value of its own: the one that it decorates is still to come.
  if (type != '|') --remaining_.back();
  if (remaining_.size() > kMaxNesting) return Fail("nested too deeply");
  if (size > 0) remaining_.push_back(static_cast<uint64_t>(size) * (type == '%' || type == '|' ? 2 : 1));
  return ParseResult::kDone;
}

}  // namespace crossfade
