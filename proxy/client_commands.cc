#include "proxy/client_commands.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

namespace {

constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";

void AppendText(std::string_view text, int protocol, std::string* reply) {
  if (protocol == 3) {
    reply->append(fmt::format("={}\r\ntxt:{}\r\n", text.size() + 4, text));
  } else {
    AppendBulk(reply, text);
  }
}

// What a refused CLIENT KILL comes to: nobody is killed.
bool Refuse(std::string* reply, std::string_view error) {
  AppendError(reply, error);
  return true;
}

bool IsType(std::string_view word) {
  for (std::string_view type : {"normal", "master", "replica", "slave", "pubsub"}) {
    if (EqualsIgnoreCase(word, type)) return true;
  }
  return false;
}

}  // namespace

ClientCommands::ClientCommands(Io* io, const Clients* clients, WaitingRoom* room, std::string listen_address,
                               std::function<void(Client*)> kill, std::function<void()> unpaused)
    : io_(io),
      clients_(clients),
      room_(room),
      listen_address_(std::move(listen_address)),
      kill_(std::move(kill)),
      unpaused_(std::move(unpaused)) {
  pause_timer_ = io_->clock()->MakeTimer([this] { EndPause(); });
}

bool ClientCommands::Answer(Client* asker, const CommandRow& row, RequestView request, std::string* reply) {
  const std::string_view name = row.name;
  if (name == "client|info") {
    AppendText(Line(*asker) + "\n", asker->session().protocol(), reply);
  } else if (name == "client|list") {
    std::string lines;
    List(request, &lines);
    if (lines.starts_with('-')) {
      reply->append(lines);
    } else {
      AppendText(lines, asker->session().protocol(), reply);
    }
  } else if (name == "client|kill") {
    return Kill(asker, request, reply);
  } else if (name == "client|pause") {
    StartPause(request, reply);
  } else if (name == "client|unpause") {
    EndPause();
    AppendSimple(reply, "OK");
  } else {
    Unblock(request, reply);
  }
  return true;
}

std::string ClientCommands::Line(const Client& client) const {
  ConnectionFigures figures = client.Figures(io_->clock()->NowUs() / 1000);
  figures.blocked = room_->Waits(client.id());
  figures.listen_address = listen_address_;
  return client.session().Describe(figures);
}

// A subscriber in RESP2 is of the type pubsub (networking.c, getClientType).
std::string_view ClientCommands::TypeOf(const Client& client) {
  return client.session().subscriptions().any() ? "pubsub" : "normal";
}

// Appends lines, or one error.
void ClientCommands::List(RequestView request, std::string* lines) const {
  std::vector<const Client*> chosen;
  for (const auto& [id, client] : *clients_) {
    if (!client->closing()) chosen.push_back(client.get());
  }
  std::sort(chosen.begin(), chosen.end(), [](const Client* a, const Client* b) { return a->id() < b->id(); });
  if (request.argc() == 4 && EqualsIgnoreCase(request.arg(2), "TYPE")) {
    if (!IsType(request.arg(3))) return AppendError(lines, fmt::format("ERR Unknown client type '{}'", request.arg(3)));
    std::erase_if(chosen, [&](const Client* client) { return !EqualsIgnoreCase(TypeOf(*client), request.arg(3)); });
  } else if (request.argc() > 3 && EqualsIgnoreCase(request.arg(2), "ID")) {
    std::vector<int64_t> ids;
    for (size_t i = 3; i < request.argc(); ++i) {
      const auto id = ParseInt64(request.arg(i));
      if (!id) return AppendError(lines, "ERR Invalid client ID");
      ids.push_back(*id);
    }
    std::erase_if(chosen, [&](const Client* client) {
      return std::find(ids.begin(), ids.end(), static_cast<int64_t>(client->id())) == ids.end();
    });
  } else if (request.argc() != 2) {
    return AppendError(lines, "ERR syntax error");
  }
  for (const Client* client : chosen) *lines += Line(*client) + "\n";
}

bool ClientCommands::Kill(Client* asker, RequestView request, std::string* reply) {
  if (request.argc() != 3) return KillByFilters(asker, request, reply);
  for (const auto& [id, client] : *clients_) {
    if (client->closing() || client->session().address() != request.arg(2)) continue;
    AppendSimple(reply, "OK");
    if (client.get() == asker) return false;
    kill_(client.get());
    return true;
  }
  return Refuse(reply, "ERR No such client");
}

// CLIENT KILL filter value …: how many were killed. The asker is spared unless SKIPME no.
bool ClientCommands::KillByFilters(Client* asker, RequestView request, std::string* reply) {
  std::optional<int64_t> wanted_id;
  std::string_view address, listen, type, user;
  bool skip_me = true;
  if (request.argc() % 2 != 0) return Refuse(reply, "ERR syntax error");
  for (size_t i = 2; i + 1 < request.argc(); i += 2) {
    const std::string_view filter = request.arg(i), value = request.arg(i + 1);
    if (EqualsIgnoreCase(filter, "ID")) {
      wanted_id = ParseInt64(value);
      if (!wanted_id || *wanted_id < 1) return Refuse(reply, "ERR client-id should be greater than 0");
    } else if (EqualsIgnoreCase(filter, "TYPE")) {
      if (!IsType(value)) return Refuse(reply, fmt::format("ERR Unknown client type '{}'", value));
      type = value;
    } else if (EqualsIgnoreCase(filter, "ADDR")) {
      address = value;
    } else if (EqualsIgnoreCase(filter, "LADDR")) {
      listen = value;
    } else if (EqualsIgnoreCase(filter, "USER")) {
      user = value;
    } else if (EqualsIgnoreCase(filter, "SKIPME") && EqualsIgnoreCase(value, "yes")) {
      skip_me = true;
    } else if (EqualsIgnoreCase(filter, "SKIPME") && EqualsIgnoreCase(value, "no")) {
      skip_me = false;
    } else {
      return Refuse(reply, "ERR syntax error");
    }
  }
  std::vector<Client*> victims;
  for (const auto& [id, client] : *clients_) {
    const bool spared = client->closing() || (skip_me && client.get() == asker) ||
                        (wanted_id && static_cast<int64_t>(id) != *wanted_id) ||
                        (!address.empty() && client->session().address() != address) ||
                        (!listen.empty() && listen_address_ != listen) ||
                        (!type.empty() && !EqualsIgnoreCase(TypeOf(*client), type)) ||
                        (!user.empty() && client->session().user() != user);
    if (!spared) victims.push_back(client.get());
  }
  AppendInteger(reply, static_cast<int64_t>(victims.size()));
  bool stays = true;
  for (Client* victim : victims) {
    if (victim == asker) {
      stays = false;
    } else {
      kill_(victim);
    }
  }
  return stays;
}

void ClientCommands::StartPause(RequestView request, std::string* reply) {
  if (request.argc() > 4) return AppendError(reply, "ERR syntax error");
  Pause pause = Pause::kAll;
  if (request.argc() == 4) {
    if (EqualsIgnoreCase(request.arg(3), "WRITE")) {
      pause = Pause::kWrites;
    } else if (!EqualsIgnoreCase(request.arg(3), "ALL")) {
      return AppendError(reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
  }
  const auto ms = ParseInt64(request.arg(2));
  if (!ms) return AppendError(reply, "ERR timeout is not an integer or out of range");
  if (*ms < 0) return AppendError(reply, "ERR timeout is negative");
  AppendSimple(reply, "OK");
  // The stricter and the longer of two pauses counts (networking.c, pauseClients).
  constexpr int64_t kLongestPauseMs = int64_t{365} * 24 * 3600 * 1000;
  const int64_t now_us = io_->clock()->NowUs();
  pause_until_us_ = std::max(pause_until_us_, now_us + std::min(*ms, kLongestPauseMs) * 1000);
  pause_ = std::max(pause_, pause);
  pause_timer_->Start((pause_until_us_ - now_us + 999) / 1000, 0);
}

void ClientCommands::EndPause() {
  if (!paused()) return;
  pause_timer_->Stop();
  pause_ = Pause::kNone;
  pause_until_us_ = 0;
  unpaused_();
}

bool ClientCommands::Pauses(const Client& client, const CommandRow* row, RequestView) const {
  if (pause_ == Pause::kNone || row == nullptr) return false;
  if (pause_ == Pause::kAll) return true;
  const auto writes = [](const CommandRow& command) {
    return command.route == Route::kWrite || command.route == Route::kBoth;
  };
  const Session& session = client.session();
  if (row->name != "exec") return writes(*row);  // also where it is only queued
  return std::any_of(session.queued().begin(), session.queued().end(),
                     [&](const QueuedCommand& queued) { return writes(*queued.row); });
}

void ClientCommands::Unblock(RequestView request, std::string* reply) {
  bool with_error = false;
  if (request.argc() == 4) {
    with_error = EqualsIgnoreCase(request.arg(3), "ERROR");
    if (!with_error && !EqualsIgnoreCase(request.arg(3), "TIMEOUT")) {
      return AppendError(reply, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
  } else if (request.argc() > 4) {
    return AppendError(reply, "ERR syntax error");
  }
  const auto id = ParseInt64(request.arg(2));
  if (!id) return AppendError(reply, kNotAnInteger);
  AppendInteger(reply, *id > 0 && room_->Unblock(static_cast<uint64_t>(*id), with_error) ? 1 : 0);
}

}  // namespace crossfade
