#include "routing/ramp_rules.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "fmt/format.h"

namespace crossfade {

namespace {

constexpr uint64_t kFewest = 20;  // reads: no share of fewer trips anything
constexpr double kChance = 0.01;
constexpr double kBeyondP99 = 0.01;  // the share of replies that may be slower than a p99

// One guardrail over a share of reads. `what`: "compared reads differ".
Guardrail ShareOf(const char* name, uint64_t bad, uint64_t of, double limit, int64_t min_samples, const char* what) {
  Guardrail rail{.name = name,
                 .value = of == 0 ? 0 : static_cast<double>(bad) / static_cast<double>(of),
                 .limit = limit,
                 .samples = of,
                 .state = GuardrailState::kOk,
                 .text = {}};
  const std::string figure =
      fmt::format("{} {:.3g} % ({} of {} {}), the limit is {:g} %", name, 100 * rail.value, bad, of, what, 100 * limit);
  // A single one is chance, unless none is allowed.
  const bool enough = limit <= 0 ? bad > 0 : bad >= 2 && of >= kFewest;
  if (enough && SurelyAbove(bad, of, limit)) {
    rail.state = GuardrailState::kTripped;
    rail.text = figure;
  } else if (of < static_cast<uint64_t>(min_samples)) {
    rail.state = GuardrailState::kNoData;
    rail.text = fmt::format("{}: {} of the {} reads that it takes (min_samples)", name, of, min_samples);
  } else if (rail.value > limit) {
    rail.state = GuardrailState::kNoData;
    rail.text = figure + ", but that may be chance: more reads will tell";
  }
  return rail;
}

Guardrail P99Of(const RampConfig& limits, const RampFigures& figures) {
  Guardrail rail{.name = "p99_ratio",
                 .value = 0,
                 .limit = limits.max_p99_ratio,
                 .samples = std::min(figures.old_timed, figures.new_timed),
                 .state = GuardrailState::kOk,
                 .text = {}};
  if (figures.new_timed > 0 && figures.old_timed > 0) {
    rail.value =
        static_cast<double>(figures.new_p99_us) / static_cast<double>(std::max<int64_t>(1, figures.old_p99_us));
  }
  if (rail.samples < static_cast<uint64_t>(limits.min_samples)) {
    rail.state = GuardrailState::kNoData;
    rail.text = fmt::format("p99_ratio: {} reads timed on old and {} on new, of the {} that it takes (min_samples)",
                            figures.old_timed, figures.new_timed, limits.min_samples);
  } else if (figures.new_p99_us > SlowUs(limits, figures.old_p99_us)) {
    const bool surely = SurelyAbove(figures.new_slow, figures.new_timed, kBeyondP99);
    rail.state = surely ? GuardrailState::kTripped : GuardrailState::kNoData;
    rail.text = fmt::format(
        "p99_ratio {:.1f} (99 % of {} reads took at most {:.1f} ms on new, {:.1f} ms on old), the limit is {:g} from "
        "{:g} ms on{}",
        rail.value, figures.new_timed, static_cast<double>(figures.new_p99_us) / 1000,
        static_cast<double>(figures.old_p99_us) / 1000, limits.max_p99_ratio,
        static_cast<double>(limits.latency_floor_ms), surely ? "" : ", but that may be chance: more reads will tell");
  }
  return rail;
}

// Of what is measured now.
Guardrail NowOf(const char* name, double value, double limit, const char* unit) {
  Guardrail rail{.name = name, .value = value, .limit = limit, .samples = 1, .state = GuardrailState::kOk, .text = {}};
  if (value <= limit) return rail;
  rail.state = GuardrailState::kTripped;
  rail.text = fmt::format("{} {:.0f}{}, the limit is {:.0f}{}", name, value, unit, limit, unit);
  return rail;
}

Guardrail DownOf(const RampConfig& limits, int64_t down_ms) {
  Guardrail rail = NowOf("down_ms", static_cast<double>(down_ms), static_cast<double>(limits.max_down_ms), " ms");
  if (rail.state == GuardrailState::kTripped) {
    rail.text = fmt::format("down_ms {}: new is not to be reached, or left alone by the breaker, for longer than {} ms",
                            down_ms, limits.max_down_ms);
  } else if (down_ms > 0) {
    rail.state = GuardrailState::kNoData;
    rail.text = fmt::format("down_ms {}: new is not to be reached, or left alone by the breaker", down_ms);
  }
  return rail;
}

std::string TextsOf(const std::vector<Guardrail>& guardrails, GuardrailState state) {
  std::string texts;
  for (const Guardrail& rail : guardrails) {
    if (rail.state == state) texts += (texts.empty() ? "" : "; ") + rail.text;
  }
  return texts;
}

}  // namespace

const char* Name(GuardrailState state) {
  return state == GuardrailState::kOk ? "ok" : state == GuardrailState::kTripped ? "tripped" : "no_data";
}

std::string WhyNotSteps(const std::vector<double>& steps) {
  if (steps.empty()) return "expected at least one percentage, such as 1,5,25,50,100";
  if (steps.size() > kMostRampSteps) return fmt::format("expected at most {} of them", kMostRampSteps);
  double before = 0;
  for (double step : steps) {
    if (!(step > 0 && step <= 100)) return fmt::format("expected percentages above 0 and up to 100, got {:g}", step);
    if (step <= before)
      return fmt::format("expected each to be above the one before, got {:g} after {:g}", step, before);
    before = step;
  }
  return {};
}

int64_t SlowUs(const RampConfig& limits, int64_t old_p99_us) {
  const double times = limits.max_p99_ratio * static_cast<double>(old_p99_us);
  return std::max(limits.latency_floor_ms * 1000, static_cast<int64_t>(std::min(times, 1e15)));
}

// The binomial distribution's upper tail, from its largest term on: each term is smaller than the one before, for `bad`
// is above the mean.
bool SurelyAbove(uint64_t bad, uint64_t of, double share) {
  if (bad == 0 || of == 0 || share >= 1) return false;
  if (share <= 0) return true;
  bad = std::min(bad, of);
  const double n = static_cast<double>(of), k = static_cast<double>(bad);
  if (k <= n * share) return false;
  double term = std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) + k * std::log(share) +
                         (n - k) * std::log1p(-share));
  double tail = 0;
  for (double i = k; i <= n && tail < kChance && term > 1e-12; ++i) {
    tail += term;
    term *= (n - i) / (i + 1) * share / (1 - share);
  }
  return tail < kChance;
}

RampVerdict JudgeRamp(const RampConfig& limits, const RampFigures& figures, int64_t every_ms) {
  RampVerdict verdict;
  verdict.guardrails = {
      ShareOf("mismatch_rate", figures.mismatched, figures.compared, limits.max_mismatch_rate, limits.min_samples,
              "compared reads differ"),
      ShareOf("error_rate", figures.failed, figures.answered + figures.failed, limits.max_error_rate,
              limits.min_samples, "reads meant for new failed there"),
      P99Of(limits, figures),
      NowOf("lag_ms", figures.lag_ms, static_cast<double>(limits.max_lag_ms), " ms"),
      NowOf("dirty_keys", static_cast<double>(figures.dirty_keys), static_cast<double>(limits.max_dirty_keys), ""),
      DownOf(limits, figures.down_ms)};
  Guardrail readable{.name = "unreadable",
                     .value = figures.unreadable.empty() ? 0.0 : 1.0,
                     .limit = 0,
                     .samples = 1,
                     .state = GuardrailState::kOk,
                     .text = {}};
  if (!figures.unreadable.empty()) {
    readable.state = GuardrailState::kTripped;
    readable.text = "unreadable: " + figures.unreadable;
  }
  verdict.guardrails.push_back(std::move(readable));

  verdict.reason = TextsOf(verdict.guardrails, GuardrailState::kTripped);
  if (!verdict.reason.empty()) {
    verdict.move = RampMove::kTrip;
  } else if (figures.elapsed_ms >= every_ms) {
    verdict.reason = TextsOf(verdict.guardrails, GuardrailState::kNoData);
    verdict.move = verdict.reason.empty() ? RampMove::kAdvance : RampMove::kHold;
  }
  return verdict;
}

}  // namespace crossfade
