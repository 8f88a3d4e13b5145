#include "routing/signoff.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fmt/format.h"
#include "routing/bounds.h"
#include "routing/figures_text.h"

namespace crossfade {

namespace {

constexpr char kNotKnown[] = "nothing is known: there is no sample";

double AsDouble(uint64_t count) {
  return static_cast<double>(count);
}

Criterion Make(const char* name, const char* title, std::string demands) {
  Criterion criterion;
  criterion.name = name;
  criterion.title = title;
  criterion.demands = std::move(demands);
  return criterion;
}

void Decide(Criterion* criterion, Verdict verdict, std::string remedy = {}) {
  criterion->verdict = verdict;
  criterion->remedy = verdict == Verdict::kPass ? "" : std::move(remedy);
}

std::string Percent(double percent) {
  return NumberText(percent) + " %";
}

// `hits` of `samples` against a share in percent, by the bound.
void JudgeShare(Criterion* criterion, uint64_t hits, uint64_t samples, double most, const char* samples_of,
                const std::string& remedy) {
  criterion->unit = "%";
  criterion->threshold = most;
  criterion->samples = samples;
  criterion->samples_of = samples_of;
  if (samples == 0) {
    criterion->found = kNotKnown;
    return Decide(criterion, Verdict::kInsufficient, remedy);
  }
  const uint64_t counted = std::min(hits, samples);
  const double share = AsDouble(counted) / AsDouble(samples), bound = UpperBound95(counted, samples);
  criterion->figure = share * 100;
  criterion->bound = bound * 100;
  criterion->bound_method = NameOfBound95(counted);
  criterion->found = fmt::format("{} of {}: {}, and with 95 % confidence at most {}", CountText(hits),
                                 CountText(samples), ShareText(share), ShareText(bound));
  if (share * 100 > most) return Decide(criterion, Verdict::kFail, remedy);
  if (bound * 100 <= most) return Decide(criterion, Verdict::kPass);
  const std::string needed = most > 0 ? fmt::format("with none in {} the bound would do",
                                                    CountText(static_cast<uint64_t>(std::ceil(300 / most))))
                                      : "no sample shows that a share is 0: allow a little more";
  Decide(criterion, Verdict::kInsufficient, remedy + "; " + needed);
}

Criterion Comparisons(const SignoffConfig& demands, const SignoffFacts& facts) {
  const uint64_t least = static_cast<uint64_t>(demands.min_compared);
  Criterion criterion =
      Make("comparisons", "Reads compared",
           fmt::format("at least {} reads compared while the stores were taken to agree", CountText(least)));
  criterion.figure = AsDouble(facts.compared);
  criterion.threshold = AsDouble(least);
  criterion.unit = "reads";
  criterion.samples = facts.compared;
  criterion.samples_of = "compared reads";
  criterion.found = facts.compared == 0 ? "no read was compared" : CountOf(facts.compared, "read");
  Decide(&criterion, facts.compared > 0 && facts.compared >= least ? Verdict::kPass : Verdict::kInsufficient,
         "crossfade compare 100, with the application's usual traffic, until there are enough");
  return criterion;
}

// Those that differed while a key was expiring say nothing.
uint64_t Decided(const SignoffFacts& facts) {
  return facts.compared - std::min(facts.compared, facts.expiring);
}

Criterion Mismatches(const SignoffConfig& demands, const SignoffFacts& facts) {
  const uint64_t most = static_cast<uint64_t>(demands.max_mismatches);
  Criterion criterion =
      Make("mismatches", "Reads that differ", fmt::format("at most {} confirmed mismatches", CountText(most)));
  criterion.threshold = AsDouble(most);
  criterion.unit = "reads";
  criterion.samples = Decided(facts);
  criterion.samples_of = "compared reads";
  const char* remedy =
      "crossfade mismatches names the keys: find out why they differed (most often a writer that "
      "bypasses the proxy); what is explained may be allowed with signoff.max_mismatches";
  if (facts.mismatched > 0 || criterion.samples > 0) criterion.figure = AsDouble(facts.mismatched);
  if (facts.mismatched > most) {
    criterion.found = fmt::format("{} mismatched", CountText(facts.mismatched));
    Decide(&criterion, Verdict::kFail, remedy);
  } else if (criterion.samples == 0) {
    criterion.found = kNotKnown;
    Decide(&criterion, Verdict::kInsufficient, "crossfade compare 100: nothing was compared yet");
  } else {
    criterion.found =
        fmt::format("{} mismatched, of {} compared", CountText(facts.mismatched), CountText(criterion.samples));
    Decide(&criterion, Verdict::kPass);
  }
  return criterion;
}

Criterion MismatchRate(const SignoffConfig& demands, const SignoffFacts& facts) {
  Criterion criterion = Make("mismatch_rate", "Share of reads that differ",
                             fmt::format("with 95 % confidence at most {}", Percent(demands.mismatch_rate)));
  JudgeShare(&criterion, facts.mismatched, Decided(facts), demands.mismatch_rate, "compared reads",
             facts.mismatched > 0 ? "see the reads that differ" : "crossfade compare 100, for longer");
  return criterion;
}

Criterion Divergence(const SignoffConfig& demands, const SignoffFacts& facts) {
  const uint64_t least = static_cast<uint64_t>(demands.min_writes), most = static_cast<uint64_t>(demands.max_diverged);
  const uint64_t differed = facts.diverged + facts.differed_later + facts.scripts_failed;
  Criterion criterion =
      Make("divergence", "Writes that came out differently",
           fmt::format("at least {} writes followed while the stores were taken to agree, and at most {} of them, and "
                       "of the keys looked at again, different",
                       CountText(least), CountText(most)));
  criterion.figure = AsDouble(differed);
  criterion.threshold = AsDouble(most);
  criterion.unit = "writes";
  criterion.samples = facts.followed;
  criterion.samples_of = "followed writes";
  if (facts.followed + differed == 0) {
    criterion.figure.reset();
    criterion.found = "no write followed: nothing is known";
  } else {
    criterion.found = fmt::format(
        "{} followed, {} diverged; {} looked at again, {} of them different{}", CountOf(facts.followed, "write"),
        CountText(facts.diverged), CountOf(facts.looked_again, "key"), CountText(facts.differed_later),
        facts.scripts_failed == 0
            ? ""
            : fmt::format("; {} that name no keys did something else", CountOf(facts.scripts_failed, "script")));
    const uint64_t sample = facts.followed + facts.diverged + facts.looked_again;
    if (differed <= sample) {
      criterion.bound = UpperBound95(differed, sample) * 100;
      criterion.bound_method = NameOfBound95(differed);
    }
  }
  if (differed > most) {
    Decide(
        &criterion, Verdict::kFail,
        "event=write_diverged in the log names the commands; find out why (a writer that bypasses the proxy, a script "
        "that can't be repeated), then verify; what is explained may be allowed with signoff.max_diverged");
  } else {
    Decide(&criterion, facts.followed > 0 && facts.followed >= least ? Verdict::kPass : Verdict::kInsufficient,
           "wait until the application has written more");
  }
  return criterion;
}

Criterion Coverage(const char* name, const char* what, double least, int64_t after, const CoverageFacts& facts) {
  Criterion criterion =
      Make(name, name == std::string_view("commands") ? "Commands covered" : "Prefixes of keys covered",
           fmt::format("at least {} of the {} that were read have {} compared, or as many as there were",
                       Percent(least), what, CountOf(static_cast<uint64_t>(after), "read")));
  criterion.unit = "%";
  criterion.threshold = least;
  criterion.samples = facts.seen;
  criterion.samples_of = what;
  const std::string remedy = "crossfade compare 100, while the application does what it rarely does";
  if (facts.seen == 0) {
    criterion.found = kNotKnown;
    Decide(&criterion, Verdict::kInsufficient, remedy);
    return criterion;
  }
  const double share = AsDouble(std::min(facts.covered, facts.seen)) / AsDouble(facts.seen) * 100;
  criterion.figure = share;
  criterion.found = fmt::format("{} of {} ({})", CountText(facts.covered), CountText(facts.seen), Percent(share));
  std::string left;
  for (const std::string& one : facts.uncovered) left += (left.empty() ? "" : ", ") + one;
  if (!left.empty()) criterion.found += "; not: " + left;
  if (facts.seen - std::min(facts.seen, facts.covered) > facts.uncovered.size()) criterion.found += ", …";
  Decide(&criterion, facts.covered > 0 && share >= least ? Verdict::kPass : Verdict::kInsufficient, remedy);
  return criterion;
}

Criterion Verification(const SignoffConfig& demands, const SignoffFacts& facts) {
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

Criterion Agreement(const SignoffFacts& facts) {
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

Criterion Dirty(const SignoffFacts& facts) {
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

Criterion Latency(const SignoffConfig& demands, const SignoffFacts& facts) {
  Criterion criterion = Make("read_latency", "New answers reads as fast as old",
                             fmt::format("new's p99 is at most {} of old's, or {}, of at least {} of each",
                                         Percent(AsDouble(demands.p99_percent)), SpanText(demands.p99_fine_ms),
                                         CountOf(static_cast<uint64_t>(demands.min_timed), "read")));
  const uint64_t fewest = std::min(facts.timed[0], facts.timed[1]);
  criterion.unit = "%";
  criterion.threshold = AsDouble(demands.p99_percent);
  criterion.samples = fewest;
  criterion.samples_of = "timed reads, of the store with fewer";
  const bool enough = fewest > 0 && fewest >= static_cast<uint64_t>(demands.min_timed);
  if (fewest == 0) {
    criterion.found = kNotKnown;
  } else {
    criterion.found = fmt::format("old {} (of {}), new {} (of {})", MicrosText(facts.p99_us[0]),
                                  CountText(facts.timed[0]), MicrosText(facts.p99_us[1]), CountText(facts.timed[1]));
    if (facts.p99_us[0] > 0)
      criterion.figure = static_cast<double>(facts.p99_us[1]) / static_cast<double>(facts.p99_us[0]) * 100;
  }
  const bool fine = facts.p99_us[1] <= demands.p99_fine_ms * 1000;
  if (!enough || (!fine && !criterion.figure)) {
    Decide(&criterion, Verdict::kInsufficient, "crossfade compare 100: both stores answer every read then");
  } else {
    Decide(&criterion, fine || *criterion.figure <= *criterion.threshold ? Verdict::kPass : Verdict::kFail,
           "find out why new is slow (its machine, the way to it, its commands), or allow it with signoff.p99_percent");
  }
  return criterion;
}

Criterion Rollback(const SignoffConfig& demands, const SignoffFacts& facts) {
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

Criterion Restarts(const SignoffConfig& demands, const SignoffFacts& facts) {
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

Criterion Gaps(const SignoffConfig& demands, const SignoffFacts& facts) {
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

Criterion Errors(const SignoffConfig& demands, const SignoffFacts& facts) {
  Criterion criterion = Make("error_rate", "Requests that failed by the proxy or the secondary",
                             fmt::format("with 95 % confidence at most {}", Percent(demands.error_rate)));
  JudgeShare(&criterion, facts.errors, facts.requests, demands.error_rate, "reads and writes",
             facts.errors > 0 ? "see the errors by kind" : "wait for more traffic");
  return criterion;
}

Criterion Observation(const SignoffConfig& demands, const SignoffFacts& facts) {
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

Criterion Preflight(const SignoffConfig& demands, const SignoffFacts& facts) {
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

}  // namespace

const char* Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "PASS";
    case Verdict::kInsufficient:
      return "INSUFFICIENT";
    case Verdict::kFail:
      return "FAIL";
  }
  return "";
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

std::vector<Criterion> JudgeSignoff(const SignoffConfig& demands, const SignoffFacts& facts) {
  return {Comparisons(demands, facts),
          Mismatches(demands, facts),
          MismatchRate(demands, facts),
          Divergence(demands, facts),
          Coverage("commands", "commands", demands.commands_covered, demands.covered_after, facts.commands),
          Coverage("prefixes", "prefixes", demands.prefixes_covered, demands.covered_after, facts.prefixes),
          Verification(demands, facts),
          Agreement(facts),
          Dirty(facts),
          Latency(demands, facts),
          Errors(demands, facts),
          Rollback(demands, facts),
          Restarts(demands, facts),
          Gaps(demands, facts),
          Observation(demands, facts),
          Preflight(demands, facts)};
}

Verdict TotalVerdict(const std::vector<Criterion>& criteria) {
  if (criteria.empty()) return Verdict::kInsufficient;
  Verdict worst = Verdict::kPass;
  for (const Criterion& criterion : criteria) worst = std::max(worst, criterion.verdict);
  return worst;
}

}  // namespace crossfade
