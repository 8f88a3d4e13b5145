#include "proxy/admin_verify.h"

#include <optional>
#include <string>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "proxy/admin_fields.h"
#include "proxy/proxy.h"
#include "proxy/server_info.h"

namespace crossfade {

namespace {

constexpr int64_t kMaxKeysPerSecond = 10'000'000;

HttpResponse StartVerify(Proxy* proxy, const HttpRequest& request) {
  Fields fields(request.body);
  VerifyOptions options;
  std::optional<bool> repair;
  std::optional<double> sample;
  std::optional<int64_t> db, keys_per_second;
  fields.Flag("repair", &repair);
  fields.Percent("sample", &sample);
  fields.Text("match", &options.match);
  fields.Number("db", 0, ServerInfo::kMostDatabases - 1, &db);
  fields.Number("keys_per_second", 1, kMaxKeysPerSecond, &keys_per_second);
  if (sample && *sample <= 0) fields.Complain("sample: expected more than 0 percent");
  if (const absl::Status status = fields.Done(); !status.ok()) return FromStatus(status);
  options.repair = repair.value_or(false);
  options.sample = sample.value_or(100);
  options.db = static_cast<int>(db.value_or(-1));
  options.keys_per_second = keys_per_second.value_or(0);
  const absl::Status started = proxy->StartVerify(options);
  return started.ok() ? JsonResponse(VerifyJson(proxy->verify().result(), 0), 202) : FromStatus(started);
}

HttpResponse Get(const Proxy& proxy, const HttpRequest& request) {
  size_t limit = VerifyResult::kMaxListed;
  if (const auto found = request.query.find("limit"); found != request.query.end()) {
    const auto number = ParseInt64(found->second);
    if (!number || *number < 0) return HttpError(400, "limit: expected a number");
    limit = static_cast<size_t>(*number);
  }
  return JsonResponse(VerifyJson(proxy.verify().result(), limit));
}

}  // namespace

bool IsVerifyCall(const HttpRequest& request) {
  return request.method == "GET" || request.method == "HEAD" || request.method == "POST" || request.method == "DELETE";
}

HttpResponse HandleVerify(Proxy* proxy, const HttpRequest& request) {
  if (request.method == "POST") return StartVerify(proxy, request);
  if (request.method == "DELETE") {
    if (const absl::Status cancelled = proxy->CancelVerify(); !cancelled.ok()) return FromStatus(cancelled);
  }
  return Get(*proxy, request);
}

void VerifyAttention(const VerifyResult& result, nlohmann::json* list) {
  if (result.state == VerifyState::kFailed) {
    list->push_back("the last verification did not finish: " + result.why);
  }
  if (result.state == VerifyState::kIdle || result.differing() <= result.repaired) return;
  list->push_back(fmt::format(
      "a verification found {} keys that differ, {} of which were repaired: {}", result.differing(), result.repaired,
      result.options.repair ? "crossfade verify status" : "crossfade verify status; crossfade verify --repair"));
}

}  // namespace crossfade
