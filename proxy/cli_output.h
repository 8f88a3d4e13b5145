// The admin API's JSON as text for people. Pure: no sockets, no clock. Tolerates fields that are missing or of another
// type, since the proxy may be older or newer than the command; never prints a control character that came from
// outside, since keys are what clients make them and terminals obey.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json_fwd.hpp"

namespace crossfade {

// Walks objects: Find(status, {"lag", "ms"}). Null when it isn't there.
const nlohmann::json* Find(const nlohmann::json& root, std::initializer_list<const char*> path);
// The string or number there as text (25, 12.5, old), or `otherwise`.
std::string TextAt(const nlohmann::json& root, std::initializer_list<const char*> path,
                   std::string_view otherwise = "");
double NumberAt(const nlohmann::json& root, std::initializer_list<const char*> path, double otherwise = 0);
bool BoolAt(const nlohmann::json& root, std::initializer_list<const char*> path, bool otherwise = false);

// 1234567 → 1,234,567.
std::string Grouped(double number);

// 1536 → 1.5 KiB.
std::string SizeText(double bytes);

// "250 µs" or "1.5 ms"; "-" when there is no number.
std::string MicrosecondsAt(const nlohmann::json& root, std::initializer_list<const char*> path);

// In a colour of the terminal (ECMA-48, SGR: "32", "1;31"); plain without one.
std::string Painted(const std::string& text, const char* colour);

// Control characters become \xNN.
std::string Printable(std::string_view text);

// Each ends with a newline.
std::string RenderStatus(const nlohmann::json& status);
std::string RenderMismatches(const nlohmann::json& answer);

// The strings in whichever of `fields` the answer has, single or in an array.
std::vector<std::string> NotesIn(const nlohmann::json& answer, std::initializer_list<const char*> fields);

std::string Joined(const std::vector<std::string>& notes);  // by "; "

}  // namespace crossfade
