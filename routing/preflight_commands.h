// The commands of a preflight: which must be asked about, how one is asked about without running it, and what the
// answers mean for a migration. Pure.
//
// A command is asked about by queueing it in a MULTI that is never executed: a server says at once whether it knows the
// command and whether the user may run it on these keys, and does nothing. What a server's COMMAND says is not
// believed: it need not be so.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "routing/preflight_facts.h"
#include "routing/rebuild_commands.h"

namespace crossfade {

// For one store, as the command table names them: what Crossfade needs of it, what old's applications use, and what
// writes the types that old holds.
std::set<std::string> CommandsToProbe(const PreflightFacts& facts);

// Appends the command with as many arguments as it needs, `key` wherever a key stands. REQUIRES: a MULTI is open.
void AppendProbe(std::string_view command, std::string_view key, CommandBatch* batch);
Probe JudgeProbe(std::string_view reply);

// Each appends what it finds.
void JudgeCommandsInUse(const PreflightFacts& facts, std::vector<Finding>* findings);
void JudgeRefusedCommands(const PreflightFacts& facts, std::vector<Finding>* findings);
void JudgePermissions(const PreflightFacts& facts, Side side, std::vector<Finding>* findings);

}  // namespace crossfade
