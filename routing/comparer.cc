// Which parts of a reply are numbers, which have an order, and which are each server's own affair: by rule, and by the
// options of what was asked. Nothing here costs more than n log n of a reply's size; recursion goes as deep as a reply
// is nested, which ReplyParser bounds.
#include "routing/comparer.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/reply.h"
#include "routing/reply_shapes.h"

namespace crossfade {

namespace {

constexpr double kCoordinateTolerance = 1e-6;
constexpr double kDistanceTolerance = 1e-4 + 1e-8;  // the last of four printed digits, and its own rounding
constexpr int64_t kTtlSlackSeconds = 1;
constexpr int64_t kTtlSlackMillis = 100;
constexpr int64_t kLargestToleranceMs = int64_t{1} << 50;

bool ArgIs(RequestView request, size_t i, std::string_view word) {
  return i < request.argc() && EqualsIgnoreCase(request.arg(i), word);
}

bool CommandIs(RequestView request, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return ArgIs(request, 0, name); });
}

bool HasOption(RequestView request, size_t from, std::string_view word) {
  for (size_t i = from; i < request.argc(); ++i) {
    if (ArgIs(request, i, word)) return true;
  }
  return false;
}

// Does this command answer with (name, value) pairs that RESP2 has flat and RESP3 nested?
bool AnswersPairs(RequestView request) {
  if (CommandIs(request, {"zpopmin", "zpopmax"})) return true;
  if (CommandIs(request, {"hrandfield"})) return HasOption(request, 3, "withvalues");
  if (CommandIs(request, {"zunion", "zinter", "zdiff"})) {
    const std::optional<int64_t> keys = request.argc() > 1 ? ParseInt64(request.arg(1)) : std::nullopt;
    if (!keys || *keys < 0 || *keys > static_cast<int64_t>(request.argc())) return false;
    return HasOption(request, 2 + static_cast<size_t>(*keys), "withscores");
  }
  if (CommandIs(request, {"zrandmember"})) return HasOption(request, 3, "withscores");
  return CommandIs(request, {"zrange", "zrevrange", "zrangebyscore", "zrevrangebyscore"}) &&
         HasOption(request, 4, "withscores");
}

bool ExactAgree(RequestView request, const Reply& a, const Reply& b) {
  if (AnswersPairs(request)) return SamePairs(a, b, {});
  Texts texts;
  texts.hyperloglogs = CommandIs(request, {"get", "mget", "getset", "getdel", "getex", "set"});
  return Same(a, b, texts);
}

// Scores are numbers; members and keys are not, even when they look like numbers.
bool FloatsAgree(RequestView request, const Reply& a, const Reply& b) {
  const Texts numbers = {.numbers = true};
  if (AnswersPairs(request)) return SamePairs(a, b, numbers);
  if (CommandIs(request, {"zmpop", "bzmpop"}) && IsPair(a) && IsPair(b)) {  // [key, [[member, score] …]]
    return Same(a.items[0], b.items[0]) && SamePairs(a.items[1], b.items[1], numbers);
  }
  if (CommandIs(request, {"bzpopmin", "bzpopmax"}) && a.items.size() == 3 && b.items.size() == 3) {
    return Same(a.items[0], b.items[0]) && Same(a.items[1], b.items[1]) && Same(a.items[2], b.items[2], numbers);
  }
  const bool members_only = CommandIs(request, {"zrange", "zrevrange", "zrangebyscore", "zrevrangebyscore", "zunion",
                                                "zinter", "zdiff", "zrangebylex", "zrevrangebylex"});
  return Same(a, b, members_only ? Texts() : numbers);
}

bool GeoAgree(RequestView request, const Reply& a, const Reply& b) {
  const double tolerance = CommandIs(request, {"geodist"}) ? kDistanceTolerance : kCoordinateTolerance;
  return Same(a, b, {.numbers = true, .tolerance = tolerance});
}

struct GeoOptions {
  bool sorted = false;     // by distance
  bool any = false;        // COUNT n ANY: which of the matches is the server's choice
  bool distances = false;  // each item's second element
  int64_t count = -1;
};

GeoOptions ParseGeoOptions(RequestView request) {
  GeoOptions options;
  size_t i = 2;
  if (CommandIs(request, {"georadius", "georadius_ro"})) i = 6;
  if (CommandIs(request, {"georadiusbymember", "georadiusbymember_ro"})) i = 5;
  for (; i < request.argc(); ++i) {
    if (ArgIs(request, i, "asc") || ArgIs(request, i, "desc")) options.sorted = true;
    if (ArgIs(request, i, "any")) options.any = true;
    if (ArgIs(request, i, "withdist")) options.distances = true;
    if (ArgIs(request, i, "count") && i + 1 < request.argc()) {
      options.count = ParseInt64(request.arg(++i)).value_or(-1);
    } else if (ArgIs(request, i, "frommember") || ArgIs(request, i, "store") || ArgIs(request, i, "storedist")) {
      ++i;  // a name, which may look like an option
    }
  }
  if (options.count >= 0 && !options.any) options.sorted = true;
  return options;
}

// One place found: its name, or [name, distance, hash, [longitude, latitude]] as far as they were asked for.
bool PlacesAgree(const Reply& a, const Reply& b) {
  if (!a.is_aggregate() || !b.is_aggregate() || a.items.size() != b.items.size()) return Same(a, b);
  for (size_t i = 0; i < a.items.size(); ++i) {
    const double tolerance = a.items[i].is_aggregate() ? kCoordinateTolerance : kDistanceTolerance;
    const bool numbers = i > 0 && !IsWhole(a.items[i]) && !IsWhole(b.items[i]);
    if (!Same(a.items[i], b.items[i], {.numbers = numbers, .tolerance = tolerance})) return false;
  }
  return true;
}

using Places = std::vector<const Reply*>;

// The text of a name or a distance. Whole numbers are neither, and a boolean has another text in RESP2.
std::string_view TextOf(const Reply& reply) {
  return IsWhole(reply) ? std::string_view() : reply.text;
}

std::string_view PlaceName(const Reply* place) {
  return TextOf(place->items.empty() ? *place : place->items.front());
}

// Compares the places [from, to) of both, in any order. (Their order here changes.)
// REQUIRES: from <= to <= both sizes.
bool PlacesAgreeUnordered(Places* a, Places* b, size_t from, size_t to) {
  const auto by_name = [](const Reply* x, const Reply* y) { return PlaceName(x) < PlaceName(y); };
  std::stable_sort(a->begin() + from, a->begin() + to, by_name);
  std::stable_sort(b->begin() + from, b->begin() + to, by_name);
  for (size_t i = from; i < to; ++i) {
    if (!PlacesAgree(*(*a)[i], *(*b)[i])) return false;
  }
  return true;
}

// The distance of place [name, distance …]. Empty when there is none.
std::string_view Distance(const Reply* place) {
  return place->items.size() > 1 ? TextOf(place->items[1]) : std::string_view();
}

bool SameDistance(const Reply* a, const Reply* b) {
  return NumbersAgree(Distance(a), Distance(b), kDistanceTolerance);
}

// Sorted by distance. Servers order equal distances as they like, which can only be seen where distances are shown;
// and where COUNT cuts through a run of them, each may keep others of it.
bool SortedPlacesAgree(const GeoOptions& options, Places* a, Places* b) {
  const size_t size = a->size();
  for (size_t from = 0, to = 0; from < size; from = to) {
    to = from + 1;
    while (options.distances && to < size &&
           (SameDistance((*a)[to - 1], (*a)[to]) || SameDistance((*b)[to - 1], (*b)[to]))) {
      ++to;
    }
    if (options.distances && to == size && options.count == static_cast<int64_t>(size)) {
      return std::equal(a->begin() + from, a->end(), b->begin() + from, SameDistance);
    }
    if (!PlacesAgreeUnordered(a, b, from, to)) return false;
  }
  return true;
}

bool GeoSearchAgree(RequestView request, const Reply& a, const Reply& b) {
  if (!a.is_aggregate() || !b.is_aggregate()) return Same(a, b);  // an integer, with STORE
  if (a.items.size() != b.items.size()) return false;
  const GeoOptions options = ParseGeoOptions(request);
  if (options.any) return true;
  Places x;
  Places y;
  for (const Reply& place : a.items) x.push_back(&place);
  for (const Reply& place : b.items) y.push_back(&place);
  return options.sorted ? SortedPlacesAgree(options, &x, &y) : PlacesAgreeUnordered(&x, &y, 0, x.size());
}

bool SortAgree(RequestView request, const Reply& a, const Reply& b) {
  bool is_sorted = true;
  bool is_limited = false;
  size_t gets = 0;
  for (size_t i = 2; i < request.argc(); ++i) {
    if (ArgIs(request, i, "limit")) {
      is_limited = true;
      i += 2;
    } else if (ArgIs(request, i, "get") || ArgIs(request, i, "store")) {
      gets += ArgIs(request, i, "get");
      ++i;
    } else if (ArgIs(request, i, "by") && ++i < request.argc()) {
      if (request.arg(i).find('*') == std::string_view::npos) is_sorted = false;
    }
  }
  if (is_sorted) return Same(a, b);
  // A part of what has no order: a set's members are each server's own choice.
  if (is_limited && a.is_aggregate() && b.is_aggregate()) return a.items.size() == b.items.size();
  return SameGroups(a, b, std::max<size_t>(gets, 1));
}

// TTLs and expiry times, single or in arrays. Gone (-2) is near to about to go; without a TTL (-1) is near to nothing.
bool TtlsAgree(const Reply& a, const Reply& b, int64_t limit) {
  if (a.is_aggregate() && b.is_aggregate()) {
    return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(),
                      [limit](const Reply& x, const Reply& y) { return TtlsAgree(x, y, limit); });
  }
  if (!IsWhole(a) || !IsWhole(b)) return Same(a, b);
  const int64_t low = std::min(a.integer, b.integer);
  const int64_t high = std::max(a.integer, b.integer);
  if (low == high) return true;
  return low >= 0 ? high - low <= limit : low == -2 && high >= 0 && high <= limit;
}

using Field = std::pair<std::string_view, const Reply*>;

// What XINFO says of an object, sorted by name, without what is each server's own affair.
std::vector<Field> ComparedFields(const Reply& object) {
  static constexpr std::string_view kOwnAffairs[] = {"radix-tree-keys", "radix-tree-nodes", "idle", "inactive",
                                                     "seen-time",       "active-time",      "lag",  "entries-read"};
  std::vector<Field> fields;
  for (size_t i = 0; i + 1 < object.items.size(); i += 2) {
    const std::string_view name = TextOf(object.items[i]);
    if (std::find(std::begin(kOwnAffairs), std::end(kOwnAffairs), name) == std::end(kOwnAffairs)) {
      fields.emplace_back(name, &object.items[i + 1]);
    }
  }
  std::stable_sort(fields.begin(), fields.end(), [](const Field& x, const Field& y) { return x.first < y.first; });
  return fields;
}

// XINFO STREAM … FULL names its lists of entries "pending" (Redis 7) or "pel"; in XINFO GROUPS "pending" is a number.
bool IsPendingList(std::string_view name, const Reply& value) {
  return name == "pel" || (name == "pending" && value.is_aggregate());
}

// Entries [id, …, time, count] (XPENDING, and those of XINFO STREAM … FULL), without the time.
bool PendingEntriesAgree(const Reply& a, const Reply& b) {
  const auto same_entry = [](const Reply& x, const Reply& y) {
    if (!x.is_aggregate() || !y.is_aggregate() || x.items.size() != y.items.size()) return Same(x, y);
    for (size_t i = 0; i < x.items.size(); ++i) {
      if (i + 2 != x.items.size() && !Same(x.items[i], y.items[i])) return false;
    }
    return true;
  };
  if (!a.is_aggregate() || !b.is_aggregate()) return Same(a, b);
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), same_entry);
}

bool ObjectListsAgree(const Reply& a, const Reply& b);

// Fields that only one side has are another version's, and pass.
bool ObjectsAgree(const Reply& a, const Reply& b) {
  if (!a.is_aggregate() || !b.is_aggregate() || a.items.size() % 2 != 0 || b.items.size() % 2 != 0) return Same(a, b);
  const std::vector<Field> x = ComparedFields(a);
  const std::vector<Field> y = ComparedFields(b);
  size_t common = 0;
  for (size_t i = 0, j = 0; i < x.size() && j < y.size();) {
    if (x[i].first != y[j].first) {
      x[i].first < y[j].first ? ++i : ++j;
      continue;
    }
    const auto& [name, left] = x[i++];
    const Reply* right = y[j++].second;
    ++common;
    const bool is_list = name == "groups" || name == "consumers";  // with FULL; otherwise their number
    const bool agree = is_list
                           ? ObjectListsAgree(*left, *right)
                           : (IsPendingList(name, *left) ? PendingEntriesAgree(*left, *right) : Same(*left, *right));
    if (!agree) return false;
  }
  return common > 0 || (x.empty() && y.empty());
}

// Objects that have a name, in any order.
bool ObjectListsAgree(const Reply& a, const Reply& b) {
  if (!a.is_aggregate() || !b.is_aggregate() || a.items.size() != b.items.size()) return Same(a, b);
  const auto by_name = [](const Reply& list) {
    std::vector<Field> objects;
    for (const Reply& object : list.items) {
      std::string_view name;
      for (size_t i = 0; i + 1 < object.items.size() && name.empty(); i += 2) {
        if (TextOf(object.items[i]) == "name") name = TextOf(object.items[i + 1]);
      }
      objects.emplace_back(name, &object);
    }
    std::stable_sort(objects.begin(), objects.end(), [](const Field& x, const Field& y) { return x.first < y.first; });
    return objects;
  };
  const std::vector<Field> x = by_name(a);
  const std::vector<Field> y = by_name(b);
  return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                    [](const Field& left, const Field& right) { return ObjectsAgree(*left.second, *right.second); });
}

bool StreamInfoAgree(RequestView request, const Reply& a, const Reply& b) {
  if (CommandIs(request, {"xpending"}) && request.argc() > 3) {
    // What has been idle for long enough is a question about time.
    if (ArgIs(request, 3, "idle") && a.is_aggregate() && b.is_aggregate()) return true;
    return PendingEntriesAgree(a, b);
  }
  if (CommandIs(request, {"xinfo"})) {
    if (ArgIs(request, 1, "stream")) return ObjectsAgree(a, b);
    if (ArgIs(request, 1, "groups") || ArgIs(request, 1, "consumers")) return ObjectListsAgree(a, b);
  }
  return Same(a, b);
}

}  // namespace

bool RepliesAgree(CompareRule rule, RequestView request, std::string_view a, std::string_view b, int64_t tolerance_ms) {
  if (rule == CompareRule::kNever || a == b) return true;
  const Reply x = ParseReply(a);
  const Reply y = ParseReply(b);
  if (rule == CompareRule::kErrorsOnly) return x.is_error() == y.is_error();
  if (x.is_error() || y.is_error()) return Same(x, y);
  const int64_t tolerance = std::clamp<int64_t>(tolerance_ms, 0, kLargestToleranceMs);
  switch (rule) {
    case CompareRule::kExact:
      return ExactAgree(request, x, y);
    case CompareRule::kMultiset:
      return SameGroups(x, y, 1);
    case CompareRule::kMapPairs:
      return SameGroups(x, y, 2);
    case CompareRule::kFloat:
      return FloatsAgree(request, x, y);
    case CompareRule::kGeo:
      return GeoAgree(request, x, y);
    case CompareRule::kGeoSearch:
      return GeoSearchAgree(request, x, y);
    case CompareRule::kSort:
      return SortAgree(request, x, y);
    case CompareRule::kTtlSeconds:
      return TtlsAgree(x, y, kTtlSlackSeconds + (tolerance + 999) / 1000);
    case CompareRule::kTtlMillis:
      return TtlsAgree(x, y, kTtlSlackMillis + tolerance);
    case CompareRule::kStreamInfo:
      return StreamInfoAgree(request, x, y);
    case CompareRule::kErrorsOnly:
    case CompareRule::kNever:
      break;
  }
  return true;
}

}  // namespace crossfade
