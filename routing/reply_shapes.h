// Equality of parsed replies with RESP2's and RESP3's shapes as one: a map is a flat array (or, in XREAD, an array of
// pairs), a set is an array, a double is a bulk string that holds a number, a boolean is 0 or 1, all nulls are equal.
// Errors are equal when their first words are. It knows no command: routing/comparer does.
// Everything here is symmetric in a and b, and recursion goes as deep as the replies are nested (kMaxNesting).
#pragma once

#include <cstddef>
#include <string_view>

#include "protocol/reply.h"

namespace crossfade {

// How texts are held against each other.
struct Texts {
  bool numbers = false;       // as numbers, where both are
  double tolerance = 0;       // of numbers
  bool hyperloglogs = false;  // two HyperLogLogs are equal: their bytes hold a cache that each server fills for itself
};

// Both are numbers, and no further apart than `tolerance`; or the same text.
bool NumbersAgree(std::string_view a, std::string_view b, double tolerance);

// An integer, or a boolean, which is one in RESP2.
bool IsWhole(const Reply& reply);

// An aggregate of two.
bool IsPair(const Reply& reply);

// The same value in the same order.
bool Same(const Reply& a, const Reply& b, const Texts& texts = {});

// A list of (name, value), nested in pairs (RESP3) or flat (RESP2). `values` says how the second of each is compared.
bool SamePairs(const Reply& a, const Reply& b, const Texts& values);

// The same groups of `group` consecutive items, in any order. Sorts, so n log n. What isn't such a list is compared
// as Same does.
bool SameGroups(const Reply& a, const Reply& b, size_t group);

}  // namespace crossfade
