#include "routing/plan.h"

#include <algorithm>

#include "fmt/format.h"
#include "protocol/resp_writer.h"
#include "routing/companion.h"
#include "routing/rewrite_stream.h"

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
    args += fmt::format("'{}' ", request.arg(i).substr(0, kShownArgument - args.size()));
  }
  return fmt::format("ERR unknown command '{}', with args beginning with: {}", request.arg(0).substr(0, kShownArgument),
                     args);
}

// Why a command that the server would know is not carried out here; empty when it is.
std::string RefusalOf(const CommandRow& row, RequestView request, const Session& session) {
  if (row.route == Route::kRefused) {
    // Clients look at the words in which a server says that it is no cluster.
    if (row.refusal.starts_with("This instance")) return fmt::format("ERR {}", row.refusal);
    return fmt::format("ERR '{}' is refused: {}", row.name, row.refusal);
  }
  if ((row.name == "xread" || row.name == "xreadgroup") && ReadStreamReadOptions(request).block) {
    return fmt::format("ERR crossfade: {} with BLOCK is not built yet; leave BLOCK out and ask again after a pause",
                       row.name);
  }
  const bool runs_at_once =
      row.name == "exec" || row.name == "discard" || row.name == "multi" || row.name == "quit" || row.name == "reset";
  const bool forwardable = row.name == "ping" || row.name == "echo";
  if (session.in_transaction() && row.route == Route::kLocal && !runs_at_once && !forwardable) {
    return fmt::format("ERR crossfade: '{}' inside MULTI is not built yet; send it before MULTI", row.name);
  }
  return {};
}

// What a server refuses before it looks at the arguments; empty when it goes on.
std::string CheckRequest(const CommandRow* row, RequestView request, const Session& session) {
  if (row == nullptr) return UnknownCommand(request, false);
  if (request.argc() > 1 && row->route == Route::kRefused && IsContainer(*row)) return UnknownCommand(request, true);
  if (!ArityMatches(*row, request.argc())) {
    return fmt::format("ERR wrong number of arguments for '{}' command", row->name);
  }
  if (!session.authenticated() && (row->flags & kFlagNoAuth) == 0) return "NOAUTH Authentication required.";
  return RefusalOf(*row, request, session);
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
      return Plan::Act::kRead;
    case Route::kBoth:
      return Plan::Act::kBoth;
    case Route::kWrite:
      break;
    case Route::kLocal:
    case Route::kRefused:
      return Plan::Act::kAnswer;
  }
  // SORT and GEORADIUS write only with STORE.
  const bool stores = row.effect != Effect::kCopyKeys || !WrittenKeys(row, request).empty();
  return stores ? Plan::Act::kWrite : Plan::Act::kRead;
}

}  // namespace

Plan MakePlan(RequestView request, Session* session, std::string* reply) {
  Plan plan;
  plan.row = FindCommand(request);
  const std::string refusal = CheckRequest(plan.row, request, *session);
  if (!refusal.empty()) {
    session->AbortTransaction();
    AppendError(reply, refusal);
    return plan;
  }
  const CommandRow& row = *plan.row;
  if (row.name == "exec") {
    if (!session->in_transaction()) {
      AppendError(reply, "ERR EXEC without MULTI");
    } else if (session->transaction_aborted()) {
      session->TakeTransaction();
      AppendError(reply, "EXECABORT Transaction discarded because of previous errors.");
    } else {
      plan.act = Plan::Act::kTransaction;
    }
    return plan;
  }
  const bool runs_at_once = row.name == "multi" || row.name == "discard" || row.name == "quit" || row.name == "reset";
  if (session->in_transaction() && !runs_at_once) {
    session->Queue(row, request, reply);
    return plan;
  }
  if (row.route == Route::kLocal) {
    plan.act = session->Answer(row, request, reply) ? Plan::Act::kAnswer : Plan::Act::kAnswerClose;
    return plan;
  }
  plan.act = ActOf(row, request);
  plan.comparable = !ReadsUnnamedKeys(row, request);
  plan.primary_only = row.route == Route::kPrimaryRead || !plan.comparable;
  plan.keys = FindKeys(row, request);
  return plan;
}

}  // namespace crossfade
