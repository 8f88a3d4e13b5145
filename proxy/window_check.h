// Compares one large value on both stores, window by window (routing/value_windows), each at one logical instant
// through the lane. One value at a time, one question at a time, and no window much larger than kWindowBytes: clients
// are not held up, and memory is bounded.
//
// It says what KeyCheck says of a small value: equal, different, or that it must be asked again from the beginning
// (busy). It marks nothing dirty. Times to live of the key are KeyCheck's affair; those of a hash's fields are compared
// where both servers have them. Owned by Verify.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/request.h"
#include "proxy/io.h"
#include "proxy/key_check.h"
#include "proxy/lane.h"
#include "routing/value_windows.h"

namespace crossfade {

class WindowCheck {
 public:
  // All must outlive this object, and it must outlive its questions.
  WindowCheck(Io* io, Lane* lane) : io_(io), lane_(lane) {}

  bool busy() const { return done_ != nullptr; }
  // REQUIRES: !busy(). Nothing is asked before Step.
  void Start(int db, std::string_view key, KeyCheck::Callback done);
  // Asks for the next window, unless one is under way. Call it as often as windows may be asked for.
  void Step();
  // Forgets it; `done` is not called.
  void Cancel();
  // The primary has accepted a write to this key.
  void OnWritten(int db, std::string_view key, std::string_view command, RequestView request);

  uint64_t windows() const { return windows_; }

 private:
  static constexpr size_t kWindowBytes = 256 << 10;
  static constexpr size_t kWindowItems = 1024;

  void OnType(const Answers& answers);
  void OnWindow(const Answers& answers, bool primary_only);
  ExpiryTolerance Tolerance() const;
  void Finish(KeyOutcome outcome, KeyDifference difference = KeyDifference::kNone);

  Io* io_;
  Lane* lane_;
  KeyCheck::Callback done_;  // null: nothing to do
  uint64_t run_ = 0;         // answers to an earlier one's questions are ignored
  int db_ = 0;
  std::string key_;
  std::string type_;  // as TYPE said first, RESP
  std::unique_ptr<ValueWindows> value_;
  bool asking_ = false;
  int64_t asked_us_ = 0;
  uint64_t order_ = 0;
  uint64_t windows_ = 0;
};

}  // namespace crossfade
