#include "routing/reply_shapes.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

namespace crossfade {

namespace {

// As Redis's isHLLObjectOrReply recognises one: magic, encoding, and the exact size of the dense form.
bool IsHyperLogLog(std::string_view text) {
  constexpr size_t kHeaderBytes = 16;
  constexpr size_t kDenseBytes = kHeaderBytes + 12288;
  if (text.size() < kHeaderBytes || text.substr(0, 4) != "HYLL") return false;
  return text[4] == 1 || (text[4] == 0 && text.size() == kDenseBytes);
}

std::string_view FirstWord(std::string_view text) {
  return text.substr(0, text.find(' '));
}

bool SameScalar(const Reply& a, const Reply& b, const Texts& texts) {
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
  if (a.is_error() || b.is_error()) return a.is_error() && b.is_error() && FirstWord(a.text) == FirstWord(b.text);
  if (IsWhole(a) && IsWhole(b)) return a.integer == b.integer;
  if (IsWhole(a) || IsWhole(b)) return texts.numbers && NumbersAgree(a.text, b.text, texts.tolerance);
  if (texts.numbers || a.type == ReplyType::kDouble || b.type == ReplyType::kDouble) {
    return NumbersAgree(a.text, b.text, texts.tolerance);
  }
  return a.text == b.text || (texts.hyperloglogs && IsHyperLogLog(a.text) && IsHyperLogLog(b.text));
}

// Whether the items are the map's fields and values, two by two.
bool SameAsMap(const Reply& map, const Reply& pairs, const Texts& texts) {
  if (map.type != ReplyType::kMap || map.items.size() != 2 * pairs.items.size()) return false;
  for (size_t i = 0; i < pairs.items.size(); ++i) {
    const Reply& pair = pairs.items[i];
    if (!IsPair(pair) || !Same(map.items[2 * i], pair.items[0], texts)) return false;
    if (!Same(map.items[2 * i + 1], pair.items[1], texts)) return false;
  }
  return true;
}

// The items of an aggregate; those of its pairs if pairs are all that it holds.
std::vector<const Reply*> FlatItems(const Reply& reply) {
  std::vector<const Reply*> flat;
  const bool is_nested = std::all_of(reply.items.begin(), reply.items.end(), IsPair);
  for (const Reply& item : reply.items) {
    if (is_nested) {
      flat.push_back(&item.items[0]);
      flat.push_back(&item.items[1]);
    } else {
      flat.push_back(&item);
    }
  }
  return flat;
}

void AppendHead(char type, int64_t number, std::string* out) {
  out->push_back(type);
  out->append(std::to_string(number));
  out->push_back(':');
}

// The same for equal values, whatever protocol they came in.
void AppendNormalForm(const Reply& reply, std::string* out) {
  if (reply.is_aggregate()) {
    AppendHead('*', static_cast<int64_t>(reply.items.size()), out);
    for (const Reply& item : reply.items) AppendNormalForm(item, out);
  } else if (IsWhole(reply)) {
    AppendHead(':', reply.integer, out);
  } else if (reply.is_null()) {
    out->push_back('_');
  } else {
    const std::string_view text = reply.is_error() ? FirstWord(reply.text) : reply.text;
    AppendHead(reply.is_error() ? '-' : '$', static_cast<int64_t>(text.size()), out);
    out->append(text);
  }
}

// The normal forms of each `group` consecutive items, sorted. They live in *bytes.
std::vector<std::string_view> SortedGroups(const Reply& reply, size_t group, std::string* bytes) {
  std::vector<size_t> ends;
  for (size_t i = 0; i < reply.items.size(); ++i) {
    AppendNormalForm(reply.items[i], bytes);
    if ((i + 1) % group == 0) ends.push_back(bytes->size());
  }
  std::vector<std::string_view> groups;
  groups.reserve(ends.size());
  size_t start = 0;
  for (size_t end : ends) {
    groups.push_back(std::string_view(*bytes).substr(start, end - start));
    start = end;
  }
  std::sort(groups.begin(), groups.end());
  return groups;
}

}  // namespace

bool NumbersAgree(std::string_view a, std::string_view b, double tolerance) {
  if (a == b) return true;
  const std::optional<double> x = ParseDouble(a);
  const std::optional<double> y = ParseDouble(b);
  return x && y && (*x == *y || std::fabs(*x - *y) <= tolerance);
}

bool IsWhole(const Reply& reply) {
  return reply.type == ReplyType::kInteger || reply.type == ReplyType::kBoolean;
}

bool IsPair(const Reply& reply) {
  return reply.is_aggregate() && reply.items.size() == 2;
}

bool Same(const Reply& a, const Reply& b, const Texts& texts) {
  if (!a.is_aggregate() && !b.is_aggregate()) return SameScalar(a, b, texts);
  if (!a.is_aggregate() || !b.is_aggregate()) return false;
  if (a.items.size() != b.items.size()) return SameAsMap(a, b, texts) || SameAsMap(b, a, texts);
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!Same(a.items[i], b.items[i], texts)) return false;
  }
  return true;
}

bool SamePairs(const Reply& a, const Reply& b, const Texts& values) {
  if (!a.is_aggregate() || !b.is_aggregate()) return Same(a, b);
  const std::vector<const Reply*> x = FlatItems(a);
  const std::vector<const Reply*> y = FlatItems(b);
  if (x.size() != y.size()) return false;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!Same(*x[i], *y[i], i % 2 == 1 ? values : Texts())) return false;
  }
  return true;
}

bool SameGroups(const Reply& a, const Reply& b, size_t group) {
  if (!a.is_aggregate() || !b.is_aggregate()) return Same(a, b);
  if (a.items.size() != b.items.size() || a.items.size() % group != 0) return Same(a, b);
  std::string a_bytes;
  std::string b_bytes;
  return SortedGroups(a, group, &a_bytes) == SortedGroups(b, group, &b_bytes);
}

}  // namespace crossfade
