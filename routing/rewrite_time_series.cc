#include "routing/rewrite_time_series.h"

#include "protocol/reply.h"

namespace crossfade {

namespace {

using Kind = Expectation::Kind;
using Args = std::vector<std::string_view>;

// TS.ADD key time value …
void TimeSeriesAdd(const Accepted& accepted, Follow* follow) {
  const RequestView request = accepted.request;
  if (request.arg(2) != "*") return EmitVerbatim(accepted, follow);
  const auto time = IntegerReply(accepted.reply);
  if (!time) {
    follow->unknown = true;
    return;
  }
  Args args;
  const std::string text = std::to_string(*time);
  for (size_t i = 0; i < request.argc(); ++i) args.push_back(i == 2 ? std::string_view(text) : request.arg(i));
  EmitFollow(follow, args, Kind::kInteger, *time);
}

// TS.MADD key time value …, answered with a time or an error for each. What was refused is left out.
void TimeSeriesMultiAdd(const Accepted& accepted, Follow* follow) {
  const RequestView request = accepted.request;
  const Reply reply = ParseReply(accepted.reply);
  if (3 * reply.items.size() + 1 != request.argc()) {
    follow->unknown = true;
    return;
  }
  std::vector<std::string> times;
  times.reserve(reply.items.size());  // args points into it
  std::string expected;
  Args args{"TS.MADD"};
  for (size_t i = 0; i < reply.items.size(); ++i) {
    if (reply.items[i].type != ReplyType::kInteger) continue;
    times.push_back(std::to_string(reply.items[i].integer));
    args.insert(args.end(), {request.arg(3 * i + 1), times.back(), request.arg(3 * i + 3)});
    AppendReply(&expected, reply.items[i]);
  }
  if (times.empty()) return;
  EmitFollow(follow, args, Kind::kReply, 0, "*" + std::to_string(times.size()) + "\r\n" + expected);
}

// TS.INCRBY, TS.DECRBY key value … [TIMESTAMP time] … [LABELS …]: labels may be called as an option is, and come last.
void Increment(const Accepted& accepted, Follow* follow) {
  const RequestView request = accepted.request;
  size_t given = 0;
  for (size_t i = 3; i + 1 < request.argc() && !EqualsIgnoreCase(request.arg(i), "LABELS"); ++i) {
    if (EqualsIgnoreCase(request.arg(i), "TIMESTAMP")) given = i;
  }
  if (given != 0 && request.arg(given + 1) != "*") return EmitVerbatim(accepted, follow);
  const auto time = IntegerReply(accepted.reply);
  if (!time) {
    follow->unknown = true;
    return;
  }
  const std::string text = std::to_string(*time);
  Args args{request.arg(0), request.arg(1), request.arg(2), "TIMESTAMP", text};
  for (size_t i = 3; i < request.argc(); ++i) {
    if (given == 0 || (i != given && i != given + 1)) args.push_back(request.arg(i));
  }
  EmitFollow(follow, args, Kind::kInteger, *time);
}

}  // namespace

void RewriteTimeSeries(const Accepted& accepted, Follow* follow) {
  switch (accepted.row.effect) {
    case Effect::kTimeSeriesAdd:
      return TimeSeriesAdd(accepted, follow);
    case Effect::kTimeSeriesMultiAdd:
      return TimeSeriesMultiAdd(accepted, follow);
    case Effect::kTimeSeriesIncrement:
      return Increment(accepted, follow);
    default:
      return;
  }
}

}  // namespace crossfade
