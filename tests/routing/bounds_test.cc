#include "routing/bounds.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace crossfade {
namespace {

TEST(Bounds, OfNoneIsTheRuleOfThree) {
  EXPECT_DOUBLE_EQ(UpperBound95(0, 30'000), 0.0001);
  EXPECT_DOUBLE_EQ(UpperBound95(0, 300), 0.01);
  EXPECT_DOUBLE_EQ(UpperBound95(0, 2), 1);  // two say next to nothing
  EXPECT_EQ(NameOfBound95(0), std::string("rule of three, 95 %"));
}

TEST(Bounds, NothingSampledSaysNothing) {
  EXPECT_EQ(UpperBound95(0, 0), 1);
}

TEST(Bounds, AllIsAll) {
  EXPECT_EQ(UpperBound95(5, 5), 1);
  EXPECT_EQ(UpperBound95(6, 5), 1);
}

// By exact sums of the binomial distribution: the p for which P(X <= k) = 0.05.
TEST(Bounds, OfSomeIsTheExactBound) {
  EXPECT_NEAR(UpperBound95(1, 10), 0.39416, 1e-5);
  EXPECT_NEAR(UpperBound95(5, 100), 0.10225, 1e-5);
  EXPECT_NEAR(UpperBound95(10, 100), 0.16372, 1e-5);
  EXPECT_NEAR(UpperBound95(1, 1000), 0.0047349, 1e-7);
  EXPECT_NEAR(UpperBound95(99, 100), 0.99949, 1e-5);
  EXPECT_EQ(NameOfBound95(1), std::string("Clopper-Pearson, one-sided 95 %"));
}

// Against a sum of the distribution's terms, made with nothing but logarithms.
TEST(Bounds, AgreesWithTheSumOfTheTerms) {
  for (const auto& [hits, samples] : {std::pair<uint64_t, uint64_t>{1, 2}, {3, 50}, {40, 1000}, {7, 100'000}}) {
    const double bound = UpperBound95(hits, samples), n = static_cast<double>(samples);
    double sum = 0;
    for (uint64_t k = 0; k <= hits; ++k) {
      const double i = static_cast<double>(k);
      sum += std::exp(std::lgamma(n + 1) - std::lgamma(i + 1) - std::lgamma(n - i + 1) + i * std::log(bound) +
                      (n - i) * std::log1p(-bound));
    }
    EXPECT_NEAR(sum, 0.05, 1e-6) << hits << " of " << samples;
  }
}

TEST(Bounds, OfVeryManyIsFiniteAndCloseToTheShare) {
  const double bound = UpperBound95(500'000'000, 1'000'000'000);
  EXPECT_GT(bound, 0.5);
  EXPECT_LT(bound, 0.5001);
  EXPECT_GT(UpperBound95(1, 1'000'000'000'000), 1e-12);
  EXPECT_LT(UpperBound95(1, 1'000'000'000'000), 1e-11);
}

TEST(Bounds, NeverBelowWhatWasSeenAndFallsWithTheSample) {
  double before = 1;
  for (uint64_t samples = 10; samples <= 10'000'000; samples *= 10) {
    const double bound = UpperBound95(3, samples);
    EXPECT_GT(bound, 3.0 / static_cast<double>(samples));
    EXPECT_LT(bound, before);
    before = bound;
  }
}

}  // namespace
}  // namespace crossfade
