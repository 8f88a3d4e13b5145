// The metrics by subject, a source for each: internal to metrics.cc, which says in which order they come.
#pragma once

#include "proxy/metric_list.h"

namespace crossfade {

class Proxy;

void AppendTrafficMetrics(const Proxy& proxy, MetricList* list);   // commands, writes, reads, comparisons, clients
void AppendStoreMetrics(const Proxy& proxy, MetricList* list);     // the stores, the breaker, roles, settings, flips
void AppendCopyMetrics(const Proxy& proxy, MetricList* list);      // lag, dirty keys, repair, backfill, verification
void AppendOperatorMetrics(const Proxy& proxy, MetricList* list);  // the ramp, consoles, the audit trail
void AppendProcessMetrics(const Proxy& proxy, MetricList* list);   // the process, memory, limits

}  // namespace crossfade
