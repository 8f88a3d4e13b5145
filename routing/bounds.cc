#include "routing/bounds.h"

#include <algorithm>
#include <cmath>

namespace crossfade {

namespace {

// The continued fraction of the incomplete beta function, by Lentz's method (Press et al., Numerical Recipes, 6.4).
double BetaFraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300, kEnough = 1e-13;
  constexpr int kMostTurns = 10'000;
  const auto away = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1, d = 1 / away(1 - (a + b) * x / (a + 1)), h = d;
  for (int m = 1; m <= kMostTurns; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    h *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    h *= d * c;
    if (std::abs(d * c - 1) < kEnough) break;
  }
  return h;
}

// The regularised incomplete beta function. REQUIRES: 0 < x < 1.
double IncompleteBeta(double a, double b, double x) {
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * BetaFraction(a, b, x) / a;
  return 1 - front * BetaFraction(b, a, 1 - x) / b;
}

}  // namespace

double UpperBound95(uint64_t hits, uint64_t samples) {
  constexpr double kDoubt = 0.05;
  if (samples == 0 || hits >= samples) return 1;
  const double n = static_cast<double>(samples), k = static_cast<double>(hits);
  if (hits == 0) return std::min(1.0, 3 / n);
  // The share with which so few hits would come once in twenty times: P(X <= k) = 1 - I_p(k + 1, n - k).
  double low = k / n, high = 1;
  for (int turn = 0; turn < 100; ++turn) {
    const double middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    (1 - IncompleteBeta(k + 1, n - k, middle) > kDoubt ? low : high) = middle;
  }
  return high;
}

}  // namespace crossfade
