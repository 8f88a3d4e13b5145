#include "tests/sim/toy_store.h"

#include <utility>
#include <vector>

#include "fmt/format.h"
#include "protocol/input_buffer.h"
#include "protocol/reply.h"
#include "protocol/request.h"
#include "protocol/resp_parser.h"
#include "protocol/resp_writer.h"
#include "routing/command_table.h"

namespace crossfade::sim {

// One connection, as the server sees it.
class ToySession : public Stream::Listener {
 public:
  ToySession(ToyStore* store, uint64_t id, std::unique_ptr<Stream> stream)
      : store_(store), id_(id), stream_(std::move(stream)) {
    stream_->SetListener(this);
    stream_->SetReading(!store->stalled_);
  }

  void SetReading(bool reading) { stream_->SetReading(reading); }
  const std::string& name() const { return name_; }
  std::string peer() const { return stream_->peer(); }

 private:
  void OnRead(std::string_view bytes) override;
  void OnClosed(const absl::Status&) override { store_->Bury(id_); }

  void Handle(ToyData::Args args, std::string_view bytes, std::string* out);
  bool HandleTransaction(ToyData::Args args, std::string_view bytes, std::string* out);
  void HandleConnection(ToyData::Args args, std::string* out);
  void HandleClient(ToyData::Args args, std::string* out);
  void Hello(ToyData::Args args, std::string* out);
  void Exec(std::string* out);
  void Run(ToyData::Args args, std::string* out);
  void Select(ToyData::Args args, std::string* out);

  struct Watched {
    int db;
    std::string key;
    uint64_t version;
  };

  ToyStore* const store_;
  const uint64_t id_;
  std::unique_ptr<Stream> stream_;
  RequestParser parser_;
  InputBuffer input_;
  std::string name_;
  int db_ = 0, protocol_ = 2;
  bool multi_ = false, spoilt_ = false, closing_ = false;
  std::vector<Request> queued_;
  std::vector<Watched> watched_;
};

namespace {
std::vector<std::string_view> ArgsOf(RequestView request) {
  std::vector<std::string_view> args;
  for (size_t i = 0; i < request.argc(); ++i) args.push_back(request.arg(i));
  return args;
}
}  // namespace

void ToySession::OnRead(std::string_view bytes) {
  std::string_view unread = input_.Join(bytes);
  std::string out;
  while (!unread.empty() && !closing_) {
    RequestView request;
    size_t consumed = 0;
    const ParseResult result = parser_.Parse(unread, &request, &consumed);
    if (result == ParseResult::kNeedMore) break;
    if (result == ParseResult::kError) {
      closing_ = true;
      break;
    }
    const std::vector<std::string_view> args = ArgsOf(request);
    if (!args.empty()) {
      ++store_->commands_;
      Handle(args, request.bytes(), &out);
      if (std::exchange(store_->rubbish_, false)) out += "?rubbish\r\n";
    }
    unread.remove_prefix(consumed);
  }
  if (!out.empty()) stream_->Write(out);
  if (closing_) return store_->Bury(id_);
  input_.Keep(unread, parser_.wanted_bytes());
}

void ToySession::Handle(ToyData::Args args, std::string_view bytes, std::string* out) {
  if (HandleTransaction(args, bytes, out)) return;
  if (ToyData::Find(args[0]) != nullptr) return Run(args, out);
  HandleConnection(args, out);
}

// MULTI, EXEC, DISCARD, WATCH, UNWATCH; and what is queued.
bool ToySession::HandleTransaction(ToyData::Args args, std::string_view bytes, std::string* out) {
  const std::string_view name = args[0];
  if (EqualsIgnoreCase(name, "MULTI")) {
    multi_ = true;
    spoilt_ = false;
    queued_.clear();
    AppendSimple(out, "OK");
  } else if (EqualsIgnoreCase(name, "EXEC")) {
    Exec(out);
  } else if (EqualsIgnoreCase(name, "DISCARD") || EqualsIgnoreCase(name, "UNWATCH")) {
    if (EqualsIgnoreCase(name, "DISCARD")) multi_ = false;
    watched_.clear();
    AppendSimple(out, "OK");
  } else if (EqualsIgnoreCase(name, "WATCH")) {
    for (size_t i = 1; i < args.size(); ++i) {
      store_->data_.Peek(db_, args[i], store_->now_ms());
      watched_.push_back({db_, std::string(args[i]), store_->data_.version(db_, args[i])});
    }
    AppendSimple(out, "OK");
  } else if (multi_) {
    const ToyData::Command* command = ToyData::Find(name);
    const std::string refusal = command == nullptr ? "" : store_->Refusal(*command, name);
    if (!refusal.empty()) {
      spoilt_ = true;
      AppendError(out, refusal);
    } else {
      std::vector<std::string_view> copy(args.begin(), args.end());
      queued_.push_back(MakeRequest(copy));
      AppendSimple(out, "QUEUED");
    }
  } else {
    return false;
  }
  (void)bytes;
  return true;
}

void ToySession::Exec(std::string* out) {
  if (!std::exchange(multi_, false)) return AppendError(out, "ERR EXEC without MULTI");
  const std::vector<Request> queued = std::exchange(queued_, {});
  const std::vector<Watched> watched = std::exchange(watched_, {});
  if (spoilt_) return AppendError(out, "EXECABORT Transaction discarded because of previous errors.");
  for (const Watched& key : watched) {
    store_->data_.Peek(key.db, key.key, store_->now_ms());
    if (store_->data_.version(key.db, key.key) != key.version) return AppendNullArray(out, protocol_);
  }
  AppendArrayHeader(out, queued.size());
  for (const Request& request : queued) {
    const std::vector<std::string_view> args = ArgsOf(request.view());
    if (ToyData::Find(args[0]) != nullptr) {
      Run(args, out);
    } else {
      HandleConnection(args, out);
    }
  }
}

void ToySession::Run(ToyData::Args args, std::string* out) {
  const ToyData::Command& command = *ToyData::Find(args[0]);
  const size_t arity = static_cast<size_t>(std::abs(command.arity));
  if (command.arity > 0 ? args.size() != arity : args.size() < arity) {
    return AppendError(out, fmt::format("ERR wrong number of arguments for '{}' command", command.name));
  }
  if (const std::string refusal = store_->Refusal(command, args[0]); !refusal.empty()) return AppendError(out, refusal);
  ToyData::Call call;
  call.args = args;
  call.db = db_;
  call.protocol = protocol_;
  call.now_ms = store_->now_ms();
  call.chance = &store_->chance_;
  call.out = out;
  store_->Execute(command, call);
}

void ToySession::Select(ToyData::Args args, std::string* out) {
  const auto db = args.size() == 2 ? ParseInt64(args[1]) : std::nullopt;
  if (!db || *db < 0 || *db >= kToyDatabases) return AppendError(out, "ERR DB index is out of range");
  db_ = static_cast<int>(*db);
  AppendSimple(out, "OK");
}

void ToySession::HandleConnection(ToyData::Args args, std::string* out) {
  const std::string_view name = args[0];
  const bool loading = store_->mode_ == ToyStore::Mode::kLoading;
  if (EqualsIgnoreCase(name, "INFO")) return AppendBulk(out, store_->InfoText());
  if (EqualsIgnoreCase(name, "HELLO")) return Hello(args, out);
  if (EqualsIgnoreCase(name, "CLIENT")) return HandleClient(args, out);
  if (EqualsIgnoreCase(name, "AUTH")) return AppendSimple(out, "OK");
  if (EqualsIgnoreCase(name, "SELECT")) return Select(args, out);
  if (EqualsIgnoreCase(name, "CONFIG")) {
    AppendMapHeader(out, 1, protocol_);
    AppendBulk(out, "databases");
    return AppendBulk(out, std::to_string(kToyDatabases));
  }
  if (loading) return AppendError(out, "LOADING Redis is loading the dataset in memory");
  if (EqualsIgnoreCase(name, "PING")) return AppendSimple(out, "PONG");
  if (EqualsIgnoreCase(name, "TIME")) {
    AppendArrayHeader(out, 2);
    AppendBulk(out, std::to_string(store_->now_ms() / 1000));
    return AppendBulk(out, std::to_string(store_->now_ms() % 1000 * 1000));
  }
  if (EqualsIgnoreCase(name, "COMMAND")) return AppendArrayHeader(out, 0);
  if (EqualsIgnoreCase(name, "DBSIZE")) return AppendInteger(out, static_cast<int64_t>(store_->data_.keys(db_).size()));
  if (EqualsIgnoreCase(name, "RESET")) {
    multi_ = false;
    db_ = 0;
    protocol_ = 2;
    return AppendSimple(out, "RESET");
  }
  if (EqualsIgnoreCase(name, "QUIT")) {
    closing_ = true;
    return AppendSimple(out, "OK");
  }
  AppendError(out, fmt::format("ERR unknown command '{}', with args beginning with: ", name));
}

void ToySession::HandleClient(ToyData::Args args, std::string* out) {
  const std::string_view what = args.size() > 1 ? args[1] : "";
  if (EqualsIgnoreCase(what, "ID")) return AppendInteger(out, static_cast<int64_t>(id_));
  if (EqualsIgnoreCase(what, "SETNAME") && args.size() > 2) {
    name_ = args[2];
    return AppendSimple(out, "OK");
  }
  if (EqualsIgnoreCase(what, "LIST")) return AppendBulk(out, store_->ClientList());
  if (EqualsIgnoreCase(what, "KILL") && args.size() > 3 && EqualsIgnoreCase(args[2], "ID")) {
    const uint64_t id = static_cast<uint64_t>(ParseInt64(args[3]).value_or(0));
    const bool there = store_->sessions_.contains(id) && id != id_;
    if (there) store_->DropSession(id);
    return AppendInteger(out, there ? 1 : 0);
  }
  AppendSimple(out, "OK");
}

void ToySession::Hello(ToyData::Args args, std::string* out) {
  if (args.size() > 1) protocol_ = args[1] == "3" ? 3 : 2;
  for (size_t i = 2; i + 1 < args.size(); ++i) {
    if (EqualsIgnoreCase(args[i], "SETNAME")) name_ = args[i + 1];
  }
  AppendMapHeader(out, 2, protocol_);
  AppendBulk(out, "server");
  AppendBulk(out, "redis");
  AppendBulk(out, "proto");
  AppendInteger(out, protocol_);
}

// --- The server ------------------------------------------------------------------------------------------------------

ToyStore::ToyStore(Loop* loop, Net* net, uint16_t port, uint64_t seed, int64_t skew_ms)
    : loop_(loop), net_(net), port_(port), chance_(seed, port), skew_ms_(skew_ms) {
  net_->Listen(port_, [this](std::unique_ptr<Stream> stream) { Accept(std::move(stream)); });
}

ToyStore::~ToyStore() = default;

void ToyStore::Accept(std::unique_ptr<Stream> stream) {
  const uint64_t id = ++last_session_;
  sessions_[id] = std::make_unique<ToySession>(this, id, std::move(stream));
}

void ToyStore::DropSession(uint64_t id) {
  sessions_.erase(id);
}

// Not inside its own callback.
void ToyStore::Bury(uint64_t session) {
  loop_->After(0, [this, session, run = run_] {
    if (run == run_) sessions_.erase(session);
  });
}

void ToyStore::Crash(Loss loss) {
  if (!up_) return;
  up_ = false;
  ++run_;
  last_session_ = 0;
  sessions_.clear();
  net_->StopListening(port_);
  if (loss == Loss::kEverything) data_.Clear();
  if (loss == Loss::kRecent) data_ = saved_;
}

void ToyStore::Restart() {
  if (up_) return;
  up_ = true;
  stalled_ = false;
  mode_ = Mode::kWell;
  started_us_ = loop_->now_us();
  net_->Listen(port_, [this](std::unique_ptr<Stream> stream) { Accept(std::move(stream)); });
}

void ToyStore::Stall(bool stalled) {
  stalled_ = stalled;
  for (auto& [id, session] : sessions_) session->SetReading(!stalled);
}

// Why it does not run this now, in Redis's words; empty: it does.
std::string ToyStore::Refusal(const ToyData::Command& command, std::string_view name) const {
  switch (mode_) {
    case Mode::kWell:
      return {};
    case Mode::kLoading:
      return "LOADING Redis is loading the dataset in memory";
    case Mode::kNoMemory:
      return command.grows ? "OOM command not allowed when used memory > 'maxmemory'." : "";
    case Mode::kReadonly:
      return command.write ? "READONLY You can't write against a read only replica." : "";
    case Mode::kDiskFailed:
      return command.write ? "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist."
                           : "";
    case Mode::kNoPermission:
      return EqualsIgnoreCase(name, "SADD") || EqualsIgnoreCase(name, "SREM")
                 ? "NOPERM User default has no permissions to run the 'sadd' command"
                 : "";
  }
  return {};
}

void ToyStore::Execute(const ToyData::Command& command, const ToyData::Call& call) {
  const size_t before = call.out->size();
  data_.Run(command, call);
  const std::string_view reply = std::string_view(*call.out).substr(before);
  if (command.write && on_write_ && !IsErrorReply(reply)) on_write_(call.db, call.args, reply);
}

std::string ToyStore::InfoText() const {
  std::string text = fmt::format(
      "# Server\r\nredis_version:7.0.15\r\nrun_id:{:040}\r\nuptime_in_seconds:{}\r\nloading:{}\r\nrole:master\r\n# "
      "Keyspace\r\n",
      run_ * 100'000 + port_, (loop_->now_us() - started_us_) / 1'000'000, mode_ == Mode::kLoading ? 1 : 0);
  for (int db = 0; db < kToyDatabases; ++db) {
    if (data_.keys(db).empty()) continue;
    text += fmt::format("db{}:keys={},expires=0,avg_ttl=0\r\n", db, data_.keys(db).size());
  }
  return text;
}

std::string ToyStore::ClientList() const {
  std::string text;
  for (const auto& [id, session] : sessions_) {
    text += fmt::format("id={} addr={} laddr=127.0.0.1:{} name={} db=0\n", id, session->peer(), port_, session->name());
  }
  return text;
}

}  // namespace crossfade::sim
