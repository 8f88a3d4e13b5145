#include "proxy/ledger_figures.h"

#include <algorithm>

namespace crossfade {

namespace {

constexpr CounterField kFields[] = {
    {"writes_total", [](Counters& c) -> uint64_t& { return c.writes_total; }},
    {"writes_followed", [](Counters& c) -> uint64_t& { return c.writes_followed; }},
    {"writes_diverged", [](Counters& c) -> uint64_t& { return c.writes_diverged; }},
    {"writes_on_dirty", [](Counters& c) -> uint64_t& { return c.writes_on_dirty; }},
    {"writes_refused", [](Counters& c) -> uint64_t& { return c.writes_refused; }},
    {"writes_not_followed", [](Counters& c) -> uint64_t& { return c.writes_not_followed; }},
    {"expiry_races", [](Counters& c) -> uint64_t& { return c.expiry_races; }},
    {"reads_old", [](Counters& c) -> uint64_t& { return c.reads[0]; }},
    {"reads_new", [](Counters& c) -> uint64_t& { return c.reads[1]; }},
    {"reads_compared", [](Counters& c) -> uint64_t& { return c.reads_compared; }},
    {"reads_mismatched", [](Counters& c) -> uint64_t& { return c.reads_mismatched; }},
    {"reads_unconfirmed", [](Counters& c) -> uint64_t& { return c.reads_unconfirmed; }},
    {"reads_expiring", [](Counters& c) -> uint64_t& { return c.reads_expiring; }},
    {"reads_not_comparable", [](Counters& c) -> uint64_t& { return c.reads_not_comparable; }},
    {"reads_fallback", [](Counters& c) -> uint64_t& { return c.reads_fallback; }},
    {"reads_failed", [](Counters& c) -> uint64_t& { return c.reads_failed; }},
    {"reads_retried", [](Counters& c) -> uint64_t& { return c.reads_retried; }},
    {"unknown_outcomes", [](Counters& c) -> uint64_t& { return c.unknown_outcomes; }},
    {"queue_overflows", [](Counters& c) -> uint64_t& { return c.queue_overflows; }},
    {"both_refused", [](Counters& c) -> uint64_t& { return c.both_refused; }},
    {"scripts_unnamed", [](Counters& c) -> uint64_t& { return c.scripts_unnamed; }},
    {"scripts_unnamed_failed", [](Counters& c) -> uint64_t& { return c.scripts_unnamed_failed; }},
    {"acks_failed", [](Counters& c) -> uint64_t& { return c.acks_failed; }},
    {"clients_refused", [](Counters& c) -> uint64_t& { return c.clients_refused; }},
    {"clients_total", [](Counters& c) -> uint64_t& { return c.clients_total; }},
    {"settle_checked", [](Counters& c) -> uint64_t& { return c.settle_checked; }},
    {"settle_equal", [](Counters& c) -> uint64_t& { return c.settle_equal; }},
    {"settle_differed", [](Counters& c) -> uint64_t& { return c.settle_differed; }},
    {"settle_too_big", [](Counters& c) -> uint64_t& { return c.settle_too_big; }},
    {"settle_not_comparable", [](Counters& c) -> uint64_t& { return c.settle_not_comparable; }},
    {"settle_left_out", [](Counters& c) -> uint64_t& { return c.settle_left_out; }},
};

uint64_t Difference(uint64_t now, uint64_t before) {
  return now > before ? now - before : 0;
}

}  // namespace

std::span<const CounterField> CounterFields() {
  return kFields;
}

std::string CutText(std::string_view text, size_t most) {
  size_t end = std::min(text.size(), most);
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

void AddSince(const Counters& now, const Counters& before, Counters* to) {
  Counters later = now, earlier = before;
  for (const CounterField& field : kFields) field.of(*to) += Difference(field.of(later), field.of(earlier));
}

void AddSince(const Tallies& now, const Tallies& before, Tallies* to) {
  static constexpr Tally kNone;
  for (const auto& [name, tally] : now) {
    const auto found = before.find(name);
    const Tally& earlier = found == before.end() ? kNone : found->second;
    const Tally since = {Difference(tally.reads, earlier.reads), Difference(tally.comparable, earlier.comparable),
                         Difference(tally.writes, earlier.writes), Difference(tally.compared, earlier.compared),
                         Difference(tally.mismatched, earlier.mismatched)};
    if (since.reads + since.writes + since.compared + since.mismatched == 0) continue;
    const bool room = to->contains(name) || to->size() < LedgerFigures::kMostTallies;
    (*to)[room ? name : "(other)"] += since;
  }
}

}  // namespace crossfade
