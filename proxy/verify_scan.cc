// How a verification finds the keys: SCAN of each database of the one store, then of the other.
#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "proxy/verify.h"
#include "routing/read_splitter.h"
#include "routing/rebuild_commands.h"

namespace crossfade {

namespace {

// From INFO keyspace: of one database, or of all.
uint64_t KeysIn(std::string_view info, int db) {
  uint64_t keys = 0;
  for (size_t at = 0; at < info.size();) {
    const size_t end = std::min(info.find('\n', at), info.size());
    const std::string_view line = info.substr(at, end - at);
    at = end + 1;
    const size_t from = line.find(":keys=");
    if (!line.starts_with("db") || from == std::string_view::npos) continue;
    if (db >= 0 && ParseInt64(line.substr(2, from - 2)) != db) continue;
    const std::string_view rest = line.substr(from + 6);
    keys += static_cast<uint64_t>(ParseInt64(rest.substr(0, rest.find(','))).value_or(0));
  }
  return keys;
}

}  // namespace

void Verify::AskTotal() {
  Question question;
  question.ask_primary = question.ask_secondary = true;
  question.protocol = kAnyProtocol;
  question.count = 1;
  AppendCommand(&question.commands, {"INFO", "keyspace"});
  question.done = [this, run = run_](const Answers& answers) {
    if (run != run_ || !answers.status.ok() || answers.primary.empty() || answers.secondary.empty()) return;
    const VerifyOptions& options = result_.options;
    const uint64_t primary = KeysIn(ParseReply(answers.primary[0]).text, options.db);
    const uint64_t secondary = KeysIn(ParseReply(answers.secondary[0]).text, options.db);
    result_.to_scan = std::max(result_.scanned, primary + secondary);
    const double share = options.sample / 100;
    result_.keys_total = std::max(result_.keys_checked, static_cast<uint64_t>(static_cast<double>(primary) * share));
  };
  parts_.lane->Ask(std::move(question));
}

void Verify::NextDatabase() {
  cursor_ = "0";
  scanned_ = false;
  const bool only_one = result_.options.db >= 0;
  if (!only_one && ++db_ < parts_.lane->link(scanned_side_).info().databases) return;
  db_ = std::max(0, result_.options.db);
  if (scanned_side_ == first_side_) {
    scanned_side_ = OtherSide(first_side_);
    return;
  }
  all_scanned_ = true;
  all_scanned_us_ = parts_.io->clock()->NowUs();
}

void Verify::AskScan() {
  asking_ = true;
  result_.phase = fmt::format("scanning {}, database {}", SideName(scanned_side_), db_);
  const bool from_primary = ScansPrimary();
  Question question;
  question.db = db_;
  question.protocol = kAnyProtocol;
  (from_primary ? question.ask_primary : question.ask_secondary) = true;
  question.count = 1;
  const std::string count = std::to_string(kScanCount);
  if (result_.options.match.empty()) {
    AppendCommand(&question.commands, {"SCAN", cursor_, "COUNT", count});
  } else {
    AppendCommand(&question.commands, {"SCAN", cursor_, "MATCH", result_.options.match, "COUNT", count});
  }
  question.done = [this, run = run_, from_primary](const Answers& answers) {
    if (run == run_) OnScan(answers, from_primary);
  };
  parts_.lane->Ask(std::move(question));
}

void Verify::OnScan(const Answers& answers, bool from_primary) {
  asking_ = false;
  const auto& replies = from_primary ? answers.primary : answers.secondary;
  if (!answers.status.ok() || replies.empty()) return;  // asked again from the same cursor
  const Reply reply = ParseReply(replies[0]);
  if (reply.items.size() != 2) return Fail("SCAN was refused: " + std::string(reply.text));
  cursor_ = reply.items[0].text;
  scanned_ = cursor_ == "0";
  std::vector<std::string> names;
  for (const Reply& key : reply.items[1].items) {
    if (IsTemporaryName(key.text)) continue;  // a value that is being put together, or what is left of one
    if (InShare(key.text, result_.options.sample)) names.emplace_back(key.text);
  }
  // With MATCH nobody says how many names were passed over.
  const size_t passed = result_.options.match.empty() ? reply.items[1].items.size() : kScanCount;
  result_.scanned = std::min(result_.scanned + passed, std::max(result_.to_scan, result_.scanned));
  if (scanned_side_ != first_side_) return AskWhichLack(std::move(names));
  for (std::string& name : names) found_.push_back(std::move(name));
  result_.keys_total = std::max(result_.keys_total, result_.keys_checked + found_.size());
}

// Which of these keys of the one store are missing on the other? The others were compared already.
void Verify::AskWhichLack(std::vector<std::string> keys) {
  if (keys.empty()) return;
  asking_ = true;
  allowance_ -= kExistsCost * static_cast<double>(keys.size());
  Question question;
  question.db = db_;
  question.protocol = kAnyProtocol;
  const bool from_primary = !ScansPrimary();
  (from_primary ? question.ask_primary : question.ask_secondary) = true;
  question.count = static_cast<int>(keys.size());
  for (const std::string& key : keys) AppendCommand(&question.commands, {"EXISTS", key});
  question.done = [this, run = run_, from_primary, keys = std::move(keys)](const Answers& answers) {
    if (run != run_) return;
    asking_ = false;
    const auto& replies = from_primary ? answers.primary : answers.secondary;
    for (size_t i = 0; i < keys.size(); ++i) {
      const bool there = answers.status.ok() && i < replies.size() && IntegerReply(replies[i]) == 1;
      if (!there) found_.push_back(keys[i]);  // or nobody knows: then it is compared
    }
  };
  parts_.lane->Ask(std::move(question));
}

}  // namespace crossfade
