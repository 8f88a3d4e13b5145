#include "proxy/errands.h"

#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

void Errands::Run(const Asker& asker, std::string_view request, std::function<void(std::string_view)> done) {
  auto taken = pool_->Take({lane_->primary().side(), asker.login, asker.protocol, asker.db});
  if (!taken.ok()) {
    std::string error;
    AppendError(&error, fmt::format("ERR crossfade: {}", std::string(taken.status().message())));
    return done(error);
  }
  std::string commands;
  AppendCommand(&commands, {"PING"});
  commands.append(request);
  const uint64_t client = asker.to.client;
  PrivateConnection* connection = taken->get();
  running_[client] = std::move(*taken);
  connection->Call(commands, 2, 0, [this, client, done = std::move(done)](const PrivateConnection::Replies& replies) {
    const auto found = running_.find(client);
    if (found == running_.end()) return;
    std::unique_ptr<PrivateConnection> connection = std::move(found->second);
    running_.erase(found);
    const std::string reply = replies.ok() ? replies->back() : "";
    if (replies.ok()) pool_->GiveBack(std::move(connection));
    done(reply);
  });
}

void Errands::CheckLogin(std::string_view user, std::string_view password,
                         std::function<void(const Verdict (&verdicts)[2])> done) {
  struct Check {
    Verdict verdicts[2];
    int left = 2;
    std::function<void(const Verdict (&)[2])> done;
  };
  auto check = std::make_shared<Check>();  // its second owner is the other side's callback
  check->done = std::move(done);
  for (Side side : {Side::kOld, Side::kNew}) {
    const auto judged = [check, side](bool reached, std::string refusal) {
      check->verdicts[static_cast<int>(side)] = {reached, std::move(refusal)};
      if (--check->left == 0) check->done(check->verdicts);
    };
    auto taken = lane_->link(side).up() ? pool_->TakeBare(side) : absl::UnavailableError("it is away");
    if (!taken.ok()) {
      judged(false, std::string(taken.status().message()));
      continue;
    }
    const uint64_t id = ++last_check_;
    PrivateConnection* connection = taken->get();
    checks_[id] = std::move(*taken);
    std::string auth;
    AppendCommand(&auth, {"AUTH", user, password});
    connection->Call(auth, 1, config_->timeouts.connect_ms,
                     [this, id, judged](const PrivateConnection::Replies& replies) {
                       const std::unique_ptr<PrivateConnection> over = std::move(checks_[id]);
                       checks_.erase(id);
                       if (!replies.ok()) return judged(false, std::string(replies.status().message()));
                       const Reply reply = ParseReply(replies->front());
                       judged(true, reply.is_error() ? std::string(reply.text) : "");
                     });
  }
}

}  // namespace crossfade
