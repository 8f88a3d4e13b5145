#include "proxy/ledger.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "proxy/ledger_json.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {

constexpr int64_t kMostStepMs = 1000;  // a proxy that was stopped for longer did not observe anything

Tallies AsTallies(const Coverage::Table& table) {
  Tallies tallies;
  for (const auto& [name, tally] : table) tallies[EscapedName(name)] += tally;
  return tallies;
}

}  // namespace

Ledger::Ledger(Io* io, Storage* storage, const std::string& directory, std::function<LedgerLook()> look)
    : io_(io),
      storage_(storage),
      path_(directory + "/ledger.json"),
      look_(std::move(look)),
      watches_{{"not synced", 0},
               {"everything dirty", 0},
               {"old out of reach", 0},
               {"new out of reach", 0},
               {"the secondary does not follow", 0}} {}

void Ledger::Load(const std::string& instance, bool awaited) {
  looked_ms_ = saved_ms_ = now_ms();
  figures_.instance = instance;
  const auto text = storage_->Read(path_);
  if (text.ok() && !text->has_value()) return Begin(awaited);
  auto read = text.ok() ? ReadLedgerText(**text) : std::nullopt;
  if (!read) {
    // Somebody may still want to see it; the report says that its figures are missing.
    if (text.ok()) storage_->ReplaceSoon(path_ + ".unread", **text).IgnoreError();
    spdlog::error("event=ledger_not_read file={} reason=\"{}\"", path_,
                  text.ok() ? "it is torn, or of another version" : std::string(text.status().message()));
    return Begin(true);
  }
  if (read->instance != instance) return Begin(false);  // of other stores
  figures_ = std::move(*read);
  Resume();
}

// `lost`: there were figures before.
void Ledger::Begin(bool lost) {
  figures_.began_ms = io_->clock()->WallMs();
  figures_.lost_ledgers = lost ? 1 : 0;
  figures_.runs.Add({figures_.began_ms, figures_.began_ms, false, CROSSFADE_VERSION, ""});
  Save(false);
}

void Ledger::Resume() {
  const int64_t wall_ms = io_->clock()->WallMs();
  const int64_t seen_ms = std::min(wall_ms, figures_.saved_ms);
  bool in_order = false;
  if (!figures_.runs.items.empty()) {
    LedgerFigures::Run& last = figures_.runs.items.back();
    last.seen_ms = seen_ms;
    in_order = last.in_order;
  }
  if (!in_order) ++figures_.crashes;
  if (figures_.gaps.full()) {
    const LedgerFigures::Gap& oldest = figures_.gaps.items.front();
    figures_.longest_forgotten_gap_ms = std::max(figures_.longest_forgotten_gap_ms, oldest.to_ms - oldest.from_ms);
  }
  figures_.gaps.Add({seen_ms, wall_ms, in_order});
  figures_.gaps_ms += static_cast<uint64_t>(wall_ms - seen_ms);
  for (LedgerFigures::Spell& spell : figures_.spells.items) {
    if (spell.to_ms == 0) spell.to_ms = std::max(seen_ms, spell.from_ms);
  }
  figures_.runs.Add({wall_ms, wall_ms, false, CROSSFADE_VERSION, ""});
  if (!figures_.verifications.items.empty()) saved_verification_ms_ = figures_.verifications.items.back().started_ms;
  for (size_t side = 0; side < 2; ++side) {
    for (size_t what = 0; what < std::size(kLatencyClasses); ++what)
      earlier_latency_[side][what] = figures_.latency[side][what];
  }
  Save(false);
}

void Ledger::Tick() {
  if (closed_) return;
  const LedgerLook look = look_();
  Count(look);
  Settle(look);
  const int64_t since_ms = now_ms() - saved_ms_;
  if (since_ms >= kSaveMs || (urgent_ && since_ms >= kUrgentMs)) Save(false);
}

// What is true from now on.
void Ledger::Settle(const LedgerLook& look) {
  const bool agree = look.synced == Synced::kYes || (look.synced == Synced::kCopying && figures_.agree);
  if (agree != figures_.agree) {
    CountTables(look);  // so far they belong to what was
    if (!agree) figures_.doubted_ms = io_->clock()->WallMs();
    figures_.agree = agree;
    urgent_ = true;
  }
  watching_ = agree && look.following && !look.everything_dirty && look.up[0] && look.up[1];
  NoteSpell(&watches_[0], look.synced != Synced::kYes,
            look.synced == Synced::kCopying ? "everything is being copied" : look.unsynced_why);
  NoteSpell(&watches_[1], look.everything_dirty, look.unsynced_why);
  NoteSpell(&watches_[2], !look.up[0], "");
  NoteSpell(&watches_[3], !look.up[1], "");
  NoteSpell(&watches_[4], !look.following, "");
}

// What has happened since the last look, as what was true then.
void Ledger::Count(const LedgerLook& look) {
  looked_ = true;
  const uint64_t mismatched = look.counters->reads_mismatched - counted_.reads_mismatched;
  const uint64_t differed = mismatched + look.counters->writes_diverged - counted_.writes_diverged +
                            look.counters->settle_differed - counted_.settle_differed;
  AddSince(*look.counters, counted_, &figures_.all);
  if (figures_.agree) AddSince(*look.counters, counted_, &figures_.agreed);
  counted_ = *look.counters;
  if (mismatched > 0) NoteMismatches(look, mismatched);
  urgent_ = urgent_ || differed > 0;
  const int64_t step_ms = std::max<int64_t>(0, now_ms() - looked_ms_);
  looked_ms_ += step_ms;
  figures_.running_ms += step_ms;
  if (watching_) figures_.observed_ms += std::min(step_ms, kMostStepMs);
  if (!figures_.runs.items.empty()) {
    LedgerFigures::Run& run = figures_.runs.items.back();
    run.seen_ms = io_->clock()->WallMs();
    if (run.config_hash != look.config_hash) run.config_hash = look.config_hash;
  }
  NoteVerification(look);
}

void Ledger::CountTables(const LedgerLook& look) {
  const auto count = [this](const Coverage::Table& table, Tallies* counted, Tallies* all, Tallies* agreed) {
    Tallies now = AsTallies(table);
    AddSince(now, *counted, all);
    if (figures_.agree) AddSince(now, *counted, agreed);
    *counted = std::move(now);
  };
  count(look.coverage->by_command(), &counted_commands_, &figures_.commands, &figures_.agreed_commands);
  count(look.coverage->by_prefix(), &counted_prefixes_, &figures_.prefixes, &figures_.agreed_prefixes);
  for (size_t side = 0; side < 2; ++side) {
    for (size_t what = 0; what < std::size(kLatencyClasses); ++what) {
      LatencyHistogram& sum = figures_.latency[side][what];
      sum = earlier_latency_[side][what];
      sum.Add(*look.latency[side][what]);
    }
  }
}

void Ledger::NoteMismatches(const LedgerLook& look, uint64_t fresh) {
  const size_t known = look.mismatches->size() - std::min<size_t>(look.mismatches->size(), fresh);
  for (size_t i = known; i < look.mismatches->size(); ++i) {
    const Mismatch& one = (*look.mismatches)[i];
    const bool old_first = one.primary == Side::kOld;
    figures_.mismatches.Add({one.at_ms, one.db, one.command,
                             EscapedName(std::string_view(one.key).substr(0, LedgerFigures::kMostKeyBytes)),
                             fmt::format("{:016x}", old_first ? one.primary_digest : one.secondary_digest),
                             fmt::format("{:016x}", old_first ? one.secondary_digest : one.primary_digest)});
  }
}

// One that has ended, or of which the last run knew.
void Ledger::NoteVerification(const LedgerLook& look) {
  const VerifyResult& result = *look.verify;
  const bool over = result.state != VerifyState::kIdle && result.state != VerifyState::kRunning;
  if (!over || result.started_ms == saved_verification_ms_) return;
  saved_verification_ms_ = result.started_ms;
  figures_.verifications.Add({result.started_ms, result.ended_ms, Name(result.state), result.options.full(),
                              result.options.repair, result.keys_checked, result.equal, result.differing(),
                              result.repaired, result.all_undecided(), result.not_comparable, result.left_out});
  urgent_ = true;
}

void Ledger::NoteSpell(Watch* watch, bool wrong, std::string_view why) {
  if (wrong == (watch->spell != 0)) return;
  const int64_t wall_ms = io_->clock()->WallMs();
  if (wrong) {
    figures_.spells.Add({watch->what, CutText(why, LedgerFigures::kMostTextBytes), wall_ms, 0});
    watch->spell = figures_.spells.all();
    return;
  }
  // It may have been forgotten meanwhile.
  const size_t number = std::exchange(watch->spell, 0);
  if (number > figures_.spells.forgotten) {
    LedgerFigures::Spell& spell = figures_.spells.items[number - 1 - figures_.spells.forgotten];
    spell.to_ms = std::max(wall_ms, spell.from_ms + 1);
  }
}

void Ledger::NotePreflight(const std::vector<Finding>& findings) {
  const auto cut = [](const std::string& text) { return CutText(text, LedgerFigures::kMostTextBytes); };
  LedgerFigures::Preflight preflight;
  preflight.at_ms = io_->clock()->WallMs();
  // Should there ever be more than fit, the worst stay.
  std::vector<Finding> all = findings;
  if (all.size() > LedgerFigures::kMostFindings)
    std::stable_sort(all.begin(), all.end(), [](const Finding& a, const Finding& b) { return a.status > b.status; });
  for (const Finding& one : all) {
    if (preflight.findings.size() >= LedgerFigures::kMostFindings) break;
    preflight.findings.push_back({cut(one.name), one.status, cut(one.found), cut(one.remedy)});
  }
  figures_.preflight = std::move(preflight);
  urgent_ = true;
}

const LedgerFigures& Ledger::Take() {
  if (closed_) return figures_;
  const LedgerLook look = look_();
  Count(look);
  CountTables(look);
  Settle(look);
  return figures_;
}

void Ledger::Close() {
  if (closed_) return;
  Take();
  figures_.runs.items.back().in_order = true;
  Save(true);
  closed_ = true;
}

void Ledger::Save(bool at_the_end) {
  saved_ms_ = now_ms();
  urgent_ = false;
  if (looked_) CountTables(look_());
  figures_.saved_ms = io_->clock()->WallMs();
  const std::string text = LedgerText(figures_);
  const absl::Status saved = at_the_end ? storage_->Replace(path_, text) : storage_->ReplaceSoon(path_, text);
  if (!saved.ok() && !std::exchange(save_failed_, true)) {
    spdlog::error("event=ledger_not_saved error=\"{}\" reason=\"the report may miss figures after a crash\"",
                  std::string(saved.message()));
  }
  if (saved.ok()) save_failed_ = false;
}

}  // namespace crossfade
