#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "routing/figures_text.h"
#include "routing/signoff_criteria.h"

namespace crossfade {

Criterion JudgeVerification(const SignoffConfig& demands, const SignoffFacts& facts) {
  const SignoffFacts::Verification& seen = facts.verification;
  Criterion criterion = Make("verification", "Every key is equal",
                             fmt::format("a verification of all keys, no older than {}, that found each equal",
                                         SpanText(demands.verify_age_ms)));
  criterion.threshold = 0;
  criterion.unit = "keys";
  criterion.samples_of = "keys compared";
  const char* remedy = "crossfade verify";
  if (seen.differing_since > 0) {
    criterion.figure = AsDouble(seen.differing_since);
    criterion.samples = seen.keys;
    criterion.found = fmt::format(
        "{} found to differ{}", CountOf(seen.differing_since, "key"),
        seen.any ? " since the last verification of all keys" : "; no verification of all keys has come to its end");
    Decide(&criterion, Verdict::kFail,
           "crossfade verify status names the keys. Find out why they differ, crossfade verify --repair, and verify "
           "all keys");
    return criterion;
  }
  if (!seen.any || seen.keys == 0) {
    criterion.found = seen.any ? "there was no key to verify" : "no verification of all keys has come to its end";
    Decide(&criterion, Verdict::kInsufficient, remedy);
    return criterion;
  }
  const uint64_t unknown = seen.undecided + seen.not_comparable + seen.left_out;
  criterion.figure = AsDouble(seen.differing);
  criterion.samples = seen.keys;
  criterion.found =
      fmt::format("{} compared, {} different ({} repaired), {} undecided; ended {}", CountOf(seen.keys, "key"),
                  CountText(seen.differing), CountText(seen.repaired), CountText(unknown), TimeText(seen.ended_ms));
  if (seen.differing > 0) {
    Decide(&criterion, Verdict::kFail,
           "crossfade verify status names the keys. Find out why they differ, crossfade verify --repair, and verify "
           "once more");
  } else if (unknown > 0) {
    Decide(&criterion, Verdict::kInsufficient, "crossfade verify once more, with less traffic if keys were busy");
  } else if (facts.now_ms - seen.ended_ms > demands.verify_age_ms) {
    criterion.found += ": too long ago";
    Decide(&criterion, Verdict::kInsufficient, remedy);
  } else if (seen.started_ms < facts.doubted_ms) {
    criterion.found += fmt::format("; but since {} the stores were not taken to agree", TimeText(facts.doubted_ms));
    Decide(&criterion, Verdict::kInsufficient, remedy);
  } else {
    Decide(&criterion, Verdict::kPass);
  }
  return criterion;
}

Criterion JudgeAgreement(const SignoffFacts& facts) {
  Criterion criterion = Make("synced", "The secondary follows, with everything",
                             "every write is followed now, and the secondary has all that the primary has");
  criterion.found = !facts.following ? "the secondary does not follow" : Name(facts.synced);
  if (facts.following && facts.synced != Synced::kYes && !facts.unsynced_why.empty())
    criterion.found += ": " + facts.unsynced_why;
  if (!facts.following) {
    Decide(&criterion, Verdict::kFail, "crossfade secondary follow");
  } else if (facts.synced == Synced::kNo) {
    Decide(&criterion, Verdict::kFail, "crossfade backfill start, or what the status says");
  } else {
    Decide(&criterion, facts.synced == Synced::kYes ? Verdict::kPass : Verdict::kInsufficient, "wait for its end");
  }
  return criterion;
}

Criterion JudgeDirty(const SignoffFacts& facts) {
  Criterion criterion = Make("dirty", "Keys that may differ", "no key is dirty now");
  criterion.figure = AsDouble(facts.dirty_keys);
  criterion.threshold = 0;
  criterion.unit = "keys";
  criterion.found = facts.everything_dirty ? "everything is dirty" : CountOf(facts.dirty_keys, "key");
  if (facts.not_copied > 0)
    criterion.found += fmt::format(", of which {} could not be copied", CountText(facts.not_copied));
  if (facts.everything_dirty || facts.not_copied > 0) {
    Decide(&criterion, Verdict::kFail,
           "see what was not migrated, and why; crossfade status says what is done about it");
  } else {
    Decide(&criterion, facts.dirty_keys == 0 ? Verdict::kPass : Verdict::kInsufficient,
           "ask again in a moment: they are being copied. If they stay: crossfade status");
  }
  return criterion;
}

Criterion JudgeRollback(const SignoffConfig& demands, const SignoffFacts& facts) {
  Criterion criterion = Make("rollback", "The way back was rehearsed",
                             demands.rollback ? "a flip to new, and after it one back to old, neither by force"
                                              : "nothing: signoff.rollback is false");
  const auto to = [&](Side side) {
    return static_cast<uint64_t>(
        std::count_if(facts.flips.begin(), facts.flips.end(), [&](const FlipRecord& flip) { return flip.to == side; }));
  };
  const auto forced = static_cast<uint64_t>(
      std::count_if(facts.flips.begin(), facts.flips.end(), [](const FlipRecord& flip) { return flip.forced; }));
  criterion.samples = facts.flips.size();
  criterion.samples_of = "flips";
  criterion.found = fmt::format("{} to new, {} to old, {} of them by force", CountText(to(Side::kNew)),
                                CountText(to(Side::kOld)), CountText(forced));
  Decide(&criterion, !demands.rollback || RollbackRehearsed(facts.flips) ? Verdict::kPass : Verdict::kInsufficient,
         "crossfade flip new, watch the application, crossfade flip old");
  return criterion;
}

Criterion JudgeRestarts(const SignoffConfig& demands, const SignoffFacts& facts) {
  const uint64_t most = static_cast<uint64_t>(demands.max_crashes), all = facts.crashes + facts.lost_ledgers;
  Criterion criterion =
      Make("restarts", "The proxy ended in order", fmt::format("at most {} times otherwise", CountText(most)));
  criterion.figure = AsDouble(all);
  criterion.threshold = AsDouble(most);
  criterion.unit = "times";
  criterion.found = fmt::format("{} in disorder", CountOf(facts.crashes, "end"));
  if (facts.lost_ledgers > 0) {
    criterion.found += fmt::format("; {} the figures of an earlier time could not be read, and are missing here",
                                   facts.lost_ledgers == 1 ? "once" : CountText(facts.lost_ledgers) + " times");
  }
  Decide(&criterion, all <= most ? Verdict::kPass : Verdict::kFail,
         "find out why (the log, the kernel's); what is explained may be allowed with signoff.max_crashes");
  return criterion;
}

Criterion JudgeGaps(const SignoffConfig& demands, const SignoffFacts& facts) {
  Criterion criterion =
      Make("gaps", "No time without a proxy",
           fmt::format("none longer than {}, unless all keys were verified afterwards", SpanText(demands.max_gap_ms)));
  int64_t longest = facts.longest_more_ms;
  uint64_t unproved = 0, too_long = 0;
  const bool verified = facts.verification.any && facts.verification.keys > 0;
  for (const SignoffFacts::Gap& gap : facts.gaps) {
    longest = std::max(longest, gap.to_ms - gap.from_ms);
    if (gap.to_ms - gap.from_ms <= demands.max_gap_ms) continue;
    ++too_long;
    if (!verified || facts.verification.started_ms < gap.to_ms) ++unproved;
  }
  criterion.figure = static_cast<double>(longest);
  criterion.threshold = static_cast<double>(demands.max_gap_ms);
  criterion.unit = "ms";
  criterion.samples = facts.gaps.size() + facts.more_gaps;
  criterion.samples_of = "gaps";
  criterion.found =
      criterion.samples == 0
          ? "none"
          : fmt::format("{}, the longest of {}; {} too long, {} of these not followed by a verification",
                        CountOf(criterion.samples, "gap"), SpanText(longest), CountText(too_long), CountText(unproved));
  // What there was no room for is older than what there was room for, so a verification after any of those counts.
  if (facts.longest_more_ms > demands.max_gap_ms &&
      (!verified || facts.gaps.empty() || facts.verification.started_ms < facts.gaps.front().from_ms)) {
    ++unproved;
  }
  Decide(&criterion, unproved == 0 ? Verdict::kPass : Verdict::kInsufficient,
         "who wrote past the proxy meanwhile was seen by nobody: crossfade verify");
  return criterion;
}

Criterion JudgeObservation(const SignoffConfig& demands, const SignoffFacts& facts) {
  Criterion criterion = Make("observation", "Observed for long enough",
                             fmt::format("{} in which the stores were taken to agree, with every write followed",
                                         SpanText(demands.min_observed_ms)));
  criterion.figure = static_cast<double>(facts.observed_ms);
  criterion.threshold = static_cast<double>(demands.min_observed_ms);
  criterion.unit = "ms";
  criterion.found = SpanText(facts.observed_ms);
  Decide(
      &criterion,
      facts.observed_ms > 0 && facts.observed_ms >= demands.min_observed_ms ? Verdict::kPass : Verdict::kInsufficient,
      fmt::format("wait for {} more", SpanText(std::max<int64_t>(1, demands.min_observed_ms - facts.observed_ms))));
  return criterion;
}

Criterion JudgePreflight(const SignoffConfig& demands, const SignoffFacts& facts) {
  const SignoffFacts::Preflight& seen = facts.preflight;
  Criterion criterion = Make("preflight", "Nothing stands in the way",
                             fmt::format("a check by the proxy, no older than {}, of which nothing failed",
                                         SpanText(demands.preflight_age_ms)));
  criterion.threshold = 0;
  criterion.unit = "checks";
  criterion.samples_of = "checks";
  const int checks = seen.passed + seen.warnings + seen.failed;
  if (!seen.any || checks <= 0) {
    criterion.found = "the proxy has not been asked to check";
    Decide(&criterion, Verdict::kInsufficient, "crossfade check");
    return criterion;
  }
  criterion.figure = seen.failed;
  criterion.samples = static_cast<uint64_t>(checks);
  criterion.found =
      fmt::format("{} passed, {}, {} failed; {}", seen.passed, CountOf(static_cast<uint64_t>(seen.warnings), "warning"),
                  seen.failed, TimeText(seen.at_ms));
  if (seen.failed > 0) {
    Decide(&criterion, Verdict::kFail, "mend what fails, and crossfade check again");
  } else {
    Decide(&criterion, facts.now_ms - seen.at_ms <= demands.preflight_age_ms ? Verdict::kPass : Verdict::kInsufficient,
           "crossfade check: the last one is too long ago");
  }
  return criterion;
}

bool RollbackRehearsed(const std::vector<FlipRecord>& flips) {
  bool to_new = false;
  for (const FlipRecord& flip : flips) {
    if (flip.forced) {
      to_new = false;  // what was there before it proves nothing about the way back after it
    } else if (flip.to == Side::kNew) {
      to_new = true;
    } else if (to_new) {
      return true;
    }
  }
  return false;
}

}  // namespace crossfade
