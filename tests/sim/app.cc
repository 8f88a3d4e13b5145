#include "tests/sim/app.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade::sim {

namespace {

constexpr size_t kMaxStates = 40;
constexpr size_t kMaxPending = 24;

void AppendArgs(const std::vector<std::string>& args, std::string* bytes) {
  std::vector<std::string_view> views(args.begin(), args.end());
  AppendCommand(bytes, views);
}

// The proxy or the store says that it has not run it.
bool NotRun(std::string_view reply) {
  for (std::string_view words : {"-ERR crossfade: the primary", "-OOM ", "-READONLY ", "-MISCONF ", "-LOADING ",
                                 "-NOPERM ", "-EXECABORT ", "-ERR crossfade: shutting down"}) {
    if (reply.starts_with(words)) return true;
  }
  return false;
}

// ack = "both": the primary has run it, and what it answered is not told.
bool RunButNotSaid(std::string_view reply) {
  return reply.starts_with("-ERR crossfade: applied on the primary");
}

}  // namespace

App::App(int number, Loop* loop, Net* net, const Scenario* scenario, Owner* owner)
    : number_(number),
      loop_(loop),
      net_(net),
      scenario_(scenario),
      owner_(owner),
      chance_(scenario->seed, 1000 + static_cast<uint64_t>(number)),
      db_(chance_.Percent(30) ? 1 : 0),
      protocol_(chance_.Percent(40) ? 3 : 2),
      left_(scenario->commands) {
  timer_ = loop->MakeTimer([this] { Work(); });
}

void App::Connect() {
  connecting_ = net_->Connect(scenario_->config.listen.port, 500, [this](absl::StatusOr<std::unique_ptr<Stream>> made) {
    connecting_.reset();
    if (!made.ok()) return Lost();
    stream_ = std::move(*made);
    stream_->SetListener(this);
    stream_->SetReading(true);
    parser_.Reset();
    input_ = InputBuffer();
    greeted_ = false;
    connected_us_ = loop_->now_us();
    Work();
  });
}

void App::Lost() {
  LearnUnanswered();
  pending_.clear();
  verified_ = false;
  dead_ = std::move(stream_);  // it is in the middle of its callback
  if (dead_ != nullptr) dead_name_ = dead_->peer();
  timer_->Start(chance_.Range(1, 60), 0);
}

void App::OnClosed(const absl::Status&) {
  owner_->OnCut(*this, pending_.size());
  Lost();
}

void App::Work() {
  if (stream_ == nullptr) {
    dead_.reset();
    // As long as the proxy may still read what the old connection had sent, nothing could be said of the order.
    if (!dead_name_.empty() && net_->Open(dead_name_)) return timer_->Start(5, 0);
    if (connecting_ == nullptr) Connect();
    return;
  }
  if (verifying_ && !verified_ && pending_.empty()) {
    std::string bytes;
    Greet(&bytes);
    if (doubtful_) {
      SendClear(&bytes);
    } else {
      for (Command& command : ReadAll()) Send(std::move(command), true, &bytes);
      verified_ = true;
    }
    stream_->Write(bytes);
  } else if (!stopped_ && left_ > 0 && pending_.size() < kMaxPending && !blocked()) {
    SendBatch();
  }
  if (left_ > 0 && !stopped_)
    timer_->Start(scenario_->think_us == 0 ? 1 : 1 + chance_.Range(0, 2 * scenario_->think_us) / 1000, 0);
}

void App::Verify() {
  stopped_ = true;
  left_ = 0;
  verifying_ = true;
  verified_ = false;
  Work();
}

void App::SendBatch() {
  std::string bytes;
  Greet(&bytes);
  if (doubtful_ && pending_.empty()) SendClear(&bytes);
  const int64_t count = chance_.Percent(50) ? 1 : chance_.Range(2, 8);
  for (int64_t i = 0; i < count && left_ > 0; ++i, --left_) {
    if (chance_.Percent(6)) {
      SendTransaction(&bytes);
    } else if (scenario_->watches && chance_.Percent(3)) {
      SendWatched(&bytes);
    } else if (scenario_->blocks && chance_.Percent(2)) {
      Send({"BLPOP", "g:l2", "0.3"}, false, &bytes);
      break;
    } else if (chance_.Percent(60)) {
      Send(OwnCommand(), true, &bytes);
    } else {
      Send(SharedCommand(), false, &bytes);
    }
  }
  stream_->Write(bytes);
}

void App::Send(Command args, bool own, std::string* bytes) {
  AppendArgs(args, bytes);
  owner_->OnSent(*this, args);
  Pending& pending = pending_.emplace_back();
  pending.args = std::move(args);
  pending.own = own;
  pending.sent_us = loop_->now_us();
}

void App::Greet(std::string* bytes) {
  if (std::exchange(greeted_, true)) return;
  if (protocol_ == 3) Send({"HELLO", "3"}, false, bytes);
  if (db_ != 0) Send({"SELECT", std::to_string(db_)}, false, bytes);
}

void App::SendClear(std::string* bytes) {
  doubts_ = 0;
  doubtful_ = true;
  Command del{"DEL"};
  for (const Command& read : ReadAll()) del.push_back(read[1]);
  Send(std::move(del), false, bytes);
  pending_.back().clears = true;
}

void App::SendTransaction(std::string* bytes) {
  const bool own = chance_.Percent(60);
  std::vector<Command> block;
  Send({"MULTI"}, false, bytes);
  const int64_t count = chance_.Range(1, 4);
  for (int64_t i = 0; i < count; ++i) {
    Command command = own ? OwnCommand() : SharedCommand();
    block.push_back(command);
    Send(std::move(command), false, bytes);
    pending_.back().queued = true;
  }
  Send({"EXEC"}, own, bytes);
  pending_.back().block = std::move(block);
}

void App::SendWatched(std::string* bytes) {
  Send({"WATCH", "g:s", "g:n"}, false, bytes);
  Send({"GET", "g:s"}, false, bytes);
  Send({"MULTI"}, false, bytes);
  for (const Command& command : {Command{"SET", "g:s", Token()}, Command{"INCR", "g:n"}}) {
    Send(command, false, bytes);
    pending_.back().queued = true;
  }
  Send({"EXEC"}, false, bytes);
}

void App::OnRead(std::string_view bytes) {
  std::string_view unread = input_.Join(bytes);
  size_t size = 0;
  while (!unread.empty()) {
    const ParseResult result = parser_.Parse(unread, &size);
    if (result == ParseResult::kNeedMore) break;
    if (result == ParseResult::kError)
      return owner_->OnWrong(*this, "the proxy's reply is no RESP: " + parser_.error());
    const std::string_view reply = unread.substr(0, size);
    unread.remove_prefix(size);
    OnOneReply(reply);
  }
  input_.Keep(unread, parser_.wanted_bytes());
  if (verifying_ && pending_.empty() && !verified_) timer_->Start(1, 0);
}

void App::OnOneReply(std::string_view reply) {
  if (pending_.empty()) return owner_->OnWrong(*this, "a reply that nobody asked for: " + std::string(reply));
  const Pending pending = std::move(pending_.front());
  pending_.pop_front();
  ++replies_;
  owner_->OnReply(*this, pending.args, reply, loop_->now_us() - pending.sent_us);
  if (pending.clears && !IsErrorReply(reply) && doubts_ == 0) {
    doubtful_ = false;
    states_.assign(1, ToyData());
    return;
  }
  if (pending.own && !doubtful_) Learn(pending, reply);
}

std::string App::Model(ToyData* state, const Command& args, std::string_view reply) {
  std::vector<std::string_view> views(args.begin(), args.end());
  std::string out;
  // Which one is popped is the server's choice: the model takes the same.
  if (args[0] == "SPOP") {
    auto& keys = state->mutable_keys(db_);
    const auto found = keys.find(args[1]);
    if (found == keys.end()) {
      AppendNull(&out, protocol_);
      return out;
    }
    const Reply popped = ParseReply(reply);
    if (!popped.is_text() || found->second.members.erase(std::string(popped.text)) == 0) return {};
    if (found->second.empty()) keys.erase(found);
    return std::string(reply);
  }
  ToyData::Call call;
  call.args = views;
  call.db = db_;
  call.protocol = protocol_;
  call.now_ms = SimIo::kEpochMs + loop_->now_us() / 1000;
  call.out = &out;
  state->Run(*ToyData::Find(args[0]), call);
  return out;
}

// Would this state have answered so? Changes the state to what comes after.
bool App::Explains(ToyData* state, const Pending& pending, std::string_view reply) {
  if (pending.block.empty()) return Model(state, pending.args, reply) == reply;
  const Reply exec = ParseReply(reply);
  if (exec.items.size() != pending.block.size()) return false;
  for (size_t i = 0; i < pending.block.size(); ++i) {
    std::string item, expected;
    AppendReply(&item, exec.items[i]);
    const std::string modelled = Model(state, pending.block[i], item);
    if (modelled.empty()) return false;
    AppendReply(&expected, ParseReply(modelled));
    if (item != expected) return false;
  }
  return true;
}

void App::Learn(const Pending& pending, std::string_view reply) {
  if (NotRun(reply)) return;
  if (RunButNotSaid(reply)) {
    states_ = AfterUnsaid(std::move(states_), pending);
    return Deduplicate(&states_);
  }
  std::vector<ToyData> left;
  for (const ToyData& state : states_) {
    ToyData next = state;
    if (Explains(&next, pending, reply)) left.push_back(std::move(next));
  }
  if (left.empty()) {
    std::string text = fmt::format("app {}", number_);
    for (const std::string& arg : pending.args) text += " " + arg;
    for (const Command& command : pending.block) {
      text += " [";
      for (const std::string& arg : command) text += arg + " ";
      text += "]";
    }
    ToyData first = states_[0];
    text += fmt::format(": answered {:?}, which no possible state explains (of {}; the first would say {:?})", reply,
                        states_.size(), pending.block.empty() ? Model(&first, pending.args, reply) : "…");
    return owner_->OnWrong(*this, text);
  }
  Deduplicate(&left);
  states_ = std::move(left);
}

// It was carried out, and what it answered is not known: every member may have been popped.
std::vector<ToyData> App::AfterUnsaid(std::vector<ToyData> states, const Pending& pending) {
  for (const Command& command : pending.block.empty() ? std::vector<Command>{pending.args} : pending.block) {
    std::vector<ToyData> next;
    for (ToyData& state : states) {
      const auto found = state.keys(db_).find(command[1]);
      if (command[0] != "SPOP" || found == state.keys(db_).end()) {
        Model(&state, command, "");
        next.push_back(std::move(state));
        continue;
      }
      for (const std::string& member : found->second.members) {
        std::string reply;
        AppendBulk(&reply, member);
        next.push_back(state);
        Model(&next.back(), command, reply);
      }
    }
    Deduplicate(&next);
    states = std::move(next);
  }
  return states;
}

// The connection broke: of what was asked, the first so many were carried out; and a store that refused some meanwhile
// (full, read-only) may have left out any.
void App::LearnUnanswered() {
  std::vector<ToyData> all = states_;
  std::vector<ToyData> current = states_;
  for (const Pending& pending : pending_) {
    if (pending.clears) doubtful_ = true;
    if (!pending.own || doubtful_) continue;
    current = AfterUnsaid(scenario_->Has(Action::Kind::kMode) ? all : std::move(current), pending);
    all.insert(all.end(), current.begin(), current.end());
  }
  Deduplicate(&all);
  states_ = std::move(all);
}

void App::Deduplicate(std::vector<ToyData>* states) {
  std::vector<ToyData> unique;
  for (ToyData& state : *states) {
    const bool known =
        std::any_of(unique.begin(), unique.end(), [&](const ToyData& other) { return other.SameContent(state); });
    if (!known) unique.push_back(std::move(state));
  }
  *states = std::move(unique);
  if (states->size() <= kMaxStates) return;
  Doubt();
  states->resize(1);
}

}  // namespace crossfade::sim
