// What `crossfade commands` prints: each command that Crossfade knows, what is done with it, and why it is refused.
// Pure: asks the command table and MakePlan, so that it can't say anything else than the proxy does. Knows nothing of
// what a running primary adds (routing/module_commands).
#pragma once

#include <cstdint>
#include <string>

namespace crossfade {

enum class CommandChoice : uint8_t {
  kAll,
  kRefused,    // refused always, or unless listen.admin_commands is true
  kNotQueued,  // refused between MULTI and EXEC, and carried out elsewhere
};

// A line for each, or a JSON array of objects: "command" ("CLIENT KILL"), "handling" (one word, see kHandlingHelp),
// "reason" (empty unless it is refused), "in_transaction" (may it stand between MULTI and EXEC?). Each ends with a
// newline.
std::string RenderCommands(CommandChoice choice);
std::string CommandsAsJson(CommandChoice choice);

extern const char kHandlingHelp[];

}  // namespace crossfade
