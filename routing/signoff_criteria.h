// The criteria of a sign-off that are about the course of the migration rather than its traffic, and what all criteria
// are made with. For routing/signoff alone.
#pragma once

#include <string>
#include <utility>

#include "routing/signoff.h"

namespace crossfade {

Criterion JudgeVerification(const SignoffConfig& demands, const SignoffFacts& facts);
Criterion JudgeAgreement(const SignoffFacts& facts);
Criterion JudgeDirty(const SignoffFacts& facts);
Criterion JudgeRollback(const SignoffConfig& demands, const SignoffFacts& facts);
Criterion JudgeRestarts(const SignoffConfig& demands, const SignoffFacts& facts);
Criterion JudgeGaps(const SignoffConfig& demands, const SignoffFacts& facts);
Criterion JudgeObservation(const SignoffConfig& demands, const SignoffFacts& facts);
Criterion JudgePreflight(const SignoffConfig& demands, const SignoffFacts& facts);

inline double AsDouble(uint64_t count) {
  return static_cast<double>(count);
}

inline Criterion Make(const char* name, const char* title, std::string demands) {
  Criterion criterion;
  criterion.name = name;
  criterion.title = title;
  criterion.demands = std::move(demands);
  return criterion;
}

// Whoever passes needs no remedy.
inline void Decide(Criterion* criterion, Verdict verdict, std::string remedy = {}) {
  criterion->verdict = verdict;
  criterion->remedy = verdict == Verdict::kPass ? "" : std::move(remedy);
}

}  // namespace crossfade
