#include "proxy/rebuild.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "protocol/check.h"
#include "protocol/reply.h"
#include "routing/companion.h"

namespace crossfade {

namespace {
// Each piece holds up both stores, and the proxy, for about a millisecond.
constexpr size_t kPieceBytes = 64 << 10;
constexpr size_t kPieceItems = 1024;
}  // namespace

struct Rebuild::Case {
  uint64_t id = 0;
  DirtySet::Key key;
  Done done;
  std::string temporary;
  KeyGates::Id gate = 0;
  uint64_t order = 0;  // of the fence
  ValueType type = ValueType::kNone;
  ServerInfo primary;  // as it was at the fence
  std::unique_ptr<PieceReader> reader;
  bool begun = false;   // something may be there under the temporary name
  bool placed = false;  // the replacement has its place in the lane
  int64_t length = 0;   // of what has been written
  uint64_t bytes = 0;   // … with all that belongs to it
  int64_t asked_us = 0;
  bool waits_for_secondary = false;
  ExpiryNote expiry;  // of a key that expires
};

Rebuild::Rebuild(Io* io, const LimitsConfig* limits, DirtySet* dirty, ExpiryWatch* expiry, Lane* lane,
                 std::function<void()> gate_opened)
    : io_(io), limits_(limits), dirty_(dirty), expiry_(expiry), lane_(lane), gate_opened_(std::move(gate_opened)) {
  timer_ = io_->clock()->MakeTimer([this] { CheckStalls(); });
}

Rebuild::~Rebuild() = default;

bool Rebuild::CanStart(const DirtySet::Key& key) const {
  return cases_.size() < kMaxAtOnce && !giving_way_ && !lane_->Gated(key.name) && lane_->CanCopy();
}

void Rebuild::Start(const DirtySet::Key& key, Done done) {
  auto c = std::make_unique<Case>();
  c->id = ++last_id_;
  c->key = key;
  c->done = std::move(done);
  c->temporary = MakeTemporaryName(random_());
  if (cases_.empty()) timer_->Start(kCheckMs, kCheckMs);
  Case* started = c.get();
  cases_.emplace(c->id, std::move(c));
  Look(started);
}

// --- The steps -------------------------------------------------------------------------------------------------------

void Rebuild::Look(Case* c) {
  CommandBatch ping;
  ping.Add({"PING"});
  AskSecondary(c, std::move(ping), &Rebuild::OnLook);
}

void Rebuild::OnLook(Case* c, const std::vector<std::string>&) {
  if (io_->clock()->NowUs() - c->asked_us > kLookMs * 1000) return Fail(c, "the secondary lags");
  if (giving_way_ || lane_->Gated(c->key.name)) return Finish(c, {.busy = true, .why = "somebody is at work on it"});
  c->order = lane_->next_order();
  if (!dirty_->Remembers(c->key.db, c->key.name)) {
    dirty_->Mark(c->key.db, c->key.name, DirtyCause::kCopying, c->order);
  }
  c->gate = lane_->CloseForWrites(c->key.name);
  c->primary = lane_->primary().info();
  CommandBatch fence;
  fence.Add({"TYPE", c->key.name});
  AskPrimary(c, std::move(fence), &Rebuild::OnFence);
}

void Rebuild::OnFence(Case* c, const std::vector<std::string>& replies) {
  const Reply type = ParseReply(replies[0]);
  if (!type.is_text()) return Fail(c, fmt::format("the primary answered TYPE with {}", type.text));
  c->type = ParseValueType(type.text);
  if (c->type == ValueType::kNone) return Remove(c);
  const ServerInfo& secondary = lane_->secondary().info();
  c->reader = MakePieceReader(c->type, c->key.name, c->temporary, LimitsOfPieces(),
                              {c->primary.field_expiry && secondary.field_expiry, secondary.stream_counters});
  if (c->reader == nullptr)
    return Fail(c, fmt::format("a value of type {} has no commands to rebuild it", type.text), true);
  Read(c);
}

void Rebuild::Read(Case* c) {
  CommandBatch next = c->reader->Next();
  if (next.count == 0) return LookAgain(c);
  AskPrimary(c, std::move(next), &Rebuild::OnRead);
}

void Rebuild::OnRead(Case* c, const std::vector<std::string>& replies) {
  CommandBatch piece;
  const absl::Status taken = c->reader->Take(replies, lane_->TimesBetween(c->asked_us, io_->clock()->NowUs()), &piece);
  if (!taken.ok()) return Fail(c, fmt::format("on the primary: {}", std::string(taken.message())));
  if (piece.count == 0) return Read(c);
  Write(c, std::move(piece));
}

// The temporary key is kept alive before anything is added to it, so that what had been there can't be missing then.
void Rebuild::Write(Case* c, CommandBatch piece) {
  const std::string alive_ms = std::to_string(kTemporaryMs);
  CommandBatch batch;
  if (c->begun) batch.Add({"PEXPIRE", c->temporary, alive_ms});
  batch.bytes += piece.bytes;
  batch.count += piece.count;
  if (!c->begun) batch.Add({"PEXPIRE", c->temporary, alive_ms});
  batch.Add({LengthCommand(c->type), c->temporary});
  ++pieces_;
  bytes_ += batch.bytes.size();
  c->bytes += batch.bytes.size();
  AskSecondary(c, std::move(batch), &Rebuild::OnWritten);
}

void Rebuild::OnWritten(Case* c, const std::vector<std::string>& replies) {
  for (const std::string& reply : replies) {
    if (IsErrorReply(reply)) return Fail(c, fmt::format("on the secondary: {}", ParseReply(reply).text));
  }
  const bool first = !std::exchange(c->begun, true);
  const std::string& kept_alive = first ? replies[replies.size() - 2] : replies.front();
  if (IntegerReply(kept_alive) != 1) return Fail(c, "the secondary has lost what was written so far");
  c->length = IntegerReply(replies.back()).value_or(-1);
  Read(c);
}

void Rebuild::LookAgain(Case* c) {
  CommandBatch look;
  look.Add({"PTTL", c->key.name});
  look.Add({LengthCommand(c->type), c->key.name});
  AskPrimary(c, std::move(look), &Rebuild::OnLookedAgain);
}

void Rebuild::OnLookedAgain(Case* c, const std::vector<std::string>& replies) {
  if (!SameProcess(c->primary, lane_->primary().info())) return Fail(c, "the primary was restarted");
  const auto ttl_ms = IntegerReply(replies[0]), length = IntegerReply(replies[1]);
  if (!ttl_ms) return Fail(c, fmt::format("on the primary: {}", ParseReply(replies[0]).text));
  if (*ttl_ms == -2) return Remove(c);
  // Expired fields count until the server comes by.
  const bool exact = c->type != ValueType::kHash || !c->primary.field_expiry;
  if (exact && length != c->length) return Fail(c, "it was changed meanwhile by somebody who bypasses the proxy");
  Replace(c, *ttl_ms);
}

// A value is freed outside of the secondary's turn: RENAME alone would free the old one at once.
void Rebuild::Replace(Case* c, int64_t ttl_ms) {
  CommandBatch batch;
  batch.Add({"MULTI"});
  batch.Add({"UNLINK", c->key.name});
  batch.Add({"RENAME", c->temporary, c->key.name});
  if (ttl_ms < 0) {
    batch.Add({"PERSIST", c->key.name});
  } else {
    CopyExpiry expiry = ExpiryOfCopy(c->key.name, ttl_ms, lane_->TimesBetween(c->asked_us, io_->clock()->NowUs()));
    batch.Add({"PEXPIREAT", c->key.name, std::to_string(expiry.at_ms)});
    c->expiry = std::move(expiry.note);
  }
  batch.Add({"EXEC"});
  c->placed = true;
  const uint64_t id = c->id;
  AskSecondary(c, std::move(batch), &Rebuild::OnReplaced);
  if (const auto found = cases_.find(id); found != cases_.end()) OpenGate(found->second.get());
}

// The primary has no such key.
void Rebuild::Remove(Case* c) {
  CommandBatch batch;
  batch.Add({"UNLINK", c->key.name});
  if (c->begun) batch.Add({"UNLINK", c->temporary});
  c->placed = true;
  const uint64_t id = c->id;
  AskSecondary(c, std::move(batch), &Rebuild::OnReplaced);
  if (const auto found = cases_.find(id); found != cases_.end()) OpenGate(found->second.get());
}

void Rebuild::OnReplaced(Case* c, const std::vector<std::string>& replies) {
  for (const std::string& bytes : replies) {
    const Reply reply = ParseReply(bytes);
    if (reply.is_error()) return Fail(c, fmt::format("on the secondary: {}", reply.text));
    for (const Reply& item : reply.items) {
      if (item.is_error()) return Fail(c, fmt::format("on the secondary: {}", item.text));
    }
  }
  if (!c->expiry.key.empty()) {
    expiry_->Set(c->key.db, c->expiry.key, c->expiry.window, lane_->wall_ms());
  }
  dirty_->CopyDone(c->key, c->order);
  Finish(c, {.copied = true, .bytes = c->bytes});
}

// --- What all steps share --------------------------------------------------------------------------------------------

// The case may be over when this returns: its last act for a step.
void Rebuild::Ask(Case* c, CommandBatch commands, bool primary, Next next) {
  c->asked_us = io_->clock()->NowUs();
  c->waits_for_secondary = !primary;
  Question question;
  question.commands = std::move(commands.bytes);
  question.count = commands.count;
  question.db = c->key.db;
  question.protocol = kAnyProtocol;
  (primary ? question.ask_primary : question.ask_secondary) = true;
  question.done = [this, id = c->id, primary, next,
                   count = static_cast<size_t>(commands.count)](const Answers& answers) {
    const auto found = cases_.find(id);
    if (found == cases_.end()) return;  // given up
    Case* answered = found->second.get();
    const auto& replies = primary ? answers.primary : answers.secondary;
    if (!answers.status.ok() || replies.size() != count) {
      answered->begun = false;  // nobody to tell to remove it; it expires
      return Fail(answered, std::string(answers.status.message()));
    }
    (this->*next)(answered, replies);
  };
  lane_->Ask(std::move(question));
}

void Rebuild::OpenGate(Case* c) {
  if (c->gate == 0) return;
  lane_->OpenGate(std::exchange(c->gate, 0));
  gate_opened_();
}

void Rebuild::Fail(Case* c, std::string why, bool not_in_pieces) {
  if (c->begun) RemoveTemporary(*c);
  Finish(c, {.not_in_pieces = not_in_pieces, .why = std::move(why)});
}

void Rebuild::Finish(Case* c, Result result) {
  const auto found = cases_.find(c->id);
  const std::unique_ptr<Case> ended = std::move(found->second);
  cases_.erase(found);
  if (cases_.empty()) {
    timer_->Stop();
    giving_way_ = false;
  }
  OpenGate(ended.get());
  ended->done(result);
}

void Rebuild::RemoveTemporary(const Case& c) {
  Question question;
  question.count = 1;
  question.db = c.key.db;
  question.protocol = kAnyProtocol;
  question.ask_secondary = true;
  CommandBatch batch;
  batch.Add({"UNLINK", c.temporary});
  question.commands = std::move(batch.bytes);
  question.done = [](const Answers&) {};
  lane_->Ask(std::move(question));
}

// A secondary that takes too long must not hold up the key's writers. A replacement that has its place holds up nobody.
void Rebuild::CheckStalls() {
  const int64_t now_us = io_->clock()->NowUs();
  std::vector<uint64_t> stalled;
  for (const auto& [id, c] : cases_) {
    if (c->gate != 0 && c->waits_for_secondary && now_us - c->asked_us > kStallMs * 1000) stalled.push_back(id);
  }
  for (uint64_t id : stalled) {
    if (const auto found = cases_.find(id); found != cases_.end()) {
      found->second->begun = true;  // the piece that it has still to write may be the first
      Fail(found->second.get(), "the secondary took too long for a piece");
    }
  }
}

// What is on its way must not fill the secondary's queue.
PieceLimits Rebuild::LimitsOfPieces() const {
  PieceLimits pieces;
  pieces.bytes = std::min(kPieceBytes, static_cast<size_t>(limits_->secondary_queue_bytes) / 16);
  pieces.items = kPieceItems;
  return pieces;
}

}  // namespace crossfade
