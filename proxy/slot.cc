#include "proxy/slot.h"

#include <algorithm>
#include <memory>

namespace crossfade {

namespace {
void Shrink(std::string* text) {
  if (text->capacity() > 1024) {
    std::string().swap(*text);
  } else {
    text->clear();
  }
}
}  // namespace

void Slot::Reset() {
  kind = Kind::kRead;
  primary = secondary = Half::kNone;
  protocol = 2;
  shifted = compare = warm = retried = after_error = wait_for_both = diverged = refused = no_follow = multi_refused =
      unfollowed = false;
  missed = DirtyCause::kSecondaryAway;
  on_miss = OnMiss::kNil;
  db = 0;
  login = 0;
  to = ReplyTo();
  row = differed = nullptr;
  keys.clear();
  request.Clear();
  sent_us = answered_us = 0;
  primary_left = secondary_left = 0;
  charged_bytes = in_flight_bytes = 0;
  Shrink(&primary_reply);
  Shrink(&secondary_reply);
  companions.clear();
  follow.Clear();
  if (!transaction.empty()) transaction = {};
  if (!element_replies.empty()) element_replies = {};
  block.element_of.clear();
  if (!copies.covered.empty()) copies = {};
  if (!script.sha.empty() || script.copy || script.unnamed_keys || script.reply_varies) script = {};
  if (!copy_key.name.empty()) copy_key = {};
  copy_as = ValueType::kNone;
  copy_bytes = 0;
  if (copy_done) copy_done = nullptr;
  if (question_done) {
    question_done = nullptr;
    answers = {};
  }
}

Slot* SlotPool::Take() {
  if (free_.empty()) {
    slots_.push_back(std::make_unique<Slot[]>(kChunk));
    for (size_t i = kChunk; i > 0; --i) free_.push_back(&slots_.back()[i - 1]);
  }
  Slot* slot = free_.back();
  free_.pop_back();
  cold_ = std::min(cold_, free_.size());
  return slot;
}

void SlotPool::Free(Slot* slot) {
  slot->Reset();
  free_.push_back(slot);
  for (; free_.size() - cold_ > kWarmSlots; ++cold_) {  // give back what they have grown to
    std::destroy_at(free_[cold_]);
    std::construct_at(free_[cold_]);
  }
}

}  // namespace crossfade
