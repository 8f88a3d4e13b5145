#include "proxy/sweep.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "protocol/check.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "proxy/server_info.h"
#include "routing/rebuild_commands.h"

namespace crossfade {

Sweep::Sweep(Io* io, const BackfillConfig* config, DirtySet* dirty, Lane* lane, std::function<void(bool)> done)
    : io_(io), config_(config), dirty_(dirty), lane_(lane), done_(std::move(done)) {
  timer_ = io_->clock()->MakeTimer([this] { Work(); });
}

const char* Sweep::StateWord() const {
  switch (state_) {
    case State::kIdle:
      return "idle";
    case State::kRunning:
      return "running";
    case State::kDone:
      return "done";
    case State::kFailed:
      return "failed";
  }
  return "";
}

void Sweep::Start(std::string why) {
  CHECK(!running());
  ++run_;
  state_ = State::kRunning;
  why_ = std::move(why);
  order_ = lane_->next_order();
  secondary_side_ = scanned_ = asking_ = false;
  db_ = 0;
  cursor_ = "0";
  found_.clear();
  copied_.clear();
  in_flight_ = 0;
  keys_done_ = keys_total_ = keys_rechecked_ = keys_failed_ = 0;
  refilled_us_ = io_->clock()->NowUs();
  timer_->Start(0, kStepMs);
  AskTotal();
}

void Sweep::Cancel(std::string why) {
  if (running()) Finish(State::kFailed, std::move(why));
}

void Sweep::Finish(State state, std::string why) {
  timer_->Stop();
  ++run_;
  absl::flat_hash_set<uint64_t>().swap(copied_);
  state_ = state;
  why_ = std::move(why);
  done_(state == State::kDone);
}

void Sweep::AskTotal() {
  Question question;
  question.ask_primary = true;
  question.count = 1;
  AppendCommand(&question.commands, {"INFO", "keyspace"});
  question.done = [this, run = run_](const Answers& answers) {
    if (run != run_ || answers.primary.empty()) return;
    ServerInfo info;
    ParseInfo(ParseReply(answers.primary[0]).text, 0, &info);
    keys_total_ = std::max(keys_total_, static_cast<uint64_t>(info.keys));
  };
  lane_->Ask(std::move(question));
}

void Sweep::Work() {
  const int64_t now_us = io_->clock()->NowUs();
  const double rate = static_cast<double>(config_->keys_per_second);
  allowance_ = std::min(allowance_ + rate * static_cast<double>(now_us - refilled_us_) / 1e6, std::max(1.0, rate / 20));
  refilled_us_ = now_us;
  const uint64_t run = run_;
  while (run == run_ && allowance_ >= 1 && in_flight_ < kMaxInFlight && lane_->CanCopy()) {
    if (found_.empty() || lane_->Gated(found_.front())) break;
    allowance_ -= 1;
    const DirtySet::Key key{db_, std::move(found_.front())};
    found_.pop_front();
    Copy(key);
  }
  if (run != run_ || asking_ || !lane_->CanCopy()) return;
  if (!scanned_ && found_.size() < kScanCount) return AskScan();
  if (scanned_ && found_.empty() && in_flight_ == 0) NextDatabase();
}

void Sweep::NextDatabase() {
  const int databases = (secondary_side_ ? lane_->secondary() : lane_->primary()).info().databases;
  cursor_ = "0";
  scanned_ = false;
  if (++db_ < databases) return;
  if (secondary_side_) return Finish(State::kDone, "everything was copied");
  secondary_side_ = true;
  db_ = 0;
}

void Sweep::AskScan() {
  asking_ = true;
  Question question;
  question.db = db_;
  question.protocol = kAnyProtocol;
  (secondary_side_ ? question.ask_secondary : question.ask_primary) = true;
  question.count = 1;
  AppendCommand(&question.commands, {"SCAN", cursor_, "COUNT", std::to_string(kScanCount)});
  question.done = [this, run = run_](const Answers& answers) {
    if (run == run_) OnScan(answers);
  };
  lane_->Ask(std::move(question));
}

void Sweep::OnScan(const Answers& answers) {
  asking_ = false;
  const auto& replies = secondary_side_ ? answers.secondary : answers.primary;
  if (!answers.status.ok() || replies.empty()) return;  // asked again from the same cursor
  const Reply reply = ParseReply(replies[0]);
  if (reply.items.size() != 2) return Finish(State::kFailed, "SCAN was refused: " + std::string(reply.text));
  cursor_ = reply.items[0].text;
  scanned_ = cursor_ == "0";
  for (const Reply& key : reply.items[1].items) {
    std::string name(key.text);
    if (IsTemporaryName(name)) continue;  // a value that is being put together, or what is left of one until it expires
    if (!secondary_side_ || !copied_.contains(HashOf(db_, name))) found_.push_back(std::move(name));
  }
  keys_total_ = std::max(keys_total_, keys_done_ + (secondary_side_ ? 0 : found_.size()));
}

uint64_t Sweep::HashOf(int db, const std::string& key) {
  return std::hash<std::string>()(key) ^ (static_cast<uint64_t>(db) * 0x9e3779b97f4a7c15ULL);
}

void Sweep::Copy(const DirtySet::Key& key) {
  ++in_flight_;
  const auto done = [this, key, run = run_](bool copied) {
    if (!copied) dirty_->Mark(key.db, key.name, DirtyCause::kRefused, lane_->next_order());
    if (run != run_) return;
    --in_flight_;
    if (!copied) ++keys_failed_;
    ++(secondary_side_ ? keys_rechecked_ : keys_done_);
    if (!secondary_side_ && copied && copied_.size() < kMaxRemembered) copied_.insert(HashOf(key.db, key.name));
  };
  if (copier_ != nullptr) {
    copier_->Copy(key, done);
  } else {
    lane_->SubmitCopy(key, done);
  }
}

}  // namespace crossfade
