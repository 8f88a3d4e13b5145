// What Prometheus reads (GET /metrics): everything that the status says in figures, made at each scrape from the
// counters that the parts of the proxy keep anyway. Reads, never changes. No label ever holds a key's name or value, or
// anything else of which clients could make up more: the number of series is bounded by this program.
#pragma once

#include <string>

#include "proxy/http_message.h"

namespace crossfade {

class Proxy;

// In the text format, version 0.0.4.
std::string MetricsText(const Proxy& proxy);
HttpResponse GetMetrics(const Proxy& proxy);

}  // namespace crossfade
