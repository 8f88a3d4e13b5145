#include "proxy/link.h"

#include <algorithm>
#include <string>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

namespace {
constexpr int64_t kRefusedClockMs = 1000;
}

absl::Status OutOfStep() {
  return absl::InternalError("a reply that nobody asked for");
}

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

void Link::AskAside(std::string_view commands, int replies, int64_t now_us) {
  Switch(db_, protocol_, now_us);
  Write(commands);
  for (int i = 0; i < replies; ++i) Owe(nullptr, Owed::What::kProbe, now_us);
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
    const int64_t whole_ms = kWholeReplySpans * timeouts_->response_ms;
    if (now_us - std::max(last_reply_us_, owed_.front().sent_us) > whole_ms * 1000) {
      return Cut(absl::DeadlineExceededError(fmt::format("no whole reply for {} ms", whole_ms)));
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

void Link::RecordByClass(const Owed& owed) {
  if (owed.slot == nullptr) return;
  const Slot::Kind kind = owed.slot->kind;
  if (kind == Slot::Kind::kCopy || kind == Slot::Kind::kQuestion) return;
  const LatencyClass what = kind == Slot::Kind::kRead ? LatencyClass::kRead : LatencyClass::kWrite;
  latencies_[static_cast<size_t>(what)].Record(last_read_us() - owed.sent_us);
}

void Link::OnReply(std::string_view reply) {
  if (owed_.empty()) return Cut(OutOfStep());
  last_reply_us_ = last_read_us();
  const Owed owed = owed_.front();
  owed_.Pop();
  switch (owed.what) {
    case Owed::What::kClock: {
      // Whatever else came here was for somebody else: each reply since the last TIME may have gone to the wrong one.
      if (!IsErrorReply(reply) && ParseReply(reply).items.size() != 2) return Cut(OutOfStep());
      ClockReading reading;
      const int64_t now_ms = clock_asked_ms_ + (io_->clock()->NowUs() - owed.sent_us) / 1000;
      const int64_t age_ms = (io_->clock()->NowUs() - clock_read_us_) / 1000;
      if (ReadClock(reply, clock_asked_ms_, now_ms, &reading) && Replaces(reading, clock_, age_ms)) {
        clock_ = reading;
        clock_read_us_ = io_->clock()->NowUs();
      }
      // A server that refuses TIME is taken to have the proxy's clock, within what well-kept machines differ by.
      if (IsErrorReply(reply) && !clock_known()) clock_ = {.offset_ms = 0, .uncertainty_ms = kRefusedClockMs};
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
      RecordByClass(owed);
      if (owed.slot != nullptr && owed.slot->to.client != 0) {
        ++client_replies_;
        client_replies_us_ += last_read_us() - owed.sent_us;
      }
      break;
    case Owed::What::kCompanion:
    case Owed::What::kQueued:
    case Owed::What::kProbe:
      break;
  }
  owner_->OnLinkReply(side_, owed, reply);
}

}  // namespace crossfade
