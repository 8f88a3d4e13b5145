#include "proxy/admin_copy.h"

#include <string>
#include <utility>

#include "nlohmann/json.hpp"
#include "proxy/copy_objects.h"
#include "proxy/proxy.h"
#include "proxy/status_json.h"

namespace crossfade {

namespace {

using Json = nlohmann::json;

Json ExceptionsJson(const std::vector<CopyReport::Exception>& exceptions) {
  Json list = Json::array();
  for (const CopyReport::Exception& one : exceptions) list.push_back({{"name", one.name}, {"why", one.why}});
  return list;
}

}  // namespace

void PostCopy(Proxy* proxy, const HttpRequest& request, const HttpServer::Responder& respond) {
  const Json body = Json::parse(request.body, nullptr, false);
  const std::string what = body.is_object() && body.size() == 1 && body.contains("what") && body["what"].is_string()
                               ? body["what"].get<std::string>()
                               : "";
  if (what != "functions" && what != "users") {
    return respond(HttpError(400, R"(the body must be {"what": "functions"} or {"what": "users"})"));
  }
  const bool users = what == "users";
  const Side primary = proxy->migration().primary();
  proxy->object_copy()->Run(users ? ObjectCopy::What::kUsers : ObjectCopy::What::kFunctions, primary,
                            [respond, what, users, primary](const CopyReport& report) {
                              HttpResponse response;
                              if (!report.status.ok()) {
                                const std::string why(report.status.message());
                                response.status = absl::IsUnavailable(report.status) ? 503 : 409;
                                response.body = Dump({{"error", why}, {"reason", why}});
                                return respond(std::move(response));
                              }
                              const char* to = SideName(OtherSide(primary));
                              Json json = {{"what", what},
                                           {"from", SideName(primary)},
                                           {"to", to},
                                           {"copied", report.copied},
                                           {"equal", report.equal},
                                           {"only_on_secondary", report.only_on_secondary},
                                           {"skipped", ExceptionsJson(report.skipped)},
                                           {"refused", ExceptionsJson(report.refused)}};
                              if (users && !report.copied.empty()) {
                                json["note"] = std::string("ACL SAVE or CONFIG REWRITE on ") + to +
                                               " keeps them over its next restart";
                              }
                              response.body = Dump(json);
                              respond(std::move(response));
                            });
}

}  // namespace crossfade
