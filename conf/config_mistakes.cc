#include "conf/config_mistakes.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "conf/config_values.h"

namespace crossfade {

namespace {

constexpr int64_t kFlagRank = std::numeric_limits<int64_t>::max();
constexpr int64_t kWholeFileRank = kFlagRank - 1;
constexpr size_t kMaxShownKey = 100;
constexpr size_t kMaxGuessedName = 40;

// Keys come from the file: one with a line break or a password in it must not be in an error as it is.
std::string QuoteIfOdd(const std::string& key) {
  bool is_odd = std::any_of(key.begin(), key.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '@'; });
  return is_odd || key.size() > kMaxShownKey ? QuoteForError(key) : key;
}

// The number of letters to insert, remove or change to get from one word to the other; letters in another order are one
// slip.
size_t EditDistance(const std::string& a, const std::string& b) {
  if (a != b && a.size() == b.size() && std::is_permutation(a.begin(), a.end(), b.begin())) return 1;
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

Mistakes::Mistakes(std::string file_name) : file_name_(std::move(file_name)) {}

void Mistakes::Add(const Place& place, const std::string& what) {
  std::string text = place.key.empty() ? what : absl::StrCat(QuoteIfOdd(place.key), ": ", what);
  if (place.is_flag) {
    by_rank_.emplace(kFlagRank, text);
  } else if (place.line > 0) {
    by_rank_.emplace(place.line, absl::StrCat(file_name_, ":", place.line, ": ", text));
  } else {
    by_rank_.emplace(kWholeFileRank, file_name_.empty() ? text : absl::StrCat(file_name_, ": ", text));
  }
}

absl::Status Mistakes::ToStatus() const {
  auto append_text = [](std::string* out, const auto& mistake) { *out += mistake.second; };
  return absl::InvalidArgumentError(absl::StrJoin(by_rank_, "\n", append_text));
}

std::string NearestName(const std::string& name, const std::vector<std::string>& known,
                        const std::vector<std::string>& elsewhere) {
  std::string best;
  size_t best_distance = 3;
  if (name.size() > kMaxGuessedName) return best;
  for (const std::string& candidate : known) {
    size_t distance = EditDistance(name, candidate);
    if (distance < best_distance && distance * 2 < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  for (const std::string& full_name : elsewhere) {
    if (best.empty() && full_name.substr(full_name.rfind('.') + 1) == name) best = full_name;
  }
  return best;
}

}  // namespace crossfade
