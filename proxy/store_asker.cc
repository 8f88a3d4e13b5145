#include "proxy/store_asker.h"

#include <utility>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"

namespace crossfade {

StoreAsker::StoreAsker(Io* io, const BackendConfig& backend, int64_t connect_ms, int64_t answer_ms)
    : io_(io),
      backend_(backend),
      answer_ms_(answer_ms),
      connection_(io, backend.address, connect_ms, PrivateConnection::State(), &live_) {}

void StoreAsker::Ask(const CommandBatch& batch, Done done) {
  sent_ms_ = io_->clock()->WallMs();
  if (batch.count == 0) return done({});
  connection_.Call(batch.bytes, batch.count, answer_ms_,
                   [this, count = batch.count, done = std::move(done)](const PrivateConnection::Replies& replies) {
                     read_ms_ = io_->clock()->WallMs();
                     if (replies.ok()) return done(*replies);
                     std::string lost;
                     AppendError(&lost, fmt::format("LOST {}", std::string(replies.status().message())));
                     done(Answers(count, lost));
                   });
}

void StoreAsker::LogIn(std::function<void(bool, std::string)> done) {
  CommandBatch batch;
  if (!backend_.password.empty()) {
    if (backend_.user.empty()) {
      batch.Add({"AUTH", backend_.password});
    } else {
      batch.Add({"AUTH", backend_.user, backend_.password});
    }
  }
  batch.Add({"PING"});
  Ask(batch, [done = std::move(done)](const Answers& answers) {
    const std::string& first = answers.front();
    if (IsLost(first)) return done(false, ErrorText(first).substr(5));
    if (answers.size() > 1 && IsErrorReply(first)) return done(true, ErrorText(first));
    const bool outside = ErrorCode(answers.back()) == "NOAUTH" || ErrorCode(answers.back()) == "DENIED";
    done(true, outside ? ErrorText(answers.back()) : "");
  });
}

std::string ErrorText(std::string_view reply) {
  const Reply error = ParseReply(reply);
  return error.is_error() ? std::string(error.text) : "";
}

}  // namespace crossfade
