#include "proxy/admin_copy.h"

#include <string>
#include <utility>

#include "nlohmann/json.hpp"
#include "proxy/admin_fields.h"
#include "proxy/copy_objects.h"
#include "proxy/proxy.h"

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
  Fields fields(request.body);
  std::string what;
  fields.Text("what", &what);
  if (what != "functions" && what != "users") fields.Complain("what: expected \"functions\" or \"users\"");
  if (const absl::Status status = fields.Done(); !status.ok()) return respond(FromStatus(status));
  const bool users = what == "users";
  const Side primary = proxy->migration().primary();
  proxy->object_copy()->Run(users ? ObjectCopy::What::kUsers : ObjectCopy::What::kFunctions, primary,
                            [respond, what, users, primary](const CopyReport& report) {
                              if (absl::IsUnavailable(report.status))
                                return respond(HttpError(503, std::string(report.status.message())));
                              if (!report.status.ok()) return respond(FromStatus(report.status));
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
                              respond(JsonResponse(json));
                            });
}

}  // namespace crossfade
