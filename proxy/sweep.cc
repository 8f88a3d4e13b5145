#include "proxy/sweep.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

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

const char* Sweep::Name(State state) {
  switch (state) {
    case State::kIdle:
      return "idle";
    case State::kRunning:
      return "running";
    case State::kPaused:
      return "paused";
    case State::kDone:
      return "done";
    case State::kFailed:
      return "failed";
  }
  return "";
}

void Sweep::Start(std::string why, const SweepScope& scope, const SweepPlace* from) {
  CHECK(!running());
  ++run_;
  state_ = State::kRunning;
  why_ = std::move(why);
  scope_ = scope;
  order_ = lane_->next_order();
  const SweepPlace begin = from != nullptr ? *from : SweepPlace{.db = std::max(0, scope.db)};
  secondary_side_ = begin.secondary_side;
  BeginDatabase(begin.db, begin.cursor);
  found_.clear();
  pages_.clear();
  copied_.clear();
  failures_.clear();
  in_flight_ = 0;
  asking_ = false;
  keys_done_ = begin.keys_done;
  keys_total_ = begin.keys_total;
  keys_rechecked_ = begin.keys_rechecked;
  keys_failed_ = begin.keys_failed;
  bytes_ = begin.bytes;
  visited_ = begin.secondary_side ? begin.keys_rechecked : begin.keys_done;
  side_total_ = 0;
  own_keys_per_second_ = own_bytes_per_second_ = 0;
  const int64_t now_us = io_->clock()->NowUs();
  pace_.Start(now_us);
  speed_.Start(now_us, keys_done_ + keys_rechecked_);
  sight_.Start(now_us, Seen());
  timer_->Start(0, kStepMs);
  AskTotal();
}

void Sweep::SetPaused(bool paused) {
  CHECK(running());
  state_ = paused ? State::kPaused : State::kRunning;
}

void Sweep::SetRates(int64_t keys_per_second, int64_t bytes_per_second) {
  own_keys_per_second_ = keys_per_second;
  own_bytes_per_second_ = bytes_per_second;
}

void Sweep::Cancel(std::string why) {
  if (running()) Finish(State::kFailed, std::move(why));
}

void Sweep::Finish(State state, std::string why) {
  timer_->Stop();
  ++run_;
  absl::flat_hash_set<uint64_t>().swap(copied_);
  found_.clear();
  state_ = state;
  why_ = std::move(why);
  done_(state == State::kDone);
}

// --- How far -------------------------------------------------------------------------------------------------------

void Sweep::AskTotal() {
  Question question;
  (secondary_side_ ? question.ask_secondary : question.ask_primary) = true;
  question.count = 1;
  AppendCommand(&question.commands, {"INFO", "keyspace"});
  question.done = [this, run = run_, side = secondary_side_](const Answers& answers) {
    const auto& replies = side ? answers.secondary : answers.primary;
    if (run != run_ || side != secondary_side_ || replies.empty()) return;
    side_total_ = static_cast<uint64_t>(KeysInInfo(ParseReply(replies[0]).text, scope_.db));
    if (!side && scope_.match.empty() && scope_.type.empty()) keys_total_ = std::max(keys_total_, side_total_);
  };
  lane_->Ask(std::move(question));
}

SweepPlace Sweep::place() const {
  SweepPlace place{.secondary_side = secondary_side_,
                   .db = db_,
                   .cursor = cursor_,
                   .keys_done = keys_done_,
                   .keys_total = keys_total_,
                   .keys_rechecked = keys_rechecked_,
                   .keys_failed = keys_failed_,
                   .bytes = bytes_};
  if (pages_.empty()) {
    // What has been scanned to its end would begin anew: the next one is meant.
    if (!scanned_) return place;
    place.cursor = "0";
    if (HasNextDatabase()) {
      ++place.db;
    } else if (!secondary_side_) {
      place.secondary_side = true;
      place.db = std::max(0, scope_.db);
    }
    return place;
  }
  place.db = pages_.front().db;
  place.cursor = pages_.front().cursor;
  for (const Page& page : pages_) {
    place.keys_done -= page.done;
    place.keys_rechecked -= page.rechecked;
    place.keys_failed -= page.failed;
    place.bytes -= page.bytes;
  }
  return place;
}

double Sweep::Percent() const {
  if (state_ == State::kDone) return 100;
  const uint64_t total = std::max(side_total_, Seen());
  return total == 0 ? 0 : 100.0 * static_cast<double>(Seen()) / static_cast<double>(total);
}

double Sweep::SecondsLeft() const {
  if (state_ != State::kRunning || side_total_ == 0) return -1;
  return sight_.SecondsFor(side_total_ - std::min(side_total_, Seen()));
}

// --- The work ------------------------------------------------------------------------------------------------------

void Sweep::Work() {
  const int64_t now_us = io_->clock()->NowUs();
  const CopyPaceLimits limits{
      .keys_per_second = own_keys_per_second_ > 0 ? own_keys_per_second_ : config_->keys_per_second,
      .bytes_per_second = own_bytes_per_second_ > 0 ? own_bytes_per_second_ : config_->bytes_per_second,
      .added_latency_us = config_->added_latency_ms * 1000};
  const Link& primary = lane_->primary();
  pace_.Advance(now_us, limits, primary.client_replies(), primary.client_replies_us(), in_flight_);
  speed_.Advance(now_us, keys_done_ + keys_rechecked_);
  sight_.Advance(now_us, Seen());
  if (state_ == State::kPaused) return;
  const uint64_t run = run_;
  while (run == run_ && state_ == State::kRunning && pace_.MayCopy() && in_flight_ < kMaxInFlight && lane_->CanCopy()) {
    if (found_.empty() || lane_->Gated(found_.front().key.name)) break;
    pace_.TakeKey();
    Found found = std::move(found_.front());
    found_.pop_front();
    Copy(std::move(found.key), found.page);
  }
  if (run != run_ || asking_ || !lane_->CanCopy()) return;
  if (!scanned_ && found_.size() < kScanCount) return AskScan();
  if (scanned_ && found_.empty()) NextDatabase();
}

void Sweep::BeginDatabase(int db, std::string cursor) {
  db_ = db;
  cursor_ = std::move(cursor);
  scanned_ = false;
}

bool Sweep::HasNextDatabase() const {
  const int databases = (secondary_side_ ? lane_->secondary() : lane_->primary()).info().databases;
  return scope_.db < 0 && db_ + 1 < databases;
}

// A large key may still be on its way while the next database is begun; the second half begins when all are over.
void Sweep::NextDatabase() {
  if (HasNextDatabase()) return BeginDatabase(db_ + 1, "0");
  if (in_flight_ > 0) return;
  if (secondary_side_)
    return Finish(State::kDone, scope_.whole()                      ? "everything was copied"
                                : keys_done_ + keys_rechecked_ == 0 ? "no key is like that"
                                                                    : "what was named was copied");
  if (!scope_.whole()) keys_total_ = keys_done_;
  secondary_side_ = true;
  BeginDatabase(std::max(0, scope_.db), "0");
  visited_ = side_total_ = 0;
  sight_.Start(io_->clock()->NowUs(), 0);
  AskTotal();
}

void Sweep::AskScan() {
  asking_ = true;
  Question question;
  question.db = db_;
  question.protocol = kAnyProtocol;
  (secondary_side_ ? question.ask_secondary : question.ask_primary) = true;
  question.count = 1;
  const std::string count = std::to_string(kScanCount);
  std::vector<std::string_view> scan = {"SCAN", cursor_, "COUNT", count};
  if (!scope_.match.empty()) scan.insert(scan.end(), {"MATCH", scope_.match});
  if (!scope_.type.empty()) scan.insert(scan.end(), {"TYPE", scope_.type});
  AppendCommand(&question.commands, scan);
  question.done = [this, run = run_, cursor = cursor_](const Answers& answers) {
    if (run == run_) OnScan(answers, cursor);
  };
  lane_->Ask(std::move(question));
}

void Sweep::OnScan(const Answers& answers, const std::string& asked_cursor) {
  asking_ = false;
  const auto& replies = secondary_side_ ? answers.secondary : answers.primary;
  if (!answers.status.ok() || replies.empty()) return;  // asked again from the same cursor
  const Reply reply = ParseReply(replies[0]);
  if (reply.items.size() != 2) return Finish(State::kFailed, "SCAN was refused: " + std::string(reply.text));
  Page page{.db = db_, .cursor = asked_cursor};
  const uint64_t number = first_page_ + pages_.size();
  for (const Reply& key : reply.items[1].items) {
    std::string name(key.text);
    if (IsTemporaryName(name)) continue;  // a value that is being put together, or what is left of one until it expires
    if (secondary_side_ && copied_.contains(HashOf(db_, name))) continue;
    found_.push_back({{db_, std::move(name)}, number});
    ++page.left;
  }
  visited_ += scope_.match.empty() && scope_.type.empty() ? reply.items[1].items.size() : kScanCount;
  if (!secondary_side_) keys_total_ = std::max(keys_total_, keys_done_ + in_flight_ + found_.size());
  cursor_ = reply.items[0].text;
  scanned_ = cursor_ == "0";
  pages_.push_back(std::move(page));
  TidyPages();
}

void Sweep::TidyPages() {
  while (!pages_.empty() && pages_.front().left == 0) {
    pages_.pop_front();
    ++first_page_;
  }
}

uint64_t Sweep::HashOf(int db, const std::string& key) {
  return std::hash<std::string>()(key) ^ (static_cast<uint64_t>(db) * 0x9e3779b97f4a7c15ULL);
}

void Sweep::Copy(DirtySet::Key key, uint64_t page) {
  ++in_flight_;
  if (copier_ != nullptr) {
    copier_->Copy(key, [this, key, page, run = run_](const KeyCopied& result) {
      if (!result.copied) dirty_->Mark(key.db, key.name, DirtyCause::kRefused, lane_->next_order());
      if (run == run_) OnCopied(key, page, result);
    });
    return;
  }
  lane_->SubmitCopy(key, [this, key, page, run = run_](const CopyResult& result) {
    if (!result.copied) dirty_->Mark(key.db, key.name, DirtyCause::kRefused, lane_->next_order());
    if (run == run_) OnCopied(key, page, {result.copied, result.bytes, result.copied ? "" : "it was refused"});
  });
}

void Sweep::OnCopied(const DirtySet::Key& key, uint64_t page_number, const KeyCopied& result) {
  Page& page = pages_[page_number - first_page_];
  --in_flight_;
  --page.left;
  if (!result.copied) {
    ++keys_failed_;
    ++page.failed;
    if (failures_.size() < kMaxFailures) failures_.push_back({key, result.why});
  }
  ++(secondary_side_ ? keys_rechecked_ : keys_done_);
  ++(secondary_side_ ? page.rechecked : page.done);
  bytes_ += result.bytes;
  page.bytes += result.bytes;
  pace_.TakeBytes(result.bytes);
  if (!secondary_side_ && result.copied && copied_.size() < kMaxRemembered) copied_.insert(HashOf(key.db, key.name));
  TidyPages();
}

}  // namespace crossfade
