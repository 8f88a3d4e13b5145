// Time in the lane: when a write ran on either store, and which keys may have expired on one side just then.
#include <algorithm>

#include "protocol/reply.h"
#include "proxy/lane.h"

namespace crossfade {

WriteTimes Lane::TimesOf(const Slot& slot) const {
  return TimesBetween(slot.sent_us, slot.answered_us != 0 ? slot.answered_us : primary().last_read_us());
}

WriteTimes Lane::TimesBetween(int64_t sent_us, int64_t read_us) const {
  WriteTimes times;
  times.sent_ms = WallOf(sent_us);
  times.read_ms = WallOf(read_us);
  times.primary_offset_ms = primary().clock().offset_ms;
  times.secondary_offset_ms = secondary().clock().offset_ms;
  times.uncertainty_ms = 3 + primary().clock().uncertainty_ms + secondary().clock().uncertainty_ms;
  return times;
}

// May a key that this write was about have been there on one side and not on the other, when it ran?
bool Lane::NearExpiry(const Slot& slot) const {
  const int64_t from_ms = WallOf(slot.sent_us), to_ms = WallOf(secondary().last_read_us());
  if (!expiry_->empty() &&
      AnyKey(slot, [&](int db, std::string_view key) { return expiry_->Uncertain(db, key, from_ms, to_ms); })) {
    return true;
  }
  // A transaction that came late: what it lets expire may have done so before its next command.
  return slot.kind == Slot::Kind::kTransaction &&
         std::any_of(slot.follow.expiries.begin(), slot.follow.expiries.end(), [&](const ExpiryNote& note) {
           return note.kind == ExpiryNote::Kind::kSet && note.window.from_ms <= to_ms && note.window.to_ms >= from_ms;
         });
}

void Lane::ApplyExpiries(const Slot& slot) {
  const int64_t now_ms = slot.follow.expiries.empty() ? 0 : WallOf(io_->clock()->NowUs());
  for (const ExpiryNote& note : slot.follow.expiries) {
    const int db = note.db < 0 ? slot.db : note.db;
    if (note.kind == ExpiryNote::Kind::kSet) {
      expiry_->Set(db, note.key, note.window, now_ms);
    } else {
      expiry_->Inherit(db, note.key, note.inheritor_db < 0 ? db : note.inheritor_db, note.inheritor, now_ms);
    }
  }
  ForEachWrite(slot, [this](const CommandRow& row, RequestView request, const KeyIndices&, int) {
    if (row.name != "swapdb") return;
    const auto a = ParseInt64(request.arg(1)), b = ParseInt64(request.arg(2));
    if (a && b && *a >= 0 && *b >= 0) expiry_->SwapDatabases(static_cast<int>(*a), static_cast<int>(*b));
  });
}

}  // namespace crossfade
