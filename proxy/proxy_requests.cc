// What becomes of a client's request: who acts on it, who may, and what waits.
#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "proxy/proxy.h"

namespace crossfade {

void Proxy::OnRequest(Client* client, const Plan& plan, RequestView request, ReplyTo to) {
  Session& session = client->session();
  const Watches::Asker asker{to, session.db(), session.protocol(), session.login()};
  client->set_last_request_ms(now_ms_monotonic());
  if (session.tracking().on) tracking_->OnRequest(client, plan, request, to.sequence);
  switch (plan.act) {
    case Plan::Act::kTransaction: {
      const bool watching = session.watching();
      std::vector<QueuedCommand> commands = session.TakeTransaction();
      session.set_watching(false);
      if (watching) return watches_->Exec(asker, std::move(commands));
      if (commands.empty()) return client->Answer(to.sequence, "*0\r\n");
      return lane_->SubmitTransaction(std::move(commands), to, asker.db, asker.protocol, asker.login);
    }
    case Plan::Act::kBlock:
      return room_->Enter(asker, *plan.row, request);
    case Plan::Act::kWatch:
      return watches_->Watch(asker, request.bytes());
    case Plan::Act::kSubscribe:
      return feeds_->Subscribe(asker, *plan.row, request);
    case Plan::Act::kMonitor:
      return feeds_->Monitor(asker);
    case Plan::Act::kErrand:
      return errands_->Run(asker, request.bytes(), [this, to](std::string_view reply) {
        return reply.empty() ? OnClientBroken(to.client) : OnAnswer(to, reply);
      });
    case Plan::Act::kService:
      return Serve(client, plan, request, to);
    case Plan::Act::kLocal:
      return AnswerLocally(client, plan, request, to);
    case Plan::Act::kLogin:
      return CheckLogin(client, plan, request, to);
    default:
      return SubmitToLane(client, plan, request, to);
  }
}

namespace {

// What the server would have said, from what ACL DRYRUN says of it (acl.c).
std::string NoPermission(std::string_view dry_run, std::string_view command) {
  if (dry_run.find(" key") != std::string_view::npos) {
    return "NOPERM this user has no permissions to access one of the keys used as arguments";
  }
  if (dry_run.find(" channel") != std::string_view::npos) {
    return "NOPERM this user has no permissions to access one of the channels used as arguments";
  }
  return fmt::format("NOPERM this user has no permissions to run the '{}' command", command);
}

}  // namespace

// Whether another user may run this, only the primary can say; it is asked without being made to run it.
void Proxy::AskPermission(Client* client, const CommandRow& row, RequestView request, ReplyTo to,
                          std::function<void(Client*, std::string refusal)> done) {
  Question question;
  question.ask_primary = true;
  question.protocol = kAnyProtocol;
  question.count = 1;
  std::vector<std::string_view> args{"ACL", "DRYRUN", logins_.Find(client->session().login())->user};
  for (size_t i = 0; i < request.argc(); ++i) args.push_back(request.arg(i));
  AppendCommand(&question.commands, args);
  question.done = [this, to, row = &row, done = std::move(done)](const Answers& answers) {
    const auto found = clients_.find(to.client);
    if (found == clients_.end()) return;
    if (answers.primary.empty()) {
      return done(found->second.get(), "ERR crossfade: the primary can't be asked whether this user may: " +
                                           std::string(answers.status.message()));
    }
    const std::string& answer = answers.primary[0];
    done(found->second.get(), answer == "+OK\r\n" ? "" : NoPermission(answer, row->name));
  };
  lane_->Ask(std::move(question));
}

void Proxy::OnQueued(Client* client, const Plan& plan, RequestView request, ReplyTo to, const std::string& reply) {
  AskPermission(client, *plan.row, request, to, [to, reply](Client* asker, const std::string& refusal) {
    if (refusal.empty()) return asker->Answer(to.sequence, reply);
    asker->session().AbortTransaction();
    std::string error;
    AppendError(&error, refusal);
    asker->Answer(to.sequence, error);
  });
}

void Proxy::AnswerLocally(Client* client, const Plan& plan, RequestView request, ReplyTo to) {
  AskPermission(client, *plan.row, request, to,
                [this, to, row = plan.row, owned = Request(request)](Client* asker, const std::string& refusal) {
                  const bool watched = asker->session().watching();
                  const bool tracked = asker->session().tracking().on;
                  std::string reply;
                  if (refusal.empty()) {
                    asker->session().Answer(*row, owned.view(), &reply);
                  } else {
                    AppendError(&reply, refusal);
                  }
                  if (watched && !asker->session().watching()) OnUnwatched(asker);
                  if (tracked && !asker->session().tracking().on) OnUntracked(asker);
                  asker->Answer(to.sequence, reply);
                });
}

// CLIENT KILL USER: only the server knows which users there are.
void Proxy::ServeIfUserExists(Client* client, const CommandRow& row, RequestView request, ReplyTo to) {
  std::string_view user;
  for (size_t i = 2; row.name == "client|kill" && i + 1 < request.argc(); i += 2) {
    if (EqualsIgnoreCase(request.arg(i), "USER")) user = request.arg(i + 1);
  }
  if (user.empty()) return ServeAllowed(client, row, request, to);
  Question question;
  question.ask_primary = true;
  question.protocol = kAnyProtocol;
  question.count = 1;
  AppendCommand(&question.commands, {"ACL", "GETUSER", user});
  question.done = [this, to, row = &row, name = std::string(user), owned = Request(request)](const Answers& answers) {
    const auto found = clients_.find(to.client);
    if (found == clients_.end()) return;
    if (answers.primary.empty() || !IsNullReply(answers.primary[0])) {
      return ServeAllowed(found->second.get(), *row, owned.view(), to);
    }
    std::string error;
    AppendError(&error, fmt::format("ERR No such user '{}'", name));
    found->second->Answer(to.sequence, error);
  };
  lane_->Ask(std::move(question));
}

void Proxy::Serve(Client* client, const Plan& plan, RequestView request, ReplyTo to) {
  if (client->session().login() == 0) return ServeIfUserExists(client, *plan.row, request, to);
  AskPermission(client, *plan.row, request, to,
                [this, to, row = plan.row, owned = Request(request)](Client* asker, const std::string& refusal) {
                  if (refusal.empty()) return ServeIfUserExists(asker, *row, owned.view(), to);
                  std::string error;
                  AppendError(&error, refusal);
                  asker->Answer(to.sequence, error);
                });
}

void Proxy::ServeAllowed(Client* client, const CommandRow& row, RequestView request, ReplyTo to) {
  if (row.name == "client|tracking") return tracking_->Track(client, request, to);
  std::string reply;
  const bool stays = client_commands_->Answer(client, row, request, &reply);
  client->Answer(to.sequence, reply);
  if (stays) return;
  Forget(client->id());
  client->CloseAfterReplies();
}

void Proxy::SubmitToLane(Client* client, const Plan& plan, RequestView request, ReplyTo to) {
  Session& session = client->session();
  ReadChoice choice;
  if (plan.act == Plan::Act::kRead && !splitter_.Idle(migration().routing)) {
    const std::string_view key = plan.keys.empty() ? std::string_view() : request.arg(plan.keys[0]);
    choice = splitter_.Choose(migration().routing, key, NextDice());
  }
  if (lane_->Submit(plan, request, to, session.db(), session.protocol(), choice, session.login())) {
    client->NoteShifted(to.sequence);
  }
}

// The primary decides who is let in; whether the secondary knows the user too decides whether it may answer reads.
void Proxy::CheckLogin(Client* client, const Plan& plan, RequestView request, ReplyTo to) {
  const auto asked = client->session().AsksStoreForLogin(*plan.row, request);
  errands_->CheckLogin(
      asked->user, asked->password,
      [this, to, row = plan.row, owned = Request(request)](const Errands::Verdict(&verdicts)[2]) {
        const auto found = clients_.find(to.client);
        if (found == clients_.end()) return;
        Session& session = found->second->session();
        const auto credentials = session.AsksStoreForLogin(*row, owned.view());
        const Errands::Verdict& primary = verdicts[static_cast<int>(migration().primary())];
        std::string refusal =
            primary.reached ? primary.refusal : "ERR crossfade: the primary can't be asked: " + primary.refusal;
        LoginId login = 0;
        if (refusal.empty()) {
          login = logins_.Add(credentials->user, credentials->password, verdicts[0].accepted(), verdicts[1].accepted());
          if (login == 0) refusal = "ERR crossfade: too many different users have logged in";
        }
        std::string reply;
        session.LoginDecided(*row, owned.view(), login, refusal, &reply);
        found->second->Answer(to.sequence, reply);
      });
}

bool Proxy::MustWait(Client* client, const CommandRow* row, RequestView request) {
  if (lane_->gates().empty() && !client_commands_->paused()) return false;
  bool waits = client_commands_->Pauses(*client, row, request);
  const Session& session = client->session();
  if (row != nullptr && row->name == "exec") {
    for (const QueuedCommand& queued : session.queued()) {
      waits = waits || lane_->gates().Blocks(*queued.row, queued.request.view());
    }
  } else if (row != nullptr && !session.in_transaction()) {
    waits = waits || lane_->gates().Blocks(*row, request);
  }
  if (waits) {
    held_.push_back(client->id());
    copier_->GiveWay();
  }
  return waits;
}

void Proxy::ResumeHeld() {
  for (uint64_t id : std::exchange(held_, {})) paused_.push_back(id);
  Soon();
}

void Proxy::OnAnswer(ReplyTo to, std::string_view reply) {
  if (!room_->empty() && room_->OnAnswer(to, reply)) return;
  const auto found = clients_.find(to.client);
  if (found != clients_.end()) found->second->Answer(to.sequence, reply);
}

void Proxy::OnWatching(uint64_t client) {
  const auto found = clients_.find(client);
  if (found != clients_.end()) found->second->session().set_watching(true);
}

void Proxy::OnPush(uint64_t client, std::string_view frame) {
  const auto found = clients_.find(client);
  if (found != clients_.end()) found->second->Push(frame);
}

void Proxy::OnSubscriptions(uint64_t client, const Subscriptions& subscriptions) {
  const auto found = clients_.find(client);
  if (found != clients_.end()) found->second->session().set_subscriptions(subscriptions);
}

void Proxy::OnFeedLost(uint64_t client) {
  OnClientBroken(client);
}

}  // namespace crossfade
