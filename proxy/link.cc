#include "proxy/link.h"

#include <algorithm>
#include <string>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

Link::Link(Io* io, Side side, const BackendConfig& backend, const TimeoutsConfig* timeouts, Owner* owner)
    : io_(io),
      side_(side),
      timeouts_(timeouts),
      owner_(owner),
      upstream_(io, backend, timeouts, this),
      backend_(backend) {}

// RESET comes first: were the login refused, AUTH alone would leave the connection with the rights of whoever was
// before. After RESET it is the default user's, which is what anybody has who just connects.
void Link::SwitchLogin(LoginId login, int protocol, int64_t now_us, std::string* out) {
  const Logins::Login* other = login == 0 ? nullptr : logins_->Find(login);
  const std::string_view user = other != nullptr ? std::string_view(other->user) : backend_.user;
  const std::string_view password = other != nullptr ? std::string_view(other->password) : backend_.password;
  login_ = login;
  AppendCommand(out, {"RESET"});
  Owe(nullptr, Owed::What::kSwitch, now_us);
  const std::string version = std::to_string(protocol);
  if (login == 0 && password.empty()) {
    AppendCommand(out, {"HELLO", version, "SETNAME", name_});
  } else {
    AppendCommand(out, {"HELLO", version, "AUTH", user.empty() ? "default" : user, password, "SETNAME", name_});
  }
  Owe(nullptr, Owed::What::kLogin, now_us);
  protocol_ = protocol;
  db_ = 0;
}

void Link::Switch(int db, int protocol, int64_t now_us, LoginId login) {
  if (protocol == kAnyProtocol) protocol = protocol_;
  if (!info().resp3) protocol = 2;
  if (db == db_ && protocol == protocol_ && login == login_) return;
  std::string out;
  if (login != login_) SwitchLogin(login, protocol, now_us, &out);
  if (protocol != protocol_) {
    AppendCommand(&out, {"HELLO", protocol == 3 ? "3" : "2"});
    Owe(nullptr, Owed::What::kSwitch, now_us);
  }
  if (db != db_) {
    AppendCommand(&out, {"SELECT", std::to_string(db)});
    Owe(nullptr, Owed::What::kSwitch, now_us);
  }
  db_ = db;
  protocol_ = protocol;
  Write(out);
}

void Link::Owe(Slot* slot, Owed::What what, int64_t now_us) {
  owed_.Push() = Owed{slot, what, login_, now_us};
}

int64_t Link::OldestOwedUs(int64_t now_us) const {
  return owed_.empty() ? 0 : std::max<int64_t>(0, now_us - owed_[owed_.begin()].sent_us);
}

bool Link::TakeOwed(Owed* owed) {
  if (owed_.empty()) return false;
  *owed = owed_.front();
  owed_.Pop();
  return true;
}

void Link::Tick(int64_t now_us, int64_t wall_ms) {
  if (!up()) return;
  if (!owed_.empty()) {
    const int64_t since = std::max(last_read_us(), owed_.front().sent_us);
    if (now_us - since > timeouts_->response_ms * 1000) {
      return Cut(absl::DeadlineExceededError(fmt::format("no reply for {} ms", timeouts_->response_ms)));
    }
  }
  // One clock question at a time: a backend that is stuck isn't asked again and again.
  if (clock_asked_ms_ != 0) return;
  clock_asked_ms_ = wall_ms;
  Switch(db_, protocol_, now_us);  // another user may not be allowed to ask
  std::string out;
  AppendCommand(&out, {"TIME"});
  Write(out);
  Owe(nullptr, Owed::What::kClock, now_us);
}

void Link::OnUp() {
  db_ = 0;
  login_ = 0;
  protocol_ = info().resp3 ? 3 : 2;
  clock_asked_ms_ = 0;
  Tick(io_->clock()->NowUs(), io_->clock()->WallMs());
  owner_->OnLinkUp(side_);
}

void Link::OnDown(const absl::Status& why) {
  owner_->OnLinkDown(side_, why);
  Owed dropped;
  while (TakeOwed(&dropped)) {
  }
}

void Link::OnUnreachable(const absl::Status& why) {
  owner_->OnLinkUnreachable(side_, why);
}

void Link::OnReply(std::string_view reply) {
  if (owed_.empty()) return Cut(absl::DataLossError("a reply that nobody asked for"));
  const Owed owed = owed_.front();
  owed_.Pop();
  switch (owed.what) {
    case Owed::What::kClock: {
      ClockReading reading;
      const int64_t now_ms = io_->clock()->WallMs();
      // A reading that waited behind other work says little; a much worse one doesn't replace a better one.
      if (ReadClock(reply, clock_asked_ms_, now_ms, &reading) &&
          (clock_.uncertainty_ms == 0 || reading.uncertainty_ms <= clock_.uncertainty_ms + 10)) {
        clock_ = reading;
      }
      clock_asked_ms_ = 0;
      return;
    }
    case Owed::What::kSwitch:
      // Commands behind it may now run in the wrong database: nothing on this connection can be relied on.
      if (!IsErrorReply(reply)) return;
      if (owed.login != 0) owner_->OnLoginRefused(side_, owed.login);
      return Cut(absl::FailedPreconditionError("SELECT or HELLO refused: " + std::string(ErrorCode(reply))));
    case Owed::What::kLogin:
      if (!IsErrorReply(reply)) return;
      if (owed.login != 0) owner_->OnLoginRefused(side_, owed.login);
      return Cut(
          absl::UnauthenticatedError(std::string(owed.login == 0 ? "login refused: " : "a user's login refused: ") +
                                     std::string(ErrorCode(reply))));
    case Owed::What::kMain:
      latency_.Record(last_read_us() - owed.sent_us);
      break;
    case Owed::What::kCompanion:
    case Owed::What::kQueued:
      break;
  }
  owner_->OnLinkReply(side_, owed, reply);
}

}  // namespace crossfade
