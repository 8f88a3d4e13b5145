// Does one key hold the same on both stores? Asked through the lane, so that both answer at the same place of the
// order, in at most four questions: what it is and how large, then (only where a server can't say how much memory a key
// takes) its length, then type, time to live and value in one question, and for a HyperLogLog once more with its count.
//
// What always holds: a verdict of equal or different is about one logical instant, the last question's, whatever was
// written between the questions. No value is fetched that was larger than limits.settle_value_bytes when it was looked
// at. Keys that are just expiring, and HyperLogLogs whose bytes differ only in a server's cache, are not different.
// It marks nothing dirty and tries nothing again: that is for who asks (proxy/settle, verification). It changes nothing
// either, but for the count that PFCOUNT leaves in a HyperLogLog. Streams are compared with their groups, consumers and
// pending entries, but for when something was last seen; how much a group has read (entries-read, lag) is each server's
// own guess. Times to live of single fields of a hash are compared, by one question more, where both servers have them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "conf/config.h"
#include "proxy/io.h"
#include "proxy/lane.h"
#include "routing/value_windows.h"

namespace crossfade {

enum class KeyOutcome : uint8_t {
  kEqual,
  kDiffers,
  kTooBig,         // not compared
  kBusy,           // a side was away, or the key became of another type while we asked: ask again later
  kExpiring,       // differs, but has next to nothing left to live: ask again later
  kNotComparable,  // a module's value whose bytes differ, or a server refused to answer: it can't be told
};

enum class KeyDifference : uint8_t { kNone, kValue, kTtl, kType, kMissingOnSecondary, kOnlyOnSecondary };
const char* Name(KeyDifference difference);

struct KeyVerdict {
  KeyOutcome outcome = KeyOutcome::kBusy;
  KeyDifference difference = KeyDifference::kNone;  // of kDiffers; a value's counts before its TTL's
  uint64_t order = 0;  // the lane's next slot when it was asked last: what a DirtySet::Mark is to carry
};

// How far apart two expiries may be that were asked for in one question, which took so long altogether.
ExpiryTolerance ExpiryToleranceOf(const Lane& lane, int64_t took_us);

class KeyCheck {
 public:
  using Callback = std::function<void(const KeyVerdict&)>;

  // All must outlive this object, and it must outlive its checks.
  KeyCheck(Io* io, const LimitsConfig* limits, Lane* lane);

  // `done` is called exactly once, inside this call when a side is away.
  void Check(int db, std::string_view key, Callback done);

  size_t in_flight() const { return in_flight_; }

 private:
  struct Case;
  using CasePtr = std::shared_ptr<Case>;  // owned by the question's callback, which must be copyable: no second owner
  using Next = void (KeyCheck::*)(const CasePtr&, const Answers&);

  void Ask(const CasePtr& check, std::string commands, int count, Next next);
  void OnLook(const CasePtr& check, const Answers& answers);
  void OnLength(const CasePtr& check, const Answers& answers);
  void AskValue(const CasePtr& check);
  void OnValue(const CasePtr& check, const Answers& answers);
  bool AskFieldExpiries(const CasePtr& check, const Answers& answers);
  void OnFieldExpiries(const CasePtr& check, const Answers& answers);
  void Finish(const CasePtr& check, KeyOutcome outcome, KeyDifference difference = KeyDifference::kNone);
  void FinishTooBig(const CasePtr& check, const Answers& answers);
  bool FinishByMeta(const CasePtr& check, const Answers& answers);
  void FinishDiffers(const CasePtr& check, const Answers& answers, KeyDifference difference);
  void JudgeString(const CasePtr& check, const Answers& answers);
  bool TtlsAgree(const Case& check, int64_t primary_ms, int64_t secondary_ms) const;
  bool Expiring(const Case& check, const Answers& answers) const;
  ExpiryTolerance Tolerance(const Case& check) const;

  Io* io_;
  const LimitsConfig* limits_;
  Lane* lane_;
  size_t in_flight_ = 0;
};

}  // namespace crossfade
