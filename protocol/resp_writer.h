// Appends RESP to a string. Pure bytes: it knows no command, and never fails.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace crossfade {

void AppendInteger(std::string* out, int64_t value);                 // :value
void AppendBulk(std::string* out, std::string_view text);            // $n text
void AppendSimple(std::string* out, std::string_view text);          // +text. REQUIRES: no CR or LF in it.
void AppendArrayHeader(std::string* out, size_t count);              // *count
void AppendMapHeader(std::string* out, size_t pairs, int protocol);  // %pairs, or *2·pairs in RESP2
void AppendNull(std::string* out, int protocol);                     // _ in RESP3, $-1 in RESP2
void AppendNullArray(std::string* out, int protocol);                // _ in RESP3, *-1 in RESP2

// -text, with CR and LF (which would end the line) replaced by spaces. `text` begins with its code: "ERR …".
void AppendError(std::string* out, std::string_view text);

// What a server shows of an argument in such a text: it prints them as C strings.
inline std::string_view UntilNul(std::string_view argument) {
  return argument.substr(0, argument.find('\0'));
}

// A command: an array of bulk strings.
void AppendCommand(std::string* out, std::span<const std::string_view> args);
void AppendCommand(std::string* out, std::initializer_list<std::string_view> args);

}  // namespace crossfade
