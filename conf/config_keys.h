// Every key of a configuration with its value as text, in the order of the sample file: what its hash is made of, and
// what a reload compares. And which of them a running proxy can take over. Plain functions; no password is in any text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"

namespace crossfade {

struct ConfigKey {
  std::string name;        // "limits.clients"; of lists "rule.PREFIX" and "script.NAME"
  std::string value;       // as it would stand in the file
  std::string_view fixed;  // not empty: why a running proxy can't change it
};
std::vector<ConfigKey> ListKeys(const Config& config);

// One key whose value is another one.
struct ConfigChange {
  std::string key;
  std::string from, to;    // empty: the key is not there (of lists)
  std::string_view fixed;  // not empty: `from` still counts, and this is why
};
std::vector<ConfigChange> CompareConfigs(const Config& running, const Config& fresh);

// Copies whatever is not fixed.
void TakeOver(const Config& fresh, Config* running);

}  // namespace crossfade
