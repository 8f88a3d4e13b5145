// `crossfade check`: the preflight's report for people, and the preflight without a proxy, which runs in this process
// on a loop of its own. Lives for one command; blocks.
#pragma once

#include <iosfwd>
#include <string>

#include "conf/config.h"
#include "nlohmann/json_fwd.hpp"

namespace crossfade {

extern const char kCheckExamples[];

// Is `out` a terminal whose user hasn't said NO_COLOR?
bool WantsColours(const std::ostream& out);

// Of the terminal; 0 when there is none, so that every line stays whole for grep.
size_t TerminalWidth(const std::ostream& out);
// Breaks at spaces, so that what follows the first line stands under it; a width of 0 breaks nothing.
std::string Wrapped(const std::string& text, size_t indent, size_t width);

// A line for each check and one for its remedy, aligned, and a summary. `width`: where lines are broken; 0: nowhere.
std::string RenderPreflight(const nlohmann::json& report, bool colours, size_t width);
// The exit status that the report means.
int PreflightExit(const nlohmann::json& report);

// Asks the stores themselves, prints, and returns the exit status.
int CheckStores(const Config& config, bool json, bool colours, std::ostream* out);

}  // namespace crossfade
