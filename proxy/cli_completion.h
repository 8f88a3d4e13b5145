// What shells and `man` are told of the command line, made from the same grammar that parses it and prints --help
// (CLI11), so that the three can't say different things. Pure: a grammar in, text out.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace crossfade {

// A script to be sourced: completes commands, options, and what they may be given.
std::string BashCompletion(const CLI::App& app);
std::string ZshCompletion(const CLI::App& app);
// The manual page crossfade(1), as roff.
std::string ManPage(const CLI::App& app, const std::string& version);

}  // namespace crossfade
