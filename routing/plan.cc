#include "routing/plan.h"

#include <algorithm>

#include "fmt/format.h"
#include "protocol/resp_writer.h"
#include "routing/blocking.h"
#include "routing/companion.h"
#include "routing/module_commands.h"

namespace crossfade {

namespace {

constexpr size_t kShownArgument = 128;  // as servers do: enough to recognise a mistake by

// The texts are those of Redis 7.0 (server.c, commandCheckExistence): client libraries look at them.
std::string UnknownCommand(RequestView request, bool subcommand) {
  if (subcommand) {
    std::string container(request.arg(0));
    std::transform(container.begin(), container.end(), container.begin(), [](unsigned char c) { return toupper(c); });
    return fmt::format("ERR unknown subcommand '{}'. Try {} HELP.", request.arg(1).substr(0, kShownArgument),
                       container);
  }
  std::string args;
  for (size_t i = 1; i < request.argc() && args.size() < kShownArgument; ++i) {
    args += fmt::format("'{}' ", UntilNul(request.arg(i).substr(0, kShownArgument - args.size())));
  }
  return fmt::format("ERR unknown command '{}', with args beginning with: {}",
                     UntilNul(request.arg(0).substr(0, kShownArgument)), args);
}

bool IsClusterRefusal(const CommandRow& row) {
  return row.refusal.starts_with("This instance");
}

bool RunsAtOnceInTransaction(const CommandRow& row) {
  return row.name == "exec" || row.name == "discard" || row.name == "multi" || row.name == "quit" ||
         row.name == "reset" || row.name == "watch";
}

// What can't be part of a block, since it concerns the connection or other clients.
bool FitsTransaction(const CommandRow& row) {
  switch (row.route) {
    case Route::kService:
    case Route::kAdmin:
      return false;
    case Route::kPrivate:
      return row.name == "wait" || row.name == "waitaof" || row.name == "function|stats";  // there they don't wait
    case Route::kLocal:
      return row.name != "hello" && row.name != "auth" && row.name != "client|reply";
    default:
      return true;
  }
}

// Why a command that the server would know is not carried out here; empty when it is.
std::string RefusalOf(const CommandRow& row, const Session& session) {
  if (row.route == Route::kRefused) {
    if (session.in_transaction() && IsClusterRefusal(row)) return {};  // queued; the server refuses it in EXEC
    // Clients look at the words in which a server says that it is no cluster.
    if (IsClusterRefusal(row)) return fmt::format("ERR {}", row.refusal);
    return fmt::format("ERR '{}' is refused: {}", row.name, row.refusal);
  }
  if (!row.refusal.empty() && !session.admin_commands()) {
    return fmt::format("ERR '{}' is refused: {}", row.name, row.refusal);
  }
  if (session.in_transaction() && !RunsAtOnceInTransaction(row) && !FitsTransaction(row)) {
    return fmt::format(
        "ERR '{}' is refused inside MULTI: it concerns the connection or other clients, and Crossfade's connections to "
        "the stores are shared. Send it before MULTI or after EXEC.",
        row.name);
  }
  const bool fits_subscribed =
      row.name == "ping" || row.name == "quit" || row.name == "reset" || row.name.ends_with("subscribe");
  if (session.subscribed_only() && !fits_subscribed) {
    return fmt::format(
        "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
        "context",
        row.name);
  }
  return {};
}

// What a server refuses before it looks at the arguments; empty when it goes on.
std::string CheckRequest(const CommandRow* row, RequestView request, const Session& session) {
  if (row == nullptr) return UnknownCommand(request, false);
  // What the table knows and this server doesn't, it must not know here either: clients go by that.
  const ModuleCommands* server = session.modules();
  if (server != nullptr && !server->Known(*row) && IsNewer(*row)) {
    return UnknownCommand(request, row->name.find('|') != std::string_view::npos);
  }
  if (request.argc() > 1 && row->route == Route::kRefused && IsContainer(*row)) return UnknownCommand(request, true);
  if (!ArityMatches(server == nullptr ? row->arity : server->ArityOf(*row), request.argc())) {
    return fmt::format("ERR wrong number of arguments for '{}' command", row->name);
  }
  if (!session.authenticated() && (row->flags & kFlagNoAuth) == 0) return "NOAUTH Authentication required.";
  return RefusalOf(*row, session);
}

// The patterns of SORT's BY and GET name keys that nobody can list: whether those are dirty can't be told.
bool ReadsUnnamedKeys(const CommandRow& row, RequestView request) {
  if (row.name != "sort" && row.name != "sort_ro") return false;
  for (size_t i = 2; i < request.argc(); ++i) {
    if (EqualsIgnoreCase(request.arg(i), "BY") || EqualsIgnoreCase(request.arg(i), "GET")) return true;
  }
  return false;
}

Plan::Act ActOf(const CommandRow& row, RequestView request) {
  switch (row.route) {
    case Route::kRead:
    case Route::kPrimaryRead:
      return MayBlock(row, request) ? Plan::Act::kBlock : Plan::Act::kRead;
    case Route::kBoth:
      return Plan::Act::kBoth;
    case Route::kWrite:
      break;
    case Route::kService:
      return Plan::Act::kService;
    case Route::kPrivate:
      if (row.name == "watch") return Plan::Act::kWatch;
      if (row.name == "monitor") return Plan::Act::kMonitor;
      return row.name.ends_with("subscribe") ? Plan::Act::kSubscribe : Plan::Act::kErrand;
    case Route::kAdmin:
      return Plan::Act::kErrand;
    case Route::kLocal:
    case Route::kRefused:
      return Plan::Act::kAnswer;
  }
  if (MayBlock(row, request)) return Plan::Act::kBlock;
  // SORT and GEORADIUS write only with STORE.
  const bool stores = row.effect != Effect::kCopyKeys || !WrittenKeys(row, request).empty();
  return stores ? Plan::Act::kWrite : Plan::Act::kRead;
}

Plan::Act PlanExec(Session* session, std::string* reply) {
  if (!session->in_transaction()) {
    AppendError(reply, "ERR EXEC without MULTI");
  } else if (session->transaction_aborted()) {
    session->TakeTransaction();
    session->set_watching(false);
    AppendError(reply, "EXECABORT Transaction discarded because of previous errors.");
  } else {
    return Plan::Act::kTransaction;
  }
  return Plan::Act::kAnswer;
}

// A refused command spoils the transaction; a refused EXEC ends it (multi.c, execCommandAbort).
void Refuse(const CommandRow* row, std::string_view refusal, Session* session, std::string* reply) {
  if (row == nullptr || row->name != "exec") {
    session->AbortTransaction();
    return AppendError(reply, refusal);
  }
  session->TakeTransaction();
  session->set_watching(false);
  if (refusal.starts_with("ERR ")) refusal.remove_prefix(4);
  AppendError(reply, fmt::format("EXECABORT Transaction discarded because of: {}", refusal));
}

}  // namespace

const CommandRow* FindRow(RequestView request, const Session& session) {
  const CommandRow* row = FindCommand(request);
  if (session.modules() == nullptr) return row;
  // A container's own row stands for subcommands that the table doesn't know.
  const bool unknown = row == nullptr || (row->route == Route::kRefused && request.argc() > 1 && IsContainer(*row));
  const CommandRow* learnt = unknown ? session.modules()->Find(request) : nullptr;
  return learnt != nullptr ? learnt : row;
}

bool RunsAlone(const CommandRow* row, RequestView request, const Session& session) {
  if (row == nullptr) return false;
  if (row->name == "exec") {
    const bool judged = session.in_transaction() && session.login() != 0;  // what was queued has been, by then
    return session.watching() || session.exec_concerns_session() || judged;
  }
  if (session.login() != 0 && row->route == Route::kLocal && RunsAtOnceInTransaction(*row)) return true;
  if (session.in_transaction()) return false;
  switch (row->route) {
    case Route::kService:
    case Route::kPrivate:
    case Route::kAdmin:
      return true;
    case Route::kLocal:
      return row->name == "auth" || row->name == "hello" || row->name == "reset" || session.login() != 0;
    default:
      return (row->flags & kFlagBlocking) != 0 && MayBlock(*row, request);
  }
}

Plan MakePlan(const CommandRow* found, RequestView request, Session* session, std::string* reply) {
  Plan plan;
  plan.row = found;
  session->NoteCommand(found);
  const std::string refusal = CheckRequest(plan.row, request, *session);
  if (!refusal.empty()) {
    Refuse(plan.row, refusal, session, reply);
    return plan;
  }
  const CommandRow& row = *plan.row;
  session->set_last_command(row.name);
  if (row.name == "exec") {
    plan.act = PlanExec(session, reply);
    return plan;
  }
  if (session->in_transaction()) {
    if (row.name == "watch") {
      // As in Redis 7: an error that leaves the transaction as it is (multi.c, watchCommand).
      AppendError(reply, "ERR WATCH inside MULTI is not allowed");
      return plan;
    }
    if (!RunsAtOnceInTransaction(row)) {
      session->Queue(row, request, reply);
      if (session->login() != 0) plan.act = Plan::Act::kQueued;
      return plan;
    }
  }
  if (row.route == Route::kLocal) {
    if ((row.name == "auth" || row.name == "hello") && session->AsksStoreForLogin(row, request)) {
      plan.act = Plan::Act::kLogin;
      return plan;
    }
    // What another user may do, the server decides. A login, and the end, are everybody's.
    const bool anybody = row.name == "auth" || row.name == "hello" || row.name == "quit" || row.name == "reset";
    if (session->login() != 0 && !anybody) {
      plan.act = Plan::Act::kLocal;
      return plan;
    }
    plan.act = session->Answer(row, request, reply) ? Plan::Act::kAnswer : Plan::Act::kAnswerClose;
    return plan;
  }
  plan.act = ActOf(row, request);
  plan.comparable = !ReadsUnnamedKeys(row, request);
  // Under WATCH the application decides by what it reads: that is what the primary has. And the primary's changes are
  // what it is told of when it tracks.
  plan.primary_only =
      row.route == Route::kPrimaryRead || !plan.comparable || session->watching() || session->tracking().on;
  plan.keys = FindKeys(row, request);
  return plan;
}

}  // namespace crossfade
