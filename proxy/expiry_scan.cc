#include "proxy/expiry_scan.h"

#include <algorithm>
#include <utility>

#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "spdlog/spdlog.h"

namespace crossfade {

ExpiryScan::ExpiryScan(Io* io, const BackfillConfig* config, const Migration* migration, Lane* lane,
                       ExpiryWatch* expiry)
    : io_(io), config_(config), migration_(migration), lane_(lane), expiry_(expiry) {
  timer_ = io_->clock()->MakeTimer([this] { Work(); });
}

void ExpiryScan::Start() {
  expiry_->set_learning(true);
  refilled_us_ = io_->clock()->NowUs();
  StartOver();
  timer_->Start(0, kStepMs);
}

void ExpiryScan::StartOver() {
  epoch_ = migration_->epoch;
  db_ = 0;
  cursor_ = "0";
  found_.clear();
}

void ExpiryScan::Work() {
  const int64_t now_us = io_->clock()->NowUs();
  const double rate = static_cast<double>(config_->keys_per_second);
  allowance_ = std::min(allowance_ + rate * static_cast<double>(now_us - refilled_us_) / 1e6, std::max(1.0, rate / 20));
  refilled_us_ = now_us;
  if (asking_ || paused_ || allowance_ < 1 || !lane_->CanCopy()) return;
  if (epoch_ != migration_->epoch) StartOver();  // a cursor is of one server
  if (found_.empty()) return AskScan();
  AskTimes();
}

void ExpiryScan::AskScan() {
  asking_ = true;
  Question question;
  question.db = db_;
  question.protocol = kAnyProtocol;
  question.ask_primary = true;
  question.count = 1;
  AppendCommand(&question.commands, {"SCAN", cursor_, "COUNT", std::to_string(kScanCount)});
  question.done = [this](const Answers& answers) { OnScan(answers); };
  lane_->Ask(std::move(question));
}

void ExpiryScan::OnScan(const Answers& answers) {
  asking_ = false;
  if (!answers.status.ok() || answers.primary.empty() || epoch_ != migration_->epoch) return;  // asked again
  const Reply reply = ParseReply(answers.primary[0]);
  if (reply.items.size() != 2) return;
  cursor_ = reply.items[0].text;
  for (const Reply& key : reply.items[1].items) found_.emplace_back(key.text);
  if (found_.empty()) Advance();
}

void ExpiryScan::AskTimes() {
  asking_ = true;
  allowance_ -= static_cast<double>(found_.size());
  Question question;
  question.db = db_;
  question.protocol = kAnyProtocol;
  question.ask_primary = question.ask_secondary = true;
  for (const std::string& key : found_) AppendCommand(&question.commands, {"PTTL", key});
  question.count = static_cast<int>(found_.size());
  question.done = [this, asked_ms = lane_->wall_ms()](const Answers& answers) { OnTimes(answers, asked_ms); };
  lane_->Ask(std::move(question));
}

void ExpiryScan::OnTimes(const Answers& answers, int64_t asked_ms) {
  asking_ = false;
  if (!answers.status.ok() || answers.primary.size() != found_.size() || answers.secondary.size() != found_.size()) {
    return;  // asked again
  }
  const int64_t now_ms = lane_->wall_ms();
  for (size_t i = 0; i < found_.size(); ++i) {
    // Negative: it doesn't expire, or isn't there any more.
    const int64_t primary = IntegerReply(answers.primary[i]).value_or(-1);
    const int64_t secondary = IntegerReply(answers.secondary[i]).value_or(-1);
    if (primary < 0 && secondary < 0) continue;
    const int64_t first = primary < 0 ? secondary : secondary < 0 ? primary : std::min(primary, secondary);
    const ExpiryWindow window{asked_ms + first - kMarginMs, now_ms + std::max(primary, secondary) + kMarginMs};
    expiry_->Set(db_, found_[i], window, now_ms);
  }
  found_.clear();
  Advance();
}

// To the next page, or to the next database.
void ExpiryScan::Advance() {
  if (cursor_ != "0" || ++db_ < lane_->primary().info().databases) return;
  expiry_->set_learning(false);
  timer_->Stop();
  spdlog::info("event=expiries_learnt watched={}", expiry_->size());
}

}  // namespace crossfade
