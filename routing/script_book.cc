#include "routing/script_book.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "absl/strings/ascii.h"
#include "protocol/reply.h"
#include "protocol/sha1.h"
#include "routing/command_table.h"

namespace crossfade {

namespace {

constexpr size_t kShaDigits = 40;

std::string Lower(std::string_view text) {
  std::string lower(text);
  absl::AsciiStrToLower(&lower);
  return lower;
}

bool IsWordCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
}

// Cuts the first word off *text: letters, digits and '_'. Empty at the end.
std::string_view NextWord(std::string_view* text) {
  const auto begin = std::find_if(text->begin(), text->end(), IsWordCharacter);
  const auto end = std::find_if_not(begin, text->end(), IsWordCharacter);
  const std::string_view word = text->substr(begin - text->begin(), end - begin);
  text->remove_prefix(end - text->begin());
  return word;
}

bool MentionsAny(std::string_view body, std::span<const std::string_view> words) {
  for (std::string_view word = NextWord(&body); !word.empty(); word = NextWord(&body)) {
    if (std::any_of(words.begin(), words.end(),
                    [word](std::string_view known) { return EqualsIgnoreCase(word, known); })) {
      return true;
    }
  }
  return false;
}

}  // namespace

ScriptBook::ScriptBook(const ScriptsConfig* config, size_t max_bytes) : config_(config), max_bytes_(max_bytes) {
  ConfigChanged(max_bytes);
}

void ScriptBook::ConfigChanged(size_t max_bytes) {
  max_bytes_ = max_bytes;
  rules_.clear();
  for (const ScriptRule& rule : config_->rules) rules_[Lower(rule.name)] = rule.mode;
  MakeRoom();
}

void ScriptBook::MakeRoom() {
  while (bytes_ > max_bytes_) {
    bytes_ -= entries_.back().body.size() + kEntryBytes;
    by_sha_.erase(entries_.back().sha);
    entries_.pop_back();
    ++forgotten_;
  }
}

bool ScriptBook::IsReadOnly(std::string_view body) {
  if (!body.starts_with("#!")) return false;
  std::string_view line = body.substr(0, body.find('\n'));
  constexpr std::string_view kSpaces = " \t\r";
  while (!line.empty()) {
    const std::string_view option = line.substr(0, line.find_first_of(kSpaces));
    line.remove_prefix(std::min(line.size(), option.size() + 1));
    if (!option.starts_with("flags=")) continue;
    std::string_view flags = option.substr(6);
    while (!flags.empty()) {
      const std::string_view flag = flags.substr(0, flags.find(','));
      if (flag == "no-writes") return true;
      flags.remove_prefix(std::min(flags.size(), flag.size() + 1));
    }
  }
  return false;
}

bool ScriptBook::MentionsUnrepeatable(std::string_view body) {
  // "random" is math.random, "clock" os.clock. XADD: its id is usually left to the server.
  static constexpr std::string_view kWords[] = {"time", "clock", "random", "spop", "srandmember", "randomkey",
                                                "hrandfield", "zrandmember", "scan", "sscan", "hscan", "zscan", "xadd",
                                                // each store would count the time from when it runs the script
                                                "expire", "pexpire", "setex", "psetex", "getex", "ex", "px", "expireat",
                                                "pexpireat", "exat", "pxat", "hexpire", "hpexpire", "hsetex", "hgetex"};
  return MentionsAny(body, kWords);
}

bool ScriptBook::Publishes(std::string_view body) {
  static constexpr std::string_view kWords[] = {"publish", "spublish"};
  return MentionsAny(body, kWords);
}

std::string ScriptBook::Learn(std::string_view body) {
  std::string sha = Sha1Hex(body);
  Learn(body, sha);
  return sha;
}

void ScriptBook::Learn(std::string_view body, const std::string& sha) {
  missing_.erase(sha);
  if (Use(sha) != nullptr) return;
  if (body.size() + kEntryBytes > max_bytes_) {
    ++forgotten_;
    return;
  }
  Entry& entry = entries_.emplace_front();
  entry.sha = sha;
  entry.body = body;
  entry.unrepeatable = MentionsUnrepeatable(body);
  entry.reads_only = IsReadOnly(body);
  entry.publishes = Publishes(body);
  by_sha_[sha] = entries_.begin();
  bytes_ += body.size() + kEntryBytes;
  MakeRoom();
}

void ScriptBook::Forget() {
  by_sha_.clear();
  entries_.clear();
  bytes_ = 0;
  missing_.clear();
  all_unknown_missing_ = false;
}

const ScriptBook::Entry* ScriptBook::Find(std::string_view sha) const {
  const auto found = by_sha_.find(Lower(sha));
  return found == by_sha_.end() ? nullptr : &*found->second;
}

ScriptBook::Entry* ScriptBook::Use(std::string_view sha) {
  const auto found = by_sha_.find(Lower(sha));
  if (found == by_sha_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &*found->second;
}

const std::string* ScriptBook::Body(std::string_view sha) const {
  const Entry* entry = Find(sha);
  return entry == nullptr ? nullptr : &entry->body;
}

ScriptMode ScriptBook::RuleFor(std::string_view name) const {
  if (rules_.empty()) return ScriptMode::kAuto;
  const auto found = rules_.find(Lower(name));
  return found == rules_.end() ? ScriptMode::kAuto : found->second;
}

bool ScriptBook::IsMissing(std::string_view sha) const {
  return all_unknown_missing_ || missing_.contains(std::string(sha));
}

ScriptPlan ScriptBook::PlanFor(std::string_view command, RequestView request, bool secondary_has_functions) {
  ScriptPlan plan;
  const std::string_view subject = request.arg(1);
  bool unrepeatable = false;
  bool impossible = false;  // to run it on the secondary
  if (command == "fcall") {
    impossible = !secondary_has_functions;
  } else {
    const bool has_body = command == "eval";
    plan.sha = has_body ? Sha1Hex(subject) : Lower(subject);
    if (const Entry* entry = Use(plan.sha); entry != nullptr) {
      unrepeatable = entry->unrepeatable;
      plan.reads_only = entry->reads_only;
      plan.reply_varies = entry->publishes;
    } else if (has_body) {
      unrepeatable = MentionsUnrepeatable(subject);
      plan.reads_only = IsReadOnly(subject);
      plan.reply_varies = Publishes(subject);
    } else {
      impossible = IsMissing(plan.sha);
    }
  }
  if (plan.reads_only) return plan;
  ScriptMode mode = RuleFor(plan.sha.empty() ? subject : std::string_view(plan.sha));
  if (mode == ScriptMode::kAuto) mode = config_->mode;
  plan.copy = impossible || mode == ScriptMode::kCopy || (mode == ScriptMode::kAuto && unrepeatable);
  if (ParseInt64(request.arg(2)).value_or(0) <= 0) {
    plan.copy = false;
    plan.unnamed_keys = true;
    plan.reply_varies = plan.reply_varies || unrepeatable;
  }
  return plan;
}

bool ScriptBook::NeedsLoading(Side side, std::string_view sha) const {
  const Entry* entry = Find(sha);
  const int i = static_cast<int>(side);
  return entry != nullptr && entry->loaded[i] != generation_[i];
}

std::vector<std::pair<std::string, std::string>> ScriptBook::LoadedElsewhere(Side side) const {
  std::vector<std::pair<std::string, std::string>> scripts;
  for (const Entry& entry : entries_) {
    if (!NeedsLoading(OtherSide(side), entry.sha) && NeedsLoading(side, entry.sha)) {
      scripts.emplace_back(entry.sha, entry.body);
    }
  }
  return scripts;
}

void ScriptBook::Loaded(Side side, std::string_view sha) {
  const int i = static_cast<int>(side);
  if (Entry* entry = Use(sha); entry != nullptr) entry->loaded[i] = generation_[i];
}

void ScriptBook::Unloaded(Side side, std::string_view sha) {
  if (Entry* entry = Use(sha); entry != nullptr) entry->loaded[static_cast<int>(side)] = 0;
}

void ScriptBook::StoreRestarted(Side side) {
  ++generation_[static_cast<int>(side)];
}

void ScriptBook::MissingUnknown(std::string_view sha) {
  if (sha.size() != kShaDigits || Find(sha) != nullptr) return;  // no server knows another length
  if (missing_.size() >= kMaxMissing) {
    all_unknown_missing_ = true;
    absl::flat_hash_set<std::string>().swap(missing_);
    return;
  }
  missing_.insert(Lower(sha));
}

}  // namespace crossfade
