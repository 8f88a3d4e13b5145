#include "conf/config_section.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "conf/config_values.h"

namespace crossfade {

namespace {

constexpr int kMaxDotsInLine = 64;

int64_t LineOf(const toml::node& node) {
  return node.source().begin.line;
}

// What was got, for an error: scalars by value, the others by type; of a secret's node only the type.
std::string Describe(const toml::node& node, bool is_secret) {
  if (node.is_table()) return "a table";
  if (node.is_array_of_tables()) return "an array of tables";
  if (node.is_array()) return "an array";
  if (node.is_string()) return is_secret ? "a string" : QuoteForError(node.as_string()->get());
  if (node.is_integer()) return is_secret ? "an integer" : absl::StrCat(node.as_integer()->get());
  if (node.is_floating_point()) return is_secret ? "a float" : absl::StrCat(node.as_floating_point()->get());
  if (node.is_boolean()) return node.as_boolean()->get() ? "true" : "false";
  return "a date or time";
}

bool IsWithin(const absl::StatusOr<int64_t>& value, Range range) {
  return value.ok() && *value >= range.lowest && *value <= range.highest;
}

// toml++ quotes what it saw, which may be of a password whose quotes were forgotten.
std::string WithoutQuotedText(const std::string& description) {
  std::string result = description.substr(0, description.find(", saw '"));
  bool quotes_value = result.find("not representable") != std::string::npos ||
                      result.find("unknown escape sequence") != std::string::npos;
  size_t open = result.find('\'');
  size_t close = result.rfind('\'');
  if (quotes_value && open < close) result.replace(open, close - open + 1, "in the value");
  return result;
}

// toml++ nests once per dot of a key, and its destructor recurses: the first line with more dots than any of ours, or
// 0.
int64_t FindLineOfTooManyDots(const std::string& text) {
  int64_t line = 1;
  int dots = 0;
  bool is_comment = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == 0 || text[i - 1] == '\n') is_comment = text[i] == '#';
    if (text[i] == '\n') {
      ++line;
      dots = 0;
    } else if (text[i] == '.' && !is_comment && ++dots > kMaxDotsInLine) {
      return line;
    }
  }
  return 0;
}

}  // namespace

std::optional<toml::table> ParseToml(const std::string& text, Mistakes* mistakes) {
  int64_t dots_line = FindLineOfTooManyDots(text);
  if (dots_line != 0) {
    mistakes->Add(Place{"", dots_line}, absl::StrCat("more than ", kMaxDotsInLine, " dots in one line"));
    return std::nullopt;
  }
  toml::parse_result parsed = toml::parse(std::string_view(text));
  if (parsed) return std::move(parsed).table();
  const toml::source_position& at = parsed.error().source().begin;
  std::string what = WithoutQuotedText(std::string(parsed.error().description()));
  mistakes->Add(Place{"", at.line}, absl::StrCat("column ", at.column, ": not TOML: ", what));
  return std::nullopt;
}

Section::Section(const toml::table* table, std::string path, Mistakes* mistakes)
    : table_(table), path_(std::move(path)), mistakes_(mistakes) {}

Place Section::Whole() const {
  return Place{path_, table_ == nullptr ? 0 : LineOf(*table_)};
}

Section Section::Table(const std::string& key, Place* place) {
  const toml::node* node = Take(key, place);
  if (node != nullptr && !node->is_table()) {
    Report(*place, absl::StrCat("a table, [", place->key, "]"), *node, /*is_secret=*/true);
  }
  return Section(node == nullptr ? nullptr : node->as_table(), PlaceOf(key, 0).key, mistakes_);
}

Section Section::Table(const std::string& key) {
  Place place;
  return Table(key, &place);
}

std::vector<Section> Section::Tables(const std::string& key) {
  std::vector<Section> tables;
  Place place;
  const toml::node* node = Take(key, &place);
  if (node == nullptr) return tables;
  const toml::array* array = node->as_array();
  if (array == nullptr || (!array->empty() && !node->is_array_of_tables())) {
    Report(place, absl::StrCat("tables, each under [[", key, "]]"), *node);
    return tables;
  }
  for (const toml::node& element : *array) tables.emplace_back(element.as_table(), place.key, mistakes_);
  return tables;
}

std::optional<std::string> Section::String(const std::string& key, const std::string& expected, Place* place,
                                           bool is_secret) {
  const toml::node* node = Take(key, place);
  if (node == nullptr) return std::nullopt;
  if (node->is_string()) return node->as_string()->get();
  Report(*place, expected, *node, is_secret);
  return std::nullopt;
}

void Section::Bool(const std::string& key, bool* out) {
  Place place;
  const toml::node* node = Take(key, &place);
  if (node == nullptr) return;
  if (!node->is_boolean()) return Report(place, "true or false", *node);
  *out = node->as_boolean()->get();
}

void Section::Percent(const std::string& key, double* out) {
  Place place;
  const toml::node* node = Take(key, &place);
  if (node == nullptr) return;
  double value = node->is_integer() ? static_cast<double>(node->as_integer()->get()) : -1;
  if (node->is_floating_point()) value = node->as_floating_point()->get();
  bool is_percentage = value >= 0 && value <= 100;  // which NaN is not
  if (!is_percentage) return Report(place, "a percentage from 0 to 100", *node);
  *out = value;
}

void Section::Real(const std::string& key, double lowest, double highest, double* out) {
  Place place;
  const toml::node* node = Take(key, &place);
  if (node == nullptr) return;
  double value = node->is_integer() ? static_cast<double>(node->as_integer()->get()) : lowest - 1;
  if (node->is_floating_point()) value = node->as_floating_point()->get();
  const bool is_within = value >= lowest && value <= highest;  // which NaN is not
  if (!is_within) return Report(place, absl::StrCat("a number from ", lowest, " to ", highest), *node);
  *out = value;
}

void Section::Count(const std::string& key, Range range, int64_t* out) {
  Place place;
  const toml::node* node = Take(key, &place);
  if (node == nullptr) return;
  if (!node->is_integer() || !IsWithin(node->as_integer()->get(), range)) {
    return Report(place, absl::StrCat("a whole number from ", range.lowest, " to ", range.highest), *node);
  }
  *out = node->as_integer()->get();
}

void Section::Bytes(const std::string& key, Range range, int64_t* out) {
  Place place;
  const toml::node* node = Take(key, &place);
  if (node == nullptr) return;
  absl::StatusOr<int64_t> bytes = absl::InvalidArgumentError("neither an integer nor a string");
  if (node->is_integer()) bytes = node->as_integer()->get();
  if (node->is_string()) bytes = ParseBytes(node->as_string()->get());
  if (!IsWithin(bytes, range)) {
    std::string lowest = FormatBytes(range.lowest);
    return Report(place, absl::StrCat("a size from \"", lowest, "\" to \"", FormatBytes(range.highest), "\""), *node);
  }
  *out = *bytes;
}

void Section::Duration(const std::string& key, Range range_ms, int64_t* out) {
  Place place;
  const toml::node* node = Take(key, &place);
  if (node == nullptr) return;
  absl::StatusOr<int64_t> ms = absl::InvalidArgumentError("not a string");
  if (node->is_string()) ms = ParseDuration(node->as_string()->get());
  if (!IsWithin(ms, range_ms)) {
    std::string lowest = FormatDuration(range_ms.lowest);
    std::string highest = FormatDuration(range_ms.highest);
    return Report(place, absl::StrCat("a duration from \"", lowest, "\" to \"", highest, "\""), *node);
  }
  *out = *ms;
}

void Section::AppendFullNames(std::vector<std::string>* all_names) const {
  for (const std::string& key : known_) all_names->push_back(PlaceOf(key, 0).key);
}

void Section::ReportUnknownKeys(const std::vector<std::string>& all_names) const {
  if (table_ == nullptr) return;
  for (auto&& [toml_key, node] : *table_) {
    std::string key(toml_key.str());
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    std::string nearest = NearestName(key, known_, all_names);
    bool is_table = node.is_table() || node.is_array_of_tables();
    mistakes_->Add(PlaceOf(key, toml_key.source().begin.line),
                   absl::StrCat(is_table ? "unknown table" : "unknown key",
                                nearest.empty() ? ", expected one of " + absl::StrJoin(known_, ", ")
                                                : ", did you mean " + nearest + "?"));
  }
}

const toml::node* Section::Take(const std::string& key, Place* place) {
  known_.push_back(key);
  const toml::node* node = table_ == nullptr ? nullptr : table_->get(key);
  if (node != nullptr) *place = PlaceOf(key, LineOf(*node));
  return node;
}

Place Section::PlaceOf(const std::string& key, int64_t line) const {
  return Place{path_.empty() ? key : path_ + "." + key, line};
}

void Section::Report(const Place& place, const std::string& expected, const toml::node& node, bool is_secret) {
  mistakes_->Add(place, absl::StrCat("expected ", expected, ", got ", Describe(node, is_secret)));
}

void Section::ReportText(const Place& place, const std::string& expected, const std::string& text) {
  mistakes_->Add(place, absl::StrCat("expected ", expected, ", got ", QuoteForError(text)));
}

}  // namespace crossfade
