// One table of a TOML file, read key by key, and the parsing of the whole file: all that knows toml++. A read leaves
// *out alone when the key is absent, and reports to Mistakes whatever is wrong with it; ReportUnknownKeys then reports
// the keys that no read asked for. A Section borrows the toml::table and the Mistakes for the time of the load.
#pragma once

// toml++ 3.3 promises its compiler things that the text of a file can make untrue. So that a wrong file is an error,
// and not undefined behaviour: no assertions nor assumptions ("[.a]"), for its own check that follows each; and where
// its table of white space does not know a letter ("é" outside of quotes), the letter is none.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(condition) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#include <toml++/impl/forward_declarations.h>
#pragma push_macro("TOML_UNREACHABLE")
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE return false
#include <toml++/impl/unicode.h>
#pragma pop_macro("TOML_UNREACHABLE")
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "conf/config.h"
#include "conf/config_mistakes.h"

namespace crossfade {

// What a number may be, both ends included.
struct Range {
  int64_t lowest;
  int64_t highest;
};

// The root table, or nothing after reporting why: TOML stops at its first syntax error.
std::optional<toml::table> ParseToml(const std::string& text, Mistakes* mistakes);

class Section {
 public:
  // `table` is nullptr when the file does not have it; `path` is its dotted name, "" for the root.
  Section(const toml::table* table, std::string path, Mistakes* mistakes);

  bool is_present() const { return table_ != nullptr; }
  // The table itself, for an error about what is not in it.
  Place Whole() const;

  // Below: *place, where there is one, is set when the key is there.
  Section Table(const std::string& key, Place* place);
  Section Table(const std::string& key);
  std::vector<Section> Tables(const std::string& key);  // those under [[key]]

  // Nothing unless the key is there and is a string. `expected` ends the sentence "expected …, got …".
  std::optional<std::string> String(const std::string& key, const std::string& expected, Place* place,
                                    bool is_secret = false);
  void Bool(const std::string& key, bool* out);
  void Percent(const std::string& key, double* out);  // 0 to 100
  void Real(const std::string& key, double lowest, double highest, double* out);
  void Count(const std::string& key, Range range, int64_t* out);
  void Bytes(const std::string& key, Range range, int64_t* out);
  void Duration(const std::string& key, Range range_ms, int64_t* out);

  // One of the names that ParseName knows. True when *out was set.
  template <typename Enum>
  bool Choice(const std::string& key, const std::string& expected, Enum* out) {
    Place place;
    std::optional<std::string> text = String(key, expected, &place);
    if (!text) return false;
    if (ParseName(*text, out)) return true;
    ReportText(place, expected, *text);
    return false;
  }

  // `all_names`: every full name that AppendFullNames gave, to tell somebody who has put a key in the wrong table.
  void AppendFullNames(std::vector<std::string>* all_names) const;
  void ReportUnknownKeys(const std::vector<std::string>& all_names) const;

 private:
  const toml::node* Take(const std::string& key, Place* place);
  Place PlaceOf(const std::string& key, int64_t line) const;
  void Report(const Place& place, const std::string& expected, const toml::node& node, bool is_secret = false);
  void ReportText(const Place& place, const std::string& expected, const std::string& text);

  const toml::table* table_;
  std::string path_;
  Mistakes* mistakes_;
  std::vector<std::string> known_;  // the keys asked for
};

}  // namespace crossfade
