#include "proxy/admin_preflight.h"

#include <algorithm>

#include "proxy/admin_fields.h"
#include "proxy/proxy.h"
#include "routing/preflight_findings.h"

namespace crossfade {

nlohmann::json PreflightJson(const Preflight::Report& report) {
  nlohmann::json checks = nlohmann::json::array();
  CheckStatus worst = CheckStatus::kPass;
  for (const Finding& finding : report.findings) {
    worst = std::max(worst, finding.status);
    checks.push_back({{"name", finding.name},
                      {"status", Name(finding.status)},
                      {"found", finding.found},
                      {"remedy", finding.remedy}});
  }
  return {{"verdict", Name(worst)},
          {"unreachable", report.unreachable},
          {"passed", report.Count(CheckStatus::kPass)},
          {"warnings", report.Count(CheckStatus::kWarn)},
          {"failed", report.Count(CheckStatus::kFail)},
          {"checks", std::move(checks)}};
}

void GetPreflight(Proxy* proxy, const HttpServer::Responder& respond) {
  proxy->preflight()->Run([respond](const Preflight::Report& report) { respond(JsonResponse(PreflightJson(report))); });
}

}  // namespace crossfade
