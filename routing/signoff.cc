#include "routing/signoff.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fmt/format.h"
#include "routing/bounds.h"
#include "routing/figures_text.h"
#include "routing/signoff_criteria.h"

namespace crossfade {

namespace {

constexpr char kNotKnown[] = "nothing is known: there is no sample";

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

Criterion JudgeCoverage(const char* name, const char* what, double least, int64_t after, const CoverageFacts& facts) {
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

Criterion Errors(const SignoffConfig& demands, const SignoffFacts& facts) {
  Criterion criterion = Make("error_rate", "Requests that failed by the proxy or the secondary",
                             fmt::format("with 95 % confidence at most {}", Percent(demands.error_rate)));
  JudgeShare(&criterion, facts.errors, facts.requests, demands.error_rate, "reads and writes",
             facts.errors > 0 ? "see the errors by kind" : "wait for more traffic");
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

std::vector<Criterion> JudgeSignoff(const SignoffConfig& demands, const SignoffFacts& facts) {
  return {Comparisons(demands, facts),
          Mismatches(demands, facts),
          MismatchRate(demands, facts),
          Divergence(demands, facts),
          JudgeCoverage("commands", "commands", demands.commands_covered, demands.covered_after, facts.commands),
          JudgeCoverage("prefixes", "prefixes", demands.prefixes_covered, demands.covered_after, facts.prefixes),
          JudgeVerification(demands, facts),
          JudgeAgreement(facts),
          JudgeDirty(facts),
          Latency(demands, facts),
          Errors(demands, facts),
          JudgeRollback(demands, facts),
          JudgeRestarts(demands, facts),
          JudgeGaps(demands, facts),
          JudgeObservation(demands, facts),
          JudgePreflight(demands, facts)};
}

Verdict TotalVerdict(const std::vector<Criterion>& criteria) {
  if (criteria.empty()) return Verdict::kInsufficient;
  Verdict worst = Verdict::kPass;
  for (const Criterion& criterion : criteria) worst = std::max(worst, criterion.verdict);
  return worst;
}

}  // namespace crossfade
