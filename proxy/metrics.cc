#include "proxy/metrics.h"

#include "proxy/metric_groups.h"

namespace crossfade {

std::string MetricsText(const Proxy& proxy) {
  MetricList list;
  AppendStoreMetrics(proxy, &list);
  AppendTrafficMetrics(proxy, &list);
  AppendCopyMetrics(proxy, &list);
  AppendOperatorMetrics(proxy, &list);
  AppendProcessMetrics(proxy, &list);
  return list.Text();
}

HttpResponse GetMetrics(const Proxy& proxy) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = MetricsText(proxy);
  return response;
}

}  // namespace crossfade
