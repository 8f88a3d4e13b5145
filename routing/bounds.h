// How large a share may really be, of which only a sample was seen: an upper bound that is too low for one sample in
// twenty (95 % confidence, one-sided). Pure.
#pragma once

#include <cstdint>

namespace crossfade {

// `hits` of `samples`. With none the rule of three, 3/n; else Clopper and Pearson's exact bound. Nothing sampled says
// nothing: 1. Between 0 and 1, and never below hits/samples. REQUIRES: hits <= samples; more counts as all.
double UpperBound95(uint64_t hits, uint64_t samples);

// Which of the two it was, in words.
inline const char* NameOfBound95(uint64_t hits) {
  return hits == 0 ? "rule of three, 95 %" : "Clopper-Pearson, one-sided 95 %";
}

}  // namespace crossfade
