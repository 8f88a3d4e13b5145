#include "proxy/window_check.h"

#include <utility>

#include "protocol/check.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

void WindowCheck::Start(int db, std::string_view key, KeyCheck::Callback done) {
  CHECK(!busy());
  ++run_;
  db_ = db;
  key_ = key;
  done_ = std::move(done);
  type_.clear();
  value_.reset();
  asking_ = false;
}

void WindowCheck::Cancel() {
  ++run_;
  done_ = nullptr;
  value_.reset();
}

void WindowCheck::OnWritten(int db, std::string_view key, std::string_view command, RequestView request) {
  if (busy() && value_ != nullptr && db == db_ && key == key_) value_->OnWritten(command, request);
}

void WindowCheck::Step() {
  if (!busy() || asking_ || lane_->Gated(key_)) return;
  Question question;
  question.db = db_;
  question.protocol = kAnyProtocol;
  bool primary_only = false;
  if (value_ == nullptr) {
    AppendCommand(&question.commands, {"TYPE", key_});
    question.count = 1;
  } else {
    WindowQuestion next = value_->Next();
    primary_only = next.primary_only;
    // What it is by now is asked beside: a key that went, or became another, is no error.
    AppendCommand(&question.commands, {"TYPE", key_});
    question.commands += next.commands.bytes;
    question.count = 1 + next.commands.count;
  }
  question.ask_primary = true;
  question.ask_secondary = !primary_only;
  asking_ = true;
  asked_us_ = io_->clock()->NowUs();
  order_ = lane_->next_order();
  ++windows_;
  const size_t replies = static_cast<size_t>(question.count);
  question.done = [this, run = run_, replies, primary_only](const Answers& answers) {
    if (run != run_) return;
    asking_ = false;
    const bool whole = answers.status.ok() && answers.primary.size() == replies &&
                       answers.secondary.size() == (primary_only ? 0 : replies);
    if (!whole) return Finish(KeyOutcome::kBusy);
    value_ == nullptr ? OnType(answers) : OnWindow(answers, primary_only);
  };
  lane_->Ask(std::move(question));
}

void WindowCheck::OnType(const Answers& answers) {
  type_ = answers.primary[0];
  if (IsErrorReply(type_) || type_ != answers.secondary[0]) return Finish(KeyOutcome::kBusy);  // KeyCheck knows more
  const bool field_expiry = lane_->primary().info().field_expiry && lane_->secondary().info().field_expiry;
  value_ = MakeValueWindows(ParseValueType(ParseReply(type_).text), key_, {kWindowBytes, kWindowItems}, field_expiry);
  if (value_ != nullptr) return;
  Finish(ParseReply(type_).text == "none" ? KeyOutcome::kBusy : KeyOutcome::kNotComparable);
}

void WindowCheck::OnWindow(const Answers& answers, bool primary_only) {
  if (answers.primary[0] != type_ || (!primary_only && answers.secondary[0] != type_)) {
    return Finish(KeyOutcome::kBusy);
  }
  const std::span<const std::string> primary(answers.primary), secondary(answers.secondary);
  switch (value_->Take(primary.subspan(1), primary_only ? secondary : secondary.subspan(1), Tolerance())) {
    case WindowVerdict::kGoOn:
      if (value_->done()) Finish(KeyOutcome::kEqual);
      return;
    case WindowVerdict::kDiffers:
      return Finish(KeyOutcome::kDiffers, KeyDifference::kValue);
    case WindowVerdict::kTtl:
      return Finish(KeyOutcome::kDiffers, KeyDifference::kTtl);
    case WindowVerdict::kChanged:
      return Finish(KeyOutcome::kBusy);
    case WindowVerdict::kRefused:
      return Finish(KeyOutcome::kNotComparable);
  }
}

ExpiryTolerance WindowCheck::Tolerance() const {
  return ExpiryToleranceOf(*lane_, io_->clock()->NowUs() - asked_us_);
}

void WindowCheck::Finish(KeyOutcome outcome, KeyDifference difference) {
  value_.reset();
  const KeyCheck::Callback done = std::exchange(done_, nullptr);
  done(KeyVerdict{outcome, difference, order_});
}

}  // namespace crossfade
