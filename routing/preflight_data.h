// The part of a preflight's judgement that is about data and the room for it: what can be copied, and whether it fits.
// Pure. Each appends one finding; JudgePreflight calls them.
#pragma once

#include <string>
#include <vector>

#include "routing/preflight_facts.h"

namespace crossfade {

void JudgeCanaries(const PreflightFacts& facts, std::vector<Finding>* findings);
void JudgeDatabases(const PreflightFacts& facts, std::vector<Finding>* findings);
void JudgeMemory(const PreflightFacts& facts, std::vector<Finding>* findings);
void JudgeEviction(const PreflightFacts& facts, std::vector<Finding>* findings);
void JudgeConnections(const PreflightFacts& facts, std::vector<Finding>* findings);
void JudgeNotifications(const PreflightFacts& facts, std::vector<Finding>* findings);
void JudgeEmptiness(const PreflightFacts& facts, std::vector<Finding>* findings);
void JudgeBigKeys(const PreflightFacts& facts, std::vector<Finding>* findings);

// "a, b, c, and 4 more".
std::string JoinNames(const std::vector<std::string>& names);
std::string HumanBytes(int64_t bytes);

}  // namespace crossfade
