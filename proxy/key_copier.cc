#include "proxy/key_copier.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "spdlog/spdlog.h"

namespace crossfade {

namespace {
// A server that doesn't know a command repeats its arguments: keys and values, which are nobody's business.
std::string WithoutArguments(std::string error) {
  const size_t at = error.find(", with args beginning with");
  return at == std::string::npos ? error : error.substr(0, at);
}
}  // namespace

struct KeyCopier::Case {
  DirtySet::Key key;
  std::vector<Done> done;  // of all who want it
  bool was_dirty = false;  // when it was handed in
  Way way = Way::kUnknown;
  ValueType type = ValueType::kNone;  // kNone: not asked for
  bool by_type = false;               // RESTORE is no way
  bool only_dump = false;             // nothing else is one
};

KeyCopier::KeyCopier(Io* io, const LimitsConfig* limits, const Migration* migration, DirtySet* dirty,
                     ExpiryWatch* expiry, Lane* lane, std::function<void()> gate_opened)
    : io_(io),
      limits_(limits),
      migration_(migration),
      dirty_(dirty),
      lane_(lane),
      rebuild_(io, limits, dirty, expiry, lane, std::move(gate_opened)) {
  timer_ = io_->clock()->MakeTimer([this] { Work(); });
}

void KeyCopier::Copy(const DirtySet::Key& key, Done done) {
  auto c = std::make_shared<Case>();  // owned as CasePtr says
  c->key = key;
  c->done.push_back(std::move(done));
  c->was_dirty = dirty_->Remembers(key.db, key.name);
  c->by_type = RestoreRefused();
  Look(c);
}

// --- How large it is -------------------------------------------------------------------------------------------------

void KeyCopier::Look(const CasePtr& c) {
  CommandBatch look;
  look.Add({"MEMORY", "USAGE", c->key.name, "SAMPLES", "5"});
  if (c->by_type) look.Add({"TYPE", c->key.name});
  AskPrimary(c, look, &KeyCopier::OnLook);
}

void KeyCopier::OnLook(const CasePtr& c, const Answers& answers) {
  if (c->by_type) {
    const Reply type = ParseReply(answers.primary[1]);
    if (!type.is_text()) return Fail(c, fmt::format("the primary answered TYPE with {}", type.text));
    c->type = ParseValueType(type.text);
  }
  if (!IsErrorReply(answers.primary[0])) return Choose(c, IntegerReply(answers.primary[0]).value_or(0));
  CommandBatch look;
  look.Add({"TYPE", c->key.name});
  AskPrimary(c, look, &KeyCopier::OnType);
}

void KeyCopier::OnType(const CasePtr& c, const Answers& answers) {
  c->type = ParseValueType(ParseReply(answers.primary[0]).text);
  const std::string_view length = LengthCommand(c->type);
  if (length.empty()) return Choose(c, 0);
  CommandBatch look;
  look.Add({length, c->key.name});
  AskPrimary(c, look, &KeyCopier::OnLength);
}

void KeyCopier::OnLength(const CasePtr& c, const Answers& answers) {
  const int64_t length = IntegerReply(answers.primary[0]).value_or(0);
  Choose(c, length * (c->type == ValueType::kString ? 1 : kElementBytes));
}

// --- Which way -------------------------------------------------------------------------------------------------------

void KeyCopier::Choose(const CasePtr& c, int64_t bytes) {
  const ServerInfo& primary = lane_->primary().info();
  if (c->by_type && c->type == ValueType::kNone)
    c->type = ValueType::kString;  // any type's reading finds that it's gone
  if (c->only_dump || c->type == ValueType::kModule) {
    c->way = Way::kWhole;
  } else if (c->by_type) {
    const bool small = bytes <= std::min(limits_->copy_whole_bytes, kWholeByTypeBytes);
    c->way = small && CanCopyWhole(c->type, primary.field_expiry) ? Way::kByType : Way::kPieces;
  } else {
    c->way = bytes > limits_->copy_whole_bytes ? Way::kPieces : Way::kWhole;
  }
  Go(c);
}

void KeyCopier::Go(const CasePtr& c) {
  if (c->way == Way::kUnknown) return Look(c);
  if (c->way == Way::kPieces) {
    if (!rebuild_.CanStart(c->key)) return Wait(c);
    return rebuild_.Start(c->key, [this, c](const Rebuild::Result& result) { OnPieces(c, result); });
  }
  if (!lane_->CanCopy() || lane_->Gated(c->key.name)) return Wait(c);
  lane_->SubmitCopy(
      c->key, [this, c](const CopyResult& result) { OnWhole(c, result); },
      c->way == Way::kByType ? c->type : ValueType::kNone);
}

void KeyCopier::OnWhole(const CasePtr& c, const CopyResult& result) {
  if (result.copied) {
    ++(c->way == Way::kByType ? by_type_ : whole_);
    return Finish(c, {.copied = true, .bytes = result.bytes});
  }
  const CopyRefusal refusal = result.refusal.empty() ? CopyRefusal::kPassing : JudgeRefusal(result.refusal);
  const std::string why = WithoutArguments(
      std::string(ParseReply(result.refusal.empty() ? "+a connection was lost\r\n" : result.refusal).text));
  if (c->by_type || c->only_dump || refusal == CopyRefusal::kPassing) {
    const bool module = c->type == ValueType::kModule;
    return Fail(c, module ? fmt::format("a module's value, which can only be restored: {}", why) : why);
  }
  if (refusal == CopyRefusal::kEveryKey) {
    Refused& refused = refused_[static_cast<int>(migration_->secondary())];
    if (refused.why.empty()) {
      spdlog::warn("event=restore_refused backend={} error=\"{}\" act=\"keys are copied by their types\"",
                   SideName(migration_->secondary()), why);
    }
    refused = {why, io_->clock()->NowUs()};
  }
  c->by_type = true;
  c->way = Way::kUnknown;
  if (!lane_->CanCopy()) return Wait(c);
  Look(c);
}

void KeyCopier::OnPieces(const CasePtr& c, const Rebuild::Result& result) {
  if (result.busy) return Wait(c);
  if (result.not_in_pieces) {
    c->only_dump = true;
    c->type = ValueType::kModule;
    c->way = Way::kWhole;
    return Go(c);
  }
  if (!result.copied) return Fail(c, result.why);
  ++pieces_;
  Finish(c, {.copied = true, .bytes = result.bytes});
}

// --- What all ways share ---------------------------------------------------------------------------------------------

void KeyCopier::AskPrimary(const CasePtr& c, const CommandBatch& commands, Next next) {
  Question question;
  question.commands = commands.bytes;
  question.count = commands.count;
  question.db = c->key.db;
  question.protocol = kAnyProtocol;
  question.ask_primary = true;
  question.done = [this, c, next, count = static_cast<size_t>(commands.count)](const Answers& answers) {
    if (!answers.status.ok() || answers.primary.size() != count) {
      return Fail(c, std::string(answers.status.message()));
    }
    (this->*next)(c, answers);
  };
  lane_->Ask(std::move(question));
}

void KeyCopier::Wait(const CasePtr& c) {
  for (const CasePtr& other : waiting_) {
    if (other->key.db != c->key.db || other->key.name != c->key.name) continue;
    // Neither has begun: one copy is later than what either was wanted for.
    for (Done& done : c->done) other->done.push_back(std::move(done));
    other->was_dirty = other->was_dirty && c->was_dirty;
    return;
  }
  if (waiting_.empty()) timer_->Start(kStepMs, kStepMs);
  waiting_.push_back(c);
}

// Each is looked at once a turn; what still can't begin waits again.
void KeyCopier::Work() {
  const bool possible = lane_->primary().up() && lane_->secondary().up() && migration_->following();
  const std::deque<CasePtr> all = std::exchange(waiting_, {});
  for (const CasePtr& c : all) {
    if (c->was_dirty && !dirty_->everything() && !dirty_->Remembers(c->key.db, c->key.name)) {
      Finish(c, {.copied = true});  // a copy of it has ended while this one waited
    } else if (possible) {
      Go(c);
    } else {
      Fail(c, "a store is away, or the secondary does not follow");
    }
  }
  if (waiting_.empty()) timer_->Stop();
}

bool KeyCopier::RestoreRefused() {
  Refused& refused = refused_[static_cast<int>(migration_->secondary())];
  if (!refused.why.empty() && io_->clock()->NowUs() - refused.at_us > kTryRestoreAgainUs) refused = {};
  return !refused.why.empty();
}

// At most one line a second, without the key.
void KeyCopier::Fail(const CasePtr& c, std::string why) {
  ++failed_;
  last_failure_ = WithoutArguments(std::move(why));
  const int64_t second = io_->clock()->NowUs() / 1'000'000;
  if (std::exchange(logged_second_, second) != second) {
    spdlog::warn("event=copy_failed db={} way={} reason=\"{}\"", c->key.db,
                 c->way == Way::kPieces   ? "pieces"
                 : c->way == Way::kByType ? "type"
                                          : "whole",
                 last_failure_);
  }
  Finish(c, {.copied = false, .bytes = 0, .why = last_failure_});
}

void KeyCopier::Finish(const CasePtr& c, KeyCopied result) {
  for (const Done& done : std::exchange(c->done, {})) done(result);
}

}  // namespace crossfade
