#include "proxy/admin_report.h"

#include <string>
#include <utility>

#include "fmt/format.h"
#include "proxy/admin_fields.h"
#include "proxy/proxy.h"
#include "proxy/report_asker.h"
#include "proxy/report_collect.h"
#include "proxy/report_html.h"
#include "proxy/report_json.h"
#include "proxy/report_markdown.h"
#include "proxy/status_json.h"

namespace crossfade {

namespace {

// The audit trail of this state directory, if there is one.
std::string AuditText(const Proxy& proxy) {
  const auto text = proxy.storage()->Read(proxy.config().state_dir + "/audit.jsonl");
  return text.ok() && text->has_value() ? **text : std::string();
}

HttpResponse Rendered(const ReportFigures& figures, const std::string& format) {
  if (format == "json") return JsonResponse(ReportJson(figures));
  HttpResponse response;
  response.headers["Cache-Control"] = "no-store";
  response.headers["X-Content-Type-Options"] = "nosniff";
  const ReportDocument document = MakeReportDocument(figures);
  if (format == "markdown") {
    response.content_type = "text/markdown; charset=utf-8";
    response.body = ReportMarkdown(document);
    return response;
  }
  response.content_type = "text/html; charset=utf-8";
  response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
  response.body = ReportHtml(document);
  return response;
}

}  // namespace

void GetReport(Proxy* proxy, const HttpRequest& request, const HttpServer::Responder& respond) {
  const auto option = [&](const char* name, const char* otherwise) {
    const auto found = request.query.find(name);
    return found == request.query.end() ? std::string(otherwise) : found->second;
  };
  const std::string format = option("format", "json"), values = option("values", "false");
  if (format != "json" && format != "html" && format != "markdown")
    return respond(HttpError(400, "format: expected json, html or markdown"));
  if (values != "true" && values != "false") return respond(HttpError(400, "values: expected true or false"));
  proxy->report_asker()->Run([proxy, respond, format, values](const ReportAsker::Told& told) {
    respond(Rendered(CollectReport(proxy, told, AuditText(*proxy), values == "true"), format));
  });
}

}  // namespace crossfade
